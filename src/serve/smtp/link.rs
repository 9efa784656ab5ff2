//! A connection of SMTP as logs and counters know it, and what both doors look up.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Refused, now};
use crate::accounts::{Account, AccountError};
use crate::mail::{Admission, DeliverError, MailError};
use crate::mss::Address;
use crate::mss::decision::Decision;
use crate::mss::exchange::Party;
use crate::serve::{ConnectionId, Shared};
use crate::store::AccountId;
use crate::telemetry::RuleLabel;
use crate::wire::smtp::path::ForwardPath;
use crate::wire::smtp::receiver::{Answer, Refusal};
use crate::wire::smtp::reply::Reply;

/// One connection.
pub(in crate::serve) struct Link {
    /// What all doors share.
    pub(in crate::serve) shared: Arc<Shared>,
    /// Its name.
    pub(in crate::serve) id: ConnectionId,
    /// Where it comes from.
    pub(in crate::serve) address: IpAddr,
    /// Which door it came to, as traces name it.
    pub(in crate::serve) door: &'static str,
}

/// Answering.
impl Link {
    /// Counts and logs a refusal of the door's; the reply.
    pub(in crate::serve) fn refuse(&self, refused: &Refused, reference: &str) -> Reply {
        self.count(refused.rule);
        let reply = refused.reply(reference);
        tracing::info!(event = "refused", rule = refused.rule, code = refused.code(), reference);
        reply
    }

    /// The answer to a question of the engine's.
    pub(in crate::serve) fn answer(&self, decided: Result<(), Refused>, reference: &str) -> Answer {
        match decided {
            Ok(()) => Answer::Accept,
            Err(refused) => Answer::Reply(self.refuse(&refused, reference)),
        }
    }

    /// The answer to a whole message: a yes that its door made from the commit, or a no.
    pub(in crate::serve) fn answer_to_message(&self, came: Result<Reply, Refused>, reference: &str) -> Answer {
        Answer::Reply(came.unwrap_or_else(|refused| {
            tracing::info!(event = "tx-abort", reference, why = refused.rule);
            self.refuse(&refused, reference)
        }))
    }

    /// Counts and logs a refusal of the engine's.
    pub(in crate::serve) fn note(&self, refusal: &Refusal) {
        self.count(refusal.rule);
        let reference = self.id.to_string();
        tracing::info!(event = "refused", rule = refusal.rule, code = refusal.reply.code, reference);
    }

    fn count(&self, rule: &'static str) {
        self.shared.metrics.smtp_refusals.get_or_create(&RuleLabel { rule }).inc();
    }

    /// Unix seconds.
    pub(in crate::serve) fn now(&self) -> i64 {
        now()
    }
}

/// Looking up.
impl Link {
    /// RFC 3463 X.3.1, early: before anything of the message has come.
    pub(in crate::serve) fn room_on_disk(&self) -> Result<(), Refused> {
        // Nothing happens untraced (MSSanté §11).
        if self.shared.mail.traces().is_stuck() {
            return Err(Refused::traces_stuck());
        }
        let least = self.shared.config.load().store.min_free;
        match self.shared.store.free_space() {
            Ok(free) if free >= least => Ok(()),
            Ok(free) => {
                tracing::warn!(free, least, "the store's disk is nearly full: mail is put off");
                Err(Refused::disk_nearly_full())
            }
            Err(error) => {
                tracing::error!(%error, "free space of the store's disk is not known");
                Err(Refused::store_unavailable())
            }
        }
    }

    /// The address that a forward path names. RFC 5321 §4.1.1.3: `<postmaster>` is the postmaster of this server.
    pub(in crate::serve) fn named(&self, path: &ForwardPath) -> Result<Address, Refused> {
        match path {
            ForwardPath::Mailbox(mailbox) => {
                Address::parse(&mailbox.to_string()).map_err(|e| Refused::bad_recipient(&e))
            }
            ForwardPath::Postmaster => {
                self.postmaster().ok_or_else(|| Refused::bad_recipient(&"no postmaster is configured"))
            }
        }
    }

