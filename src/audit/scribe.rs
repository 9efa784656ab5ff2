//! The scribe: takes the traces that wait in the store, and writes them into the day files.
//!
//! ```text
//! WaitingTrace ─▶ by time, a second after the last was given ─▶ day files (synced) ─▶ observers ─▶ one commit: gone from
//!                                                                                                   the store, counted
//! ```
//!
//! Each trace stands in the files once, and is observed once, whatever crashes between: what was written and not yet taken
//! away is known by the files' last lines. It runs on a thread of its own: all that it does waits for disks.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::store::traces::{
    Day, FoundLine, HeadsMark, Line, MAX_LINE_TERMS, MAX_LINE_TEXT, Mark, TraceError, TraceFiles,
};
use crate::store::{Batch, CommitError, StoreError, TraceKey, WaitingTrace};
use crate::telemetry::Metrics;

use super::facets::{facets, facets_of_unknown};
use super::parts::{Identity, identity, split};
use super::reading::TracesError;
use super::{Observer, Stream, Trace, Tracer, Traces, tracer, witness};

/// Most traces that are written down in one step.
pub(super) const BATCH: usize = 512;

/// Last lines that are looked at first when it starts: those of one step, if each of its traces made one.
const LAST_LINES: usize = 2 * BATCH;

/// How often it looks for traces: so long they wait for those that were given before them and are committed after them.
const PERIOD: Duration = Duration::from_secs(1);

/// How often it tries again where it cannot write.
const AGAIN: Duration = Duration::from_secs(5);

/// How often a day that is over is sealed.
const TURN: Duration = Duration::from_secs(60);

/// Steps between two looks at how many wait.
const STEPS: u32 = 32;

/// What the scribe works with.
pub struct ScribeOptions {
    /// Who looks at each trace as it is written down.
    pub observers: Vec<Box<dyn Observer>>,
    /// With more than so many waiting, nothing more may happen.
    pub most_waiting: usize,
    /// The figures.
    pub metrics: Metrics,
}

/// Why traces cannot be written down at present.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("what waits cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("what is written cannot be taken from those that wait: {0}")]
    Commit(#[from] CommitError),
    #[error("{0}")]
    Files(#[from] TraceError),
}

/// Where lines are kept for good: one stream's day files.
pub(super) trait Shelf: Send + 'static {
    fn append(&self, day: Day, lines: &[Line]) -> Result<Option<Mark>, TraceError>;
    fn last_lines(&self, count: usize) -> Result<Vec<FoundLine>, TraceError>;
    fn turn(&self, today: Day) -> Result<Option<Day>, TraceError>;
    fn holds(&self, mark: &Mark) -> Result<bool, TraceError>;
    fn last_mark(&self) -> Option<Mark>;
    fn heads_mark(&self) -> HeadsMark;
    fn holds_heads(&self, mark: &HeadsMark) -> bool;
}

impl Shelf for TraceFiles {
    fn append(&self, day: Day, lines: &[Line]) -> Result<Option<Mark>, TraceError> {
        TraceFiles::append(self, day, lines)
    }
    fn last_lines(&self, count: usize) -> Result<Vec<FoundLine>, TraceError> {
        TraceFiles::last_lines(self, count)
    }
    fn turn(&self, today: Day) -> Result<Option<Day>, TraceError> {
        TraceFiles::turn(self, today)
    }
    fn holds(&self, mark: &Mark) -> Result<bool, TraceError> {
        TraceFiles::holds(self, mark)
    }
    fn last_mark(&self) -> Option<Mark> {
        TraceFiles::last_mark(self)
    }
    fn heads_mark(&self) -> HeadsMark {
        TraceFiles::heads_mark(self)
    }
    fn holds_heads(&self, mark: &HeadsMark) -> bool {
        TraceFiles::holds_heads(self, mark)
    }
}

