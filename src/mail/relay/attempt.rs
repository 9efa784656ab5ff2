//! One attempt: is it allowed, which hosts, a session, a transaction.

use tokio::time::Instant;

use crate::mail::queue::{Attempt, Outcome};
use crate::mss::Domain;
use crate::store;
use crate::telemetry::RuleLabel;

use super::pool::Taken;
use super::session::{self, Hitch, Session};
use super::transaction::{self, End, Sent};
use super::{Host, Network, Relay, Settings, Trouble, route, standing, verdict};

impl<N: Network> Relay<N> {
    pub(super) async fn attempt(&self, attempt: &Attempt) -> Outcome {
        let settings = self.network.settings();
        let hosts = match self.hosts(&attempt.domain, &settings).await {
            Ok(hosts) => hosts,
            Err(trouble) => return verdict::of_hitch(attempt, &Hitch::Trouble(trouble), None),
        };
        let mut hitches = Vec::new();
        for host in hosts {
            match self.at_host(&host, attempt, &settings).await {
                Ok(sent) => return verdict::of_transaction(attempt, &sent, &host),
                Err(hitch) => hitches.push((host, hitch)),
            }
        }
        // Another host may answer another time: only where all have the same last word is it the last.
        let passes = |hitch: &Hitch| !matches!(hitch, Hitch::Trouble(trouble) if trouble.lasts());
        let telling = hitches.iter().find(|(_, hitch)| passes(hitch)).or(hitches.first());
        match telling {
            Some((host, hitch)) => verdict::of_hitch(attempt, hitch, Some(host)),
            None => {
                let text = format!("no server of {} is known", attempt.domain);
                verdict::of_hitch(attempt, &Hitch::Trouble(Trouble::new("no-mx", "4.4.4", text)), None)
            }
        }
    }

    /// The hosts that may take mail for the domain, if it may leave at all.
    async fn hosts(&self, domain: &Domain, settings: &Settings) -> Result<Vec<Host>, Trouble> {
        self.not_ours(domain)?;
        standing::domain(&self.trust.load(), domain, settings, self.network.now())?;
        route::hosts(domain, self.network.route(domain).await?, settings)
    }

    /// A domain that was another operator's when the message came, and is ours now.
    fn not_ours(&self, domain: &Domain) -> Result<(), Trouble> {
        match self.store.get::<store::Domain>(&domain.as_str().to_owned()) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                let text = format!("the domain {domain} has moved to this operator meanwhile; send the message again");
                Err(Trouble::new("domain-is-ours", "5.4.6", text))
            }
            Err(error) => {
                tracing::error!(%error, "whether a domain is ours cannot be read");
                let text = "this operator cannot look up its domains at the moment";
                Err(Trouble::new("store-unreadable", "4.3.0", text).ours())
            }
        }
    }

    /// The transaction at one host, over an idle session or a new one. All that is tried there has one time.
    async fn at_host(&self, host: &Host, attempt: &Attempt, settings: &Settings) -> Result<Sent, Hitch> {
        let until = Instant::now() + transaction::longest(attempt, settings);
        loop {
            let (mut session, used) = self.session(host, settings).await?;
            let standing = self.peer_may(&session, &attempt.domain, settings);
            if let Err(trouble) = standing {
                // It may carry the mail of other domains.
                self.pool.keep(session, settings);
                return Err(Hitch::Trouble(trouble));
            }
            let sent = transaction::send(&mut session, attempt, &self.store, until).await;
            if sent.alive && session.messages < settings.max_messages {
                self.pool.keep(session, settings);
            } else if sent.alive {
                tokio::spawn(session.quit());
            }
            if !sent.is_untold() {
                return Ok(sent);
            }
            // A session that had been idle may be gone without a word: that says nothing about the host. One that is there
            // and silent does, and so would be the next.
            if !used || sent.is_silence() {
                return Err(untold(sent));
            }
        }
    }

    /// An idle session and `true`, or a new one and `false`.
    async fn session(&self, host: &Host, settings: &Settings) -> Result<(Session<N::Secure>, bool), Hitch> {
        let (epoch, now) = (self.network.epoch(), self.network.now());
        let place = loop {
            match self.pool.take(host, settings, |session| session.serves(epoch, now)).await? {
                Taken::Place(place) => break place,
                Taken::Session(mut session) => {
                    // One that has ended, or has said what nobody asked for, is dropped: the next answer over it could be
                    // that of another command.
                    if session.line.is_quiet().await {
                        return Ok((*session, true));
                    }
                }
            }
        };
        let opened = session::open(&self.network, host, settings, place).await;
        match &opened {
            Ok(session) => {
                self.count_session("ok");
                tracing::debug!(%host, peer = %session.peer.subject, "session open");
            }
            // It is there, and says so.
            Err(Hitch::Refused(reply)) => {
                self.count_session("refused");
                tracing::info!(%host, code = reply.code, "the server takes no session");
            }
            Err(hitch @ Hitch::Trouble(trouble)) => {
                self.pool.rests(host, hitch);
                self.count_session(trouble.rule);
                tracing::warn!(%host, rule = trouble.rule, "no session: {trouble}");
            }
        }
        opened.map(|session| (session, false))
    }

    fn peer_may(&self, session: &Session<N::Secure>, domain: &Domain, settings: &Settings) -> Result<(), Trouble> {
        standing::peer(&self.trust.load(), &session.peer.subject, domain, settings, self.network.now())
    }

    fn count_session(&self, rule: &'static str) {
        self.metrics.relay_sessions.get_or_create(&RuleLabel { rule }).inc();
    }
}

/// A transaction of which the peer has heard nothing that counts is a host that could not be spoken to.
fn untold(sent: Sent) -> Hitch {
    match sent.end {
        End::Broken(broken) => session::hitch(broken),
        // `is_untold` is said of broken ones only.
        _ => Hitch::Trouble(Trouble::new("connection-lost", "4.4.2", "the connection was lost")),
    }
}
