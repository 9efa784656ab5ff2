//! Password hashes: argon2id (RFC 9106) off the async threads, a bounded number at a time.
//!
//! The work has threads of its own, each with memory that it keeps, rather than the runtime's blocking pool. Freed after
//! each hash, such large blocks make glibc's allocator hold back as much in every arena: 300 MiB were measured.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

/// How passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingOptions {
    /// Memory of one hash, in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes (the degree of parallelism of RFC 9106, computed one after the other here).
    pub lanes: u32,
    /// Hashes computed at a time; each takes `memory` and a core.
    pub at_once: usize,
    /// Logins that may wait for their turn; more are turned away at once.
    pub waiting: usize,
    /// The least number of characters of a password.
    pub least_characters: usize,
}

impl Default for HashingOptions {
    /// OWASP's first choice for argon2id: 19 MiB, two passes.
    fn default() -> Self {
        Self { memory: 19 * 1024, passes: 2, lanes: 1, at_once: 2, waiting: 256, least_characters: 8 }
    }
}

/// Octets of the longest password: a bound for what a stranger can make us hash.
pub(super) const LONGEST_PASSWORD: usize = 1_024;

/// A login waits so long for its turn at most.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The pool did not get to it in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooBusy;

/// Hashes and verifies.
#[derive(Debug)]
pub(super) struct Hasher {
    options: HashingOptions,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    threads: Threads,
    /// A hash of nobody's password: unknown users cost the same work.
    nobody: String,
}

/// Whether a password fits, and whether its hash was made with other settings than today's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) fits: bool,
    pub(super) is_outdated: bool,
}

impl Hasher {
    pub(super) fn new(options: HashingOptions) -> Self {
        let at_once = options.at_once.max(1);
        let nobody = nobody(&options);
        Self {
            options,
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + options.waiting)),
            threads: Threads::start(at_once),
            nobody,
        }
    }

    pub(super) fn options(&self) -> &HashingOptions {
        &self.options
    }

    /// Whether anything hashes.
    pub(super) fn is_running(&self) -> bool {
        self.threads.running > 0
    }

    /// A PHC text for a new password.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<String, TooBusy> {
        let permits = self.turn().await?;
        let options = self.options;
        let hash = self.threads.run(move |memory| {
            let _permits = permits;
            hash(&options, &password, memory)
        });
        hash.await?.ok_or(TooBusy)
    }

    /// Verifies a password against a stored hash, or against nobody's.
    pub(super) async fn verify(&self, hash: Option<String>, password: Zeroizing<String>) -> Result<Verdict, TooBusy> {
        let permits = self.turn().await?;
        let options = self.options;
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let verdict = self.threads.run(move |memory| {
            let _permits = permits;
            verify(&options, &hash, &password, memory)
        });
        let verdict = verdict.await?;
        Ok(Verdict { fits: verdict.fits && is_somebody, ..verdict })
    }

    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), TooBusy> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| TooBusy)?;
        let turn = tokio::time::timeout(LONGEST_WAIT, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| TooBusy)?.map_err(|_| TooBusy)?;
        Ok((place, turn))
    }
}

/// Octets of a new hash's output.
const OUTPUT: usize = 32;

type Work = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The threads that hash. They end when this is dropped.
#[derive(Debug)]
struct Threads {
    work: mpsc::Sender<Work>,
    running: usize,
}

impl Threads {
    /// Starts `count` threads; those that the system refuses are missed only in speed, as long as one runs.
    fn start(count: usize) -> Self {
        let mut running = 0;
        let (work, receiver) = mpsc::channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..count {
            let receiver = Arc::clone(&receiver);
            let next = move || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let started = thread::Builder::new().name(format!("argon2-{number}")).spawn(move || {
                let mut memory = Vec::new();
                while let Ok(work) = next() {
                    // One hash that panics costs itself: its asker is told that there was no turn. The thread goes on.
                    if catch_unwind(AssertUnwindSafe(|| work(&mut memory))).is_err() {
                        memory = Vec::new();
                    }
                }
            });
            match started {
                Ok(_) => running += 1,
                Err(error) => tracing::error!(%error, "a thread for passwords cannot be started"),
            }
        }
        Threads { work, running }
    }

