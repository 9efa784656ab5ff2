//! The monthly indicators.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::blocking;
use super::errors::{of_account, sentence};
use super::extract::{Path, Query};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{IndicatorDifference, IndicatorMonths, IndicatorQuery, IndicatorSheet, Indicators};
use crate::audit::Traces;
use crate::audit::indicators::{self, Counted, Difference, IndicatorError};
use crate::mss::indicators::{Layout, Month};
use crate::store::StoreError;

/// What these handlers work with.
#[derive(Clone)]
pub struct IndicatorAdministration {
    /// The counters.
    pub indicators: indicators::Indicators,
    /// What they can be counted again from.
    pub traces: Traces,
}

/// The endpoints under `/v1/indicators`.
pub fn router(administration: IndicatorAdministration) -> Router {
    Router::new()
        .route("/v1/indicators", get(months))
        .route("/v1/indicators/{month}", get(month))
        .with_state(administration)
}

/// `GET /v1/indicators`.
async fn months(State(administration): State<IndicatorAdministration>) -> Result<axum::Json<IndicatorMonths>, Problem> {
    let months = blocking(move || administration.indicators.months().map_err(of_store)).await?;
    Ok(axum::Json(IndicatorMonths { months: months.iter().map(Month::to_string).collect() }))
}

/// `GET /v1/indicators/{month}`.
async fn month(
    State(administration): State<IndicatorAdministration>,
    Path(month): Path<String>,
    Query(query): Query<IndicatorQuery>,
) -> Result<axum::Json<Indicators>, Problem> {
    let month: Month = month.parse().map_err(|problem| Problem::field("month", sentence(&problem)))?;
    let IndicatorAdministration { indicators, traces } = administration;
    let recount = query.recount.unwrap_or(false);
    let (counted, differences, layout) = blocking(move || {
        let read = || indicators.month(month).map_err(of_store);
        let counted = read()?;
        if counted.is_empty() {
            return Err(Problem::new(Rule::NothingCounted, format!("Nothing was counted in {month}.")));
        }
        let layout = indicators.layout().clone();
        if !recount {
            return Ok((counted, None, layout));
        }
        // Counting again takes its time: what is shown beside it is as new.
        let differences = indicators.recount(month, &traces).map_err(of_recount)?;
        Ok((read()?, Some(differences), layout))
    })
    .await?;
    let differences = differences.map(|rows| rows.into_iter().map(shown_difference).collect());
    Ok(axum::Json(Indicators { differences, ..shown(&counted, &layout) }))
}

fn shown(counted: &Counted, layout: &Layout) -> Indicators {
    let month = counted.month;
    let sheets = layout.sheets().iter().map(|sheet| IndicatorSheet {
        sheet: sheet.sheet().name().to_owned(),
        file: sheet.file(month),
        columns: sheet.headings(),
        rows: sheet.rows(month, &counted.rows(sheet.sheet())),
    });
    let now = jiff::Timestamp::now().as_microsecond();
    let instant = |seconds: u64| date(i64::try_from(seconds).unwrap_or(i64::MAX));
    Indicators {
        month: month.to_string(),
        running: u64::try_from(now).is_ok_and(|now| now < month.end()),
        mailboxes_noted_at: counted.snapshot_at.map(instant),
        anonymous_since: counted.anonymous_since.map(instant),
        sheets: sheets.collect(),
        differences: None,
    }
}

fn shown_difference(row: Difference) -> IndicatorDifference {
    let Difference { sheet, dimensions, counted, recounted } = row;
    IndicatorDifference { sheet: sheet.name().to_owned(), row: dimensions, counted, recounted }
}

fn of_store(error: StoreError) -> Problem {
    of_account(error.into())
}

fn of_recount(error: IndicatorError) -> Problem {
    match error {
        IndicatorError::Store(error) => of_store(error),
        IndicatorError::Commit(error) => Problem::new(Rule::Unavailable, "The store does not answer.").because(error),
        IndicatorError::NotYet => {
            Problem::new(Rule::Unavailable, "The scribe has not written all of it down yet; try again.")
        }
        IndicatorError::Traces(_) => {
            let text = "The month's traces cannot all be read: caducee traces verify says which.";
            Problem::new(Rule::Unavailable, text).because(error)
        }
    }
}
