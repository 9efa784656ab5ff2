//! Whose messages have left: noted when they leave, looked at when a report about one comes in.

use std::ops::Bound;

use crate::mail::{MailError, MailRoom, now};
use crate::mss::Address;
use crate::store::{Batch, MailboxKey, SentMark, SentMarkKey, Versioned};

/// Marks looked at in one step of a sweep.
const PAGE: usize = 1_000;

/// Adds to the batch of a message that leaves by a door of ours whose it is. The first stays: whoever sends another under its
/// Message-ID has read it there. Without a sender (RFC 5321 §4.5.5) it is nobody's, and stays so.
pub fn mark(room: &MailRoom, message_id: &str, sender: Option<&Address>, batch: &mut Batch) {
    mark_at(room, message_id, sender, now(), batch);
}

pub(super) fn mark_at(room: &MailRoom, message_id: &str, sender: Option<&Address>, at: i64, batch: &mut Batch) {
    let key = key_of(room.transit(), message_id);
    match room.store().get::<SentMark>(&key) {
        Ok(None) => {
            let mark = SentMark { sender: digest_of(room.transit(), sender), at, reports: 0 };
            batch.put(&key, &mark);
        }
        Ok(Some(_)) => {}
        // The message goes all the same; reports about it stay where they were sent to.
        Err(error) => tracing::error!(%error, "it cannot be noted whose a message is"),
    }
}

/// The mark of a message that one of `mailboxes` sent first.
pub(super) fn of_sender(
    room: &MailRoom,
    message_id: &str,
    mailboxes: &[&Address],
) -> Result<Option<(SentMarkKey, Versioned<SentMark>)>, MailError> {
    let key = key_of(room.transit(), message_id);
    let Some(mark) = room.store().get::<SentMark>(&key)? else { return Ok(None) };
    let is_theirs = mailboxes.iter().any(|own| digest_of(room.transit(), Some(own)) == mark.sender);
    Ok(is_theirs.then_some((key, mark)))
}

/// Takes away marks from before `before` (Unix seconds); says how many. Reads every mark, in pages, off the async threads, so
/// that it can run beside the mail.
///
/// # Errors
/// What the store says; what was taken away until then stays away.
pub async fn sweep(room: &MailRoom, before: i64) -> Result<u64, MailError> {
    let mut after = Bound::Unbounded;
    let mut swept = 0;
    loop {
        let (store, range) = (room.store().clone(), (after, Bound::Unbounded));
        let rows = tokio::task::spawn_blocking(move || store.scan::<SentMark>(range, PAGE));
        let rows = rows.await.map_err(|_| MailError::Unknown)??;
        let Some((last, _)) = rows.last() else { return Ok(swept) };
        after = Bound::Excluded(*last);
        let mut batch = Batch::new();
        for (key, _) in rows.iter().filter(|(_, mark)| mark.at < before) {
            batch.delete::<SentMark>(key);
            swept += 1;
        }
        if !batch.is_empty() {
            room.store().commit(batch).await?;
        }
    }
}

fn key_of(transit: &MailboxKey, message_id: &str) -> SentMarkKey {
    SentMarkKey(transit.digest("sent mark", message_id))
}

/// Nobody's is a digest as well, which no address has.
fn digest_of(transit: &MailboxKey, sender: Option<&Address>) -> u128 {
    transit.digest("sent by", &sender.map(Address::key).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailLimits;
    use crate::store::{MasterKey, Store};

    #[tokio::test]
    async fn a_sweep_takes_old_marks_and_leaves_young_ones() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let mut batch = Batch::new();
        (0..2_500).for_each(|at| mark_at(&room, &format!("<{at}@b>"), None, at, &mut batch));
        room.store().commit(batch).await.unwrap();
        assert_eq!(sweep(&room, 1_700).await.unwrap(), 1_700);
        let left = room.store().scan::<SentMark>(.., usize::MAX).unwrap();
        assert_eq!(left.len(), 800);
        assert!(left.iter().all(|(_, mark)| mark.at >= 1_700));
        assert_eq!(sweep(&room, 1_700).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nothing_of_a_mark_tells_the_message_or_its_sender() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let anne = Address::parse("anne.roux@aura.example").unwrap();
        let other = MailboxKey::generate();
        assert_ne!(key_of(room.transit(), "<a@b>"), key_of(&other, "<a@b>"), "only who has the key finds it");
        assert_ne!(digest_of(room.transit(), Some(&anne)), digest_of(&other, Some(&anne)));
        assert_ne!(digest_of(room.transit(), Some(&anne)), digest_of(room.transit(), None));
    }
}
