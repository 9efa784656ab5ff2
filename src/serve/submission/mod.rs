//! The door of those who send: submission (RFC 6409) on 587 with STARTTLS and on 465 (RFC 8314).
//!
//! # The way a message takes
//!
//! ```text
//! socket ─▶ TLS ─▶ wire::smtp::receiver
//!             AUTH      ─▶ who is it?                                                       (serve::login, accounts)
//!             MAIL      ─▶ is there room on disk? is the sender's address one of theirs?    (accounts)
//!             RCPT      ─▶ may this mailbox write there? has an own mailbox room?           (mss::exchange, mail)
//!             header    ─▶ is it from an address of theirs? what lacks is added             (header)
//!             body      ─▶ straight into the log, sealed                                    (mail::Incoming)
//!             end       ─▶ one commit: INBOXes, the copy in Sent, the queue, the trail      (mail::deliver)
//! ```
//!
//! # Rules
//!
//! 1. Nothing is taken before a login, and no login before TLS.
//! 2. An address is *theirs* when they may send as it: the mailbox's own, one that the person who logged in holds, or one
//!    whose access list lets them send ([`Registry::rights_in`](crate::accounts::Registry::rights_in)). `MAIL FROM`, `From:`
//!    and `Sender:` are held to it; a null `MAIL FROM` (MDNs) leaves the header's. So is a `Reply-To:` of ours in a message
//!    to a patient. Whose name a message goes out in stands in it; who wrote it, in its trail.
//! 3. Each recipient is decided at its own `RCPT`: what is refused is refused to the program that sends, with the rule's name,
//!    and not by a report hours later.
//! 4. Own mailboxes have the message when the 250 is said; everybody else's part lies in the queue, in the same commit.
//! 5. The message is sent on as it came, but for the fields that [`header`] names.
//!
//! Lines in the log are those of [`super::inbound`], and `login`.

mod answers;
mod envelope;
mod header;
mod login;
mod refusal;
mod session;

use std::sync::Arc;

use super::front::Front;
use super::smtp::{DoorBounds, Driver, Link, now};
use super::{Connection, Shared};
use crate::telemetry::Door;
use crate::wire::sasl::Mechanism;
use crate::wire::smtp::receiver::{FutureRelease, Limits, Role, Settings, Submission};

/// Serves one connection to its end.
pub async fn serve(shared: Arc<Shared>, connection: Connection) {
    let Connection { stream, peer, id, door, front, permit, .. } = connection;
    tracing::info!(event = "link", "connection from {peer}");
    let settings = Settings {
        host: shared.config.load().server.name.clone(),
        reference: id.to_string(),
        limits: engine_limits(&shared),
        role: Role::Submission(Submission {
            mechanisms: mechanisms(&shared, &front, false),
            future_release: future_release(&shared),
        }),
    };
    let session = session::Session::new(Link { shared, id, address: peer.ip(), door: login::DOOR }, door, front);
    let driver = Driver::new(session, settings);
    let ended = match door {
        Door::Submissions => driver.run_within_tls(stream).await,
        _ => driver.run(stream).await,
    };
    tracing::info!(event = "unlink", "connection ended: {ended}");
    drop(permit);
}

/// What is offered behind TLS: what the front offers and can be used (RFC 4954 §4). EXTERNAL needs a certificate that was shown;
/// tokens need somebody to ask about them.
fn mechanisms(shared: &Shared, front: &Front, shown: bool) -> Vec<Mechanism> {
    front.clone().with_tokens(shared.psc.current().is_some()).mechanisms(shown)
}

/// The engine's bounds, as they are configured now.
fn engine_limits(shared: &Shared) -> Limits {
    let config = shared.config.load();
    let door = &config.submission;
    let bounds = DoorBounds {
        errors: door.max_errors,
        transactions: door.max_transactions,
        command_timeout: door.command_timeout,
        data_timeout: door.data_timeout,
        message_timeout: door.message_timeout,
        plaintext_timeout: door.login_timeout,
        session_timeout: door.session_timeout,
    };
    bounds.with(&config.limits)
}

/// What is offered of FUTURERELEASE: reckoned from the connection's start, so a long session is promised less than it gets.
fn future_release(shared: &Shared) -> Option<FutureRelease> {
    /// RFC 4865 §4: an interval has nine digits.
    const MOST: u64 = 999_999_999;
    let interval = shared.config.load().submission.max_future_release.as_secs().min(MOST);
    let until = now().saturating_add(i64::try_from(interval).unwrap_or(0));
    let until = jiff::Timestamp::from_second(until).ok()?.to_string();
    (interval > 0).then_some(FutureRelease { interval, until })
}
