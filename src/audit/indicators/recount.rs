//! Counting a month again from its traces, to compare.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::audit::{Trace, Traces};
use crate::mss::indicators::{Month, Sheet};
use crate::store::StoreError;

use super::count::{self, CLOSED, CREATED};
use super::counted::Rows;
use super::tally::Tally;
use super::{Counted, IndicatorError, Indicators};

/// How often it is looked whether the scribe has written down all that was given, and how long it waits between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Where traces come from.
pub trait TraceSource {
    /// Gives the traces of a range of Unix microseconds, in the order of time, each once: all that were counted when it begins,
    /// and none that is not counted when it returns.
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
            (None, None) => settle(self),
        }
    }
}

/// Waits until what was given up to now waits no more: the commit that takes it away has counted it.
fn settle(traces: &Traces) -> Result<(), IndicatorError> {
    let last = traces.tracer().last();
    for _ in 0..TRIES {
        if traces.tracer().waiting(..=last, 1)?.is_empty() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(IndicatorError::NotYet)
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
    /// an async thread. Traffic goes on meanwhile, so a figure is right from what was counted before the reading to what is
    /// counted after it; of a month that is over both are the same.
    ///
    /// # Errors
    /// What the store or the traces say.
    pub fn recount(&self, month: Month, traces: &dyn TraceSource) -> Result<Vec<Difference>, IndicatorError> {
        let before = self.month(month)?;
        let mut tally = Tally::afresh(self.inner.options.most_rows);
        let (known, citizens) = (&self.inner.known, &self.inner.options.citizens);
        traces.each(month.start()..month.end(), &mut |trace| count::count(trace, known, citizens, &mut tally))?;
        let mut recounted = Counted::new(month);
        tally.into_counters().for_each(|(key, counter)| recounted.take(&key, &counter));
        let counted = [before, self.month(month)?];
        let of_sheet = |sheet| differences(sheet, counted.each_ref().map(|at| at.sheet(sheet)), recounted.sheet(sheet));
        let mut found: Vec<Difference> = TRACED.into_iter().flat_map(of_sheet).collect();
        let previous = Counted::read(&self.inner.store, month.previous())?;
        if previous.snapshot_at.is_some() {
            let expected = carried_on(living(&previous), &recounted);
            let living = counted.each_ref().map(living);
            found.extend(differences(Sheet::Mailboxes, living.each_ref(), &expected));
        }
        Ok(found)
    }
}

/// The rows that are not between what was counted at first and at last.
fn differences(sheet: Sheet, [first, last]: [&Rows; 2], recounted: &Rows) -> Vec<Difference> {
    let rows: BTreeSet<_> = first.keys().chain(last.keys()).chain(recounted.keys()).collect();
    let of = |rows: &Rows, row: &Vec<String>| rows.get(row).cloned().unwrap_or_default();
    let differs = |row: &&Vec<String>| !is_between([of(first, row), of(last, row)], &of(recounted, row));
    let differing = rows.into_iter().filter(differs);
    let told = |row: &Vec<String>| Difference {
        sheet,
        dimensions: row.clone(),
        counted: of(last, row),
        recounted: of(recounted, row),
    };
    differing.map(told).collect()
}

/// What one does not have counts for nothing.
fn is_between([first, last]: [Vec<u64>; 2], figures: &[u64]) -> bool {
    let value = |of: &[u64], at| of.get(at).copied().unwrap_or(0);
    let is_one = |at| {
        let (first, last) = (value(&first, at), value(&last, at));
        (first.min(last)..=first.max(last)).contains(&value(figures, at))
    };
    (0..first.len().max(last.len()).max(figures.len())).all(is_one)
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
