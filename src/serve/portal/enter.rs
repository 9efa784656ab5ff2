//! The ways in and out: Pro Santé Connect, or a password and then a code; which mailbox; goodbye.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::form::{Form, Nothing};
use super::pages::entering;
use super::people::{CODE, Halfway, Mishap, Newcomer, PASSWORD, PSC, Way, told};
use super::psc::name_of;
use super::refusal::Refusal;
use super::sessions::Stage;
use super::terms::{Entrant, Shown};
use super::visit::{Chooser, Cookie, Owing, Purpose, Visitor};
use super::{Desk, texts};
use crate::accounts::factors::{FactorError, FactorUsed};
use crate::accounts::{Registry, SharedMailbox};
use crate::audit::{Actor, Asker, By, Origin};
use crate::store::AccountId;
use crate::telemetry::Door;

type Answer = Result<Response, Refusal>;

/// The beginning: each to where they belong, strangers to the login page.
pub(super) async fn welcome(State(desk): State<Arc<Desk>>, visitor: Visitor) -> Response {
    match visitor.session.map(|session| session.stage) {
        Some(Stage::In(_)) => Redirect::to("/postes").into_response(),
        Some(Stage::Choosing(_)) => Redirect::to("/boites").into_response(),
        Some(Stage::Halfway(_)) => Redirect::to("/code").into_response(),
        Some(Stage::Owing(_)) => Redirect::to("/conditions").into_response(),
        None => desk.login_page(visitor.cookie, StatusCode::OK, None, ""),
    }
}

impl Desk {
    /// The login page, with what went wrong the last time.
    fn login_page(&self, cookie: Option<Cookie>, status: StatusCode, wrong: Option<&str>, address: &str) -> Response {
        let (cookie, is_new) = match cookie {
            Some(cookie) => (cookie, false),
            None => (Cookie::new(), true),
        };
        let body = entering::login(&self.form_token(&cookie), self.has_psc(), wrong, address);
        let page = self.page(status, texts::LOGIN_TITLE, body);
        if is_new { cookie.give(page) } else { page }
    }
}

/// What the login page sends.
#[derive(Deserialize)]
pub(super) struct PasswordForm {
    #[serde(default)]
    adresse: String,
    #[serde(default)]
    mot_de_passe: String,
}

/// Address and password: the first of two steps.
pub(super) async fn password(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor,
    Form(form): Form<PasswordForm>,
) -> Response {
    let password = Zeroizing::new(form.mot_de_passe);
    let address = form.adresse.trim();
    match desk.check_password(address, &password, visitor.peer).await {
        Ok(first) => {
            let attempt = desk.seal.derive(Purpose::Attempt, &Cookie::new());
            let halfway = Halfway { first, attempt };
            desk.step(visitor.cookie.as_ref(), Stage::Halfway(Arc::new(halfway)), "/code")
        }
        Err(error) => {
            let (status, text) = told(&error);
            desk.login_page(visitor.cookie, status, Some(&text), address)
        }
    }
}

/// What a page was reached by, when it has something to say of it.
#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    fait: String,
}

/// Asks for the code.
pub(super) async fn ask_code(State(desk): State<Arc<Desk>>, owing: Owing, Query(done): Query<Done>) -> Answer {
    let lifetime = desk.shared.config.load().codes.lifetime;
    let said = (done.fait == "envoye").then(|| texts::code_sent(lifetime));
    desk.code_page(&owing, StatusCode::OK, said.as_deref(), None)
}

impl Desk {
    fn code_page(&self, owing: &Owing, status: StatusCode, said: Option<&str>, wrong: Option<&str>) -> Answer {
        let factors = self.shared.registry.factors(owing.halfway.first.account)?;
        let body = entering::code(&self.form_token(&owing.cookie), &factors, said, wrong);
        Ok(self.page(status, texts::CODE_TITLE, body))
    }
}

/// Sends a code to the notification address.
pub(super) async fn send_code(State(desk): State<Arc<Desk>>, owing: Owing, Form(Nothing {}): Form<Nothing>) -> Answer {
    let Halfway { first, attempt } = &*owing.halfway;
    let sent = desk.shared.registry.mail_code(first.account, attempt).await;
    match sent.map_err(Mishap::from) {
        Ok(_) => Ok(Redirect::to("/code?fait=envoye").into_response()),
        Err(Mishap::Field(text)) => desk.code_page(&owing, StatusCode::CONFLICT, None, Some(&text)),
        Err(Mishap::Page(refusal)) => Err(refusal),
    }
}

