//! `[traces]`: who did what, when, on which mailbox (MSSanté §11): where it is kept, and how long.

use super::human;
use super::validate::Found;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// `[traces]`: the day files of traces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Their directory; empty: the store's name with `-traces` behind it.
    pub path: PathBuf,
    /// How long functional traces are kept.
    #[serde(with = "human::duration")]
    pub functional_keep: Duration,
    /// Whether that counts from the closing of the mailboxes that there were, and not from the day itself.
    pub from_closing: bool,
    /// How long technical traces are kept.
    #[serde(with = "human::duration")]
    pub technical_keep: Duration,
    /// With more than so many traces that wait to be written, mail stops with temporary errors.
    pub most_waiting: u32,
    /// Refused logins of one network address at one door that are traced one by one within a minute.
    pub refused_logins_of_address: u32,
    /// The same of all addresses together.
    pub refused_logins: u32,
    /// Refusals of mail, one for each recipient, of one network address that are traced one by one within a minute.
    pub refused_mail_of_address: u32,
    /// The same of all addresses together.
    pub refused_mail: u32,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            functional_keep: 3_650 * DAY,
            from_closing: true,
            technical_keep: 365 * DAY,
            most_waiting: 50_000,
            refused_logins_of_address: 20,
            refused_logins: 600,
            refused_mail_of_address: 120,
            refused_mail: 1_200,
        }
    }
}

impl Traces {
    /// Where they are kept. By default two stores that lie side by side have each their own.
    pub fn directory(&self, store: &Path) -> PathBuf {
        if !self.path.as_os_str().is_empty() {
            return self.path.clone();
        }
        // A slash at its end is none of its name.
        let mut path = store.components().as_path().as_os_str().to_owned();
        path.push("-traces");
        path.into()
    }
}

/// What is wrong with the section.
pub(super) fn problems(traces: &Traces, store: &Path, found: &mut Found<'_, '_>) {
    for (key, keep) in
        [("traces.functional_keep", traces.functional_keep), ("traces.technical_keep", traces.technical_keep)]
    {
        found.check((DAY..=36_500 * DAY).contains(&keep), key, || {
            format!("{}; expected 1d to 36500d", human::show_duration(keep))
        });
    }
    found.check((1_000..=1_000_000).contains(&traces.most_waiting), "traces.most_waiting", || {
        format!("{}; expected 1000 to 1000000", traces.most_waiting)
    });
    for (key, of_address, in_all) in [
        ("traces.refused_logins", traces.refused_logins_of_address, traces.refused_logins),
        ("traces.refused_mail", traces.refused_mail_of_address, traces.refused_mail),
    ] {
        found.check((1..=100_000).contains(&in_all) && (1..=in_all).contains(&of_address), key, || {
            format!("{in_all} in all, {of_address} of one address; expected 1 to 100000, and of one address no more than in all")
        });
    }
    let directory = traces.directory(store);
    let is_apart = store.as_os_str().is_empty() || !directory.starts_with(store);
    found.check(is_apart, "traces.path", || {
        format!("{} lies in store.path, where nothing else may write; expected another directory", directory.display())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_lie_beside_the_store_unless_another_place_is_named() {
        let at = |path: &str| Traces { path: path.into(), ..Traces::default() }.directory(Path::new("/srv/m/store/"));
        assert_eq!(at(""), Path::new("/srv/m/store-traces"));
        assert_eq!(at("/disk2/traces"), Path::new("/disk2/traces"));
    }
}
