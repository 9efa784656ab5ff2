//! Static routes: domains whose servers the configuration names.

use crate::config::sending::{Relay, host_and_port};
use crate::mail::relay::Host;
use crate::mss::Domain;

/// The hosts of a domain, where a route names some: its own route's, or those of `*`.
pub(super) fn of(relay: &Relay, domain: &Domain) -> Option<Vec<Host>> {
    let naming = |wanted: &str| {
        relay.routes.iter().find(|route| route.domains.iter().any(|domain| domain.eq_ignore_ascii_case(wanted)))
    };
    let route = naming(domain.as_str()).or_else(|| naming("*"))?;
    let host = |text: &String| host_and_port(text, relay.port).map(|(name, port)| Host { name, port });
    let hosts: Vec<Host> = route.hosts.iter().filter_map(host).collect();
    // A route may change times alone.
    if hosts.is_empty() { None } else { Some(hosts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sending::Route;

    #[test]
    fn a_domains_own_route_goes_before_the_one_for_all() {
        let route = |domains: &[&str], hosts: &[&str]| Route {
            domains: domains.iter().map(|text| (*text).to_owned()).collect(),
            hosts: hosts.iter().map(|text| (*text).to_owned()).collect(),
            ..Route::default()
        };
        let mut relay = Relay {
            routes: vec![
                route(&["*"], &["smart.example:2525"]),
                route(&["A.example"], &["mx1.a.example", "[2001:db8::1]:26", "192.0.2.1"]),
                route(&["b.example"], &[]),
            ],
            ..Relay::default()
        };
        let shown = |relay: &Relay, domain: &str| {
            let hosts = of(relay, &Domain::parse(domain).unwrap());
            hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(shown(&relay, "a.example").unwrap(), ["mx1.a.example:25", "[2001:db8::1]:26", "192.0.2.1:25"]);
        assert_eq!(shown(&relay, "other.example").unwrap(), ["smart.example:2525"]);
        assert_eq!(shown(&relay, "b.example"), None);
        relay.routes.remove(0);
        assert_eq!(shown(&relay, "other.example"), None);
    }
}
