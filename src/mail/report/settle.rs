//! Reports on their way: composed, streamed into the log, and filed in one commit with what made them true.

use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::rand;

use crate::audit::{Action, Actor, MessageFacts, Trace};
use crate::mail::deliver::new_message;
use crate::mail::flags::FlagBits;
use crate::mail::mailbox::{MailboxGuard, commit};
use crate::mail::messages::seal_content;
use crate::mail::names::{FolderName, INBOX};
use crate::mail::queue::{Enqueued, Kind, Outbound, OutboundRecipient, QueueError};
use crate::mail::room::now;
use crate::mail::trail::{self, inside, named, step};
use crate::mail::work::{NewRow, Work};
use crate::mail::{Incoming, MailError, MailRoom, Mailbox, ReceivedMessage, trace_fields};
use crate::mss::Address;
use crate::mss::text::hex;
use crate::store::{AccountId, Batch, CommitError, Committed, StoreError};
use crate::wire::smtp::params::RcptParams;

use super::compose::{Composed, Enclose, Maker, compose};
use super::{Original, Report, Reported, notify};

/// Octets of an original that are in memory at one time.
const PIECE: u64 = 64 << 10;

/// Why neither the reports nor the batch that makes them true are written; the reports are still owed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettleError {
    /// The store did not write. A conflict is the caller's batch's.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot read now what a report needs; it may later.
    #[error(transparent)]
    Store(StoreError),
}

impl From<SettleError> for QueueError {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Commit(error) => QueueError::Commit(error),
            SettleError::Store(error) => QueueError::Store(error),
        }
    }
}

/// Commits `batch` together with the reports that are owed: each a new message, in its sender's own mailbox (beyond its
/// quota, and while it is suspended too) or in the queue for another operator's. A report that nobody asked for is none.
/// One that can never be delivered (the mailbox is closed, or damaged) is logged and put on the trail, and keeps nothing
/// from being committed.
///
/// # Errors
/// [`SettleError`]: then nothing is done, and the reports are still owed.
pub async fn settle(room: &MailRoom, reports: Vec<Report>, mut batch: Batch) -> Result<Committed, SettleError> {
    let mut letters = Vec::new();
    for report in &reports {
        let recipients = notify::wanted(report);
        let Some(to) = report.original.envelope.sender.as_ref().filter(|_| !recipients.is_empty()) else { continue };
        letters.push(Letter::make(room, report, to, &recipients, Source::Store).await?);
    }
    let (own, others): (Vec<_>, Vec<_>) = letters.into_iter().partition(|letter| letter.account.is_some());
    let mut enqueued = Vec::new();
    for letter in others {
        enqueued.extend(letter.enqueue(room, &mut batch).await?);
    }
    let committed = Filing::of(own, batch).commit(room).await?;
    enqueued.into_iter().for_each(Enqueued::announce);
    Ok(committed)
}

/// Adds a report for another operator's sender to the batch that makes it true; `None` when nobody is told so. The message
/// is not in the store yet, so its header section is given. The caller announces what it gets once the batch is committed.
/// (An own mailbox is told by [`settle`], which takes its lock.)
///
/// # Errors
/// As [`settle`].
pub async fn stage(
    room: &MailRoom,
    report: &Report,
    header: &[u8],
    batch: &mut Batch,
) -> Result<Option<Enqueued>, SettleError> {
    let recipients = notify::wanted(report);
    let envelope = &report.original.envelope;
    match envelope.sender.as_ref().filter(|_| envelope.account.is_none() && !recipients.is_empty()) {
        None => Ok(None),
        Some(to) => {
            let letter = Letter::make(room, report, to, &recipients, Source::Header(header)).await?;
            letter.enqueue(room, batch).await
        }
    }
}

/// Where an original's bytes are.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// In the store: any range can be read.
    Store,
    /// Its header section, at hand.
    Header(&'a [u8]),
}

/// A composed report whose bytes lie in the log, and where it goes.
struct Letter {
    /// The own mailbox; `None`: another operator's.
    account: Option<AccountId>,
    to: Address,
    message: ReceivedMessage,
    composed: Composed,
    /// The original, and about whom: for the trail.
    about: Option<String>,
    recipients: Vec<String>,
    reference: String,
}

impl Letter {
    /// Composes a report and streams it into the log. An original that cannot be read is not enclosed, unless it may lie
    /// nowhere else and be readable later.
    async fn make(
        room: &MailRoom,
        report: &Report,
        to: &Address,
        recipients: &[&Reported],
        source: Source<'_>,
    ) -> Result<Self, SettleError> {
        let (account, is_forward) = (report.original.envelope.account, report.original.envelope.kind == Kind::Forward);
        // MSSanté §3: a domain of ours. What another operator's sender is told of happened to a mailbox of ours.
        let domain = match (account, recipients) {
            (None, [first, ..]) => first.address.domain(),
            _ => to.domain(),
        };
        let token = token();
        let maker = Maker { host: &room.limits().host, domain, now: now(), token: &token };
        let mut composed = compose(report, to, recipients, &maker, enclosed(room, &report.original));
        let message = match write(room, report, source, &composed).await {
            Err(Trouble::Original(error)) if !(is_forward && may_pass(&error)) => {
                let reference = &report.original.envelope.reference;
                tracing::error!(%error, reference, "a report goes without the original: it cannot be read");
                composed = compose(report, to, recipients, &maker, Enclose::Nothing);
                write(room, report, source, &composed).await
            }
            written => written,
        };
        Ok(Letter {
            account,
            to: to.clone(),
            message: message.map_err(SettleError::from)?,
            composed,
            about: report.original.envelope.message_id.clone(),
            recipients: recipients.iter().map(|recipient| recipient.address.to_string()).collect(),
            reference: report.original.envelope.reference.clone(),
        })
    }

