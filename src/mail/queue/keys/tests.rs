//! The queue's keys over days.

use super::super::sealed;
use super::super::tests::outbound;
use super::super::{OnlyCopies, Selection};
use super::*;
use crate::mail::{MailLimits, MailRoom};
use crate::store::{AccountId, Batch, QueueId, QueueRecipient};

const DAY: i64 = 86_400;

fn room() -> MailRoom {
    MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap()
}

async fn enqueue(room: &MailRoom) {
    let message = room.receive().finish().await.unwrap();
    room.queue().enqueue(outbound(), message).await.unwrap();
}

/// The moments of the keys that are there.
fn moments(room: &MailRoom) -> Vec<u64> {
    let owners = room.store().keys().owners().into_iter();
    let moments: Vec<_> = owners
        .filter_map(|owner| match owner {
            KeyOwner::Transit(moment) => Some(moment),
            KeyOwner::Mailbox(_) => None,
        })
        .collect();
    assert!(room.queue().inner.keys.living().keys().eq(&moments), "in memory as in the ring");
    moments
}

fn only_message(room: &MailRoom) -> (QueueId, QueueMessage) {
    let (id, message) = room.store().scan::<QueueMessage>(.., 2).unwrap().pop().unwrap();
    (id, message.record)
}

/// Whether the one message in the queue opens, with its recipients.
fn opens(room: &MailRoom) -> bool {
    let page = room.queue().list(&Selection::default(), None, 9).unwrap();
    let [listed] = page.messages.as_slice() else { return false };
    let (_, message) = only_message(room);
    listed.consignments[0].recipients.len() == 1 && room.queue().body_key(&message).is_ok()
}

#[tokio::test]
async fn a_key_turns_each_day_and_goes_when_the_last_message_that_needs_it_has_gone() {
    let room = room();
    let start = now();
    enqueue(&room).await;
    let [first] = moments(&room)[..] else { panic!("one key is made at the start") };
    assert_eq!(only_message(&room).1.transit_key, first);
    room.queue().see_to_keys(start + DAY - 60).await.unwrap();
    assert_eq!(moments(&room), [first], "not before its day is over");
    room.queue().see_to_keys(start + DAY + 1).await.unwrap();
    let second = (start + DAY + 1) as u64;
    assert_eq!(moments(&room), [first, second]);
    assert!(opens(&room), "it was sealed under the key of the day before");
    room.queue().see_to_keys(start + DAY + 2 + REST).await.unwrap();
    room.queue().see_to_keys(start + 3 * DAY).await.unwrap();
    let third = (start + 3 * DAY) as u64;
    assert_eq!(moments(&room), [first, second, third], "the next one is too young");
    room.queue().see_to_keys(start + 3 * DAY + REST).await.unwrap();
    assert_eq!(moments(&room), [first, third], "the second one sealed nothing");
    assert!(opens(&room), "the message waits, and its key with it");
    room.queue().cancel(Selection::default(), OnlyCopies::Destroy).await.unwrap();
    room.queue().see_to_keys(start + 3 * DAY + REST + 1).await.unwrap();
    assert_eq!(moments(&room), [third]);
}

#[tokio::test]
async fn a_key_that_somebody_may_be_sealing_with_stays_however_long_that_takes() {
    let room = room();
    let start = now();
    let message = room.receive().finish().await.unwrap();
    room.queue().reserve().await.unwrap();
    let mut batch = Batch::new();
    let enqueued = room.queue().stage(outbound(), &message.body, &mut batch).unwrap();
    let before = moments(&room);
    room.queue().see_to_keys(start + DAY + 1).await.unwrap();
    room.queue().see_to_keys(start + 2 * DAY).await.unwrap();
    assert!(moments(&room).starts_with(&before), "no record names it yet, and one is on its way");
    batch.adopt(message.body, 1);
    room.store().commit(batch).await.unwrap();
    enqueued.announce();
    room.queue().see_to_keys(start + 3 * DAY).await.unwrap();
    assert!(moments(&room).starts_with(&before) && opens(&room));
}