    /// Runs `work` on one of the threads. What cannot be run is [`TooBusy`].
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, TooBusy> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |memory: &mut Vec<Block>| {
            // Whoever asked may be gone: the work is done all the same, its result is nobody's.
            let _ = answer.send(work(memory));
        });
        self.work.send(work).map_err(|_| TooBusy)?;
        answered.await.map_err(|_| TooBusy)
    }
}

/// A new hash with a random salt, as PHC text.
fn hash(options: &HashingOptions, password: &str, memory: &mut Vec<Block>) -> Option<String> {
    let argon2 = argon2(params(options));
    let salt = random::<16>()?;
    let output = compute(&argon2, password, &salt, OUTPUT, memory)?;
    phc(&argon2, &salt, output)
}

fn verify(options: &HashingOptions, hash: &str, password: &str, memory: &mut Vec<Block>) -> Verdict {
    let parsed = PasswordHash::new(hash).ok();
    let parts = parsed.as_ref().and_then(|parsed| {
        let params = Params::try_from(parsed).ok()?;
        Some((params, parsed.salt.as_ref()?, parsed.hash.as_ref()?))
    });
    let Some((params, salt, expected)) = parts else {
        // A damaged hash fits nothing, and still costs the work.
        let _ = compute(&argon2(self::params(options)), password, b"a damaged hash ..", OUTPUT, memory);
        return Verdict { fits: false, is_outdated: false };
    };
    let made_with = (params.m_cost(), params.t_cost(), params.p_cost());
    let is_outdated = made_with != (options.memory, options.passes, options.lanes);
    let missing = missing_work(options, &params);
    // Outputs are compared in constant time.
    let fits = compute(&argon2(params), password, salt, expected.len(), memory).as_ref() == Some(expected);
    if let Some(missing) = missing {
        let _ = compute(&argon2(missing), password, b"what is missing.", OUTPUT, memory);
    }
    Verdict { fits, is_outdated }
}

/// What a hash made with less than today's settings costs less than nobody's, as settings that cost so much. Without it the time
/// of a refusal would tell which mailboxes are there and were not logged in to since the settings were raised. (Argon2's work
/// is its memory, once a pass.)
fn missing_work(options: &HashingOptions, made_with: &Params) -> Option<Params> {
    let work = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
    let today = params(options);
    let missing = work(&today).checked_sub(work(made_with))?;
    let memory = u32::try_from(missing / u64::from(today.t_cost())).ok()?;
    // Less than the algorithm's least is not worth the while.
    Params::new(memory, today.t_cost(), 1, None).ok()
}

/// Computes in `memory`, which grows to what is needed and is kept for the next hash.
fn compute(argon2: &Argon2<'_>, password: &str, salt: &[u8], length: usize, memory: &mut Vec<Block>) -> Option<Output> {
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let memory = memory.get_mut(..blocks)?;
    let mut output = Zeroizing::new([0; 64]);
    let output = output.get_mut(..length)?;
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory).ok()?;
    Output::new(output).ok()
}

fn params(options: &HashingOptions) -> Params {
    // Out of the algorithm's range the recommended parameters are used; the configuration checks the range before.
    Params::new(options.memory, options.passes, options.lanes, None).unwrap_or_default()
}

fn argon2(params: Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn phc(argon2: &Argon2<'_>, salt: &[u8], output: Output) -> Option<String> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: argon2.params().try_into().ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(output),
    };
    Some(hash.to_string())
}

