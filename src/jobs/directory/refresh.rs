//! The copy of the extraction, kept fresh.
//!
//! It is asked for once a day (`directory.extraction_refresh`), and only taken if it is another one than before. What comes is read
//! as a whole before anything changes; what was good is kept on disk, so that a start without the network has it. What was bad
//! changes nothing but the alarm: yesterday's directory is better than none. It is not got again while its server can say that it
//! is the same, nor, of one that cannot, before the next day: what is wrong with it is wrong for everybody at once.

use std::future::Future;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::copy::{Copy, CopyBuilder};
use super::extraction::{self, ExtractionError, Reading};
use crate::jobs::cache::CachedFile;
use crate::jobs::fetch::{FetchError, Fetched, Fetcher, Source, Validators};
use crate::jobs::{jittered, unix_now};
use crate::telemetry::{Metrics, ResultLabel};

/// How soon it is tried again after a failure.
const RETRY: Duration = Duration::from_secs(900);

/// From so many mailboxes on a copy with less than half of them is taken for a mistake.
const SHRINKS_FROM: usize = 1_000;

/// What the job works with, read from the configuration.
#[derive(Clone, Debug)]
pub(super) struct CopySettings {
    pub(super) source: Source,
    pub(super) fetcher: Fetcher,
    pub(super) refresh: Duration,
    pub(super) max_size: u64,
    pub(super) cache: CachedFile,
}

/// Why the copy was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is of no use.
    #[error(transparent)]
    Extraction(#[from] ExtractionError),
    /// It is still the one that was refused.
    #[error("it is still the one that was refused: {words}")]
    Still {
        /// Why: the name of the first refusal.
        reason: &'static str,
        /// And its words.
        words: String,
    },
    /// It lacks most of what is known.
    #[error("it has {new} mailboxes, and the one before has {old}: taken for a mistake")]
    Shrunk {
        /// Mailboxes before.
        old: usize,
        /// And now.
        new: usize,
    },
    /// The server is stopping.
    #[error("it was interrupted")]
    Interrupted,
}

impl CopyError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.name(),
            Self::Extraction(error) => error.name(),
            Self::Still { reason, .. } => reason,
            Self::Shrunk { .. } => "shrunk",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it is the content that is of no use: getting it once more gives the same.
    fn is_of_content(&self) -> bool {
        matches!(self, Self::Extraction(_) | Self::Shrunk { .. } | Self::Still { .. })
    }
}

/// How the copy stands. Times are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyStatus {
    /// The file or address.
    pub source: String,
    /// Mailboxes in the copy.
    pub mailboxes: u64,
    /// Bytes that it takes in memory.
    pub memory: u64,
    /// When it was taken.
    pub taken_at: Option<i64>,
    /// When its source last said that it is the newest, or gave a new one.
    pub fresh_at: Option<i64>,
    /// Lines of it that make no sense, and the first of them.
    pub damaged: u64,
    /// As in `line 12: 30 columns`.
    pub first_damaged: Vec<String>,
    /// What was wrong the last time; none when nothing was.
    pub problem: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    status: CopyStatus,
    validators: Validators,
    refused: Option<Refused>,
}

/// A content that was of no use.
#[derive(Clone, Debug)]
struct Refused {
    /// By them its server tells us cheaply that it is still the same.
    validators: Validators,
    reason: &'static str,
    words: String,
}

/// The copy, for who looks into it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CopyHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: CopySettings,
    metrics: Metrics,
    copy: ArcSwapOption<Copy>,
    state: Mutex<State>,
    refreshing: tokio::sync::Mutex<()>,
    refreshed: Notify,
}

/// Keeps the copy fresh.
#[derive(Debug)]
pub struct CopyJob {
    handle: CopyHandle,
}

impl CopyHandle {
    /// The copy, once there is one.
    pub fn copy(&self) -> Option<Arc<Copy>> {
        self.shared.copy.load_full()
    }

    /// How it stands.
    pub fn status(&self) -> CopyStatus {
        self.state().status.clone()
    }

