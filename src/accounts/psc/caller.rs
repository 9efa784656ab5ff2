//! Asking Pro Santé Connect with patience: so many at once, tried again, and left alone while it is away.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::accounts::https::{Answer, Call, Https};
use crate::telemetry::{Metrics, ResultLabel};

use super::Trouble;
use super::breaker::Breaker;

/// Wait before another try.
const BEFORE_AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Caller {
    https: Https,
    breaker: Breaker,
    turns: Semaphore,
    retries: u32,
    metrics: Metrics,
}

impl Caller {
    pub(super) fn new(https: Https, breaker: Breaker, at_once: usize, retries: u32, metrics: Metrics) -> Self {
        Self { https, breaker, turns: Semaphore::new(at_once.max(1)), retries, metrics }
    }

    /// Sends a request; gives the answer of a server that works, whatever it says: 2xx or 4xx.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        let tries = if call.may_be_repeated() { self.retries } else { 0 };
        for _ in 0..tries {
            match self.once(call).await {
                Err(trouble) if trouble.may_pass() => tokio::time::sleep(BEFORE_AGAIN).await,
                outcome => return outcome,
            }
        }
        self.once(call).await
    }

    /// As [`Caller::call`], for what is public and answered with a JSON document.
    pub(super) async fn document<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Trouble> {
        let answer = self.call(call).await?;
        match answer.status {
            StatusCode::OK => answer.json(),
            status => Err(Trouble::Status(status.as_u16())),
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        // It is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Trouble::Interrupted)?;
        let passage = self.breaker.pass(Instant::now()).ok_or(Trouble::Resting)?;
        let begin = Instant::now();
        let outcome = self.https.send(call).await.map_err(Trouble::from).and_then(in_earnest);
        self.metrics.psc_request_duration.0.observe(begin.elapsed().as_secs_f64());
        let result = outcome.as_ref().err().map_or("ok", Trouble::name);
        self.metrics.psc_requests.get_or_create(&ResultLabel { result }).inc();
        match &outcome {
            Err(trouble) if trouble.counts() => passage.failed(Instant::now()),
            _ => passage.succeeded(),
        }
        outcome
    }
}

/// An answer that says something about the question: neither an error of the server, nor a way to elsewhere.
fn in_earnest(answer: Answer) -> Result<Answer, Trouble> {
    let status = answer.status;
    if status.is_redirection() {
        return Err(Trouble::Redirected);
    }
    // RFC 6585 §4: 429, too many requests.
    if status.is_server_error() || status.is_informational() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Trouble::Status(status.as_u16()));
    }
    Ok(answer)
}

impl Answer {
    /// The body as a JSON document.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_slice(&self.body).map_err(|_| Trouble::Nonsense("not the JSON document that was expected"))
    }
}
