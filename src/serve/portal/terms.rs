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
use crate::accounts::{AccountError, FirstFactor, LoginError, Means, TermsOfUse};
use crate::audit::{Actor, Asker, By, Origin};
use crate::mss::Address;
use crate::store::AccountId;
use crate::telemetry::Door;

type Answer = Result<Response, Refusal>;

/// Somebody known for certain, at the door of a mailbox.
#[derive(Clone)]
pub(super) struct Entrant {
    pub(super) account: AccountId,
    pub(super) address: Address,
    /// The password that they came by; none: by Pro Santé Connect.
    pub(super) first: Option<FirstFactor>,
    /// National id, where their way tells.
    pub(super) person: Option<String>,
    /// Whom another mailbox can be chosen for.
    pub(super) newcomer: Option<Arc<Newcomer>>,
}

impl Entrant {
    /// How they have shown who they are.
    pub(super) fn way(&self) -> Way {
        if self.first.is_some() { Way::Code } else { Way::Psc }
    }

    /// Who asks, as traces tell it: they are in no session yet.
    fn asker(&self, peer: IpAddr) -> Asker {
        let means = if self.way() == Way::Psc { Means::ProSanteConnect } else { Means::PasswordAndCode };
        let actor = Actor {
            by: Some(By::User),
            person: self.person.clone(),
            login: Some(self.address.to_string()),
            means: Some(means.name().to_owned()),
            ..Actor::default()
        };
        let origin = Origin { door: Door::Portal.name().to_owned(), peer: Some(peer.to_string()), ..Origin::default() };
        Asker { actor, origin }
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
        match (&entrant.first, &entrant.person) {
            (Some(first), _) => self.seat_by_code(first.password, peer).await,
            (None, Some(person)) => self.seat_by_psc(person, &entrant.address, entrant.newcomer.clone(), peer).await,
            (None, None) => Err(LoginError::PersonRefused),
        }
    }

    /// Whether somebody owes an acceptance, and whether it can be put off.
    fn owed(&self, entrant: &Entrant) -> Result<Option<bool>, Refusal> {
        let registry = &self.shared.registry;
        let Some(account) = registry.by_id(entrant.account)? else { return Ok(None) };
        let may_accept = match (entrant.way(), &entrant.person) {
            (Way::Psc, Some(person)) => registry.may_accept_terms(person, &account)?,
            _ => true,
        };
        let owes = may_accept && registry.terms_owed(&account)?.is_some();
        Ok(owes.then_some(!account.awaits_terms()))
    }

    fn terms_page(&self, debt: &Debt, status: StatusCode) -> Answer {
        let registry = &self.shared.registry;
        let Some(TermsOfUse { head, .. }) = registry.terms_in_force()? else {
            return Err(Refusal::stale_form("no terms to accept"));
        };
        let (_, text) = registry.terms_text(&head.version)?;
        let Debtor { entrant, may_put_off } = &*debt.debtor;
        let until = may_put_off.then_some(head.accept_by);
        let token = self.form_token(&debt.cookie);
        let body = page::ask(&token, &entrant.address.to_string(), &head.version, &text, until);
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
    match desk.shared.registry.acting_for(entrant.asker(debt.peer)).accept_terms(entrant.account, &form.version).await {
        Ok(_) => {}
        // A newer version came while the page was read.
        Err(AccountError::NoTerms) => return desk.terms_page(&debt, StatusCode::CONFLICT),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(event = "portal.terms_accepted", account = %entrant.account, peer = %debt.peer, "terms of use accepted");
    desk.come_in(&debt.cookie, entrant, debt.peer, "/postes?fait=conditions").await
}

/// Later, while the mailbox is open yet.
pub(super) async fn put_off(State(desk): State<Arc<Desk>>, debt: Debt, Form(Nothing {}): Form<Nothing>) -> Answer {
    if !debt.debtor.may_put_off {
        return desk.terms_page(&debt, StatusCode::CONFLICT);
    }
    desk.come_in(&debt.cookie, &debt.debtor.entrant, debt.peer, "/postes").await
}