    fn postmaster(&self) -> Option<Address> {
        Address::parse(&self.shared.config.load().smtp.postmaster).ok()
    }

    /// The mailbox of an address. RFC 5321 §4.5.1: `postmaster` of an own domain without such a mailbox is the one that
    /// `smtp.postmaster` names.
    pub(in crate::serve) fn recipient(&self, address: &Address) -> Result<Option<Account>, Refused> {
        if let Some(account) = self.account(address)? {
            return Ok(Some(account));
        }
        let is_postmaster = address.local().eq_ignore_ascii_case("postmaster") && self.is_own(address)?;
        match self.postmaster().filter(|_| is_postmaster) {
            Some(postmaster) => self.account(&postmaster),
            None => Ok(None),
        }
    }

    /// The mailbox that has exactly this address.
    pub(in crate::serve) fn account(&self, address: &Address) -> Result<Option<Account>, Refused> {
        self.shared.registry.by_address(address).map_err(|error| account_failed(&error))
    }

    fn is_own(&self, address: &Address) -> Result<bool, Refused> {
        self.shared.registry.is_own(address.domain()).map_err(|error| account_failed(&error))
    }

    /// An address as the exchange rules see it.
    pub(in crate::serve) fn party(&self, address: &Address) -> Result<Party, Refused> {
        if !self.is_own(address)? {
            return Ok(Party::Other { address: address.clone() });
        }
        Ok(match self.account(address)? {
            Some(account) => Party::Own(account.as_own()),
            None => Party::Unknown { address: address.clone() },
        })
    }

    /// Whether a mailbox has room for a message of this size.
    pub(in crate::serve) async fn room_in(&self, account: AccountId, size: u64) -> Result<(), Refused> {
        match self.shared.mail.admit(account, size).await {
            Ok(Admission::Accept) => Ok(()),
            Ok(full) => Err(Refused::over_quota(full)),
            Err(error) => Err(self.mailbox_failed(&error)),
        }
    }

    /// What became of a piece of the message that comes in; `None`: nothing takes it.
    pub(in crate::serve) fn kept(&self, written: Option<Result<(), MailError>>) -> Result<(), Refused> {
        written.ok_or_else(Refused::store_unavailable)?.map_err(|error| self.mailbox_failed(&error))
    }

    /// What a mailbox or the store did not do, in the peer's words; the detail goes to the log.
    pub(in crate::serve) fn mailbox_failed(&self, error: &MailError) -> Refused {
        let refused = Refused::of_mailbox(error);
        if refused.code() < 500 {
            tracing::error!(%error, "a mailbox or the store does not take mail");
        }
        refused
    }
}

/// The rule that lets pass, or the refusal.
pub(in crate::serve) fn accepted(decision: &Decision) -> Result<&'static str, Refused> {
    match decision.refusal() {
        None => Ok(decision.rule().name()),
        Some(refusal) => Err(refusal.into()),
    }
}

/// What kept a message for the `addressed` own mailboxes, and for `recipients` in all, from being taken.
pub(in crate::serve) fn delivery_failed(error: &DeliverError, addressed: &[AccountId], recipients: usize) -> Refused {
    if matches!(error, DeliverError::Commit(_) | DeliverError::Queue(_)) {
        tracing::error!(%error, "a delivery was not committed");
    }
    // By a forward: the author wrote to somebody else, who has not changed.
    let is_elsewhere = error.account().is_some_and(|account| !addressed.contains(&account));
    Refused::of_delivery(error, if is_elsewhere { recipients.max(2) } else { recipients })
}

fn account_failed(error: &AccountError) -> Refused {
    tracing::error!(%error, "an account cannot be read");
    Refused::store_unavailable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_mailbox_at_a_forwards_end_is_no_lasting_answer_about_the_one_that_was_addressed() {
        let suspended = |account| DeliverError::Mailbox { account, error: MailError::Suspended };
        let (zoe, anne) = (AccountId(1), AccountId(2));
        assert_eq!(delivery_failed(&suspended(zoe), &[zoe], 1).code(), 550);
        assert_eq!(delivery_failed(&suspended(anne), &[zoe], 1).code(), 451);
    }
}
