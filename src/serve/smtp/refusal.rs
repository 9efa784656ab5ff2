//! What the doors refuse: the one place where an error of ours becomes an SMTP reply.
//!
//! The detail goes to the log, never to the peer.

use std::borrow::Cow;

use crate::mail::{Admission, DeliverError, MailError};
use crate::mss::decision;
use crate::store::{AccountId, CommitError};
use crate::wire::smtp::reply::{EnhancedCode, Reply};

/// A refusal: by which rule, with which codes and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Refused {
    /// Stable kebab-case name, as those of `mss::decision::Rule` and of the engine.
    pub(in crate::serve) rule: &'static str,
    code: u16,
    enhanced: EnhancedCode,
    reason: Cow<'static, str>,
}

impl Refused {
    pub(in crate::serve) fn new(
        rule: &'static str,
        code: u16,
        enhanced: (u8, u16, u16),
        reason: impl Into<Cow<'static, str>>,
    ) -> Refused {
        let (class, subject, detail) = enhanced;
        Refused { rule, code, enhanced: EnhancedCode::new(class, subject, detail), reason: reason.into() }
    }

    /// The reply that says so, with what the operator can be asked about.
    pub(in crate::serve) fn reply(&self, reference: &str) -> Reply {
        let text = format!("{} [rule {}, ref {reference}]", self.reason, self.rule);
        Reply { code: self.code, enhanced: Some(self.enhanced), lines: vec![text.into()] }
    }

    /// Whether it is trouble of our own that refuses, and no rule.
    pub(in crate::serve) fn is_ours(&self) -> bool {
        matches!(self.rule, "disk-nearly-full" | "store-unavailable" | "busy")
    }

    /// The reply's code.
    pub(in crate::serve) fn code(&self) -> u16 {
        self.code
    }

    /// RFC 5321 §4.1.2 allows it, the trust space does not: an address literal, say.
    pub(in crate::serve) fn bad_sender(problem: &dyn std::fmt::Display) -> Refused {
        Refused::new("bad-sender", 553, (5, 1, 7), format!("Bad sender address: {problem}"))
    }

    pub(in crate::serve) fn bad_recipient(problem: &dyn std::fmt::Display) -> Refused {
        Refused::new("bad-recipient", 553, (5, 1, 3), format!("Bad recipient address: {problem}"))
    }

    /// The engine asks for mail behind TLS only; this is for a mistake in between.
    pub(in crate::serve) fn no_peer() -> Refused {
        Refused::new("no-peer", 530, (5, 7, 0), "No verified certificate on this connection")
    }

    pub(in crate::serve) fn disk_nearly_full() -> Refused {
        Refused::new("disk-nearly-full", 452, (4, 3, 1), "No space for mail at the moment, try again later")
    }

    pub(in crate::serve) fn traces_stuck() -> Refused {
        Refused::new("traces-stuck", 451, (4, 3, 0), "Mail cannot be traced at the moment, try again later")
    }

    pub(in crate::serve) fn store_unavailable() -> Refused {
        Refused::new("store-unavailable", 451, (4, 3, 0), "Mail cannot be kept at the moment, try again later")
    }

    pub(in crate::serve) fn busy() -> Refused {
        Refused::new("busy", 451, (4, 3, 2), "The mailbox is busy, try again")
    }

    pub(in crate::serve) fn too_many_of_peer() -> Refused {
        Refused::new("too-many-of-peer", 421, (4, 7, 0), "Too many connections of your operator, try again later")
    }

    pub(in crate::serve) fn mail_loop() -> Refused {
        Refused::new("mail-loop", 554, (5, 4, 6), "The message has come by too many servers, or here too often")
    }

    /// MSSanté §5: full since less than a day, and since longer.
    pub(in crate::serve) fn over_quota(admission: Admission) -> Refused {
        let text = "The recipient's mailbox is full";
        match admission {
            Admission::Permanent => Refused::new("over-quota", 552, (5, 2, 2), text),
            Admission::Accept | Admission::Temporary => Refused::new("over-quota", 452, (4, 2, 2), text),
        }
    }

