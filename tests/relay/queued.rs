//! The relay on the real queue: what is taken in leaves, and the dead hold nobody up.

use crate::peer::{Manners, Say};
use crate::world::{Place, Stage};
use caducee::mail::queue::{Kind, Outbound, OutboundRecipient};
use caducee::mail::{MailLimits, MailRoom};
use caducee::mss::Address;
use caducee::store::{MasterKey, QueueMessage, Store};
use caducee::wire::smtp::params::{MailParams, RcptParams};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const PAIRS: [(&str, &str); 3] = [("live.example", "there"), ("dead.example", "there"), ("refusing.example", "there")];

struct House {
    room: MailRoom,
    stage: Stage,
}

impl House {
    async fn new() -> Self {
        let store = Store::in_memory();
        let room = MailRoom::new(store.clone(), MasterKey::from_bytes([7; 32]), MailLimits::default()).unwrap();
        let stage = Stage::over(store, &PAIRS, b"unused").await;
        Self { room, stage }
    }

    async fn enqueue(&self, to: &str) {
        let mut incoming = self.room.receive();
        incoming.write(b"Subject: essai\r\n\r\nBonjour\r\n").await.unwrap();
        let message = incoming.finish().await.unwrap();
        let recipient = OutboundRecipient { address: Address::parse(to).unwrap(), params: RcptParams::default() };
        let outbound = Outbound {
            kind: Kind::Mail,
            sender: Some(Address::parse("a@us.example").unwrap()),
            account: None,
            params: MailParams::default(),
            recipients: vec![recipient],
            message_id: None,
            reference: "r/1".into(),
            skip: 0,
            header: 18,
            not_before: None,
        };
        self.room.queue().enqueue(outbound, message).await.unwrap();
    }

    fn queued(&self) -> usize {
        self.room.store().scan::<QueueMessage>(.., usize::MAX).unwrap().len()
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_to_a_live_peer_leaves_within_a_second_with_a_thousand_messages_for_a_dead_one() {
    let house = House::new().await;
    let live = house.stage.peer("live.example", "mx.live.example", Manners::default());
    house.stage.world.route("dead.example", &["mx.dead.example"]);
    house.stage.world.place("mx.dead.example", Place::Hole);
    for number in 0..1000 {
        house.enqueue(&format!("{number}@dead.example")).await;
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let queue = Arc::new(house.room.queue().clone());
    let stopped = async move { drop(stopped.await) };
    let running = tokio::spawn(Arc::clone(&house.stage.relay).run(queue, stopped, ()));
    until("the dead peer is tried", || !house.stage.world.knocks().is_empty()).await;

    for sent in 1..=5 {
        house.enqueue("b@live.example").await;
        let took = until("the live peer has it", || live.taken().len() == sent).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert_eq!(live.connections(), 1, "one session takes one message after another");
    until("what was taken has left the queue", || house.queued() == 1000).await;
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_takes_or_refuses_leaves_the_queue_and_what_was_cut_off_stays_due() {
    let house = House::new().await;
    let live = house.stage.peer("live.example", "mx.live.example", Manners::default());
    let refusing = Manners { rcpt: Say::text("550 5.1.1 unknown\r\n"), ..Manners::default() };
    house.stage.peer("refusing.example", "mx.refusing.example", refusing);
    for number in 0..200 {
        house.enqueue(&format!("{number}@live.example")).await;
        house.enqueue(&format!("{number}@refusing.example")).await;
    }
    let queue = Arc::new(house.room.queue().clone());
    let running = tokio::spawn(Arc::clone(&house.stage.relay).run(queue, std::future::pending(), ()));
    until("all have left", || house.queued() == 0).await;
    assert_eq!(live.taken().len(), 200, "each once");

    // A peer that is silent after the message: the attempt is under way when everything stops.
    live.manners.lock().unwrap().message = Say::Nothing;
    house.enqueue("last@live.example").await;
    until("it is under way", || live.taken().len() == 201).await;
    house.room.queue().stop();
    running.await.unwrap();
    assert_eq!(house.queued(), 1, "nothing is lost that nobody has answered for");
}
