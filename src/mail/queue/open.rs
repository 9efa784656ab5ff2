//! The start: the transit key, and everything that was on its way.

use std::collections::HashMap;
use std::ops::Bound;

use aws_lc_rs::rand;

use crate::store::{
    AccountId, Batch, CommitError, Consignment, ConsignmentKey, MailboxKey, MasterKey, QueueId, QueueMessage, Secret,
    SecretKey, Store, StoreError,
};

use super::super::{MailError, now};
use super::schedule::Schedule;
use super::stage::entry;
use super::types::QueueOptions;

/// Records read at a time.
const PAGE: usize = 4_096;

/// Seconds that a message has at least after a start: after a long stop it is tried once more before it is given up.
const GRACE: i64 = 600;

/// A queue that was read from its store.
pub(in crate::mail) struct Opened {
    pub(super) store: Store,
    pub(super) transit: MailboxKey,
    pub(super) options: QueueOptions,
    pub(super) schedule: Schedule,
}

/// The key that seals what is on its way; made at the first start. Waits for the disk then.
pub(in crate::mail) fn transit_key(store: &Store, master: &MasterKey) -> Result<MailboxKey, MailError> {
    loop {
        if let Some(secret) = store.get::<Secret>(&SecretKey::Transit)? {
            return Ok(master.open(NO_ACCOUNT, &secret.sealed)?);
        }
        let key = MailboxKey::generate();
        let mut batch = Batch::new();
        batch.insert(&SecretKey::Transit, &Secret { sealed: master.seal(NO_ACCOUNT, &key) });
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
    /// Reads what is on its way. A damaged record costs its own message, and is logged.
    pub(in crate::mail) fn read(
        store: &Store,
        transit: &MailboxKey,
        options: &QueueOptions,
    ) -> Result<Self, StoreError> {
        let mut seed = [0; 8];
        rand::fill(&mut seed).expect("the operating system's random generator answers");
        let mut schedule = Schedule::new(options.clone(), u64::from_be_bytes(seed));
        let mut after = Bound::Unbounded;
        loop {
            let page = store.scan::<Consignment>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Bound::Excluded(*last);
            let messages = messages_of(store, page[0].0.message, last.message)?;
            for (key, consignment) in &page {
                add(&mut schedule, *key, messages.get(&key.message), consignment);
            }
        }
        Ok(Self { store: store.clone(), transit: transit.clone(), options: options.clone(), schedule })
    }
}

fn add(schedule: &mut Schedule, key: ConsignmentKey, message: Option<&QueueMessage>, consignment: &Consignment) {
    let Some(message) = message else {
        tracing::error!(message = %key.message, "a queued message's record is missing or damaged; it is not sent");
        return;
    };
    let now = now();
    let mut entry = entry(key, message, consignment, schedule.lifetime(&consignment.domain));
    entry.expires_at = entry.expires_at.max(now + GRACE);
    schedule.add(entry, now);
}

fn messages_of(store: &Store, first: QueueId, last: QueueId) -> Result<HashMap<QueueId, QueueMessage>, StoreError> {
    let rows = store.scan::<QueueMessage>(first..=last, usize::MAX)?;
    // The sealed envelope is not needed here, and would be most of what is held.
    let row = |(id, row): (QueueId, crate::store::Versioned<QueueMessage>)| {
        (id, QueueMessage { sealed: Vec::new(), ..row.record })
    };
    Ok(rows.into_iter().map(row).collect())
}
