//! Notices to holders' unsecured addresses, carried to a relay of ordinary mail (MSSanté §5).
//!
//! ```text
//! accounts: something changed ─▶ outbox (bounded) ─▶ text, in French ─▶ SMTP session with the relay
//!                                                          │  refused for now, or away
//!                                                          └──▶ again, less and less often, until it is of no use
//! ```
//!
//! Rules: what leaves here is a [`Notice`](crate::accounts::notice::Notice) and nothing else: this room knows no mailbox and
//! no message (the map of `lib.rs` forbids it `mail` and `store`). What waits is in memory and bounded; a stop loses it, which
//! the log says. No line of the log holds an address or the relay's words, which may.

mod compose;
mod relay;
mod texts;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::jittered;
use crate::accounts::notice::{Notice, NoticeInbox, OutgoingNotice};
use crate::config::Config;
use crate::mss::{Address, AddressError};
use crate::serve::tls::{TlsError, read_anchors, read_certificates};
use crate::telemetry::{Metrics, NoticeLabel};
use crate::wire::smtp::sender::Login;
use compose::Sender;
use relay::Relay;

/// What most systems trust.
const SYSTEM_ANCHORS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Sessions with the relay at a time.
const AT_ONCE: usize = 4;

/// Notices that wait for another try; more stay in the outbox.
const MOST_WAITING: usize = 2_000;

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
    turns: Arc<Semaphore>,
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
        let relay = Relay {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.tls,
            tls: Arc::new(tls(config)?),
            login: password.map(|password| Login::new(&settings.user, password)),
            name: config.server.name.clone(),
        };
        let sender = Sender {
            address: Address::parse(&settings.from)?,
            name: settings.name.clone(),
            contact: settings.contact.clone(),
        };
        Ok(Some(Self {
            relay: Arc::new(relay),
            sender: Arc::new(sender),
            give_up: i64::try_from(settings.give_up.as_secs()).unwrap_or(i64::MAX),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            metrics,
        }))
    }

    /// Carries what comes, until `stop`.
    pub async fn run(self, mut inbox: NoticeInbox, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut under_way = JoinSet::new();
        loop {
            let has_room = under_way.len() < MOST_WAITING;
            tokio::select! {
                () = &mut stop => break,
                Some(_) = under_way.join_next() => {}
                next = inbox.next(), if has_room => match next {
                    Some(notice) => drop(under_way.spawn(self.clone().carry(notice))),
                    None => break,
                },
            }
        }
        if !under_way.is_empty() {
            tracing::warn!(count = under_way.len(), "notices that were not sent yet are lost with the stop");
        }
    }

    /// Sends a notice, again and again until it has left or is of no use.
    async fn carry(self, notice: OutgoingNotice) {
        let (account, name) = (notice.account, notice.notice.name());
        let message = compose::message(&self.sender, &notice);
        let of_use_until = match notice.notice {
            Notice::Code { until, .. } => until,
            _ => notice.at.saturating_add(self.give_up),
        };
        let mut wait = FIRST_RETRY;
        loop {
            let Ok(turn) = self.turns.acquire().await else { return };
            let outcome = relay::send(&self.relay, &self.sender.address, &notice.to, &message).await;
            drop(turn);
            let error = match outcome {
                Ok(()) => {
                    tracing::info!(%account, notice = name, "notice sent");
                    return self.count(name, "sent");
                }
                Err(error) => error,
            };
            let is_over = super::unix_now().saturating_add(wait.as_secs().cast_signed()) >= of_use_until;
            if error.is_final() || is_over {
                tracing::warn!(%account, notice = name, reason = %error, "notice given up");
                return self.count(name, "given-up");
            }
            tracing::info!(%account, notice = name, reason = %error, "notice not sent yet");
            self.count(name, "deferred");
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 3).min(LONGEST_RETRY);
        }
    }

    fn count(&self, notice: &'static str, result: &'static str) {
        self.metrics.notices.get_or_create(&NoticeLabel { notice, result }).inc();
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
