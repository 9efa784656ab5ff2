//! The sections about mailboxes' lives: delays, terms of use.

use super::human;
use super::validate::Found;
use crate::mss::Kind;
use crate::mss::lifecycle::DAYS_TO_ACCEPT;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What holders have to accept a version at least: `terms add` refuses less.
const ACCEPTANCE: Duration = Duration::from_secs(DAYS_TO_ACCEPT.cast_unsigned() * DAY.as_secs());

/// `[lifecycle]`: what becomes of mailboxes with time (MSSanté §5).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// A mailbox that nobody logs in to for so long is closed, once its holder was told and has not answered; zero: none is.
    #[serde(with = "human::duration")]
    pub inactivity: Duration,
    /// The holder is told so long before the end of `inactivity`, and reminded at its end.
    #[serde(with = "human::duration")]
    pub notice: Duration,
    /// French working days from the reminder to the closing.
    pub answer: u32,
    /// How long it is kept who held a closed mailbox.
    #[serde(with = "human::duration")]
    pub identification_keep: Duration,
    /// Closings of one day, and suspensions for terms, that need no confirmation, in hundredths of the mailboxes; one needs none
    /// in any case.
    pub unconfirmed_percent: u32,
    /// How long lines of the journal are kept.
    #[serde(with = "human::duration")]
    pub journal_keep: Duration,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            inactivity: 365 * DAY,
            notice: 61 * DAY,
            answer: 10,
            identification_keep: 365 * DAY,
            unconfirmed_percent: 1,
            journal_keep: 3_650 * DAY,
        }
    }
}

/// `[terms]`: the terms of use (CGU), once there are any (`caducee terms add`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// The kinds of mailboxes whose holders are asked to accept them.
    pub kinds: Vec<Kind>,
    /// How long a mailbox goes on without a new version, where `terms add` does not say.
    #[serde(with = "human::duration")]
    pub grace: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { kinds: vec![Kind::Per, Kind::Org, Kind::Cab], grace: 60 * DAY }
    }
}

/// What is wrong with the two sections.
pub(super) fn problems(lifecycle: &Lifecycle, terms: &Terms, found: &mut Found<'_, '_>) {
    let years = |count: u32| 366 * count * DAY;
    let is_off = lifecycle.inactivity.is_zero();
    found.check(is_off || lifecycle.inactivity >= 90 * DAY, "lifecycle.inactivity", || {
        let value = human::show_duration(lifecycle.inactivity);
        format!("{value}; expected 90d at least, or 0s: no mailbox is closed for inactivity")
    });
    found.check(is_off || lifecycle.notice < lifecycle.inactivity, "lifecycle.notice", || {
        format!(
            "{} is not shorter than lifecycle.inactivity ({})",
            human::show_duration(lifecycle.notice),
            human::show_duration(lifecycle.inactivity)
        )
    });
    let durations = [
        ("lifecycle.inactivity", lifecycle.inactivity, Duration::ZERO, years(20)),
        ("lifecycle.notice", lifecycle.notice, DAY, years(2)),
        ("lifecycle.identification_keep", lifecycle.identification_keep, Duration::ZERO, years(20)),
        ("lifecycle.journal_keep", lifecycle.journal_keep, 365 * DAY, years(50)),
        ("terms.grace", terms.grace, ACCEPTANCE, years(2)),
    ];
    for (key, value, least, most) in durations {
        let is_days = value.as_secs().is_multiple_of(DAY.as_secs()) && value.subsec_nanos() == 0;
        found.check((least..=most).contains(&value) && is_days, key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected whole days, {least} to {most}")
        });
    }
    let counts = [
        ("lifecycle.answer", lifecycle.answer, 1, 250),
        ("lifecycle.unconfirmed_percent", lifecycle.unconfirmed_percent, 0, 100),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
}
