//! What the store witnesses of the day files: with each commit of the scribe's, where they end and where their heads stand.
//!
//! A chain cannot know that its end was cut off, nor heads that their first days were. So a start holds the files against what
//! the store has. What they lack is told, and kept: the next commit writes where the files stand now, but what was lost stays
//! beside it, and in every verification, until somebody acknowledges it.

use std::collections::BTreeMap;

use crate::store::traces::{Mark, Problem, ProblemKind};
use crate::store::{Batch, LostTraces, StoreError, StreamKey, TraceMark, Witness};

use super::reading::TracesError;
use super::scribe::Shelf;
use super::{Asker, Stream, Tracer, tracer};
use crate::audit::Action;

/// What the streams' files have lost, by stream.
pub(super) type Lost = BTreeMap<&'static str, Vec<LostTraces>>;

/// Things lost that are kept of a stream: who loses more has been told enough.
const MOST: usize = 64;

/// Holds a stream's files against what the store witnesses, at a start. A witness that says nothing any more is told, and does
/// not keep the server from its start: the next commit writes it anew.
pub(super) fn compare(tracer: &Tracer, stream: Stream, shelf: &impl Shelf) -> Result<(), StoreError> {
    let silent = |why: &dyn std::fmt::Display| {
        tracing::error!(
            event = "traces.unwitnessed",
            stream = stream.name(),
            %why,
            "it cannot be said whether day files of traces were cut: `caducee traces verify` looks at what is there"
        );
    };
    let TraceMark { mark, heads, mut lost } = match tracer.store().get::<TraceMark>(&key_of(stream)) {
        Ok(Some(mark)) => mark.record,
        Ok(None) => return Ok(()),
        Err(error @ StoreError::Record { .. }) => {
            silent(&error);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let is_end_there = shelf.holds(&mark).inspect_err(|error| silent(error)).unwrap_or(true);
    let end = (!is_end_there).then_some(Witness::End(mark));
    let heads = heads.filter(|heads| !shelf.holds_heads(heads)).map(Witness::Heads);
    for what in end.into_iter().chain(heads) {
        if lost.len() < MOST && !lost.iter().any(|lost| lost.what == what) {
            lost.push(LostTraces { found_at: tracer::now() / 1_000_000, what });
        }
    }
    for LostTraces { found_at, what } in &lost {
        tracing::error!(
            event = "traces.cut",
            stream = stream.name(),
            found_at,
            ?what,
            "day files of traces are not those that were written: they were cut, or an older copy was put in their place; \
             told until `caducee traces acknowledge`"
        );
    }
    tracer.lost().insert(stream.name(), lost);
    Ok(())
}

/// Up to where the store knows a stream's files to be on disk; none where it does not say.
pub(super) fn mark(tracer: &Tracer, stream: Stream) -> Option<Mark> {
    // [`compare`] tells of one that does not read.
    tracer.store().get::<TraceMark>(&key_of(stream)).ok().flatten().map(|mark| mark.record.mark)
}

/// Adds to a batch where a stream's files stand. `lost` is held until that is committed.
pub(super) fn note(lost: &Lost, stream: Stream, shelf: &impl Shelf, mark: Mark, batch: &mut Batch) {
    let lost = lost.get(stream.name()).cloned().unwrap_or_default();
    batch.put(&key_of(stream), &TraceMark { mark, heads: Some(shelf.heads_mark()), lost });
}

/// What a stream's files have lost and nobody has acknowledged, as a verification tells it.
pub(super) fn problems(tracer: &Tracer, stream: Stream) -> Vec<Problem> {
    let lost = tracer.lost();
    lost.get(stream.name()).into_iter().flatten().map(problem).collect()
}

fn problem(lost: &LostTraces) -> Problem {
    match &lost.what {
        Witness::End(mark) => Problem { day: Some(mark.day), block: Some(mark.block), kind: ProblemKind::EndCut },
        Witness::Heads(heads) => Problem { day: heads.day, block: None, kind: ProblemKind::HeadsCut },
    }
}

/// Somebody has seen what was lost, and what it means: it is not told any more. Leaves a trace of who, and says what it was.
///
/// # Errors
/// The store: nothing is acknowledged then.
pub(super) fn acknowledge(
    tracer: &Tracer,
    asker: &Asker,
    shelves: [(Stream, &impl Shelf); 2],
) -> Result<Vec<(Stream, Problem)>, TracesError> {
    let mut lost = tracer.lost();
    let (mut batch, mut told) = (Batch::new(), Vec::new());
    for (stream, shelf) in shelves {
        let of_stream = lost.get(stream.name()).into_iter().flatten();
        told.extend(of_stream.map(|lost| (stream, problem(lost))));
        // From here on the files are as they are.
        match shelf.last_mark() {
            Some(mark) => note(&Lost::new(), stream, shelf, mark, &mut batch),
            None => drop(batch.delete::<TraceMark>(&key_of(stream))),
        }
    }
    let fields = told.iter().map(|(stream, problem)| format!("{}: {problem}", stream.name())).collect();
    let action = Action::Administered { what: "traces-acknowledged".into(), fields, about: None };
    tracer.note(asker.trace(None, action), &mut batch);
    tracer.store().commit_blocking(batch)?;
    lost.clear();
    Ok(told)
}

pub(super) fn key_of(stream: Stream) -> StreamKey {
    StreamKey(match stream {
        Stream::Functional => 1,
        Stream::Technical => 2,
    })
}
