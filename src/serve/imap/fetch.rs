//! FETCH, RFC 3501 §6.4.5, with CHANGEDSINCE, RFC 7162 §3.1.4.
//!
//! Messages are answered in batches: the summaries of the next batch are read off the async threads while the answers of
//! this one are written. Memory is bounded by two batches and one buffer of output, whatever is asked for.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::channel::Channel;
use super::reply::{Outcome, Reply, Stop};
use super::sections::{self, Written};
use super::session::Session;
use super::source::Source;
use super::structure;
use super::targets::Targets;
use super::updates::flag_list;
use crate::mail::{Entry, FlagOp, MailError, MessageFlags, Selected, StoredMessage};
use crate::store::flags;
use crate::wire::imap::command::FetchCommand;
use crate::wire::imap::date;
use crate::wire::imap::fetch::{FetchItem, Rfc822, Section, SectionText};
use crate::wire::imap::response::{self, Code, decimal};

/// Messages of a batch that needs no body.
const BATCH: usize = 512;
/// Messages of a batch whose bodies are read: `\Seen` is set for so many in one commit.
const BODY_BATCH: usize = 32;

/// Messages whose bytes are read before it is their turn.
const READ_AHEAD: usize = 4;

/// What a FETCH needs beside the shared list.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// Size, date, envelope or structure.
    summary: bool,
    /// The message's bytes.
    body: bool,
    /// Sets `\Seen`.
    seen: bool,
}

impl Needs {
    fn of(items: &[FetchItem]) -> Needs {
        let body = items.iter().any(|item| matches!(item, FetchItem::Section { .. } | FetchItem::Rfc822(_)));
        let of_list = |item: &FetchItem| matches!(item, FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq);
        Needs { summary: !items.iter().all(of_list), body, seen: items.iter().any(FetchItem::sets_seen) }
    }
}

/// Whether an item is a message's reading: its text or an attachment. Its own header, and where its parts begin, is what programs
/// make their lists of.
fn reads(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822(part) => *part != Rfc822::Header,
        FetchItem::Section { section: Section { part, text }, .. } => match text {
            Some(SectionText::Header | SectionText::HeaderFields { .. }) => !part.is_empty(),
            Some(SectionText::Mime) => false,
            Some(SectionText::Text) | None => true,
        },
        _ => false,
    }
}

/// A message to be answered.
#[derive(Debug, Clone, Copy)]
struct Target {
    seq: u32,
    entry: Entry,
    /// `\Seen` was set by this FETCH: its flags are told too.
    newly_seen: bool,
}

/// How it went beside the messages that were answered.
#[derive(Debug, Default)]
struct Trouble {
    /// Messages that were expunged meanwhile.
    gone: bool,
    /// Messages that could not be read.
    damaged: bool,
}

impl Session {
    /// FETCH and UID FETCH.
    pub(super) async fn fetch(&mut self, command: &FetchCommand) -> Outcome {
        let targets = self.targets(command.numbers, &command.set)?;
        if command.changed_since.is_some() || command.items.contains(&FetchItem::ModSeq) {
            self.enable_condstore();
        }
        if command.items.iter().any(reads) {
            self.trace_reading(&targets, command.changed_since).await?;
        }
        let needs = Needs::of(&command.items);
        let mut rest = Messages { targets, changed_since: command.changed_since };
        let mut trouble = Trouble::default();
        let mut ahead: Option<Batch> = None;
        loop {
            self.stands()?;
            let batch = match ahead.take() {
                Some(batch) => batch,
                None => match self.next_batch(&mut rest, needs).await? {
                    Some(batch) => batch,
                    None => break,
                },
            };
            if needs.body {
                self.answer_bodies(&command.items, batch, &mut trouble).await?;
            } else {
                ahead = self.answer_batch(&command.items, batch, &mut rest, needs, &mut trouble).await?;
            }
        }
        Ok(match trouble {
            Trouble { damaged: true, .. } => {
                Reply::no(Some(Code::ServerBug), "Some messages cannot be read; the administrator can find out why")
            }
            // RFC 2180 §4.1.2, RFC 5530: the others were answered.
            Trouble { gone: true, .. } => Reply::no(Some(Code::ExpungeIssued), "Some of the messages are gone"),
            _ => Reply::ok("Fetched"),
        })
    }

    /// The next messages, `\Seen` set where that is due, with their summaries where those are needed.
    async fn next_batch(&mut self, rest: &mut Messages, needs: Needs) -> Result<Option<Batch>, Stop> {
        let selected = self.selected()?;
        let mut messages = rest.take(selected, if needs.body { BODY_BATCH } else { BATCH });
        if messages.is_empty() {
            return Ok(None);
        }
        if needs.seen && !selected.is_read_only() {
            set_seen(selected, &mut messages).await?;
        }
        let summaries = summaries(selected, &messages, needs).await?;
        Ok(Some(Batch { messages, summaries }))
    }

