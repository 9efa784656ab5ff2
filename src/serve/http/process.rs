//! The running server itself: how it is, and a reload.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;

use super::acting::Acting;
use super::errors::of_account;
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{Reloaded, Status};
use super::{Administration, blocking, domains};
use crate::accounts::ListFilter;
use crate::config::Config;

/// What the API asks of the process around it. The running server implements it; tests have their own.
pub trait Process: Send + Sync + 'static {
    /// The server's own name.
    fn name(&self) -> String;

    /// How large one message may be, in bytes.
    fn message_limit(&self) -> u64;

    /// Why the server takes no mail at present, if it does not.
    fn trouble(&self) -> Option<String>;

    /// How long what is held about people is kept, as far as accounts do not know it.
    fn keeping(&self) -> Keeping;

    /// Reads everything that can be read again; the error is for the caller.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send + '_>>;
}

/// How long what is held about people is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Functional traces.
    pub functional_traces: Duration,
    /// They are kept so long from the closing of the mailboxes that there were.
    pub from_closing: bool,
    /// Months after which nobody is known by the indicators.
    pub anonymous_after: u32,
    /// The longest that a session lasts.
    pub session: Duration,
}

impl Keeping {
    /// As a configuration says.
    pub fn of(config: &Config) -> Self {
        let sessions = [config.imap.session_timeout, config.submission.session_timeout, config.portal.session_timeout];
        Self {
            functional_traces: config.traces.functional_keep,
            from_closing: config.traces.from_closing,
            anonymous_after: config.indicators.anonymous_after,
            session: sessions.into_iter().max().unwrap_or_default(),
        }
    }
}

/// `GET /v1/status`.
pub(super) async fn status(State(administration): State<Arc<Administration>>) -> Result<axum::Json<Status>, Problem> {
    let registry = administration.registry.clone();
    let (domains, mailboxes, password_alone) = blocking(move || {
        let mut alone = 0;
        let mailboxes = domains::count(&registry, &ListFilter::default(), |account| {
            alone += u64::from(account.opens_by_password_alone());
        })?;
        Ok((registry.domains().map_err(of_account)?.len() as u64, mailboxes, alone))
    })
    .await?;
    let list = administration.trust.load().list.clone();
    Ok(axum::Json(Status {
        name: administration.process.name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: date(administration.started_at),
        pid: std::process::id(),
        domains,
        mailboxes,
        password_alone,
        message_limit: administration.message_limit(),
        white_list_generated_at: list.map(|list| date(list.generated_at())),
        trouble: administration.process.trouble(),
    }))
}

/// `POST /v1/reload`.
pub(super) async fn reload(Acting(administration): Acting) -> Result<axum::Json<Reloaded>, Problem> {
    let outcome = administration.process.reload().await;
    let reloaded = outcome.map_err(|problem| Problem::new(Rule::ReloadRefused, problem))?;
    administration.registry.note_deed("configuration-reloaded", None).await.map_err(of_account)?;
    Ok(axum::Json(reloaded))
}
