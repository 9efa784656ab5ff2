//! The queue: what is on its way, and what the operator does to it.

pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};

use self::types::{
    LastWords, QueueHandled, QueueOrder, QueueQuery, QueuedConsignment, QueuedMessage, QueuedMessages, QueuedRecipient,
};
use super::acting::Acting;
use super::errors::{of_queue, sentence};
use super::extract::{Json, Path, Query};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::{Administration, blocking, domains};
use crate::mail::queue::schedule::Standing;
use crate::mail::queue::{
    Handled, Kind, Listed, ListedConsignment, ListedRecipient, OnlyCopies, Queue, Selection, StateFilter, Words,
};
use crate::mss::Address;
use crate::store::QueueId;

/// Messages on a page where the request does not say.
const PAGE: u32 = 100;

/// The most on a page.
const LARGEST_PAGE: u32 = 1000;

/// The longest reason for a bounce.
const REASON: usize = 500;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/queue", get(list))
        .route("/v1/queue/{id}", get(show))
        .route("/v1/queue/retry", post(retry))
        .route("/v1/queue/hold", post(hold))
        .route("/v1/queue/release", post(release))
        .route("/v1/queue/bounce", post(bounce))
        .route("/v1/queue/cancel", post(cancel))
}

/// `GET /v1/queue`.
async fn list(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<QueueQuery>,
) -> Result<axum::Json<QueuedMessages>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    let selection = Selection {
        id: None,
        sender: query.sender.as_deref().map(|text| address(text, "?sender")).transpose()?,
        recipient: query.recipient.as_deref().map(|text| address(text, "?recipient")).transpose()?,
        domain: query.domain.as_deref().map(|name| domains::parse(name, "?domain")).transpose()?,
        state: query.state.as_deref().map(state).transpose()?,
    };
    let (queue, after) = (administration.queue(), query.after.map(QueueId));
    let page = blocking(move || queue.list(&selection, after, limit as usize).map_err(of_queue)).await?;
    let next_after = page.messages.last().filter(|_| page.more).map(|last| last.id.0);
    Ok(axum::Json(QueuedMessages { messages: page.messages.into_iter().map(shown).collect(), next_after }))
}

/// `GET /v1/queue/{id}`.
async fn show(
    State(administration): State<Arc<Administration>>,
    Path(id): Path<u64>,
) -> Result<axum::Json<QueuedMessage>, Problem> {
    let queue = administration.queue();
    let selection = Selection { id: Some(QueueId(id)), ..Selection::default() };
    let page = blocking(move || queue.list(&selection, None, 1).map_err(of_queue)).await?;
    let found = page.messages.into_iter().next();
    let none = || Problem::new(Rule::NoSuchMessage, "The queue has no message with this number.");
    found.map(|found| axum::Json(shown(found))).ok_or_else(none)
}

/// `POST /v1/queue/retry`.
async fn retry(
    Acting(administration): Acting,
    Json(order): Json<QueueOrder>,
) -> Result<axum::Json<QueueHandled>, Problem> {
    no_reason(&order)?;
    no_force(&order)?;
    let handled = administration.queue().retry(selection(&order)?).await;
    handled.map_err(of_queue).map(told)
}

/// `POST /v1/queue/hold`.
async fn hold(
    Acting(administration): Acting,
    Json(order): Json<QueueOrder>,
) -> Result<axum::Json<QueueHandled>, Problem> {
    no_reason(&order)?;
    no_force(&order)?;
    let handled = administration.queue().hold(selection(&order)?).await;
    handled.map_err(of_queue).map(told)
}

/// `POST /v1/queue/release`.
async fn release(
    Acting(administration): Acting,
    Json(order): Json<QueueOrder>,
) -> Result<axum::Json<QueueHandled>, Problem> {
    no_reason(&order)?;
    no_force(&order)?;
    let handled = administration.queue().release(selection(&order)?).await;
    handled.map_err(of_queue).map(told)
}

/// `POST /v1/queue/bounce`.
async fn bounce(
    Acting(administration): Acting,
    Json(order): Json<QueueOrder>,
) -> Result<axum::Json<QueueHandled>, Problem> {
    no_force(&order)?;
    let selection = selection(&order)?;
    let reason = order.reason.unwrap_or_else(|| "returned by the operator".into());
    if reason.is_empty() || reason.chars().count() > REASON || reason.chars().any(char::is_control) {
        return Err(Problem::field("reason", format!("1 to {REASON} characters, no control characters.")));
    }
    let handled = administration.queue().bounce(selection, reason).await;
    handled.map_err(of_queue).map(told)
}