    /// Nothing but what may be told is told: the rest is in the log.
    pub(in crate::serve) fn of_mailbox(error: &MailError) -> Refused {
        match error {
            MailError::NoMailbox | MailError::Closed => {
                Refused::new("recipient-gone", 550, (5, 1, 1), "The recipient's mailbox is closed")
            }
            MailError::Suspended => {
                Refused::new("recipient-suspended", 550, (5, 2, 1), "The recipient's mailbox is suspended")
            }
            MailError::OverQuota => Refused::over_quota(Admission::Temporary),
            MailError::Full => Refused::disk_nearly_full(),
            MailError::Busy => Refused::busy(),
            _ => Refused::store_unavailable(),
        }
    }

    /// A decision that refuses; one that does not is a mistake of ours.
    pub(in crate::serve) fn of_decision(decision: &decision::Decision) -> Refused {
        decision.refusal().map_or_else(Refused::store_unavailable, Refused::from)
    }

    /// What kept the sender's own mailbox from having its part; `None`: it was another one's, or none.
    pub(in crate::serve) fn of_sender(error: &DeliverError, sender: AccountId) -> Option<Refused> {
        let refused = |rule, text: &'static str| Some(Refused::new(rule, 550, (5, 7, 1), text));
        match error {
            DeliverError::Mailbox { account, error: MailError::Suspended } if *account == sender => {
                refused("sender-suspended", "the sender's mailbox is suspended")
            }
            DeliverError::Mailbox { account, error: MailError::Closed } if *account == sender => {
                refused("sender-closed", "the sender's mailbox is closed")
            }
            _ => None,
        }
    }

    /// With several recipients none has the message, so what one mailbox cannot take for good must not be the answer for
    /// all: on the next try it is refused at its own `RCPT`.
    pub(in crate::serve) fn of_delivery(error: &DeliverError, recipients: usize) -> Refused {
        match error {
            DeliverError::Mailbox { .. } | DeliverError::Full { .. } if recipients > 1 => {
                Refused::new("recipient-changed", 451, (4, 2, 0), "A recipient's mailbox changed meanwhile, try again")
            }
            DeliverError::Mailbox { error, .. } => Refused::of_mailbox(error),
            DeliverError::Full { admission, .. } => Refused::over_quota(*admission),
            DeliverError::Commit(CommitError::Full) => Refused::disk_nearly_full(),
            DeliverError::Commit(CommitError::Conflict(_)) => Refused::busy(),
            DeliverError::Commit(_) | DeliverError::Queue(_) | DeliverError::NoRecipient => {
                Refused::store_unavailable()
            }
        }
    }
}

impl From<&decision::Refusal> for Refused {
    fn from(refusal: &decision::Refusal) -> Refused {
        let class = if refusal.is_temporary() { 4 } else { 5 };
        let enhanced = EnhancedCode::parse(refusal.enhanced).unwrap_or(EnhancedCode::new(class, 7, 1));
        Refused { rule: refusal.rule.name(), code: refusal.smtp, enhanced, reason: refusal.reason.clone().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_rule_and_reference() {
        let reply = Refused::over_quota(Admission::Permanent).reply("6921b2c0-1f/2");
        let wanted = "552 5.2.2 The recipient's mailbox is full [rule over-quota, ref 6921b2c0-1f/2]";
        assert_eq!(reply.to_string(), wanted);
        assert_eq!(Refused::over_quota(Admission::Temporary).reply("r").to_string()[..9], *"452 4.2.2");
    }

    #[test]
    fn what_one_of_several_mailboxes_cannot_take_is_no_answer_for_all() {
        let account = AccountId(1);
        let full = DeliverError::Full { account, admission: Admission::Permanent };
        assert_eq!(Refused::of_delivery(&full, 1).code(), 552);
        assert_eq!(Refused::of_delivery(&full, 2).code(), 451);
        let closed = DeliverError::Mailbox { account, error: MailError::Closed };
        assert_eq!(Refused::of_delivery(&closed, 1).code(), 550);
        assert_eq!(Refused::of_delivery(&closed, 2).code(), 451);
        assert_eq!(Refused::of_delivery(&DeliverError::Commit(CommitError::Unknown), 1).code(), 451);
    }
}
