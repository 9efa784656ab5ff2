//! Writing events down, reading them again, and taking old ones away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::mail::{MailError, MailRoom};
use crate::store::{Batch, MailboxKey, Store, TrailEvent, TrailKey};

use super::{Event, digest_of};

/// Most events of one trail that are read: far above what a message with a thousand recipients leaves.
pub(super) const MOST_EVENTS: usize = 20_000;

/// Events looked at in one step of a sweep.
const PAGE: usize = 1_000;

/// Adds an event of now to a batch.
pub(crate) fn note(transit: &MailboxKey, event: &Event, batch: &mut Batch) {
    let key = TrailKey { message: digest_of(&event.message_id), at: moment() };
    match serde_json::to_vec(event) {
        Ok(plain) => {
            let sealed = transit.seal_bytes(&place(&key), &plain);
            batch.put(&key, &TrailEvent { sealed });
        }
        // Texts, numbers and lists of them always have a JSON form.
        Err(error) => tracing::error!(%error, "an event of the trail cannot be written down"),
    }
}

/// All that is known of a message, in its order, with Unix microseconds. Angle brackets around the Message-ID may be left
/// out. An event that does not open is left out, and logged: it costs itself, not the trail.
///
/// # Errors
/// What the store says.
pub fn follow(room: &MailRoom, message_id: &str) -> Result<Vec<(i64, Event)>, MailError> {
    events(room.store(), room.transit(), &bracketed(message_id), MOST_EVENTS)
}

/// The first `most` events of a trail.
pub(super) fn events(
    store: &Store,
    transit: &MailboxKey,
    message_id: &str,
    most: usize,
) -> Result<Vec<(i64, Event)>, MailError> {
    let rows = store.scan::<TrailEvent>(TrailKey::of(digest_of(message_id)), most)?;
    let opened = rows.into_iter().filter_map(|(key, record)| {
        let event = open(transit, &key, &record.sealed)?;
        // Two Message-IDs may share a digest.
        (event.message_id == message_id).then(|| (i64::try_from(key.at).unwrap_or(i64::MAX), event))
    });
    Ok(opened.collect())
}

/// Takes away events from before `before` (Unix seconds); says how many. Reads every event, in pages, off the async
/// threads, so that it can run beside the mail.
///
/// # Errors
/// What the store says; what was taken away until then stays away.
pub async fn sweep(room: &MailRoom, before: i64) -> Result<u64, MailError> {
    let before = u64::try_from(before).unwrap_or_default().saturating_mul(1_000_000);
    let mut from = TrailKey { message: 0, at: 0 };
    let mut swept = 0;
    loop {
        let store = room.store().clone();
        let rows = tokio::task::spawn_blocking(move || store.scan::<TrailEvent>(from.., PAGE));
        let rows = rows.await.map_err(|_| MailError::Unknown)??;
        let last = rows.last().map(|(key, _)| *key).filter(|_| rows.len() == PAGE);
        let mut batch = Batch::new();
        for (key, _) in rows.iter().filter(|(key, _)| key.at < before) {
            batch.delete::<TrailEvent>(key);
            swept += 1;
        }
        if !batch.is_empty() {
            room.store().commit(batch).await?;
        }
        match last.and_then(next) {
            Some(key) => from = key,
            None => return Ok(swept),
        }
    }
}

/// The key that follows; none after the last of all.
fn next(key: TrailKey) -> Option<TrailKey> {
    match key.at.checked_add(1) {
        Some(at) => Some(TrailKey { at, ..key }),
        None => key.message.checked_add(1).map(|message| TrailKey { message, at: 0 }),
    }
}

/// A Message-ID as the trail knows it: with its angle brackets, without white space or comments around them.
pub fn bracketed(message_id: &str) -> String {
    let inner = message_id.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner);
    format!("<{}>", inner.unwrap_or(message_id).trim())
}

