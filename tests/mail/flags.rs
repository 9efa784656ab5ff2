//! STORE: flags, keywords, UNCHANGEDSINCE, what other sessions learn.

use caducee::mail::{FlagOp, MAX_KEYWORDS, MailError, MessageFlags, Update};
use caducee::store::flags;

use crate::on_both_engines;
use crate::support::House;

fn keywords(words: &[&str]) -> MessageFlags {
    MessageFlags { system: 0, keywords: words.iter().map(|word| (*word).to_owned()).collect() }
}

on_both_engines!(flags_are_added_removed_and_replaced, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    for n in 0..4 {
        house.append(&mailbox, "INBOX", &format!("{n}")).await.unwrap();
    }
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let flagged = MessageFlags { system: flags::FLAGGED, keywords: vec!["$Forwarded".into()] };
    session.store_flags(&[1, 2, 3], FlagOp::Add, &flagged, None).await.unwrap();
    session.store_flags(&[2], FlagOp::Remove, &MessageFlags::system(flags::FLAGGED | flags::SEEN), None).await.unwrap();
    session.store_flags(&[3], FlagOp::Replace, &keywords(&["Urgent"]), None).await.unwrap();
    let shown = |uid| session.flags_of(session.entry_of(uid).unwrap());
    assert_eq!(shown(1), MessageFlags { system: flags::SEEN | flags::FLAGGED, keywords: vec!["$Forwarded".into()] });
    assert_eq!(shown(2), keywords(&["$Forwarded"]));
    assert_eq!(shown(3), keywords(&["Urgent"]));
    assert_eq!(mailbox.status("INBOX").unwrap().unseen, 2);
    let fresh = mailbox.select("INBOX", true).await.unwrap();
    assert_eq!(fresh.first_unseen(), Some(2));
    house.check_counters();
});

#[tokio::test]
async fn several_messages_are_one_commit_and_another_session_learns_them() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    for n in 0..10 {
        house.append(&mailbox, "INBOX", &format!("{n}")).await.unwrap();
    }
    let mut one = mailbox.select("INBOX", false).await.unwrap();
    let mut other = mailbox.select("INBOX", false).await.unwrap();
    let all: Vec<u32> = (1..=10).collect();
    let done = one.store_flags(&all, FlagOp::Add, &keywords(&["Vu"]), None).await.unwrap();
    let modseq = done.entries[0].modseq;
    assert!(done.entries.iter().all(|entry| entry.modseq == modseq), "one modification sequence");
    assert_eq!(one.refresh(true), [], "a session is not told what it did itself");
    other.changed().await;
    let updates = other.refresh(true);
    assert_eq!(updates[0], Update::Keywords);
    assert_eq!(updates.iter().filter(|update| matches!(update, Update::Flags { .. })).count(), 10);
    assert_eq!(other.flags_of(other.entry(1).unwrap()).keywords, ["Vu"]);
}

#[tokio::test]
async fn only_unchanged_messages_are_changed_when_asked_so() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    house.append(&mailbox, "INBOX", "b").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let since = session.highest_modseq();
    session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::FLAGGED), None).await.unwrap();
    let done = session
        .store_flags(&[1, 2, 9], FlagOp::Add, &MessageFlags::system(flags::ANSWERED), Some(since))
        .await
        .unwrap();
    assert_eq!((done.modified.as_slice(), done.gone.as_slice()), (&[1][..], &[9][..]));
    assert_eq!(done.entries.iter().map(|entry| entry.uid).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_silent_client_hears_of_what_another_did_to_the_same_message() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    house.append(&mailbox, "INBOX", "b").await.unwrap();
    let mut one = mailbox.select("INBOX", false).await.unwrap();
    let mut other = mailbox.select("INBOX", false).await.unwrap();
    other.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    let done = one.store_flags(&[1, 2], FlagOp::Add, &MessageFlags::system(flags::FLAGGED), None).await.unwrap();
    assert_eq!(done.surprising, [1]);
}

#[tokio::test]
async fn keywords_are_bounded_and_must_be_atoms() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let many: Vec<String> = (0..MAX_KEYWORDS).map(|n| format!("k{n}")).collect();
    session.store_flags(&[1], FlagOp::Add, &MessageFlags { system: 0, keywords: many }, None).await.unwrap();
    assert_eq!(session.flags_of(session.entry(1).unwrap()).keywords.len(), MAX_KEYWORDS);
    let more = session.store_flags(&[1], FlagOp::Add, &keywords(&["more"]), None).await;
    assert!(matches!(more, Err(MailError::TooManyKeywords)));
    let known = session.store_flags(&[1], FlagOp::Add, &keywords(&["K7"]), None).await;
    assert!(known.is_ok(), "a known keyword in another case");
    let bad = session.store_flags(&[1], FlagOp::Remove, &keywords(&["not there"]), None).await;
    assert!(bad.is_ok(), "an unknown keyword is not there already");
    let bad =
        mailbox.select("INBOX", false).await.unwrap().store_flags(&[1], FlagOp::Add, &keywords(&["a b"]), None).await;
    assert!(matches!(bad, Err(MailError::BadKeyword)));
}

#[tokio::test]
async fn an_examined_folder_cannot_be_changed() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    let mut session = mailbox.select("INBOX", true).await.unwrap();
    let outcome = session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::SEEN), None).await;
    assert!(matches!(outcome, Err(MailError::ReadOnly)));
    assert!(matches!(session.expunge(caducee::mail::Expunge::AllDeleted).await, Err(MailError::ReadOnly)));
    assert!(matches!(session.move_to(&[1], "Trash").await, Err(MailError::ReadOnly)));
    assert!(session.copy(&[1], "Trash").await.is_ok());
}
