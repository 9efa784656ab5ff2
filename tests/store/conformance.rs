//! What a store means, whatever the engine: every case runs on the embedded engine and on the one in memory.

use caducee::store::{
    Account, AccountId, Batch, Body, BodyId, CHUNK, CommitError, DecodeError, Domain, Expect, Folder, FolderId,
    FolderKey, MAX_COMMIT, MailboxKey, Message, MessageKey, Meta, MetaKey, Record, Store, StoreError, Table, Usage,
};
use proptest::prelude::*;

use crate::mailbox::Mailbox;
use crate::support::{Directory, noise, open, run};

/// Runs a case on both engines.
fn on_both<F: Future<Output = ()>>(case: impl Fn(Store) -> F) {
    run(case(Store::in_memory()));
    let directory = Directory::new("conformance");
    let (store, _) = open(directory.path());
    run(case(store.clone()));
    store.close();
}

fn usage(bytes: u64) -> Usage {
    Usage { bytes, messages: 1, ..Usage::default() }
}

fn put(account: u64, bytes: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&AccountId(account), &usage(bytes));
    batch
}

#[test]
fn a_committed_record_is_read_with_the_version_of_its_commit() {
    on_both(|store| async move {
        let committed = store.commit(put(1, 10)).await.unwrap();
        let read = store.get::<Usage>(&AccountId(1)).unwrap().unwrap();
        assert_eq!((read.bytes, read.version), (10, committed.version()));
        assert!(store.get::<Usage>(&AccountId(2)).unwrap().is_none());
        let later = store.commit(put(2, 20)).await.unwrap();
        assert!(later.sequence() > committed.sequence());
    });
}

#[test]
fn a_batch_is_made_whole_or_not_at_all() {
    on_both(|store| async move {
        let version = store.commit(put(1, 10)).await.unwrap().version();
        store.commit(put(1, 11)).await.unwrap();
        let mut batch = put(2, 20);
        batch.update(&AccountId(1), version, &usage(12));
        assert_eq!(store.commit(batch).await, Err(CommitError::Conflict(Table::Usage)));
        assert!(store.get::<Usage>(&AccountId(2)).unwrap().is_none());
        assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap().unwrap().bytes, 11);
    });
}

#[test]
fn expectations_hold_against_absence_presence_and_deletion() {
    on_both(|store| async move {
        let mut insert = Batch::new();
        insert.insert(&AccountId(1), &usage(1));
        let first = store.commit(insert).await.unwrap();
        let mut again = Batch::new();
        again.insert(&AccountId(1), &usage(2));
        assert!(matches!(store.commit(again).await, Err(CommitError::Conflict(Table::Usage))));
        let mut delete = Batch::new();
        delete.expect::<Usage>(&AccountId(1), Expect::Version(first.version())).delete::<Usage>(&AccountId(1));
        store.commit(delete).await.unwrap();
        let mut stale = Batch::new();
        stale.update(&AccountId(1), first.version(), &usage(3));
        assert!(matches!(store.commit(stale).await, Err(CommitError::Conflict(_))));
        let mut fresh = Batch::new();
        fresh.insert(&AccountId(1), &usage(4));
        store.commit(fresh).await.unwrap();
    });
}

#[test]
fn commits_in_flight_count_for_expectations() {
    on_both(|store| async move {
        // All are sent before any is answered: exactly one of those that expect the same thing is made.
        let version = store.commit(put(1, 0)).await.unwrap().version();
        let attempts: Vec<_> = (1..=50)
            .map(|bytes| {
                let mut batch = Batch::new();
                batch.update(&AccountId(1), version, &usage(bytes));
                tokio::spawn(store.commit(batch))
            })
            .collect();
        let mut made = 0;
        for attempt in attempts {
            made += u32::from(attempt.await.unwrap().is_ok());
        }
        assert_eq!(made, 1);
    });
}

