//! Tries hard to read another account's mail.

use caducee::mail::{MailError, MailLimits, MailRoom};
use caducee::store::{
    Account, AccountId, Batch, Content, Folder, FolderKey, KeyOwner, MasterKey, Message, MessageKey, Secret, SecretKey,
    Usage,
};

use crate::support::{House, message, uids};

const SECRET: &str = "compte rendu confidentiel";

/// Lea has a secret; Max has a mailbox of his own. Both numbers, and the keys of Lea's message and folder.
async fn lea_and_max(house: &House) -> (AccountId, AccountId, MessageKey, FolderKey) {
    let lea = house.account("lea").await.id;
    let max = house.account("max").await.id;
    house.deliver(&[lea], message(SECRET).as_bytes()).await;
    house.deliver(&[max], message("rien").as_bytes()).await;
    let folder = house.room.open(lea).unwrap().select("INBOX", true).await.unwrap().folder();
    (lea, max, MessageKey { folder, uid: 1 }, FolderKey { account: lea, folder })
}

async fn assert_max_reads_nothing(house: &House, max: AccountId, uid: u32) {
    let mailbox = house.room.open(max).unwrap();
    let session = mailbox.select("INBOX", true).await.unwrap();
    for found in session.summaries(vec![uid]).await.unwrap() {
        assert!(!format!("{:?}", found.summary).contains("confidentiel"));
        assert_eq!(found.summary.message.envelope.subject, None, "an unreadable summary shows nothing");
    }
    if let Ok(body) = session.body(uid).await {
        let read = body.read(0..body.size).await;
        assert!(read.is_err(), "{read:?}");
    }
}

#[tokio::test]
async fn uids_and_names_lead_into_ones_own_mailbox_only() {
    let house = House::in_memory();
    let (_, max, _, _) = lea_and_max(&house).await;
    let mailbox = house.room.open(max).unwrap();
    let session = mailbox.select("INBOX", false).await.unwrap();
    assert_eq!(uids(&session), [1]);
    for uid in 0..50 {
        if let Ok(body) = session.body(uid).await {
            let text = body.read(0..body.size).await.unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(SECRET));
        }
    }
    for name in ["../lea/INBOX", "/lea@aura.mssante.example/INBOX", "lea/INBOX", "~lea/INBOX", "#user/lea"] {
        assert!(mailbox.select(name, true).await.is_err(), "{name}");
    }
    assert!(session.copy(&[1], "Archive").await.is_ok());
    assert!(session.copy(&[2, 3, u32::MAX], "Archive").await.unwrap().source.is_empty());
}

#[tokio::test]
async fn records_put_into_another_folder_do_not_open_there() {
    let house = House::in_memory();
    let (_, max, lea_message, _) = lea_and_max(&house).await;
    let store = house.room.store();
    let stolen = store.get::<Message>(&lea_message).unwrap().unwrap().record;
    let content = store.get::<Content>(&lea_message).unwrap().unwrap().record;
    let folder = house.room.open(max).unwrap().select("INBOX", true).await.unwrap().folder();
    // As if the store's files had been changed by hand: Lea's records under Max's folder, then her body under his key.
    let place = MessageKey { folder, uid: 7 };
    let mut batch = Batch::new();
    batch.put(&place, &stolen).put(&place, &content);
    store.commit(batch).await.unwrap();
    assert_max_reads_nothing(&house, max, 7).await;
    let own = store.get::<Content>(&MessageKey { folder, uid: 1 }).unwrap().unwrap().record;
    let mut batch = Batch::new();
    batch.put(&place, &Content { sealed_body_key: own.sealed_body_key, sealed_summary: content.sealed_summary });
    store.commit(batch).await.unwrap();
    assert_max_reads_nothing(&house, max, 7).await;
}

#[tokio::test]
async fn a_folders_record_under_another_account_opens_nothing() {
    let house = House::in_memory();
    let (_, max, _, lea_folder) = lea_and_max(&house).await;
    let store = house.room.store();
    let record = store.get::<Folder>(&lea_folder).unwrap().unwrap().record;
    let mut batch = Batch::new();
    batch.put(&FolderKey { account: max, folder: lea_folder.folder }, &Folder { name: "Vol".into(), ..record });
    store.commit(batch).await.unwrap();
    let session = house.room.open(max).unwrap().select("Vol", true).await.unwrap();
    assert_eq!(session.exists(), 1);
    assert!(matches!(session.body(1).await.map(drop), Err(MailError::Sealed(_))));
    let found = session.summaries(vec![1]).await.unwrap();
    assert_eq!(found[0].summary.message.envelope.subject, None);
}

#[tokio::test]
async fn a_mailboxs_key_opens_for_its_own_account_only() {
    let house = House::in_memory();
    let (lea, max, _, _) = lea_and_max(&house).await;
    let store = house.room.store();
    let sealed = store.keys().sealed(KeyOwner::Mailbox(lea)).unwrap();
    let record = store.get::<Account>(&max).unwrap().unwrap().record;
    let other = AccountId(max.0 + 100);
    store.keys().insert(KeyOwner::Mailbox(other), &sealed).unwrap();
    let mut batch = Batch::new();
    batch.put(&other, &record);
    store.commit(batch).await.unwrap();
    assert!(matches!(house.room.open(other).map(drop), Err(MailError::Sealed(_))));
    let foreign = MasterKey::generate();
    let stranger = || MailRoom::new(store.clone(), foreign.clone(), MailLimits::default());
    assert!(matches!(stranger().map(drop), Err(MailError::Sealed(_))), "the key of what is on its way");
    let mut batch = Batch::new();
    batch.delete::<Secret>(&SecretKey::Transit).delete::<Secret>(&SecretKey::Traces);
    store.commit(batch).await.unwrap();
    assert!(matches!(stranger().map(drop), Err(MailError::Sealed(_))), "the queue's keys, in the ring");
    let owners = store.keys().owners();
    let queues: Vec<_> = owners.into_iter().filter(|owner| matches!(owner, KeyOwner::Transit(_))).collect();
    store.keys().wipe(&queues).unwrap();
    let stranger = stranger().unwrap();
    assert!(matches!(stranger.open(lea).map(drop), Err(MailError::Sealed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_content_lies_in_the_stores_files() {
    let house = House::embedded();
    let (lea, _, _, _) = lea_and_max(&house).await;
    let mailbox = house.room.open(lea).unwrap();
    house.append(&mailbox, "Drafts", SECRET).await.unwrap();
    let directory = house.into_directory();
    let mut looked = 0;
    let mut open = vec![directory.path().to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        looked += bytes.len();
        for secret in ["confidentiel", "compte rendu", "Bonjour"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret:?}", path.display());
        }
    }
    assert!(looked > 1_000, "{looked} bytes");
}

#[tokio::test]
async fn a_shared_body_is_read_by_each_recipient_and_stays_for_the_other() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let max = house.account("max").await.id;
    house.deliver(&[lea, max, lea], message(SECRET).as_bytes()).await;
    house.registry.close(lea, "").await.unwrap();
    assert!(house.room.store().get::<Usage>(&lea).unwrap().is_none());
    let session = house.room.open(max).unwrap().select("INBOX", true).await.unwrap();
    let body = session.body(1).await.unwrap();
    assert!(String::from_utf8(body.read(0..body.size).await.unwrap()).unwrap().contains(SECRET));
    house.check_counters();
}
