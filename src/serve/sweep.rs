//! What is taken away when its time is over.

use super::{Shared, smtp};
use crate::audit::{self, Action, Asker, Stream};
use crate::mail::{now, trail};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// The first sweep waits until the start is well over; the others come once a day.
const FIRST: Duration = Duration::from_secs(600);
const EVERY: Duration = Duration::from_secs(86_400);

/// How often sessions are looked at whose grant or certificate ends with time, and told how many were refused.
const SESSIONS: Duration = Duration::from_secs(60);

/// Ends the sessions whose right has run out, until the server stops. What is taken away by somebody ends them at once.
pub(super) async fn sessions(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(SESSIONS) => {}
        }
        let registry = shared.registry.clone();
        // Reads some records of each session: not for an async thread.
        if let Err(error) = tokio::task::spawn_blocking(move || registry.review_sessions()).await {
            error!(%error, "the sessions were not looked at");
        }
        if let Err(error) = shared.registry.note_refused_beyond().await {
            error!(%error, "how many logins were refused is not written down");
        }
        smtp::write_many(shared.mail.traces(), &shared.refused_mail.ended(audit::now())).await;
    }
}

/// Writes down how many were refused in the last minute, beyond those that have a trace: nobody comes any more.
pub(super) async fn last_counts(shared: &Shared) {
    if let Err(error) = shared.registry.note_last_refused().await {
        error!(%error, "how many logins were refused is not written down");
    }
    smtp::write_many(shared.mail.traces(), &shared.refused_mail.last()).await;
}

/// Takes away what is old enough, once a day, until the server stops: marks of messages that left, and whole days of traces.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        if let Err(error) = shared.registry.check_clock(now()) {
            told(&shared, "sweep", Err(error.to_string())).await;
            continue;
        }
        let keep = seconds(shared.config.load().trail.keep);
        let swept = trail::sweep(&shared.mail, now().saturating_sub(keep)).await;
        let swept = swept.map(|swept| format!("{swept} marks of old messages are gone"));
        told(&shared, "sweep-marks", swept.map_err(|error| error.to_string())).await;
        for stream in [Stream::Functional, Stream::Technical] {
            let forgotten = forget(&shared, stream).await;
            let job = match stream {
                Stream::Functional => "forget-functional-traces",
                Stream::Technical => "forget-technical-traces",
            };
            told(&shared, job, forgotten).await;
        }
    }
}

/// Forgets a stream's days that are over for good; says which.
async fn forget(shared: &Arc<Shared>, stream: Stream) -> Result<String, String> {
    let (settings, registry) = (shared.config.load().traces.clone(), shared.registry.clone());
    let traces = shared.traces.clone();
    let forgetting = move || {
        let mut before = match stream {
            Stream::Functional => now().saturating_sub(seconds(settings.functional_keep)),
            Stream::Technical => now().saturating_sub(seconds(settings.technical_keep)),
        };
        if stream == Stream::Functional && settings.from_closing {
            // MSSanté §5: ten years after closing. A day's file holds all mailboxes, and waits for the last of them.
            let oldest = registry.oldest_remembered(before).map_err(|error| error.to_string())?;
            before = oldest.map_or(before, |oldest| before.min(oldest));
        }
        let days = traces.forget(stream, before).map_err(|error| error.to_string())?;
        Ok(days.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    tokio::task::spawn_blocking(forgetting).await.unwrap_or_else(|problem| Err(problem.to_string()))
}

/// What a job came to, in the log and in the technical traces.
async fn told(shared: &Shared, job: &str, outcome: Result<String, String>) {
    match &outcome {
        Ok(detail) => info!(event = "job-ran", job, detail),
        Err(problem) => error!(event = "job-failed", job, problem),
    }
    let (result, detail) = match outcome {
        Ok(detail) => ("done".to_owned(), detail),
        Err(problem) => (problem, String::new()),
    };
    let ran = Action::JobRan { job: job.to_owned(), result, detail };
    if let Err(error) = shared.mail.traces().write([Asker::server().trace(None, ran)]).await {
        error!(%error, job, "that a job ran is not traced");
    }
}

/// Moves what an older version wrote down of messages' ways to the traces, once, behind the start.
pub(super) async fn old_trail(shared: Arc<Shared>) {
    let moved = tokio::select! {
        () = shared.shutdown.begun() => return,
        moved = trail::move_on(&shared.mail) => moved,
    };
    match moved {
        Ok(0) => {}
        Ok(moved) => info!(event = "trail.moved", moved, "an older version's trail stands among the traces now"),
        Err(error) => error!(%error, "an older version's trail is not moved whole; the next start goes on"),
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