/// What the code's page sends.
#[derive(Deserialize)]
pub(super) struct CodeForm {
    #[serde(default)]
    code: String,
}

/// The second step.
pub(super) async fn code(State(desk): State<Arc<Desk>>, owing: Owing, Form(form): Form<CodeForm>) -> Answer {
    let Halfway { first, attempt } = &*owing.halfway;
    let (account, code) = (first.account, Zeroizing::new(form.code));
    match desk.registry_for_newcomer(account, owing.peer)?.check_code(account, attempt, &code).await {
        Ok(used) => {
            tracing::info!(event = "portal.code", %account, factor = factor(used), peer = %owing.peer, "code accepted");
            let stage = desk.let_in(desk.entrant_by_code(first.password)?, owing.peer).await?;
            Ok(desk.step(Some(&owing.cookie), stage, "/postes"))
        }
        Err(error) => {
            tracing::info!(event = "portal.code_refused", %account, reason = %error, peer = %owing.peer, "code refused");
            desk.note_code_refused(account, owing.peer, &error)?;
            match Mishap::from(error) {
                Mishap::Field(text) => desk.code_page(&owing, StatusCode::FORBIDDEN, None, Some(&text)),
                Mishap::Page(refusal) => Err(refusal),
            }
        }
    }
}

impl Desk {
    /// The registry, working for somebody whose password was right.
    fn registry_for_newcomer(&self, account: AccountId, peer: IpAddr) -> Result<Registry, Refusal> {
        let login = self.shared.registry.by_id(account)?.map(|account| account.address.to_string());
        let actor = Actor { by: Some(By::User), login, means: Some(PASSWORD.to_owned()), ..Actor::default() };
        let origin = Origin { door: Door::Portal.name().to_owned(), peer: Some(peer.to_string()), ..Origin::default() };
        Ok(self.shared.registry.acting_for(Asker { actor, origin }))
    }

    fn note_code_refused(&self, account: AccountId, peer: IpAddr, error: &FactorError) -> Result<(), Refusal> {
        let account = self.shared.registry.by_id(account)?;
        let asked = account.map(|account| account.address.to_string()).unwrap_or_default();
        self.note_refused(peer, CODE, None, &asked, error.name());
        Ok(())
    }
}

fn factor(used: FactorUsed) -> &'static str {
    match used {
        FactorUsed::Authenticator => "authenticator",
        FactorUsed::MailedCode => "mailed-code",
        FactorUsed::RecoveryCode { .. } => "recovery-code",
    }
}

/// Off to Pro Santé Connect, under a cookie that is new: the way back fits no other.
pub(super) async fn to_psc(State(desk): State<Arc<Desk>>, visitor: Visitor) -> Answer {
    if visitor.session.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    let cookie = Cookie::new();
    let to = desk.psc_address(&cookie).await?;
    Ok(cookie.give(Redirect::to(&to).into_response()))
}

/// What Pro Santé Connect sends holders back with (RFC 6749 §4.1.2).
#[derive(Deserialize)]
pub(super) struct Return {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
}

/// Back from Pro Santé Connect: who are they, and what is theirs?
pub(super) async fn from_psc(State(desk): State<Arc<Desk>>, visitor: Visitor, Query(back): Query<Return>) -> Answer {
    let Some(cookie) = visitor.cookie else { return Err(no_such_trip()) };
    if !desk.seal.fits(Purpose::State, &cookie, &back.state) {
        return Err(no_such_trip());
    }
    if !back.error.is_empty() {
        let (reason, refusal) = turned_back(&back.error);
        desk.note_refused(visitor.peer, PSC, None, "", reason);
        return Err(refusal);
    }
    let person = desk.psc_person(&cookie, &back.code, visitor.peer).await?;
    let (name, national_id) = (name_of(&person), person.national_id);
    let mut mailboxes = desk.shared.registry.opened_by_person(&national_id)?;
    mailboxes.extend(desk.shared.registry.awaiting_terms_of(&national_id)?);
    let stage = match &*mailboxes {
        [] => {
            desk.note_refused(visitor.peer, PSC, Some(&national_id), "", "no-mailbox");
            tracing::info!(event = "portal.nobody", peer = %visitor.peer, "somebody without a mailbox came");
            return Err(Refusal::new(StatusCode::FORBIDDEN, texts::NO_MAILBOX_TITLE, texts::NO_MAILBOX));
        }
        [one] => desk.let_in(entrant_by_psc(national_id, one, None), visitor.peer).await?,
        _ => Stage::Choosing(Arc::new(Newcomer { national_id, name, mailboxes })),
    };
    Ok(desk.step(Some(&cookie), stage, "/"))
}

