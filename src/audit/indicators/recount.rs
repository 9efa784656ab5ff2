//! Counting a month again from its traces, to compare.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::audit::{Trace, Traces};
use crate::mss::indicators::{Month, Sheet};
use crate::store::StoreError;

use super::count::{self, CLOSED, CREATED};
use super::tally::Tally;
use super::{Counted, IndicatorError, Indicators};

/// Where traces come from.
pub trait TraceSource {
    /// Gives the traces of a range of Unix microseconds, in the order of time, each once.
    ///
    /// # Errors
    /// Why they do not all come, in words; or what `each` says.
    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(&Trace) -> Result<(), StoreError>,
    ) -> Result<(), IndicatorError>;
}

impl TraceSource for Traces {
    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(&Trace) -> Result<(), StoreError>,
    ) -> Result<(), IndicatorError> {
        let mut failed = None;
        let mut take = |trace: Trace| match each(&trace) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        let unreadable = Traces::each(self, range.start, range.end, &mut take);
        let unreadable = unreadable.map_err(|error| IndicatorError::Traces(error.to_string()))?;
        match (failed, unreadable.first()) {
            (Some(error), _) => Err(error.into()),
            (None, Some(first)) => Err(IndicatorError::Traces(first.clone())),
            (None, None) => Ok(()),
        }
    }
}

/// A row whose figures are not those that the traces give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The sheet.
    pub sheet: Sheet,
    /// The row, in the order of the sheet's dimensions. Of [`Sheet::Mailboxes`], domain and kind: their states are no traces.
    pub dimensions: Vec<String>,
    /// What was counted; empty: there is no such row.
    pub counted: Vec<u64>,
    /// What the traces give.
    pub recounted: Vec<u64>,
}

/// Sheets that are all made from traces.
const TRACED: [Sheet; 10] = [
    Sheet::Movements,
    Sheet::Activity,
    Sheet::Exchanges,
    Sheet::Peers,
    Sheet::Outcomes,
    Sheet::Headers,
    Sheet::Software,
    Sheet::Documents,
    Sheet::Connections,
    Sheet::Refusals,
];

impl Indicators {
    /// Counts a month again and tells each row that differs. The mailboxes at a month's end are those at the end of the month
    /// before, more those that were created, less those that were closed. Reads all traces of the month: minutes, and not for
    /// an async thread.
    ///
    /// # Errors
    /// What the store or the traces say.
    pub fn recount(&self, month: Month, traces: &dyn TraceSource) -> Result<Vec<Difference>, IndicatorError> {
        let mut tally = Tally::afresh(self.inner.options.most_rows);
        let (known, citizens) = (&self.inner.known, &self.inner.options.citizens);
        traces.each(month.start()..month.end(), &mut |trace| count::count(trace, known, citizens, &mut tally))?;
        let mut recounted = Counted::new(month);
        tally.into_counters().for_each(|(key, counter)| recounted.take(&key, &counter));
        let counted = self.month(month)?;
        let of_sheet = |sheet| differences(sheet, &counted.sheet(sheet), &recounted.sheet(sheet));
        let mut found: Vec<Difference> = TRACED.into_iter().flat_map(of_sheet).collect();
        let before = Counted::read(&self.inner.store, month.previous())?;
        if before.snapshot_at.is_some() {
            let expected = carried_on(living(&before), &recounted);
            found.extend(differences(Sheet::Mailboxes, &living(&counted), &expected));
        }
        Ok(found)
    }
}

type Rows = BTreeMap<Vec<String>, Vec<u64>>;

fn differences(sheet: Sheet, counted: &Rows, recounted: &Rows) -> Vec<Difference> {
    let rows: std::collections::BTreeSet<_> = counted.keys().chain(recounted.keys()).collect();
    let of = |rows: &Rows, row: &Vec<String>| rows.get(row).cloned().unwrap_or_default();
    let compared = rows.into_iter().map(|row| Difference {
        sheet,
        dimensions: row.clone(),
        counted: of(counted, row),
        recounted: of(recounted, row),
    });
    compared.filter(|row| !is_same(&row.counted, &row.recounted)).collect()
}

/// What one does not have counts for nothing.
fn is_same(one: &[u64], other: &[u64]) -> bool {
    let value = |of: &[u64], at| of.get(at).copied().unwrap_or(0);
    (0..one.len().max(other.len())).all(|at| value(one, at) == value(other, at))
}

/// How many mailboxes there are that are not closed, by domain and kind.
fn living(counted: &Counted) -> Rows {
    let mut sums = Rows::new();
    for row in counted.rows(Sheet::Mailboxes) {
        if let [domain, kind, state, ..] = row.dimensions.as_slice()
            && state != CLOSED_STATE
        {
            let sum = sums.entry(vec![domain.clone(), kind.clone()]).or_insert_with(|| vec![0]);
            sum[0] += row.measures.first().copied().unwrap_or(0);
        }
    }
    sums
}

/// The state of a mailbox that is no more.
const CLOSED_STATE: &str = "closed";

fn carried_on(mut before: Rows, month: &Counted) -> Rows {
    for row in month.rows(Sheet::Movements) {
        let [domain, kind, movement] = row.dimensions.as_slice() else { continue };
        let sum = before.entry(vec![domain.clone(), kind.clone()]).or_insert_with(|| vec![0]);
        let moved = row.measures.first().copied().unwrap_or(0);
        match movement.as_str() {
            CREATED => sum[0] += moved,
            CLOSED => sum[0] = sum[0].saturating_sub(moved),
            _ => {}
        }
    }
    before
}
