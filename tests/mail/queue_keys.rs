//! The queue's keys over restarts and damage.

use std::time::{SystemTime, UNIX_EPOCH};

use caducee::mail::queue::{Kind, OnlyCopies, Outbound, OutboundRecipient, Selection};
use caducee::store::KeyOwner;
use caducee::wire::smtp::params::{MailParams, RcptParams};

use crate::support::{House, address, message};

const DAY: i64 = 86_400;

impl House {
    /// Queues a message to another operator.
    pub async fn send_away(&self, text: &str) {
        let outbound = Outbound {
            kind: Kind::Mail,
            sender: Some(address("lea")),
            account: None,
            params: MailParams::default(),
            recipients: vec![OutboundRecipient { address: address("a@x.example"), params: RcptParams::default() }],
            message_id: Some("<1@aura.mssante.example>".into()),
            reference: "t-1".into(),
            skip: 0,
            header: 60,
            not_before: None,
        };
        let message = self.received(message(text).as_bytes()).await;
        self.room.queue().enqueue(outbound, message).await.unwrap();
    }

    /// Everything leaves the queue.
    pub async fn empty_queue(&self) {
        self.room.queue().cancel(Selection::default(), OnlyCopies::Destroy).await.unwrap();
    }

    /// The moments of the queue's keys.
    pub fn moments(&self) -> Vec<u64> {
        let owners = self.room.store().keys().owners().into_iter();
        let moments = owners.filter_map(|owner| match owner {
            KeyOwner::Transit(moment) => Some(moment),
            KeyOwner::Mailbox(_) => None,
        });
        moments.collect()
    }

    /// Sees to the queue's keys so many seconds from now.
    pub async fn see_to_keys_in(&self, seconds: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        self.room.queue().see_to_keys(now + seconds).await.unwrap();
    }

    /// How many queued messages open, with their recipients.
    fn opening(&self) -> usize {
        self.room.queue().list(&Selection::default(), None, 100).unwrap().messages.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_opens_after_a_restart_under_the_key_of_its_day() {
    let house = House::embedded();
    house.send_away("un").await;
    house.see_to_keys_in(DAY + 1).await;
    house.send_away("deux").await;
    let moments = house.moments();
    assert_eq!(moments.len(), 2);
    let house = house.restarted();
    assert_eq!((house.moments(), house.opening()), (moments, 2));
    let mut read = Vec::new();
    for _ in 0..2 {
        let attempt = house.room.queue().next().await.unwrap();
        read.push(house.room.store().read_body(&attempt.body, &attempt.body_key, 0..attempt.size).await.unwrap());
    }
    read.sort();
    let mut sent = ["un", "deux"].map(|text| message(text).into_bytes()).to_vec();
    sent.sort();
    assert_eq!(read, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_met_damage_destroys_no_key_of_the_queue() {
    let house = House::embedded();
    house.send_away("un").await;
    house.see_to_keys_in(DAY + 1).await;
    house.empty_queue().await;
    let both = house.moments();
    let house = house.restarted_after_damage();
    house.see_to_keys_in(DAY + 3_600).await;
    assert!(house.moments().starts_with(&both), "the message that needs the first one may be what was damaged");
    std::fs::remove_dir_all(house.path().join("aside")).unwrap();
    let house = house.restarted();
    house.see_to_keys_in(DAY + 3_600).await;
    assert!(!house.moments().contains(&both[0]));
}
