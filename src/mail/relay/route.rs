//! From what the DNS or a static route says to the hosts that are tried, in their order (RFC 5321 §5.1).

use std::hash::{BuildHasher, RandomState};

use crate::mss::Domain;

use super::{Exchanger, Host, Route, Settings, Trouble};

/// Hosts that one attempt tries. RFC 5321 §5.1 asks for at least two; a hundred MX records are no reason to knock at a
/// hundred doors in one attempt.
const MOST_HOSTS: usize = 5;

/// The hosts to try for a domain.
pub(super) fn hosts(domain: &Domain, route: Route, settings: &Settings) -> Result<Vec<Host>, Trouble> {
    let mut hosts = match route {
        Route::Hosts(hosts) => fixed(domain, hosts, settings)?,
        Route::Exchangers(exchangers) => exchanged(domain, exchangers, settings)?,
        // The white list names the domain, or we were not here: so it is the DNS that is wrong, and may be mended.
        Route::NoSuchDomain => {
            let text = format!("the DNS does not know the domain {domain}, though it is in the white list");
            return Err(Trouble::new("no-such-domain", "4.4.4", text));
        }
    };
    hosts.truncate(MOST_HOSTS);
    Ok(hosts)
}

fn fixed(domain: &Domain, mut hosts: Vec<Host>, settings: &Settings) -> Result<Vec<Host>, Trouble> {
    hosts.retain(|host| !host.name.eq_ignore_ascii_case(&settings.name));
    if hosts.is_empty() { Err(loops(domain)) } else { Ok(hosts) }
}

fn exchanged(domain: &Domain, mut found: Vec<Exchanger>, settings: &Settings) -> Result<Vec<Host>, Trouble> {
    if found.is_empty() {
        // RFC 5321 §5.1 would take the domain's own address. A domain of the trust space has an MX; a web server that
        // happens to stand at its address is no next hop.
        let text = format!("the domain {domain} has no MX record, so its server cannot be found");
        return Err(Trouble::new("no-mx", "4.4.4", text));
    }
    // RFC 7505 §3: a null MX stands alone; beside others it says nothing.
    found.retain(|exchanger| !exchanger.name.is_empty());
    if found.is_empty() {
        let text = format!("the domain {domain} takes no mail (null MX)");
        return Err(Trouble::new("null-mx", "5.1.10", text));
    }
    // RFC 5321 §5.1: where we are an MX ourselves, only those that come before us may be asked.
    let ours = found.iter().filter(|exchanger| exchanger.name.eq_ignore_ascii_case(&settings.name));
    if let Some(our_preference) = ours.map(|exchanger| exchanger.preference).min() {
        found.retain(|exchanger| exchanger.preference < our_preference);
        if found.is_empty() {
            return Err(loops(domain));
        }
    }
    // RFC 5321 §5.1: by rising preference, at random among equals.
    let chance = RandomState::new();
    found.sort_by_cached_key(|exchanger| (exchanger.preference, chance.hash_one(&exchanger.name)));
    let host = |exchanger: Exchanger| Host { name: exchanger.name.to_ascii_lowercase(), port: settings.port };
    let mut hosts: Vec<Host> = found.into_iter().map(host).collect();
    hosts.dedup();
    Ok(hosts)
}

fn loops(domain: &Domain) -> Trouble {
    let text = format!("the mail of {domain} is routed to this server, which does not host that domain");
    Trouble::new("mx-is-us", "5.4.6", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings() -> Settings {
        Settings {
            name: "mx.us.example".into(),
            port: 25,
            command_timeout: Duration::from_secs(1),
            data_timeout: Duration::from_secs(1),
            block_timeout: Duration::from_secs(1),
            final_timeout: Duration::from_secs(1),
            message_timeout: Duration::from_secs(1),
            keep_session: Duration::from_secs(1),
            max_messages: 1,
            max_sessions_per_host: 1,
            list_max_age: 1,
        }
    }

    fn exchangers(records: &[(u16, &str)]) -> Route {
        Route::Exchangers(
            records
                .iter()
                .map(|(preference, name)| Exchanger { preference: *preference, name: (*name).into() })
                .collect(),
        )
    }

    /// The names of the hosts, or the rule that stands against them.
    fn names(route: Route) -> Result<Vec<String>, &'static str> {
        let domain = Domain::parse("there.example").unwrap();
        match hosts(&domain, route, &settings()) {
            Ok(hosts) => Ok(hosts.into_iter().map(|host| host.name).collect()),
            Err(trouble) => Err(trouble.rule),
        }
    }

    #[test]
    fn hosts_come_by_preference_and_at_random_among_equals() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let found = names(exchangers(&[(20, "c"), (10, "a"), (10, "b")])).unwrap();
            assert_eq!(found[2], "c");
            seen.insert(found[0].clone());
        }
        assert_eq!(seen.len(), 2, "the first of two equals is always the same");
    }

    #[test]
    fn a_null_mx_is_the_last_word_and_no_mx_at_all_is_not() {
        assert_eq!(names(exchangers(&[(0, "")])), Err("null-mx"));
        assert_eq!(names(exchangers(&[])), Err("no-mx"));
        assert_eq!(names(exchangers(&[(0, ""), (5, "a")])).unwrap(), ["a"]);
        assert_eq!(names(Route::NoSuchDomain), Err("no-such-domain"));
    }

    #[test]
    fn nothing_is_sent_to_ourselves_nor_to_those_behind_us() {
        let records = [(10, "before"), (20, "MX.us.example"), (20, "beside"), (30, "behind")];
        assert_eq!(names(exchangers(&records)).unwrap(), ["before"]);
        assert_eq!(names(exchangers(&records[1..])), Err("mx-is-us"));
        let us = Host { name: "mx.us.example".into(), port: 25 };
        assert_eq!(names(Route::Hosts(vec![us])), Err("mx-is-us"));
    }

    #[test]
    fn a_hundred_records_are_a_few_hosts() {
        let records: Vec<(u16, String)> = (0..100).map(|n| (n, format!("mx{n}"))).collect();
        let records: Vec<(u16, &str)> = records.iter().map(|(n, name)| (*n, name.as_str())).collect();
        assert_eq!(names(exchangers(&records)).unwrap(), ["mx0", "mx1", "mx2", "mx3", "mx4"]);
    }
}
