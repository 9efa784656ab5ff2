//! Which messages a command means.

use std::ops::RangeInclusive;

use super::reply::{Reply, Stop};
use super::session::Session;
use crate::mail::{Entry, Selected};
use crate::wire::imap::command::Numbers;
use crate::wire::imap::sequence::SequenceSet;

/// Message numbers as rising ranges, all of them in the folder.
pub(super) type Targets = Vec<RangeInclusive<u32>>;

impl Session {
    /// The messages of a set. UIDs that are not there are passed over (RFC 3501 §6.4.8); message numbers that are not
    /// there make the command a BAD one.
    pub(super) fn targets(&mut self, numbers: Numbers, set: &SequenceSet) -> Result<Targets, Stop> {
        let selected = self.selected()?;
        match numbers {
            Numbers::Sequence if selected.exists() == 0 && set.names_last() => Ok(Vec::new()),
            Numbers::Sequence if set.greatest() > selected.exists() => Err(Reply::bad("No such message number").into()),
            Numbers::Sequence => Ok(set.ranges(selected.exists())),
            Numbers::Uid => Ok(of_uids(selected, set)),
        }
    }

    /// The entries of these messages, in order.
    pub(super) fn entries<'a>(&'a self, targets: &'a Targets) -> impl Iterator<Item = (u32, Entry)> + 'a {
        let selected = self.selected.as_ref();
        targets.iter().cloned().flatten().filter_map(move |seq| Some((seq, *selected?.entry(seq)?)))
    }
}

/// The messages whose UIDs are in a set.
pub(super) fn of_uids(selected: &Selected, set: &SequenceSet) -> Targets {
    let exists = selected.exists();
    let last = selected.entry(exists).map_or(0, |entry| entry.uid);
    let ranges = set.ranges(last);
    let within = ranges.into_iter().filter_map(|uids| {
        let first = selected.first_seq_from(*uids.start());
        let end = match uids.end().checked_add(1) {
            Some(after) => selected.first_seq_from(after),
            None => exists + 1,
        };
        (first < end).then(|| first..=end - 1)
    });
    within.collect()
}
