//! What cannot be done, as a page: a sentence for whoever reads it, the detail for the log.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::texts;
use crate::accounts::AccountError;

/// Why a page is not the one that was asked for. It becomes a page in [`super::frame`], which knows the request's reference.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) text: String,
    /// When trying again makes sense.
    pub(super) again: Option<Duration>,
    /// For the log.
    pub(super) because: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title, text: text.into(), again: None, because: None }
    }

    /// The server's fault; the page gives a reference.
    pub(super) fn internal(because: impl Display) -> Self {
        let mut refusal = Self::new(StatusCode::INTERNAL_SERVER_ERROR, texts::FAILED_TITLE, texts::FAILED);
        refusal.because = Some(because.to_string());
        refusal
    }

    /// Something that the server needs is away.
    pub(super) fn unavailable(text: impl Into<String>, because: impl Display) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, texts::LATER_TITLE, text);
        refusal.because = Some(because.to_string());
        refusal
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, texts::NO_PAGE_TITLE, texts::NO_PAGE)
    }

    /// A form that this browser was not given, or was given before its session ended.
    pub(super) fn stale_form(because: &'static str) -> Self {
        let mut refusal = Self::new(StatusCode::FORBIDDEN, texts::STALE_FORM_TITLE, texts::STALE_FORM);
        refusal.because = Some(because.to_owned());
        refusal
    }

    /// What the mailbox does not let this person do.
    pub(super) fn not_yours() -> Self {
        Self::new(StatusCode::FORBIDDEN, texts::NOT_YOURS_TITLE, texts::NOT_YOURS)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Busy => Self::unavailable(texts::LATER, "the account is being changed by others"),
            AccountError::NoAccount | AccountError::Closed | AccountError::WrongState(_) => {
                let mut refusal = Self::new(StatusCode::CONFLICT, texts::NOT_OPEN_TITLE, texts::NOT_OPEN);
                refusal.because = Some(error.to_string());
                refusal
            }
            error => Self::internal(error),
        }
    }
}
