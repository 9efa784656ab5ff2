//! The reading side: what waits for the scribe and what stands in the day files, as one.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::store::traces::{
    Damage, Day, FoundLine, Head, Problem, ProofParts, Query, TraceError, TraceFiles, TraceKeys, TraceOptions,
    TraceReport, Witnessed,
};
use crate::store::{CommitError, StoreError, TraceKey, WaitingTrace};
use crate::telemetry::Metrics;

use super::parts::{Parts, identity};
use super::{Asker, Stream, Trace, TraceQuery, Tracer, found, witness};

/// Traces of one message that a proof shows, at most.
const MOST_PROVED: usize = 5_000;

/// Octets that the parts of a proof take, at most: some thousands of steps, each with the few hashes that lead to its day's
/// end. Only blocks of an earlier version, which are shown with the hashes of all their lines, come near.
const MOST_PROOF: usize = 8 * 1024 * 1024;

/// Why traces cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// What waits for the scribe.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The day files.
    #[error(transparent)]
    Files(#[from] TraceError),
    /// What is acknowledged cannot be written down.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is no thread for the scribe.
    #[error("no thread for the scribe: {0}")]
    Thread(#[from] io::Error),
    /// What is to be proved waits for the scribe, and is not signed yet.
    #[error("the scribe has not written down all of it yet")]
    NotYet,
}

/// Traces, to be read. Cheap to clone; all of it blocks.
#[derive(Clone, Debug)]
pub struct Traces {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tracer: Tracer,
    keys: TraceKeys,
    functional: TraceFiles,
    technical: TraceFiles,
    /// Things that the start found, and that nobody has acknowledged.
    found: AtomicU64,
    counted: OnceLock<Metrics>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The traces, in the order that was asked for.
    pub traces: Vec<Trace>,
    /// Whether there may be more than the limit let through.
    pub more: bool,
    /// What could not be read, in words.
    pub unreadable: Vec<String>,
}

/// What shows the steps of a message.
#[derive(Debug, Default)]
pub struct Proved {
    /// The steps, by time, and what shows each.
    pub steps: Vec<(Trace, ProofParts)>,
    /// Why there may be further ones, in words: what does not read, say. Empty: these are all.
    pub gaps: Vec<String>,
}

impl Traces {
    /// Opens the day files under a directory, and makes them where they are not.
    ///
    /// # Errors
    /// They cannot be opened: another process has them, they are sealed with another key, the disk.
    pub fn open(tracer: &Tracer, directory: &Path) -> Result<Self, TracesError> {
        let keys = TraceKeys::derive(tracer.key());
        let open = |stream: Stream| {
            // What does not read of the waiting ones is not filed again.
            let waits = |at: u64| matches!(tracer.store().get::<WaitingTrace>(&TraceKey(at)), Ok(Some(_)));
            let witnessed = witness::mark(tracer, stream).map(|mark| Witnessed { mark, waits: &waits });
            let directory = directory.join(stream.name());
            let (files, opening) = TraceFiles::open_witnessed(&directory, &keys, &TraceOptions::default(), witnessed)?;
            tracing::info!(?opening, stream = stream.name(), "day files of traces open");
            Ok::<_, TraceError>((files, found::tell(stream, &opening)))
        };
        let ((functional, one), (technical, other)) = (open(Stream::Functional)?, open(Stream::Technical)?);
        let found = AtomicU64::new(one + other);
        let counted = OnceLock::new();
        let inner = Inner { tracer: tracer.clone(), keys, functional, technical, found, counted };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has a gauge say how much is not as it was written: what the start found, and what the files have lost.
    pub(super) fn count_into(&self, metrics: &Metrics) {
        let metrics = self.inner.counted.get_or_init(|| metrics.clone());
        let lost: usize = self.inner.tracer.lost().values().map(Vec::len).sum();
        let found = self.inner.found.load(Ordering::Relaxed).saturating_add(lost as u64);
        metrics.traces_found.set(i64::try_from(found).unwrap_or(i64::MAX));
    }

    /// Finds up to `limit` traces.
    ///
    /// # Errors
    /// The store or the disk fails. What is damaged costs itself, and is told.
    pub fn search(&self, query: &TraceQuery, limit: usize) -> Result<Found, TracesError> {
        // What waits is read first: a trace goes from there into the files, never back.
        let mut waiting = self.waiting(query.from, query.to, |trace| query.is_met_by(trace))?;
        let mut found = Found::default();
        let seen: HashSet<_> = waiting.iter().map(identity).collect();
        for (_, files) in self.streams_of(query) {
            let mut read = |line: FoundLine| match serde_json::from_slice::<Trace>(&line.text) {
                Ok(trace) => (query.is_met_by(&trace) && !seen.contains(&identity(&trace))).then_some(trace),
                Err(error) => {
                    found.unreadable.push(format!("a line of {}: {error}", line.place.day));
                    None
                }
            };
            // One more says whether there are more.
            let (mut traces, searched) = files.first(&self.files_query(query), limit.saturating_add(1), &mut read)?;
            found.traces.append(&mut traces);
            found.unreadable.extend(searched.damaged.iter().map(in_words));
        }
        found.traces.append(&mut waiting);
        found.traces.sort_by_key(|trace| trace.at);
        if !query.oldest_first {
            found.traces.reverse();
        }
        found.more = found.traces.len() > limit;
        found.traces.truncate(limit);
        Ok(found)
    }

    /// Every trace with `from <= at < to` (Unix microseconds) that waits or is kept, each once and whole, by stream and roughly in
    /// their order; `false` stops. Says what could not be read.
    ///
    /// # Errors
    /// As [`Traces::search`].
    pub fn each(&self, from: u64, to: u64, f: &mut dyn FnMut(Trace) -> bool) -> Result<Vec<String>, TracesError> {
        let Some(last) = to.checked_sub(1) else { return Ok(Vec::new()) };
        let waiting = self.waiting(from, last, |_| true)?;
        let seen: HashSet<_> = waiting.iter().map(identity).collect();
        let mut unreadable = Vec::new();
        let mut goes_on = true;
        for files in [&self.inner.functional, &self.inner.technical] {
            let mut parts = Parts::default();
            let mut take = |line: FoundLine| {
                match serde_json::from_slice::<Trace>(&line.text) {
                    Ok(trace) if seen.contains(&identity(&trace)) => {}
                    Ok(trace) => goes_on = parts.take(trace).is_none_or(&mut *f),
                    Err(error) => unreadable.push(format!("a line of {}: {error}", line.place.day)),
                }
                goes_on
            };
            let query = Query { from, to: last, ..Query::default() };
            let searched = files.search(&query, usize::MAX, &mut take)?;
            unreadable.extend(searched.damaged.iter().map(in_words));
            goes_on = goes_on && parts.rest().all(&mut *f);
            if !goes_on {
                return Ok(unreadable);
            }
        }
        // Stops where it is told to.
        let _went_through = waiting.into_iter().all(f);
        Ok(unreadable)
    }

    /// What shows each step of a message, and the key that signs them; and what may be missing. A step that does not read
    /// costs itself.
    ///
    /// # Errors
    /// [`TracesError::NotYet`] where something of it still waits; else as [`Traces::search`].
    pub fn proof(&self, message_id: &str) -> Result<Proved, TracesError> {
        let query = TraceQuery::of_message(message_id);
        if !self.waiting(0, u64::MAX, |trace| query.is_met_by(trace))?.is_empty() {
            return Err(TracesError::NotYet);
        }
        let (mut lines, mut gaps) = (Vec::new(), Vec::new());
        let mut take = |line: FoundLine| {
            match serde_json::from_slice::<Trace>(&line.text) {
                Ok(trace) if query.is_met_by(&trace) => lines.push((trace, line.place)),
                Ok(_) => {}
                Err(error) => gaps.push(format!("a line of {}: {error}", line.place.day)),
            }
            lines.len() <= MOST_PROVED
        };
        let files = &self.inner.functional;
        let searched = files.search(&self.files_query(&query), usize::MAX, &mut take)?;
        gaps.extend(searched.damaged.iter().map(in_words));
        if lines.len() > MOST_PROVED {
            gaps.push(format!("more than {MOST_PROVED} steps"));
            lines.truncate(MOST_PROVED);
        }
        let (mut prover, mut steps, mut size) = (files.prover(), Vec::new(), 0);
        for (trace, place) in lines {
            match prover.parts(place) {
                Ok(parts) => {
                    size += size_of(&parts);
                    steps.push((trace, parts));
                }
                Err(error @ (TraceError::Damaged { .. } | TraceError::NotThere)) => gaps.push(error.to_string()),
                Err(error) => return Err(error.into()),
            }
            if size > MOST_PROOF {
                gaps.push(format!("more than {MOST_PROOF} octets"));
                break;
            }
        }
        steps.sort_by_key(|(trace, _)| trace.at);
        Ok(Proved { steps, gaps })
    }

    /// Reads the files of some days from end to end, and holds each to its chain and its signatures. What starts have found lost
    /// is told too, of whatever day, until it is acknowledged.
    ///
    /// # Errors
    /// The disk fails.
    pub fn verify(&self, from: Day, to: Day) -> Result<[(Stream, TraceReport); 2], TracesError> {
        let report = |stream: Stream, files: &TraceFiles| {
            let mut report = files.verify(from..=to)?;
            report.problems.splice(0..0, witness::problems(&self.inner.tracer, stream));
            Ok::<_, TracesError>((stream, report))
        };
        let functional = report(Stream::Functional, &self.inner.functional)?;
        Ok([functional, report(Stream::Technical, &self.inner.technical)?])
    }

    /// Somebody has seen what starts have found lost, and what it means: it is not told any more. Says what it was.
    ///
    /// # Errors
    /// The store fails: nothing is acknowledged then.
    pub fn acknowledge(&self, asker: &Asker) -> Result<Vec<(Stream, Problem)>, TracesError> {
        let Inner { tracer, functional, technical, .. } = &*self.inner;
        let shelves = [(Stream::Functional, functional), (Stream::Technical, technical)];
        let told = witness::acknowledge(tracer, asker, shelves)?;
        self.inner.found.store(0, Ordering::Relaxed);
        if let Some(metrics) = self.inner.counted.get() {
            metrics.traces_found.set(0);
        }
        Ok(told)
    }

    /// The signed ends of all days, forgotten ones included.
    pub fn heads(&self) -> Vec<(Stream, Head)> {
        let of = |stream: Stream, files: &TraceFiles| files.heads().into_iter().map(move |head| (stream, head));
        let functional = of(Stream::Functional, &self.inner.functional);
        functional.chain(of(Stream::Technical, &self.inner.technical)).collect()
    }

    /// The Ed25519 key that the heads of both streams are signed with.
    pub fn public_key(&self) -> [u8; 32] {
        self.inner.keys.public_key()
    }

    /// Forgets whole days of a stream: those that were over at a moment (Unix seconds). Says which.
    ///
    /// # Errors
    /// The disk fails.
    pub fn forget(&self, stream: Stream, before: i64) -> Result<Vec<Day>, TracesError> {
        let files = match stream {
            Stream::Functional => &self.inner.functional,
            Stream::Technical => &self.inner.technical,
        };
        let before = u64::try_from(before).unwrap_or_default().saturating_mul(1_000_000);
        Ok(files.forget(Day::of(before))?)
    }

    /// What the day files take on the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.inner.functional.size() + self.inner.technical.size()
    }

    pub(super) fn files(&self) -> (&TraceFiles, &TraceFiles) {
        (&self.inner.functional, &self.inner.technical)
    }

    pub(super) fn tracer(&self) -> &Tracer {
        &self.inner.tracer
    }

    pub(super) fn keys(&self) -> &TraceKeys {
        &self.inner.keys
    }

    fn waiting(&self, from: u64, to: u64, is_wanted: impl Fn(&Trace) -> bool) -> Result<Vec<Trace>, StoreError> {
        if from > to {
            return Ok(Vec::new());
        }
        self.inner.tracer.waiting_that(from..=to, usize::MAX, is_wanted)
    }

    /// Jobs have no mailbox, person, message or peer.
    fn streams_of(&self, query: &TraceQuery) -> Vec<(Stream, &TraceFiles)> {
        let of_people = [&query.mailbox, &query.person, &query.message_id, &query.peer].iter().any(|it| it.is_some());
        let is_job = query.action.as_deref() == Some(super::action::JOB_RAN);
        let functional = (!is_job).then_some((Stream::Functional, &self.inner.functional));
        let technical =
            (!of_people && (is_job || query.action.is_none())).then_some((Stream::Technical, &self.inner.technical));
        functional.into_iter().chain(technical).collect()
    }

    fn files_query(&self, query: &TraceQuery) -> Query {
        let wanted = query.wanted();
        let term = |(facet, value): &(super::facets::Facet, String)| self.inner.keys.term(facet.name(), value);
        Query {
            from: query.from,
            to: query.to,
            all_terms: wanted.iter().map(term).collect(),
            newest_first: !query.oldest_first,
        }
    }
}

/// What a step takes in a proof, in octets; what is written of it takes some three times that.
fn size_of(parts: &ProofParts) -> usize {
    let path = parts.day_end.as_ref().map_or(0, |end| end.path.len());
    2 * parts.text.len() + parts.prefix.len() + 32 * (parts.hashes.len() + path)
}

fn in_words(damage: &Damage) -> String {
    format!("{} from octet {} to {}", damage.day, damage.from, damage.to)
}

#[cfg(test)]
mod tests;
