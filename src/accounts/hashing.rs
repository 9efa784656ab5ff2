//! Password hashes: argon2id (RFC 9106) off the async threads, a bounded number at a time.
//!
//! The work has threads of its own rather than the runtime's blocking pool: the allocator keeps what a thread has freed
//! for that thread's next hash, and over the pool's many threads that came to 300 MiB for nothing.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

/// How passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingOptions {
    /// Memory of one hash, in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
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
        Self { memory: 19 * 1024, passes: 2, at_once: 2, waiting: 256, least_characters: 8 }
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

    /// A PHC text for a new password.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<String, TooBusy> {
        let permits = self.turn().await?;
        let argon2 = argon2(&self.options);
        let hash = self.threads.run(move || {
            let _permits = permits;
            argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string())
        });
        hash.await?.map_err(|_| TooBusy)
    }

    /// Verifies a password against a stored hash, or against nobody's.
    pub(super) async fn verify(&self, hash: Option<String>, password: Zeroizing<String>) -> Result<Verdict, TooBusy> {
        let permits = self.turn().await?;
        let options = self.options;
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let verdict = self.threads.run(move || {
            let _permits = permits;
            verify(&options, &hash, &password)
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

type Work = Box<dyn FnOnce() + Send>;

/// The threads that hash. They end when this is dropped.
#[derive(Debug)]
struct Threads(mpsc::Sender<Work>);

impl Threads {
    /// Starts `count` threads; those that the system refuses are missed only in speed, as long as one runs.
    fn start(count: usize) -> Self {
        let (sender, receiver) = mpsc::channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..count {
            let receiver = Arc::clone(&receiver);
            let next = move || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let started = thread::Builder::new().name(format!("argon2-{number}")).spawn(move || {
                while let Ok(work) = next() {
                    work();
                }
            });
            if let Err(error) = started {
                tracing::error!(%error, "a thread for passwords cannot be started");
            }
        }
        Threads(sender)
    }

    /// Runs `work` on one of the threads. What cannot be run is [`TooBusy`].
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TooBusy> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            // Whoever asked may be gone: the work is done all the same, its result is nobody's.
            let _ = answer.send(work());
        });
        self.0.send(work).map_err(|_| TooBusy)?;
        answered.await.map_err(|_| TooBusy)
    }
}

fn verify(options: &HashingOptions, hash: &str, password: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(hash) else {
        // A damaged hash fits nothing, and still costs the work.
        let _ = argon2(options).hash_password_with_salt(password.as_bytes(), b"a damaged hash ..");
        return Verdict { fits: false, is_outdated: false };
    };
    let fits = argon2(options).verify_password(password.as_bytes(), &parsed).is_ok();
    let is_outdated = Params::try_from(&parsed)
        .map_or(true, |params| (params.m_cost(), params.t_cost()) != (options.memory, options.passes));
    Verdict { fits, is_outdated }
}

fn argon2(options: &HashingOptions) -> Argon2<'static> {
    // Out of the algorithm's range the recommended parameters are used; the configuration checks the range before.
    let params = Params::new(options.memory, options.passes, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash that unknown users are checked against. The password is random and thrown away.
fn nobody(options: &HashingOptions) -> String {
    let mut secret = Zeroizing::new([0u8; 32]);
    // Should the random generator fail, a known password helps nobody: `verify` never lets nobody in.
    let _ = aws_lc_rs::rand::fill(&mut secret[..]);
    let hash = argon2(options).hash_password(&secret[..]).map(|hash| hash.to_string());
    hash.unwrap_or_default()
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
