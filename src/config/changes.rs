//! What differs between two configurations, and what of it needs a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Config;
use toml::{Table, Value};

/// Keys that are only read at start. A section's name stands for all its keys.
const NEED_RESTART: &[&str] = &[
    "server.name",
    "server.workers",
    "store.path",
    "store.cache",
    "store.segment",
    "store.checkpoint",
    "store.checkpoint_bytes",
    "store.min_free",
    "seal",
    "trust.cache",
    "smtp.listen",
    "imap.listen",
    "imap.listen_tls",
    "submission.listen",
    "submission.listen_tls",
    "portal.listen",
    "fronts",
    "published.autoconfig_listen",
    "queue",
    "relay.dns",
    "citizens",
    "trail",
    "traces",
    "limits.mime_depth",
    "limits.mime_parts",
    "accounts",
    "devices",
    "codes",
    "directory",
    "notices",
    "indicators",
    "lifecycle",
    "terms",
    "quotas",
    "admin",
    "metrics.listen",
    "log.format",
];

/// The keys that differ, by what it takes for them to count.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Changes {
    /// Keys whose new value counts from now on.
    pub applied: Vec<String>,
    /// Keys whose new value counts after a restart.
    pub need_restart: Vec<String>,
}

/// Hosts of routes count at once, but the queue takes their times at start: routes whose times differ wait for it whole.
const ROUTES: &str = "relay.routes";

/// Compares two configurations key by key.
pub fn changes(old: &Config, new: &Config) -> Changes {
    let mut found = Changes::default();
    for key in differing_keys(&as_table(old), &as_table(new), "") {
        let waits = needs_restart(&key) || (key == ROUTES && route_times(old) != route_times(new));
        if waits { found.need_restart.push(key) } else { found.applied.push(key) }
    }
    found
}

/// Whether `key` is only read at start.
pub fn needs_restart(key: &str) -> bool {
    NEED_RESTART.iter().any(|k| key == *k || key.strip_prefix(k).is_some_and(|rest| rest.starts_with('.')))
}

impl Config {
    /// This configuration with the values of `running` for all keys that only count at start: what is in force after
    /// a reload.
    pub fn keeping_start_keys_of(self, running: &Config) -> Config {
        let mut kept = self;
        if route_times(&kept) != route_times(running) {
            kept.relay.routes.clone_from(&running.relay.routes);
        }
        let (mut table, running) = (as_table(&kept), as_table(running));
        for &key in NEED_RESTART {
            match key.split_once('.') {
                Some((section, name)) => {
                    let value = running.get(section).and_then(|section| section.get(name)).cloned();
                    if let (Some(Value::Table(section)), Some(value)) = (table.get_mut(section), value) {
                        section.insert(name.to_owned(), value);
                    }
                }
                None => drop(running.get(key).map(|section| table.insert(key.to_owned(), section.clone()))),
            }
        }
        // Both tables were made from configurations, so their mixture is one.
        table.try_into().unwrap_or(kept)
    }
}

/// `first_retry`, `longest_retry` and `lifetime` by domain, as far as routes set them. A route without times counts where it
/// takes its domains out of those of `*`.
fn route_times(config: &Config) -> BTreeMap<&str, [Option<Duration>; 3]> {
    let routes = config.relay.routes.iter();
    let mut times: BTreeMap<_, _> = routes
        .flat_map(|route| {
            let times = [route.first_retry, route.longest_retry, route.lifetime];
            route.domains.iter().map(move |domain| (domain.as_str(), times))
        })
        .collect();
    if times.get("*").is_none_or(|times| *times == [None; 3]) {
        times.retain(|_, times| *times != [None; 3]);
    }
    times
}

fn as_table(config: &Config) -> Table {
    // Config is plain data with string keys: TOML can always hold it.
    Table::try_from(config).unwrap_or_default()
}

fn differing_keys(old: &Table, new: &Table, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, new_value) in new {
        let key = format!("{prefix}{name}");
        match (old.get(name), new_value) {
            (Some(Value::Table(old)), Value::Table(new)) => keys.extend(differing_keys(old, new, &format!("{key}."))),
            (old_value, new_value) if old_value != Some(new_value) => keys.push(key),
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::super::sending::Route;
    use super::*;

    #[test]
    fn keys_that_need_a_restart_are_told_apart_and_kept() {
        let old = Config::default();
        let mut new = old.clone();
        new.limits.message = 1 << 20;
        new.trust.test_addresses.domains.push("essai.example".into());
        new.store.path = "/elsewhere".into();
        new.imap.listen.clear();
        let found = changes(&old, &new);
        assert_eq!(found.applied, ["limits.message", "trust.test_addresses.domains"]);
        assert_eq!(found.need_restart, ["imap.listen", "store.path"]);

        let in_force = new.keeping_start_keys_of(&old);
        assert_eq!(changes(&old, &in_force), Changes { applied: found.applied, need_restart: vec![] });
    }

    #[test]
    fn a_routes_hosts_count_at_once_and_its_times_after_a_restart() {
        let route = |domain: &str, host: &str, lifetime: Option<u64>| Route {
            domains: vec![domain.into()],
            hosts: vec![host.into()],
            lifetime: lifetime.map(Duration::from_secs),
            ..Route::default()
        };
        let with = |routes: &[Route]| {
            let mut config = Config::default();
            config.relay.routes = routes.to_vec();
            config
        };
        let old = with(&[route("a.example", "one", None), route("b.example", "one", Some(60))]);
        for (routes, waits) in [
            (vec![route("a.example", "two", None), route("b.example", "one", Some(60))], false),
            (vec![route("b.example", "two", Some(60))], false),
            (vec![route("b.example", "one", Some(60)), route("c.example", "one", None)], false),
            (vec![route("a.example", "one", Some(60)), route("b.example", "one", Some(60))], true),
            (vec![route("a.example", "one", None), route("b.example", "one", Some(61))], true),
            (vec![route("a.example", "one", None), route("b.example", "one", None)], true),
            (vec![route("a.example", "one", None)], true),
        ] {
            let new = with(&routes);
            let found = changes(&old, &new);
            let (applied, need_restart) = (vec![ROUTES.to_owned()], vec![]);
            let wanted = if waits { (need_restart, applied) } else { (applied, need_restart) };
            assert_eq!((found.applied, found.need_restart), wanted, "{routes:?}");
            let in_force = new.clone().keeping_start_keys_of(&old);
            assert_eq!(in_force.relay.routes, if waits { &old } else { &new }.relay.routes);
        }
        let old = with(&[route("*", "one", Some(60))]);
        let new = with(&[route("*", "one", Some(60)), route("a.example", "one", None)]);
        assert_eq!(changes(&old, &new).need_restart, [ROUTES], "a.example loses the times of all others");
    }

    #[test]
    fn every_key_that_needs_a_restart_exists() {
        let table = as_table(&Config::default());
        for &key in NEED_RESTART {
            let mut parts = key.split('.');
            let section = parts.next().and_then(|s| table.get(s)).unwrap_or_else(|| panic!("{key}"));
            assert!(parts.next().is_none_or(|name| section.get(name).is_some()), "{key}");
        }
    }
}