/// The running scribe.
#[derive(Debug)]
pub struct Scribe {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Scribe {
    /// Starts it. Blocks while it looks at what the last one left.
    ///
    /// # Errors
    /// The day files or the store cannot be read, or there is no thread for it.
    pub fn start(traces: &Traces, options: ScribeOptions) -> Result<Self, TracesError> {
        let (functional, technical) = traces.files();
        let shelves = [(Stream::Functional, functional.clone()), (Stream::Technical, technical.clone())];
        let mut desk = Desk::new(traces.tracer().clone(), shelves, traces.keys().clone(), options);
        desk.take_up()?;
        traces.count_into(&desk.options.metrics);
        let (stop, stopped) = mpsc::channel();
        let run = move || desk.run(&stopped);
        let thread = std::thread::Builder::new().name("caducee-scribe".into()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Writes down what waits, and ends. Blocks; what cannot be written waits for the next start.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!(event = "traces.stuck", "the scribe has failed; its traces wait for the next start");
        }
    }
}

/// What a waiting trace says, opened.
type Text = Zeroizing<Vec<u8>>;

/// What lies before the scribe.
struct Desk<S> {
    tracer: Tracer,
    shelves: [(Stream, S); 2],
    keys: crate::store::traces::TraceKeys,
    options: ScribeOptions,
    /// In the files, and not yet taken from those that wait: of each trace, which of its parts.
    written: HashMap<Identity, Vec<u32>>,
    /// The same of traces that only a newer version reads: their moments.
    unknown: HashSet<u64>,
    turned: Option<Instant>,
}

impl<S> Drop for Desk<S> {
    /// A scribe that fails leaves nobody who would say that traces pile up: nothing may happen untraced.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tracer.set_stuck(true);
        }
    }
}

impl<S: Shelf> Desk<S> {
    fn new(
        tracer: Tracer,
        shelves: [(Stream, S); 2],
        keys: crate::store::traces::TraceKeys,
        options: ScribeOptions,
    ) -> Self {
        Self { tracer, shelves, keys, options, written: HashMap::new(), unknown: HashSet::new(), turned: None }
    }

    /// Finds out what the last one had written and not taken away, and whether the files are those that it left.
    fn take_up(&mut self) -> Result<(), TracesError> {
        for (stream, shelf) in &self.shelves {
            let mut ahead = 0;
            for line in last_step(&self.tracer, shelf)? {
                ahead += u64::from(!self.tracer.begin_after(line.at));
                match serde_json::from_slice::<Trace>(&line.text) {
                    Ok(trace) => self.written.entry(identity(&trace)).or_default().push(number_of(&trace)),
                    Err(_) => drop(self.unknown.insert(line.at)),
                }
            }
            if ahead > 0 {
                tracing::error!(
                    event = "traces.clock",
                    stream = stream.name(),
                    ahead,
                    "traces bear moments that are still to come: the clock was ahead once, or is behind now"
                );
            }
            witness::compare(&self.tracer, *stream, shelf)?;
        }
        Ok(())
    }

    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        // What earlier processes gave can have no stragglers.
        let mut ripe = self.tracer.last();
        loop {
            let pause = if self.cycle(ripe) { PERIOD } else { AGAIN };
            ripe = self.tracer.last();
            if !matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        self.cycle(u64::MAX);
    }

    /// Writes down what was given up to a moment; says whether that went well.
    fn cycle(&mut self, ripe: u64) -> bool {
        let outcome = self.drain(ripe).and_then(|()| self.turn());
        let metrics = &self.options.metrics;
        match outcome {
            Ok(()) => {
                metrics.traces_trouble.set(0);
                metrics.traces_waiting.set(0);
                self.tracer.set_stuck(false);
                true
            }
            Err(trouble) => {
                metrics.traces_trouble.set(1);
                tracing::error!(event = "traces.unwritable", %trouble, "traces cannot be written down: they wait");
                self.look_at_those_that_wait();
                false
            }
        }
    }

    /// Writes down what was given up to a moment, and what a clock that was ahead has given: no straggler comes before that.
    fn drain(&mut self, ripe: u64) -> Result<(), Trouble> {
        self.drain_range(0, ripe)?;
        self.drain_range(self.tracer.horizon().saturating_add(1), u64::MAX)
    }

    fn drain_range(&mut self, from: u64, to: u64) -> Result<(), Trouble> {
        for step in 1.. {
            // By their keys: one that does not read has to go, too.
            let keys = self.tracer.store().keys_of::<WaitingTrace>(TraceKey(from)..=TraceKey(to), BATCH)?;
            let (mut opened, mut unknown) = (Vec::new(), Vec::new());
            for key in &keys {
                let text = self.text_of(*key)?;
                let trace = text.as_ref().and_then(|text| serde_json::from_slice(text).ok());
                unknown.extend(text.filter(|_| trace.is_none()).map(|text| (*key, text)));
                opened.push((*key, trace));
            }
            if !opened.is_empty() {
                self.write_down_past_a_conflict(&opened, &unknown)?;
            }
            if keys.len() < BATCH {
                break;
            }
            if step % STEPS == 0 {
                self.look_at_those_that_wait();
            }
        }
        Ok(())
    }

