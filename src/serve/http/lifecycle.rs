//! Mailboxes' lives: foreseen, gone on with, read in the journal.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use jiff::civil::Date;

use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Json, Query};
use super::problem::{Problem, Rule};
use super::types::{
    Journal, JournalLine, JournalLines, LifecyclePlan, LifecycleRan, LifecycleRun, PlanQuery, PlannedStep,
};
use super::{Administration, blocking};
use crate::accounts::{AccountError, JournalQuery, day_of, midnight};
use crate::jobs::lifecycle::{Confirmed, LifecycleJob, Plan, Planned};
use crate::mail::now;
use crate::store::{AccountId, JournalKey};

/// Days that a plan looks ahead where the request does not say, and at most.
const DAYS: u32 = 7;
const MOST_DAYS: u32 = 366;

/// Lines on a page where the request does not say, and at most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;

const SECONDS_A_DAY: i64 = 86_400;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/lifecycle/plan", get(plan))
        .route("/v1/lifecycle/run", post(run))
        .route("/v1/lifecycle/journal", get(journal))
}

/// `GET /v1/lifecycle/plan`.
async fn plan(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<PlanQuery>,
) -> Result<axum::Json<LifecyclePlan>, Problem> {
    let days = query.days.unwrap_or(DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Problem::field("?days", format!("Expected 1 to {MOST_DAYS}.")));
    }
    let from = day_of(moment(query.as_of.as_deref(), "?as_of")?);
    let job = administration.lifecycle();
    let planning = job.clone();
    let plan = blocking(move || planning.plan(from, days.into()).map_err(of_account)).await?;
    Ok(axum::Json(LifecyclePlan {
        as_of: from.to_string(),
        days,
        mailboxes: plan.mailboxes,
        clock_astray: match administration.registry.check_clock(now()) {
            Err(AccountError::ClockAstray(days)) => Some(days),
            checked => checked.map(|()| None).map_err(of_account)?,
        },
        closings_without_confirmation: job.unconfirmed(plan.mailboxes),
        steps: plan.steps.iter().map(shown).collect(),
        cannot_be_told: plan.stuck.iter().map(|living| living.address.to_string()).collect(),
    }))
}

fn shown(planned: &Planned) -> PlannedStep {
    PlannedStep {
        on: planned.on.to_string(),
        mailbox: planned.mailbox.address.to_string(),
        step: planned.step.name().to_owned(),
        detail: planned.step.detail(),
    }
}

/// `POST /v1/lifecycle/run`.
async fn run(
    Acting(administration): Acting,
    Json(request): Json<Option<LifecycleRun>>,
) -> Result<axum::Json<LifecycleRan>, Problem> {
    let request = request.unwrap_or_default();
    let at = moment(request.as_of.as_deref(), "as_of")?;
    let job = administration.lifecycle();
    let today = day_of(now());
    if day_of(at) < today {
        return Err(Problem::field("as_of", "That day is over: nobody is told of a closing by a day that has passed."));
    }
    let is_ahead = day_of(at) > today;
    if is_ahead || request.confirms_steps() {
        let planning = job.clone();
        let due = blocking(move || planning.plan(day_of(at), 1).map_err(of_account)).await?;
        check_confirmed(&due, &request, is_ahead)?;
    }
    let confirmed = Confirmed {
        closings: request.confirm_closings.unwrap_or_default(),
        suspensions: request.confirm_suspensions.unwrap_or_default(),
        oblivions: request.confirm_oblivions.unwrap_or_default(),
        clock: request.confirm_clock,
    };
    if confirmed.clock {
        administration.registry.note_deed("clock-confirmed", None).await.map_err(of_account)?;
    }
    let ran = job.run(at, confirmed).await.map_err(of_account)?;
    tracing::info!(?ran, "the life cycle was run by the administrator");
    Ok(axum::Json(LifecycleRan {
        taken: ran.taken.into_iter().map(|(step, count)| (step.to_owned(), count)).collect(),
        unconfirmed: ran.unconfirmed,
        unconfirmed_suspensions: ran.unconfirmed_suspensions,
        unconfirmed_oblivions: ran.unconfirmed_oblivions,
        cannot_be_told: ran.stuck,
        failed: ran.failed,
        forgotten_lines: ran.forgotten_lines,
    }))
}

/// What the request confirms is all that is due; of a day that has not come (`is_ahead`), every step has to be confirmed: what
/// it brings is real, and a wrong year would close, forget and suspend all.
fn check_confirmed(due: &Plan, request: &LifecycleRun, is_ahead: bool) -> Result<(), Problem> {
    for (due, confirmed, done, field) in [
        (due.closings(), request.confirm_closings, "closed", "confirm_closings"),
        (due.suspensions(), request.confirm_suspensions, "suspended", "confirm_suspensions"),
        (due.oblivions(), request.confirm_oblivions, "forgotten", "confirm_oblivions"),
    ] {
        if let Some(confirmed) = confirmed.filter(|confirmed| due > *confirmed) {
            let text = format!("{due} mailboxes are to be {done}, not {confirmed}: look at the plan again.");
            return Err(Problem::new(Rule::ConfirmationNeeded, text).at(field));
        }
    }
    let steps = due.steps.len() as u64;
    if is_ahead && steps > request.confirm_steps.unwrap_or_default() {
        let text = format!("That day has not come: {steps} steps would be taken before their time. Look at its plan.");
        return Err(Problem::new(Rule::ConfirmationNeeded, text).at("confirm_steps"));
    }
    Ok(())
}

