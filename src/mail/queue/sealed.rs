//! The sealed parts of the queue's records: envelopes and recipients, as JSON under the transit key.
//!
//! What a part belongs to is part of its additional data: one that is moved to another record does not open there.

use serde::{Deserialize, Serialize};

use crate::mss::Address;
use crate::store::{AccountId, MailboxKey, QueueId, QueueRecipientKey};
use crate::wire::smtp::params::{BodyKind, MailParams, Notify, OriginalRecipient, RcptParams, Return};

use super::QueueError;
use super::types::{Envelope, Kind, Words};

/// A recipient's record, opened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipient {
    pub(super) address: Address,
    pub(super) params: RcptParams,
    /// What was last said about it.
    pub(super) last: Option<Words>,
    /// Unix seconds of the last try.
    pub(super) tried_at: Option<i64>,
}

pub(super) fn seal_envelope(key: &MailboxKey, id: QueueId, envelope: &Envelope) -> Vec<u8> {
    seal(key, &message_aad(id), &EnvelopeForm::of(envelope))
}

pub(super) fn open_envelope(key: &MailboxKey, id: QueueId, sealed: &[u8]) -> Result<Envelope, QueueError> {
    open::<EnvelopeForm>(key, &message_aad(id), sealed).map(EnvelopeForm::into_envelope)
}

pub(super) fn seal_recipient(key: &MailboxKey, at: QueueRecipientKey, recipient: &Recipient) -> Vec<u8> {
    seal(key, &recipient_aad(at), &RecipientForm::of(recipient))
}

pub(super) fn open_recipient(key: &MailboxKey, at: QueueRecipientKey, sealed: &[u8]) -> Result<Recipient, QueueError> {
    open::<RecipientForm>(key, &recipient_aad(at), sealed).map(RecipientForm::into_recipient)
}

fn seal(key: &MailboxKey, aad: &[u8], form: &impl Serialize) -> Vec<u8> {
    let plain = serde_json::to_vec(form).expect("these forms have text keys only");
    key.seal_bytes(aad, &plain)
}

fn open<T: for<'a> Deserialize<'a>>(key: &MailboxKey, aad: &[u8], sealed: &[u8]) -> Result<T, QueueError> {
    serde_json::from_slice(&key.open_bytes(aad, sealed)?).map_err(|_| QueueError::Malformed)
}

fn message_aad(id: QueueId) -> Vec<u8> {
    [b"queue message".as_slice(), &id.0.to_be_bytes()].concat()
}

fn recipient_aad(key: QueueRecipientKey) -> Vec<u8> {
    let QueueRecipientKey { consignment, number } = key;
    let (message, consignment) = (consignment.message.0.to_be_bytes(), consignment.number.to_be_bytes());
    [b"queue recipient".as_slice(), &message, &consignment, &number.to_be_bytes()].concat()
}

/// An [`Envelope`] as it is written. Fields may be added, with a default; none changes its meaning.
#[derive(Serialize, Deserialize)]
struct EnvelopeForm {
    kind: Kind,
    sender: Option<Address>,
    account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    eight_bit: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    utf8: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ret_full: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    reference: String,
}

impl EnvelopeForm {
    fn of(envelope: &Envelope) -> Self {
        let params = &envelope.params;
        Self {
            kind: envelope.kind,
            sender: envelope.sender.clone(),
            account: envelope.account,
            eight_bit: params.body == BodyKind::EightBitMime,
            utf8: params.smtp_utf8,
            ret_full: params.ret.map(|ret| ret == Return::Full),
            envid: params.envelope_id.clone(),
            message_id: envelope.message_id.clone(),
            reference: envelope.reference.clone(),
        }
    }

