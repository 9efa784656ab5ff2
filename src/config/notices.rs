//! `[notices]`: the ordinary mail relay that carries notices to holders' unsecured addresses.

use super::validate::Found;
use super::{human, sections::HOUR};
use crate::mss::Address;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[notices]`: who carries what holders are told outside of the trust space (MSSanté §5). Never content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notices {
    /// The relay's name or IP address; empty: no notices are sent, and no codes are mailed.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: NoticeTls,
    /// PEM files: the authorities of the relay's certificate; empty: those that the system trusts.
    pub anchors: Vec<PathBuf>,
    /// Name to log in with (AUTH PLAIN); empty: no login.
    pub user: String,
    /// Its password: a file, or `credential:NAME` for a systemd credential.
    pub password: String,
    /// The address that notices come from. Required with `host`.
    pub from: String,
    /// The name that they come from.
    pub name: String,
    /// Whom to turn to, as it stands at each notice's end; empty: nobody is named.
    pub contact: String,
    /// A notice that could not be sent is given up when it is so old; a code when it is of no use any more.
    #[serde(with = "human::duration")]
    pub give_up: Duration,
    /// Notices a minute that the relay is given at most; codes count, and wait for nothing.
    pub rate: u32,
    /// How often holders are told of new messages who have not said how often.
    pub new_mail: NewMailPace,
    /// The hour (UTC) at which those are told who are told once a day.
    pub daily_hour: u8,
    /// Whether holders are told when their mailbox is opened from a network that it was not opened from before.
    pub new_places: bool,
    /// A mailbox is created with a notification address only (MSSanté §5), test mailboxes aside, and keeps one.
    pub address_required: bool,
}

/// How often a holder is told that messages came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewMailPace {
    /// As they come.
    AtOnce,
    /// Once an hour at most.
    Hourly,
    /// Once a day.
    #[default]
    Daily,
    /// Never.
    None,
}

/// How the connection with the relay is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeTls {
    /// STARTTLS, or nothing is said.
    #[default]
    Required,
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS where it is offered; the certificate must be good then.
    Opportunistic,
    /// None: for a relay on this machine alone.
    None,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            tls: NoticeTls::default(),
            anchors: Vec::new(),
            user: String::new(),
            password: String::new(),
            from: String::new(),
            name: "Messagerie sécurisée de santé".into(),
            contact: String::new(),
            give_up: 48 * HOUR,
            rate: 300,
            new_mail: NewMailPace::default(),
            daily_hour: 6,
            new_places: true,
            address_required: true,
        }
    }
}

impl Notices {
    /// Whether notices are sent.
    pub fn is_on(&self) -> bool {
        !self.host.is_empty()
    }
}

/// The longest of the texts that stand in every notice.
const TEXT: usize = 200;

/// What is wrong with the section.
pub(super) fn problems(notices: &Notices, found: &mut Found<'_, '_>) {
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    found.check(notices.host.chars().all(is_host), "notices.host", || {
        format!("`{}`; expected a host name or an IP address, the port in notices.port", notices.host)
    });
    found.check(notices.port != 0, "notices.port", || "0; expected 1 to 65535".into());
    let from = Address::parse(&notices.from);
    // Not every relay takes SMTPUTF8 (RFC 6531), and every notice would be refused by one that does not.
    let is_plain = from.is_ok() && notices.from.is_ascii();
    found.check(!notices.is_on() || is_plain, "notices.from", || {
        format!("`{}`; with notices.host, expected the address that notices come from, in ASCII", notices.from)
    });
    found.check(notices.user.is_empty() == notices.password.is_empty(), "notices.user", || {
        "notices.user and notices.password go together; expected both or neither".into()
    });
    let is_secret = matches!(notices.tls, NoticeTls::Required | NoticeTls::Implicit);
    found.check(notices.user.is_empty() || is_secret, "notices.tls", || {
        "a password is not said in the clear; with notices.user, expected required or implicit".into()
    });
    // Notices carry one-time codes.
    let is_here = notices.host.eq_ignore_ascii_case("localhost")
        || notices.host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    found.check(!notices.is_on() || notices.tls != NoticeTls::None || is_here, "notices.tls", || {
        format!("none, and `{}` is not this machine; expected required, implicit or opportunistic", notices.host)
    });
    found.check(!notices.name.trim().is_empty(), "notices.name", || "empty; expected the name of the service".into());
    for (key, text) in [("notices.name", &notices.name), ("notices.contact", &notices.contact)] {
        let is_good = text.chars().count() <= TEXT && !text.chars().any(char::is_control);
        found.check(is_good, key, || format!("expected one line of at most {TEXT} characters"));
    }
    let counts =
        [("notices.rate", notices.rate, 1, 60_000), ("notices.daily_hour", u32::from(notices.daily_hour), 0, 23)];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
    let (least, most) = (Duration::from_secs(60), 7 * 24 * HOUR);
    found.check((least..=most).contains(&notices.give_up), "notices.give_up", || {
        let [value, least, most] = [notices.give_up, least, most].map(human::show_duration);
        format!("{value}; expected {least} to {most}")
    });
}
