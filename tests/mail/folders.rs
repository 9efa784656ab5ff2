//! Folders: making, deleting, renaming, subscribing (RFC 3501 §6.3.3 to §6.3.9).

use caducee::audit::Asker;
use caducee::mail::{MailError, MailLimits, Update};
use caducee::store::{Folder, FolderExistence, FolderKey, Message, SpecialUse};

use crate::on_both_engines;
use crate::support::{House, message, text_of, uids};

fn names(mailbox: &caducee::mail::Mailbox) -> Vec<String> {
    let folders = mailbox.folders().unwrap();
    folders
        .into_iter()
        .map(|folder| if folder.selectable { folder.name } else { format!("({})", folder.name) })
        .collect()
}

fn subscribed(mailbox: &caducee::mail::Mailbox) -> Vec<String> {
    let names = mailbox.subscriptions().unwrap();
    names.into_iter().map(|sub| if sub.selectable { sub.name } else { format!("({})", sub.name) }).collect()
}

const FIRST: [&str; 6] = ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"];

on_both_engines!(a_new_mailbox_has_the_folders_of_the_rules, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    assert_eq!(names(&mailbox), FIRST);
    assert_eq!(subscribed(&mailbox), FIRST);
    let uses: Vec<_> = mailbox.folders().unwrap().into_iter().filter_map(|folder| folder.special_use).collect();
    assert_eq!(uses, [SpecialUse::Archive, SpecialUse::Drafts, SpecialUse::Junk, SpecialUse::Sent, SpecialUse::Trash]);
});

on_both_engines!(folders_are_made_with_the_levels_above, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    mailbox.create("Patients/2026/Janvier/").await.unwrap();
    mailbox.create("inbox/Urgent").await.unwrap();
    assert!(matches!(mailbox.create("Patients/2026").await, Err(MailError::FolderExists)));
    assert!(matches!(mailbox.create("Inbox").await, Err(MailError::FolderExists)));
    assert!(matches!(mailbox.create("a//b").await, Err(MailError::BadName(_))));
    let all = names(&mailbox);
    assert_eq!(all[..2], ["INBOX", "INBOX/Urgent"]);
    assert!(all.contains(&"Patients/2026".to_owned()));
    let folders = mailbox.folders().unwrap();
    let parents: Vec<_> =
        folders.iter().filter(|folder| folder.has_children).map(|folder| folder.name.as_str()).collect();
    assert_eq!(parents, ["INBOX", "Patients", "Patients/2026"]);
    house.check_counters();
});

on_both_engines!(a_deleted_folder_with_folders_below_stays_as_a_level, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    mailbox.create("A/B").await.unwrap();
    house.append(&mailbox, "A", "perdu").await.unwrap();
    let mut session = mailbox.select("A", false).await.unwrap();
    mailbox.delete("A", &Asker::default()).await.unwrap();
    assert_eq!(session.refresh(true), [Update::Gone]);
    assert!(names(&mailbox).contains(&"(A)".to_owned()));
    assert!(matches!(mailbox.select("A", false).await.map(drop), Err(MailError::NotSelectable)));
    assert!(matches!(mailbox.delete("A", &Asker::default()).await, Err(MailError::HasChildren)));
    assert!(matches!(mailbox.append_refused(&house, "A").await, MailError::NotSelectable));
    mailbox.create("A").await.unwrap();
    assert_eq!(mailbox.status("A").unwrap().messages, 0);
    mailbox.delete("A/B", &Asker::default()).await.unwrap();
    mailbox.delete("A", &Asker::default()).await.unwrap();
    assert_eq!(names(&mailbox), FIRST);
    assert!(house.room.store().scan::<Message>(.., 10).unwrap().is_empty());
    house.check_counters();
});

trait AppendRefused {
    async fn append_refused(&self, house: &House, folder: &str) -> MailError;
}

impl AppendRefused for std::sync::Arc<caducee::mail::Mailbox> {
    async fn append_refused(&self, house: &House, folder: &str) -> MailError {
        house.append(self, folder, "x").await.unwrap_err()
    }
}

#[tokio::test]
async fn inbox_and_special_folders_stay() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    for name in FIRST {
        assert!(matches!(mailbox.delete(name, &Asker::default()).await, Err(MailError::Protected(_))), "{name}");
    }
    assert!(matches!(mailbox.rename("Sent", "Envoyés").await, Err(MailError::Protected(_))));
    assert!(matches!(mailbox.rename("Nowhere", "x").await, Err(MailError::NoFolder)));
    assert!(matches!(mailbox.delete("Nowhere", &Asker::default()).await, Err(MailError::NoFolder)));
}

