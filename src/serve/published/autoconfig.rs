//! Autoconfiguration: how a mail program sets itself up from an address alone.
//!
//! Thunderbird and those who follow it ask `/.well-known/autoconfig/mail/config-v1.1.xml` of the domain, or
//! `/mail/config-v1.1.xml` of `autoconfig.DOMAIN` (draft-ietf-mailmaint-autoconfig); Outlook posts to
//! `/autodiscover/autodiscover.xml` (MS-OXDISCO, the older "POX" form). Only own domains are answered, whatever the local part:
//! nobody learns which mailboxes there are.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde::Deserialize;

use super::host;
use crate::accounts::Registry;
use crate::config::Config;
use crate::config::fronts::LoginWay;
use crate::mss::{Address, Domain};

/// The longest request that Outlook makes has some hundred bytes.
const LARGEST: usize = 16 << 10;

/// What is asked by whom.
pub struct Autoconfig {
    /// The configuration in force.
    pub config: Arc<dyn Fn() -> Arc<Config> + Send + Sync>,
    /// Which domains are ours.
    pub registry: Registry,
}

#[derive(Debug, Deserialize)]
struct Asked {
    emailaddress: Option<String>,
}

/// The endpoints.
pub fn router(autoconfig: Autoconfig) -> Router {
    Router::new()
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(thunderbird))
        .route("/mail/config-v1.1.xml", get(thunderbird))
        .route("/autodiscover/autodiscover.xml", post(outlook))
        .route("/Autodiscover/Autodiscover.xml", post(outlook))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::new(autoconfig))
}

async fn thunderbird(
    State(autoconfig): State<Arc<Autoconfig>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let named = asked.emailaddress.as_deref().map_or_else(|| domain_of_host(&headers), domain_of_address);
    match autoconfig.own(named) {
        Ok(domain) => xml(client_config(&(autoconfig.config)(), &domain)),
        Err(status) => status.into_response(),
    }
}

async fn outlook(State(autoconfig): State<Arc<Autoconfig>>, body: Bytes) -> Response {
    let Some(address) = address_in(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match autoconfig.own(Some(address.domain().clone())) {
        Ok(_) => xml(autodiscover(&(autoconfig.config)(), &address)),
        Err(status) => status.into_response(),
    }
}

impl Autoconfig {
    fn own(&self, domain: Option<Domain>) -> Result<Domain, StatusCode> {
        let domain = domain.ok_or(StatusCode::BAD_REQUEST)?;
        match self.registry.is_own(&domain) {
            Ok(true) => Ok(domain),
            Ok(false) => Err(StatusCode::NOT_FOUND),
            Err(problem) => {
                tracing::error!(%problem, "autoconfiguration cannot read the domains");
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}

fn domain_of_address(address: &str) -> Option<Domain> {
    Domain::parse(address.rsplit_once('@')?.1).ok()
}

/// `autoconfig.DOMAIN`, or the domain itself.
fn domain_of_host(headers: &HeaderMap) -> Option<Domain> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    Domain::parse(name.strip_prefix("autoconfig.").unwrap_or(&name)).ok()
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response()
}

/// A server in the form in which both programs want it.
struct Server<'a> {
    kind: &'static str,
    host: &'a str,
    port: u16,
    tls: bool,
}

/// TLS from the first byte first: programs take the first that they can use.
fn servers(config: &Config) -> Vec<Server<'_>> {
    let published = &config.published;
    let front = &published.psc;
    let host = host(published, front, &config.server.name);
    let all = [
        ("imap", front.imaps, true),
        ("imap", front.imap, false),
        ("smtp", front.submissions, true),
        ("smtp", front.submission, false),
    ];
    let served = all.into_iter().filter(|(_, port, _)| *port != 0);
    served.map(|(kind, port, tls)| Server { kind, host, port, tls }).collect()
}

/// `clientConfig` 1.1. Methods in the order of preference: a password (within TLS, with the device's certificate), then the
/// certificate alone.
fn client_config(config: &Config, domain: &Domain) -> String {
    let name = escape(config.published.name.as_str());
    let mut methods: Vec<&str> = Vec::new();
    for way in &config.logins.ways {
        match way {
            LoginWay::Password => methods.push("password-cleartext"),
            LoginWay::Certificate => methods.push("TLS-client-cert"),
            // Mail programs know the addresses of a few large providers only.
            LoginWay::Token => {}
        }
    }
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{domain}\">\n    \
         <domain>{domain}</domain>\n    <displayName>{name}</displayName>\n    <displayShortName>MSSanté</displayShortName>\n"
    );
    for Server { kind, host, port, tls } in servers(config) {
        let element = if kind == "imap" { "incomingServer" } else { "outgoingServer" };
        let socket = if tls { "SSL" } else { "STARTTLS" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "    <{element} type=\"{kind}\">\n      <hostname>{}</hostname>\n      <port>{port}</port>\n      \
             <socketType>{socket}</socketType>\n      <username>%EMAILADDRESS%</username>\n",
            escape(host)
        );
        for method in &methods {
            let _ = writeln!(text, "      <authentication>{method}</authentication>");
        }
        let _ = writeln!(text, "    </{element}>");
    }
    if !config.published.help.is_empty() {
        let _ = writeln!(
            text,
            "    <documentation url=\"{}\">\n      <descr lang=\"fr\">Configurer votre logiciel de messagerie</descr>\n    \
             </documentation>",
            escape(config.published.help.as_str())
        );
    }
    text + "  </emailProvider>\n</clientConfig>\n"
}

