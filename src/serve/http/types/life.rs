//! Mailboxes' lives, and the terms of use. Days are `2027-03-01`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is to be foreseen: `GET /v1/lifecycle/plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanQuery {
    /// For so many days; 7 where it is not said, 366 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// From this day on; today where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// What the clock will bring, if nobody does anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecyclePlan {
    /// From this day on.
    pub as_of: String,
    /// For so many days.
    pub days: u32,
    /// Mailboxes that are not closed.
    pub mailboxes: u64,
    /// The steps, by day.
    pub steps: Vec<PlannedStep>,
    /// Mailboxes that would be suspended or closed in time, but whose holders cannot be told.
    pub cannot_be_told: Vec<String>,
    /// How many closings of one day need no confirmation; as many suspensions for terms do not, and oblivions.
    pub closings_without_confirmation: u64,
    /// The server's clock is so many days from the last run (negative: before it), and no run is made until `confirm_clock` says
    /// that it is right; absent: it is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_astray: Option<i64>,
}

/// A step that a mailbox takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// On this day.
    pub on: String,
    /// The mailbox.
    pub mailbox: String,
    /// `terms-told`, `suspended-for-terms`, `closing-announced`, `closing-reminded`, `closed`, `closing-called-off`,
    /// `forgotten`.
    pub step: String,
    /// A version or a day that belongs to it.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The job, now: `POST /v1/lifecycle/run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleRun {
    /// As if it were this day; today where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Close so many mailboxes, even if they are more than are closed without a confirmation. Refused where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_closings: Option<u64>,
    /// The same of suspensions for terms that were not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_suspensions: Option<u64>,
    /// The same of mailboxes that are to be forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_oblivions: Option<u64>,
    /// The server's clock is right, though it is more than 40 days from the last run: without this there is no run then.
    pub confirm_clock: bool,
    /// Take so many steps before their time: a run of a day that has not come is refused where it would take more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_steps: Option<u64>,
}

impl LifecycleRun {
    /// Whether it confirms steps of any kind.
    pub fn confirms_steps(&self) -> bool {
        [self.confirm_closings, self.confirm_suspensions, self.confirm_oblivions].iter().any(Option::is_some)
    }
}

/// What a run of the job came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRan {
    /// Steps that were taken, by name.
    pub taken: BTreeMap<String, u64>,
    /// Closings that wait for a confirmation.
    pub unconfirmed: u64,
    /// Suspensions for terms that wait for one.
    #[serde(default)]
    pub unconfirmed_suspensions: u64,
    /// Mailboxes that are to be forgotten and wait for one.
    #[serde(default)]
    pub unconfirmed_oblivions: u64,
    /// Mailboxes whose holders cannot be told.
    pub cannot_be_told: u64,
    /// Mailboxes that could not be changed; the log says why.
    pub failed: u64,
    /// Lines of the journal whose time was over.
    pub forgotten_lines: u64,
}

/// Which lines: `GET /v1/lifecycle/journal`. Every filter that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalLines {
    /// Of this mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// From the beginning of this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To the end of this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// After this line, as `next_after` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Lines at most; 100 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// In the order of time.
    pub lines: Vec<JournalLine>,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next_after: Option<String>,
}

/// A line of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// When.
    pub at: String,
    /// The mailbox's number.
    pub id: u64,
    /// Its address.
    pub mailbox: String,
    /// What happened.
    pub step: String,
    /// A version or a day that belongs to it.
    #[serde(default)]
    pub detail: Option<String>,
    /// By whom.
    pub by: String,
    /// Why, as the operator wrote it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A version of the terms of use to add: `POST /v1/terms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTermsOfUse {
    /// Its name: letters, digits and `.-_`.
    pub version: String,
    /// Plain text; an empty line between paragraphs.
    pub text: String,
    /// The first day on which it is asked for; today where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day on which a mailbox goes on without it; `terms.grace` after the first where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_by: Option<String>,
}

/// A version of the terms of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsOfUse {
    /// Its name.
    pub version: String,
    /// The first day on which it is asked for.
    pub from: String,
    /// The last day on which a mailbox goes on without it.
    pub accept_by: String,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// When it was added.
    pub added_at: String,
    /// By whom.
    pub added_by: String,
    /// Its text, where one version is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// All versions: `GET /v1/terms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllTerms {
    /// The newest last.
    pub versions: Vec<TermsOfUse>,
}

/// An acceptance that the administrator notes, on paper say: `POST /v1/mailboxes/{address}/terms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsAcceptance {
    /// Which version: the one that is asked for now.
    pub version: String,
}