    /// Writes a batch without bodies, while the next is read.
    async fn answer_batch(
        &mut self,
        items: &[FetchItem],
        batch: Batch,
        rest: &mut Messages,
        needs: Needs,
        trouble: &mut Trouble,
    ) -> Result<Option<Batch>, Stop> {
        let Session { channel, selected, .. } = self;
        let Some(selected) = selected.as_ref() else { return Ok(None) };
        let next = rest.take(selected, BATCH);
        let (written, summaries) =
            tokio::join!(write_batch(channel, selected, items, &batch, trouble), summaries(selected, &next, needs));
        written?;
        Ok((!next.is_empty()).then_some(Batch { messages: next, summaries: summaries? }))
    }

    /// Writes a batch with bodies, while those of the next messages are read.
    async fn answer_bodies(&mut self, items: &[FetchItem], batch: Batch, trouble: &mut Trouble) -> Result<(), Stop> {
        let mut pairs = batch.pairs();
        let mut ahead = VecDeque::new();
        loop {
            // Bodies flow as slowly as they are read: who is shown out meanwhile gets no further.
            self.stands()?;
            let Session { channel, selected, .. } = self;
            let Some(selected) = selected.as_ref() else { return Ok(()) };
            while ahead.len() < READ_AHEAD {
                let Some((target, message)) = pairs.next() else { break };
                match message {
                    Some(message) => ahead.push_back((target, message, open(selected, target, items).await?)),
                    None => trouble.gone = true,
                }
            }
            let Some((target, message, source)) = ahead.pop_front() else { return Ok(()) };
            let written = match source.get().await {
                Ok(mut source) => {
                    let mut answer = Answer { channel, selected, items, target, message: Some(message) };
                    answer.write_with_body(message, &mut source).await?
                }
                Err(missing) => missing,
            };
            match written {
                Written::Whole => {}
                Written::Gone => trouble.gone = true,
                Written::Damaged => trouble.damaged = true,
            }
        }
    }
}

/// A message whose bytes are on their way, or at hand.
enum Opened {
    Missing(Written),
    Source(Source),
    /// Being read.
    Warming(JoinHandle<Source>),
}

impl Opened {
    async fn get(self) -> Result<Source, Written> {
        match self {
            Opened::Missing(missing) => Err(missing),
            Opened::Source(source) => Ok(source),
            Opened::Warming(reading) => reading.await.map_err(|_| Written::Damaged),
        }
    }
}

/// Opens a message, and begins to read it where the items begin with its beginning.
async fn open(selected: &Selected, target: Target, items: &[FetchItem]) -> Result<Opened, Stop> {
    let body = match selected.body(target.entry.uid).await {
        Ok(body) => body,
        Err(MailError::MessageGone) => return Ok(Opened::Missing(Written::Gone)),
        Err(error @ (MailError::Store(_) | MailError::Sealed(_))) => {
            tracing::error!(uid = target.entry.uid, %error, "a message cannot be read");
            return Ok(Opened::Missing(Written::Damaged));
        }
        Err(error) => return Err(error.into()),
    };
    let early = items.iter().filter_map(sections::Asked::of).any(|asked| asked.begins_with_message());
    Ok(if early { Opened::Warming(tokio::spawn(Source::warm(body))) } else { Opened::Source(Source::new(body)) })
}

/// Messages and what was read of them.
struct Batch {
    messages: Vec<Target>,
    /// By rising UID; those that are gone are left out.
    summaries: Vec<StoredMessage>,
}

impl Batch {
    /// Each message with what was read of it; both rise by UID.
    fn pairs(&self) -> impl Iterator<Item = (Target, Option<&StoredMessage>)> {
        let mut summaries = self.summaries.iter().peekable();
        self.messages.iter().map(move |target| {
            while summaries.next_if(|message| message.uid < target.entry.uid).is_some() {}
            (*target, summaries.next_if(|message| message.uid == target.entry.uid))
        })
    }
}

/// The messages still to be answered.
struct Messages {
    targets: Targets,
    changed_since: Option<u64>,
}

impl Messages {
    /// Takes the next, at most `most`, that were changed since.
    fn take(&mut self, selected: &Selected, most: usize) -> Vec<Target> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(range) = self.targets.first_mut() else { break };
            let Some(seq) = range.next() else {
                self.targets.remove(0);
                continue;
            };
            let Some(entry) = selected.entry(seq).copied() else { continue };
            if self.changed_since.is_none_or(|since| entry.modseq > since) {
                taken.push(Target { seq, entry, newly_seen: false });
            }
        }
        taken
    }
}