    fn into_envelope(self) -> Envelope {
        let params = MailParams {
            // What is sent has a size of its own.
            size: None,
            body: if self.eight_bit { BodyKind::EightBitMime } else { BodyKind::SevenBit },
            smtp_utf8: self.utf8,
            ret: self.ret_full.map(|full| if full { Return::Full } else { Return::Headers }),
            envelope_id: self.envid,
            // Kept as a moment of the message (`not_before`).
            hold: None,
        };
        Envelope {
            kind: self.kind,
            sender: self.sender,
            account: self.account,
            params,
            message_id: self.message_id,
            reference: self.reference,
        }
    }
}

/// NOTIFY as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NotifyForm {
    Never,
    On { success: bool, failure: bool, delay: bool },
}

/// A [`Recipient`] as it is written.
#[derive(Serialize, Deserialize)]
struct RecipientForm {
    address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<NotifyForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orcpt: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tried_at: Option<i64>,
}

impl RecipientForm {
    fn of(recipient: &Recipient) -> Self {
        let notify = |notify| match notify {
            Notify::Never => NotifyForm::Never,
            Notify::On { success, failure, delay } => NotifyForm::On { success, failure, delay },
        };
        let original = |original: &OriginalRecipient| (original.address_type.clone(), original.address.clone());
        Self {
            address: recipient.address.clone(),
            notify: recipient.params.notify.map(notify),
            orcpt: recipient.params.original.as_ref().map(original),
            last: recipient.last.clone(),
            tried_at: recipient.tried_at,
        }
    }

    fn into_recipient(self) -> Recipient {
        let notify = |form| match form {
            NotifyForm::Never => Notify::Never,
            NotifyForm::On { success, failure, delay } => Notify::On { success, failure, delay },
        };
        let original = |(address_type, address)| OriginalRecipient { address_type, address };
        let params = RcptParams { notify: self.notify.map(notify), original: self.orcpt.map(original) };
        Recipient { address: self.address, params, last: self.last, tried_at: self.tried_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ConsignmentKey;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_envelope_comes_back_as_it_was_and_for_its_own_message_only() {
        let key = MailboxKey::generate();
        for params in [
            MailParams::default(),
            MailParams {
                size: None,
                body: BodyKind::EightBitMime,
                smtp_utf8: true,
                ret: Some(Return::Headers),
                envelope_id: Some("é=1".into()),
                hold: None,
            },
        ] {
            let envelope = Envelope {
                kind: Kind::Forward,
                sender: Some(address("\"a b\"@a.example")),
                account: Some(AccountId(7)),
                params,
                message_id: Some("<1@a.example>".into()),
                reference: "6921-1/2".into(),
            };
            let sealed = seal_envelope(&key, QueueId(1), &envelope);
            assert_eq!(open_envelope(&key, QueueId(1), &sealed).unwrap(), envelope);
            assert!(matches!(open_envelope(&key, QueueId(2), &sealed), Err(QueueError::Sealed(_))));
            assert!(!sealed.windows(9).any(|window| window == b"a.example"));
        }
    }

    #[test]
    fn a_recipient_comes_back_as_it_was_and_at_its_own_place_only() {
        let key = MailboxKey::generate();
        let consignment = ConsignmentKey { message: QueueId(1), number: 2 };
        let at = QueueRecipientKey { consignment, number: 3 };
        let words = Words {
            code: Some(451),
            status: "4.2.1".into(),
            text: "plus tard".into(),
            host: Some("mx.b.example".into()),
            rule: None,
        };
        for notify in [None, Some(Notify::Never), Some(Notify::On { success: true, failure: false, delay: true })] {
            let original = OriginalRecipient { address_type: "rfc822".into(), address: "x@y.example".into() };
            let recipient = Recipient {
                address: address("émile@b.example"),
                params: RcptParams { notify, original: Some(original) },
                last: Some(words.clone()),
                tried_at: Some(5),
            };
            let sealed = seal_recipient(&key, at, &recipient);
            assert_eq!(open_recipient(&key, at, &sealed).unwrap(), recipient);
            let elsewhere = QueueRecipientKey { number: 4, ..at };
            assert!(open_recipient(&key, elsewhere, &sealed).is_err());
        }
    }
}
