//! Traces that name more people than a line of the day files holds: written in parts, counted as one.

use std::collections::HashMap;

use super::action::Part;
use super::{Action, Trace};

/// What tells a trace from all others: an older version gave a moment twice now and then.
pub(super) type Identity = (u64, String, &'static str);

/// Its identity; of a part, that of the whole.
pub(super) fn identity(trace: &Trace) -> Identity {
    (trace.at, trace.reference.clone(), trace.action.name())
}

/// A trace that does not fit, in as many parts as it takes, always the same ones; none where one of them can be made no smaller.
pub(super) fn split(trace: &Trace, fits: &dyn Fn(&Trace) -> bool) -> Option<Vec<Trace>> {
    let mut pieces = Vec::new();
    // No number is longer: what fits with this one fits with its own.
    cut(Trace { part: Some(Part { number: u32::MAX, of: u32::MAX }), ..trace.clone() }, fits, &mut pieces)?;
    let of = u32::try_from(pieces.len()).ok()?;
    let numbered = (1..).zip(pieces).map(|(number, piece)| Trace { part: Some(Part { number, of }), ..piece });
    Some(numbered.collect())
}

fn cut(trace: Trace, fits: &dyn Fn(&Trace) -> bool, pieces: &mut Vec<Trace>) -> Option<()> {
    if fits(&trace) {
        pieces.push(trace);
        return Some(());
    }
    halves(&trace)?.into_iter().try_for_each(|half| cut(half, fits, pieces))
}

/// A trace of many people as two, each of half of them.
fn halves(trace: &Trace) -> Option<[Trace; 2]> {
    let cut = |list: &[String]| {
        let (one, other) = list.split_at(list.len() / 2);
        [one.to_vec(), other.to_vec()]
    };
    let actions = match &trace.action {
        Action::Accepted { sender, queued, delivered } if queued.len() + delivered.len() > 2 => {
            let ([q, queued], [d, delivered], sender) = (cut(queued), cut(delivered), sender.clone());
            [
                Action::Accepted { sender: sender.clone(), queued: q, delivered: d },
                Action::Accepted { sender, queued, delivered },
            ]
        }
        Action::Reported { result, recipients, report } if recipients.len() > 1 => cut(recipients)
            .map(|recipients| Action::Reported { result: result.clone(), recipients, report: report.clone() }),
        Action::ReportLost { result, recipients, reason } if recipients.len() > 1 => cut(recipients)
            .map(|recipients| Action::ReportLost { result: result.clone(), recipients, reason: reason.clone() }),
        _ => return None,
    };
    Some(actions.map(|action| Trace { action, ..trace.clone() }))
}

/// Puts parts together again.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// What has come of each, and how many parts that are.
    begun: HashMap<Identity, (Trace, u32)>,
}

impl Parts {
    /// The trace that is whole with this one; none while parts of it are still to come.
    pub(super) fn take(&mut self, trace: Trace) -> Option<Trace> {
        let Some(part) = trace.part else { return Some(trace) };
        let identity = identity(&trace);
        let (whole, count) = match self.begun.remove(&identity) {
            Some((begun, count)) => (joined(begun, trace), count + 1),
            None => (trace, 1),
        };
        if count == part.of {
            return Some(Trace { part: None, ..whole });
        }
        self.begun.insert(identity, (whole, count));
        None
    }

    /// Those of which parts are missing, as they are.
    pub(super) fn rest(self) -> impl Iterator<Item = Trace> {
        self.begun.into_values().map(|(trace, _)| trace)
    }
}

/// A trace with the people of a further part of it.
fn joined(mut trace: Trace, part: Trace) -> Trace {
    match (&mut trace.action, part.action) {
        (
            Action::Accepted { queued, delivered, .. },
            Action::Accepted { queued: more_queued, delivered: more_delivered, .. },
        ) => {
            queued.extend(more_queued);
            delivered.extend(more_delivered);
        }
        (Action::Reported { recipients, .. }, Action::Reported { recipients: more, .. })
        | (Action::ReportLost { recipients, .. }, Action::ReportLost { recipients: more, .. }) => {
            recipients.extend(more)
        }
        // Nothing else is ever cut.
        _ => {}
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("p{number}@nord.example")).collect()
    }

    fn accepted(queued: usize, delivered: usize) -> Trace {
        let action =
            Action::Accepted { sender: "a@b".into(), queued: people(0..queued), delivered: people(0..delivered) };
        Trace { at: 7, reference: "r".into(), ..Trace::of(action) }
    }

    fn named(trace: &Trace) -> usize {
        match &trace.action {
            Action::Accepted { queued, delivered, .. } => queued.len() + delivered.len(),
            Action::Reported { recipients, .. } => recipients.len(),
            _ => 0,
        }
    }

    #[test]
    fn a_trace_of_many_comes_together_again_from_its_parts() {
        let reported = Action::Reported { result: "failed".into(), recipients: people(0..40), report: "<r@b>".into() };
        for whole in [accepted(100, 0), accepted(1, 90), accepted(33, 34), Trace::of(reported)] {
            let pieces = split(&whole, &|piece| named(piece) <= 9).unwrap();
            assert!(pieces.len() > 3 && pieces.iter().all(|piece| named(piece) <= 9));
            let numbers: Vec<u32> = pieces.iter().map(|piece| piece.part.unwrap().number).collect();
            assert!(numbers.iter().copied().eq(1..=pieces.len() as u32));
            let mut parts = Parts::default();
            let mut other = Parts::default();
            let (last, first) = pieces.split_last().unwrap();
            for piece in first {
                assert_eq!(parts.take(piece.clone()), None);
                assert_eq!(other.take(piece.clone()), None);
            }
            let joined = parts.take(last.clone()).unwrap();
            assert_eq!((named(&joined), joined.part), (named(&whole), None));
            assert_eq!(parts.rest().count(), 0);
            assert_eq!(other.rest().map(|trace| named(&trace)).sum::<usize>(), named(&whole) - named(last));
        }
    }

    #[test]
    fn what_is_whole_stays_so_and_what_cannot_be_made_to_fit_is_none() {
        let whole = accepted(3, 3);
        assert_eq!(Parts::default().take(whole.clone()), Some(whole.clone()));
        assert_eq!(split(&whole, &|_| false), None);
        assert_eq!(split(&Trace::of(Action::LoggedIn), &|_| false), None);
    }
}