#[test]
fn the_order_of_calls_is_the_order_of_commits() {
    on_both(|store| async move {
        let commits: Vec<_> = (0..200).map(|bytes| store.commit(put(1, bytes))).collect();
        let mut last = 0;
        for commit in commits {
            let sequence = commit.await.unwrap().sequence();
            assert!(sequence > last);
            last = sequence;
        }
        assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap().unwrap().bytes, 199);
    });
}

#[test]
fn of_two_writes_of_a_key_in_one_batch_the_last_stands() {
    on_both(|store| async move {
        let mut batch = put(1, 1);
        batch.delete::<Usage>(&AccountId(1)).put(&AccountId(1), &usage(2));
        batch.put(&AccountId(2), &usage(3)).delete::<Usage>(&AccountId(2));
        store.commit(batch).await.unwrap();
        assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap().unwrap().bytes, 2);
        assert!(store.get::<Usage>(&AccountId(2)).unwrap().is_none());
    });
}

#[test]
fn a_scan_is_ordered_bounded_and_stays_in_its_table() {
    on_both(|store| async move {
        let mut batch = Batch::new();
        for id in [300, 1, 255, 256, 2] {
            batch.put(&AccountId(id), &usage(id));
            batch.put(&AccountId(id), &Account { address: format!("a{id}@x"), ..Account::default() });
        }
        for name in ["b.example", "a.example", "a.example.org"] {
            batch.put(&name.to_owned(), &Domain { name: name.to_owned(), ..Domain::default() });
        }
        store.commit(batch).await.unwrap();
        let ids = |rows: Vec<(AccountId, _)>| rows.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(ids(store.scan::<Usage>(.., 10).unwrap()), [1, 2, 255, 256, 300]);
        assert_eq!(ids(store.scan::<Usage>(.., 2).unwrap()), [1, 2]);
        assert_eq!(ids(store.scan::<Usage>(AccountId(2)..AccountId(300), 10).unwrap()), [2, 255, 256]);
        assert_eq!(ids(store.scan_back::<Usage>(..=AccountId(256), 2).unwrap()), [256, 255]);
        assert!(store.scan::<Usage>(AccountId(9)..AccountId(3), 10).unwrap().is_empty());
        assert!(store.scan::<Usage>(AccountId(9)..=AccountId(3), 10).unwrap().is_empty());
        let names: Vec<_> = store.scan::<Domain>(.., 10).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.example", "a.example.org", "b.example"]);
    });
}

/// A record of the usage table that no decoder knows: what damage or a newer version would leave there.
struct Unreadable;

impl Record for Unreadable {
    const TABLE: Table = Table::Usage;
    type Key = AccountId;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(0xEE);
    }
    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        Ok(Unreadable)
    }
}

#[test]
fn a_record_that_does_not_decode_costs_itself_and_no_page() {
    on_both(|store| async move {
        let mut batch = Batch::new();
        for id in 1..=20 {
            if id % 3 == 0 {
                batch.put(&AccountId(id), &Unreadable);
            } else {
                batch.put(&AccountId(id), &usage(id));
            }
        }
        store.commit(batch).await.unwrap();
        let ids = |rows: Vec<(AccountId, _)>| rows.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        let all: Vec<_> = (1..=20).filter(|id| id % 3 != 0).collect();
        for limit in [1, 2, 3, 5, 14, 15, usize::MAX] {
            assert_eq!(ids(store.scan::<Usage>(.., limit).unwrap()), all[..limit.min(all.len())]);
            let back: Vec<_> = all.iter().rev().take(limit).copied().collect();
            assert_eq!(ids(store.scan_back::<Usage>(.., limit).unwrap()), back);
        }
        let error = store.get::<Usage>(&AccountId(3)).unwrap_err();
        assert!(matches!(error, StoreError::Record { table: Table::Usage, .. }), "{error}");
    });
}

