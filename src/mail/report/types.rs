//! What a report is made from.

use crate::mail::ReceivedMessage;
use crate::mail::queue::{Envelope, Words};
use crate::mss::Address;
use crate::store::{BodyId, BodyKey};
use crate::wire::smtp::params::{Notify, RcptParams};

/// What happened to a recipient. RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It will never have the message.
    Failed,
    /// It has not got the message yet; we go on trying.
    Delayed,
    /// The message lies in its mailbox here.
    Delivered,
    /// The next server has the message and makes no reports.
    Relayed,
}

/// A recipient in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Whom.
    pub address: Address,
    /// NOTIFY and ORCPT as the sender gave them.
    pub params: RcptParams,
    /// What happened.
    pub action: Action,
    /// The last words about it.
    pub words: Words,
    /// Unix seconds of the last try.
    pub last_attempt: Option<i64>,
    /// Unix seconds until which we go on trying (`Delayed`).
    pub retry_until: Option<i64>,
}

/// The message that a report is about.
#[derive(Clone, Debug)]
pub struct Original {
    /// Sender, parameters (RET, ENVID), Message-ID, reference.
    pub envelope: Envelope,
    /// Unix seconds: when we took it.
    pub accepted_at: i64,
    /// Its bytes …
    pub body: BodyId,
    /// … and what opens them.
    pub body_key: BodyKey,
    /// Octets at the body's start that are ours.
    pub skip: u32,
    /// Octets of the message after them.
    pub size: u64,
    /// Octets of its header section.
    pub header: u64,
}

/// A report that is owed to the sender of a message: one for all recipients that something happened to at once. Which
/// recipients ask for it (NOTIFY) is decided by who makes the report, not by who owes it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The message.
    pub original: Original,
    /// The recipients.
    pub recipients: Vec<Reported>,
}

impl Original {
    /// A message that has just come in, before or after the commit that files it; `skip` octets at its start are ours.
    pub fn of(message: &ReceivedMessage, skip: u32, envelope: Envelope, accepted_at: i64) -> Original {
        let ours = u64::from(skip);
        Original {
            envelope,
            accepted_at,
            body: message.body.id,
            body_key: message.body.key.clone(),
            skip,
            size: message.size().saturating_sub(ours),
            header: message.summary.message.root.body_start.saturating_sub(ours),
        }
    }
}

impl Report {
    /// The report that is owed for recipients whose mailboxes have the message from now on; none when nobody asked for one
    /// (`NOTIFY=SUCCESS`, RFC 3461 §4.1).
    pub fn delivered(original: Original, recipients: Vec<(Address, RcptParams)>) -> Option<Report> {
        let is_wanted = |params: &RcptParams| matches!(params.notify, Some(Notify::On { success: true, .. }));
        let recipients: Vec<Reported> = recipients
            .into_iter()
            .filter(|(_, params)| is_wanted(params))
            .map(|(address, params)| Reported {
                address,
                params,
                action: Action::Delivered,
                words: Words { code: None, status: "2.1.5".into(), text: String::new(), host: None, rule: None },
                last_attempt: None,
                retry_until: None,
            })
            .collect();
        (!recipients.is_empty()).then_some(Report { original, recipients })
    }
}
