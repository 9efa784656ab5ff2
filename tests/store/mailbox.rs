//! A minimal mailbox over the store, as the mail room will do it: what deliveries and deletions look like to the store.

use caducee::store::{
    AccountId, Batch, BodyKey, Change, ChangeEntry, ChangeKey, CommitError, Committed, Content, Expect, Folder,
    FolderId, FolderKey, MailboxKey, Message, MessageKey, Store, StoreError, UidSet, Usage,
};

/// One account with its key, known to the test alone.
#[derive(Clone)]
pub struct Mailbox {
    pub store: Store,
    pub account: AccountId,
    pub key: MailboxKey,
}

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub folder: FolderId,
    pub uid: u32,
    pub committed: Committed,
}

impl Mailbox {
    /// An account with `folders` folders. Folder numbers start at `account * 100`.
    pub async fn create(store: &Store, account: u64, key: MailboxKey, folders: u64) -> Mailbox {
        let account = AccountId(account);
        let mut batch = Batch::new();
        for folder in 0..folders {
            let key = FolderKey { account, folder: FolderId(account.0 * 100 + folder) };
            let record =
                Folder { name: format!("dossier {folder}"), uid_validity: 1, uid_next: 1, ..Folder::default() };
            batch.insert(&key, &record);
        }
        batch.insert(&account, &Usage::default());
        match store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
        Mailbox { store: store.clone(), account, key }
    }

    /// Lets go of the store: it closes once all handles are gone.
    pub fn leave(self) -> (AccountId, MailboxKey) {
        (self.account, self.key)
    }

    /// The same mailbox in a store opened again.
    pub fn back(store: &Store, (account, key): &(AccountId, MailboxKey)) -> Mailbox {
        Mailbox { store: store.clone(), account: *account, key: key.clone() }
    }

    pub fn folder(&self, number: u64) -> FolderKey {
        FolderKey { account: self.account, folder: FolderId(self.account.0 * 100 + number) }
    }

    /// Delivers a message in pieces. The caller sees to it that nobody else changes the mailbox meanwhile.
    pub async fn deliver(&self, folder: FolderKey, message: &[u8], piece: usize) -> Result<Delivered, CommitError> {
        let mut sink = self.store.body_sink();
        let stopped = |error| match error {
            StoreError::Full => CommitError::Full,
            _ => CommitError::Unknown,
        };
        for piece in message.chunks(piece.max(1)) {
            sink.write(piece).await.map_err(stopped)?;
        }
        let staged = sink.finish().await.map_err(stopped)?;
        let mut at = self.store.get::<Folder>(&folder).unwrap().unwrap();
        let mut usage = self.store.get::<Usage>(&self.account).unwrap().unwrap();
        let uid = at.record.uid_next;
        at.record.uid_next += 1;
        at.record.highest_modseq += 1;
        at.record.messages += 1;
        at.record.unseen += 1;
        at.record.bytes += staged.size;
        usage.record.bytes += staged.size;
        usage.record.messages += 1;
        usage.record.last_change += 1;
        let modseq = at.record.highest_modseq;
        let key = MessageKey { folder: folder.folder, uid };
        let mut batch = Batch::new();
        let (internal_date, saved_at, size, body) = (1_700_000_000, 1_700_000_000, staged.size, staged.id);
        batch.insert(&key, &Message { modseq, flags: 0, keywords: 0, internal_date, saved_at, size, body });
        let sealed_body_key = self.key.seal_body_key(body, &staged.key);
        let sealed_summary = self.key.seal_bytes(b"summary", &message[..message.len().min(500)]);
        batch.insert(&key, &Content { sealed_body_key, sealed_summary });
        batch.update(&folder, at.version, &at.record);
        batch.update(&self.account, usage.version, &usage.record);
        let uids = UidSet::from_rising([uid]);
        let change =
            Change { at: internal_date, entries: vec![ChangeEntry::Arrived { folder: folder.folder, modseq, uids }] };
        batch.put(&ChangeKey { account: self.account, number: usage.record.last_change }, &change);
        batch.adopt(staged, 1);
        let committed = self.store.commit(batch).await?;
        Ok(Delivered { folder: folder.folder, uid, committed })
    }

