//! A transaction, as this door keeps it.

use crate::mail::Incoming;
use crate::mail::aftermath::HeaderFacts;
use crate::mss::Address;
use crate::mss::exchange::Party;
use crate::store::AccountId;
use crate::wire::smtp::params::{MailParams, Notify, RcptParams};

/// From an accepted `MAIL` to the answer at the message's end.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Names the transaction in logs, refusals and the `Received:` line: the connection's id and a count.
    pub(super) reference: String,
    /// `None`: the null sender.
    pub(super) sender: Option<Address>,
    /// The sender as the exchange rules see it.
    pub(super) party: Party,
    /// The admission rule that let the sender pass.
    pub(super) rule: &'static str,
    /// What `MAIL` said besides.
    pub(super) params: MailParams,
    /// The accepted recipients, each mailbox once.
    pub(super) recipients: Vec<Recipient>,
    /// The header section so far; once it has been checked and written it is kept only if a report of success gives it
    /// back.
    pub(super) header: Vec<u8>,
    /// Octets of our own lines on top of the message.
    pub(super) ours: u32,
    /// `X-MSS-*` fields (MSSanté §7).
    pub(super) mss: Vec<(String, String)>,
    /// What the header section says, once it has been checked.
    pub(super) facts: HeaderFacts,
    /// Where the message goes, once it comes.
    pub(super) incoming: Option<Incoming>,
}

/// An accepted recipient.
#[derive(Debug)]
pub(super) struct Recipient {
    /// The mailbox.
    pub(super) account: AccountId,
    /// Its address as it is registered.
    pub(super) address: Address,
    /// When its sender wants reports (RFC 3461 §4). A delivery here is final: there is nothing to report but success.
    pub(super) params: RcptParams,
}

impl Envelope {
    /// The sender's domain; none for the null sender.
    pub(super) fn sender_domain(&self) -> Option<&str> {
        self.sender.as_ref().map(|address| address.domain().as_str())
    }

    /// The reverse path with its angle brackets.
    pub(super) fn return_path(&self) -> String {
        self.sender.as_ref().map_or_else(|| "<>".to_owned(), |address| format!("<{address}>"))
    }

    /// Whether a recipient's sender asked for a report of success (RFC 3461 §4.1).
    pub(super) fn wants_success(&self) -> bool {
        let wanted = |recipient: &Recipient| matches!(recipient.params.notify, Some(Notify::On { success: true, .. }));
        self.sender.is_some() && self.recipients.iter().any(wanted)
    }

    /// The one recipient, if there is only one.
    pub(super) fn only_recipient(&self) -> Option<String> {
        match self.recipients.as_slice() {
            [recipient] => Some(recipient.address.to_string()),
            _ => None,
        }
    }
}
