//! Who asked to be told (RFC 3461 §4.1).

use crate::mail::queue::Kind;
use crate::wire::smtp::params::Notify;

use super::{Action, Report, Reported};

/// The recipients that the report's sender wants to hear of; none at all when nobody may be told.
pub(super) fn wanted(report: &Report) -> Vec<&Reported> {
    let envelope = &report.original.envelope;
    // RFC 5321 §4.5.5, RFC 3461 §6.2: a null sender is told nothing, nor is who sent what only machines made.
    if envelope.sender.is_none() || matches!(envelope.kind, Kind::Report | Kind::Absence) {
        return Vec::new();
    }
    report.recipients.iter().filter(|recipient| is_wanted(recipient.params.notify, recipient.action)).collect()
}

/// RFC 3461 §4.1: without NOTIFY failures are told, and delays may be; success only to who asks.
fn is_wanted(notify: Option<Notify>, happened: Action) -> bool {
    match (notify, happened) {
        (None, Action::Failed | Action::Delayed) => true,
        (None, Action::Delivered | Action::Relayed) | (Some(Notify::Never), _) => false,
        (Some(Notify::On { failure, .. }), Action::Failed) => failure,
        (Some(Notify::On { delay, .. }), Action::Delayed) => delay,
        (Some(Notify::On { success, .. }), Action::Delivered | Action::Relayed) => success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_of_notify_and_action_is_decided() {
        use Action::{Delayed, Delivered, Failed, Relayed};
        let on = |success, failure, delay| Some(Notify::On { success, failure, delay });
        let told = |notify| [Failed, Delayed, Delivered, Relayed].map(|action| is_wanted(notify, action));
        for (notify, expected) in [
            (None, [true, true, false, false]),
            (Some(Notify::Never), [false; 4]),
            (on(true, false, false), [false, false, true, true]),
            (on(false, true, false), [true, false, false, false]),
            (on(false, false, true), [false, true, false, false]),
            (on(true, true, false), [true, false, true, true]),
            (on(true, false, true), [false, true, true, true]),
            (on(false, true, true), [true, true, false, false]),
            (on(true, true, true), [true; 4]),
        ] {
            assert_eq!(told(notify), expected, "{notify:?}");
        }
    }
}
