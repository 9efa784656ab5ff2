//! How clients and other operators find us: the DNS records that `[published]` asks for, as a zone and as questions.
//!
//! MSSanté §6 wants SRV records for submission and IMAP on every listed domain, in which the priority tells the front: 10 for
//! Pro Santé Connect, 20 for applications. RFC 6186 and RFC 8314 §5.1 add those of TLS from the first byte.

pub mod autoconfig;
mod lookup;
pub mod plain;

pub use lookup::{Finding, check};

use std::fmt;
use std::net::IpAddr;

use crate::config::Config;
use crate::config::fronts::{Published, Reachable};
use crate::mss::Domain;

/// How long the records may be remembered, in seconds.
const TTL: u32 = 3600;

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// A mail exchanger, RFC 5321 §5.
    Mx {
        /// The lower, the sooner.
        preference: u16,
        /// Its name, without the final dot.
        host: String,
    },
    /// A service, RFC 2782.
    Srv {
        /// Which front (MSSanté §6).
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port; 0 with the target `.`: there is no such service (RFC 6186 §3.4).
        port: u16,
        /// Host, without the final dot.
        target: String,
    },
    /// Another name of a host.
    Cname(String),
    /// An address, found where another name of a host should be.
    Address(IpAddr),
}

/// A record that should be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The whole name, without the final dot.
    pub name: String,
    /// What it says.
    pub data: Data,
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::Mx { preference, host } => write!(f, "MX {preference} {host}."),
            Data::Srv { priority, weight, port, target } => write!(f, "SRV {priority} {weight} {port} {target}."),
            Data::Cname(host) => write!(f, "CNAME {host}."),
            Data::Address(IpAddr::V4(address)) => write!(f, "A {address}"),
            Data::Address(IpAddr::V6(address)) => write!(f, "AAAA {address}"),
        }
    }
}

/// A line of a zone file (RFC 1035 §5.1).
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {TTL} IN {}", self.name, self.data)
    }
}

/// The records of a domain, in the order in which people read them.
pub fn records(config: &Config, domain: &Domain) -> Vec<Record> {
    let published = &config.published;
    let own = std::slice::from_ref(&config.server.name);
    let exchangers = if published.mx.is_empty() { own } else { &published.mx };
    let mut data: Vec<(String, Data)> = Vec::new();
    for (index, host) in exchangers.iter().enumerate() {
        let preference = u16::try_from(index).map_or(u16::MAX, |index| index.saturating_add(1).saturating_mul(10));
        data.push((String::new(), Data::Mx { preference, host: host.clone() }));
    }
    data.extend(services(published, &config.server.name));
    if !published.autoconfig.is_empty() {
        for name in ["autoconfig.", "autodiscover."] {
            data.push((name.to_owned(), Data::Cname(published.autoconfig.clone())));
        }
        let target = published.autoconfig.clone();
        data.push(("_autodiscover._tcp.".to_owned(), Data::Srv { priority: 10, weight: 100, port: 443, target }));
    }
    data.into_iter().map(|(before, data)| Record { name: format!("{before}{domain}"), data }).collect()
}

/// Both fronts' services. Where the second is the first, its records stand all the same: software looks for them by priority.
fn services(published: &Published, own: &str) -> Vec<(String, Data)> {
    let mut found = Vec::new();
    for (priority, front) in [(10, &published.psc), (20, &published.authcli)] {
        let ports = [
            ("_submission._tcp.", front.submission),
            ("_imap._tcp.", front.imap),
            ("_submissions._tcp.", front.submissions),
            ("_imaps._tcp.", front.imaps),
        ];
        for (name, port) in ports.into_iter().filter(|(_, port)| *port != 0) {
            let target = host(published, front, own).to_owned();
            found.push((name.to_owned(), Data::Srv { priority, weight: 100, port, target }));
        }
    }
    found
}

/// A front's host name: its own, that of the first front, ours.
fn host<'a>(published: &'a Published, front: &'a Reachable, own: &'a str) -> &'a str {
    [&front.host, &published.psc.host].into_iter().find(|host| !host.is_empty()).map_or(own, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(published: Published) -> Vec<String> {
        let mut config = Config { published, ..Config::default() };
        config.server.name = "mx.op.example".into();
        let domain = Domain::parse("aura.mssante.example").unwrap();
        records(&config, &domain).iter().map(Record::to_string).collect()
    }

    #[test]
    fn both_fronts_have_the_priorities_of_the_api_lps() {
        let authcli = Reachable { host: "app.op.example".into(), imaps: 0, submissions: 0, ..Reachable::default() };
        let zone = zone(Published { authcli, autoconfig: "portail.op.example".into(), ..Published::default() });
        for line in [
            "aura.mssante.example. 3600 IN MX 10 mx.op.example.",
            "_submission._tcp.aura.mssante.example. 3600 IN SRV 10 100 587 mx.op.example.",
            "_submission._tcp.aura.mssante.example. 3600 IN SRV 20 100 587 app.op.example.",
            "_imap._tcp.aura.mssante.example. 3600 IN SRV 10 100 143 mx.op.example.",
            "_imap._tcp.aura.mssante.example. 3600 IN SRV 20 100 143 app.op.example.",
            "_imaps._tcp.aura.mssante.example. 3600 IN SRV 10 100 993 mx.op.example.",
            "_submissions._tcp.aura.mssante.example. 3600 IN SRV 10 100 465 mx.op.example.",
            "autoconfig.aura.mssante.example. 3600 IN CNAME portail.op.example.",
            "_autodiscover._tcp.aura.mssante.example. 3600 IN SRV 10 100 443 portail.op.example.",
        ] {
            assert!(zone.iter().any(|each| each == line), "{line}\n{zone:#?}");
        }
        assert_eq!(zone.iter().filter(|line| line.contains("_imaps")).count(), 1, "a port of 0 is not published");
    }

    #[test]
    fn exchangers_are_preferred_in_their_order() {
        let mx = vec!["mx1.op.example".to_owned(), "mx2.op.example".to_owned()];
        let zone = zone(Published { mx, ..Published::default() });
        assert!(zone[0].ends_with("MX 10 mx1.op.example.") && zone[1].ends_with("MX 20 mx2.op.example."), "{zone:?}");
        assert!(!zone.iter().any(|line| line.contains("auto")), "nothing answers autoconfiguration");
    }
}
