//! One message to its recipients at one peer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::mail::queue::Attempt;
use crate::mss::Address;
use crate::store::{CHUNK, Store, StoreError};
use crate::wire::smtp::params::RcptParams;
use crate::wire::smtp::path::{ForwardPath, Mailbox, PathError, ReversePath};
use crate::wire::smtp::reply::Reply;
use crate::wire::smtp::sender::{Outcome, Step, Transaction, Unfit};

use super::Settings;
use super::line::Broken;
use super::session::Session;

/// Octets of a message that each second more is allowed for.
const SLOWEST: u64 = 16 << 10;

/// The longest time that an attempt may take at one host: each wait has its own end, and a peer that makes the most of
/// every one of them would hold a message for hours, untried elsewhere and its sender untold.
pub(super) fn longest(attempt: &Attempt, settings: &Settings) -> Duration {
    settings.message_timeout + Duration::from_secs(attempt.size / SLOWEST) + settings.final_timeout
}

/// What a transaction came to.
#[derive(Debug)]
pub(super) struct Sent {
    /// What the peer said about each recipient of the attempt, by its place there.
    pub(super) answers: Vec<Option<Reply>>,
    /// How it ended.
    pub(super) end: End,
    /// The message was on its way when it ended.
    pub(super) begun: bool,
    /// The peer reports on the message itself from here on (RFC 3461).
    pub(super) takes_dsn: bool,
    /// The session may carry another.
    pub(super) alive: bool,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer's last word on the message.
    Answered(Reply),
    /// MAIL was refused.
    SenderRefused(Reply),
    /// Every recipient was refused.
    NoRecipient,
    /// The conversation broke.
    Broken(Broken),
    /// The peer's limits do not let the message through; nothing was said.
    Unfit(Unfit),
    /// Our own copy cannot be read.
    Unreadable(StoreError),
    /// An address of the envelope is none that SMTP can carry.
    BadAddress(PathError),
}

impl Sent {
    /// Nothing was said but, perhaps, MAIL: another session may try the same from the beginning.
    pub(super) fn is_untold(&self) -> bool {
        matches!(self.end, End::Broken(_)) && !self.begun && self.answers.iter().all(Option::is_none)
    }

    /// The peer was there, and time ran out.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self.end, End::Broken(Broken::Silent(..) | Broken::Blocked(_) | Broken::Endless))
    }
}

/// Sends the attempt's message over the session, which must be done by `until`.
pub(super) async fn send<S>(session: &mut Session<S>, attempt: &Attempt, store: &Store, until: Instant) -> Sent
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut sent = Sent {
        answers: vec![None; attempt.recipients.len()],
        end: End::NoRecipient,
        begun: false,
        takes_dsn: session.sender.offer().dsn,
        alive: false,
    };
    let transaction = match transaction(attempt) {
        Ok(transaction) => transaction,
        Err(error) => {
            sent.alive = true;
            sent.end = End::BadAddress(error);
            return sent;
        }
    };
    match session.sender.begin(&transaction) {
        Ok(()) => {}
        // The session has ended meanwhile: its engine says how.
        Err(Unfit::NotReady) => {
            let ended = session.line.follow(&mut session.sender).await;
            sent.end = End::Broken(ended.err().unwrap_or(Broken::Cut(None)));
            return sent;
        }
        Err(unfit) => {
            sent.alive = true;
            sent.end = End::Unfit(unfit);
            return sent;
        }
    }
    session.messages += 1;
    let conversed = timeout_at(until, converse(session, attempt, store, &mut sent)).await;
    sent.end = match conversed.unwrap_or(Err(End::Broken(Broken::Endless))) {
        Ok(outcome) => {
            // After a refusal the engine says RSET, and after 421 there is no more to come.
            sent.alive = session.settle().await;
            match outcome {
                Outcome::Answered(reply) => End::Answered(reply),
                Outcome::SenderRefused(reply) => End::SenderRefused(reply),
                Outcome::NoRecipient => End::NoRecipient,
            }
        }
        Err(end) => end,
    };
    sent
}

async fn converse<S>(
    session: &mut Session<S>,
    attempt: &Attempt,
    store: &Store,
    sent: &mut Sent,
) -> Result<Outcome, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        match session.line.follow(&mut session.sender).await.map_err(End::Broken)? {
            Step::Recipient(index, reply) => {
                if let Some(answer) = sent.answers.get_mut(index) {
                    *answer = Some(reply);
                }
            }
            Step::Body => {
                sent.begun = true;
                body(session, attempt, store).await?;
            }
            Step::Done(outcome) => return Ok(outcome),
            // A transaction asks for nothing else.
            _ => {}
        }
    }
}

/// The message out of the store, a chunk at a time.
async fn body<S>(session: &mut Session<S>, attempt: &Attempt, store: &Store) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut at = u64::from(attempt.skip);
    let end = at + attempt.size;
    while at < end {
        // Up to the next chunk's beginning, so that each chunk is opened once.
        let next = (at / CHUNK as u64 + 1) * CHUNK as u64;
        let read = store.read_body(&attempt.body, &attempt.body_key, at..next.min(end)).await;
        let piece = read.map_err(End::Unreadable)?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        session.line.send_piece(&mut session.sender, &piece).await.map_err(End::Broken)?;
    }
    // Fewer octets than were announced end the session here.
    session.line.end_message(&mut session.sender).await.map_err(End::Broken)
}

fn transaction(attempt: &Attempt) -> Result<Transaction, PathError> {
    let envelope = &attempt.envelope;
    let from = match &envelope.sender {
        None => ReversePath::Null,
        Some(address) => ReversePath::Mailbox(mailbox(address)?),
    };
    let to = attempt.recipients.iter();
    let to = to.map(|recipient| Ok((ForwardPath::Mailbox(mailbox(&recipient.address)?), recipient.params.clone())));
    let to: Vec<(ForwardPath, RcptParams)> = to.collect::<Result<_, PathError>>()?;
    Ok(Transaction { from, params: envelope.params.clone(), to, size: attempt.size })
}

fn mailbox(address: &Address) -> Result<Mailbox, PathError> {
    Mailbox::parse(&address.to_string())
}
