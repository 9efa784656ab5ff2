//! Technical traces of what jobs came to (MSSanté §11).

use std::sync::OnceLock;

use crate::audit::{Action, Asker, Tracer};

/// Where a job's runs are traced, once the store is open: the jobs are made before it.
#[derive(Debug, Default)]
pub(super) struct Runs(OnceLock<Tracer>);

impl Runs {
    /// From now on they are traced there.
    pub(super) fn begin(&self, tracer: &Tracer) {
        // Jobs are made once, and so is the store; a second one would change nothing.
        let _first_stays = self.0.set(tracer.clone());
    }

    /// A job ran. The trace is on its way when this returns: jobs do not wait for it.
    pub(super) fn ran(&self, job: &str, result: &str, detail: String) {
        let Some(tracer) = self.0.get() else { return };
        let ran = Action::JobRan { job: job.to_owned(), result: result.to_owned(), detail };
        drop(tracer.write([Asker::server().trace(None, ran)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Stream;
    use crate::mail::{MailLimits, MailRoom};
    use crate::store::{MasterKey, Store};

    #[tokio::test]
    async fn a_run_is_traced_from_the_moment_that_there_is_a_store() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let runs = Runs::default();
        runs.ran("white-list", "taken", String::new());
        runs.begin(room.traces());
        runs.ran("white-list", "older", "the list was generated before".into());
        let traces = loop {
            let traces = room.traces().waiting(.., 9).unwrap();
            if !traces.is_empty() {
                break traces;
            }
            tokio::task::yield_now().await;
        };
        let [trace] = traces.as_slice() else { panic!("one: {traces:?}") };
        assert!(
            matches!(&trace.action, Action::JobRan { job, result, .. } if job == "white-list" && result == "older")
        );
        assert_eq!(trace.stream(), Stream::Technical);
    }
}
