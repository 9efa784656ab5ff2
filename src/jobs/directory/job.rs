//! The job: takes what is due, resource by resource, and says what came of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::client::{DirectoryError, FhirClient};
use super::figures::Figures;
use super::publish::{Outcome, Publisher, Wish};
use super::setup::KeyReader;
use crate::accounts::publication::{Due, Place, Swept};
use crate::accounts::{AccountError, Registry};
use crate::jobs::{jittered, unix_now};
use crate::telemetry::Metrics;

/// Entries read at a time: what of them is of one resource goes in one patch.
const PAGE: usize = 500;

/// Mailboxes in one patch.
const TOGETHER: usize = 50;

/// After so many failures in a row the directory is taken to be away.
const AWAY_AFTER: u32 = 3;

/// How long it is left alone then, twice as long each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// The longest that it is left alone because it asks for that.
const LONGEST_WANTED: Duration = Duration::from_secs(86_400);

/// How often something is looked for that the directory says it has done, until it is a task: it may show it a moment later.
const LOOKS: u32 = 3;

/// How long the job waits after the bell before it looks: the commit is there by then, and changes that come together go
/// together.
const GATHER: Duration = Duration::from_millis(500);

/// How often it looks without a bell, and for what was never put in the outbox.
const LOOK: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_secs(86_400);

/// What the configuration says of it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) first_retry: Duration,
    pub(super) longest_retry: Duration,
    pub(super) refused_pause: Duration,
    pub(super) late: Duration,
}

/// What the job does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It publishes what there is to publish.
    #[default]
    Working,
    /// The directory is away: nothing is asked until then.
    Away {
        /// Unix seconds.
        until: i64,
        /// What happened last.
        words: String,
    },
    /// Our key or certificate is refused: nothing is asked until then, or until the administrator says so.
    Halted {
        /// Unix seconds.
        until: i64,
        /// What the directory said.
        words: String,
    },
}

/// Publishes mailboxes.
pub struct DirectoryJob {
    publisher: Publisher,
    settings: Settings,
    read_key: KeyReader,
    metrics: Metrics,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    activity: Mutex<Activity>,
    resume: Notify,
}

/// The job, for who administers it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DirectoryHandle {
    shared: Arc<Shared>,
    client: FhirClient,
}

impl DirectoryHandle {
    /// What the job does.
    pub fn activity(&self) -> Activity {
        self.shared.activity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends a pause: the key is read again, and what is due is tried.
    pub fn resume(&self) {
        self.shared.resume.notify_one();
    }

    /// The client, for who only reads.
    pub fn client(&self) -> &FhirClient {
        &self.client
    }
}

/// How a round ended.
enum Round {
    /// What is due now is done; the next will be due at this time, Unix seconds.
    Through(Option<i64>),
    /// The directory is away, for so long as it says: the trouble's name, and its words.
    Away(Option<Duration>, &'static str, String),
    /// Our key or certificate is refused.
    Refused(String),
}

impl DirectoryJob {
    pub(super) fn new(publisher: Publisher, settings: Settings, read_key: KeyReader, metrics: Metrics) -> Self {
        Self { publisher, settings, read_key, metrics, shared: Arc::default() }
    }

    /// A handle on it.
    pub fn handle(&self) -> DirectoryHandle {
        DirectoryHandle { shared: Arc::clone(&self.shared), client: self.publisher.client.clone() }
    }

    /// Publishes until `stop`. A request that is under way then is like one that a crash cut short: what it came to is read at
    /// the next start.
    pub async fn run(self, registry: Registry, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.publish(&registry) => {}
        }
    }

