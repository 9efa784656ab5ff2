//! What is left to read of a closed mailbox for somebody with the whole disk and the master key: nothing (design, promise 4).

use caducee::mail::{Expunge, FlagOp, MessageFlags};
use caducee::store::flags;

use crate::digger::{Dug, dig};
use crate::support::{Directory, House, message};

const RECEIVED: &str = "PNEUMOTHORAX-RECU";
const EXPUNGED: &str = "PNEUMOTHORAX-EFFACE";
const SENT: &str = "PNEUMOTHORAX-ENVOYE";
const OTHERS: &str = "PNEUMOTHORAX-AUTRE";

/// The house's master key.
const MASTER: [u8; 32] = [7; 32];

/// Which of the messages can be read: received, expunged, sent, and the other mailbox's.
fn readable(dug: &Dug) -> [bool; 4] {
    [RECEIVED, EXPUNGED, SENT, OTHERS].map(|text| dug.has(text))
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
    house.send_away(SENT).await;
    house.empty_queue().await;
    let mut known = house.moments();
    let before = dig(house.path(), MASTER, &known);
    assert_eq!(readable(&before), [true; 4], "the digger can dig: deleting a message does not destroy its key");

    house.registry.close(lea, "parti").await.unwrap();
    let closed = dig(house.path(), MASTER, &known);
    assert_eq!(readable(&closed), [false, false, true, true], "its own key is gone at once");
    assert_eq!(closed.chunks, before.chunks, "the sealed bodies lie there as before");

    // What it has sent was sealed under the queue's key, which the closing has turned.
    house.see_to_keys_in(60).await;
    known.extend(house.moments());
    house.see_to_keys_in(3_600).await;
    let turned = dig(house.path(), MASTER, &known);
    assert_eq!((readable(&turned), turned.chunks), ([false, false, false, true], before.chunks));

    let house = house.restarted();
    known.extend(house.moments());
    assert!(house.room.open(max).is_ok());
    let directory: Directory = house.into_directory();
    let stopped = dig(directory.path(), MASTER, &known);
    assert_eq!(readable(&stopped), [false, false, false, true], "and no start brings anything back");
    assert_eq!(readable(&dig(directory.path(), [8; 32], &known)), [false; 4], "without the master key");
}
