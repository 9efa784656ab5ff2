//! Sending on to another operator: a message of the holder's, with the original attached.
//!
//! The original itself cannot go: our certificate may not speak for its author's domain (MSSanté §3).

use crate::audit::{Action, Actor, MessageFacts, Trace};
use crate::mail::queue::{Enqueued, Kind, Outbound, OutboundRecipient, QueueError};
use crate::mail::trace_fields;
use crate::mail::trail::{inside, mark, named, step, whole};
use crate::mail::{MailError, MailRoom, Passing, PassingMessage};
use crate::mss::exchange::{self, OwnMailbox, Party};
use crate::mss::{Address, AddressError, Decision, Refusal, TrustSpace};
use crate::store::{Batch, CommitError, StoreError};
use crate::wire::smtp::params::{BodyKind, MailParams, Notify, RcptParams, Return};

use super::compose::{Header, base64_lines, message_id, unique};
use super::expand::Errand;
use super::{Arrival, FORWARDED_FIELD};

/// Octets of the original that are copied at a time.
const PIECE: u64 = 256 * 1024;

/// Why mail of a mailbox may not be sent on to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardProblem {
    /// It is no address.
    #[error(transparent)]
    NoAddress(#[from] AddressError),
    /// It is the mailbox's own.
    #[error("it is the mailbox's own address")]
    Itself,
    /// It is a citizen's: what others wrote to a professional is not for one patient.
    #[error("mail is not sent on to citizens")]
    Citizen,
    /// The mailbox may not write to it.
    #[error("{}", .0.reason)]
    Refused(Refusal),
}

impl ForwardProblem {
    /// A stable name, for the log, the traces and the administration API.
    pub fn rule(&self) -> &'static str {
        match self {
            ForwardProblem::NoAddress(_) => "forward-no-address",
            ForwardProblem::Itself => "forward-itself",
            ForwardProblem::Citizen => "forward-citizen",
            ForwardProblem::Refused(refusal) => refusal.rule.name(),
        }
    }
}

/// Whether a mailbox may have its mail sent on to there: where it may write itself (MSSanté §3: no redirection out of the
/// trust space), and not to citizens.
///
/// # Errors
/// Why not.
pub fn may_forward(space: &TrustSpace, holder: &OwnMailbox, to: &Party) -> Result<(), ForwardProblem> {
    match to {
        Party::Other { address } if space.citizens.is_citizen(address) => return Err(ForwardProblem::Citizen),
        Party::Own(own) if own.address.key() == holder.address.key() => return Err(ForwardProblem::Itself),
        _ => {}
    }
    match exchange::decide(space, &Party::Own(holder.clone()), to) {
        Decision::Accept { .. } => Ok(()),
        Decision::Refuse(refusal) => Err(ForwardProblem::Refused(refusal)),
    }
}

