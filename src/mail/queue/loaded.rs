//! A consignment as it lies in the store, opened.

use crate::mss::Domain;
use crate::store::{
    BodyKey, Consignment, ConsignmentKey, QueueId, QueueMessage, QueueRecipient, QueueRecipientKey, StoreError,
    Versioned,
};

use super::keys::TransitKey;
use super::lease::Lease;
use super::sealed::{self, Recipient};
use super::types::{Attempt, AttemptRecipient, Envelope, Kind};
use super::{Inner, QueueError};
use crate::mail::report::Original;

/// Recipients of one consignment that are read: staging makes no more ([`super::stage`]).
const RECIPIENTS: usize = 1_000;

/// A message in the queue, opened.
pub(super) struct LoadedMessage {
    pub(super) id: QueueId,
    pub(super) record: Versioned<QueueMessage>,
    pub(super) envelope: Envelope,
    /// What seals all that is sealed of it.
    pub(super) key: TransitKey,
}

/// A consignment, opened, with its message.
pub(super) struct Loaded {
    pub(super) key: ConsignmentKey,
    pub(super) message: LoadedMessage,
    pub(super) consignment: Versioned<Consignment>,
    pub(super) recipients: Vec<(u32, Recipient)>,
}

impl Inner {
    pub(super) fn load_message(&self, id: QueueId) -> Result<Option<LoadedMessage>, QueueError> {
        let Some(record) = self.store.get::<QueueMessage>(&id)? else { return Ok(None) };
        let key = self.keys.of(&record)?;
        let envelope = sealed::open_envelope(&key, id, &record.sealed)?;
        Ok(Some(LoadedMessage { id, record, envelope, key }))
    }

    /// Reads a consignment; `None`: it is gone.
    pub(super) fn load(&self, key: ConsignmentKey) -> Result<Option<Loaded>, QueueError> {
        let Some(consignment) = self.store.get::<Consignment>(&key)? else { return Ok(None) };
        let Some(message) = self.load_message(key.message)? else { return Err(QueueError::Malformed) };
        let recipients = self.load_recipients(key, &message.key)?;
        Ok(Some(Loaded { key, message, consignment, recipients }))
    }

    /// A damaged recipient costs itself.
    pub(super) fn load_recipients(
        &self,
        key: ConsignmentKey,
        sealing: &TransitKey,
    ) -> Result<Vec<(u32, Recipient)>, StoreError> {
        let rows = self.store.scan::<QueueRecipient>(QueueRecipientKey::of(key), RECIPIENTS)?;
        let opened = rows.into_iter().filter_map(|(at, row)| {
            let opened = sealed::open_recipient(sealing, at, &row.sealed);
            if let Err(error) = &opened {
                tracing::error!(message = %key.message, number = at.number, %error, "a queued recipient cannot be read");
            }
            Some((at.number, opened.ok()?))
        });
        Ok(opened.collect())
    }
}

impl LoadedMessage {
    /// Its failures and delays are told to somebody.
    pub(super) fn is_reported(&self) -> bool {
        is_reported(&self.envelope)
    }

    fn body_key(&self) -> Result<BodyKey, QueueError> {
        Ok(self.key.open_body_key(self.record.body, &self.record.sealed_body_key)?)
    }

    /// What a report about it is made from.
    pub(super) fn original(&self) -> Result<Original, QueueError> {
        let QueueMessage { body, skip, size, header, accepted_at, .. } = self.record.record;
        let body_key = self.body_key()?;
        Ok(Original { envelope: self.envelope.clone(), accepted_at, body, body_key, skip, size, header })
    }
}

/// A report's or notice's failure is told to nobody, nor is that of a message without a sender (RFC 5321 §4.5.5).
pub(super) fn is_reported(envelope: &Envelope) -> bool {
    matches!(envelope.kind, Kind::Mail | Kind::Forward) && envelope.sender.is_some()
}

impl Loaded {
    /// The next try at it.
    pub(super) fn attempt(self, lease: Lease) -> Result<Attempt, QueueError> {
        let domain = Domain::parse(&self.consignment.domain).map_err(|_| QueueError::Malformed)?;
        let body_key = self.message.body_key()?;
        let QueueMessage { body, skip, size, .. } = self.message.record.record;
        let recipient = |(number, Recipient { address, params, .. })| AttemptRecipient { number, address, params };
        Ok(Attempt {
            key: self.key,
            version: self.consignment.version,
            domain,
            number: self.consignment.attempts.saturating_add(1),
            envelope: self.message.envelope,
            recipients: self.recipients.into_iter().map(recipient).collect(),
            body,
            body_key,
            skip,
            size,
            lease,
        })
    }
}