    /// Puts the report into the queue, with the null sender (RFC 3461 §6.1). What is given back is announced once the
    /// batch is committed. What the store cannot do now is an error, and no reason to lose the report.
    async fn enqueue(self, room: &MailRoom, batch: &mut Batch) -> Result<Option<Enqueued>, SettleError> {
        match self.stage(room, batch).await {
            Ok(enqueued) => {
                self.note(room, batch);
                batch.adopt(self.message.body, 1);
                Ok(Some(enqueued))
            }
            Err(QueueError::Commit(error)) => Err(error.into()),
            Err(QueueError::Store(error)) if may_pass(&error) => Err(SettleError::Store(error)),
            Err(error) => {
                self.lost(room, &error, batch);
                Ok(None)
            }
        }
    }

    async fn stage(&self, room: &MailRoom, batch: &mut Batch) -> Result<Enqueued, QueueError> {
        room.queue().reserve().await?;
        room.queue().stage(self.outbound(), &self.message.body, batch)
    }

    fn outbound(&self) -> Outbound {
        Outbound {
            kind: Kind::Report,
            sender: None,
            account: None,
            params: self.composed.params.clone(),
            recipients: vec![OutboundRecipient { address: self.to.clone(), params: RcptParams::default() }],
            message_id: Some(self.composed.message_id.clone()),
            reference: self.reference.clone(),
            skip: 0,
            header: self.composed.header,
            not_before: None,
        }
    }

    /// The report is on its way, or there: on the original's trail, and the beginning of its own.
    fn note(&self, room: &MailRoom, batch: &mut Batch) {
        let to = vec![self.to.to_string()];
        let (queued, delivered) = if self.account.is_none() { (to, Vec::new()) } else { (Vec::new(), to) };
        let own = trail::whole(Some(&self.composed.message_id), &self.message.travels);
        let accepted = Action::Accepted { sender: String::new(), queued, delivered };
        let accepted = Trace { origin: inside("report"), ..self.trace(own, accepted) };
        room.traces().note(accepted, batch);
        let reported = Action::Reported {
            result: self.composed.action.name().into(),
            recipients: self.recipients.clone(),
            report: self.composed.message_id.clone(),
        };
        room.traces().note(self.trace(named(self.about.as_deref()), reported), batch);
    }

    /// The report cannot be delivered: in the log and on the trail.
    fn lost(&self, room: &MailRoom, reason: &dyn std::fmt::Display, batch: &mut Batch) {
        let (reference, action) = (&self.reference, self.composed.action.name());
        tracing::warn!(event = "report-lost", reference, action, "a report cannot be delivered: {reason}");
        let lost = Action::ReportLost {
            result: action.into(),
            recipients: self.recipients.clone(),
            reason: reason.to_string(),
        };
        room.traces().note(self.trace(named(self.about.as_deref()), lost), batch);
    }

    fn trace(&self, message: MessageFacts, action: Action) -> Trace {
        let mailbox = self.account.is_some().then(|| self.to.to_string());
        Trace { actor: Actor::server(), mailbox, ..step(message, &self.reference, action) }
    }
}

/// Why a report's bytes do not come together.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the original cannot be read: {0}")]
    Original(StoreError),
    #[error(transparent)]
    Writing(MailError),
}

impl From<Trouble> for SettleError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Writing(MailError::Full) => CommitError::Full.into(),
            Trouble::Original(error) | Trouble::Writing(MailError::Store(error)) => SettleError::Store(error),
            Trouble::Writing(_) => CommitError::Unknown.into(),
        }
    }
}

/// How much of an original goes back: beyond its quota a mailbox takes the words of a report and a header section, and
/// nothing larger that somebody asked for. What was sent on is no wish but the message itself.
fn enclosed(room: &MailRoom, original: &Original) -> Enclose {
    let Some(account) = original.envelope.account.filter(|_| original.envelope.kind != Kind::Forward) else {
        return Enclose::AsAsked;
    };
    let quota = room.open_any(account).and_then(|mailbox| mailbox.quota());
    // What cannot be looked at now is so again when the report is filed, and decided there.
    let has_room = quota.map_or(true, |quota| quota.has_room_for(original.size));
    if has_room { Enclose::AsAsked } else { Enclose::Headers }
}

