//! Notices to holders' unsecured addresses, carried to a relay of ordinary mail (MSSanté §5).
//!
//! ```text
//! accounts: a change's commit ─▶ WaitingNotice ─▶ inbox, by lanes ─▶ text, in French ─▶ turn ─▶ SMTP session with the relay
//! mail's marks ─▶ tend ─────────────┘                                                      ▲            │
//!                                                                again, less and less often └───────────┤ refused for now, or away
//!                              deleted from the queue, in the commit of its trace ◀────────────────────┘ sent, refused, of no use
//! ```
//!
//! Rules: what leaves here is a [`Notice`](crate::accounts::notice::Notice) and nothing else: this room knows no mailbox and
//! no message (the map of `lib.rs` forbids it `mail` and `store`). What waits is on disk; what is in hand is bounded. Each lane has
//! room of its own, and codes have turns of their own, so that no digest and no announcement keeps a code or an alarm waiting
//! ([`turns`]). Nothing but a code is given up that was not tried. No line of the log holds an address or the relay's words,
//! which may.

mod compose;
mod pace;
mod relay;
mod texts;
mod turns;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::jittered;
use crate::accounts::Registry;
use crate::accounts::notice::{Lane, Notice, NoticeInbox, Outcome, OutgoingNotice};
use crate::config::Config;
use crate::mss::{Address, AddressError};
use crate::serve::tls::{TlsError, read_anchors, read_certificates};
use crate::telemetry::{Metrics, NoticeLabel};
use crate::wire::smtp::sender::Login;
use compose::Sender;
use pace::{Pace, Standing};
use relay::{Relay, RelayError};
use turns::{Turn, Turns};

/// What most systems trust.
const SYSTEM_ANCHORS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Sessions with the relay at a time; codes have as many of their own.
const AT_ONCE: usize = 4;

/// Notices of a lane that are in hand at a time, most of them for another try; more stay in the queue.
const MOST_IN_HAND: usize = 500;

/// How often the mail room's marks are looked at.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// How long a stop waits for what is being said to the relay.
const LAST: Duration = Duration::from_secs(5);

/// The wait before the second try, three times as long before each further one, and the longest.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(900);

/// Why notices cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum NoticeSetupError {
    /// The authorities cannot be read.
    #[error("notices.anchors: {0}")]
    Anchors(#[from] TlsError),
    /// The sender's address is none.
    #[error("notices.from: {0}")]
    From(#[from] AddressError),
    /// The sender's address cannot stand in an SMTP command.
    #[error("notices.from: not an address for SMTP")]
    Sender,
    /// The TLS library refuses the settings.
    #[error("notices.tls: {0}")]
    Tls(#[from] rustls::Error),
}

/// Carries notices.
#[derive(Clone, Debug)]
pub struct NoticeJob {
    relay: Arc<Relay>,
    sender: Arc<Sender>,
    give_up: i64,
    turns: Arc<Turns>,
    urgent_turns: Arc<Turns>,
    pace: Arc<Pace>,
    standing: Arc<Standing>,
    metrics: Metrics,
}

impl NoticeJob {
    /// A job for the relay of `[notices]`; `None` where there is none. Reads the authorities' files. `password` is what
    /// `notices.password` leads to.
    ///
    /// # Errors
    /// [`NoticeSetupError`].
    pub fn new(config: &Config, password: Option<&str>, metrics: Metrics) -> Result<Option<Self>, NoticeSetupError> {
        let settings = &config.notices;
        if !settings.is_on() {
            return Ok(None);
        }
        let from = Address::parse(&settings.from)?;
        let relay = Relay {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.tls,
            tls: Arc::new(tls(config)?),
            login: password.map(|password| Login::new(&settings.user, password)),
            name: config.server.name.clone(),
            from: relay::mailbox(&from).map_err(|_| NoticeSetupError::Sender)?,
        };
        let sender = Sender { address: from, name: settings.name.clone(), contact: settings.contact.clone() };
        Ok(Some(Self {
            relay: Arc::new(relay),
            sender: Arc::new(sender),
            give_up: i64::try_from(settings.give_up.as_secs()).unwrap_or(i64::MAX),
            turns: Turns::new(AT_ONCE),
            urgent_turns: Turns::new(AT_ONCE),
            pace: Arc::new(Pace::new(settings.rate)),
            standing: Arc::default(),
            metrics,
        }))
    }

    /// Carries what comes, and makes notices of what the mail room has marked, until `stop`; then lets those end that are being
    /// said to the relay.
    pub async fn run(self, mut inbox: NoticeInbox, stop: impl Future<Output = ()>) {
        let registry = inbox.registry().clone();
        let (stopping, stopped) = watch::channel(false);
        let rooms = Rooms::default();
        let mut under_way = JoinSet::new();
        {
            let mut stop = std::pin::pin!(stop);
            let mut tending = std::pin::pin!(self.clone().tend(registry.clone()));
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    () = &mut tending => break,
                    Some(_) = under_way.join_next() => {}
                    notice = inbox.next_with(|lane| rooms.has(lane)) => {
                        let room = rooms.take(notice.lane());
                        let delivery = Carried { job: self.clone(), registry: registry.clone(), stopped: stopped.clone() };
                        under_way.spawn(async move {
                            delivery.carry(notice).await;
                            drop(room);
                        });
                    }
                }
            }
        }
        inbox.leave();
        stopping.send_replace(true);
        let last = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, last).await.is_err() {
            tracing::warn!("a notice is cut off by the stop: it may come twice");
        }
    }

    /// Makes notices of marks. Where the relay takes none, marks wait: what they tell is then one notice and not many.
    async fn tend(self, registry: Registry) {
        let mut ticks = tokio::time::interval(TEND_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look_after_the_relay(&registry).await;
            if self.standing.rests() {
                continue;
            }
            if let Err(error) = registry.tend_notices(super::unix_now()).await {
                tracing::error!(%error, "no notices are made of new messages and quotas for now");
            }
        }
    }

    /// Tells the registry whether holders can be reached at present. A relay that is away, and to which no notice is on its way any
    /// more, is asked whether it is back: else nobody would find out.
    async fn look_after_the_relay(&self, registry: &Registry) {
        if self.standing.is_left_alone() {
            let answer = relay::greet(&self.relay).await;
            self.judge(answer.as_ref().err());
        }
        registry.note_relay(self.standing.is_away());
    }

    /// Waits until a notice may be said to the relay; as long as what this gives is held, fewer others may.
    async fn turn(&self, notice: &OutgoingNotice) -> Option<Turn> {
        let turns = if notice.is_urgent() { &self.urgent_turns } else { &self.turns };
        let turn = turns.turn(notice.rank()).await;
        self.pace.turn(notice.is_urgent()).await;
        turn
    }

    /// One try.
    async fn send(&self, notice: &OutgoingNotice, message: &[u8]) -> Result<(), RelayError> {
        let outcome = relay::send(&self.relay, &notice.to, message).await;
        self.judge(outcome.as_ref().err());
        outcome
    }

    /// Notes whether the relay is in trouble.
    fn judge(&self, error: Option<&RelayError>) {
        match error {
            Some(error) if error.is_the_relays() => {
                if self.standing.failed() {
                    tracing::error!(event = "notices.stuck", reason = %error, "the relay takes no notices: they wait");
                }
            }
            _ => self.standing.answered(),
        }
    }

    /// Whether a notice is given up: a code when it lets nobody in any more; another when it is old, and was tried. However long
    /// it stood behind others, that alone is no reason.
    fn gives_up(&self, notice: &OutgoingNotice, was_tried: bool) -> bool {
        let now = super::unix_now();
        match notice.notice {
            Notice::Code { until, .. } => now >= until,
            _ => was_tried && now >= notice.at.saturating_add(self.give_up),
        }
    }

    fn count(&self, notice: &OutgoingNotice, result: &'static str) {
        self.metrics.notices.get_or_create(&NoticeLabel { notice: notice.notice.name(), result }).inc();
    }
}

