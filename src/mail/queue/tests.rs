//! What an operator does in the moment in which the schedule turns to a consignment.

use super::*;
use crate::audit::{Action, Actor, By};
use crate::mail::{MailLimits, MailRoom};
use crate::mss::Address;
use crate::store::{MasterKey, WaitingTrace};
use crate::wire::smtp::params::{MailParams, RcptParams};
use schedule::Standing;

/// A message for one recipient of another operator.
pub(super) fn outbound() -> Outbound {
    let address = Address::parse("a@x.example").unwrap();
    Outbound {
        kind: Kind::Mail,
        sender: None,
        account: None,
        params: MailParams::default(),
        recipients: vec![OutboundRecipient { address, params: RcptParams::default() }],
        message_id: None,
        reference: "t-1".into(),
        skip: 0,
        header: 0,
        not_before: None,
    }
}

/// A room with one message on its way.
async fn room() -> (MailRoom, ConsignmentKey) {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let message = room.receive().finish().await.unwrap();
    room.queue().enqueue(outbound(), message).await.unwrap();
    let (key, _) = room.store().scan::<Consignment>(.., 1).unwrap().remove(0);
    (room, key)
}

async fn is_tried(queue: &Queue) -> bool {
    let patience = Duration::from_secs(5);
    tokio::time::timeout(patience, queue.next()).await.is_ok_and(|attempt| attempt.is_some())
}

#[tokio::test]
async fn what_the_schedule_alone_holds_is_let_go_by_a_release() {
    let (room, key) = room().await;
    room.queue().schedule().hold(key, now());
    let handled = room.queue().release(Selection::default()).await.unwrap();
    assert_eq!(handled.consignments, 1);
    assert!(is_tried(room.queue()).await);
}

#[tokio::test]
async fn what_is_released_while_its_turn_comes_is_tried() {
    let (room, key) = room().await;
    let (queue, inner) = (room.queue().clone(), &room.queue().inner);
    assert_eq!(queue.schedule().next(now()), Some(key), "its turn comes");
    queue.hold(Selection::default()).await.unwrap();
    // Its release holds the lock while the turn finds it held; the schedule hears of it when the lock is let go.
    let lock = inner.lock(key.message).await;
    assert!(queue.begin(key).is_none(), "it is held");
    tokio::task::yield_now().await;
    assert_eq!(queue.schedule().standing(key), Some(Standing::Trying), "nothing is told without the lock");
    let held = room.store().get::<Consignment>(&key).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.update(&key, held.version, &Consignment { held: false, ..held.record.clone() });
    room.store().commit(batch).await.unwrap();
    drop(lock);
    assert!(is_tried(&queue).await);
}

#[tokio::test]
async fn what_is_held_when_its_turn_comes_waits_for_its_release() {
    let (room, key) = room().await;
    let queue = room.queue().clone();
    assert_eq!(queue.schedule().next(now()), Some(key));
    queue.hold(Selection::default()).await.unwrap();
    assert!(queue.begin(key).is_none());
    let rests = async {
        while queue.schedule().standing(key) != Some(Standing::Held) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), rests).await.unwrap();
    queue.release(Selection::default()).await.unwrap();
    assert!(is_tried(&queue).await);
}

#[tokio::test]
async fn while_traces_cannot_be_kept_nobody_is_told_and_nothing_given_up_and_then_it_is_tried_first() {
    let (room, key) = room().await;
    let queue = room.queue().clone();
    let accepted = room.store().get::<Consignment>(&key).unwrap().unwrap();
    let old = Consignment { expires_at: now() - 9, delay_told: true, ..accepted.record.clone() };
    let mut batch = Batch::new();
    batch.update(&key, accepted.version, &old);
    room.store().commit(batch).await.unwrap();
    {
        let mut schedule = queue.schedule();
        schedule.remove(key, now());
        schedule.add(stage::entry(key, &old), now());
    }
    room.traces().set_stuck(true);
    let tending = tokio::spawn({
        let queue = queue.clone();
        async move { queue.tend().await }
    });
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!waiting.is_finished(), "no try");
    assert!(room.store().get::<Consignment>(&key).unwrap().is_some(), "and no end");
    room.traces().set_stuck(false);
    let attempt = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert_eq!(attempt.unwrap().domain.as_str(), "x.example");
    queue.stop();
    tending.await.unwrap();
    assert!(room.store().get::<Consignment>(&key).unwrap().is_some());
}

#[tokio::test]
async fn what_is_ordered_is_traced_with_who_ordered_it() {
    let (room, _) = room().await;
    let actor = Actor { by: Some(By::Administrator), login: Some("uid 17".into()), ..Actor::default() };
    let queue = room.queue().acting_for(Arc::new(actor.clone().into()));
    queue.hold(Selection::default()).await.unwrap();
    queue.cancel(Selection::default(), OnlyCopies::Destroy).await.unwrap();
    let rows = room.store().scan::<WaitingTrace>(.., usize::MAX).unwrap();
    let traces = rows.iter().filter_map(|(key, waiting)| room.traces().open(*key, waiting));
    let handled = traces.filter_map(|trace| match trace.action {
        Action::Handled { handling } => Some((handling, trace.actor)),
        _ => None,
    });
    let by = |handling: &str| (handling.to_owned(), actor.clone());
    assert_eq!(handled.collect::<Vec<_>>(), [by("held"), by("cancelled")]);
}
