//! The scribe: takes the traces that wait in the store, and writes them into the day files.
//!
//! ```text
//! WaitingTrace ─▶ by time, a second after the last was given ─▶ day files (synced) ─▶ observers ─▶ one commit: gone from
//!                                                                                                   the store, counted
//! ```
//!
//! Each trace stands in the files once, and is observed once, whatever crashes between: what was written and not yet taken
//! away is known by the files' last lines. It runs on a thread of its own: all that it does waits for disks.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::store::traces::{Day, FoundLine, Line, MAX_LINE_TERMS, MAX_LINE_TEXT, Mark, TraceError, TraceFiles};
use crate::store::{Batch, CommitError, StoreError, StreamKey, TraceKey, TraceMark, WaitingTrace};
use crate::telemetry::Metrics;

use super::facets::facets;
use super::parts::{Identity, identity, split};
use super::reading::TracesError;
use super::{Observer, Stream, Trace, Tracer, Traces, tracer};

/// Most traces that are written down in one step.
const BATCH: usize = 512;

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

/// What lies before the scribe.
struct Desk<S> {
    tracer: Tracer,
    shelves: [(Stream, S); 2],
    keys: crate::store::traces::TraceKeys,
    options: ScribeOptions,
    /// In the files, and not yet taken from those that wait: of each trace, which of its parts.
    written: HashMap<Identity, Vec<u32>>,
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
        Self { tracer, shelves, keys, options, written: HashMap::new(), turned: None }
    }

    /// Finds out what the last one had written and not taken away, and whether the files are those that it left.
    fn take_up(&mut self) -> Result<(), TracesError> {
        for (stream, shelf) in &self.shelves {
            let mut ahead = 0;
            for line in last_step(&self.tracer, shelf)? {
                ahead += u64::from(!self.tracer.begin_after(line.at));
                if let Ok(trace) = serde_json::from_slice::<Trace>(&line.text) {
                    self.written.entry(identity(&trace)).or_default().push(number_of(&trace));
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
            self.compare(*stream, shelf)?;
        }
        Ok(())
    }

    /// Whether a stream's files are those that the mark in the store witnesses. A witness that says nothing any more is told,
    /// and does not keep the server from its start: the next commit writes it anew.
    fn compare(&self, stream: Stream, shelf: &S) -> Result<(), StoreError> {
        let silent = |why: &dyn std::fmt::Display| {
            tracing::error!(
                event = "traces.unwitnessed",
                stream = stream.name(),
                %why,
                "it cannot be said whether day files of traces were cut: `caducee traces verify` looks at what is there"
            );
        };
        let mark = match self.tracer.store().get::<TraceMark>(&key_of(stream)) {
            Ok(Some(mark)) => mark.record.mark,
            Ok(None) => return Ok(()),
            Err(error @ StoreError::Record { .. }) => {
                silent(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match shelf.holds(&mark) {
            Ok(true) => {}
            Ok(false) => tracing::error!(
                event = "traces.cut",
                stream = stream.name(),
                ?mark,
                "day files of traces are not those that were written: they were cut, or an older copy was put in their place"
            ),
            Err(error) => silent(&error),
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
            let rows = self.tracer.store().scan::<WaitingTrace>(TraceKey(from)..=TraceKey(to), BATCH)?;
            let opened: Vec<_> = rows.iter().map(|(key, row)| (*key, self.tracer.open(*key, row))).collect();
            if !opened.is_empty() {
                self.write_down(&opened)?;
            }
            if opened.len() < BATCH {
                break;
            }
            if step % STEPS == 0 {
                self.look_at_those_that_wait();
            }
        }
        Ok(())
    }

    fn write_down(&mut self, opened: &[(TraceKey, Option<Trace>)]) -> Result<(), Trouble> {
        let mut batch = Batch::new();
        for at in 0..self.shelves.len() {
            if let Some(mark) = self.shelve(at, opened)? {
                batch.put(&key_of(self.shelves[at].0), &TraceMark { mark });
            }
        }
        for (key, trace) in opened {
            match trace {
                Some(trace) => self.options.observers.iter_mut().for_each(|observer| observer.observe(trace)),
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
        store.commit_blocking(batch)?;
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
        let Ok(rows) = self.tracer.store().scan::<WaitingTrace>(.., most.saturating_add(1)) else { return };
        self.options.metrics.traces_waiting.set(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        let was_stuck = self.tracer.is_stuck();
        if rows.len() > most {
            tracing::error!(event = "traces.stuck", most, "too many traces wait: mail stops with temporary errors");
            self.tracer.set_stuck(true);
        } else if was_stuck && rows.len() <= most / 2 {
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

fn key_of(stream: Stream) -> StreamKey {
    StreamKey(match stream {
        Stream::Functional => 1,
        Stream::Technical => 2,
    })
}

/// The day that it is, in UTC.
pub(super) fn today() -> Day {
    Day::of(tracer::now())
}

#[cfg(test)]
mod tests;