on_both_engines!(a_rename_takes_all_below_along, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    mailbox.create("A/B/C").await.unwrap();
    mailbox.create("AB").await.unwrap();
    house.append(&mailbox, "A/B", "contenu").await.unwrap();
    let before = mailbox.status("A/B").unwrap();
    mailbox.rename("A", "X/Y").await.unwrap();
    let after = mailbox.status("X/Y/B").unwrap();
    assert_eq!(after, before, "the folder keeps its number, UIDVALIDITY and messages");
    let mut expected: Vec<_> = FIRST.iter().map(|name| (*name).to_owned()).collect();
    expected.splice(1..1, ["AB".to_owned()]);
    expected.extend(["X", "X/Y", "X/Y/B", "X/Y/B/C"].map(str::to_owned));
    assert_eq!(names(&mailbox), expected);
    assert!(matches!(mailbox.rename("X", "X/Z").await, Err(MailError::BadName(_))));
    assert!(matches!(mailbox.rename("X/Y", "AB").await, Err(MailError::FolderExists)));
    assert!(matches!(mailbox.rename("AB", "inbox").await, Err(MailError::FolderExists)));
    house.check_counters();
});

on_both_engines!(renaming_inbox_moves_its_messages_and_leaves_it_empty, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    mailbox.create("INBOX/Dessous").await.unwrap();
    house.append(&mailbox, "INBOX", "un").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    mailbox.rename("INBOX", "Ancien/2026").await.unwrap();
    assert_eq!(session.refresh(true), [Update::Gone]);
    assert_eq!(mailbox.status("INBOX").unwrap().messages, 0);
    assert_eq!(mailbox.status("Ancien/2026").unwrap().messages, 1);
    assert!(names(&mailbox).contains(&"INBOX/Dessous".to_owned()));
    let old = mailbox.select("Ancien/2026", true).await.unwrap();
    assert!(text_of(&old, 1).await.contains("Bonjour un"));
    house.deliver(&[mailbox.account()], message("deux").as_bytes()).await;
    assert_eq!(uids(&mailbox.select("INBOX", true).await.unwrap()), [1]);
    house.check_counters();
});

on_both_engines!(a_subscription_outlives_its_folder, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    mailbox.create("A").await.unwrap();
    assert!(!subscribed(&mailbox).contains(&"A".to_owned()));
    mailbox.subscribe("A").await.unwrap();
    mailbox.delete("A", &Asker::default()).await.unwrap();
    assert!(subscribed(&mailbox).contains(&"(A)".to_owned()));
    assert!(!names(&mailbox).iter().any(|name| name.contains('A') && name != "Archive"));
    mailbox.create("A").await.unwrap();
    assert!(subscribed(&mailbox).contains(&"A".to_owned()));
    mailbox.delete("A", &Asker::default()).await.unwrap();
    mailbox.unsubscribe("A").await.unwrap();
    assert_eq!(subscribed(&mailbox), FIRST);
    assert!(matches!(mailbox.unsubscribe("A").await, Err(MailError::NoFolder)));
    assert!(matches!(mailbox.subscribe("A").await, Err(MailError::NoFolder)));
});

#[tokio::test]
async fn a_mailbox_has_a_bound_of_folders() {
    let house = House::with_limits(MailLimits { folders: 8, ..MailLimits::default() });
    let mailbox = house.mailbox("lea").await;
    assert!(matches!(mailbox.create("a/b/c").await, Err(MailError::TooManyFolders)));
    assert_eq!(names(&mailbox), FIRST, "all levels or none");
    mailbox.create("a/b").await.unwrap();
    assert!(matches!(mailbox.create("d").await, Err(MailError::TooManyFolders)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_erased_piece_by_piece_even_after_a_stop() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    mailbox.create("Grand").await.unwrap();
    mailbox.subscribe("Grand").await.unwrap();
    house.append(&mailbox, "Grand", "un").await.unwrap();
    let mut session = mailbox.select("Grand", false).await.unwrap();
    for _ in 0..13 {
        session.copy(&uids(&session), "Grand").await.unwrap();
        session.refresh(true);
    }
    let folder = session.folder();
    mailbox.delete("Grand", &Asker::default()).await.unwrap();
    assert_eq!(session.refresh(true), [Update::Gone]);
    assert!(house.room.store().scan::<Message>(.., 10).unwrap().is_empty());
    assert!(subscribed(&mailbox).contains(&"(Grand)".to_owned()));
    house.check_counters();

    // What a stop between two pieces leaves behind.
    let key = FolderKey { account: mailbox.account(), folder };
    let mut batch = caducee::store::Batch::new();
    batch.put(&key, &Folder { name: "Grand".into(), existence: FolderExistence::Erasing, ..Folder::default() });
    house.room.store().commit(batch).await.unwrap();
    house.registry.finish_erasures().await.unwrap();
    assert!(house.room.store().get::<Folder>(&key).unwrap().is_none());
}
