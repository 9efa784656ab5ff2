//! The resolver against a small DNS server of the test's own, over UDP and TCP on loopback.

use crate::world::domain;
use caducee::config::Config;
use caducee::mail::relay::{Exchanger, Network, Route};
use caducee::serve::outbound::dns::{LookupError, Resolver, SystemResolver};
use caducee::serve::outbound::{Outbound, Surroundings};
use caducee::serve::tls::Contexts;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// What the server says to a question, by name and type.
enum Answer {
    /// Records: owner (empty: the question's name), type, data.
    Records(Vec<(&'static str, u16, Vec<u8>)>),
    Code(u8),
    Silence,
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn mx(preference: u16, name: &str) -> (&'static str, u16, Vec<u8>) {
    ("", MX, [&preference.to_be_bytes()[..], &labels(name)].concat())
}

fn srv(priority: u16, port: u16, target: &str) -> (&'static str, u16, Vec<u8>) {
    let numbers = [priority, 100, port].map(u16::to_be_bytes).concat();
    ("", SRV, [&numbers[..], &labels(target)].concat())
}

fn zone(name: &str, kind: u16) -> Answer {
    match (name, kind) {
        ("published.example", MX) => Answer::Records(vec![mx(10, "both.example")]),
        ("_imap._tcp.published.example", SRV) => {
            Answer::Records(vec![srv(20, 143, "both.example"), srv(10, 143, "Both.example")])
        }
        ("_imaps._tcp.published.example", SRV) => Answer::Records(vec![srv(10, 993, "elsewhere.example")]),
        ("_submission._tcp.published.example", SRV) => Answer::Code(2),
        ("several.example", MX) => Answer::Records(vec![mx(20, "b.example"), mx(10, "A.example"), mx(10, "c.example")]),
        ("null.example", MX) => Answer::Records(vec![mx(0, "")]),
        ("hundred.example", MX) => {
            Answer::Records((0..100).map(|n| mx(n, &format!("mx{n}.quite-a-long-name-of-a-server.example"))).collect())
        }
        ("gone.example", _) => Answer::Code(3),
        ("broken.example", _) => Answer::Code(2),
        ("refused.example", _) => Answer::Code(5),
        ("silent.example", _) => Answer::Silence,
        ("alias.example", A) => {
            Answer::Records(vec![("", CNAME, labels("real.example")), ("real.example", A, vec![127, 0, 0, 7])])
        }
        ("alias.example", AAAA) => Answer::Records(vec![("", CNAME, labels("real.example"))]),
        ("both.example", A) => Answer::Records(vec![("", A, vec![127, 0, 0, 8])]),
        ("both.example", AAAA) => Answer::Records(vec![("", AAAA, [&[0; 15][..], &[1]].concat())]),
        _ => Answer::Records(Vec::new()),
    }
}

/// The answer to one question; over UDP, what does not fit is cut off and says so.
fn answer(query: &[u8], udp: bool) -> Option<Vec<u8>> {
    let (mut name, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + query[at] as usize;
        name.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let question = &query[12..at + 5];
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let (code, records) = match zone(&name.join("."), kind) {
        Answer::Silence => return None,
        Answer::Code(code) => (code, Vec::new()),
        Answer::Records(records) => (0, records),
    };
    let mut body = Vec::new();
    for (owner, kind, data) in &records {
        body.extend(if owner.is_empty() { vec![0xc0, 12] } else { labels(owner) });
        body.extend(kind.to_be_bytes());
        body.extend([0, 1, 0, 0, 0, 60]);
        body.extend((data.len() as u16).to_be_bytes());
        body.extend(data);
    }
    let cut = udp && body.len() > 400;
    let count = if cut { 0 } else { records.len() as u16 };
    let flags = [0x81 | if cut { 2 } else { 0 }, 0x80 | code];
    let mut out = [&query[..2], &flags, &[0, 1], &count.to_be_bytes(), &[0; 4], question].concat();
    if !cut {
        out.extend(body);
    }
    Some(out)
}

/// Starts the server. Its address, of both protocols.
async fn server() -> SocketAddr {
    let (tcp, udp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (tcp, udp);
        }
    };
    let address = tcp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            if let Some(reply) = answer(&buffer[..length], true) {
                udp.send_to(&reply, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut query = vec![0; length as usize];
                    stream.read_exact(&mut query).await.unwrap();
                    let Some(reply) = answer(&query, false) else { return };
                    stream.write_u16(reply.len() as u16).await.unwrap();
                    stream.write_all(&reply).await.unwrap();
                }
            });
        }
    });
    address
}

