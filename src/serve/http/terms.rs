//! The terms of use: their versions, and acceptances that the administrator notes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Json, Path};
use super::lifecycle::beginning;
use super::mailboxes::shown as shown_mailbox;
use super::message_flags::date;
use super::problem::Problem;
use super::types::{AllTerms, Mailbox, NewTermsOfUse, TermsAcceptance, TermsOfUse};
use super::{Administration, blocking};
use crate::accounts::{self, NewTerms, day_of, midnight};
use crate::mail::now;
use crate::mss::lifecycle::DAYS_TO_ACCEPT;

const SECONDS_A_DAY: i64 = 86_400;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/terms", get(list).post(add))
        .route("/v1/terms/{version}", get(show))
        .route("/v1/mailboxes/{address}/terms", post(accept))
}

/// `GET /v1/terms`.
async fn list(State(administration): State<Arc<Administration>>) -> Result<axum::Json<AllTerms>, Problem> {
    let registry = administration.registry.clone();
    let versions = blocking(move || registry.terms_versions().map_err(of_account)).await?;
    Ok(axum::Json(AllTerms { versions: versions.into_iter().map(|terms| shown(terms, None)).collect() }))
}

/// `GET /v1/terms/{version}`.
async fn show(
    State(administration): State<Arc<Administration>>,
    Path(version): Path<String>,
) -> Result<axum::Json<TermsOfUse>, Problem> {
    let registry = administration.registry.clone();
    let (terms, text) = blocking(move || registry.terms_text(&version).map_err(of_account)).await?;
    Ok(axum::Json(shown(terms, Some(text))))
}

/// `POST /v1/terms`.
async fn add(Acting(administration): Acting, Json(new): Json<NewTermsOfUse>) -> Result<Response, Problem> {
    let registry = &administration.registry;
    let from = new.from.as_deref().map(|day| beginning(day, "from")).transpose()?;
    let from = from.unwrap_or_else(|| midnight(day_of(now())));
    let accept_by = new.accept_by.as_deref().map(|day| beginning(day, "accept_by")).transpose()?;
    let accept_by = accept_by.unwrap_or(from.saturating_add(registry.life_options().terms_grace));
    check_days(from, accept_by, now())?;
    let terms = NewTerms { version: new.version, text: new.text, from, accept_by };
    let terms = registry.add_terms(&terms).await.map_err(of_account)?;
    tracing::info!(version = terms.head.version, "terms of use added");
    let location = [(header::LOCATION, format!("/v1/terms/{}", terms.head.version))];
    Ok((StatusCode::CREATED, location, axum::Json(shown(terms, None))).into_response())
}

/// Who does not accept in time is suspended: a day that is over, or nearly, would suspend everybody before they are told.
fn check_days(from: i64, accept_by: i64, now: i64) -> Result<(), Problem> {
    let first = midnight(day_of(from.max(now))).saturating_add(DAYS_TO_ACCEPT * SECONDS_A_DAY);
    if accept_by < first {
        let text = format!("Holders need {DAYS_TO_ACCEPT} days at least: expected {} or later.", day_of(first));
        return Err(Problem::field("accept_by", text));
    }
    Ok(())
}

/// `POST /v1/mailboxes/{address}/terms`.
async fn accept(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(request): Json<TermsAcceptance>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = administration.account(&address)?;
    let accepted = administration.registry.accept_terms(account.id, &request.version).await;
    let account = accepted.map_err(|error| match error {
        accounts::AccountError::NoTerms => of_account(error).at("version"),
        error => of_account(error),
    })?;
    tracing::info!(account = %account.id, version = request.version, "terms of use accepted");
    shown_mailbox(&administration, account).await.map(axum::Json)
}

fn shown(terms: accounts::TermsOfUse, text: Option<String>) -> TermsOfUse {
    let head = terms.head;
    TermsOfUse {
        version: head.version,
        from: day_of(head.from).to_string(),
        accept_by: day_of(head.accept_by).to_string(),
        sha256: head.sha256,
        added_at: date(head.added_at),
        added_by: head.added_by,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_have_a_week_at_least_from_now_and_from_the_first_day() {
        let (day, now) = (SECONDS_A_DAY, 20_000 * SECONDS_A_DAY + 3_600);
        let in_days = |days: i64| (20_000 + days) * day;
        for (from, accept_by, is_fit) in
            [(0, 7, true), (0, 6, false), (-365, -330, false), (-365, 7, true), (30, 36, false), (30, 37, true)]
        {
            assert_eq!(check_days(in_days(from), in_days(accept_by), now).is_ok(), is_fit, "{from} {accept_by}");
        }
    }
}
