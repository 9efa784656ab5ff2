//! What the operator sees of the queue and does to it.

use std::ops::Bound;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::audit::Asker;
use crate::mss::{Address, Domain};
use crate::store::{Batch, Consignment, ConsignmentKey, QueueId, QueueMessage};

use super::super::now;
use super::loaded::{Loaded, LoadedMessage};
use super::parting::{Failure, Fate, Parting, handled};
use super::schedule::Standing;
use super::sealed::Recipient;
use super::types::{Kind, Words};
use super::{GRACE, Inner, Queue, QueueError, Tries};

/// Messages read at a time.
const PAGE: usize = 500;
/// Consignments of one message that are read: a message has at most some thousand recipients.
const CONSIGNMENTS: usize = 10_000;
/// Consignments changed at once: they share syncs. As many as messages have locks.
const AT_ONCE: usize = super::LOCKS;

/// What a consignment waits for, as a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Its turn.
    Waiting,
    /// Its destination, which cannot be spoken to.
    Away,
    /// An attempt is under way.
    Trying,
    /// The operator.
    Held,
}

/// Which consignments: all that every given filter lets through; without any, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this message.
    pub id: Option<QueueId>,
    /// From this sender.
    pub sender: Option<Address>,
    /// To this recipient. What ends recipients (bounce, cancel) ends this one alone.
    pub recipient: Option<Address>,
    /// To this domain.
    pub domain: Option<Domain>,
    /// That wait for this.
    pub state: Option<StateFilter>,
}

/// A page of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<Listed>,
    /// Whether there may be more behind the last one.
    pub more: bool,
}

/// A message in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its number.
    pub id: QueueId,
    /// What it is.
    pub kind: Kind,
    /// Its envelope's sender.
    pub sender: Option<Address>,
    /// Its `Message-ID:`, to follow it by.
    pub message_id: Option<String>,
    /// The transaction that brought it.
    pub reference: String,
    /// Octets.
    pub size: u64,
    /// Unix seconds.
    pub accepted_at: i64,
    /// Unix seconds before which its sender holds it back (FUTURERELEASE).
    pub not_before: Option<i64>,
    /// Unix seconds from which it is given up.
    pub expires_at: i64,
    /// Its recipients by domain, as far as the selection goes.
    pub consignments: Vec<ListedConsignment>,
}

/// The recipients of a message in one domain.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedConsignment {
    /// Number within the message.
    pub number: u32,
    /// The domain.
    pub domain: String,
    /// Tries so far.
    pub attempts: u32,
    /// What it waits for; `None`: it is damaged, or came or went this moment.
    pub standing: Option<Standing>,
    /// Its sender has been told of the delay.
    pub delay_told: bool,
    /// Who has not got it yet.
    pub recipients: Vec<ListedRecipient>,
}

/// A recipient that has not got its message yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRecipient {
    /// Whom.
    pub address: Address,
    /// What was last said about it; of one that has not been tried, about its destination.
    pub last: Option<Words>,
    /// Unix seconds of the last try.
    pub tried_at: Option<i64>,
}

/// What an order of the operator came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Consignments that it changed.
    pub consignments: u64,
    /// Recipients in them, as far as the order concerned them.
    pub recipients: u64,
    /// Recipients of messages that lie nowhere else: a cancelling that was to spare those left them as they were.
    pub spared: u64,
}

/// What becomes of messages that lie nowhere else ([`super::Envelope::is_only_copy`]) when they are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyCopies {
    /// They stay in the queue.
    Spare,
    /// They are gone for good.
    Destroy,
}

/// An order, and whose.
#[derive(Debug)]
struct Given {
    order: Order,
    /// Of this recipient alone, where it ends recipients.
    recipient: Option<Address>,
    by: Arc<Asker>,
}

/// An order.
#[derive(Clone, Debug)]
enum Order {
    Hold,
    Release,
    Retry,
    Bounce(String),
    Cancel(OnlyCopies),
}

impl Queue {
    /// A page of the queue behind message `after`, oldest first. Reads as much as it takes to fill it: not for an async
    /// thread.
    ///
    /// # Errors
    /// What the store says; a damaged message costs itself.
    pub fn list(&self, selection: &Selection, after: Option<QueueId>, limit: usize) -> Result<Page, QueueError> {
        let mut messages = Vec::new();
        let more = self.inner.each(selection, after, |listed| {
            messages.push(listed);
            messages.len() < limit
        })?;
        Ok(Page { messages, more })
    }