/// Why Pro Santé Connect sends somebody back without a code (RFC 6749 §4.1.2.1), for the trace and for the page: it cannot, or
/// it will not. The log has its word, if it is one of the RFC's; others' text is not repeated.
fn turned_back(error: &str) -> (&'static str, Refusal) {
    const CANNOT: [&str; 2] = ["server_error", "temporarily_unavailable"];
    const WILL_NOT: [&str; 5] =
        ["access_denied", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type"];
    if let Some(word) = CANNOT.into_iter().find(|word| *word == error) {
        return ("away-there", Refusal::unavailable(texts::PSC_AWAY, word));
    }
    let mut refusal = Refusal::new(StatusCode::FORBIDDEN, texts::PSC_REFUSED_TITLE, texts::PSC_REFUSED);
    refusal.because = WILL_NOT.into_iter().find(|word| *word == error).map(str::to_owned);
    ("refused-there", refusal)
}

fn no_such_trip() -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, texts::NO_TRIP_TITLE, texts::NO_TRIP)
}

/// Which mailbox?
pub(super) async fn mailboxes(State(desk): State<Arc<Desk>>, chooser: Chooser) -> Response {
    let body = entering::choose(&desk.form_token(&chooser.cookie), &chooser.newcomer);
    desk.page(StatusCode::OK, texts::CHOOSE_TITLE, body)
}

/// What the page of mailboxes sends.
#[derive(Deserialize)]
pub(super) struct ChoiceForm {
    #[serde(default)]
    boite: String,
}

/// That one: one of those that were offered, whatever the form says. A new cookie, as at every step.
pub(super) async fn choose(
    State(desk): State<Arc<Desk>>,
    chooser: Chooser,
    visitor: Visitor,
    Form(form): Form<ChoiceForm>,
) -> Answer {
    let Chooser { cookie, newcomer } = chooser;
    let chosen = newcomer.mailboxes.iter().find(|mailbox| mailbox.account.to_string() == form.boite);
    let Some(chosen) = chosen.cloned() else { return Err(Refusal::not_yours()) };
    let entrant = entrant_by_psc(newcomer.national_id.clone(), &chosen, Some(newcomer));
    Ok(desk.step(Some(&cookie), desk.let_in(entrant, visitor.peer).await?, "/postes"))
}

fn entrant_by_psc(person: String, mailbox: &SharedMailbox, newcomer: Option<Arc<Newcomer>>) -> Entrant {
    let (account, address) = (mailbox.account, mailbox.address.clone());
    Entrant { account, address, person: Some(person), shown: Shown::Psc(newcomer) }
}

/// Goodbye.
pub(super) async fn leave(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor,
    Form(Nothing {}): Form<Nothing>,
) -> Response {
    let session = visitor.cookie.and_then(|cookie| desk.sessions.close(&cookie.key()));
    if let Some(Stage::In(seat)) = session.as_ref().map(|session| &session.stage) {
        seat.leave();
    }
    let way = session.and_then(|session| match session.stage {
        Stage::In(seat) => Some(seat.way),
        Stage::Owing(debtor) => Some(debtor.entrant.way()),
        Stage::Halfway(_) | Stage::Choosing(_) => None,
    });
    let by_psc = way == Some(Way::Psc);
    let psc = if by_psc { desk.psc_end().await } else { None };
    Cookie::take_away(desk.page(StatusCode::OK, texts::GOODBYE_TITLE, entering::goodbye(psc.as_deref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_cannot_is_told_from_one_that_will_not() {
        for (error, reason, status, because) in [
            ("server_error", "away-there", 503, Some("server_error")),
            ("temporarily_unavailable", "away-there", 503, Some("temporarily_unavailable")),
            ("access_denied", "refused-there", 403, Some("access_denied")),
            ("unauthorized_client", "refused-there", 403, Some("unauthorized_client")),
            ("<b>anything</b>", "refused-there", 403, None),
        ] {
            let (told, refusal) = turned_back(error);
            assert_eq!(
                (told, refusal.status.as_u16(), refusal.because.as_deref()),
                (reason, status, because),
                "{error}"
            );
        }
    }
}