async fn config() -> Config {
    let mut config = Config::default();
    config.relay.dns = vec![server().await];
    config.relay.dns_timeout = Duration::from_secs(3);
    config
}

/// Only DNS is asked for in here.
struct DnsOnly(Arc<Config>);

impl Surroundings for DnsOnly {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0)
    }

    fn tls(&self) -> &Contexts {
        panic!("nothing in here is about TLS")
    }
}

async fn network() -> Outbound<DnsOnly, SystemResolver> {
    let config = config().await;
    let resolver = SystemResolver::new(&config.relay);
    Outbound::new(DnsOnly(Arc::new(config)), resolver)
}

/// What the route of a domain is: the hosts with their preferences, or the rule that says why there is none.
async fn route(network: &Outbound<DnsOnly, SystemResolver>, name: &str) -> String {
    match network.route(&domain(name)).await {
        Ok(Route::Exchangers(mut found)) => {
            found.sort_by_key(|exchanger| (exchanger.preference, exchanger.name.clone()));
            let shown = |Exchanger { preference, name }: &Exchanger| format!("{preference} {name}");
            found.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        Ok(other) => format!("{other:?}"),
        Err(trouble) => trouble.rule.to_owned(),
    }
}

#[tokio::test]
async fn mx_records_are_read_as_they_stand_and_their_absence_is_told_from_trouble() {
    let network = network().await;
    assert_eq!(route(&network, "several.example").await, "10 A.example, 10 c.example, 20 b.example");
    assert_eq!(route(&network, "null.example").await, "0 ");
    assert_eq!(route(&network, "both.example").await, "", "an address is no MX");
    assert_eq!(route(&network, "gone.example").await, "NoSuchDomain");
    assert_eq!(route(&network, "broken.example").await, "dns-failed");
    assert_eq!(route(&network, "refused.example").await, "dns-failed");
}

#[tokio::test]
async fn a_hundred_records_come_over_tcp() {
    let network = network().await;
    let Ok(Route::Exchangers(found)) = network.route(&domain("hundred.example")).await else { panic!("no route") };
    assert_eq!(found.len(), 100);
}

#[tokio::test]
async fn silence_ends_with_the_time_for_a_question() {
    let network = network().await;
    let begun = Instant::now();
    assert_eq!(route(&network, "silent.example").await, "dns-failed");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_host_has_the_addresses_of_both_families_and_may_be_an_alias() {
    let config = config().await;
    let resolver = SystemResolver::new(&config.relay);
    let alias = resolver.addresses("alias.example").await.unwrap();
    assert_eq!(alias, ["127.0.0.7".parse::<IpAddr>().unwrap()]);
    let mut both = resolver.addresses("both.example").await.unwrap();
    both.sort();
    assert_eq!(both, ["127.0.0.8".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(resolver.addresses("gone.example").await, Err(LookupError::NoSuchName));
    assert_eq!(resolver.addresses("several.example").await, Err(LookupError::NoRecord));
    assert!(matches!(resolver.addresses("broken.example").await, Err(LookupError::Failed(_))));
}

#[tokio::test]
async fn what_is_published_is_compared_with_what_the_dns_says() {
    use caducee::serve::published::{Finding, check, records};
    let mut config = config().await;
    config.server.name = "both.example".into();
    (config.published.psc.submissions, config.published.authcli.submissions) = (0, 0);
    config.published.authcli.imaps = 0;
    let wanted = records(&config, &domain("published.example"));
    let findings = check(&SystemResolver::new(&config.relay), &wanted).await;
    let of = |name: &str| findings.iter().find(|finding| format!("{finding:?}").contains(&format!("\"{name}\"")));
    assert!(of("published.example").is_some_and(Finding::is_right), "{findings:#?}");
    assert!(of("_imap._tcp.published.example").is_some_and(Finding::is_right), "names are compared without case");
    let Some(Finding::Wrong { missing, surplus, .. }) = of("_imaps._tcp.published.example") else {
        panic!("{findings:#?}")
    };
    assert_eq!(missing, &["SRV 10 100 993 both.example."]);
    assert_eq!(surplus, &["SRV 10 100 993 elsewhere.example."]);
    assert!(matches!(of("_submission._tcp.published.example"), Some(Finding::Unanswered { .. })), "{findings:#?}");
    assert!(!findings.iter().any(|finding| matches!(finding, Finding::NoAddress { .. })), "both.example has addresses");
}
