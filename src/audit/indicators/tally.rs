//! What some traces add to the counters of their months.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use lru::LruCache;

use crate::mss::indicators::{Month, Sheet};
use crate::store::{AccountId, Batch, Counter, CounterKey, Expect, Store, StoreError, Version};

use super::OTHERS;
use super::known::Mailbox;

/// Between the values of a row. No value holds it: they are domains and words of ours, or [`super::count`] has looked at them.
const BETWEEN: char = '\u{1f}';

/// Where notes of a month stand, beside its sheets.
const NOTES: u8 = 0;

/// Where marks stand.
const MARKS: u8 = 255;

/// What a mailbox was used for; bits of a mark.
pub(super) mod mark {
    /// Somebody logged in.
    pub(in super::super) const CONNECTED: u64 = 1;
    /// Something was sent.
    pub(in super::super) const SENT: u64 = 2;
    /// Something was received.
    pub(in super::super) const RECEIVED: u64 = 4;
    /// Something was read.
    pub(in super::super) const READ: u64 = 8;
}

/// A note on a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// When the state of the mailboxes at its end was noted, Unix seconds.
    Snapshot,
    /// Since when it has no marks, Unix seconds.
    Anonymous,
    /// How many rows of a sheet others' words have made.
    Rows(Sheet),
}

/// What a key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Row(Sheet, Vec<String>),
    /// Of a mailbox with this domain and kind.
    Mark(String, String),
    Note(Note),
}

impl Note {
    pub(super) fn key(self, month: Month) -> CounterKey {
        let cell = match self {
            Note::Snapshot => "snapshot".to_owned(),
            Note::Anonymous => "anonymous".to_owned(),
            Note::Rows(sheet) => format!("rows {}", sheet.name()),
        };
        CounterKey { month: month.number(), sheet: NOTES, cell }
    }
}

/// The key of a row.
pub(super) fn row_key(month: Month, sheet: Sheet, values: &[&str]) -> CounterKey {
    let mut cell = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            cell.push(BETWEEN);
        }
        cell.push_str(value);
    }
    CounterKey { month: month.number(), sheet: sheet.number(), cell }
}

/// The key of a mailbox's mark.
fn mark_key(month: Month, mailbox: &Mailbox) -> CounterKey {
    let Mailbox { account: AccountId(account), domain, kind } = mailbox;
    let cell = format!("{domain}{BETWEEN}{kind}{BETWEEN}{account}");
    CounterKey { month: month.number(), sheet: MARKS, cell }
}

/// The first key of a month's marks; they are its last.
pub(super) fn first_mark(month: Month) -> CounterKey {
    CounterKey::first(month.number(), MARKS)
}

/// What a key leads to; none for one of a newer version.
pub(super) fn place(key: &CounterKey) -> Option<Place> {
    let mut values = key.cell.split(BETWEEN).map(str::to_owned);
    match key.sheet {
        NOTES => {
            let rows = |sheet: &Sheet| key.cell.strip_prefix("rows ") == Some(sheet.name());
            let note = match key.cell.as_str() {
                "snapshot" => Some(Note::Snapshot),
                "anonymous" => Some(Note::Anonymous),
                _ => Sheet::ALL.into_iter().find(rows).map(Note::Rows),
            };
            note.map(Place::Note)
        }
        MARKS => Some(Place::Mark(values.next()?, values.next()?)),
        number => {
            let sheet = Sheet::ALL.into_iter().find(|sheet| sheet.number() == number)?;
            Some(Place::Row(sheet, values.collect()))
        }
    }
}

/// What a mark says, in the order of the measures of [`Sheet::Activity`].
pub(super) fn activity(mark: u64) -> [u64; 5] {
    let has = |bit: u64| u64::from(mark & bit != 0);
    [u64::from(mark != 0), has(mark::CONNECTED), has(mark::SENT), has(mark::RECEIVED), has(mark::READ)]
}

/// Whether a month has a note: also where what is there does not read any more.
pub(super) fn is_noted(store: &Store, note: &CounterKey) -> Result<bool, StoreError> {
    Ok(Found::look(store, note)?.0 != Found::Nothing)
}

/// Sums that grow, over those that are in a store, or over none.
///
/// ```text
/// store ─▶ cells ─▶ put_into ─▶ submitted ─▶ settle ─▶ settled ─▶ cells …
/// ```
#[derive(Debug)]
pub(super) struct Tally {
    store: Option<Store>,
    most_rows: u64,
    cells: HashMap<CounterKey, Cell>,
    submitted: Vec<(CounterKey, Cell)>,
    settled: LruCache<CounterKey, Cell>,
    most_settled: usize,
}

#[derive(Debug)]
struct Cell {
    found: Found,
    counter: Counter,
    is_changed: bool,
    /// What is counted is right only while it stays as it was found.
    is_relied_on: bool,
}

impl Cell {
    fn new(found: Found, counter: Counter) -> Self {
        Self { found, counter, is_changed: false, is_relied_on: false }
    }

    fn is_there(&self) -> bool {
        self.found != Found::Nothing || self.is_changed
    }
}

/// What the store had of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Record(Version),
    /// Something that does not read: it is begun anew. No statistic keeps traces from being written down.
    Damage,
}

