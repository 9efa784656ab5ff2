//! What a mailbox and a citizen have said to each other so far (MSSanté §8): whether the citizen may answer.
//!
//! A record a pair, found by a digest of the citizen's address under the mailbox's own key: the address is a national
//! health identity, and the store shall not tell who has written to whom.

use crate::mss::{Address, CitizenRules, Conversation};
use crate::store::{self, AccountId, Batch, CorrespondentKey};

use super::{MailError, MailRoom, Mailbox};

/// How a mailbox and a citizen stand.
///
/// # Errors
/// As [`MailRoom::open_any`], or what the store says.
pub fn state(room: &MailRoom, account: AccountId, citizen: &Address) -> Result<Conversation, MailError> {
    let key = key_of(&*room.open_any(account)?, citizen);
    let record = room.store().get::<store::Conversation>(&key)?;
    Ok(match record.map(|record| record.record) {
        None => Conversation::NotStarted,
        Some(store::Conversation { closed_at: None, .. }) => Conversation::Open,
        Some(_) => Conversation::Closed,
    })
}

/// Writes down that a mailbox writes to these recipients: those who are citizens may answer from the commit of `batch` on,
/// or no more if this is its last word (`is_last`, [`crate::mss::citizens::closes_conversation`]). Of two messages of a
/// mailbox at the same moment the one that is committed later counts.
///
/// # Errors
/// As [`MailRoom::open`], or what the store says.
pub fn note(
    room: &MailRoom,
    rules: &CitizenRules,
    account: AccountId,
    recipients: &[Address],
    is_last: bool,
    now: i64,
    batch: &mut Batch,
) -> Result<(), MailError> {
    let mut citizens = recipients.iter().filter(|address| rules.is_citizen(address)).peekable();
    if citizens.peek().is_none() {
        return Ok(());
    }
    let mailbox = room.open(account)?;
    for citizen in citizens {
        let key = key_of(&mailbox, citizen);
        let started_at = room.store().get::<store::Conversation>(&key)?.map_or(now, |record| record.started_at);
        batch.put(&key, &store::Conversation { started_at, written_at: now, closed_at: is_last.then_some(now) });
    }
    Ok(())
}

fn key_of(mailbox: &Mailbox, citizen: &Address) -> CorrespondentKey {
    CorrespondentKey { account: mailbox.account(), digest: mailbox.key().digest("citizen", &citizen.key()) }
}
