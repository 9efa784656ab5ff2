//! A message's way, by its Message-ID.

use std::sync::Arc;

use axum::extract::State;

use super::extract::Query;
use super::problem::Problem;
use super::traces::{message_id, nothing_of_message, of_traces};
use super::types::{FollowQuery, Followed, ShownTrace};
use super::{Administration, blocking};
use crate::audit::{Found, TraceQuery};

/// Most steps of one message that are shown: far above what one with a thousand recipients leaves.
const MOST: usize = 20_000;

/// `GET /v1/follow`.
pub(super) async fn follow(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<FollowQuery>,
) -> Result<axum::Json<Followed>, Problem> {
    let message_id = message_id(&query.message_id)?;
    let (traces, wanted) = (administration.traces.clone(), TraceQuery::of_message(&message_id));
    let Found { traces, more, unreadable } = blocking(move || traces.search(&wanted, MOST).map_err(of_traces)).await?;
    if traces.is_empty() {
        return Err(nothing_of_message(&unreadable));
    }
    let events = traces.into_iter().map(ShownTrace::from).collect();
    Ok(axum::Json(Followed { message_id, events, more, unreadable }))
}