#[test]
fn keys_are_listed_and_counted_whether_their_records_read_or_not() {
    on_both(|store| async move {
        for account in 1..=9 {
            store.commit(put(account, 10)).await.unwrap();
        }
        let mut batch = Batch::new();
        batch.put(&AccountId(5), &Unreadable).put(&AccountId(10), &Unreadable);
        store.commit(batch).await.unwrap();
        let keys = |limit| store.keys_of::<Usage>(AccountId(3)..AccountId(20), limit).unwrap();
        assert_eq!(keys(99), (3..=10).map(AccountId).collect::<Vec<_>>());
        assert_eq!(keys(2), [AccountId(3), AccountId(4)]);
        let count = |most| store.count::<Usage>(.., most).unwrap();
        assert_eq!((count(99), count(10), count(4), count(0)), (10, 10, 4, 0));
        assert_eq!(store.count::<Usage>(AccountId(9).., 99).unwrap(), 2);
        assert_eq!(store.count::<Usage>(AccountId(11).., 99).unwrap(), 0);
        let mut batch = Batch::new();
        for account in 11..10_000 {
            batch.put(&AccountId(account), &usage(1));
        }
        store.commit(batch).await.unwrap();
        assert_eq!((count(100_000), count(8_192), count(8_193)), (9_999, 8_192, 8_193));
    });
}

#[test]
fn the_ranges_of_a_folder_and_of_an_account_hold_what_is_theirs() {
    on_both(|store| async move {
        let mut batch = Batch::new();
        for folder in [7, 8] {
            batch.put(&FolderKey { account: AccountId(folder), folder: FolderId(folder) }, &Folder::default());
            for uid in [1, 300, u32::MAX] {
                let message = Message {
                    modseq: 1,
                    flags: 0,
                    keywords: 0,
                    internal_date: -5,
                    saved_at: 0,
                    size: u64::MAX,
                    body: BodyId(1),
                };
                batch.put(&MessageKey { folder: FolderId(folder), uid }, &message);
            }
        }
        store.commit(batch).await.unwrap();
        let uids: Vec<_> = store.scan::<Message>(MessageKey::of(FolderId(7)), 10).unwrap();
        assert_eq!(uids.iter().map(|(key, _)| key.uid).collect::<Vec<_>>(), [1, 300, u32::MAX]);
        assert_eq!(uids[0].1.internal_date, -5);
        assert_eq!(store.scan::<Folder>(FolderKey::of(AccountId(8)), 10).unwrap().len(), 1);
    });
}

#[test]
fn numbers_are_allocated_once_even_in_a_crowd() {
    on_both(|store| async move {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.allocate(MetaKey::NextFolder, 3).await.unwrap() })
            })
            .collect();
        let mut firsts = Vec::new();
        for task in tasks {
            firsts.push(task.await.unwrap());
        }
        firsts.sort_unstable();
        assert_eq!(firsts, (0..20).map(|n| 1 + 3 * n).collect::<Vec<_>>());
        assert_eq!(store.get::<Meta>(&MetaKey::NextFolder).unwrap().unwrap().next, 61);
    });
}

#[test]
fn a_commit_that_is_due_soon_is_seen_once_it_has_answered() {
    on_both(|store| async move {
        store.commit_soon(put(1, 10)).await.unwrap();
        assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap().unwrap().record, usage(10));
        let mut batch = Batch::new();
        batch.expect::<Usage>(&AccountId(1), Expect::Absent);
        batch.put(&AccountId(1), &usage(11));
        assert!(matches!(store.commit_soon(batch).await, Err(CommitError::Conflict(_))));
    });
}

#[test]
fn a_commit_that_is_due_soon_waits_alone_and_goes_with_one_that_is_due_now() {
    let directory = Directory::new("soon");
    let (store, _) = open(directory.path());
    run(async {
        let begun = std::time::Instant::now();
        store.commit_soon(put(1, 10)).await.unwrap();
        assert!(begun.elapsed() >= std::time::Duration::from_millis(10), "nobody came to share its sync");
        let soon = store.commit_soon(put(2, 20));
        store.commit(put(3, 30)).await.unwrap();
        // It was answered before: a sync that waits for company would still be to come.
        tokio::time::timeout(std::time::Duration::ZERO, soon).await.unwrap().unwrap();
    });
    store.close();
}

