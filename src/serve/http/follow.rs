//! A message's way, by its Message-ID.

use super::acting::Acting;
use super::blocking;
use super::extract::Query;
use super::problem::Problem;
use super::traces::{Look, message_id, nothing_of_message, of_traces};
use super::types::{FollowQuery, Followed, ShownTrace};
use crate::audit::{Found, TraceQuery};

/// Most steps of one message that are shown: far above what one with a thousand recipients leaves.
const MOST: usize = 20_000;

/// `GET /v1/follow`.
pub(super) async fn follow(
    Acting(administration): Acting,
    Query(query): Query<FollowQuery>,
) -> Result<axum::Json<Followed>, Problem> {
    let message_id = message_id(&query.message_id)?;
    let (traces, wanted) = (administration.traces.clone(), TraceQuery::of_message(&message_id));
    let Found { traces, more, unreadable } = blocking(move || traces.search(&wanted, MOST).map_err(of_traces)).await?;
    if traces.is_empty() {
        return Err(nothing_of_message(&unreadable));
    }
    let about = Some(message_id.clone());
    administration.note_look(Look { what: "message-followed", about, ..Look::default() }).await?;
    let events = traces.into_iter().map(ShownTrace::from).collect();
    Ok(axum::Json(Followed { message_id, events, more, unreadable }))
}