    /// What a waiting trace says; none where it does not read.
    fn text_of(&self, key: TraceKey) -> Result<Option<Text>, StoreError> {
        match self.tracer.store().get::<WaitingTrace>(&key) {
            Ok(row) => Ok(row.and_then(|row| self.tracer.open_text(key, &row.record))),
            Err(StoreError::Record { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Desk::write_down`], twice where an observer has relied on what somebody else has written since: it looks again.
    fn write_down_past_a_conflict(
        &mut self,
        opened: &[(TraceKey, Option<Trace>)],
        unknown: &[(TraceKey, Text)],
    ) -> Result<(), Trouble> {
        match self.write_down(opened, unknown) {
            Err(Trouble::Commit(CommitError::Conflict(_))) => self.write_down(opened, unknown),
            outcome => outcome,
        }
    }

    /// `unknown` are those of the opened that open to what only a newer version reads.
    fn write_down(
        &mut self,
        opened: &[(TraceKey, Option<Trace>)],
        unknown: &[(TraceKey, Text)],
    ) -> Result<(), Trouble> {
        let (mut batch, tracer) = (Batch::new(), self.tracer.clone());
        let kept = self.shelve_unknown(unknown)?;
        let marks = [self.shelve(0, opened)?.or(kept), self.shelve(1, opened)?];
        let lost = tracer.lost();
        for ((stream, shelf), mark) in self.shelves.iter().zip(marks) {
            // What the last scribe has written and not committed is witnessed now.
            let stood_there = || {
                let mut traces = opened.iter().filter_map(|(_, trace)| trace.as_ref());
                let has_unknown = *stream == Stream::Functional && !unknown.is_empty();
                let has_some = has_unknown || traces.any(|trace| trace.stream() == *stream);
                has_some.then(|| shelf.last_mark()).flatten()
            };
            if let Some(mark) = mark.or_else(stood_there) {
                witness::note(&lost, *stream, shelf, mark, &mut batch);
            }
        }
        for (key, trace) in opened {
            match trace {
                Some(trace) => self.options.observers.iter_mut().for_each(|observer| observer.observe(trace)),
                None if unknown.iter().any(|(of, _)| of == key) => {}
                None => {
                    tracing::error!(event = "traces.damaged", at = key.0, "a waiting trace does not open: it is lost")
                }
            }
            batch.delete::<WaitingTrace>(key);
        }
        let store = self.tracer.store();
        // All begin anew, whichever of them cannot.
        let counted: Vec<_> =
            self.options.observers.iter_mut().map(|observer| observer.put_into(store, &mut batch)).collect();
        counted.into_iter().collect::<Result<(), _>>()?;
        let committed = store.commit_blocking(batch)?;
        drop(lost);
        self.options.observers.iter_mut().for_each(|observer| observer.committed(committed));
        for (key, _) in unknown {
            self.unknown.remove(&key.0);
        }
        for trace in opened.iter().filter_map(|(_, trace)| trace.as_ref()) {
            self.written.remove(&identity(trace));
        }
        self.options.metrics.traces_written.inc_by(opened.len() as u64);
        Ok(())
    }

    /// Appends one stream's traces to its files, day by day, but for what stands there already.
    fn shelve(&mut self, at: usize, opened: &[(TraceKey, Option<Trace>)]) -> Result<Option<Mark>, Trouble> {
        let (stream, shelf) = &self.shelves[at];
        let traces = opened.iter().filter_map(|(_, trace)| trace.as_ref());
        let traces: Vec<&Trace> = traces.filter(|trace| trace.stream() == *stream).collect();
        let mut last = None;
        for of_day in traces.chunk_by(|one, next| Day::of(one.at) == Day::of(next.at)) {
            let (mut lines, mut numbers) = (Vec::new(), Vec::new());
            for trace in of_day {
                let whole = identity(trace);
                let there = self.written.get(&whole);
                let is_new = |(number, _): &(u32, Line)| !there.is_some_and(|there| there.contains(number));
                for (number, line) in self.lines(trace).into_iter().filter(is_new) {
                    lines.push(line);
                    numbers.push((whole.clone(), number));
                }
            }
            last = shelf.append(Day::of(of_day[0].at), &lines)?.or(last);
            for (whole, number) in numbers {
                self.written.entry(whole).or_default().push(number);
            }
        }
        Ok(last)
    }

    /// Appends what only a newer version reads, as it stands: that version finds it there. It is no job of this one's.
    fn shelve_unknown(&mut self, unknown: &[(TraceKey, Text)]) -> Result<Option<Mark>, Trouble> {
        let (_, shelf) = &self.shelves[0];
        let mut last = None;
        for (key, text) in unknown {
            if self.unknown.contains(&key.0) {
                continue;
            }
            if text.len() > MAX_LINE_TEXT {
                tracing::error!(at = key.0, "a trace of a newer version's is too long to be kept: it is lost");
                continue;
            }
            tracing::warn!(at = key.0, "a trace is of a newer version's: it is filed as it stands, and not counted");
            let facets = facets_of_unknown(text);
            let terms = facets.iter().map(|(facet, value)| self.keys.term(facet.name(), value));
            let line = Line { at: key.0, terms: terms.take(MAX_LINE_TERMS).collect(), text: text.to_vec() };
            last = shelf.append(Day::of(key.0), &[line])?.or(last);
            self.unknown.insert(key.0);
        }
        Ok(last)
    }

    /// A trace as it is kept, each line with its number: one, or several where it names more people than a line holds.
    fn lines(&self, trace: &Trace) -> Vec<(u32, Line)> {
        let Some(line) = self.line(trace) else { return Vec::new() };
        if fits(&line) {
            return vec![(number_of(trace), line)];
        }
        let Some(parts) = split(trace, &|part| self.line(part).is_some_and(|line| fits(&line))) else {
            tracing::error!(at = trace.at, action = trace.action.name(), "a trace is too long to be kept: it is lost");
            return Vec::new();
        };
        parts.iter().filter_map(|part| Some((number_of(part), self.line(part)?))).collect()
    }

    /// None for what has no written form, which texts, numbers and lists of them always have.
    fn line(&self, trace: &Trace) -> Option<Line> {
        let text = serde_json::to_vec(trace).ok()?;
        let terms = facets(trace).iter().map(|(facet, value)| self.keys.term(facet.name(), value)).collect();
        Some(Line { at: trace.at, terms, text })
    }

    fn look_at_those_that_wait(&self) {
        let most = self.options.most_waiting;
        // A store that cannot be read has stopped mail itself.
        let Ok(waiting) = self.tracer.store().count::<WaitingTrace>(.., most.saturating_add(1)) else { return };
        self.options.metrics.traces_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let was_stuck = self.tracer.is_stuck();
        if waiting > most {
            tracing::error!(event = "traces.stuck", most, "too many traces wait: mail stops with temporary errors");
            self.tracer.set_stuck(true);
        } else if was_stuck && waiting <= most / 2 {
            self.tracer.set_stuck(false);
        }
    }

    fn turn(&mut self) -> Result<(), Trouble> {
        if self.turned.is_some_and(|turned| turned.elapsed() < TURN) {
            return Ok(());
        }
        for (stream, shelf) in &self.shelves {
            if let Some(day) = shelf.turn(today())? {
                tracing::info!(event = "traces.sealed", stream = stream.name(), %day, "a day's traces are sealed");
            }
        }
        self.turned = Some(Instant::now());
        Ok(())
    }
}

/// The last lines of a stream: all that the last step may have written and not taken from those that wait, and perhaps some more.
fn last_step(tracer: &Tracer, shelf: &impl Shelf) -> Result<Vec<FoundLine>, TracesError> {
    let mut count = LAST_LINES;
    loop {
        let lines = shelf.last_lines(count)?;
        let first = lines.first().filter(|_| lines.len() == count);
        let waits = first.map(|line| tracer.store().get::<WaitingTrace>(&TraceKey(line.at))).transpose()?.flatten();
        if waits.is_none() {
            return Ok(lines);
        }
        count = count.saturating_mul(2);
    }
}

fn fits(line: &Line) -> bool {
    line.text.len() <= MAX_LINE_TEXT && line.terms.len() <= MAX_LINE_TERMS
}

/// Which part it is of its trace; 0: the whole.
fn number_of(trace: &Trace) -> u32 {
    trace.part.map_or(0, |part| part.number)
}

/// The day that it is, in UTC.
pub(super) fn today() -> Day {
    Day::of(tracer::now())
}

#[cfg(test)]
mod tests;