    /// Asks the source now. The alarm has been raised if it fails.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn refresh(&self) -> Result<(), CopyError> {
        let _one_at_a_time = self.shared.refreshing.lock().await;
        let outcome = self.attempt().await;
        let result = match &outcome {
            Ok(result) => result,
            Err(error) => error.name(),
        };
        self.shared.metrics.directory_copies.get_or_create(&ResultLabel { result }).inc();
        let mut state = self.state();
        match &outcome {
            Ok(_) => {
                state.status.fresh_at = Some(unix_now());
                state.status.problem = None;
            }
            Err(error) => {
                tracing::error!(
                    event = "directory.extraction",
                    reason = error.name(),
                    "the copy stays as it was: {error}"
                );
                state.status.problem = Some(error.to_string());
            }
        }
        drop(state);
        self.shared.refreshed.notify_one();
        outcome.map(drop)
    }

    async fn attempt(&self) -> Result<&'static str, CopyError> {
        let settings = &self.shared.settings;
        let refused = self.state().refused.clone().filter(Refused::is_recognised);
        let known = refused.as_ref().map_or_else(|| self.state().validators.clone(), |it| it.validators.clone());
        let (content, validators) = match (settings.fetcher.fetch(&settings.source, &known).await?, refused) {
            (Fetched::Unchanged, Some(Refused { reason, words, .. })) => {
                return Err(CopyError::Still { reason, words });
            }
            (Fetched::Unchanged, None) => return Ok("unchanged"),
            (Fetched::New { content, validators }, _) => (content, validators),
        };
        let taken = self.take(content).await;
        let mut state = self.state();
        state.refused = taken.as_ref().err().filter(|error| error.is_of_content()).map(|error| Refused {
            validators: validators.clone(),
            reason: error.name(),
            words: error.to_string(),
        });
        taken?;
        state.validators = validators;
        Ok("taken")
    }

    /// Reads a content as a whole, and puts it in the place of the copy.
    async fn take(&self, content: Vec<u8>) -> Result<(), CopyError> {
        let settings = &self.shared.settings;
        let (old, cache) = (self.copy().map_or(0, |copy| copy.len()), settings.cache.clone());
        let reading = move || {
            let (copy, reading) = gather(&content)?;
            if old >= SHRINKS_FROM && copy.len() < old / 2 {
                return Err(CopyError::Shrunk { old, new: copy.len() });
            }
            if let Err(error) = cache.write(&content) {
                let path = cache.path().display();
                tracing::error!(event = "cache.unwritable", %path, "the last good extraction cannot be kept: {error}");
            }
            Ok((copy, reading))
        };
        let (copy, reading) = tokio::task::spawn_blocking(reading).await.map_err(|_| CopyError::Interrupted)??;
        self.put(copy, &reading, unix_now());
        Ok(())
    }

    fn put(&self, copy: Copy, reading: &Reading, taken_at: i64) {
        let (mailboxes, damaged, memory) = (copy.len(), reading.damaged, copy.memory());
        tracing::info!(mailboxes, damaged, memory, "a copy of the directory is in place");
        self.shared.metrics.directory_copy_mailboxes.set(i64::try_from(mailboxes).unwrap_or(i64::MAX));
        self.shared.copy.store(Some(Arc::new(copy)));
        let mut state = self.state();
        let status = &mut state.status;
        (status.mailboxes, status.memory, status.damaged) = (mailboxes as u64, memory as u64, damaged);
        (status.taken_at, status.fresh_at) = (Some(taken_at), Some(taken_at));
        status.first_damaged = reading.first_damaged.iter().map(ToString::to_string).collect();
    }

    /// Reads the last good copy, if there is one.
    async fn start_from_cache(&self) {
        let (cache, max_size) = (self.shared.settings.cache.clone(), self.shared.settings.max_size);
        let reading = move || {
            let Some(content) = cache.read(max_size).map_err(ExtractionError::Unreadable)? else { return Ok(None) };
            let kept_at = std::fs::metadata(cache.path()).and_then(|metadata| metadata.modified());
            let since = kept_at.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
            gather(&content).map(|(copy, reading)| Some((copy, reading, since.as_secs().cast_signed())))
        };
        match tokio::task::spawn_blocking(reading).await {
            Ok(Ok(Some((copy, reading, taken_at)))) => self.put(copy, &reading, taken_at),
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!("the extraction that was kept is of no use, another one is got: {error}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the source is asked.
    fn wait(&self) -> Duration {
        let refresh = self.shared.settings.refresh;
        let (status, refused) = {
            let state = self.state();
            (state.status.clone(), state.refused.clone())
        };
        match (status.fresh_at, status.problem) {
            // Everybody would get it again and again, whole.
            (_, Some(_)) if refused.is_some_and(|refused| !refused.is_recognised()) => jittered(refresh),
            (_, Some(_)) => jittered(RETRY.min(refresh)),
            (None, None) => Duration::ZERO,
            (Some(at), None) => {
                let age = Duration::from_secs((unix_now() - at).max(0).cast_unsigned());
                jittered(refresh).saturating_sub(age)
            }
        }
    }
}

impl Refused {
    /// Whether its server can say that it is still the same, without giving it once more.
    fn is_recognised(&self) -> bool {
        self.validators != Validators::default()
    }
}

impl CopyJob {
    pub(super) fn new(settings: CopySettings, metrics: Metrics) -> Self {
        let status = CopyStatus { source: settings.source.to_string(), ..CopyStatus::default() };
        let shared = Shared {
            settings,
            metrics,
            copy: ArcSwapOption::empty(),
            state: Mutex::new(State { status, validators: Validators::default(), refused: None }),
            refreshing: tokio::sync::Mutex::default(),
            refreshed: Notify::new(),
        };
        Self { handle: CopyHandle { shared: Arc::new(shared) } }
    }

    /// A handle on it.
    pub fn handle(&self) -> CopyHandle {
        self.handle.clone()
    }

    /// Keeps the copy fresh until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        self.handle.start_from_cache().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.handle.wait()) => {
                    // The alarm is raised there.
                    let _ = self.handle.refresh().await;
                }
                // Somebody asked in between: the wait is another one.
                () = self.handle.shared.refreshed.notified() => {}
            }
        }
    }
}

