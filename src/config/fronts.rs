//! Who may come in where, and how: `[logins]`, `[[fronts]]`, `[published]`.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a front wants of its clients' certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// They are not asked for: no program ever shows a dialogue to choose one.
    Never,
    /// One may be shown.
    #[default]
    Ask,
    /// Without one there is no TLS.
    Require,
}

/// A way to log in, whatever the protocol calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginWay {
    /// A mailbox's password (PLAIN, LOGIN): with an enrolled device's certificate, or alone where the mailbox says so.
    Password,
    /// A client certificate (EXTERNAL).
    Certificate,
    /// A Pro Santé Connect access token (XOAUTH2, OAUTHBEARER).
    Token,
}

/// `[logins]`: how people and software log in at the listeners of `[imap]` and `[submission]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logins {
    /// Whether client certificates are asked for.
    pub certificates: ClientCertificates,
    /// What is offered, as far as it can be used.
    pub ways: Vec<LoginWay>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            certificates: ClientCertificates::Ask,
            ways: vec![LoginWay::Password, LoginWay::Certificate, LoginWay::Token],
        }
    }
}

/// `[[fronts]]`: further listeners with ways of their own (MSSanté §6: *psc* and *authcli* may be two names or two ports).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Front {
    /// Its name in logs and in the list of sessions. Required.
    pub name: String,
    /// Addresses for IMAP with STARTTLS.
    pub imap: Vec<SocketAddr>,
    /// Addresses for IMAP over TLS.
    pub imap_tls: Vec<SocketAddr>,
    /// Addresses for submission with STARTTLS.
    pub submission: Vec<SocketAddr>,
    /// Addresses for submission over TLS.
    pub submission_tls: Vec<SocketAddr>,
    /// Whether client certificates are asked for.
    pub certificates: ClientCertificates,
    /// What is offered. Required.
    pub ways: Vec<LoginWay>,
}

impl Front {
    /// Its addresses, by the key that has them.
    pub fn addresses(&self) -> [(&'static str, &[SocketAddr]); 4] {
        [
            ("imap", &self.imap),
            ("imap_tls", &self.imap_tls),
            ("submission", &self.submission),
            ("submission_tls", &self.submission_tls),
        ]
    }
}

/// `[published]`: by which names and ports clients and other operators reach us. `caducee dns zone` writes it, `caducee dns
/// check` looks for it, and autoconfiguration tells it to mail programs. Nothing listens by it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Published {
    /// What mail programs call us.
    pub name: String,
    /// Hosts of the MX records, the first preferred; empty: `server.name`.
    pub mx: Vec<String>,
    /// Where people and their software log in with tokens and passwords.
    pub psc: Reachable,
    /// Where applications log in with certificates; without a host: the same place.
    pub authcli: Reachable,
    /// The host that answers autoconfiguration over HTTPS (the portal's); empty: no such records.
    pub autoconfig: String,
    /// Addresses on which autoconfiguration is answered over plain HTTP (`http://autoconfig.DOMAIN/` is asked first by mail
    /// programs); empty: nowhere.
    pub autoconfig_listen: Vec<SocketAddr>,
    /// A page that tells people how to set up their program; empty: none.
    pub help: String,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            name: "Messagerie MSSanté".into(),
            mx: Vec::new(),
            psc: Reachable::default(),
            authcli: Reachable::default(),
            autoconfig: String::new(),
            autoconfig_listen: Vec::new(),
            help: String::new(),
        }
    }
}

/// A front as the world sees it. A port of 0 is not published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reachable {
    /// Its host name; empty: `server.name`.
    pub host: String,
    /// IMAP with STARTTLS.
    pub imap: u16,
    /// IMAP over TLS.
    pub imaps: u16,
    /// Submission with STARTTLS.
    pub submission: u16,
    /// Submission over TLS.
    pub submissions: u16,
}

impl Default for Reachable {
    fn default() -> Self {
        Self { host: String::new(), imap: 143, imaps: 993, submission: 587, submissions: 465 }
    }
}
