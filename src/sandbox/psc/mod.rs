//! A Pro Santé Connect look-alike: the same paths, shapes and times as the real one (MSSanté §10), on loopback, with knobs to
//! make it fail.
//!
//! ```text
//! TLS (our test PKI; a client certificate may be shown) ─▶ endpoints ─▶ state: people, clients, keys, grants, knobs
//! ```
//!
//! Everybody logs in by saying who they are: on the page of `/auth`, by `sandbox_person=` in its query, by CIBA (the phone
//! agrees by itself after a second), or with no login at all at `/_sandbox/token`. `/_sandbox/knobs` takes [`knobs::Knobs`] as
//! JSON; `/_sandbox/rotate` changes the signing key.

mod ask;
mod endpoints;
mod grants;
mod keys;
mod knobs;
mod page;
mod people;
mod state;

pub use ask::{AskError, token};
pub(super) use people::Person;

use super::SandboxError;
use super::cast::Operator;
use super::layout::Layout;
use super::pki::Pki;
use super::web::{Web, leaf_digest};
use axum::Router;
use keys::SigningKey;
use people::everybody;
use state::{Client, Keys, State};
use std::sync::Arc;

/// The client of practice software: whoever wants to try how that logs in.
pub(super) const SOFTWARE: &str = "logiciel-exemple";

/// The secret of every client.
pub(super) const SECRET: &str = "secret-du-bac-a-sable";

/// The look-alike, listening.
pub(super) struct ProSanteConnect {
    issuer: String,
    people: Vec<Person>,
    web: Web,
    router: Router,
}

impl ProSanteConnect {
    /// Makes its keys and listens; nothing is answered before [`ProSanteConnect::serve`].
    ///
    /// # Errors
    /// A key cannot be made, or the port is taken.
    pub(super) async fn open(
        layout: &Layout,
        pki: &Pki,
        operators: &[Operator],
        port: u16,
    ) -> Result<Self, SandboxError> {
        let issuer = format!("https://localhost:{port}{}", endpoints::REALM);
        let people = everybody(operators);
        let directory = layout.path("psc");
        std::fs::create_dir_all(&directory).map_err(SandboxError::file(&directory))?;
        let keys = Keys {
            current: SigningKey::load_or_make(&directory.join("token.key"))?,
            before: None,
            stranger: SigningKey::load_or_make(&directory.join("stranger.key"))?,
        };
        let state = State::new(issuer.clone(), people.clone(), clients(pki, operators)?, keys);
        let web = Web::open(pki, "psc", port).await?;
        Ok(Self { issuer, people, web, router: endpoints::router(Arc::new(state)) })
    }

    /// `iss` of its tokens.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it knows.
    pub(super) fn people(&self) -> &[Person] {
        &self.people
    }

    /// Answers, for as long as the runtime lives.
    pub(super) fn serve(self) {
        self.web.serve(self.router);
    }
}

/// One client for each operator's server, which may come with the operator's own certificate too, and [`SOFTWARE`].
fn clients(pki: &Pki, operators: &[Operator]) -> Result<Vec<Client>, SandboxError> {
    let client = |id: String, certificate| Client { id, secret: SECRET.to_owned(), certificate };
    let mut clients = vec![client(SOFTWARE.to_owned(), None)];
    for operator in operators {
        clients.push(client(client_id(operator), Some(leaf_digest(&pki.identity(operator.id).cert)?)));
    }
    Ok(clients)
}

/// The `client_id` of an operator's server.
pub(super) fn client_id(operator: &Operator) -> String {
    format!("caducee-{}", operator.id)
}