#[test]
fn a_body_is_read_back_whole_whatever_its_size_and_pieces() {
    on_both(|store| async move {
        let mailbox = Mailbox::create(&store, 1, MailboxKey::generate(), 1).await;
        for size in [0, 1, 15, 16, 8191, 8192, 8193, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77] {
            for piece in [size.max(1), 1000, CHUNK] {
                let message = noise(size as u64, size);
                let delivered = mailbox.deliver(mailbox.folder(0), &message, piece).await.unwrap();
                assert_eq!(mailbox.read(delivered.folder, delivered.uid).unwrap(), message, "{size} by {piece}");
            }
        }
        mailbox.check_counters();
    });
}

#[test]
fn a_range_of_a_body_is_what_slicing_gives() {
    let directory = Directory::new("ranges");
    let (embedded, _) = open(directory.path());
    let sizes = [0, 1, 100, CHUNK, CHUNK + 1, 4 * CHUNK - 3];
    let mut bodies = Vec::new();
    for store in [Store::in_memory(), embedded] {
        run(async {
            let mailbox = Mailbox::create(&store, 1, MailboxKey::generate(), 1).await;
            for size in sizes {
                let message = noise(7, size);
                let delivered = mailbox.deliver(mailbox.folder(0), &message, 50_000).await.unwrap();
                let (record, key) = mailbox.body_key(&MessageKey { folder: delivered.folder, uid: delivered.uid });
                bodies.push((store.clone(), record.body, key, message));
            }
        });
    }
    let end = 4 * CHUNK as u64 + 10;
    proptest!(ProptestConfig::with_cases(400), |(which in 0..bodies.len(), a in 0..end, b in 0..end)| {
        let (store, id, key, message) = &bodies[which];
        let read = store.read_body_blocking(id, key, a.min(b)..a.max(b)).unwrap();
        let cut = |at: u64| (at as usize).min(message.len());
        prop_assert_eq!(&read, &message[cut(a.min(b))..cut(a.max(b))]);
    });
    let (store, id, key, message) = &bodies[sizes.len() * 2 - 1];
    assert_eq!(&run(store.read_body(id, key, 0..u64::MAX)).unwrap(), message);
}

#[test]
fn a_body_lives_as_long_as_a_message_shows_it() {
    on_both(|store| async move {
        let mailbox = Mailbox::create(&store, 1, MailboxKey::generate(), 2).await;
        let (inbox, archive) = (mailbox.folder(0), mailbox.folder(1));
        let message = noise(3, 200_000);
        let uid = mailbox.deliver(inbox, &message, 4096).await.unwrap().uid;
        let (record, key) = mailbox.body_key(&MessageKey { folder: inbox.folder, uid });
        let copied = mailbox.copy(inbox, uid, archive).await.unwrap();
        assert_eq!(store.get::<Body>(&record.body).unwrap().unwrap().references, 2);
        mailbox.delete(inbox, uid).await.unwrap();
        assert_eq!(mailbox.read(archive.folder, copied).unwrap(), message);
        let mut last = Batch::new();
        last.release_body(record.body, 1);
        store.commit(last).await.unwrap();
        assert!(store.get::<Body>(&record.body).unwrap().is_none());
        let gone = store.read_body_blocking(&record.body, &key, 0..10).unwrap_err();
        assert!(matches!(gone, StoreError::NoBody(id) if id == record.body));
        let mut retain = Batch::new();
        retain.retain_body(record.body, 1);
        assert_eq!(store.commit(retain).await, Err(CommitError::Conflict(Table::Body)));
        let mut release = Batch::new();
        release.release_body(record.body, 1);
        store.commit(release).await.unwrap();
    });
}

