//! One-time codes: an application on the telephone, recovery codes on paper.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::form::{Form, Nothing};
use super::pages::factors as page;
use super::people::Mishap;
use super::refusal::Refusal;
use super::visit::Holder;
use super::{Desk, texts};

type Answer = Result<Response, Refusal>;

/// Only who minds what opens the mailbox ([`super::people::Seat::minds_secrets`]).
fn managing(holder: &Holder) -> Result<(), Refusal> {
    if holder.seat.minds_secrets() { Ok(()) } else { Err(Refusal::not_yours()) }
}

/// What is set up.
pub(super) async fn show(State(desk): State<Arc<Desk>>, holder: Holder) -> Answer {
    managing(&holder)?;
    let factors = desk.shared.registry.factors(holder.seat.login().account)?;
    let body = page::show(&factors, &desk.form_token(&holder.cookie));
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::FACTORS_TITLE, &body))
}

/// Makes a new secret for an application. It is in use once a code has shown that the application has it.
pub(super) async fn begin(State(desk): State<Arc<Desk>>, holder: Holder, Form(Nothing {}): Form<Nothing>) -> Answer {
    managing(&holder)?;
    let setup = desk.shared.registry.begin_authenticator(holder.seat.login().account).await?;
    let body = page::setup(&setup, &desk.form_token(&holder.cookie));
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::SETUP_TITLE, &body))
}

/// What the setup's page sends.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    #[serde(default)]
    code: String,
}

/// The first code of the application: it is in use, and the recovery codes are shown.
pub(super) async fn confirm(State(desk): State<Arc<Desk>>, holder: Holder, Form(form): Form<ConfirmForm>) -> Answer {
    managing(&holder)?;
    let account = holder.seat.login().account;
    let code = Zeroizing::new(form.code);
    let confirmed = desk.registry_for(&holder.seat).confirm_authenticator(account, &code).await;
    match confirmed.map_err(Mishap::from) {
        Ok(codes) => {
            tracing::info!(event = "portal.authenticator_set", %account, session = %holder.seat.session(),
                "an application for codes is in use");
            Ok(desk.inner_page(&holder, StatusCode::OK, texts::RECOVERY_TITLE, &page::recovery(&codes, true)))
        }
        Err(Mishap::Field(text)) => {
            let body = page::try_again(&desk.form_token(&holder.cookie), &text);
            Ok(desk.inner_page(&holder, StatusCode::UNPROCESSABLE_ENTITY, texts::SETUP_TITLE, &body))
        }
        Err(Mishap::Page(refusal)) => Err(refusal),
    }
}

/// New recovery codes; the old ones are void.
pub(super) async fn recovery(State(desk): State<Arc<Desk>>, holder: Holder, Form(Nothing {}): Form<Nothing>) -> Answer {
    managing(&holder)?;
    let account = holder.seat.login().account;
    let codes = desk.registry_for(&holder.seat).new_recovery_codes(account).await?;
    let session = holder.seat.session();
    tracing::info!(event = "portal.recovery_codes_made", %account, %session, "new recovery codes");
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::RECOVERY_TITLE, &page::recovery(&codes, false)))
}
