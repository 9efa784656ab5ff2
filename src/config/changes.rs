//! What differs between two configurations, and what of it needs a restart.

use super::Config;
use toml::{Table, Value};

/// Keys that are only read at start. A section's name stands for all its keys.
const NEED_RESTART: [&str; 20] = [
    "server.name",
    "server.workers",
    "store",
    "seal",
    "trust.cache",
    "smtp.listen",
    "imap.listen",
    "imap.listen_tls",
    "submission.listen",
    "submission.listen_tls",
    "queue",
    "relay.dns",
    "citizens",
    "trail",
    "limits.mime_depth",
    "limits.mime_parts",
    "accounts",
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

/// Compares two configurations key by key.
pub fn changes(old: &Config, new: &Config) -> Changes {
    let mut found = Changes::default();
    for key in differing_keys(&as_table(old), &as_table(new), "") {
        if needs_restart(&key) { found.need_restart.push(key) } else { found.applied.push(key) }
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
        let (mut table, running) = (as_table(&self), as_table(running));
        for key in NEED_RESTART {
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
        table.try_into().unwrap_or(self)
    }
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
    fn every_key_that_needs_a_restart_exists() {
        let table = as_table(&Config::default());
        for key in NEED_RESTART {
            let mut parts = key.split('.');
            let section = parts.next().and_then(|s| table.get(s)).unwrap_or_else(|| panic!("{key}"));
            assert!(parts.next().is_none_or(|name| section.get(name).is_some()), "{key}");
        }
    }
}