#[test]
fn reference_counts_hold_when_many_mailboxes_change_them_at_once() {
    on_both(|store| async move {
        let mut sink = store.body_sink();
        sink.write(b"partage").await.unwrap();
        let staged = sink.finish().await.unwrap();
        let id = staged.id;
        let mut batch = Batch::new();
        batch.adopt(staged, 1);
        store.commit(batch).await.unwrap();
        let change = |keep: bool| {
            let mut batch = Batch::new();
            if keep {
                batch.retain_body(id, 2)
            } else {
                batch.release_body(id, 1)
            };
            store.commit(batch)
        };
        let commits: Vec<_> = (0..100).map(|n| change(n % 2 == 0)).collect();
        for commit in commits {
            commit.await.unwrap();
        }
        assert_eq!(store.get::<Body>(&id).unwrap().unwrap().references, 1 + 50 * 2 - 50);
    });
}

#[test]
fn a_body_does_not_open_with_another_mailboxes_key() {
    on_both(|store| async move {
        let mine = Mailbox::create(&store, 1, MailboxKey::generate(), 1).await;
        let other = MailboxKey::generate();
        let uid = mine.deliver(mine.folder(0), b"secret", 10).await.unwrap().uid;
        let key = MessageKey { folder: mine.folder(0).folder, uid };
        let message = store.get::<Message>(&key).unwrap().unwrap();
        let content = store.get::<caducee::store::Content>(&key).unwrap().unwrap();
        assert!(other.open_body_key(message.body, &content.sealed_body_key).is_err());
        let wrong = caducee::store::BodyKey::generate();
        let error = store.read_body_blocking(&message.body, &wrong, 0..6).unwrap_err();
        assert!(matches!(error, StoreError::DamagedChunk { index: 0, .. }), "{error}");
    });
}

#[test]
fn a_record_too_large_for_the_index_is_read_all_the_same() {
    on_both(|store| async move {
        for size in [100, 3000, 3072, 4096, 100_000, 5_000_000] {
            let description: String = (0..size).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
            let domain = Domain { name: "d".into(), description, created_at: 1, ..Domain::default() };
            let mut batch = Batch::new();
            batch.put(&"d".to_owned(), &domain);
            store.commit(batch).await.unwrap();
            assert_eq!(store.get::<Domain>(&"d".to_owned()).unwrap().unwrap().record, domain);
            assert_eq!(store.scan::<Domain>(.., 5).unwrap().len(), 1);
        }
    });
}

#[test]
fn a_batch_beyond_the_limit_is_refused_and_nothing_of_it_is_kept() {
    on_both(|store| async move {
        let mut batch = Batch::new();
        let description = "x".repeat(1024 * 1024);
        for number in 0..=MAX_COMMIT / (1024 * 1024) {
            let domain = Domain { description: description.clone(), ..Domain::default() };
            batch.put(&number.to_string(), &domain);
        }
        assert!(matches!(store.commit(batch).await, Err(CommitError::TooLarge(_))));
        assert!(store.scan::<Domain>(.., 1).unwrap().is_empty());
    });
}

#[test]
fn a_commit_goes_through_even_if_nobody_waits_for_it() {
    on_both(|store| async move {
        drop(store.commit(put(5, 55)));
        store.commit(put(6, 66)).await.unwrap();
        assert_eq!(store.get::<Usage>(&AccountId(5)).unwrap().unwrap().bytes, 55);
    });
}

#[test]
fn a_closed_store_gives_no_positive_answer() {
    on_both(|store| async move {
        let mut sink = store.body_sink();
        let closing = store.clone();
        tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
        assert_eq!(store.commit(put(1, 1)).await, Err(CommitError::Unknown));
        let written = async {
            sink.write(&noise(1, 10 * CHUNK)).await?;
            sink.finish().await.map(drop)
        };
        assert!(matches!(written.await, Err(StoreError::Stopped)));
    });
}
