//! A look-alike of the national directory (Annuaire Santé, MSSanté §9) on loopback: FHIR R4 reading, search and FHIR Patch as
//! documented, with knobs to make it fail.
//!
//! ```text
//! TLS ─▶ endpoints (who asks? knobs) ─▶ model: Practitioner, PractitionerRole, Organization ─▶ DIR/annuaire/resources.json
//!                                          ▲ patch: Parameters → operations → FHIRPath (path)
//! ```
//!
//! It knows every professional and structure of the [`cast`](super::cast) and none of their mailboxes: those are what operators
//! publish. What was published is kept over a restart of the sandbox, as the operators keep what they have published.
//! Its public extraction, at `/extraction/…zip`, is made anew at each request: what was published is in it at once.
//! `/_sandbox/knobs` takes [`knobs::Knobs`] as JSON; `/_sandbox/seen` tells which patches were applied, in their order.

mod endpoints;
mod extraction;
mod knobs;
mod model;
mod patch;
mod path;
mod search;
mod seed;

use super::SandboxError;
use super::cast::Operator;
use super::layout::Layout;
use super::pki::Pki;
use super::web::{Web, leaf_digest};
use axum::Router;
use endpoints::State;
use model::Model;
use std::sync::Arc;

/// The API key of every program. The sandbox's secrets are printed for everybody.
pub(super) const API_KEY: &str = "cle-du-bac-a-sable";

/// The look-alike, listening.
pub(super) struct Directory {
    host: String,
    web: Web,
    router: Router,
}

impl Directory {
    /// Reads what was published before and listens; nothing is answered before [`Directory::serve`].
    ///
    /// # Errors
    /// Its file cannot be read or written, or the port is taken.
    pub(super) async fn open(
        layout: &Layout,
        pki: &Pki,
        operators: &[Operator],
        port: u16,
    ) -> Result<Self, SandboxError> {
        let host = format!("https://localhost:{port}");
        let place = layout.path("annuaire");
        std::fs::create_dir_all(&place).map_err(SandboxError::file(&place))?;
        let model = Model::open(place.join("resources.json"), seed::resources(pki, operators))?;
        let known = operators.iter().map(|operator| leaf_digest(&pki.identity(operator.id).cert));
        let state = State::new(endpoints::base(&host), model, known.collect::<Result<_, _>>()?);
        let web = Web::open(pki, "annuaire", port).await?;
        Ok(Self { host, web, router: endpoints::router(Arc::new(state)) })
    }

    /// `https://localhost:PORT`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Answers, for as long as the runtime lives.
    pub(super) fn serve(self) {
        self.web.serve(self.router);
    }
}

/// Where the extraction of a look-alike is.
pub(super) fn extraction(host: &str) -> String {
    format!("{host}{}", endpoints::EXTRACTION)
}

/// The FHIR base of a look-alike.
pub(super) fn base(host: &str) -> String {
    endpoints::base(host)
}
