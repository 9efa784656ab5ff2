//! A transaction, as this door keeps it.

use crate::accounts::Account;
use crate::mail::aftermath::HeaderFacts;
use crate::mail::queue::OutboundRecipient;
use crate::mail::{Incoming, MailError, Passing};
use crate::mss::Address;
use crate::mss::exchange::Party;
use crate::store::AccountId;
use crate::wire::smtp::params::{MailParams, Notify, RcptParams};

/// From an accepted `MAIL` to the answer at the message's end.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Names the transaction in logs, refusals and the `Received:` line: the connection's id and a count.
    pub(super) reference: String,
    /// In whose name it is sent: the mailbox of `MAIL FROM`, or with a null sender the one that is logged in.
    pub(super) account: Account,
    /// `None`: the null sender.
    pub(super) sender: Option<Address>,
    /// What `MAIL` said besides.
    pub(super) params: MailParams,
    /// Unix seconds before which nothing is sent (RFC 4865).
    pub(super) not_before: Option<i64>,
    /// Own mailboxes, each once.
    pub(super) local: Vec<Local>,
    /// Other operators' mailboxes, each once.
    pub(super) remote: Vec<OutboundRecipient>,
    /// The header section so far; empty once it has been checked and written.
    pub(super) header: Vec<u8>,
    /// What the header section has come to.
    pub(super) written: Written,
    /// 8-bit data has come, declared or not.
    pub(super) eight_bit: bool,
    /// Where the message goes, once it comes.
    pub(super) incoming: Option<Taking>,
}

/// A message while it comes.
#[derive(Debug)]
pub(super) enum Taking {
    /// Mailboxes here show it: its recipients', or its sender's own.
    Kept(Box<Incoming>),
    /// It goes to other operators and nowhere else.
    Passing(Box<Passing>),
}

impl Taking {
    /// As [`Incoming::write`].
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        match self {
            Taking::Kept(incoming) => incoming.write(bytes).await,
            Taking::Passing(passing) => passing.write(bytes).await,
        }
    }
}

/// An own mailbox among the recipients.
#[derive(Debug)]
pub(super) struct Local {
    /// The mailbox.
    pub(super) account: AccountId,
    /// Its address as it is registered.
    pub(super) address: Address,
    /// As the exchange rules see it.
    pub(super) party: Party,
    /// When its sender wants reports (RFC 3461 §4). A delivery here is final: there is nothing to report but success.
    pub(super) params: RcptParams,
}

/// What is known once the header section is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// `Message-ID:`, the program's or ours.
    pub(super) message_id: Option<String>,
    /// The mailboxes that the patients among the recipients may answer to.
    pub(super) answered_at: Vec<AccountId>,
    /// What else the header section says.
    pub(super) facts: HeaderFacts,
    /// `X-MSS-*` fields (MSSanté §7).
    pub(super) mss: Vec<(String, String)>,
    /// Octets at the start that are for own mailboxes only.
    pub(super) skip: u32,
    /// Octets of the header section after them.
    pub(super) header: u64,
}

impl Envelope {
    /// The reverse path with its angle brackets.
    pub(super) fn return_path(&self) -> String {
        self.sender.as_ref().map_or_else(|| "<>".to_owned(), |address| format!("<{address}>"))
    }

    /// The mailbox that a copy of the message is filed in. A notification (null sender) is a program's affair: it is no letter
    /// that its author would look for.
    pub(super) fn sent_copy(&self) -> Option<AccountId> {
        (self.account.data.save_sent && self.sender.is_some()).then_some(self.account.id)
    }

    /// Whether no mailbox here shows the message. Its recipients are known: RFC 5321 §3.3, none is named after `DATA`.
    pub(super) fn only_passes(&self) -> bool {
        self.local.is_empty() && !self.remote.is_empty() && self.sent_copy().is_none()
    }

    /// How many own mailboxes' reports of success were asked for (RFC 3461 §5.2.2).
    pub(super) fn success_reports_wanted(&self) -> usize {
        let wanted = |local: &&Local| matches!(local.params.notify, Some(Notify::On { success: true, .. }));
        self.local.iter().filter(wanted).count()
    }

    /// Everybody that the message goes to, as the exchange rules see them.
    pub(super) fn parties(&self) -> impl Iterator<Item = Party> {
        let others = self.remote.iter().map(|recipient| Party::Other { address: recipient.address.clone() });
        self.local.iter().map(|local| local.party.clone()).chain(others)
    }

    /// Everybody's address that the message goes to.
    pub(super) fn recipients(&self) -> impl Iterator<Item = &Address> {
        let local = self.local.iter().map(|local| &local.address);
        local.chain(self.remote.iter().map(|remote| &remote.address))
    }

    /// The one recipient, if there is only one.
    pub(super) fn only_recipient(&self) -> Option<String> {
        match (self.local.as_slice(), self.remote.as_slice()) {
            ([local], []) => Some(local.address.to_string()),
            ([], [remote]) => Some(remote.address.to_string()),
            _ => None,
        }
    }
}
