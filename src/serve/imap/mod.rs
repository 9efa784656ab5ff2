//! The door of mail clients: IMAP4rev1 (RFC 3501) on 143 with STARTTLS and on 993.
//!
//! # The way of a command
//!
//! ```text
//! bytes ─▶ channel ─▶ wire::imap::framer ─▶ wire::imap::parse ─▶ session::command ─▶ one file a family ─▶ mail
//!                                                                       │
//! client ◀── channel.out ◀── tagged answer ◀── updates (EXISTS, EXPUNGE, FETCH) ◀── Selected::refresh
//! ```
//!
//! # Rules
//!
//! 1. One command at a time, in the order they came; answers leave together when the client has nothing more under way.
//! 2. Memory is bounded whatever is asked: long answers go out as they are made, and a slow client holds up its own
//!    command. A session that waits keeps no buffer, and no command's state.
//! 3. What other sessions did is told between commands and in IDLE; message numbers change only where RFC 3501 §7.4.1
//!    lets them ([`updates`]).
//! 4. Every error has one place where it becomes IMAP's words ([`reply`]). Nothing that a message says, no folder name and
//!    no password is logged at any level.
//!
//! | file | commands |
//! |---|---|
//! | [`login`] | CAPABILITY, STARTTLS, LOGIN, AUTHENTICATE, ENABLE, ID, LOGOUT |
//! | [`select`] | SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE |
//! | [`folders`], [`list`], [`quota`] | folders from outside |
//! | [`place`], [`acl`] | other mailboxes' folders, and who may do what there |
//! | [`fetch`], [`sections`], [`fields`], [`structure`] | FETCH |
//! | [`search`] | SEARCH |
//! | [`store`], [`copy`], [`append`] | STORE, COPY, MOVE, APPEND |
//! | [`idle`] | IDLE |
//!
//! What a session looks at is [`traced`] as well as what it changes.

mod acl;
mod append;
mod channel;
mod copy;
mod fetch;
mod fields;
mod folders;
mod idle;
mod list;
mod login;
mod pattern;
mod place;
mod quota;
mod reply;
mod search;
mod sections;
mod select;
mod services;
mod session;
mod source;
mod store;
mod structure;
mod targets;
mod traced;
mod updates;
mod user;

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;

use crate::serve::front::Front;
use crate::serve::tls::{CertificateProblem, PeerIdentity};
use crate::serve::{Connection, Shared};
use crate::telemetry::Door;

pub use channel::Transport;
pub use services::{Accepting, ClientTls, Options, Services};
pub use session::{Security, Session};

/// Serves one connection of the mailbox doors to its end.
pub async fn serve(shared: Arc<Shared>, connection: Connection) {
    let Connection { stream, peer, door, front, permit, .. } = connection;
    let (transport, security): (Box<dyn Transport>, Security) = match door {
        Door::Imaps => match shared.accept_client(door, &front, stream).await {
            Ok(stream) => within_tls(stream),
            // Logged and counted where it happened; the client has got its alert.
            Err(_) => return,
        },
        // The others are not this door's.
        Door::Imap | Door::Smtp | Door::Submission | Door::Submissions | Door::Portal => {
            (Box::new(stream), Security::default())
        }
    };
    let services = Arc::new(Services {
        room: shared.mail.clone(),
        registry: shared.registry.clone(),
        psc: shared.psc.clone(),
        metrics: shared.metrics.clone(),
        shutdown: shared.shutdown.clone(),
        options: Options::of(&shared.config.load()),
        front: front.clone(),
        tls: Arc::new(DoorTls { shared, door, front }),
    });
    Session::new(services, transport, security, peer.ip()).run().await;
    drop(permit);
}

/// TLS of the mailbox doors.
struct DoorTls {
    shared: Arc<Shared>,
    door: Door,
    front: Front,
}

impl ClientTls for DoorTls {
    fn accept(&self, stream: Box<dyn Transport>) -> Accepting<'_> {
        Box::pin(async { self.shared.accept_client(self.door, &self.front, stream).await.map(within_tls) })
    }

    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, CertificateProblem> {
        self.shared.judge_certificate(self.door, chain)
    }
}

fn within_tls<S: Transport + 'static>(stream: TlsStream<S>) -> (Box<dyn Transport>, Security) {
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
    (Box::new(stream), Security { tls: true, chain })
}