/// Why a message for other operators could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnqueueError {
    /// With the original attached it would be larger than messages may be.
    #[error("the message would be larger than limits.message")]
    TooLarge,
    /// The original cannot be read …
    #[error(transparent)]
    Store(#[from] StoreError),
    /// … or the new message not written.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The queue does not take it …
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// … or has no number for it.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Makes the holder's message and puts it into the queue, for the commit of the batch.
pub(super) async fn enqueue(
    room: &MailRoom,
    arrival: &Arrival<'_>,
    errand: &Errand,
) -> Result<(Enqueued, Batch), EnqueueError> {
    let shell = Shell::around(arrival, errand);
    let original = arrival.message.size().saturating_sub(u64::from(arrival.skip));
    if shell.size() + original > arrival.largest {
        return Err(EnqueueError::TooLarge);
    }
    let mut passing = room.receive_passing();
    passing.write(shell.before.as_bytes()).await?;
    let has_eight_bits = copy(arrival, &mut passing).await?;
    passing.write(shell.after.as_bytes()).await?;
    let PassingMessage { body, travels } = passing.finish().await?;
    let outbound = outbound(arrival, errand, &shell, has_eight_bits);
    room.queue().reserve().await?;
    let mut batch = Batch::new();
    let queued = room.queue().stage(outbound, &body, &mut batch)?;
    batch.adopt(body, 1);
    note(room, arrival, errand, whole(Some(&shell.message_id), &travels), &mut batch);
    Ok((queued, batch))
}

/// What stands around the original.
struct Shell {
    message_id: String,
    /// Octets of the header section, within `before`.
    header: u64,
    /// Header, the holder's text, and what begins the attachment.
    before: String,
    after: String,
}

impl Shell {
    fn around(arrival: &Arrival<'_>, errand: &Errand) -> Self {
        let holder = &errand.holder.address;
        let facts = arrival.facts;
        let message_id = message_id(holder.domain());
        let boundary = format!("=_{}", unique());
        let mut header = Header::default();
        header.field("Date", trace_fields::date(arrival.now)).field("From", holder);
        // Who answers wants to answer the author.
        if let Some(author) = facts.from.as_ref().or(arrival.sender) {
            header.field("Reply-To", author);
        }
        header.list("To", &errand.to, ",");
        header.text("Subject", &format!("Tr : {}", facts.subject)).field("Message-ID", &message_id);
        if let Some(original) = &facts.message_id {
            header.field("References", original);
        }
        // RFC 3834 §5: no responder answers this to a holder who is away.
        header.field("Auto-Submitted", "auto-forwarded");
        for earlier in &facts.forwarded_by {
            header.field(FORWARDED_FIELD, format_args!("<{earlier}>"));
        }
        header.field(FORWARDED_FIELD, format_args!("<{holder}>")).field("MIME-Version", "1.0");
        header.field("Content-Type", format_args!("multipart/mixed;\r\n\tboundary=\"{boundary}\""));
        let header = header.end();
        let text = text(holder, facts.from.as_ref().or(arrival.sender));
        // RFC 6532 §3.7: a message with UTF-8 in its header is message/global.
        let media = if facts.is_utf8 { "message/global" } else { "message/rfc822" };
        let before = format!(
            "{header}--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             {}\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Transfer-Encoding: 8bit\r\n\
             Content-Disposition: attachment\r\n\r\n",
            base64_lines(&text)
        );
        Self { message_id, header: header.len() as u64, before, after: format!("\r\n--{boundary}--\r\n") }
    }

    fn size(&self) -> u64 {
        (self.before.len() + self.after.len()) as u64
    }
}

/// What the people at the other end read first.
fn text(holder: &Address, author: Option<&Address>) -> String {
    let answer = author.map_or_else(String::new, |author| format!("Pour lui répondre, écrivez à {author}.\n"));
    format!(
        "Bonjour,\n\nLe message joint a été reçu par la boîte {holder} et vous est transféré automatiquement, à la \
         demande de son titulaire.\n{answer}"
    )
}

/// Copies the original without our `Return-Path:`; tells whether there are octets beyond ASCII in it (RFC 6152).
async fn copy(arrival: &Arrival<'_>, passing: &mut Passing) -> Result<bool, EnqueueError> {
    let original = arrival.message.body.reader();
    let mut at = u64::from(arrival.skip);
    let mut has_eight_bits = false;
    while at < original.size() {
        let piece = original.read(at..at + PIECE).await?;
        has_eight_bits |= !piece.is_ascii();
        passing.write(&piece).await?;
        at += PIECE;
    }
    Ok(has_eight_bits)
}

fn outbound(arrival: &Arrival<'_>, errand: &Errand, shell: &Shell, has_eight_bits: bool) -> Outbound {
    let holder = &errand.holder.address;
    // RFC 6531: what is in the envelope or in a header, the attached one's too.
    let smtp_utf8 = arrival.facts.is_utf8 || !shell.before.is_ascii() || errand.to.iter().any(|to| !is_ascii(to));
    // RFC 3461 §5.2.7.1: the holder learns of failures, and of nothing else.
    let notify = Notify::On { success: false, failure: true, delay: false };
    let recipient = |address: &Address| OutboundRecipient {
        address: address.clone(),
        params: RcptParams { notify: Some(notify), original: None },
    };
    Outbound {
        kind: Kind::Forward,
        sender: Some(holder.clone()),
        account: Some(errand.account),
        params: MailParams {
            body: if has_eight_bits { BodyKind::EightBitMime } else { BodyKind::SevenBit },
            smtp_utf8,
            // Without a copy the message lies nowhere else: what does not arrive comes back whole.
            ret: Some(if errand.keeps_copy { Return::Headers } else { Return::Full }),
            ..MailParams::default()
        },
        recipients: errand.to.iter().map(recipient).collect(),
        message_id: Some(shell.message_id.clone()),
        reference: arrival.reference.to_owned(),
        skip: 0,
        header: shell.header,
        not_before: None,
    }
}

fn is_ascii(address: &Address) -> bool {
    address.to_string().is_ascii()
}

/// On two ways: the original's, which goes on here, and the new message's, which begins.
fn note(room: &MailRoom, arrival: &Arrival<'_>, errand: &Errand, message: MessageFacts, batch: &mut Batch) {
    let holder = &errand.holder.address;
    let original = arrival.facts.message_id.as_deref().map(|message_id| named(Some(message_id)));
    for message in original.into_iter().chain([message]) {
        mark(room, &message.message_id, Some(holder), batch);
        room.traces().note(sent_on(message, arrival.reference, holder, &errand.to, &[]), batch);
    }
}

/// A mailbox has sent a message on.
pub(super) fn sent_on(
    message: MessageFacts,
    reference: &str,
    holder: &Address,
    queued: &[Address],
    delivered: &[Address],
) -> Trace {
    let texts = |addresses: &[Address]| addresses.iter().map(Address::to_string).collect();
    let accepted = Action::Accepted { sender: holder.to_string(), queued: texts(queued), delivered: texts(delivered) };
    Trace {
        actor: Actor::server(),
        mailbox: Some(holder.to_string()),
        origin: inside("forward"),
        ..step(message, reference, accepted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail_parser::{MessageParser, MimeHeaders};

    use super::super::HeaderFacts;
    use super::*;
    use crate::mail::MailLimits;
    use crate::mss::{Kind as MailboxKind, MailboxState};
    use crate::store::{AccountId, MasterKey, QueueId, QueueMessage, Store};

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    /// The message in the queue once `original` has been sent on.
    async fn sent_on(original: &[u8], skip: u32) -> Vec<u8> {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let mut incoming = room.receive();
        incoming.write(original).await.unwrap();
        let message = incoming.finish().await.unwrap();
        let end = original.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let sender = address("marc@region.example");
        let arrival = Arrival {
            space: &Arc::default(),
            sender: Some(&sender),
            party: &Party::Other { address: sender.clone() },
            facts: &HeaderFacts::of(&original[skip as usize..end]),
            message: &message,
            skip,
            recipients: &[],
            reference: "1/1",
            largest: 25 << 20,
            now: 1_800_000_000,
        };
        let holder = OwnMailbox {
            address: address("zoe@aura.example"),
            kind: MailboxKind::Per,
            test: false,
            restricted: false,
            state: MailboxState::Open,
        };
        let to = vec![address("lea@region.example"), address("tom@autre.example")];
        let errand = Errand { account: AccountId(1), holder, to, keeps_copy: true };
        let (queued, batch) = enqueue(&room, &arrival, &errand).await.unwrap();
        room.store().commit(batch).await.unwrap();
        queued.announce();
        let rows = room.store().scan::<QueueMessage>(QueueId(0).., 10).unwrap();
        let [(_, record)] = rows.as_slice() else { panic!("{rows:?}") };
        let key = room.queue().body_key(record).unwrap();
        let bytes = room.store().read_body(&record.body, &key, 0..u64::MAX).await.unwrap();
        assert_eq!((record.skip, record.size), (0, bytes.len() as u64));
        assert!(bytes[..record.header as usize].ends_with(b"\r\n\r\n"));
        bytes
    }

    #[tokio::test]
    async fn the_original_is_attached_byte_for_byte_without_our_return_path() {
        let return_path = "Return-Path: <marc@region.example>\r\n";
        let body = "Compte rendu d\u{2019}h\u{f4}pital\r\n".repeat(40_000);
        let original = format!(
            "From: Marc <marc@region.example>\r\nSubject: =?utf-8?q?R=C3=A9sultats?=\r\nMessage-ID: <1@region.example>\r\n\
             X-Caducee-Forwarded: <anne@autre.example>\r\n\r\n{body}"
        );
        let bytes = sent_on(format!("{return_path}{original}").as_bytes(), return_path.len() as u32).await;
        let message = MessageParser::new().parse(&bytes).unwrap();
        assert_eq!(message.subject(), Some("Tr : R\u{e9}sultats"));
        assert_eq!(message.from().and_then(|from| from.first()?.address()), Some("zoe@aura.example"));
        assert_eq!(message.reply_to().and_then(|to| to.first()?.address()), Some("marc@region.example"));
        assert_eq!(message.to().map(|to| to.iter().count()), Some(2));
        assert!(message.body_text(0).unwrap().contains("transf\u{e9}r\u{e9} automatiquement"));
        let attached = message.attachment(0).unwrap();
        assert!(attached.content_type().is_some_and(|media| media.subtype() == Some("rfc822")));
        assert!(
            attached.contents() == original.as_bytes(),
            "{} octets of {}",
            attached.contents().len(),
            original.len()
        );
        let marks = HeaderFacts::of(&bytes);
        assert_eq!(marks.forwarded_by, ["anne@autre.example", "zoe@aura.example"]);
        assert!(marks.is_automatic && !marks.is_automatic_reply);
    }

    #[tokio::test]
    async fn a_message_with_utf_8_in_its_header_is_attached_as_what_it_is() {
        let bytes = sent_on("From: Zo\u{e9} <marc@region.example>\r\n\r\nx\r\n".as_bytes(), 0).await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\r\nContent-Type: message/global\r\n"), "{text}");
        assert!(text.contains("\r\nSubject: Tr :"), "{text}");
    }
}
