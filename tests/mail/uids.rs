//! UIDs, UIDVALIDITY and modification sequences (RFC 3501 §2.3.1.1, RFC 7162 §3.1).

use caducee::audit::Asker;
use caducee::mail::{Expunge, FlagOp, MessageFlags};
use caducee::store::{Change, ChangeEntry, ChangeKey, flags};

use crate::on_both_engines;
use crate::support::{House, message, text_of, uids};

on_both_engines!(uids_rise_and_are_never_given_again, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    for n in 1..=3 {
        assert_eq!(house.append(&mailbox, "INBOX", &format!("m{n}")).await.unwrap(), n);
    }
    let mut session = mailbox.select("inbox", false).await.unwrap();
    session.store_flags(&[2, 3], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    assert_eq!(session.expunge(Expunge::AllDeleted).await.unwrap().uids, [2, 3]);
    assert_eq!(house.append(&mailbox, "INBOX", "m4").await.unwrap(), 4);
    session.refresh(true);
    assert_eq!(uids(&session), [1, 4]);
    house.check_counters();
});

on_both_engines!(every_change_raises_the_modification_sequence, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    let mut last = mailbox.status("INBOX").unwrap().highest_modseq;
    let mut rises = |what: &str| {
        let now = mailbox.status("INBOX").unwrap().highest_modseq;
        assert!(now > last, "{what}: {now} after {last}");
        last = now;
    };
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    rises("append");
    house.deliver(&[mailbox.account()], message("b").as_bytes()).await;
    rises("delivery");
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    rises("flags");
    session.expunge(Expunge::AllDeleted).await.unwrap();
    rises("expunge");
    session.copy(&[2], "INBOX").await.unwrap();
    rises("copy");
    session.move_to(&[2], "Archive").await.unwrap();
    rises("move");
    session.refresh(true);
    let modseqs: Vec<u64> = session.iter().map(|(_, entry)| entry.modseq).collect();
    assert!(modseqs.iter().all(|modseq| *modseq > 0 && *modseq <= session.highest_modseq()));
});

#[tokio::test]
async fn setting_the_flags_that_are_there_changes_nothing() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let before = mailbox.status("INBOX").unwrap();
    let done = session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::SEEN), None).await.unwrap();
    assert_eq!((done.entries.len(), done.committed), (1, None));
    assert_eq!(mailbox.status("INBOX").unwrap(), before);
}

#[tokio::test]
async fn a_folder_that_comes_back_has_another_uidvalidity() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        mailbox.create("Patients").await.unwrap();
        seen.push(mailbox.status("Patients").unwrap().uid_validity);
        mailbox.delete("Patients", &Asker::default()).await.unwrap();
    }
    assert!(seen.windows(2).all(|pair| pair[1] > pair[0]), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_messages_uids_and_numbers() {
    let house = House::embedded();
    let account = house.account("lea").await.id;
    let mailbox = house.room.open(account).unwrap();
    house.append(&mailbox, "INBOX", "before").await.unwrap();
    mailbox.create("A").await.unwrap();
    let validity = mailbox.status("A").unwrap().uid_validity;
    drop(mailbox);
    let house = house.restarted();
    let mailbox = house.room.open(account).unwrap();
    assert_eq!(house.append(&mailbox, "INBOX", "after").await.unwrap(), 2);
    mailbox.create("B").await.unwrap();
    assert!(mailbox.status("B").unwrap().uid_validity > validity);
    let session = mailbox.select("INBOX", true).await.unwrap();
    assert!(text_of(&session, 1).await.contains("Subject: before"));
    let summaries = session.summaries(vec![1, 2]).await.unwrap();
    assert_eq!(summaries[1].summary.message.envelope.subject.as_deref(), Some(&b"after"[..]));
    house.check_counters();
}

#[tokio::test]
async fn what_a_commit_did_stands_in_the_list_of_changes() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    house.append(&mailbox, "INBOX", "b").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.move_to(&[1, 2], "Trash").await.unwrap();
    let rows = house.room.store().scan::<Change>(ChangeKey::of(mailbox.account()), 100).unwrap();
    let numbers: Vec<u64> = rows.iter().map(|(key, _)| key.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let entries = &rows[2].1.entries;
    assert!(
        entries.iter().any(|entry| matches!(entry, ChangeEntry::Removed { uids, .. } if uids.0 == [(1, 2)]))
            && entries.iter().any(|entry| matches!(entry, ChangeEntry::Arrived { uids, .. } if uids.0 == [(1, 2)])),
        "{entries:?}"
    );
}
