//! A session with a host: opened, encrypted, its peer known; used for one message after another.

use tokio::time::{Duration, timeout};

use crate::wire::smtp::reply::Reply;
use crate::wire::smtp::sender::{Failure, Patience, Security, Sender, Step};

use super::line::{Broken, Line};
use super::pool::Place;
use super::{Host, Network, Peer, Settings, Trouble};

/// How long a peer may take to answer QUIT or RSET: nothing hangs on it.
const COURTESY: Duration = Duration::from_secs(10);

/// What stands in the way at one host.
#[derive(Clone, Debug)]
pub(super) enum Hitch {
    /// Something of our own finding.
    Trouble(Trouble),
    /// The server's refusal of a session.
    Refused(Reply),
}

/// An open session. Its place among the host's sessions is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Session<S: Send + 'static> {
    pub(super) line: Line<S>,
    pub(super) sender: Sender,
    pub(super) peer: Peer,
    /// [`Network::epoch`] when it was opened.
    pub(super) epoch: u64,
    /// Messages that it has carried.
    pub(super) messages: u32,
    pub(super) place: Place<S>,
}

/// Opens a session: greeting, EHLO, STARTTLS, TLS, EHLO.
pub(super) async fn open<N: Network>(
    network: &N,
    host: &Host,
    settings: &Settings,
    place: Place<N::Secure>,
) -> Result<Session<N::Secure>, Hitch> {
    let epoch = network.epoch();
    let patience =
        Patience { command: settings.command_timeout, data: settings.data_timeout, message: settings.final_timeout };
    let mut sender = Sender::new(&settings.name, Security::StartTls).with_patience(patience);
    let stream = network.connect(host).await.map_err(Hitch::Trouble)?;
    let mut line = Line::new(stream, settings.block_timeout);
    expect(&mut line, &mut sender, &Step::StartTls).await?;
    let (stream, peer) = network.secure(host, line.into_stream()).await.map_err(Hitch::Trouble)?;
    sender.tls_started();
    let mut line = Line::new(stream, settings.block_timeout);
    expect(&mut line, &mut sender, &Step::Ready).await?;
    Ok(Session { line, sender, peer, epoch, messages: 0, place })
}

async fn expect<S>(line: &mut Line<S>, sender: &mut Sender, wanted: &Step) -> Result<(), Hitch>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match line.follow(sender).await {
        Ok(step) if step == *wanted => Ok(()),
        // The engine opens a session in one order only.
        Ok(_) => Err(Hitch::Trouble(Trouble::new("bad-reply", "4.5.0", "the server does not follow SMTP"))),
        Err(broken) => Err(hitch(broken)),
    }
}

/// A broken conversation that had no message in it yet.
pub(super) fn hitch(broken: Broken) -> Hitch {
    match broken {
        Broken::Failed(Failure::NoSession(reply) | Failure::StartTlsRefused(reply) | Failure::Ended(reply)) => {
            Hitch::Refused(reply)
        }
        other => Hitch::Trouble(trouble(&other)),
    }
}

/// What we say of a broken conversation. All of it passes, but a message that no server could be sent.
pub(super) fn trouble(broken: &Broken) -> Trouble {
    let (rule, status) = match broken {
        Broken::Failed(Failure::NoStartTls) => ("no-starttls", "4.7.4"),
        Broken::Failed(Failure::Injected) => ("injected", "4.7.5"),
        Broken::Failed(Failure::Body(_)) => ("unfit-message", "5.6.0"),
        Broken::Failed(_) => ("bad-reply", "4.5.0"),
        Broken::Silent(..) => ("silence", "4.4.2"),
        Broken::Blocked(_) => ("blocked", "4.4.2"),
        Broken::Endless => ("too-slow", "4.4.2"),
        Broken::Lost(..) | Broken::Cut(_) => ("connection-lost", "4.4.2"),
    };
    Trouble::new(rule, status, broken.to_string())
}

impl<S> Session<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    /// Whether it may carry another message: of the same certificates and lists, its peer's still valid.
    pub(super) fn serves(&self, epoch: u64, now: i64) -> bool {
        self.epoch == epoch && now <= self.peer.not_after
    }

    /// Waits until the engine is ready for another message. A peer that takes its time loses the session.
    pub(super) async fn settle(&mut self) -> bool {
        let ready = matches!(timeout(COURTESY, self.line.follow(&mut self.sender)).await, Ok(Ok(Step::Ready)));
        // A peer that has said more than it was asked for is out of step.
        ready && self.sender.step().is_none()
    }

    /// Ends it politely.
    pub(super) async fn quit(mut self) {
        self.sender.quit();
        // Nothing hangs on the answer.
        let _ = timeout(COURTESY, self.line.follow(&mut self.sender)).await;
    }
}