    /// Holds what is selected: it is neither tried nor given up until its release.
    ///
    /// # Errors
    /// What the store says, first; the other consignments are seen to all the same. So for all orders.
    pub async fn hold(&self, selection: Selection) -> Result<Handled, QueueError> {
        self.order(selection, Order::Hold).await
    }

    /// Lets go what is held: it is tried now, however old it is.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub async fn release(&self, selection: Selection) -> Result<Handled, QueueError> {
        self.order(selection, Order::Release).await
    }

    /// Tries what is selected now, also where its destination was away. What is held stays held.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub async fn retry(&self, selection: Selection) -> Result<Handled, QueueError> {
        self.order(selection, Order::Retry).await
    }

    /// Gives up what is selected; the senders are told so, with the operator's `reason`.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub async fn bounce(&self, selection: Selection, reason: String) -> Result<Handled, QueueError> {
        self.order(selection, Order::Bounce(reason)).await
    }

    /// Takes out what is selected; nobody is told.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub async fn cancel(&self, selection: Selection, only_copies: OnlyCopies) -> Result<Handled, QueueError> {
        self.order(selection, Order::Cancel(only_copies)).await
    }

    /// Goes on to its end even if the caller does not wait for it (a client of the administration that leaves): between
    /// a commit and what the schedule hears of it there must be no end.
    async fn order(&self, selection: Selection, order: Order) -> Result<Handled, QueueError> {
        let given = Given { order, recipient: selection.recipient.clone(), by: Arc::clone(&self.asker) };
        let task = tokio::spawn(Arc::clone(&self.inner).order(selection, given));
        task.await.unwrap_or(Err(QueueError::Stopped))
    }
}

impl Inner {
    async fn order(self: Arc<Self>, selection: Selection, given: Given) -> Result<Handled, QueueError> {
        let inner = Arc::clone(&self);
        let keys = tokio::task::spawn_blocking(move || inner.select(&selection));
        let keys = keys.await.map_err(|_| QueueError::Stopped)??;
        let given = Arc::new(given);
        let (mut handled, mut under_way) = (Handled::default(), JoinSet::new());
        let mut failed = None;
        for key in keys {
            while under_way.len() >= AT_ONCE {
                handled.add(under_way.join_next().await, &mut failed);
            }
            let (inner, given) = (Arc::clone(&self), Arc::clone(&given));
            under_way.spawn(async move { inner.carry_out(key, &given).await });
        }
        while !under_way.is_empty() {
            handled.add(under_way.join_next().await, &mut failed);
        }
        self.changed.notify_waiters();
        let (action, complete) = (given.order.name(), failed.is_none());
        let Handled { consignments, recipients, spared } = handled;
        tracing::info!(action, consignments, recipients, spared, complete, "queue handled");
        failed.map_or(Ok(handled), Err)
    }

    /// The consignments that a selection means.
    fn select(&self, selection: &Selection) -> Result<Vec<ConsignmentKey>, QueueError> {
        let mut keys = Vec::new();
        self.each(selection, None, |listed| {
            let numbers = listed.consignments.iter().map(|consignment| consignment.number);
            keys.extend(numbers.map(|number| ConsignmentKey { message: listed.id, number }));
            true
        })?;
        Ok(keys)
    }