    async fn publish(&self, registry: &Registry) {
        let mut pause = FIRST_PAUSE;
        let mut swept: Option<Instant> = None;
        let mut figures = Figures::default();
        let mut is_known = false;
        loop {
            if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                self.sweep(registry).await;
            }
            let round = self.round(registry, &mut is_known).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what the directory has to know cannot be read; it is tried again");
                Round::Through(None)
            });
            figures.take(&self.metrics, self.settings.late, registry).await;
            match round {
                Round::Through(next_due) => {
                    pause = FIRST_PAUSE;
                    self.put(Activity::Working);
                    self.wait_for_work(registry, next_due).await;
                }
                Round::Away(wanted, reason, words) => {
                    // RFC 9110 §10.2.3: not before it says.
                    let wanted = wanted.map(|wanted| wanted.min(LONGEST_WANTED));
                    let wait = wanted.map_or_else(|| jittered(pause), |wanted| jittered(wanted).max(wanted));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::warn!(seconds = wait.as_secs(), reason, "the directory is away");
                    self.rest(wait, |until| Activity::Away { until, words }).await;
                }
                Round::Refused(words) => self.halt(words).await,
            }
        }
    }

    async fn sweep(&self, registry: &Registry) {
        match registry.queue_unpublished().await {
            Ok(Swept { queued, withheld }) => {
                if queued > 0 {
                    tracing::info!(
                        queued,
                        "mailboxes of which the directory does not know yet how they are were found"
                    );
                }
                if withheld > 0 {
                    tracing::error!(
                        event = "directory.withheld",
                        withheld,
                        "the directory shows mailboxes that the rules in force do not publish: they stay there; \
                        `caducee directory verify --mend --confirm` takes them away, if that is meant"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "mailboxes that the directory does not know are not looked for"),
        }
    }

    async fn wait_for_work(&self, registry: &Registry, next_due: Option<i64>) {
        let until_due = next_due.map(|due| Duration::from_secs((due - unix_now()).max(1).cast_unsigned()));
        let longest = until_due.map_or(LOOK, |wait| wait.min(LOOK));
        tokio::select! {
            () = sleep(longest) => {}
            () = registry.publication_waits() => sleep(GATHER).await,
            () = self.shared.resume.notified() => {}
        }
    }

    async fn rest(&self, wait: Duration, activity: impl FnOnce(i64) -> Activity) {
        self.put(activity(unix_now().saturating_add(wait.as_secs().cast_signed())));
        tokio::select! {
            () = sleep(wait) => {}
            () = self.shared.resume.notified() => {}
        }
    }

    /// MSSanté §9: 401. Nothing is asked with a key that is refused, but one question from time to time.
    async fn halt(&self, words: String) {
        tracing::error!(
            event = "directory.refused",
            "the directory refuses our key or certificate: nothing is published until `caducee directory resume`"
        );
        self.metrics.directory_halted.set(1);
        self.rest(self.settings.refused_pause, |until| Activity::Halted { until, words }).await;
        self.metrics.directory_halted.set(0);
        match (self.read_key)() {
            Ok(key) => self.publisher.client.put_key(key.as_ref()),
            Err(problem) => tracing::error!(event = "directory.refused", "the key cannot be read: {problem}"),
        }
    }

    fn put(&self, activity: Activity) {
        *self.shared.activity.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    /// Goes through the outbox once. `is_known`: whether the directory has done something for us since our key was last refused.
    async fn round(&self, registry: &Registry, is_known: &mut bool) -> Result<Round, AccountError> {
        let (mut after, mut course) = (None, Course { is_known: *is_known, ..Course::default() });
        loop {
            let page = registry.publications_due(unix_now(), after, PAGE)?;
            course.next_due_at(page.next_due);
            let worked = self.work(registry, &page.due, &mut course).await;
            *is_known = course.is_known;
            if let Some(ended) = worked? {
                return Ok(ended);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Round::Through(course.next_due)),
            }
        }
    }

    /// Works on some mailboxes: first from where they leave, then to where they should be. Gives how the round ends, if it does
    /// before its time; what was decided until then is kept.
    async fn work(&self, registry: &Registry, due: &[Due], course: &mut Course) -> Result<Option<Round>, AccountError> {
        let mut progress = vec![Progress::default(); due.len()];
        let ended = match self.leave(due, &mut progress, course).await {
            Some(ended) => Some(ended),
            None => self.arrive(registry, due, &mut progress, course).await?,
        };
        for (due, progress) in due.iter().zip(progress) {
            if progress.is_decided(due) {
                let outcome = course.understand(progress.outcome.unwrap_or(Ok(None)), due.tries);
                let next_due = self.conclude(registry, due, outcome).await?;
                course.next_due_at(next_due);
            }
        }
        Ok(ended)
    }

    /// Takes mailboxes away from where they should not be.
    async fn leave(&self, due: &[Due], progress: &mut [Progress], course: &mut Course) -> Option<Round> {
        for (place, members) in by_place(due, |due| due.leaves()) {
            for members in members.chunks(TOGETHER) {
                let wish = |&at: &usize| Wish { address: &due[at].address, image: None };
                let wishes: Vec<Wish<'_>> = members.iter().map(wish).collect();
                let outcomes = self.publisher.fulfil(place, &wishes).await;
                let ended = course.judge(&outcomes);
                for (&at, outcome) in members.iter().zip(outcomes) {
                    progress[at].has_left(outcome);
                }
                if ended.is_some() {
                    return ended;
                }
            }
        }
        None
    }

    /// Puts mailboxes where they should be, if they have left where they should not.
    async fn arrive<'d>(
        &self,
        registry: &Registry,
        due: &'d [Due],
        progress: &mut [Progress],
        course: &mut Course,
    ) -> Result<Option<Round>, AccountError> {
        for (place, mut members) in by_place(due, |due| due.wanted.iter().map(|image| &image.place).collect()) {
            members.retain(|&at| !matches!(progress[at].outcome, Some(Err(_))));
            for members in members.chunks(TOGETHER) {
                let group: Vec<&Due> = members.iter().map(|&at| &due[at]).collect();
                registry.publication_begins(&group, place).await?;
                let wish = |due: &&'d Due| Wish { address: &due.address, image: due.wanted.as_ref() };
                let wishes: Vec<Wish<'_>> = group.iter().map(wish).collect();
                let outcomes = self.publisher.fulfil(place, &wishes).await;
                let ended = course.judge(&outcomes);
                for (&at, outcome) in members.iter().zip(outcomes) {
                    progress[at].has_arrived(outcome);
                }
                if ended.is_some() {
                    return Ok(ended);
                }
            }
        }
        Ok(None)
    }

    /// Keeps what came of a mailbox; gives when it is due again, Unix seconds, if it is.
    async fn conclude(&self, registry: &Registry, due: &Due, outcome: Outcome) -> Result<Option<i64>, AccountError> {
        let account = due.account;
        match outcome {
            Ok(operation) => {
                if let Some(operation) = operation {
                    tracing::info!(%account, operation, "published in the directory");
                }
                registry.publication_done(due, operation).await?;
            }
            Err(DirectoryError::Refused { status, words }) => {
                // Its words may hold the address: they are in the task.
                tracing::warn!(event = "directory.task", %account, status, "the directory refuses a mailbox");
                registry.publication_refused(due, status, &words).await?;
            }
            // Nothing of this mailbox: it goes on when the key is good.
            Err(error) if error.is_of_our_key() => {}
            Err(error) => {
                let wait = jittered(self.retry_after(due.tries));
                tracing::info!(%account, reason = error.name(), "not published yet");
                let due_at = unix_now().saturating_add(wait.as_secs().max(1).cast_signed());
                registry.publication_later(due, due_at, &error.to_string()).await?;
                return Ok(Some(due_at));
            }
        }
        Ok(None)
    }

    fn retry_after(&self, tries: u32) -> Duration {
        let Settings { first_retry, longest_retry, .. } = self.settings;
        first_retry.saturating_mul(2u32.saturating_pow(tries.min(20))).min(longest_retry)
    }
}