/// Room for what is in hand, by lanes.
struct Rooms(BTreeMap<Lane, Arc<Semaphore>>);

impl Default for Rooms {
    fn default() -> Self {
        Self(Lane::ALL.into_iter().map(|lane| (lane, Arc::new(Semaphore::new(MOST_IN_HAND)))).collect())
    }
}

impl Rooms {
    fn has(&self, lane: Lane) -> bool {
        self.0.get(&lane).is_some_and(|room| room.available_permits() > 0)
    }

    /// A place in a lane's room, for as long as what this gives is held.
    fn take(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        self.0.get(&lane).and_then(|room| Arc::clone(room).try_acquire_owned().ok())
    }
}

/// A notice on its way.
struct Carried {
    job: NoticeJob,
    registry: Registry,
    stopped: watch::Receiver<bool>,
}

impl Carried {
    /// Sends a notice, again and again until it has left or is of no use; a stop leaves it in the queue.
    async fn carry(mut self, notice: OutgoingNotice) {
        let message = compose::message(&self.job.sender, &notice);
        let (account, name) = (notice.account, notice.notice.name());
        let (mut wait, mut was_tried) = (FIRST_RETRY, false);
        while !self.job.gives_up(&notice, was_tried) {
            let turn = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
                turn = self.job.turn(&notice) => turn,
            };
            let sent = self.job.send(&notice, &message).await;
            drop(turn);
            was_tried = true;
            let Err(error) = sent else { return self.settle(&notice, &Outcome::Sent).await };
            tracing::info!(%account, notice = name, reason = %error, "notice not sent");
            if let Some(outcome) = error.outcome() {
                return self.settle(&notice, &outcome).await;
            }
            self.job.count(&notice, "deferred");
            tokio::select! {
                () = tokio::time::sleep(jittered(wait)) => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            }
            wait = (wait * 3).min(LONGEST_RETRY);
        }
        self.settle(&notice, &Outcome::GivenUp).await;
    }

    async fn settle(&self, notice: &OutgoingNotice, outcome: &Outcome) {
        let (account, name, result) = (notice.account, notice.notice.name(), outcome.name());
        tracing::info!(%account, notice = name, result, "notice settled");
        self.job.count(notice, result);
        if let Err(error) = self.registry.settle_notice(notice, outcome).await {
            tracing::error!(%account, notice = name, %error, "what became of a notice is not written down");
        }
    }
}

fn tls(config: &Config) -> Result<ClientConfig, NoticeSetupError> {
    let anchors = &config.notices.anchors;
    let roots = if anchors.is_empty() {
        let mut roots = RootCertStore::empty();
        // A system without such a file has no anchors: every certificate is refused then, which the log says.
        if let Ok(certificates) = read_certificates(SYSTEM_ANCHORS.as_ref()) {
            roots.add_parsable_certificates(certificates);
        }
        roots
    } else {
        read_anchors(anchors)?
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests;
