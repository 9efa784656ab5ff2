//! The terms of use: who is known for certain and owes their acceptance sees them first (MSSanté §5).
//!
//! A mailbox that waits for them opens nowhere else; in one that is open yet they may be put off until their date. Who has
//! nothing to accept in the mailbox's name (somebody on its access list) is not asked.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::form::{Form, Nothing};
use super::pages::{self, terms as page};
use super::people::{Newcomer, Seat, Way};
use super::refusal::Refusal;
use super::sessions::Stage;
use super::visit::{Cookie, Debt};
use super::{Desk, texts};
use crate::accounts::{AccountError, LoginError, Means};
use crate::audit::{Actor, Asker, By, Origin};
use crate::mail::now;
use crate::mss::Address;
use crate::store::{AccountId, CredentialKey};
use crate::telemetry::Door;

type Answer = Result<Response, Refusal>;

/// Somebody known for certain, at the door of a mailbox.
#[derive(Clone)]
pub(super) struct Entrant {
    pub(super) account: AccountId,
    pub(super) address: Address,
    /// National id, where their way tells.
    pub(super) person: Option<String>,
    pub(super) shown: Shown,
}

/// With what they have shown who they are.
#[derive(Clone)]
pub(super) enum Shown {
    /// With Pro Santé Connect; and whom another mailbox can be chosen for.
    Psc(Option<Arc<Newcomer>>),
    /// With the mailbox's password and a one-time code.
    Code(CredentialKey),
}

impl Entrant {
    /// The same in a word.
    pub(super) fn way(&self) -> Way {
        match self.shown {
            Shown::Psc(_) => Way::Psc,
            Shown::Code(_) => Way::Code,
        }
    }

    /// Whom another mailbox can be chosen for.
    pub(super) fn newcomer(&self) -> Option<&Arc<Newcomer>> {
        match &self.shown {
            Shown::Psc(newcomer) => newcomer.as_ref(),
            Shown::Code(_) => None,
        }
    }
}

/// Somebody who is to accept the terms of use before they come in, or may put it off.
pub(super) struct Debtor {
    pub(super) entrant: Entrant,
    may_put_off: bool,
}

impl Desk {
    /// How far somebody comes who is known for certain: in, or to the terms of use.
    pub(super) async fn let_in(&self, entrant: Entrant, peer: IpAddr) -> Result<Stage, Refusal> {
        match self.owed(&entrant)? {
            Some(may_put_off) => Ok(Stage::Owing(Arc::new(Debtor { entrant, may_put_off }))),
            None => Ok(Stage::In(Arc::new(self.seat_of(&entrant, peer).await?))),
        }
    }

    async fn seat_of(&self, entrant: &Entrant, peer: IpAddr) -> Result<Seat, LoginError> {
        let Entrant { address, person, .. } = entrant;
        match &entrant.shown {
            Shown::Psc(newcomer) => {
                let person = person.as_deref().unwrap_or_default();
                self.seat_by_psc(person, address, newcomer.clone(), peer).await
            }
            Shown::Code(password) => self.seat_by_code(*password, peer).await,
        }
    }

    /// Whether somebody owes an acceptance, and whether it can be put off.
    fn owed(&self, entrant: &Entrant) -> Result<Option<bool>, Refusal> {
        let registry = &self.shared.registry;
        let Some(account) = registry.by_id(entrant.account)? else { return Ok(None) };
        let may_accept = match &entrant.shown {
            Shown::Psc(_) => registry.may_accept_terms(entrant.person.as_deref().unwrap_or_default(), &account)?,
            // The password that they came with is still the mailbox's.
            Shown::Code(password) => self.password_of(account.id).is_ok_and(|now| now == *password),
        };
        let owes = may_accept && registry.terms_owed(&account)?.is_some();
        Ok(owes.then_some(!account.awaits_terms()))
    }

