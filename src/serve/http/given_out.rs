//! Messages that the administration gives out (`caducee export`): traced, without a trace for each.
//!
//! The first message of a mailbox that a connection asks for is written down before its first octet is sent. Those behind
//! it are counted, and the count is written at each thousandth, and when the connection ends.

use std::collections::HashMap;
use std::convert::Infallible;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Administration;
use super::errors::of_account;
use super::problem::Problem;
use crate::accounts::{Account, AccountError};
use crate::audit::{Action, Asker, Trace, Tracer};
use crate::store::{AccountId, CommitError};

/// Messages that are counted before the count is written.
const COUNTED: u32 = 1_000;

/// Mailboxes of one connection that are counted at a time.
const MAILBOXES: usize = 256;

/// What a connection was given.
#[derive(Clone, Default)]
pub(super) struct GivenOut(Arc<Counts>);

#[derive(Default)]
struct Counts(Mutex<HashMap<AccountId, Count>>);

/// What of one mailbox is not written down yet.
struct Count {
    traces: Tracer,
    asker: Arc<Asker>,
    mailbox: String,
    messages: u32,
}

impl GivenOut {
    /// A message of the mailbox is about to be given out.
    ///
    /// # Errors
    /// It cannot be written down; then it is not given.
    pub(super) async fn note(&self, administration: &Administration, account: &Account) -> Result<(), Problem> {
        let Some(count) = self.0.count(account.id) else {
            let traces = administration.mail.traces().clone();
            let asker = Arc::clone(administration.registry.asker());
            let count = Count { traces, asker, mailbox: account.address.to_string(), messages: 1 };
            count.traces.write(count.trace()).await.map_err(failed)?;
            self.0.begin(account.id, count);
            return Ok(());
        };
        match count {
            Some((traces, trace)) => traces.write([trace]).await.map(drop).map_err(failed),
            None => Ok(()),
        }
    }
}

fn failed(error: CommitError) -> Problem {
    of_account(AccountError::from(error))
}

impl Counts {
    /// Counts a message. None: it is the first of its mailbox; else what is to be written now, if anything is.
    fn count(&self, account: AccountId) -> Option<Option<(Tracer, Trace)>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get_mut(&account)?;
        count.messages += 1;
        if count.messages < COUNTED {
            return Some(None);
        }
        let trace = count.trace();
        count.messages = 0;
        Some(trace.map(|trace| (count.traces.clone(), trace)))
    }

    /// The first message of a mailbox is written down: those behind it are counted.
    fn begin(&self, account: AccountId, count: Count) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAILBOXES {
            counts.drain().for_each(|(_, count)| count.write());
        }
        counts.insert(account, Count { messages: 0, ..count });
    }
}

impl Count {
    /// What is not written down yet, if there is something.
    fn trace(&self) -> Option<Trace> {
        let action = Action::Exported { messages: self.messages };
        (self.messages > 0).then(|| self.asker.trace(Some(&self.mailbox), action))
    }

    /// On its way when this returns; there is nobody left to wait for it.
    fn write(&self) {
        if let Some(trace) = self.trace() {
            drop(self.traces.write([trace]));
        }
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        let counts = mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        counts.into_values().for_each(|count| count.write());
    }
}

impl<S: Sync> FromRequestParts<S> for GivenOut {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
