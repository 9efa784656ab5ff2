//! A message's way, by its Message-ID.

use super::acting::Acting;
use super::blocking;
use super::extract::Query;
use super::problem::{Problem, Rule};
use super::traces::{Look, message_id, of_traces};
use super::types::{FollowQuery, Followed, ShownTrace};
use crate::audit::TraceQuery;

/// Most steps of one message that are shown: far above what one with a thousand recipients leaves.
const MOST: usize = 20_000;

/// `GET /v1/follow`.
pub(super) async fn follow(
    Acting(administration): Acting,
    Query(query): Query<FollowQuery>,
) -> Result<axum::Json<Followed>, Problem> {
    let message_id = message_id(&query.message_id)?;
    let (traces, wanted) = (administration.traces.clone(), TraceQuery::of_message(&message_id));
    let found = blocking(move || traces.search(&wanted, MOST).map_err(of_traces)).await?;
    if found.traces.is_empty() {
        return Err(Problem::new(Rule::NoSuchMessage, "Nothing is known of a message with this Message-ID."));
    }
    let about = Some(message_id.clone());
    administration.note_look(Look { what: "message-followed", about, ..Look::default() }).await?;
    Ok(axum::Json(Followed { message_id, events: found.traces.into_iter().map(ShownTrace::from).collect() }))
}
