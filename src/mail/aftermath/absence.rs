//! Telling correspondents that a mailbox's holder is away (RFC 3834).

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::audit::{Action, Actor, MessageFacts, Trace};
use crate::mail::parties::own_mailbox;
use crate::mail::queue::{Kind, Outbound, OutboundRecipient, QueueError};
use crate::mail::trail::{inside, step, whole};
use crate::mail::{DeliverError, Delivery, MailError, MailRoom, PassingMessage, deliver, trace_fields};
use crate::mss::exchange::{self, OwnMailbox, Party};
use crate::mss::{Address, CitizenRules, Refusal, TrustSpace};
use crate::store::{
    Absence, AbsenceAnswer, Account, AccountId, AccountState, Batch, CommitError, CorrespondentKey, StoreError,
};
use crate::wire::smtp::params::{MailParams, Notify, RcptParams};

use super::compose::{Header, base64_lines, message_id};
use super::{Arrival, HeaderFacts};

/// Seconds for which a correspondent who was told is not told again. RFC 3834 §2 leaves it to us.
pub const ONCE_IN: i64 = 7 * 86_400;

/// Notices of a mail room that may be on their way to the store at once. What comes beyond is let go: the correspondent's
/// next message is answered.
const MOST_UNDER_WAY: u32 = 256;

/// Records of the past that one notice takes away.
const FORGET_AT_ONCE: usize = 50;

/// Counts the notices of a mail room that are under way.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay(Arc<Semaphore>);

impl Default for UnderWay {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_UNDER_WAY as usize)))
    }
}

/// Resolves when no notice is under way: a server that stops lets them reach the store.
pub async fn idle(room: &MailRoom) {
    // It is never closed, and no more is asked for than there is.
    drop(room.notices().0.acquire_many(MOST_UNDER_WAY).await);
}

/// Why a message is not answered by an absence notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Silence {
    /// The holder is not away now.
    #[error("the holder is not away")]
    NotAway,
    /// There is nobody to answer (RFC 3834 §2).
    #[error("the sender is the null sender")]
    NullSender,
    /// The mailbox wrote it itself.
    #[error("the mailbox wrote to itself")]
    Itself,
    /// Software wrote it: other absence notices, notifications (RFC 3834 §2).
    #[error("software wrote it")]
    Automatic,
    /// A delivery or disposition report.
    #[error("it is a report")]
    Report,
    /// A list's, or bulk mail.
    #[error("it came by a list")]
    List,
    /// It asks for silence.
    #[error("it asks for no automatic answer")]
    NotWanted,
    /// The sender's address is one that only software has (RFC 3834 §2).
    #[error("the sender is no person")]
    NoPerson,
    /// The mailbox stands neither in `To:` nor in `Cc:` (RFC 3834 §2).
    #[error("it is not written to the mailbox by name")]
    NotNamed,
    /// Citizens are answered only where the holder wants it.
    #[error("the sender is a citizen")]
    Citizen,
}

/// Whether a message is answered, as far as the message tells: `None`, or why not. The envelope's sender is whom an answer
/// would go to.
pub fn silence(
    absence: &Absence,
    own: &Address,
    sender: Option<&Address>,
    facts: &HeaderFacts,
    citizens: &CitizenRules,
    now: i64,
) -> Option<Silence> {
    let Some(sender) = sender else { return Some(Silence::NullSender) };
    let reasons = [
        (!(absence.from..absence.until).contains(&now), Silence::NotAway),
        (sender.key() == own.key(), Silence::Itself),
        (facts.is_report, Silence::Report),
        (facts.is_automatic, Silence::Automatic),
        (facts.is_list, Silence::List),
        (facts.wants_no_answer, Silence::NotWanted),
        (is_no_person(sender), Silence::NoPerson),
        (!facts.names(own), Silence::NotNamed),
        (!absence.citizens && citizens.is_citizen(sender), Silence::Citizen),
    ];
    reasons.into_iter().find(|(holds, _)| *holds).map(|(_, silence)| silence)
}

/// RFC 3834 §2: lists' and servers' addresses.
fn is_no_person(sender: &Address) -> bool {
    let local = sender.local().to_ascii_lowercase();
    matches!(local.as_str(), "mailer-daemon" | "postmaster" | "noreply" | "no-reply" | "ne-pas-repondre")
        || local.starts_with("owner-")
        || local.ends_with("-request")
        || local.ends_with("-owner")
}

