//! What is left to read of a closed mailbox for somebody with the whole disk and the master key: nothing (design, promise 4).

use std::time::{SystemTime, UNIX_EPOCH};

use caducee::mail::queue::{Kind, OnlyCopies, Outbound, OutboundRecipient, Selection};
use caducee::mail::{Expunge, FlagOp, MessageFlags};
use caducee::store::{KeyOwner, flags};
use caducee::wire::smtp::params::{MailParams, RcptParams};

use crate::digger::{Dug, dig};
use crate::support::{Directory, House, address, message};

const RECEIVED: &str = "PNEUMOTHORAX-RECU";
const EXPUNGED: &str = "PNEUMOTHORAX-EFFACE";
const SENT: &str = "PNEUMOTHORAX-ENVOYE";
const OTHERS: &str = "PNEUMOTHORAX-AUTRE";

/// The house's master key.
const MASTER: [u8; 32] = [7; 32];

/// The moments of the queue's keys.
fn moments(house: &House) -> Vec<u64> {
    let owners = house.room.store().keys().owners().into_iter();
    let moments = owners.filter_map(|owner| match owner {
        KeyOwner::Transit(moment) => Some(moment),
        KeyOwner::Mailbox(_) => None,
    });
    moments.collect()
}

/// Which of the messages can be read: received, expunged, sent, and the other mailbox's.
fn readable(dug: &Dug) -> [bool; 4] {
    [RECEIVED, EXPUNGED, SENT, OTHERS].map(|text| dug.has(text))
}

/// Sends a message to another operator; it has left the queue when this returns.
async fn send(house: &House, text: &str) {
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
    let message = house.received(message(text).as_bytes()).await;
    house.room.queue().enqueue(outbound, message).await.unwrap();
    house.room.queue().cancel(Selection::default(), OnlyCopies::Destroy).await.unwrap();
}

fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_closed_mailbox_the_whole_disk_and_the_master_key_read_nothing() {
    let house = House::embedded();
    let lea = house.account("lea").await.id;
    let max = house.account("max").await.id;
    house.deliver(&[lea], message(RECEIVED).as_bytes()).await;
    house.deliver(&[max], message(OTHERS).as_bytes()).await;
    let mailbox = house.room.open(lea).unwrap();
    house.append(&mailbox, "Drafts", EXPUNGED).await.unwrap();
    let mut drafts = mailbox.select("Drafts", false).await.unwrap();
    drafts.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    drafts.expunge(Expunge::AllDeleted).await.unwrap();
    drop((drafts, mailbox));
    send(&house, SENT).await;
    let mut known = moments(&house);
    let before = dig(house.path(), MASTER, &known);
    assert_eq!(readable(&before), [true; 4], "the digger can dig: deleting a message does not destroy its key");

    house.registry.close(lea, "parti").await.unwrap();
    let closed = dig(house.path(), MASTER, &known);
    assert_eq!(readable(&closed), [false, false, true, true], "its own key is gone at once");
    assert_eq!(closed.chunks, before.chunks, "the sealed bodies lie there as before");

    // What it has sent was sealed under the queue's key, which the closing has turned.
    house.room.queue().see_to_keys(unix_now() + 60).await.unwrap();
    known.extend(moments(&house));
    house.room.queue().see_to_keys(unix_now() + 3_600).await.unwrap();
    let turned = dig(house.path(), MASTER, &known);
    assert_eq!((readable(&turned), turned.chunks), ([false, false, false, true], before.chunks));

    let house = house.restarted();
    known.extend(moments(&house));
    assert!(house.room.open(max).is_ok());
    let directory: Directory = house.into_directory();
    let stopped = dig(directory.path(), MASTER, &known);
    assert_eq!(readable(&stopped), [false, false, false, true], "and no start brings anything back");
    assert_eq!(readable(&dig(directory.path(), [8; 32], &known)), [false; 4], "without the master key");
}