impl Found {
    fn look(store: &Store, key: &CounterKey) -> Result<(Self, Counter), StoreError> {
        match store.get::<Counter>(key) {
            Ok(Some(read)) => Ok((Self::Record(read.version), read.record)),
            Ok(None) => Ok((Self::Nothing, Counter::default())),
            Err(error @ StoreError::Record { .. }) => {
                tracing::error!(
                    event = "indicators.damaged",
                    month = key.month,
                    sheet = key.sheet,
                    %error,
                    "a counter is begun anew: its month's figures have to be compared with a recount"
                );
                Ok((Self::Damage, Counter::default()))
            }
            Err(error) => Err(error),
        }
    }

    /// What must still hold when the cell is written.
    fn expectation(self) -> Option<Expect> {
        match self {
            Self::Nothing => Some(Expect::Absent),
            Self::Record(version) => Some(Expect::Version(version)),
            Self::Damage => None,
        }
    }
}

impl Tally {
    /// On top of what the store has; so many cells are remembered when they are [settled](Tally::settle).
    pub(super) fn over(store: &Store, most_rows: u64, most_settled: usize) -> Self {
        Self { store: Some(store.clone()), most_settled, ..Self::afresh(most_rows) }
    }

    /// From nothing: to count again.
    pub(super) fn afresh(most_rows: u64) -> Self {
        let settled = LruCache::unbounded();
        Self { store: None, most_rows, cells: HashMap::new(), submitted: Vec::new(), settled, most_settled: 0 }
    }

    /// Adds to a row.
    pub(super) fn add(
        &mut self,
        month: Month,
        sheet: Sheet,
        values: &[&str],
        measures: &[u64],
    ) -> Result<(), StoreError> {
        let mut key = row_key(month, sheet, values);
        if sheet.is_open() && !self.is_there(&key)? {
            key = self.key_of_new_row(month, sheet, values, key)?;
        }
        let cell = self.cell(key)?;
        let sums = &mut cell.counter.values;
        sums.resize(sums.len().max(measures.len()), 0);
        sums.iter_mut().zip(measures).for_each(|(sum, value)| *sum = sum.saturating_add(*value));
        cell.is_changed = true;
        Ok(())
    }

    /// Where a row that is not there yet is counted: in its own, while there is room for one more.
    fn key_of_new_row(
        &mut self,
        month: Month,
        sheet: Sheet,
        values: &[&str],
        own: CounterKey,
    ) -> Result<CounterKey, StoreError> {
        let most = self.most_rows;
        let rows = self.cell(Note::Rows(sheet).key(month))?;
        let so_far = rows.counter.values.first().copied().unwrap_or(0);
        if so_far < most {
            rows.counter.values = vec![so_far + 1];
            rows.is_changed = true;
            return Ok(own);
        }
        let mut values = values.to_vec();
        if let Some(last) = values.last_mut() {
            *last = OTHERS;
        }
        Ok(row_key(month, sheet, &values))
    }

    /// Notes what a mailbox was used for.
    pub(super) fn mark(&mut self, month: Month, mailbox: &Mailbox, used: u64) -> Result<(), StoreError> {
        // A late trace does not bring marks back that were made numbers.
        let anonymous = self.cell(Note::Anonymous.key(month))?;
        anonymous.is_relied_on = true;
        if anonymous.is_there() {
            return Ok(());
        }
        let cell = self.cell(mark_key(month, mailbox))?;
        let before = cell.counter.values.first().copied().unwrap_or(0);
        if before | used != before {
            cell.counter.values = vec![before | used];
            cell.is_changed = true;
        }
        Ok(())
    }

    fn is_there(&mut self, key: &CounterKey) -> Result<bool, StoreError> {
        match self.cells.get(key) {
            Some(cell) => Ok(cell.is_there()),
            None => Ok(self.cell(key.clone())?.is_there()),
        }
    }

    fn cell(&mut self, key: CounterKey) -> Result<&mut Cell, StoreError> {
        match self.cells.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let cell = match (self.settled.pop(entry.key()), &self.store) {
                    (Some(settled), _) => settled,
                    (None, Some(store)) => {
                        let (found, counter) = Found::look(store, entry.key())?;
                        Cell::new(found, counter)
                    }
                    (None, None) => Cell::new(Found::Nothing, Counter::default()),
                };
                Ok(entry.insert(cell))
            }
        }
    }

    /// Writes what has changed, each over the version that was read, or over what did not read.
    pub(super) fn put_into(&mut self, batch: &mut Batch) {
        for (key, cell) in &self.cells {
            if (cell.is_changed || cell.is_relied_on)
                && let Some(expect) = cell.found.expectation()
            {
                batch.expect::<Counter>(key, expect);
            }
            if cell.is_changed {
                batch.put(key, &cell.counter);
            }
        }
        self.submitted.extend(self.cells.drain());
    }

    /// What was put into a batch is in the store, with this version: it needs not be read again to be added to. Only for who
    /// writes so much that it pays; others drop a tally that is committed.
    pub(super) fn settle(&mut self, version: Version) {
        for (key, cell) in self.submitted.drain(..) {
            let found = if cell.is_changed { Found::Record(version) } else { cell.found };
            self.settled.put(key, Cell::new(found, cell.counter));
        }
        while self.settled.len() > self.most_settled {
            self.settled.pop_lru();
        }
    }

    /// All sums.
    pub(super) fn into_counters(self) -> impl Iterator<Item = (CounterKey, Counter)> {
        let changed = self.cells.into_iter().filter(|(_, cell)| cell.is_changed);
        changed.map(|(key, cell)| (key, cell.counter))
    }
}
