//! `[quotas]`: what mailboxes may hold, by kind, and when their holders are warned.

use super::human;
use super::sections::Limits;
use super::validate::Found;
use serde::{Deserialize, Serialize};

/// `[quotas]`: defaults by kind, and warnings (MSSanté §5).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Bytes that a PER mailbox may hold where nothing else is said; 0: `accounts.quota`.
    #[serde(with = "human::size")]
    pub per: u64,
    /// An ORG mailbox.
    #[serde(with = "human::size")]
    pub org: u64,
    /// An APP mailbox.
    #[serde(with = "human::size")]
    pub app: u64,
    /// A CAB mailbox.
    #[serde(with = "human::size")]
    pub cab: u64,
    /// Percents of its quota at which a mailbox's holder is warned, rising.
    pub warn_at: Vec<u8>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { per: 0, org: 0, app: 0, cab: 0, warn_at: vec![80, 95] }
    }
}

/// Most thresholds: each is a notice.
const THRESHOLDS: usize = 5;

/// What is wrong with the section.
pub(super) fn problems(quotas: &Quotas, limits: &Limits, found: &mut Found<'_, '_>) {
    let sizes = [
        ("quotas.per", quotas.per),
        ("quotas.org", quotas.org),
        ("quotas.app", quotas.app),
        ("quotas.cab", quotas.cab),
    ];
    let (least, most) = (limits.message, 1 << 50);
    for (key, value) in sizes {
        found.check(value == 0 || (least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_size);
            format!("{value}; expected 0 (accounts.quota), or {least} to {most}")
        });
    }
    let warn_at = &quotas.warn_at;
    let rises = warn_at.windows(2).all(|pair| pair[0] < pair[1]);
    let is_good = rises && warn_at.len() <= THRESHOLDS && warn_at.iter().all(|percent| (1..=99).contains(percent));
    found.check(is_good, "quotas.warn_at", || {
        format!("{warn_at:?}; expected at most {THRESHOLDS} rising percents from 1 to 99")
    });
}
