//! What the holder is told at the notification address, and how often of new messages.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::form::Form;
use super::pages::notices as page;
use super::refusal::Refusal;
use super::visit::Holder;
use super::{Desk, texts};
use crate::accounts::AccountChange;
use crate::store::NewMailPace;

type Answer = Result<Response, Refusal>;

/// The choices, as the form names them.
pub(super) const PACES: [(&str, NewMailPace, &str); 4] = [
    ("immediat", NewMailPace::AtOnce, texts::NOTICES_AT_ONCE),
    ("heure", NewMailPace::Hourly, texts::NOTICES_HOURLY),
    ("jour", NewMailPace::Daily, texts::NOTICES_DAILY),
    ("jamais", NewMailPace::None, texts::NOTICES_NONE),
];

/// What a page was reached by, when it has something to say of it.
#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    fait: String,
}

/// How it is now.
pub(super) async fn ask(State(desk): State<Arc<Desk>>, holder: Holder, Query(done): Query<Done>) -> Answer {
    if !holder.seat.minds_secrets() {
        return Err(Refusal::not_yours());
    }
    let settings = desk.shared.registry.notice_settings(holder.seat.login().account)?;
    let said = (done.fait == "choisi").then_some(texts::NOTICES_CHOSEN);
    let body = page::ask(&settings, &desk.form_token(&holder.cookie), said);
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::NOTICES_TITLE, &body))
}

/// What the page sends.
#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    rythme: String,
}

/// Another choice.
pub(super) async fn choose(State(desk): State<Arc<Desk>>, holder: Holder, Form(form): Form<Choice>) -> Answer {
    let Some((_, pace, _)) = PACES.iter().find(|(name, _, _)| *name == form.rythme) else {
        return Err(Refusal::not_yours());
    };
    if !holder.seat.minds_secrets() {
        return Err(Refusal::not_yours());
    }
    let account = holder.seat.login().account;
    let change = AccountChange { new_mail_notices: Some(Some(*pace)), ..AccountChange::default() };
    desk.registry_for(&holder.seat).set(account, &change).await?;
    tracing::info!(event = "portal.notices_chosen", %account, session = %holder.seat.session(), "notices chosen");
    Ok(Redirect::to("/avis?fait=choisi").into_response())
}
