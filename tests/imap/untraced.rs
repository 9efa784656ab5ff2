//! While nothing can be traced, nobody gets in and nothing is done; sessions that are there stay.

use std::time::Duration;

use caducee::audit::{Action, Observer, Scribe, ScribeOptions, Trace, Traces};
use caducee::store::{Batch, Store, StoreError};
use caducee::telemetry::Metrics;

use super::harness::{MAILBOX, PASSWORD, Server};

/// Somebody who cannot count, so that the scribe cannot go on.
struct Trouble;

impl Observer for Trouble {
    fn observe(&mut self, _trace: &Trace) {}
    fn put_into(&mut self, _store: &Store, _batch: &mut Batch) -> Result<(), StoreError> {
        Err(StoreError::Stopped)
    }
}

/// A directory that is gone with the test.
struct Place(std::path::PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn nothing_happens_untraced_and_sessions_go_on_when_it_is_over() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    let place = Place(std::env::temp_dir().join(format!("cad-untraced-{}", std::process::id())));
    let traces = Traces::open(server.room.traces(), &place.0).unwrap();
    let scribe = |observers: Vec<Box<dyn Observer>>| {
        let traces = traces.clone();
        let options = ScribeOptions { observers, most_waiting: 3, metrics: Metrics::default() };
        tokio::task::spawn_blocking(move || Scribe::start(&traces, options).unwrap())
    };
    let stuck = scribe(vec![Box::new(Trouble)]).await.unwrap();
    server.room.traces().write((0..9).map(|_| Trace::of(Action::LoggedIn))).await.unwrap();
    while !server.room.traces().is_stuck() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for command in ["SELECT INBOX", "FETCH 1:* BODY[]", "SEARCH ALL", "CREATE x", "EXPUNGE", "LIST \"\" *"] {
        client.refused(command, "NO [UNAVAILABLE]").await;
    }
    client.refused("APPEND INBOX {5}", "NO [UNAVAILABLE]").await;
    client.ok("NOOP").await;
    let mut other = server.connect(true).await;
    other.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO [UNAVAILABLE]").await;
    tokio::task::spawn_blocking(move || stuck.stop()).await.unwrap();
    let well = scribe(Vec::new()).await.unwrap();
    tokio::task::spawn_blocking(move || well.stop()).await.unwrap();
    client.ok("SEARCH ALL").await;
    other.ok(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
}