#[tokio::test]
async fn a_key_turns_early_where_a_mailbox_was_closed() {
    let room = room();
    let start = now();
    let before = moments(&room);
    room.queue().turn_key_soon();
    room.queue().see_to_keys(start + 60).await.unwrap();
    assert_eq!(moments(&room), [before[0], (start + 60) as u64]);
    room.queue().see_to_keys(start + 120).await.unwrap();
    assert_eq!(moments(&room).len(), 2, "once");
    let has_work = |wall: i64| room.queue().inner.keys.has_work(room.queue().inner.keys.at(wall));
    assert!(!has_work(start + 58 + REST));
    assert!(has_work(start + 60 + REST), "it is looked at again as soon as the old one may go");
    room.queue().see_to_keys(start + 60 + REST).await.unwrap();
    assert_eq!(moments(&room), [(start + 60) as u64]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_no_moment_twice() {
    let room = room();
    let [first] = moments(&room)[..] else { panic!("one key") };
    for _ in 0..3 {
        room.queue().inner.keys.make(Moment { wall: 5, running: 0 }).unwrap();
    }
    assert_eq!(moments(&room), [first, first + 1, first + 2, first + 3]);
}

#[tokio::test]
async fn after_a_clock_that_was_ahead_keys_turn_and_go_as_they_should() {
    const YEARS: i64 = 3_650 * DAY;
    let room = room();
    let (start, keys) = (now(), &room.queue().inner.keys);
    keys.see_to(Moment { wall: start + YEARS, running: 60 }).unwrap();
    let [_, ahead] = moments(&room)[..] else { panic!("by that clock its day was over") };
    assert!(is_ahead(ahead, start));
    // The clock is put right.
    keys.see_to(Moment { wall: start + 120, running: 120 }).unwrap();
    assert_eq!(moments(&room).len(), 2);
    assert!(!keys.has_work(Moment { wall: start, running: 59 + REST }));
    assert!(keys.has_work(Moment { wall: start, running: 60 + REST }));
    keys.see_to(Moment { wall: start + 60 + REST, running: 60 + REST }).unwrap();
    assert_eq!(moments(&room), [ahead], "the first one has gone");
    keys.see_to(Moment { wall: start + 59 + DAY, running: 59 + DAY }).unwrap();
    assert_eq!(moments(&room), [ahead]);
    keys.see_to(Moment { wall: start + 60 + DAY, running: 60 + DAY }).unwrap();
    assert_eq!(moments(&room), [ahead, ahead + 1], "a day is a day");
    keys.see_to(Moment { wall: start + 60 + DAY + REST, running: 60 + DAY + REST }).unwrap();
    assert_eq!(moments(&room), [ahead + 1]);
    // A restart has no other measure of its age than that clock's.
    let again = TransitKeys::open(room.store(), &keys.master, &keys.first, DAY).unwrap();
    again.see_to(again.at(start + 60)).unwrap();
    assert_eq!(again.living().keys().copied().collect::<Vec<_>>(), [ahead + 1, ahead + 2]);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_takes_no_key_before_its_rest() {
    let room = room();
    let (start, keys) = (now(), &room.queue().inner.keys);
    keys.turn_soon();
    keys.see_to(Moment { wall: start + 60, running: 60 }).unwrap();
    let both = moments(&room);
    assert_eq!(both.len(), 2);
    keys.see_to(Moment { wall: start + 60 + REST, running: 61 }).unwrap();
    assert_eq!(moments(&room), both);
}

#[tokio::test]
async fn a_key_turns_after_a_start_where_a_mailbox_was_closed_before_the_stop() {
    let room = room();
    let (start, keys) = (now(), &room.queue().inner.keys);
    let again = || TransitKeys::open(room.store(), &keys.master, &keys.first, DAY).unwrap();
    let close = |number: u64, at: i64| {
        let mut batch = Batch::new();
        let closed = Account { state: AccountState::Closed, state_changed_at: at, ..Account::default() };
        batch.put(&AccountId(number), &closed);
        room.store().commit_blocking(batch).unwrap();
    };
    close(1, start - 60);
    assert!(!again().turn_soon.load(Ordering::SeqCst), "long before");
    close(2, start + 5);
    let again = again();
    again.see_to(again.at(start + 60)).unwrap();
    assert_eq!(again.living().len(), 2);
}

#[tokio::test]
async fn what_an_older_version_queued_opens_with_the_first_key() {
    let room = room();
    enqueue(&room).await;
    let (id, newer) = only_message(&room);
    let (at, row) = room.store().scan::<QueueRecipient>(.., 2).unwrap().pop().unwrap();
    let key = room.queue().inner.keys.newest();
    let envelope = sealed::open_envelope(&key, id, &newer.sealed).unwrap();
    let recipient = sealed::open_recipient(&key, at, &row.sealed).unwrap();
    let body_key = room.queue().body_key(&newer).unwrap();
    let older = QueueMessage {
        transit_key: FIRST,
        sealed_body_key: room.transit().seal_body_key(newer.body, &body_key),
        sealed: sealed::seal_envelope(room.transit(), id, &envelope),
        ..newer
    };
    let mut batch = Batch::new();
    batch.put(&id, &older).put(&at, &QueueRecipient { sealed: sealed::seal_recipient(room.transit(), at, &recipient) });
    room.store().commit(batch).await.unwrap();
    drop(key);
    assert!(opens(&room));
    for day in 1..4 {
        room.queue().see_to_keys(now() + day * DAY).await.unwrap();
    }
    assert!(opens(&room), "the first key stays");
}

#[tokio::test]
async fn a_message_whose_key_is_lost_is_damaged_and_costs_itself() {
    let room = room();
    enqueue(&room).await;
    let (id, record) = only_message(&room);
    let mut batch = Batch::new();
    batch.put(&id, &QueueMessage { transit_key: 12, ..record.clone() });
    room.store().commit(batch).await.unwrap();
    let refused = room.queue().body_key(&only_message(&room).1).map(drop).unwrap_err();
    assert!(matches!(refused, QueueError::Sealed(SealError::Lost)) && refused.is_damage());
    enqueue(&room).await;
    assert_eq!(room.queue().list(&Selection::default(), None, 9).unwrap().messages.len(), 1);
}
