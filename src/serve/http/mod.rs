//! The administration API: JSON over HTTP on a Unix socket of the running server.
//!
//! ```text
//! socket (its file) ─▶ connection (who is there? how long?) ─▶ router ─▶ extract ─▶ handler ─▶ accounts, mail
//!                                                                                   │
//!                                           log ◀── problem (rule, field, text) ◀───┘ errors (one total function)
//! ```
//!
//! Rules: who may come in is told by the kernel, on every connection ([`peer`]). A success means on disk and synced, as
//! everywhere in the house. A refusal is an RFC 9457 problem whose rule never changes its name ([`problem`]); what only the
//! operator should know is in the log, under the problem's reference. Every body is bounded in size and time ([`extract`]).
//! No log line holds an address: mailboxes are named by their numbers.
//!
//! `docs/admin-api.md` describes every endpoint; [`types`] is what travels, [`queue::types`], [`devices::types`],
//! [`directory::types`] and [`trust::types`] beside it.

mod access;
mod acting;
pub mod connection;
mod convert;
mod credentials;
pub mod devices;
pub mod directory;
mod domains;
mod door;
mod errors;
pub mod extract;
mod filing;
mod follow;
mod frames;
mod given_out;
mod handling;
pub mod indicators;
mod lifecycle;
pub mod line_ends;
mod mailboxes;
mod message_flags;
mod notices;
pub mod peer;
mod person;
pub mod problem;
mod process;
pub mod queue;
mod reading;
mod sessions;
pub mod socket;
mod terms;
mod traces;
pub mod trust;
pub mod types;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

pub use self::door::AdminDoor;
pub use self::process::{Keeping, Process};

use self::errors::{of_account, of_mail};
use self::problem::{Problem, Rule};
use crate::accounts::{Account, Registry};
use crate::audit::Traces;
use crate::mail::{MailRoom, Mailbox};
use crate::mss::trust::TrustHandle;

/// What the handlers work with.
#[derive(Clone)]
pub struct Administration {
    registry: Registry,
    mail: MailRoom,
    trust: TrustHandle,
    process: Arc<dyn Process>,
    traces: Traces,
    started_at: i64,
}

impl Administration {
    /// The administration of a server that starts now.
    pub fn new(registry: Registry, trust: TrustHandle, process: Arc<dyn Process>, traces: Traces) -> Self {
        let mail = registry.room().clone();
        Self { registry, mail, trust, process, traces, started_at: jiff::Timestamp::now().as_second() }
    }

    /// The account with an address, closed ones included.
    fn account(&self, address: &str) -> Result<Account, Problem> {
        let address = mailboxes::parse_address(address)?;
        let account = self.registry.by_address(&address).map_err(of_account)?;
        account.ok_or_else(|| Problem::new(Rule::NoSuchMailbox, "No mailbox has this address."))
    }

    /// The open mailbox with an address.
    fn open(&self, address: &str) -> Result<Arc<Mailbox>, Problem> {
        self.mail.open(self.account(address)?.id).map_err(of_mail)
    }

    fn message_limit(&self) -> u64 {
        self.process.message_limit()
    }
}

/// The API's endpoints. More can be merged in, under the same prefix.
pub fn router(administration: Arc<Administration>) -> Router {
    let messages = get(reading::messages).post(filing::file_one);
    let traced = || from_fn_with_state(Arc::clone(&administration), traces::nothing_untraced);
    Router::new()
        .route("/v1/status", get(process::status))
        .route("/v1/reload", post(process::reload))
        .route("/v1/follow", get(follow::follow))
        .route("/v1/domains", get(domains::list).post(domains::add))
        .route("/v1/domains/{name}", get(domains::show).patch(domains::change).delete(domains::remove))
        .route("/v1/notices", get(notices::status))
        .route("/v1/notices/maintenance", post(notices::announce))
        .route("/v1/notices/bounces", post(notices::bounce))
        .route("/v1/mailboxes", get(mailboxes::list).post(mailboxes::create))
        .route("/v1/mailboxes/{address}", get(mailboxes::show).patch(mailboxes::change))
        .route("/v1/mailboxes/{address}/suspend", post(mailboxes::suspend))
        .route("/v1/mailboxes/{address}/reopen", post(mailboxes::reopen))
        .route("/v1/mailboxes/{address}/close", post(mailboxes::close))
        .route("/v1/mailboxes/{address}/access-list", post(access::grant).delete(access::ungrant))
        .route("/v1/sessions", get(sessions::list).delete(sessions::end_many))
        .route("/v1/sessions/{id}", delete(sessions::end_one))
        .route("/v1/mailboxes/{address}/password", put(credentials::set_password).delete(credentials::remove_password))
        .route("/v1/mailboxes/{address}/certificates", get(credentials::certificates).post(credentials::bind))
        .route("/v1/mailboxes/{address}/certificates/{id}", delete(credentials::unbind))
        .route("/v1/mailboxes/{address}/folders", get(reading::folders))
        .route("/v1/mailboxes/{address}/messages", messages)
        .route("/v1/mailboxes/{address}/messages/batch", post(filing::file_run))
        .route("/v1/mailboxes/{address}/messages/{uid}", get(reading::message).route_layer(traced()))
        .merge(queue::router())
        .merge(devices::router())
        .merge(traces::router())
        .merge(person::router().route_layer(traced()))
        .merge(lifecycle::router())
        .merge(terms::router())
        .with_state(administration)
}

/// Adds what holds for all endpoints, merged ones too: nothing is changed while it could not be traced; the answers for paths and
/// methods that are not there. Every body is bounded where it is read, so axum's own bound is off.
pub fn complete(router: Router, administration: Arc<Administration>) -> Router {
    router
        .layer(from_fn_with_state(administration, traces::only_what_is_traced))
        .fallback(async || Problem::new(Rule::NoSuchEndpoint, "There is no such path; see docs/admin-api.md."))
        .method_not_allowed_fallback(async || Problem::new(Rule::MethodNotAllowed, "This path takes other methods."))
        .layer(DefaultBodyLimit::disable())
}

/// Runs what waits for the disk off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|problem| {
        Err(Problem::new(Rule::Internal, "The server failed; its log says how.").because(problem))
    })
}
