//! The journal of mailboxes' lives: a line for everything that happened, in the commit that made it happen.
//!
//! Lines are read off the difference of two records, wherever one is written: no way of changing a life leaves them out, and
//! nothing irreversible is done without.

use crate::audit::{Action, Actor, By};
use crate::mss::lifecycle::lines;
use crate::store::{self, AccountId, Batch, JournalEntry, JournalKey, Versioned};

use super::{AccountError, Registry};

/// Lines that are taken away in one commit.
const SWEPT_AT_ONCE: usize = 2_000;

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct JournalQuery {
    /// From this moment on, Unix seconds.
    pub from: i64,
    /// Up to this moment, Unix seconds; `None`: to the end.
    pub until: Option<i64>,
    /// Of one mailbox.
    pub account: Option<AccountId>,
    /// After this line.
    pub after: Option<JournalKey>,
}

impl Registry {
    /// Adds the lines, and the traces, of a change of an account to the batch that makes it.
    pub(super) fn note_life(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        let (was, is) = (before.map(|before| self.life_of(before)), self.life_of(after));
        let turn = |account: &store::Account| (account.state_changed_at, account.state_reason.clone());
        let has_turned = before.is_none_or(|before| turn(before) != turn(after));
        let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
        for (at, line) in (now..).zip(lines(was.as_ref(), &is)) {
            let entry = JournalEntry {
                address: after.address.clone(),
                step: line.step.to_owned(),
                detail: line.detail.clone(),
                by: name_of(self.actor()),
                reason: after.state_reason.clone().filter(|_| has_turned),
            };
            batch.put(&JournalKey { at, account: id }, &entry);
            // Of a creation there is a trace already.
            if before.is_some() {
                let action = Action::Lived { step: line.step.to_owned(), detail: line.detail };
                self.room().traces().note(self.asker().trace(Some(&after.address), action), batch);
            }
        }
    }

    /// Up to `limit` lines of the journal, in the order of time.
    ///
    /// # Errors
    /// What the store says.
    pub fn journal(&self, query: &JournalQuery, limit: usize) -> Result<Vec<(JournalKey, JournalEntry)>, AccountError> {
        let micros = |seconds: i64| u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000_000);
        let end = JournalKey { at: query.until.map_or(u64::MAX, micros), account: AccountId(0) };
        let mut from = JournalKey { at: micros(query.from), account: AccountId(0) };
        if let Some(after) = query.after {
            from = from.max(JournalKey { account: AccountId(after.account.0.saturating_add(1)), ..after });
        }
        let mut found = Vec::new();
        while from < end {
            let page: Vec<(JournalKey, Versioned<JournalEntry>)> = self.store().scan(from..end, SWEPT_AT_ONCE)?;
            let Some((last, _)) = page.last() else { break };
            from = JournalKey { account: AccountId(last.account.0.saturating_add(1)), ..*last };
            let wanted = page.into_iter().filter(|(key, _)| query.account.is_none_or(|id| id == key.account));
            found.extend(wanted.map(|(key, entry)| (key, entry.record)).take(limit - found.len()));
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    /// Forgets the lines before a moment (Unix seconds); how many.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_journal(&self, before: i64) -> Result<usize, AccountError> {
        let mut forgotten = 0;
        loop {
            let query = JournalQuery { until: Some(before), ..JournalQuery::default() };
            let lines = self.journal(&query, SWEPT_AT_ONCE)?;
            if lines.is_empty() {
                return Ok(forgotten);
            }
            let mut batch = Batch::new();
            for (key, _) in &lines {
                batch.delete::<JournalEntry>(key);
            }
            self.store().commit(batch).await?;
            forgotten += lines.len();
        }
    }
}

/// Who did something, in a word or two.
pub(super) fn name_of(actor: &Actor) -> String {
    let whom = || actor.person.clone().or_else(|| actor.login.clone()).unwrap_or_default();
    match actor.by {
        Some(By::User) => whom(),
        Some(By::Administrator) => format!("administrator {}", whom()).trim_end().to_owned(),
        Some(By::Operator) => "operator".to_owned(),
        Some(By::Server) | None => "server".to_owned(),
    }
}