/// The answer of MS-OXDISCO §3.1.5 with an e-mail account's settings.
fn autodiscover(config: &Config, address: &Address) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n  \
         <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n    \
         <Account>\n      <AccountType>email</AccountType>\n      <Action>settings</Action>\n",
    );
    for Server { kind, host, port, tls } in servers(config) {
        let encryption = if tls { "SSL" } else { "TLS" };
        let _ = write!(
            text,
            "      <Protocol>\n        <Type>{}</Type>\n        <Server>{}</Server>\n        <Port>{port}</Port>\n        \
             <LoginName>{}</LoginName>\n        <SPA>off</SPA>\n        <SSL>{}</SSL>\n        \
             <Encryption>{encryption}</Encryption>\n        <AuthRequired>on</AuthRequired>\n      </Protocol>\n",
            kind.to_uppercase(),
            escape(host),
            escape(address.to_string()),
            if tls { "on" } else { "off" },
        );
    }
    text + "    </Account>\n  </Response>\n</Autodiscover>\n"
}

/// The address that a request of Outlook names: the text of the first `EMailAddress`.
fn address_in(body: &[u8]) -> Option<Address> {
    let mut reader = quick_xml::Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut inside = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => inside = start.local_name().as_ref() == "EMailAddress",
            Event::Text(text) if inside => return Address::parse(text.xml10_content().trim()).ok(),
            // No request has a document type; entities are no business of ours.
            Event::Eof | Event::DocType(_) => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        config.server.name = "mx.op.example".into();
        config.published.name = "Messagerie <\"santé\"> & Cie".into();
        config.published.psc.imap = 0;
        config
    }

    #[test]
    fn both_programs_are_told_the_same_servers() {
        let domain = Domain::parse("aura.mssante.example").unwrap();
        let address = Address::parse("a@aura.mssante.example").unwrap();
        for text in [client_config(&config(), &domain), autodiscover(&config(), &address)] {
            assert!(text.contains("mx.op.example") && text.contains(">993<") && text.contains(">587<"), "{text}");
            assert!(!text.contains(">143<"), "a port of 0 is told to nobody");
            let mut reader = quick_xml::Reader::from_str(&text);
            while !matches!(reader.read_event().expect("well-formed XML"), Event::Eof) {}
        }
        assert!(client_config(&config(), &domain).contains("Messagerie &lt;&quot;santé&quot;&gt; &amp; Cie"));
    }

    #[test]
    fn a_request_of_outlook_names_an_address_and_tricks_get_nothing() {
        let good =
            b"<Autodiscover xmlns='x'><Request><EMailAddress> a@b.example </EMailAddress></Request></Autodiscover>";
        assert_eq!(address_in(good).unwrap().to_string(), "a@b.example");
        let tricks: [&[u8]; 5] = [
            b"",
            b"<a",
            b"<EMailAddress>no address</EMailAddress>",
            b"<!DOCTYPE a [<!ENTITY e 'a@b.example'>]><EMailAddress>&e;</EMailAddress>",
            b"<EMailAddress><b>a@b.example</b></EMailAddress>",
        ];
        for bad in tricks {
            assert_eq!(address_in(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_host_names_its_domain_with_or_without_autoconfig() {
        for host in ["autoconfig.aura.example", "AUTOCONFIG.aura.example:80", "aura.example"] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(domain_of_host(&headers).unwrap().as_str(), "aura.example", "{host}");
        }
    }
}
