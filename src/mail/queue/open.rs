//! The start: keys of the operator's own, and everything that was on its way.

use std::collections::BTreeMap;
use std::ops::Bound;

use aws_lc_rs::rand;

use crate::store::{
    AccountId, Batch, CommitError, Consignment, ConsignmentKey, MailboxKey, MasterKey, QueueId, QueueMessage,
    QueueRecipient, QueueRecipientKey, Secret, SecretKey, Store, StoreError,
};

use super::super::{MailError, now};
use super::GRACE;
use super::keys::TransitKeys;
use super::schedule::Schedule;
use super::sealed;
use super::stage::entry;
use super::types::QueueOptions;

/// Records read at a time.
const PAGE: usize = 4_096;

/// A queue that was read from its store.
pub(in crate::mail) struct Opened {
    pub(super) store: Store,
    pub(super) keys: TransitKeys,
    pub(super) options: QueueOptions,
    pub(super) schedule: Schedule,
}

/// A key of the operator's own: of what is on its way, of traces; made at the first start. Waits for the disk then.
pub(in crate::mail) fn own_key(store: &Store, master: &MasterKey, which: SecretKey) -> Result<MailboxKey, MailError> {
    loop {
        if let Some(secret) = store.get::<Secret>(&which)? {
            return Ok(master.open(NO_ACCOUNT, &secret.sealed)?);
        }
        let key = MailboxKey::generate();
        let mut batch = Batch::new();
        batch.insert(&which, &Secret { sealed: master.seal(NO_ACCOUNT, &key) });
        match store.commit_blocking(batch) {
            Ok(_) => return Ok(key),
            // Somebody else's came first: that one it is.
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Accounts number from 1: no mailbox's key is sealed for this one.
const NO_ACCOUNT: AccountId = AccountId(0);

impl Opened {
    /// Reads what is on its way. A damaged record costs itself, and is logged; waits for the disk where one can be made again.
    pub(in crate::mail) fn read(store: &Store, keys: TransitKeys, options: &QueueOptions) -> Result<Self, StoreError> {
        let mut seed = [0; 8];
        rand::fill(&mut seed).expect("the operating system's random generator answers");
        let mut schedule = Schedule::new(options.clone(), u64::from_be_bytes(seed));
        let mut after = Bound::Unbounded;
        loop {
            let page = store.scan::<Consignment>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Bound::Excluded(*last);
            for (key, consignment) in &page {
                begin(&mut schedule, *key, consignment);
            }
        }
        let mut opened = Self { store: store.clone(), keys, options: options.clone(), schedule };
        // Reading every message costs a start with a long queue most of its memory.
        if store.has_met_damage() {
            opened.consign_again()?;
        }
        Ok(opened)
    }

    /// Makes consignments again for recipients that have none. Only damage leaves such, and without this nobody would
    /// hear of them again; all that a consignment says but its tries stands in the message and in its recipients.
    fn consign_again(&mut self) -> Result<(), StoreError> {
        let mut after = Bound::Unbounded;
        loop {
            let page = self.store.scan::<QueueMessage>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Bound::Excluded(*last);
            for (id, message) in &page {
                let standing = self.store.scan::<Consignment>(ConsignmentKey::of(*id), usize::MAX)?;
                let mut lost = self.lost_consignments(*id, message)?;
                standing.iter().for_each(|(key, _)| drop(lost.remove(key)));
                if lost.is_empty() {
                    if !standing.is_empty() {
                        continue;
                    }
                    tracing::error!(message = %id, "a queued message has no recipient that can be read; it stays in the store");
                    continue;
                }
                let mut batch = Batch::new();
                for (key, consignment) in &lost {
                    batch.put(key, consignment);
                }
                if let Err(error) = self.store.commit_blocking(batch) {
                    tracing::error!(message = %id, %error, "a queued message waits for the next start");
                    continue;
                }
                tracing::warn!(message = %id, consignments = lost.len(), "a queued message has lost its place, and is due");
                lost.iter().for_each(|(key, consignment)| begin(&mut self.schedule, *key, consignment));
            }
        }
    }

    fn lost_consignments(
        &self,
        id: QueueId,
        message: &QueueMessage,
    ) -> Result<BTreeMap<ConsignmentKey, Consignment>, StoreError> {
        let mut lost = BTreeMap::new();
        let Ok(key) = self.keys.of(message) else { return Ok(lost) };
        for (at, row) in self.store.scan::<QueueRecipient>(QueueRecipientKey::of_message(id), usize::MAX)? {
            let Ok(recipient) = sealed::open_recipient(&key, at, &row.sealed) else { continue };
            let QueueMessage { accepted_at, expires_at, delay_at, not_before, .. } = *message;
            lost.entry(at.consignment).or_insert_with(|| Consignment {
                domain: recipient.address.domain().as_str().to_owned(),
                due_at: now().max(not_before),
                accepted_at,
                expires_at,
                delay_at,
                attempts: 0,
                held: false,
                delay_told: false,
            });
        }
        Ok(lost)
    }
}

/// A consignment takes its place at a start.
fn begin(schedule: &mut Schedule, key: ConsignmentKey, consignment: &Consignment) {
    let now = now();
    let mut entry = entry(key, consignment);
    entry.expires_at = entry.expires_at.max(now + GRACE);
    schedule.add(entry, now);
}
