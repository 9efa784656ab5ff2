//! What the operator says of a domain and its mailboxes.

use crate::mail::MailError;
use crate::mss::Domain;
use crate::store::{self, Batch, CommitError};

use super::registry::ATTEMPTS;
use super::{AccountError, Registry};

/// What is to be changed of a domain; `None` leaves it as it is, `Some(None)` takes a bound away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainChange {
    /// What it is for.
    pub description: Option<String>,
    /// Bytes that all its mailboxes together may hold.
    pub quota: Option<Option<u64>>,
    /// Bytes that each of its mailboxes may hold that has no quota of its own.
    pub mailbox_quota: Option<Option<u64>>,
}

impl Registry {
    /// Changes what a domain and its mailboxes may hold; says what the domain's record is now.
    ///
    /// # Errors
    /// [`AccountError::NotOwnDomain`], or what the store says.
    pub async fn set_domain(&self, domain: &Domain, change: &DomainChange) -> Result<store::Domain, AccountError> {
        for attempt in 0..ATTEMPTS {
            let read = self.domain_record(domain)?;
            let mut record = read.record.clone();
            record.quota = change.quota.unwrap_or(record.quota);
            record.mailbox_quota = change.mailbox_quota.unwrap_or(record.mailbox_quota);
            if let Some(description) = &change.description {
                record.description.clone_from(description);
            }
            if record == read.record {
                return Ok(record);
            }
            let mut batch = Batch::new();
            batch.update(&record.name.clone(), read.version, &record);
            let fields = changed_fields(&read.record, &record);
            self.note_fields("domain-changed", None, fields, Some(record.name.clone()), &mut batch);
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let (room, changed) = (self.room().clone(), record.clone());
                    let counted = tokio::task::spawn_blocking(move || room.domain_changed(&changed)).await;
                    counted.unwrap_or(Err(MailError::Unknown))?;
                    return Ok(record);
                }
            }
        }
        Err(AccountError::Busy)
    }
}

/// The names of the fields that differ; never their values.
fn changed_fields(before: &store::Domain, after: &store::Domain) -> Vec<String> {
    let differ = [
        ("description", before.description != after.description),
        ("mailbox_quota", before.mailbox_quota != after.mailbox_quota),
        ("quota", before.quota != after.quota),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}