    /// Shows the selected messages, oldest first, until `show` has seen enough. Returns whether there may be more.
    fn each(
        &self,
        selection: &Selection,
        after: Option<QueueId>,
        mut show: impl FnMut(Listed) -> bool,
    ) -> Result<bool, QueueError> {
        let mut from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut to = Bound::Unbounded;
        if let Some(id) = selection.id {
            if after.is_some_and(|after| after >= id) {
                return Ok(false);
            }
            (from, to) = (Bound::Included(id), Bound::Included(id));
        }
        loop {
            let page = self.store.scan::<QueueMessage>((from, to), PAGE)?;
            for (id, _) in &page {
                let listed = match self.listed(*id, selection) {
                    Ok(listed) => listed,
                    Err(error) if error.is_damage() => {
                        tracing::error!(message = %id, %error, "a queued message cannot be shown");
                        None
                    }
                    Err(error) => return Err(error),
                };
                if let Some(listed) = listed
                    && !show(listed)
                {
                    return Ok(true);
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => from = Bound::Excluded(*last),
                _ => return Ok(false),
            }
        }
    }

    /// A message as far as the selection goes; `None`: not at all.
    fn listed(&self, id: QueueId, selection: &Selection) -> Result<Option<Listed>, QueueError> {
        let Some(message) = self.load_message(id)? else { return Ok(None) };
        let sender = message.envelope.sender.as_ref();
        if selection.sender.as_ref().is_some_and(|wanted| sender.map(Address::key) != Some(wanted.key())) {
            return Ok(None);
        }
        let mut consignments = Vec::new();
        for (key, consignment) in self.store.scan::<Consignment>(ConsignmentKey::of(id), CONSIGNMENTS)? {
            if selection.domain.as_ref().is_some_and(|domain| domain.as_str() != consignment.domain) {
                continue;
            }
            let standing = self.schedule().standing(key);
            if selection.state.is_some_and(|state| !standing.is_some_and(|standing| state.is(standing))) {
                continue;
            }
            let mut recipients = self.load_recipients(key, &message.key)?;
            recipients.retain(|(_, recipient)| is_meant(recipient, selection.recipient.as_ref()));
            let about_all = self.schedule().last_words(key).cloned();
            for (_, recipient) in &mut recipients {
                recipient.last = recipient.last.take().or_else(|| about_all.clone());
            }
            if !recipients.is_empty() {
                consignments.push(listed_consignment(key, consignment.record, standing, recipients));
            }
        }
        Ok((!consignments.is_empty()).then(|| listed(message, consignments)))
    }

    /// Carries out an order for one consignment.
    async fn carry_out(&self, key: ConsignmentKey, given: &Given) -> Result<Handled, QueueError> {
        let _lock = self.lock(key.message).await;
        let mut tries = Tries::default();
        loop {
            let done = self.try_to_carry_out(key, given).await;
            match tries.pause_after(&done) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return done,
            }
        }
    }

    async fn try_to_carry_out(&self, key: ConsignmentKey, given: &Given) -> Result<Handled, QueueError> {
        let Some(loaded) = self.load(key)? else { return Ok(Handled::default()) };
        let (held, recipient) = (loaded.consignment.held, given.recipient.as_ref());
        // The record decides. What the schedule alone holds would be neither tried nor given up: it is let go too.
        let rests = self.schedule().standing(key) == Some(Standing::Held);
        match &given.order {
            Order::Hold if !held => self.hold(&loaded, given).await,
            Order::Release if held || rests => self.let_go(&loaded, given).await,
            Order::Retry if !held => self.let_go(&loaded, given).await,
            Order::Hold | Order::Release | Order::Retry => Ok(Handled::default()),
            Order::Bounce(reason) => {
                let fate = Fate::Failed(Failure::Bounced, bounce_words(reason));
                self.end(&loaded, given, fate).await
            }
            Order::Cancel(OnlyCopies::Spare) if loaded.message.envelope.is_only_copy() => {
                let meant = loaded.recipients.iter().filter(|(_, each)| is_meant(each, recipient)).count();
                Ok(Handled { spared: meant as u64, ..Handled::default() })
            }
            Order::Cancel(_) => self.end(&loaded, given, Fate::Cancelled).await,
        }
    }

    async fn hold(&self, loaded: &Loaded, given: &Given) -> Result<Handled, QueueError> {
        let held = Consignment { held: true, ..loaded.consignment.record.clone() };
        self.rewrite(loaded, &held, given).await?;
        self.schedule().hold(loaded.key, now());
        Ok(Handled::one(loaded.recipients.len()))
    }

    async fn let_go(&self, loaded: &Loaded, given: &Given) -> Result<Handled, QueueError> {
        let now = now();
        let due_at = loaded.consignment.due_at.min(now);
        let free = Consignment { held: false, due_at, ..loaded.consignment.record.clone() };
        self.rewrite(loaded, &free, given).await?;
        self.schedule().retry(loaded.key, now + GRACE, now);
        Ok(Handled::one(loaded.recipients.len()))
    }