/// An absence notice that is owed. Whether the correspondent was told lately is asked when it is made.
#[derive(Clone, Debug)]
pub struct Notice {
    account: AccountId,
    to: Address,
    /// Its `Subject:`, `In-Reply-To:`, `References:`.
    subject: String,
    message_id: Option<String>,
    references: Vec<String>,
    reference: String,
    /// Unix seconds: when the message came.
    now: i64,
}

/// Why a notice did not leave.
#[derive(Debug, thiserror::Error)]
enum NoticeError {
    #[error("the holder is not away any more")]
    NotAway,
    #[error("the correspondent was told less than a week ago")]
    ToldLately,
    #[error("the mailbox may not write to the correspondent: {}", .0.reason)]
    Refused(Refusal),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Notice {
    /// The notice that a mailbox owes for a message, if it owes one.
    pub(super) fn of(account: AccountId, record: &Account, own: &OwnMailbox, arrival: &Arrival<'_>) -> Option<Self> {
        let absence = record.absence.as_ref()?;
        let (facts, citizens) = (arrival.facts, &arrival.space.citizens);
        if let Some(silence) = silence(absence, &own.address, arrival.sender, facts, citizens, arrival.now) {
            tracing::debug!(%account, reference = arrival.reference, "no absence notice: {silence}");
            return None;
        }
        Some(Self {
            account,
            to: arrival.sender?.clone(),
            subject: facts.subject.clone(),
            message_id: facts.message_id.clone(),
            references: facts.references.clone(),
            reference: arrival.reference.to_owned(),
            now: arrival.now,
        })
    }

    /// Sends it, beside everything else.
    pub(super) fn spawn(self, room: MailRoom, space: Arc<TrustSpace>) {
        let Ok(permit) = room.notices().0.clone().try_acquire_owned() else {
            tracing::warn!(account = %self.account, reference = self.reference, "too many absence notices at once");
            return;
        };
        tokio::spawn(async move {
            let (account, reference) = (self.account, self.reference.clone());
            match self.send(&room, &space).await {
                Ok(()) => tracing::info!(event = "absence-notice", %account, reference),
                Err(why) => tracing::info!(event = "no-absence-notice", %account, reference, %why),
            }
            drop(permit);
        });
    }

    async fn send(self, room: &MailRoom, space: &TrustSpace) -> Result<(), NoticeError> {
        let record = room.account(self.account)?.record;
        let own = own_mailbox(&record)?;
        let absence = record.absence.filter(|_| record.state == AccountState::Open).ok_or(NoticeError::NotAway)?;
        let to = room.party(&self.to)?;
        if let Some(refusal) = exchange::decide(space, &Party::Own(own.clone()), &to).refusal() {
            return Err(NoticeError::Refused(refusal.clone()));
        }
        let mut batch = Batch::new();
        self.note_told(room, &mut batch)?;
        let written = self.write(&own.address, &absence.text);
        match to {
            Party::Own(to) => self.file(room, &own.address, &to, written, batch).await,
            _ => self.enqueue(room, &own.address, written, batch).await,
        }
    }

    /// The correspondent is told with this commit, if nobody else tells them meanwhile; who was told long ago is forgotten.
    fn note_told(&self, room: &MailRoom, batch: &mut Batch) -> Result<(), NoticeError> {
        let mailbox = room.open(self.account)?;
        let digest = mailbox.key().digest("absence", &self.to.key());
        let key = CorrespondentKey { account: self.account, digest };
        let now = self.now;
        let answer = AbsenceAnswer { at: now };
        match room.store().get::<AbsenceAnswer>(&key)? {
            Some(last) if now - last.at < ONCE_IN => return Err(NoticeError::ToldLately),
            Some(last) => batch.update(&key, last.version, &answer),
            None => batch.insert(&key, &answer),
        };
        let others = key..=*CorrespondentKey::of(self.account).end();
        for (other, last) in room.store().scan::<AbsenceAnswer>(others, FORGET_AT_ONCE)? {
            if other != key && now - last.at >= ONCE_IN {
                batch.delete::<AbsenceAnswer>(&other);
            }
        }
        Ok(())
    }

    /// RFC 3834 §3: what an automatic answer says of itself.
    fn write(&self, own: &Address, text: &str) -> Written {
        let message_id = message_id(own.domain());
        let mut header = Header::default();
        header.field("Date", trace_fields::date(self.now)).field("From", own).field("To", &self.to);
        header.text("Subject", &subject(&self.subject)).field("Message-ID", &message_id);
        if let Some(answered) = &self.message_id {
            header.field("In-Reply-To", answered);
            let references = [self.references.as_slice(), std::slice::from_ref(answered)].concat();
            header.list("References", &references, "");
        }
        header.field("Auto-Submitted", "auto-replied (vacation)").field("X-Auto-Response-Suppress", "All");
        header.field("MIME-Version", "1.0").field("Content-Type", "text/plain; charset=utf-8");
        header.field("Content-Transfer-Encoding", "base64");
        Written { message_id, header: header.end(), body: base64_lines(text) }
    }

    fn note_accepted(&self, room: &MailRoom, own: &Address, message: MessageFacts, is_own: bool, batch: &mut Batch) {
        let to = vec![self.to.to_string()];
        let (queued, delivered) = if is_own { (Vec::new(), to) } else { (to, Vec::new()) };
        let accepted = Action::Accepted { sender: String::new(), queued, delivered };
        let trace = Trace {
            actor: Actor::server(),
            mailbox: Some(own.to_string()),
            origin: inside("absence"),
            ..step(message, &self.reference, accepted)
        };
        room.traces().note(trace, batch);
    }

    /// To a mailbox of ours.
    async fn file(
        &self,
        room: &MailRoom,
        own: &Address,
        to: &OwnMailbox,
        written: Written,
        mut batch: Batch,
    ) -> Result<(), NoticeError> {
        let account = room.account_of(&to.address)?.ok_or(MailError::NoMailbox)?;
        let mut incoming = room.receive();
        // RFC 3834 §3.3, RFC 5321 §4.4.
        incoming.write_above(trace_fields::return_path("<>").as_bytes()).await?;
        incoming.write(written.header.as_bytes()).await?;
        incoming.write(written.body.as_bytes()).await?;
        let message = incoming.finish().await?;
        self.note_accepted(room, own, whole(Some(&written.message_id), &message.travels), true, &mut batch);
        let delivery = Delivery { also: batch, ..Delivery::new(message, vec![account], self.now) };
        deliver(room, delivery).await?;
        Ok(())
    }

    /// To another operator's.
    async fn enqueue(
        &self,
        room: &MailRoom,
        own: &Address,
        written: Written,
        mut batch: Batch,
    ) -> Result<(), NoticeError> {
        let mut passing = room.receive_passing();
        passing.write(written.header.as_bytes()).await?;
        passing.write(written.body.as_bytes()).await?;
        let PassingMessage { body, travels } = passing.finish().await?;
        self.note_accepted(room, own, whole(Some(&written.message_id), &travels), false, &mut batch);
        let params = RcptParams { notify: Some(Notify::Never), original: None };
        let outbound = Outbound {
            kind: Kind::Absence,
            sender: None,
            account: None,
            params: MailParams { smtp_utf8: !written.header.is_ascii(), ..MailParams::default() },
            recipients: vec![OutboundRecipient { address: self.to.clone(), params }],
            message_id: Some(written.message_id),
            reference: self.reference.clone(),
            skip: 0,
            header: written.header.len() as u64,
            not_before: None,
        };
        room.queue().reserve().await?;
        let queued = room.queue().stage(outbound, &body, &mut batch)?;
        batch.adopt(body, 1);
        room.store().commit(batch).await?;
        queued.announce();
        Ok(())
    }
}

/// A notice as it is sent.
struct Written {
    message_id: String,
    /// With its empty line.
    header: String,
    body: String,
}

/// RFC 3834 §3.1.5: it says what it is, and to what it answers.
fn subject(answered: &str) -> String {
    if answered.is_empty() {
        return "Absence".to_owned();
    }
    let has_prefix = answered.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if has_prefix { format!("Absence : {answered}") } else { format!("Absence : Re: {answered}") }
}
