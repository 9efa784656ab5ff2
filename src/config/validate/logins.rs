//! Who comes in where, and how: fronts, portal, Pro Santé Connect.

use super::{Found, is_host_name};
use crate::config::fronts::{ClientCertificates, Front, LoginWay};
use crate::config::psc::Validation;
use crate::config::{Config, human, is_address};
use std::path::Path;
use std::time::Duration;

pub(super) fn portal(config: &Config, found: &mut Found<'_, '_>) {
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    let portal = &config.portal;
    if let Some(problem) = portal.url_problem() {
        found.check(false, "portal.url", || problem);
    }
    let counts = [
        ("portal.max_connections", portal.max_connections, 1_000_000),
        ("portal.max_connections_per_address", portal.max_connections_per_address, portal.max_connections),
        ("portal.max_sessions", portal.max_sessions, 1_000_000),
    ];
    for (key, value, most) in counts {
        found.check((1..=most).contains(&value), key, || format!("{value}; expected 1 to {most}"));
    }
    let searches = portal.searches;
    found.check(searches <= 10_000, "portal.searches", || format!("{searches}; expected 0 to 10000"));
    let durations = [
        ("portal.idle_timeout", portal.idle_timeout, SECOND, DAY),
        // MSSanté §6: as Pro Santé Connect's own session.
        ("portal.session_timeout", portal.session_timeout, portal.idle_timeout, DAY),
        ("portal.request_timeout", portal.request_timeout, SECOND, DAY / 24),
    ];
    for (key, value, least, most) in durations {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
}

pub(super) fn fronts(config: &Config, found: &mut Found<'_, '_>) {
    let main = Front { name: "main".into(), ..Front::default() };
    let logins = Front { certificates: config.logins.certificates, ways: config.logins.ways.clone(), ..main.clone() };
    for (key, front) in [("logins", &logins)].into_iter().chain(config.fronts.iter().map(|front| ("fronts", front))) {
        let name = &front.name;
        found.check(!front.ways.is_empty(), key, || {
            format!("`{name}` has no ways to log in; expected one of password, certificate, token")
        });
        let never = front.certificates == ClientCertificates::Never;
        found.check(!(never && front.ways.contains(&LoginWay::Certificate)), key, || {
            format!("`{name}` offers logins by certificate and asks for none; expected certificates = \"ask\" or \"require\"")
        });
    }
    for (n, front) in config.fronts.iter().enumerate() {
        let name = &front.name;
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && *name != main.name;
        found.check(is_name, "fronts", || format!("`{name}`; expected a name of letters, digits and `-`, not `main`"));
        let is_twice = config.fronts[..n].iter().any(|other| other.name == *name);
        found.check(!is_twice, "fronts", || {
            format!("two fronts are called `{name}`; expected a name of its own for each")
        });
        let listens = front.addresses().iter().any(|(_, list)| !list.is_empty());
        found.check(listens, "fronts", || {
            format!("`{name}` listens nowhere; expected an address in one of its four keys")
        });
    }
    let published = &config.published;
    let exchangers = published.mx.iter().map(|host| ("published.mx", host));
    let hosts = [
        ("published.psc.host", &published.psc.host),
        ("published.authcli.host", &published.authcli.host),
        ("published.autoconfig", &published.autoconfig),
    ];
    for (key, host) in exchangers.chain(hosts).filter(|(_, host)| !host.is_empty()) {
        found.check(is_host_name(host), key, || format!("`{host}` is not a host name"));
    }
    let is_help = published.help.is_empty() || is_address(&published.help);
    found.check(is_help, "published.help", || format!("`{}`; expected an https:// address", published.help));
    for policy in &config.tls.mailbox.policies {
        let is_oid = policy.contains('.')
            && policy.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
        found.check(is_oid, "tls.mailbox.policies", || {
            format!("`{policy}`; expected an OID such as 1.2.250.1.71.4.2.2")
        });
    }
}

pub(super) fn psc(config: &Config, found: &mut Found<'_, '_>) {
    let psc = &config.psc;
    let empty = |path: &Path| path.as_os_str().is_empty();
    found.check(empty(&psc.client_certificate) == empty(&psc.client_key), "psc.client_certificate", || {
        "psc.client_certificate and psc.client_key go together; expected both or neither".into()
    });
    psc_bounds(config, found);
    if !psc.is_on() {
        return;
    }
    // OpenID Connect Discovery 1.0 §3: https, no query, no fragment. A token never travels in plain text.
    let is_issuer = psc.issuer.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', ' ']) && rest.is_ascii()
    });
    found.check(is_issuer, "psc.issuer", || {
        format!("`{}`; expected an https:// address, as the one that the issuer's documentation gives", psc.issuer)
    });
    found.check(!psc.client_id.is_empty(), "psc.client_id", || {
        "required with psc.issuer; expected what Pro Santé Connect gave for this service".into()
    });
    found.check(!psc.anchors.is_empty(), "psc.anchors", || {
        "required with psc.issuer; expected PEM files of the authorities of its certificates".into()
    });
    let is_known = !psc.client_secret.is_empty() || !empty(&psc.client_certificate);
    found.check(psc.validation == Validation::Jwt || is_known, "psc.client_secret", || {
        "required to ask about tokens (psc.validation); expected a file or \"credential:NAME\", or psc.client_certificate".into()
    });
}

fn psc_bounds(config: &Config, found: &mut Found<'_, '_>) {
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);
    let psc = &config.psc;
    let times = [
        ("psc.clock_skew", psc.clock_skew, Duration::ZERO, 5 * MINUTE),
        ("psc.connect_timeout", psc.connect_timeout, SECOND, MINUTE),
        ("psc.timeout", psc.timeout, SECOND, MINUTE),
        ("psc.deadline", psc.deadline, SECOND, 5 * MINUTE),
        ("psc.breaker_pause", psc.breaker_pause, SECOND, 10 * MINUTE),
        // What is remembered is not asked again: how late a withdrawn token is noticed.
        ("psc.cache", psc.cache, Duration::ZERO, 10 * MINUTE),
        ("psc.cache_refused", psc.cache_refused, Duration::ZERO, MINUTE),
        ("psc.refresh", psc.refresh, MINUTE, DAY),
        ("psc.keys_pause", psc.keys_pause, SECOND, 10 * MINUTE),
    ];
    for (key, value, least, most) in times {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
    // A login that ends before its last try cannot tell that Pro Santé Connect is away.
    let all_tries = psc.timeout.saturating_mul(psc.retries.saturating_add(1));
    found.check(psc.deadline > all_tries, "psc.deadline", || {
        let [deadline, tries] = [psc.deadline, all_tries].map(human::show_duration);
        format!("{deadline}; expected more than {tries}, which psc.timeout gives to one try and psc.retries more")
    });
    let counts = [
        ("psc.retries", u64::from(psc.retries), 0, 5),
        ("psc.at_once", psc.at_once as u64, 1, 10_000),
        ("psc.breaker_failures", u64::from(psc.breaker_failures), 1, 1000),
        ("psc.max_refused_per_address", u64::from(psc.max_refused_per_address), 1, 1_000_000),
        ("psc.cache_entries", psc.cache_entries as u64, 1, 1_000_000),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
    let (least, most) = (16 << 10, 4 << 20);
    found.check((least..=most).contains(&psc.max_answer), "psc.max_answer", || {
        let [value, least, most] = [psc.max_answer, least, most].map(human::show_size);
        format!("{value}; expected {least} to {most}")
    });
}
