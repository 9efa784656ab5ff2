//! Traces: searched, verified, and given out as evidence.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};

use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Json, Query};
use super::problem::{Problem, Rule};
use super::types::{
    AcknowledgedTraces, FoundTraces, Proof, ProofQuery, ShownTrace, TraceDays, TraceHead, TraceHeads, TraceSearch,
    VerifiedStream, VerifiedTraces, instant,
};
use super::{Administration, blocking};
use crate::audit::{Action, Found, Stream, TraceQuery, Traces, TracesError};
use crate::mail::trail;
use crate::mss::text::hex;
use crate::store::traces::{Day, public_key_pem};

/// The longest Message-ID: a line's (RFC 5322 §2.1.1).
const LONGEST_ID: usize = 998;

/// Traces of one answer: by default, and at most.
const USUAL: u32 = 1_000;
const MOST: u32 = 10_000;

/// Stretches that do not read that a refusal names.
const MOST_TOLD: usize = 5;

/// How often a proof is asked for again while the scribe has not written down all of it, and how long it waits between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/traces", get(search))
        .route("/v1/traces/verify", post(verify))
        .route("/v1/traces/acknowledge", post(acknowledge))
        .route("/v1/traces/heads", get(heads))
        .route("/v1/traces/proof", get(proof))
}

/// Lets nothing be changed while it could not be traced (MSSanté §11). What helps an operator out of it goes through: traces can be
/// looked at, and that this was done waits with the others.
pub(super) async fn only_what_is_traced(
    State(administration): State<Arc<Administration>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let path = request.uri().path();
    let is_free = request.method().is_safe() || path.starts_with("/v1/traces/") || path == "/v1/reload";
    if is_free { Ok(next.run(request).await) } else { nothing_untraced(State(administration), request, next).await }
}

/// Lets nothing happen while it could not be traced, for what is traced though it changes nothing: a mailbox's content, or a
/// person's data, given out.
pub(super) async fn nothing_untraced(
    State(administration): State<Arc<Administration>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if administration.mail.traces().is_stuck() {
        return Err(Problem::new(Rule::Unavailable, "Traces cannot be written, and nothing happens untraced."));
    }
    Ok(next.run(request).await)
}

/// A look at others' traces, as it is traced itself.
#[derive(Default)]
pub(super) struct Look {
    /// What was done.
    pub(super) what: &'static str,
    /// Whose mailbox was asked for.
    pub(super) mailbox: Option<String>,
    /// What was asked by.
    pub(super) fields: Vec<String>,
    /// Whom, or which message.
    pub(super) about: Option<String>,
}

impl Administration {
    /// Writes down who looked at whose traces, before they see them.
    pub(super) async fn note_look(&self, look: Look) -> Result<(), Problem> {
        let Look { what, mailbox, fields, about } = look;
        let action = Action::Administered { what: what.to_owned(), fields, about };
        let written = self.mail.traces().write([self.registry.asker().trace(mailbox.as_deref(), action)]).await;
        written.map(drop).map_err(|error| of_account(error.into()))
    }
}

/// `GET /v1/traces`. What jobs did is nobody's; of who sees anything else a trace is left.
async fn search(
    Acting(administration): Acting,
    Query(query): Query<TraceSearch>,
) -> Result<axum::Json<FoundTraces>, Problem> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {MOST}.")));
    }
    let look = look_of(&query);
    let (traces, wanted) = (administration.traces.clone(), wanted(query)?);
    let Found { traces, more, unreadable } =
        blocking(move || traces.search(&wanted, limit as usize).map_err(of_traces)).await?;
    if traces.iter().any(|trace| trace.stream() == Stream::Functional) {
        administration.note_look(look).await?;
    }
    Ok(axum::Json(FoundTraces { traces: traces.into_iter().map(ShownTrace::from).collect(), more, unreadable }))
}

fn look_of(query: &TraceSearch) -> Look {
    let TraceSearch { mailbox, person, message_id, peer, action, from, to, limit: _, oldest_first: _ } = query;
    let given = [
        ("mailbox", mailbox),
        ("person", person),
        ("message-id", message_id),
        ("peer", peer),
        ("action", action),
        ("from", from),
        ("to", to),
    ];
    let fields = given.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| (*name).to_owned()).collect();
    let about = person.as_ref().or(message_id.as_ref()).or(peer.as_ref()).cloned();
    Look { what: "traces-searched", mailbox: mailbox.clone(), fields, about }
}

fn wanted(query: TraceSearch) -> Result<TraceQuery, Problem> {
    let TraceSearch { mailbox, person, message_id: asked, peer, action, from, to, limit: _, oldest_first } = query;
    let moment = |text: Option<String>, field: &str, at_end: bool| match text {
        None => Ok(if at_end { u64::MAX } else { 0 }),
        Some(text) => read_moment(&text, at_end).ok_or_else(|| {
            Problem::field(field, "Expected an instant, as 2026-11-25T13:00:00Z, or a day, as 2026-11-25.")
        }),
    };
    Ok(TraceQuery {
        mailbox,
        person,
        message_id: asked.map(|asked| message_id(&asked)).transpose()?,
        peer,
        action,
        from: moment(from, "?from", false)?,
        to: moment(to, "?to", true)?,
        oldest_first,
    })
}

/// An instant, or the first or last one of a day (UTC), in Unix microseconds.
fn read_moment(text: &str, at_end: bool) -> Option<u64> {
    if let Ok(day) = text.parse::<Day>() {
        return Some(if at_end { day.next().start() - 1 } else { day.start() });
    }
    let instant: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_microsecond()).ok()
}