/// The hash that unknown users are checked against: a random output, which no password is known to give.
fn nobody(options: &HashingOptions) -> String {
    let made = random::<16>()
        .zip(random::<OUTPUT>())
        .and_then(|(salt, output)| phc(&argon2(params(options)), &salt, Output::new(&output).ok()?));
    // Without one the work is that of a damaged hash: the same. `verify` never lets nobody in.
    made.unwrap_or_default()
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> HashingOptions {
        HashingOptions { memory: 64, passes: 1, ..HashingOptions::default() }
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_nobody_fits_nobodys() {
        let hasher = Hasher::new(cheap());
        let hash = hasher.hash(Zeroizing::new("un mot de passe".into())).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        let verify = async |hash: Option<&str>, password: &str| {
            hasher.verify(hash.map(str::to_owned), Zeroizing::new(password.into())).await.unwrap()
        };
        assert_eq!(verify(Some(&hash), "un mot de passe").await, Verdict { fits: true, is_outdated: false });
        assert!(!verify(Some(&hash), "Un mot de passe").await.fits);
        assert!(!verify(None, "un mot de passe").await.fits);
        assert!(!verify(Some("garbage"), "garbage").await.fits);
    }

    #[tokio::test]
    async fn a_hash_with_other_settings_is_outdated_and_still_fits() {
        let old = Hasher::new(cheap());
        let hash = old.hash(Zeroizing::new("abcdefgh".into())).await.unwrap();
        let new = Hasher::new(HashingOptions { memory: 128, ..cheap() });
        let verdict = new.verify(Some(hash), Zeroizing::new("abcdefgh".into())).await.unwrap();
        assert_eq!(verdict, Verdict { fits: true, is_outdated: true });
    }

    #[test]
    fn a_hash_of_cheaper_days_costs_what_nobodys_does() {
        let today = HashingOptions { memory: 1_024, passes: 2, ..HashingOptions::default() };
        let work = |params: &Params| params.m_cost() * params.t_cost();
        for (memory, passes) in [(64, 1), (64, 2), (1_000, 2), (1_024, 1), (512, 3)] {
            let old = params(&HashingOptions { memory, passes, ..today });
            let missing = missing_work(&today, &old).unwrap();
            assert_eq!(work(&old) + work(&missing), work(&params(&today)), "{memory} {passes}");
        }
        for (memory, passes) in [(1_024, 2), (1_023, 2), (2_048, 2), (1_024, 3)] {
            let old = params(&HashingOptions { memory, passes, ..today });
            assert_eq!(missing_work(&today, &old), None, "{memory} {passes}");
        }
    }

    #[test]
    fn what_is_missing_is_computed_whether_the_password_fits_or_not() {
        let today = HashingOptions { memory: 1_024, ..cheap() };
        let old = hash(&cheap(), "abcdefgh", &mut Vec::new()).unwrap();
        for (password, fits) in [("abcdefgh", true), ("wrong", false)] {
            let mut memory = Vec::new();
            assert_eq!(verify(&today, &old, password, &mut memory), Verdict { fits, is_outdated: true });
            assert!(memory.len() >= 900, "{} KiB", memory.len());
        }
    }

    #[tokio::test]
    async fn a_hash_that_panics_costs_itself_and_no_thread() {
        let hasher = Hasher::new(HashingOptions { at_once: 1, ..cheap() });
        assert!(hasher.is_running());
        for _ in 0..3 {
            let panicked = hasher.threads.run(|_| panic!("a hash that panics")).await;
            assert_eq!(panicked, Err::<(), _>(TooBusy));
        }
        let hash = hasher.hash(Zeroizing::new("un mot de passe".into())).await.unwrap();
        assert!(hasher.verify(Some(hash), Zeroizing::new("un mot de passe".into())).await.unwrap().fits);
    }

    #[tokio::test]
    async fn more_logins_than_may_wait_are_turned_away() {
        let hasher = Hasher::new(HashingOptions { at_once: 1, waiting: 1, ..cheap() });
        let first = hasher.turn().await.unwrap();
        let second = hasher.turn();
        let waiting = tokio::time::timeout(Duration::from_millis(20), second).await;
        assert!(waiting.is_err(), "the second waits");
        let _place = hasher.places.clone().try_acquire_owned().unwrap();
        assert_eq!(hasher.turn().await.map(drop), Err(TooBusy));
        drop(first);
    }
}