/// `GET /v1/lifecycle/journal`.
async fn journal(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<JournalLines>,
) -> Result<axum::Json<Journal>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    let account = query.mailbox.as_deref().map(|address| administration.account(address)).transpose();
    let wanted = JournalQuery {
        from: query.from.as_deref().map_or(Ok(0), |day| beginning(day, "?from"))?,
        until: query.to.as_deref().map(|day| beginning(day, "?to")).transpose()?.map(|day| day + SECONDS_A_DAY),
        account: account.map_err(|problem| problem.at("?mailbox"))?.map(|account| account.id),
        after: query.after.as_deref().map(key).transpose()?,
    };
    let registry = administration.registry.clone();
    let limit = limit as usize;
    let mut lines = blocking(move || registry.journal(&wanted, limit + 1).map_err(of_account)).await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next_after = lines.last().filter(|_| more).map(|(key, _)| format!("{}-{}", key.at, key.account));
    let shown = |(key, entry): (JournalKey, crate::store::JournalEntry)| JournalLine {
        at: instant(key.at),
        id: key.account.0,
        mailbox: entry.address,
        step: entry.step,
        detail: entry.detail,
        by: entry.by,
        reason: entry.reason,
    };
    Ok(axum::Json(Journal { lines: lines.into_iter().map(shown).collect(), next_after }))
}

impl Administration {
    fn lifecycle(&self) -> LifecycleJob {
        LifecycleJob::new(self.registry.clone())
    }
}

/// The beginning of a day that a request names, or now.
fn moment(day: Option<&str>, field: &str) -> Result<i64, Problem> {
    day.map_or_else(|| Ok(now()), |day| beginning(day, field))
}

/// The first moment of a day, in Universal Time.
pub(super) fn beginning(day: &str, field: &str) -> Result<i64, Problem> {
    let parsed: Result<Date, _> = day.parse();
    let is_sensible = |day: &Date| (2000..=2200).contains(&day.year());
    let day = parsed.ok().filter(is_sensible).ok_or_else(|| Problem::field(field, "Expected a day, as 2027-03-01."))?;
    Ok(midnight(day))
}

fn key(text: &str) -> Result<JournalKey, Problem> {
    let parts = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    let (at, account) = parts.ok_or_else(|| Problem::field("?after", "Expected what next_after said."))?;
    Ok(JournalKey { at, account: AccountId(account) })
}

/// RFC 3339, from Unix microseconds.
fn instant(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    format!("{:.6}", at.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Living;
    use crate::mss::Address;
    use crate::mss::lifecycle::{Life, Step};

    #[test]
    fn a_day_that_has_not_come_takes_no_step_that_nobody_has_confirmed() {
        let on: Date = "2037-03-01".parse().unwrap();
        let address = Address::parse("lea@aura.mssante.example").unwrap();
        let mailbox = Living { account: AccountId(1), address, life: Life::new(on, false) };
        let planned = |step| Planned { mailbox: mailbox.clone(), on, step };
        let steps = [Step::Closed, Step::Forgotten, Step::SuspendedForTerms].map(planned);
        let due = Plan { mailboxes: 3, steps: steps.into(), ..Plan::default() };
        let check = |closings, steps, is_ahead| {
            let request = LifecycleRun { confirm_closings: closings, confirm_steps: steps, ..LifecycleRun::default() };
            check_confirmed(&due, &request, is_ahead).is_ok()
        };
        assert!(check(None, None, false) && check(Some(1), None, false), "today's run is the daily one");
        assert!(!check(Some(0), None, false) && !check(Some(0), Some(3), true));
        assert!(!check(None, None, true) && !check(Some(1), None, true) && !check(None, Some(2), true));
        assert!(check(None, Some(3), true) && check(Some(1), Some(3), true));
        let suspend = |suspensions| LifecycleRun { confirm_suspensions: Some(suspensions), ..LifecycleRun::default() };
        assert!(
            check_confirmed(&due, &suspend(1), false).is_ok() && check_confirmed(&due, &suspend(0), false).is_err()
        );
        let forget = |oblivions| LifecycleRun { confirm_oblivions: Some(oblivions), ..LifecycleRun::default() };
        assert!(check_confirmed(&due, &forget(1), false).is_ok() && check_confirmed(&due, &forget(0), false).is_err());
        assert!(check_confirmed(&Plan::default(), &LifecycleRun::default(), true).is_ok(), "nothing is due");
    }
}
