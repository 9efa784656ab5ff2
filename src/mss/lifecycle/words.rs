//! What is said of a change of a life: lines of the journal, and what the holder has to know. Read off the difference of two
//! lives, so that no way of changing one leaves them out.

use jiff::civil::Date;

use super::{Life, Standing};

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened, in kebab-case.
    pub step: &'static str,
    /// The version or the day that belongs to it.
    pub detail: Option<String>,
}

/// The lines of the journal that lead from one life to another; `before` is none at a creation.
pub fn lines(before: Option<&Life>, after: &Life) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |step, detail: Option<String>| lines.push(Line { step, detail });
    let Some(before) = before else {
        add(if after.standing == Standing::Requested { "requested" } else { "opened" }, None);
        return lines;
    };
    let (own, was) = (&after.terms, &before.terms);
    if own.accepted != was.accepted && own.accepted.is_some() {
        add("terms-accepted", own.accepted.clone());
    }
    if let Some(told) = own.told.as_ref().filter(|told| was.told.as_ref() != Some(told)) {
        add("terms-told", Some(told.version.clone()));
    }
    match (before.standing, after.standing) {
        (before, after) if before == after => {}
        (_, Standing::Forgotten) => add("forgotten", None),
        (_, Standing::Closed(_)) => add("closed", None),
        (_, Standing::Suspended) => add("suspended", None),
        (_, Standing::OwesTerms) => add("suspended-for-terms", None),
        (Standing::Requested, Standing::Open) => add("opened", None),
        (_, Standing::Open) => add("reopened", None),
        (_, Standing::Requested) => add("requested", None),
    }
    match (before.closing, after.closing) {
        (None, Some(closing)) => add("closing-announced", Some(closing.on.to_string())),
        (Some(was), Some(closing)) if was.reminded != closing.reminded => {
            add("closing-reminded", Some(closing.on.to_string()));
        }
        (Some(_), None) if !matches!(after.standing, Standing::Closed(_)) => add("closing-called-off", None),
        _ => {}
    }
    lines
}

/// Something that a holder is told of their mailbox's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There are terms to accept.
    Terms {
        /// Which.
        version: String,
    },
    /// The mailbox will be closed.
    ClosingAnnounced {
        /// Not before this day.
        on: Date,
    },
    /// It will be closed very soon.
    ClosingReminded {
        /// On this day.
        on: Date,
    },
    /// It is closed.
    Closed,
}

/// What the holder is told when one life becomes another.
pub fn told(before: Option<&Life>, after: &Life) -> Vec<Told> {
    let lines = lines(before, after).into_iter();
    lines
        .filter_map(|line| match (line.step, line.detail, after.closing) {
            ("terms-told", Some(version), _) => Some(Told::Terms { version }),
            ("closing-announced", _, Some(closing)) => Some(Told::ClosingAnnounced { on: closing.on }),
            ("closing-reminded", _, Some(closing)) => Some(Told::ClosingReminded { on: closing.on }),
            ("closed", ..) => Some(Told::Closed),
            _ => None,
        })
        .collect()
}