/// What a round has come to so far.
#[derive(Debug, Default)]
struct Course {
    /// The directory has answered somebody of this key, since it last refused it: what it forbids is that one place.
    is_known: bool,
    /// Resources in a row that could not be worked on.
    failures: u32,
    /// When the next mailbox will be due, Unix seconds.
    next_due: Option<i64>,
}

impl Course {
    fn next_due_at(&mut self, due: Option<i64>) {
        self.next_due = [self.next_due, due].into_iter().flatten().min();
    }

    /// What an outcome means after all that was answered, and after so many tries: that a place is forbidden to whom the
    /// directory knows is for good, and so is what it does not show at the last look.
    fn understand(&self, outcome: Outcome, tries: u32) -> Outcome {
        outcome.map_err(|error| match error {
            DirectoryError::Credentials { status: status @ 403, words } if self.is_known => {
                DirectoryError::Refused { status, words }
            }
            DirectoryError::NotShown if tries + 1 >= LOOKS => {
                DirectoryError::Refused { status: 200, words: DirectoryError::NotShown.to_string() }
            }
            error => error,
        })
    }

    /// Whether the directory as a whole is away, or refuses us.
    fn judge(&mut self, outcomes: &[Outcome]) -> Option<Round> {
        let is_answer = |outcome: &Outcome| {
            matches!(outcome, Ok(_) | Err(DirectoryError::Refused { .. } | DirectoryError::NotShown))
        };
        self.is_known |= outcomes.iter().any(is_answer);
        let trouble = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .find(|error| !matches!(error, DirectoryError::Refused { .. } | DirectoryError::NotShown));
        let Some(trouble) = trouble else {
            self.failures = 0;
            return None;
        };
        self.failures += 1;
        let words = trouble.to_string();
        match trouble {
            DirectoryError::Credentials { .. } if trouble.is_of_our_key() => {
                self.is_known = false;
                Some(Round::Refused(words))
            }
            // Places that are closed to whom the directory knows are no word on the key. Several in a row, before it has
            // answered anything, are.
            DirectoryError::Credentials { .. } if self.is_known => {
                self.failures = 0;
                None
            }
            DirectoryError::Credentials { .. } => (self.failures >= AWAY_AFTER).then_some(Round::Refused(words)),
            // RFC 9110 §10.2.3: it says itself for how long.
            DirectoryError::Busy { retry_after: Some(wait), .. } => {
                Some(Round::Away(Some(*wait), trouble.name(), words))
            }
            _ => (self.failures >= AWAY_AFTER).then_some(Round::Away(None, trouble.name(), words)),
        }
    }
}