/// Streams a report into the log; the original goes from the store to it in pieces.
async fn write(
    room: &MailRoom,
    report: &Report,
    source: Source<'_>,
    composed: &Composed,
) -> Result<ReceivedMessage, Trouble> {
    let mut incoming = room.receive();
    if report.original.envelope.account.is_some() {
        // RFC 5321 §4.4: final delivery; a report has the null sender.
        incoming.write_above(trace_fields::return_path("<>").as_bytes()).await.map_err(Trouble::Writing)?;
    }
    incoming.write(composed.head.as_bytes()).await.map_err(Trouble::Writing)?;
    match source {
        Source::Store => copy(room, report, composed.original.clone(), &mut incoming).await?,
        Source::Header(header) => incoming.write(header).await.map_err(Trouble::Writing)?,
    }
    incoming.write(composed.tail.as_bytes()).await.map_err(Trouble::Writing)?;
    incoming.finish().await.map_err(Trouble::Writing)
}

/// Copies a range of the original, a piece at a time.
async fn copy(room: &MailRoom, report: &Report, range: Range<u64>, to: &mut Incoming) -> Result<(), Trouble> {
    let original = &report.original;
    for piece in pieces(range) {
        let read = room.store().read_body(&original.body, &original.body_key, piece).await;
        to.write(&read.map_err(Trouble::Original)?).await.map_err(Trouble::Writing)?;
    }
    Ok(())
}

fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut from = range.start;
    std::iter::from_fn(move || {
        let piece = from..range.end.min(from.saturating_add(PIECE));
        from = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// 128 random bits in hexadecimal.
fn token() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the operating system's random generator answers");
    hex(&bytes)
}

/// Reports for own mailboxes on their way into the batch.
struct Filing {
    /// By rising account number: that is the order of the locks.
    letters: Vec<(AccountId, Letter)>,
    batch: Batch,
}

impl Filing {
    fn of(letters: Vec<Letter>, batch: Batch) -> Self {
        let keyed = letters.into_iter().filter_map(|letter| Some((letter.account?, letter)));
        let mut letters: Vec<_> = keyed.collect();
        letters.sort_by_key(|(account, _)| *account);
        Filing { letters, batch }
    }

    async fn commit(mut self, room: &MailRoom) -> Result<Committed, SettleError> {
        let (mut guards, mut announcements) = (Vec::new(), Vec::new());
        let mut letters = std::mem::take(&mut self.letters).into_iter().peekable();
        while let Some((account, letter)) = letters.next() {
            let mut of_account = vec![letter];
            while let Some((_, letter)) = letters.next_if(|(other, _)| *other == account) {
                of_account.push(letter);
            }
            match begin(room, account).await {
                Ok((guard, mut work, inbox)) => {
                    guards.push(guard);
                    for letter in of_account {
                        self.file(room, &mut work, inbox, letter);
                    }
                    announcements.push(work.finish(&mut self.batch));
                }
                Err(error) => {
                    let for_good = for_good(error)?;
                    of_account.iter().for_each(|letter| letter.lost(room, &for_good, &mut self.batch));
                }
            }
        }
        Ok(commit(room.store(), guards, self.batch, announcements).await?)
    }

    fn file(&mut self, room: &MailRoom, work: &mut Work, inbox: usize, letter: Letter) {
        let body = &letter.message.body;
        let row = NewRow {
            flags: FlagBits::default(),
            message: new_message(body.id, body.size, now()),
            content: seal_content(work.mailbox().key(), &letter.message, &letter.message.summary.encode()),
        };
        match work.add(inbox, row, &mut self.batch) {
            Ok(_) => {
                letter.note(room, &mut self.batch);
                self.batch.adopt(letter.message.body, 1);
            }
            Err(error) => letter.lost(room, &error, &mut self.batch),
        }
    }
}

/// Why a mailbox takes no report, if it never will: it is closed, or damaged.
///
/// # Errors
/// What is not the mailbox's trouble, or passes.
fn for_good(error: MailError) -> Result<MailError, SettleError> {
    match error {
        MailError::Full => Err(CommitError::Full.into()),
        MailError::Unknown => Err(CommitError::Unknown.into()),
        MailError::Store(error) if may_pass(&error) => Err(SettleError::Store(error)),
        error => Ok(error),
    }
}

/// The store fails, not a record of it: trying again may help.
fn may_pass(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { .. } | StoreError::Index(_))
}

/// The mailbox's lock, the change that is made, and its INBOX. A suspended mailbox takes reports as well: nothing is lost
/// of it (MSSanté §4), and its holder reads them once it is open again.
async fn begin(room: &MailRoom, account: AccountId) -> Result<(MailboxGuard, Work, usize), MailError> {
    loop {
        let mailbox: Arc<Mailbox> = room.open_any(account)?;
        let guard = mailbox.lock().await;
        // Suspended or opened again while we waited for the lock: others hold another one by now.
        if !room.is_open(&mailbox) {
            continue;
        }
        let work = Work::begin_unless_closed(&mailbox)?;
        let inbox = work.selectable(&FolderName::parse(INBOX)?)?;
        return Ok((guard, work, inbox));
    }
}

#[cfg(test)]
mod tests;
