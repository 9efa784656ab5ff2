//! Mailboxes: created, listed, shown, changed, suspended, reopened, closed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::acting::Acting;
use super::errors::{of_account, sentence};
use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::types::{
    CloseRequest, CreatedMailbox, Mailbox, MailboxChange, MailboxQuery, Mailboxes, NewMailbox, StateRequest,
};
use super::{Administration, blocking, convert, credentials, domains, view};
use crate::accounts::{self, Account, AccountError, ListFilter};
use crate::mss::lifecycle::Stage;
use crate::mss::{Address, Kind, MailboxState};
use crate::store::AccountId;

/// Mailboxes on a page where the request does not say.
const PAGE: u32 = 100;

/// The most on a page.
const LARGEST_PAGE: u32 = 1000;

/// The longest reason for a change of state.
const REASON: usize = 500;

/// `POST /v1/mailboxes`.
pub(super) async fn create(Acting(administration): Acting, Json(new): Json<NewMailbox>) -> Result<Response, Problem> {
    let password = new.password.clone();
    let wanted = convert::new_mailbox(new, &administration.registry)?;
    if let Some(password) = &password {
        // Before the mailbox is there: a weak password must not leave one behind without.
        credentials::check(&administration.registry, password)?;
    }
    let account = administration.registry.create(wanted).await.map_err(of_account)?;
    tracing::info!(account = %account.id, kind = %account.kind, "mailbox created");
    let password = match password {
        Some(password) => credentials::set(&administration.registry, account.id, password).await?,
        None => None,
    };
    let location = [(header::LOCATION, format!("/v1/mailboxes/{}", account.address))];
    let created = CreatedMailbox { mailbox: shown(&administration, account).await?, password };
    Ok((StatusCode::CREATED, location, axum::Json(created)).into_response())
}

/// `GET /v1/mailboxes`.
pub(super) async fn list(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<MailboxQuery>,
) -> Result<axum::Json<Mailboxes>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    let filter = filter(&query)?;
    let after = query.after.map(AccountId);
    let (registry, room) = (administration.registry.clone(), administration.mail.clone());
    blocking(move || {
        let limit = limit as usize;
        let mut accounts = registry.list(&filter, after, limit + 1).map_err(of_account)?;
        let more = accounts.len() > limit;
        accounts.truncate(limit);
        let next_after = accounts.last().filter(|_| more).map(|account| account.id.0);
        let mailboxes = accounts.into_iter().map(|account| view::mailbox(&registry, &room, account));
        Ok(axum::Json(Mailboxes { mailboxes: mailboxes.collect::<Result<_, _>>()?, next_after }))
    })
    .await
}

fn filter(query: &MailboxQuery) -> Result<ListFilter, Problem> {
    let (state, stage) = query.state.as_deref().map_or(Ok((None, None)), parse_state)?;
    Ok(ListFilter {
        domain: query.domain.as_deref().map(|name| domains::parse(name, "?domain")).transpose()?,
        kind: query.kind.as_deref().map(|kind| parse_kind(kind, "?kind")).transpose()?,
        state,
        stage,
        test: query.test,
        password_alone: query.password_alone,
        notification_address: query.notification_address,
        text: query.search.clone(),
    })
}

/// A state, or one of the stages that are no states.
fn parse_state(text: &str) -> Result<(Option<MailboxState>, Option<Stage>), Problem> {
    let is_meant = |name: &str| name.eq_ignore_ascii_case(text);
    let state = MailboxState::ALL.into_iter().find(|state| is_meant(state.name()));
    let stage = Stage::ALL.into_iter().find(|stage| is_meant(stage.name())).filter(|_| state.is_none());
    if state.is_none() && stage.is_none() {
        let expected = "Expected open, suspended, closed; or requested, closing, forgotten.";
        return Err(Problem::field("?state", expected));
    }
    Ok((state, stage))
}

pub(super) fn parse_kind(text: &str, field: &str) -> Result<Kind, Problem> {
    text.parse().map_err(|problem| Problem::field(field, sentence(&problem)))
}

pub(super) fn parse_address(text: &str) -> Result<Address, Problem> {
    Address::parse(text).map_err(|problem| Problem::field("address", sentence(&problem)))
}

/// `GET /v1/mailboxes/{address}`.
pub(super) async fn show(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = administration.account(&address)?;
    shown(&administration, account).await.map(axum::Json)
}

/// `PATCH /v1/mailboxes/{address}`.
pub(super) async fn change(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(change): Json<MailboxChange>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = administration.account(&address)?;
    let change = convert::change(change, &account, &administration.registry)?;
    if let Some(Some(forward)) = change.forward.clone() {
        let (administration, account) = (Arc::clone(&administration), account.clone());
        blocking(move || administration.check_forward(&account, &forward)).await?;
    }
    let account = administration.registry.set(account.id, &change).await.map_err(of_account)?;
    tracing::info!(account = %account.id, "mailbox changed");
    shown(&administration, account).await.map(axum::Json)
}

/// `POST /v1/mailboxes/{address}/suspend`.
pub(super) async fn suspend(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(request): Json<Option<StateRequest>>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let reason = reason(request.unwrap_or_default().reason)?;
    let account = administration.account(&address)?;
    let account = administration.registry.suspend(account.id, &reason).await;
    told(&administration, account).await
}

/// `POST /v1/mailboxes/{address}/reopen`.
pub(super) async fn reopen(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(request): Json<Option<StateRequest>>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let reason = reason(request.unwrap_or_default().reason)?;
    let account = administration.account(&address)?;
    let account = administration.registry.reopen(account.id, &reason).await;
    told(&administration, account).await
}

/// `POST /v1/mailboxes/{address}/close`.
pub(super) async fn close(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(request): Json<CloseRequest>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let reason = reason(request.reason)?;
    let account = administration.account(&address)?;
    if parse_address(&request.confirm)?.key() != account.address.key() {
        return Err(Problem::field("confirm", "Closing erases for good: repeat the mailbox's address here."));
    }
    let account = administration.registry.close(account.id, &reason).await;
    told(&administration, account).await
}

fn reason(reason: Option<String>) -> Result<String, Problem> {
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > REASON || reason.chars().any(char::is_control) {
        return Err(Problem::field("reason", format!("At most {REASON} characters, no control characters.")));
    }
    Ok(reason)
}

async fn told(
    administration: &Administration,
    account: Result<Account, AccountError>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = account.map_err(of_account)?;
    tracing::info!(account = %account.id, state = %account.state, "mailbox state changed");
    shown(administration, account).await.map(axum::Json)
}

pub(super) async fn shown(administration: &Administration, account: accounts::Account) -> Result<Mailbox, Problem> {
    let (registry, room) = (administration.registry.clone(), administration.mail.clone());
    blocking(move || view::mailbox(&registry, &room, account)).await
}