/// How far a mailbox has come in a round.
#[derive(Clone, Debug, Default)]
struct Progress {
    outcome: Option<Outcome>,
    left: usize,
    arrived: bool,
}

impl Progress {
    /// Of several places that it leaves, the one that minds is what counts.
    fn has_left(&mut self, outcome: Outcome) {
        self.left += 1;
        self.outcome = match (self.outcome.take(), outcome) {
            (Some(Err(error)), _) | (_, Err(error)) => Some(Err(error)),
            (Some(Ok(before)), Ok(done)) => Some(Ok(before.or(done))),
            (None, Ok(done)) => Some(Ok(done)),
        };
    }

    fn has_arrived(&mut self, outcome: Outcome) {
        self.arrived = true;
        let left = self.outcome.take().and_then(Result::ok).flatten();
        self.outcome = Some(outcome.map(|done| done.or(left)));
    }

    fn is_decided(&self, due: &Due) -> bool {
        let is_gone = due.wanted.is_none() && self.left == due.leaves().len();
        self.arrived || is_gone || matches!(self.outcome, Some(Err(_)))
    }
}

/// The mailboxes of each place, as numbers in `due`.
fn by_place<'d>(due: &'d [Due], places: impl Fn(&'d Due) -> Vec<&'d Place>) -> BTreeMap<&'d Place, Vec<usize>> {
    let mut by_place: BTreeMap<&Place, Vec<usize>> = BTreeMap::new();
    for (at, due) in due.iter().enumerate() {
        for place in places(due) {
            by_place.entry(place).or_default().push(at);
        }
    }
    by_place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> [Outcome; 1] {
        [Err(DirectoryError::Credentials { status, words: String::new() })]
    }

    fn understood(course: &Course, outcome: Outcome, tries: u32) -> &'static str {
        course.understand(outcome, tries).err().map_or("ok", |error| error.name())
    }

    #[test]
    fn places_that_are_closed_to_whom_the_directory_knows_are_tasks_and_stop_nobody() {
        let mut course = Course::default();
        assert!(course.judge(&[Ok(None)]).is_none());
        for _ in 0..5 {
            assert!(course.judge(&refused(403)).is_none());
        }
        let [forbidden] = refused(403);
        assert_eq!(understood(&course, forbidden.clone(), 0), "refused");
        assert!(matches!(course.judge(&refused(401)), Some(Round::Refused(_))));
        assert_eq!(understood(&course, forbidden, 0), "credentials", "it may be the key after all");
    }

    #[test]
    fn a_key_that_is_refused_stops_all_and_so_does_a_directory_that_forbids_whatever_is_asked() {
        assert!(matches!(Course::default().judge(&refused(401)), Some(Round::Refused(_))));
        let mut course = Course::default();
        assert!(course.judge(&refused(403)).is_none() && course.judge(&refused(403)).is_none());
        assert!(matches!(course.judge(&refused(403)), Some(Round::Refused(_))), "all that was asked is closed");
        let [forbidden] = refused(403);
        assert_eq!(
            understood(&course, forbidden, 9),
            "credentials",
            "nothing of these mailboxes: they are tried again"
        );
    }

    #[test]
    fn what_is_not_shown_at_once_is_looked_for_again_before_it_is_a_task() {
        let course = Course::default();
        let looks = (0..LOOKS).map(|tries| understood(&course, Err(DirectoryError::NotShown), tries));
        assert_eq!(looks.collect::<Vec<_>>(), ["not-shown", "not-shown", "refused"]);
    }
}