fn open(transit: &MailboxKey, key: &TrailKey, sealed: &[u8]) -> Option<Event> {
    let opened = transit.open_bytes(&place(key), sealed).ok();
    let event = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
    if event.is_none() {
        tracing::error!(at = key.at, "an event of the trail cannot be read");
    }
    event
}

/// What a sealed event belongs to: the record's kind and its key.
fn place(key: &TrailKey) -> [u8; 21] {
    let mut place = *b"trail\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    place[5..13].copy_from_slice(&key.message.to_be_bytes());
    place[13..].copy_from_slice(&key.at.to_be_bytes());
    place
}

/// Unix microseconds, each given once and rising: the order of events is the order of the calls.
fn moment() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let later = |last: u64| now.max(last.saturating_add(1));
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last))).map_or(now, later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailLimits;
    use crate::mail::trail::Happening;
    use crate::store::{MasterKey, Store};

    fn room() -> MailRoom {
        MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap()
    }

    fn handled(message_id: &str, action: &str) -> Event {
        let what = Happening::Handled { action: action.into() };
        Event { message_id: message_id.into(), reference: "r".into(), what }
    }

    async fn write(room: &MailRoom, events: &[Event]) {
        let mut batch = Batch::new();
        events.iter().for_each(|event| note(room.transit(), event, &mut batch));
        room.store().commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn a_trail_is_read_in_the_order_it_was_written() {
        let room = room();
        let written: Vec<_> = (0..500).map(|number| handled("<a@b>", &number.to_string())).collect();
        write(&room, &written).await;
        write(&room, &[handled("<other@b>", "other")]).await;
        for message_id in ["<a@b>", "a@b", "  <a@b>\r\n"] {
            let read = follow(&room, message_id).unwrap();
            assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0), "times rise");
            assert_eq!(read.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), written);
        }
        assert!(follow(&room, "<unknown@b>").unwrap().is_empty());
    }

    #[tokio::test]
    async fn two_messages_whose_digests_are_one_do_not_see_each_other() {
        let room = room();
        let foreign = handled("<foreign@b>", "hidden");
        let key = TrailKey { message: digest_of("<a@b>"), at: 7 };
        let sealed = room.transit().seal_bytes(&place(&key), &serde_json::to_vec(&foreign).unwrap());
        let mut batch = Batch::new();
        batch.put(&key, &TrailEvent { sealed });
        room.store().commit(batch).await.unwrap();
        write(&room, &[handled("<a@b>", "held")]).await;
        assert_eq!(follow(&room, "<a@b>").unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_event_that_was_moved_to_another_message_does_not_open() {
        let room = room();
        write(&room, &[handled("<a@b>", "held")]).await;
        let (key, record) = room.store().scan::<TrailEvent>(.., 1).unwrap().pop().unwrap();
        assert!(open(room.transit(), &key, &record.sealed).is_some());
        assert!(open(room.transit(), &TrailKey { at: key.at + 1, ..key }, &record.sealed).is_none());
        assert!(open(room.transit(), &TrailKey { message: key.message ^ 1, ..key }, &record.sealed).is_none());
        assert!(!record.sealed.windows(4).any(|bytes| bytes == b"held"), "nothing of it lies open");
    }

    #[tokio::test]
    async fn a_sweep_takes_old_events_and_leaves_young_ones() {
        let room = room();
        let mut batch = Batch::new();
        for at in 0..2_500_u64 {
            let key = TrailKey { message: at % 7, at: at * 1_000_000 };
            batch.put(&key, &TrailEvent { sealed: vec![0] });
        }
        room.store().commit(batch).await.unwrap();
        assert_eq!(sweep(&room, 1_700).await.unwrap(), 1_700);
        let left = room.store().scan::<TrailEvent>(.., usize::MAX).unwrap();
        assert_eq!(left.len(), 800);
        assert!(left.iter().all(|(key, _)| key.at >= 1_700_000_000));
        assert_eq!(sweep(&room, 1_700).await.unwrap(), 0);
    }
}
