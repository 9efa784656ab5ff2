//! The holders' page: enrolling workstations, second factors, the mailbox's password; over HTTPS.
//!
//! ```text
//! accept ─TLS─▶ door ─▶ frame (limits, headers, refusals) ─▶ router ─▶ visit (cookie, form token) ─▶ handler
//!                                                                                                    │
//!   way in: Pro Santé Connect (code + PKCE)  ──┐                                                     ▼
//!           password, then a one-time code  ───┴─▶ sessions (in memory) ◀── people (accounts: who, devices, factors)
//! ```
//!
//! Rules: nothing here opens for a password alone. Every page works without a script, and none is allowed to run. Every
//! form carries a token that only the page's own browser has ([`visit`]); the cookie changes at each step of a login, so
//! that nobody walks in by a cookie that they planted. Nothing is kept by a browser or a proxy (`no-store`), no address
//! that a request brings is ever redirected to. What is secret (a workstation's key, its password, recovery codes) is shown
//! once and held no longer than it takes to fetch it. No log line holds an address, a name or a national id.
//!
//! All that holders read is in [`texts`].

mod door;
mod enter;
mod factors;
mod form;
mod frame;
mod lookup;
mod notices;
mod pages;
mod password;
mod patience;
mod people;
mod psc;
mod qr;
mod refusal;
mod searches;
mod sessions;
mod terms;
mod texts;
mod visit;
mod workstations;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

pub use self::door::serve;

use self::refusal::Refusal;
use self::searches::Searches;
use self::sessions::Sessions;
use self::visit::Seal;
use crate::serve::Shared;
use crate::serve::published::autoconfig::{self, Autoconfig};

/// The page as a door of the server: made once, shared by its connections.
pub struct Portal {
    router: Router,
    desk: Arc<Desk>,
}

impl Portal {
    /// The page of a server that starts now. Sessions do not outlive it.
    pub fn new(shared: &Arc<Shared>) -> Self {
        let desk = Arc::new(Desk {
            shared: Arc::clone(shared),
            seal: Seal::new(),
            sessions: Sessions::default(),
            searches: Searches::default(),
            looking: Semaphore::new(lookup::AT_ONCE),
        });
        Self { router: router(&desk), desk }
    }

    /// Takes away what is over, until the server stops: nobody may come to ask for it again.
    pub async fn tend(self: Arc<Self>) {
        let mut each = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = self.desk.shared.shutdown.begun() => return,
                _ = each.tick() => {
                    let now = Instant::now();
                    self.desk.sessions.sweep(self.desk.limits(), now);
                    self.desk.searches.sweep(now);
                }
            }
        }
    }
}

/// Time between two sweeps of the sessions, and of what is counted.
const SWEEP: Duration = Duration::from_secs(30);

/// What the handlers work with.
struct Desk {
    shared: Arc<Shared>,
    seal: Seal,
    sessions: Sessions,
    searches: Searches,
    /// Searches under way.
    looking: Semaphore,
}

/// Where Pro Santé Connect sends people back to.
const BACK_FROM_PSC: &str = "/psc/retour";

fn router(desk: &Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(enter::welcome))
        .route("/connexion", post(enter::password))
        .route("/code", get(enter::ask_code).post(enter::code))
        .route("/code/courriel", post(enter::send_code))
        .route("/psc", get(enter::to_psc))
        .route(BACK_FROM_PSC, get(enter::from_psc))
        .route("/conditions", get(terms::show).post(terms::accept))
        .route("/conditions/plus-tard", post(terms::put_off))
        .route("/boites", get(enter::mailboxes).post(enter::choose))
        .route("/deconnexion", post(enter::leave))
        .route("/postes", get(workstations::list))
        .route("/postes/nouveau", get(workstations::name).post(workstations::enrol))
        .route("/postes/fichier", get(workstations::file))
        .route("/postes/{number}/renouveler", post(workstations::renew))
        .route("/postes/{number}/revoquer", get(workstations::confirm).post(workstations::revoke))
        .route("/codes", get(factors::show))
        .route("/codes/application", post(factors::begin))
        .route("/codes/application/confirmation", post(factors::confirm))
        .route("/codes/secours", post(factors::recovery))
        .route("/mot-de-passe", get(password::ask).post(password::set))
        .route("/avis", get(notices::ask).post(notices::choose))
        .route("/annuaire", get(lookup::ask).post(lookup::search))
        .route("/aide", get(workstations::guide))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()))
        .with_state(Arc::clone(desk))
        .merge(autoconfig(desk))
        .fallback(async || Refusal::no_such_page())
        .method_not_allowed_fallback(async || Refusal::no_such_page())
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(desk), only_what_is_traced))
        .layer(from_fn_with_state(Arc::clone(desk), frame::around))
}

/// Lets nobody in and nothing be changed while it could not be traced (MSSanté §11).
async fn only_what_is_traced(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Result<Response, Refusal> {
    let is_stuck = desk.shared.mail.traces().is_stuck();
    // Who comes back from Pro Santé Connect is let in, though by a GET.
    let does_something = !request.method().is_safe() || request.uri().path() == BACK_FROM_PSC;
    if is_stuck && does_something {
        return Err(Refusal::unavailable(texts::LATER, "traces cannot be written"));
    }
    Ok(next.run(request).await)
}

/// Autoconfiguration lives at the same door: the hosts that mail programs ask for it lead here.
fn autoconfig(desk: &Arc<Desk>) -> Router {
    let shared = Arc::clone(&desk.shared);
    autoconfig::router(Autoconfig {
        registry: shared.registry.clone(),
        config: Arc::new(move || shared.config.load_full()),
    })
}

/// The one style sheet.
const STYLE: &str = include_str!("style.css");