    async fn rewrite(&self, loaded: &Loaded, consignment: &Consignment, given: &Given) -> Result<(), QueueError> {
        let mut batch = Batch::new();
        batch.update(&loaded.key, loaded.consignment.version, consignment);
        handled(self, &loaded.message.envelope, given.order.name(), &given.by, &mut batch);
        self.store.commit_soon(batch).await?;
        Ok(())
    }

    /// Ends the recipients that are meant. One that is just being tried may get its message all the same.
    async fn end(&self, loaded: &Loaded, given: &Given, fate: Fate) -> Result<Handled, QueueError> {
        let mut parting = Parting::new(self, loaded, loaded.consignment.attempts, now());
        let mut meant = 0;
        for (number, each) in &loaded.recipients {
            let is_meant = is_meant(each, given.recipient.as_ref());
            meant += usize::from(is_meant);
            parting.part(*number, each, if is_meant { fate.clone() } else { Fate::Untouched });
        }
        parting.handled(given.order.name(), &given.by);
        let parted = parting.finish(&loaded.consignment.record)?;
        let left = parted.left;
        self.commit_parting(parted).await?;
        if left == 0 {
            self.schedule().remove(loaded.key, now());
        }
        Ok(Handled::one(meant))
    }
}

impl Handled {
    /// One consignment with so many recipients.
    fn one(recipients: usize) -> Self {
        Self { consignments: 1, recipients: recipients as u64, spared: 0 }
    }

    /// Adds what came of one consignment. One that fails costs itself: the others are seen to all the same.
    fn add(&mut self, ended: Option<Result<Result<Self, QueueError>, JoinError>>, failed: &mut Option<QueueError>) {
        match ended.map(|ended| ended.unwrap_or(Err(QueueError::Stopped))) {
            Some(Ok(one)) => {
                self.consignments += one.consignments;
                self.recipients += one.recipients;
                self.spared += one.spared;
            }
            Some(Err(error)) => drop(failed.get_or_insert(error)),
            None => {}
        }
    }
}

impl Order {
    /// As it stands in traces and in the log.
    fn name(&self) -> &'static str {
        match self {
            Order::Hold => "held",
            Order::Release => "released",
            Order::Retry => "retried",
            Order::Bounce(_) => "bounced",
            Order::Cancel(_) => "cancelled",
        }
    }
}

impl StateFilter {
    fn is(self, standing: Standing) -> bool {
        matches!(
            (self, standing),
            (StateFilter::Waiting, Standing::Waiting { .. })
                | (StateFilter::Away, Standing::Away { .. })
                | (StateFilter::Trying, Standing::Trying)
                | (StateFilter::Held, Standing::Held)
        )
    }
}

/// RFC 3463 §3.8: X.7.0, for reasons of policy.
fn bounce_words(reason: &str) -> Words {
    Words { code: None, status: "5.7.0".into(), text: reason.into(), host: None, rule: Some("bounced".into()) }
}

fn is_meant(recipient: &Recipient, wanted: Option<&Address>) -> bool {
    wanted.is_none_or(|wanted| wanted.key() == recipient.address.key())
}

fn listed(message: LoadedMessage, consignments: Vec<ListedConsignment>) -> Listed {
    let LoadedMessage { id, record, envelope, .. } = message;
    Listed {
        id,
        kind: envelope.kind,
        sender: envelope.sender,
        message_id: envelope.message_id,
        reference: envelope.reference,
        size: record.size,
        accepted_at: record.accepted_at,
        not_before: (record.not_before > record.accepted_at).then_some(record.not_before),
        expires_at: record.expires_at,
        consignments,
    }
}

fn listed_consignment(
    key: ConsignmentKey,
    consignment: Consignment,
    standing: Option<Standing>,
    recipients: Vec<(u32, Recipient)>,
) -> ListedConsignment {
    let shown = |(_, Recipient { address, last, tried_at, .. })| ListedRecipient { address, last, tried_at };
    ListedConsignment {
        number: key.number,
        domain: consignment.domain,
        attempts: consignment.attempts,
        standing,
        delay_told: consignment.delay_told,
        recipients: recipients.into_iter().map(shown).collect(),
    }
}