    /// Deletes a message, as EXPUNGE does.
    pub async fn delete(&self, folder: FolderKey, uid: u32) -> Result<Committed, CommitError> {
        let key = MessageKey { folder: folder.folder, uid };
        let mut at = self.store.get::<Folder>(&folder).unwrap().unwrap();
        let mut usage = self.store.get::<Usage>(&self.account).unwrap().unwrap();
        let message = self.store.get::<Message>(&key).unwrap().unwrap();
        at.record.messages -= 1;
        at.record.unseen -= 1;
        at.record.bytes -= message.size;
        at.record.highest_modseq += 1;
        usage.record.bytes -= message.size;
        usage.record.messages -= 1;
        let mut batch = Batch::new();
        batch.expect::<Message>(&key, Expect::Version(message.version)).delete::<Message>(&key).delete::<Content>(&key);
        batch.release_body(message.body, 1);
        batch.update(&folder, at.version, &at.record).update(&self.account, usage.version, &usage.record);
        self.store.commit(batch).await
    }

    /// Copies a message into another folder, as COPY does: the body is shared.
    pub async fn copy(&self, from: FolderKey, uid: u32, to: FolderKey) -> Result<u32, CommitError> {
        let mut usage = self.store.get::<Usage>(&self.account).unwrap().unwrap();
        let key = MessageKey { folder: from.folder, uid };
        let mut message = self.store.get::<Message>(&key).unwrap().unwrap();
        let content = self.store.get::<Content>(&key).unwrap().unwrap();
        let mut at = self.store.get::<Folder>(&to).unwrap().unwrap();
        let new = MessageKey { folder: to.folder, uid: at.uid_next };
        at.record.uid_next += 1;
        at.record.highest_modseq += 1;
        message.record.modseq = at.highest_modseq;
        at.record.messages += 1;
        at.record.unseen += 1;
        at.record.bytes += message.size;
        usage.record.messages += 1;
        usage.record.bytes += message.size;
        let mut batch = Batch::new();
        batch.insert(&new, &message.record).insert(&new, &content.record).update(&to, at.version, &at.record);
        batch.update(&self.account, usage.version, &usage.record);
        batch.retain_body(message.body, 1);
        self.store.commit(batch).await.map(|_| new.uid)
    }

    pub fn body_key(&self, key: &MessageKey) -> (Message, BodyKey) {
        let message = self.store.get::<Message>(key).unwrap().unwrap().record;
        let content = self.store.get::<Content>(key).unwrap().unwrap();
        (message, self.key.open_body_key(message.body, &content.sealed_body_key).unwrap())
    }

    /// The whole message.
    pub fn read(&self, folder: FolderId, uid: u32) -> Result<Vec<u8>, StoreError> {
        let (message, key) = self.body_key(&MessageKey { folder, uid });
        self.store.read_body_blocking(&message.body, &key, 0..message.size)
    }

    /// Panics unless the counters are what the messages say, and UIDs are rising below UIDNEXT.
    pub fn check_counters(&self) {
        let (mut bytes, mut messages) = (0, 0);
        for (key, folder) in self.store.scan::<Folder>(FolderKey::of(self.account), 1000).unwrap() {
            let rows = self.store.scan::<Message>(MessageKey::of(key.folder), usize::MAX).unwrap();
            assert!(rows.windows(2).all(|pair| pair[0].0.uid < pair[1].0.uid));
            assert!(rows.iter().all(|(key, _)| key.uid < folder.uid_next), "a UID is not below UIDNEXT");
            assert!(rows.iter().all(|(_, message)| message.modseq <= folder.highest_modseq));
            assert_eq!(rows.len(), folder.messages as usize, "messages of folder {}", key.folder);
            assert_eq!(rows.iter().map(|(_, message)| message.size).sum::<u64>(), folder.bytes);
            bytes += folder.bytes;
            messages += rows.len() as u64;
        }
        let usage = self.store.get::<Usage>(&self.account).unwrap().unwrap();
        assert_eq!((usage.bytes, usage.messages), (bytes, messages), "usage of account {}", self.account);
    }
}
