//! What time does to the counters: the month's last state of the mailboxes, marks that become numbers, months that go.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::mss::indicators::{Month, Row, Sheet};
use crate::store::{Account, AccountId, Batch, CommitError, Counter, CounterKey, Expect, Store, StoreError};

use super::known::code_of;
use super::tally::{Note, Place, Tally, activity, first_mark, is_noted, place, row_key};
use super::{IndicatorError, Indicators};
use crate::mss::Address;

/// Records of one read and one commit.
const PAGE: usize = 1_000;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// The month whose mailboxes were noted.
    pub snapshot: Option<Month>,
    /// Marks that became numbers.
    pub anonymised: u64,
    /// Counters of months that are kept no longer.
    pub forgotten: u64,
}

impl Indicators {
    /// Notes the mailboxes of the month that has ended, makes numbers of old marks, and takes old months away. `now` in Unix
    /// microseconds. To be called at each month's first instant, and may be called at any time.
    ///
    /// # Errors
    /// What the store says; what was not done is done at the next call.
    pub async fn tend(&self, now: u64) -> Result<Tended, IndicatorError> {
        let current = Month::of(now);
        let mut tended = Tended::default();
        if self.note_mailboxes(current.previous(), now / 1_000_000).await? {
            tended.snapshot = Some(current.previous());
        }
        for month in self.months()?.into_iter().filter(|month| *month < current) {
            if month <= current.minus(self.inner.options.anonymous_after.max(1)) {
                tended.anonymised += self.make_anonymous(month, now / 1_000_000).await?;
            }
            if month < current.minus(self.inner.options.keep) {
                tended.forgotten += self.forget(month).await?;
            }
        }
        Ok(tended)
    }

    /// Notes how many mailboxes there are, as those of a month's end; false: they are noted, or nothing was counted then.
    async fn note_mailboxes(&self, month: Month, now: u64) -> Result<bool, IndicatorError> {
        let (store, note) = (&self.inner.store, Note::Snapshot.key(month));
        if is_noted(store, &note)? || !self.months()?.contains(&month) {
            return Ok(false);
        }
        let mut rows: BTreeMap<Vec<String>, Vec<u64>> = BTreeMap::new();
        each_state(store, |(_, row)| {
            let sums = rows.entry(row.dimensions).or_insert_with(|| vec![0; row.measures.len()]);
            sums.iter_mut().zip(row.measures).for_each(|(sum, value)| *sum += value);
        })?;
        let mut batch = Batch::new();
        batch.insert(&note, &Counter { values: vec![now] });
        for (dimensions, values) in rows {
            let dimensions: Vec<&str> = dimensions.iter().map(String::as_str).collect();
            batch.put(&row_key(month, Sheet::Mailboxes, &dimensions), &Counter { values });
        }
        match store.commit(batch).await {
            Err(CommitError::Conflict(_)) => Ok(false),
            outcome => Ok(outcome.map(|_| true)?),
        }
    }

    /// Makes numbers of a month's marks, a bounded number a commit: each leaves with the numbers that it adds to.
    async fn make_anonymous(&self, month: Month, now: u64) -> Result<u64, IndicatorError> {
        let (store, note) = (&self.inner.store, Note::Anonymous.key(month));
        let end = CounterKey::first(month.next().number(), 0);
        let mut made = 0;
        loop {
            let marks = store.scan::<Counter>(first_mark(month)..end.clone(), PAGE)?;
            if marks.is_empty() {
                return Ok(made);
            }
            let mut batch = Batch::new();
            if !is_noted(store, &note)? {
                batch.insert(&note, &Counter { values: vec![now] });
            }
            let mut tally = Tally::over(store, self.inner.options.most_rows, 0);
            for (key, mark) in &marks {
                batch.expect::<Counter>(key, Expect::Version(mark.version)).delete::<Counter>(key);
                if let Some(Place::Mark(domain, kind)) = place(key) {
                    let used = activity(mark.values.first().copied().unwrap_or(0));
                    tally.add(month, Sheet::Activity, &[&domain, &kind], &used)?;
                }
            }
            tally.put_into(&mut batch);
            store.commit(batch).await?;
            made += marks.len() as u64;
        }
    }

    async fn forget(&self, month: Month) -> Result<u64, IndicatorError> {
        let store = &self.inner.store;
        let (first, end) = (CounterKey::first(month.number(), 0), CounterKey::first(month.next().number(), 0));
        let mut forgotten = 0;
        loop {
            let counters = store.scan::<Counter>(first.clone()..end.clone(), PAGE)?;
            if counters.is_empty() {
                return Ok(forgotten);
            }
            let mut batch = Batch::new();
            for (key, _) in &counters {
                batch.delete::<Counter>(key);
            }
            store.commit(batch).await?;
            forgotten += counters.len() as u64;
        }
    }

    /// The months that something was counted in, the first one first.
    ///
    /// # Errors
    /// What the store says.
    pub fn months(&self) -> Result<Vec<Month>, StoreError> {
        let mut months = Vec::new();
        let mut from = CounterKey::first(0, 0);
        while let Some((key, _)) = self.inner.store.scan::<Counter>(from.., 1)?.pop() {
            let month = Month::from_number(key.month);
            months.push(month);
            from = CounterKey::first(key.month.saturating_add(1), 0);
        }
        Ok(months)
    }
}

/// Gives each mailbox as a row of [`Sheet::Mailboxes`].
pub(super) fn each_state(store: &Store, mut each: impl FnMut((Sheet, Row))) -> Result<(), StoreError> {
    let mut from: Bound<AccountId> = Bound::Unbounded;
    loop {
        let page = store.scan::<Account>((from, Bound::Unbounded), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = Bound::Excluded(*last);
        for (_, account) in &page {
            each((Sheet::Mailboxes, state_of(account)));
        }
    }
}

fn state_of(account: &Account) -> Row {
    let domain = Address::parse(&account.address).map_or(String::new(), |address| address.domain().to_string());
    // Its name on disk: whatever states there are, each has one.
    let state = serde_json::to_value(account.state).ok();
    let state = state.as_ref().and_then(|state| state.as_str()).unwrap_or_default();
    let yes = |is: bool| if is { "oui" } else { "non" };
    Row {
        dimensions: vec![domain, code_of(account.kind).to_owned(), state.to_owned(), yes(account.test).to_owned()],
        measures: vec![1, u64::from(account.red_list), u64::from(account.zero_paper), u64::from(account.restricted)],
    }
}