/// Sets `\Seen` on those that have it not, RFC 3501 §6.4.5.
async fn set_seen(selected: &mut Selected, messages: &mut [Target]) -> Result<(), Stop> {
    let unseen: Vec<u32> =
        messages.iter().filter(|target| target.entry.flags & flags::SEEN == 0).map(|target| target.entry.uid).collect();
    if unseen.is_empty() {
        return Ok(());
    }
    match selected.store_flags(&unseen, FlagOp::Add, &MessageFlags::system(flags::SEEN), None).await {
        Ok(_) => {}
        // What can be read shall be read, marked or not.
        Err(error @ (MailError::Full | MailError::Busy)) => tracing::warn!(%error, "\\Seen could not be set"),
        Err(error) => return Err(error.into()),
    }
    for target in messages {
        if let Some(now) = selected.entry(target.seq) {
            target.newly_seen = target.entry.flags != now.flags;
            target.entry = *now;
        }
    }
    Ok(())
}

async fn summaries(selected: &Selected, messages: &[Target], needs: Needs) -> Result<Vec<StoredMessage>, MailError> {
    if !needs.summary || messages.is_empty() {
        return Ok(Vec::new());
    }
    selected.summaries(messages.iter().map(|target| target.entry.uid).collect()).await
}

async fn write_batch(
    channel: &mut Channel,
    selected: &Selected,
    items: &[FetchItem],
    batch: &Batch,
    trouble: &mut Trouble,
) -> Result<(), Stop> {
    let of_list = batch.summaries.is_empty() && !Needs::of(items).summary;
    for (target, message) in batch.pairs() {
        if message.is_none() && !of_list {
            trouble.gone = true;
            continue;
        }
        Answer { channel, selected, items, target, message }.write();
        channel.flush_if_full().await?;
    }
    Ok(())
}

/// One FETCH response.
struct Answer<'a> {
    channel: &'a mut Channel,
    selected: &'a Selected,
    items: &'a [FetchItem],
    target: Target,
    message: Option<&'a StoredMessage>,
}

impl Answer<'_> {
    fn begin(&mut self) {
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* ");
        decimal(out, u64::from(self.target.seq));
        out.extend_from_slice(b" FETCH (");
    }

    fn end(&mut self) {
        if self.target.newly_seen && !self.items.contains(&FetchItem::Flags) {
            self.channel.out.push(b' ');
            self.item(&FetchItem::Flags);
        }
        self.channel.out.extend_from_slice(b")\r\n");
    }

    /// A response of items that need no body.
    fn write(mut self) {
        self.begin();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                self.channel.out.push(b' ');
            }
            self.item(item);
        }
        self.end();
    }

    /// A response with sections; how the worst of them went.
    async fn write_with_body(&mut self, message: &StoredMessage, body: &mut Source) -> Result<Written, Stop> {
        let mut worst = Written::Whole;
        self.begin();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                self.channel.out.push(b' ');
            }
            match sections::Asked::of(item) {
                Some(asked) => worst = worst.max(sections::write(self.channel, &asked, message, body).await?),
                None => self.item(item),
            }
        }
        self.end();
        self.channel.flush_if_full().await?;
        Ok(worst)
    }

    fn item(&mut self, item: &FetchItem) {
        let out = &mut self.channel.out;
        let entry = &self.target.entry;
        match (item, self.message) {
            (FetchItem::Uid, _) => {
                out.extend_from_slice(b"UID ");
                decimal(out, u64::from(entry.uid));
            }
            (FetchItem::Flags, _) => {
                out.extend_from_slice(b"FLAGS ");
                flag_list(out, entry, self.selected.is_recent(entry.uid), self.selected.keywords());
            }
            (FetchItem::ModSeq, _) => {
                out.extend_from_slice(b"MODSEQ (");
                decimal(out, entry.modseq);
                out.push(b')');
            }
            (FetchItem::InternalDate, Some(message)) => {
                out.extend_from_slice(b"INTERNALDATE ");
                date::write_date_time(out, message.internal_date);
            }
            (FetchItem::Size, Some(message)) => {
                out.extend_from_slice(b"RFC822.SIZE ");
                decimal(out, message.size);
            }
            (FetchItem::Envelope, Some(message)) => {
                out.extend_from_slice(b"ENVELOPE ");
                structure::envelope(out, &message.summary.message.envelope);
            }
            (FetchItem::Body, Some(message)) => {
                out.extend_from_slice(b"BODY ");
                structure::body(out, &message.summary.message.root, false);
            }
            (FetchItem::BodyStructure, Some(message)) => {
                out.extend_from_slice(b"BODYSTRUCTURE ");
                structure::body(out, &message.summary.message.root, true);
            }
            // Written by `sections`; and a message without a summary is not answered at all.
            (FetchItem::Section { .. } | FetchItem::Rfc822(_), _) | (_, None) => response::nstring(out, None),
        }
    }
}