    fn terms_page(&self, debt: &Debt, status: StatusCode) -> Answer {
        let registry = &self.shared.registry;
        let Some(terms) = registry.terms_in_force()? else {
            return Err(Refusal::stale_form("no terms to accept"));
        };
        let version = &terms.head.version;
        let (_, text) = registry.terms_text(version)?;
        let Debtor { entrant, may_put_off } = &*debt.debtor;
        let account = registry.by_id(entrant.account)?.filter(|_| *may_put_off);
        let until = account.map(|account| texts::terms_until(registry.terms_due_by(&account, &terms), now()));
        let token = self.form_token(&debt.cookie);
        let body = page::ask(&token, &entrant.address.to_string(), version, &text, until.as_deref());
        let whole = pages::whole(&self.house(), None, texts::TERMS_TITLE, &body);
        Ok((status, Html(whole.into_string())).into_response())
    }

    /// In, under a new cookie.
    async fn come_in(&self, cookie: &Cookie, entrant: &Entrant, peer: IpAddr, to: &str) -> Answer {
        let seat = self.seat_of(entrant, peer).await?;
        Ok(self.step(Some(cookie), Stage::In(Arc::new(seat)), to))
    }
}

/// Shows them.
pub(super) async fn show(State(desk): State<Arc<Desk>>, debt: Debt) -> Answer {
    desk.terms_page(&debt, StatusCode::OK)
}

/// What the page sends.
#[derive(Deserialize)]
pub(super) struct Acceptance {
    #[serde(default)]
    version: String,
    #[serde(default)]
    accepte: String,
}

/// They are accepted: of the version that was shown. The mailbox opens in the same commit, where it waited for that.
pub(super) async fn accept(State(desk): State<Arc<Desk>>, debt: Debt, Form(form): Form<Acceptance>) -> Answer {
    let entrant = &debt.debtor.entrant;
    if form.accepte != "oui" {
        return desk.terms_page(&debt, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // Asked again: what they came by may have been taken away while the page was read.
    if desk.owed(entrant)?.is_none() {
        // Or they were accepted in another window.
        return desk.come_in(&debt.cookie, entrant, debt.peer, "/postes").await;
    }
    let registry = desk.shared.registry.acting_for(asker(entrant, debt.peer));
    match registry.accept_terms(entrant.account, &form.version).await {
        Ok(_) => {}
        // A newer version came while the page was read.
        Err(AccountError::NoTerms) => return desk.terms_page(&debt, StatusCode::CONFLICT),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(event = "portal.terms_accepted", account = %entrant.account, peer = %debt.peer, "terms of use accepted");
    let seat = match desk.seat_of(entrant, debt.peer).await {
        // A structure's responsible person accepts for it, and may have no place in its mailbox.
        Err(LoginError::PersonRefused) => {
            desk.sessions.close(&debt.cookie.key());
            return Err(Refusal::new(StatusCode::OK, texts::TERMS_TITLE, texts::TERMS_ACCEPTED_FOR));
        }
        seated => seated?,
    };
    Ok(desk.step(Some(&debt.cookie), Stage::In(Arc::new(seat)), "/postes?fait=conditions"))
}

fn asker(entrant: &Entrant, peer: IpAddr) -> Asker {
    let means = match entrant.shown {
        Shown::Psc(_) => Means::ProSanteConnect,
        Shown::Code(_) => Means::PasswordAndCode,
    };
    let actor = Actor {
        by: Some(By::User),
        person: entrant.person.clone(),
        login: Some(entrant.address.to_string()),
        means: Some(means.name().to_owned()),
        device: None,
    };
    let origin = Origin { door: Door::Portal.name().to_owned(), peer: Some(peer.to_string()), ..Origin::default() };
    Asker { actor, origin }
}

/// Later, while the mailbox is open yet.
pub(super) async fn put_off(State(desk): State<Arc<Desk>>, debt: Debt, Form(Nothing {}): Form<Nothing>) -> Answer {
    if !debt.debtor.may_put_off {
        return desk.terms_page(&debt, StatusCode::CONFLICT);
    }
    desk.come_in(&debt.cookie, &debt.debtor.entrant, debt.peer, "/postes").await
}