/// An extraction as a copy. Blocks.
fn gather(content: &[u8]) -> Result<(Copy, Reading), ExtractionError> {
    let mut builder = CopyBuilder::default();
    let reading = extraction::read(Cursor::new(content), &mut |line| builder.add(line))?;
    Ok((builder.finish(), reading))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustls::RootCertStore;

    fn copy_of(source: &str) -> CopyHandle {
        let settings = CopySettings {
            source: Source::parse(source).unwrap(),
            fetcher: Fetcher::new(RootCertStore::empty(), Duration::from_secs(9), 1 << 20).unwrap(),
            refresh: Duration::from_secs(86_400),
            max_size: 1 << 20,
            cache: CachedFile::new(&std::env::temp_dir(), "caducee-copy-that-is-never-written"),
        };
        CopyJob::new(settings, Metrics::default()).handle()
    }

    /// Serves what is no extraction, and says of each request whether it was given whole.
    fn serve(given: Arc<AtomicU32>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let is_known = head.iter().any(|line| line.eq_ignore_ascii_case("if-none-match: \"1\""));
                let answer = if is_known {
                    "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nConnection: close\r\n\r\n"
                } else {
                    given.fetch_add(1, Ordering::Relaxed);
                    "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnonsense"
                };
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}/extraction.zip")
    }

    #[tokio::test]
    async fn what_was_refused_is_not_given_whole_again_while_it_is_still_the_same() {
        let given = Arc::new(AtomicU32::new(0));
        let copy = copy_of(&serve(Arc::clone(&given)));
        let first = copy.refresh().await.unwrap_err();
        for _ in 0..3 {
            let again = copy.refresh().await.unwrap_err();
            assert!(matches!(again, CopyError::Still { .. }), "{again}");
            assert_eq!(again.name(), first.name(), "the alarm stays what it was");
            assert!(copy.status().problem.is_some());
        }
        assert_eq!(given.load(Ordering::Relaxed), 1);
        assert!(copy.wait() <= RETRY * 2, "asking costs next to nothing");
    }

    #[tokio::test]
    async fn a_refused_content_that_cannot_be_told_from_another_is_got_again_at_the_next_day_only() {
        let file = std::env::temp_dir().join(format!("caducee-no-extraction-{}", std::process::id()));
        std::fs::write(&file, "nonsense").unwrap();
        let copy = copy_of(file.to_str().unwrap());
        copy.refresh().await.unwrap_err();
        assert!(copy.wait() > Duration::from_secs(70_000), "{:?}", copy.wait());
        std::fs::remove_file(&file).unwrap();
        copy.refresh().await.unwrap_err();
        assert!(copy.wait() <= RETRY * 2, "a source that is away is asked again soon");
    }
}
