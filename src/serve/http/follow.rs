//! A message's way, by its Message-ID.

use std::sync::Arc;

use axum::extract::State;

use super::errors::of_mail;
use super::extract::Query;
use super::problem::{Problem, Rule};
use super::types::{FollowQuery, Followed, FollowedEvent};
use super::{Administration, blocking};
use crate::mail::trail;

/// The longest Message-ID: a line's (RFC 5322 §2.1.1).
const LONGEST: usize = 998;

/// `GET /v1/follow`.
pub(super) async fn follow(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<FollowQuery>,
) -> Result<axum::Json<Followed>, Problem> {
    let message_id = trail::bracketed(&query.message_id);
    if query.message_id.trim().is_empty() || message_id.len() > LONGEST || message_id.chars().any(char::is_control) {
        return Err(Problem::field("?message-id", "Expected a Message-ID, as <abc@domain.example>."));
    }
    let (room, wanted) = (administration.mail.clone(), message_id.clone());
    let events = blocking(move || trail::follow(&room, &wanted).map_err(of_mail)).await?;
    if events.is_empty() {
        return Err(Problem::new(Rule::NoSuchMessage, "Nothing is known of a message with this Message-ID."));
    }
    let shown = |(at, event): (i64, trail::Event)| FollowedEvent {
        at: instant(at),
        reference: event.reference,
        what: event.what,
    };
    Ok(axum::Json(Followed { message_id, events: events.into_iter().map(shown).collect() }))
}

/// RFC 3339 with microseconds, from Unix microseconds.
fn instant(at: i64) -> String {
    format!("{:.6}", jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}