/// `POST /v1/queue/cancel`.
async fn cancel(
    Acting(administration): Acting,
    Json(order): Json<QueueOrder>,
) -> Result<axum::Json<QueueHandled>, Problem> {
    no_reason(&order)?;
    let only_copies = if order.force { OnlyCopies::Destroy } else { OnlyCopies::Spare };
    let handled = administration.queue().cancel(selection(&order)?, only_copies).await;
    handled.map_err(of_queue).map(told)
}

impl Administration {
    /// The queue, for who asks.
    fn queue(&self) -> Queue {
        self.mail.queue().acting_for(Arc::clone(self.registry.asker()))
    }
}

fn told(handled: Handled) -> axum::Json<QueueHandled> {
    let Handled { consignments, recipients, spared } = handled;
    axum::Json(QueueHandled { consignments, recipients, spared })
}

fn selection(order: &QueueOrder) -> Result<Selection, Problem> {
    let selection = Selection {
        id: order.id.map(QueueId),
        sender: order.sender.as_deref().map(|text| address(text, "sender")).transpose()?,
        recipient: order.recipient.as_deref().map(|text| address(text, "recipient")).transpose()?,
        domain: order.domain.as_deref().map(|name| domains::parse(name, "domain")).transpose()?,
        state: None,
    };
    if (selection == Selection::default()) != order.all {
        return Err(Problem::field("all", "Say id, sender, recipient or domain; or else all, alone."));
    }
    Ok(selection)
}

fn no_reason(order: &QueueOrder) -> Result<(), Problem> {
    match order.reason {
        Some(_) => Err(Problem::field("reason", "Only a bounce tells the senders why.")),
        None => Ok(()),
    }
}

fn no_force(order: &QueueOrder) -> Result<(), Problem> {
    if order.force { Err(Problem::field("force", "Only cancel destroys anything.")) } else { Ok(()) }
}

fn address(text: &str, field: &str) -> Result<Address, Problem> {
    Address::parse(text).map_err(|problem| Problem::field(field, sentence(&problem)))
}

fn state(text: &str) -> Result<StateFilter, Problem> {
    match text {
        "waiting" => Ok(StateFilter::Waiting),
        "away" => Ok(StateFilter::Away),
        "trying" => Ok(StateFilter::Trying),
        "held" => Ok(StateFilter::Held),
        _ => Err(Problem::field("?state", "Expected waiting, away, trying or held.")),
    }
}

fn shown(listed: Listed) -> QueuedMessage {
    let kind = match listed.kind {
        Kind::Mail => "mail",
        Kind::Report => "report",
        Kind::Forward => "forward",
        Kind::Absence => "absence",
    };
    QueuedMessage {
        id: listed.id.0,
        kind: kind.into(),
        sender: listed.sender.map(|sender| sender.to_string()),
        message_id: listed.message_id,
        reference: listed.reference,
        size: listed.size,
        accepted_at: date(listed.accepted_at),
        not_before: listed.not_before.map(date),
        expires_at: date(listed.expires_at),
        consignments: listed.consignments.into_iter().map(shown_consignment).collect(),
    }
}

fn shown_consignment(listed: ListedConsignment) -> QueuedConsignment {
    let (state, next_try) = match listed.standing {
        Some(Standing::Waiting { due }) => (Some("waiting"), Some(due)),
        Some(Standing::Away { probe }) => (Some("away"), Some(probe)),
        Some(Standing::Trying) => (Some("trying"), None),
        Some(Standing::Held) => (Some("held"), None),
        None => (None, None),
    };
    let words = |words: Words| LastWords {
        code: words.code,
        status: words.status,
        text: words.text,
        host: words.host,
        rule: words.rule,
    };
    let recipient = |recipient: ListedRecipient| QueuedRecipient {
        address: recipient.address.to_string(),
        last: recipient.last.map(words),
        tried_at: recipient.tried_at.map(date),
    };
    QueuedConsignment {
        domain: listed.domain,
        state: state.map(Into::into),
        next_try_at: next_try.map(date),
        attempts: listed.attempts,
        delay_told: listed.delay_told,
        recipients: listed.recipients.into_iter().map(recipient).collect(),
    }
}
