//! The figures of a month.

use std::collections::BTreeMap;

use crate::mss::indicators::{Month, Row, Sheet};
use crate::store::{Counter, CounterKey, Store, StoreError};

use super::OTHERS;
use super::count::readable;
use super::tally::{Note, Place, activity, place};

/// Counters read at a time.
const PAGE: usize = 2_000;

/// Rows of a sheet: measures by dimensions.
pub(super) type Rows = BTreeMap<Vec<String>, Vec<u64>>;

/// What was counted in a month, sheet by sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which month.
    pub month: Month,
    /// When the state of the mailboxes at its end was noted, Unix seconds; none: it was not yet.
    pub snapshot_at: Option<u64>,
    /// Since when it does not say any more which mailboxes were used, Unix seconds.
    pub anonymous_since: Option<u64>,
    sheets: BTreeMap<Sheet, Rows>,
}

impl Counted {
    pub(super) fn new(month: Month) -> Self {
        Self { month, snapshot_at: None, anonymous_since: None, sheets: BTreeMap::new() }
    }

    /// What a store has of a month.
    pub(super) fn read(store: &Store, month: Month) -> Result<Self, StoreError> {
        let mut counted = Self::new(month);
        let mut from = CounterKey::first(month.number(), 0);
        let end = CounterKey::first(month.next().number(), 0);
        loop {
            let page = store.scan::<Counter>(from..end.clone(), PAGE)?;
            let last = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| key.clone());
            page.into_iter().for_each(|(key, counter)| counted.take(&key, &counter.record));
            match last {
                // No key lies between a key and the same with the least character behind it.
                Some(key) => from = CounterKey { cell: key.cell + "\0", ..key },
                None => return Ok(counted),
            }
        }
    }

    /// Takes a counter in: a mark becomes part of its domain's and kind's numbers.
    pub(super) fn take(&mut self, key: &CounterKey, counter: &Counter) {
        let first = counter.values.first().copied();
        match place(key) {
            Some(Place::Row(sheet, mut dimensions)) => {
                // An older version counted by some values that may be somebody's number.
                if let (Sheet::Software | Sheet::Documents, [_, value]) = (sheet, dimensions.as_mut_slice())
                    && value != OTHERS
                {
                    *value = readable(value).to_owned();
                }
                self.add((sheet, Row { dimensions, measures: counter.values.clone() }));
            }
            Some(Place::Mark(domain, kind)) => {
                let measures = activity(first.unwrap_or(0)).to_vec();
                self.add((Sheet::Activity, Row { dimensions: vec![domain, kind], measures }));
            }
            Some(Place::Note(Note::Snapshot)) => self.snapshot_at = first,
            Some(Place::Note(Note::Anonymous)) => self.anonymous_since = first,
            Some(Place::Note(Note::Rows(_))) | None => {}
        }
    }

    pub(super) fn add(&mut self, (sheet, row): (Sheet, Row)) {
        let sums = self.sheets.entry(sheet).or_default().entry(row.dimensions).or_default();
        sums.resize(sums.len().max(row.measures.len()), 0);
        sums.iter_mut().zip(row.measures).for_each(|(sum, value)| *sum = sum.saturating_add(value));
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.sheets.is_empty()
    }

    /// A sheet's rows, in the order of their dimensions.
    pub fn rows(&self, sheet: Sheet) -> Vec<Row> {
        let rows = self.sheets.get(&sheet).into_iter().flatten();
        rows.map(|(dimensions, measures)| Row { dimensions: dimensions.clone(), measures: measures.clone() }).collect()
    }

    pub(super) fn sheet(&self, sheet: Sheet) -> &Rows {
        static NONE: Rows = Rows::new();
        self.sheets.get(&sheet).unwrap_or(&NONE)
    }
}