/// A Message-ID that was asked for, with its angle brackets.
pub(super) fn message_id(asked: &str) -> Result<String, Problem> {
    let message_id = trail::bracketed(asked);
    if asked.trim().is_empty() || message_id.len() > LONGEST_ID || message_id.chars().any(char::is_control) {
        return Err(Problem::field("?message-id", "Expected a Message-ID, as <abc@domain.example>."));
    }
    Ok(message_id)
}

/// `POST /v1/traces/verify`.
async fn verify(
    State(administration): State<Arc<Administration>>,
    Json(days): Json<TraceDays>,
) -> Result<axum::Json<VerifiedTraces>, Problem> {
    let day = |text: Option<String>, field: &str, other: Day| match text {
        None => Ok(other),
        Some(text) => text.parse().map_err(|_| Problem::field(field, "Expected a day, as 2026-11-25.")),
    };
    let from = day(days.from, "from", Day::from_number(0))?;
    let to = day(days.to, "to", Day::from_number(u32::MAX))?;
    let traces = administration.traces.clone();
    let reports = blocking(move || traces.verify(from, to).map_err(of_traces)).await?;
    let streams: Vec<VerifiedStream> = reports
        .into_iter()
        .map(|(stream, report)| VerifiedStream {
            stream: stream.name().to_owned(),
            days: report.days,
            blocks: report.blocks,
            lines: report.lines,
            problems: report.problems.iter().map(ToString::to_string).collect(),
            more_problems: report.more_problems,
        })
        .collect();
    let good = streams.iter().all(|stream| stream.problems.is_empty() && stream.more_problems == 0);
    Ok(axum::Json(VerifiedTraces { good, streams }))
}

/// `POST /v1/traces/acknowledge`.
async fn acknowledge(Acting(administration): Acting) -> Result<axum::Json<AcknowledgedTraces>, Problem> {
    let (traces, asker) = (administration.traces.clone(), administration.registry.asker().clone());
    let told = blocking(move || traces.acknowledge(&asker).map_err(of_traces)).await?;
    let acknowledged = told.iter().map(|(stream, problem)| format!("{}: {problem}", stream.name())).collect();
    Ok(axum::Json(AcknowledgedTraces { acknowledged }))
}

/// `GET /v1/traces/heads`.
async fn heads(State(administration): State<Arc<Administration>>) -> Result<axum::Json<TraceHeads>, Problem> {
    let traces: Traces = administration.traces.clone();
    let reading = traces.clone();
    // The heads may be held by who writes them.
    let heads = blocking(move || Ok(reading.heads())).await?;
    let heads = heads.into_iter().map(|(stream, head)| TraceHead {
        stream: stream.name().to_owned(),
        day: head.day.to_string(),
        lines: head.lines,
        hash: hex(&head.hash),
        signature: hex(&head.signature),
        forgotten: head.forgotten.is_some(),
    });
    let (public_key, public_key_pem) = (hex(&traces.public_key()), public_key_pem(&traces.public_key()));
    Ok(axum::Json(TraceHeads { public_key, public_key_pem, heads: heads.collect() }))
}

/// `GET /v1/traces/proof`.
async fn proof(Acting(administration): Acting, Query(query): Query<ProofQuery>) -> Result<axum::Json<Proof>, Problem> {
    let message_id = message_id(&query.message_id)?;
    let mut tries = 0;
    let proved = loop {
        let (traces, wanted) = (administration.traces.clone(), message_id.clone());
        match blocking(move || Ok(traces.proof(&wanted))).await? {
            Err(TracesError::NotYet) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            outcome => break outcome.map_err(of_traces)?,
        }
    };
    if proved.steps.is_empty() {
        return Err(nothing_of_message(&proved.gaps));
    }
    let about = Some(message_id.clone());
    administration.note_look(Look { what: "evidence-made", about, ..Look::default() }).await?;
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
    Ok(axum::Json(Proof::of(&administration.process.name(), &instant(now), &message_id, proved)))
}

/// Why there is nothing of a message: that nothing is known is said only where all was read.
pub(super) fn nothing_of_message(unreadable: &[String]) -> Problem {
    if unreadable.is_empty() {
        return Problem::new(Rule::NoSuchMessage, "Nothing is known of a message with this Message-ID.");
    }
    let shown: Vec<&str> = unreadable.iter().take(MOST_TOLD).map(String::as_str).collect();
    let detail = format!("Nothing of this message was found, but not all could be read: {}", shown.join("; "));
    Problem::new(Rule::TracesUnreadable, detail)
}

/// Why traces cannot be read, to the peer.
pub(super) fn of_traces(error: TracesError) -> Problem {
    match error {
        TracesError::NotYet => {
            Problem::new(Rule::Unavailable, "The scribe has not written all of it down yet; try again.")
        }
        error => Problem::new(Rule::Internal, "The traces cannot be read; the server's log says why.").because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_whole() {
        let day = 86_400_000_000;
        assert_eq!((read_moment("1970-01-02", false), read_moment("1970-01-02", true)), (Some(day), Some(2 * day - 1)));
        assert_eq!(read_moment("1970-01-02T00:00:01Z", true), Some(day + 1_000_000));
        assert_eq!(read_moment("1970-01-02T01:00:00+01:00", false), Some(day));
        for text in ["", "yesterday", "2026-13-01", "1969-12-31T00:00:00Z"] {
            assert_eq!(read_moment(text, false), None, "{text}");
        }
    }
}
