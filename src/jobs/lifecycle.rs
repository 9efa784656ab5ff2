//! What becomes of mailboxes with time (MSSanté §5): terms of use, inactivity, closing, oblivion.
//!
//! ```text
//! the day ─▶ every mailbox's life, a page at a time ─▶ what is due (mss::lifecycle, pure) ─▶ registry: record, journal,
//!                                                              │                              traces; the holder is told
//!                          too many closings, suspensions or oblivions? they wait for the administrator
//! ```
//!
//! Runs once a day, and may run as often as anybody likes: what was done is in the records. A day that was missed shortens
//! nobody's delays, and no run is one of a day that is over: whoever is told of a closing has the time to answer that the rules
//! give. Old lines of the journal go in their time, whatever day a run is told. A clock that is far from the last run is
//! believed when an administrator says so, and not before.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use jiff::civil::Date;

use crate::accounts::{AccountError, Living, Registry, day_of};
use crate::audit::{Action, Actor, Trace};
use crate::mss::lifecycle::{Course, Standing, Step};
use crate::telemetry::Metrics;

/// The first look waits until the start is well over; the others come once a day.
const FIRST: Duration = Duration::from_secs(900);
const EVERY: Duration = Duration::from_secs(86_400);

/// Lets mailboxes live on.
#[derive(Clone, Debug)]
pub struct LifecycleJob {
    registry: Registry,
}

/// What the clock will bring in some days, if nobody does anything.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Mailboxes that are not closed.
    pub mailboxes: u64,
    /// The steps, by day, then by mailbox.
    pub steps: Vec<Planned>,
    /// Mailboxes that would be suspended or closed in time, but whose holders cannot be told.
    pub stuck: Vec<Living>,
}

/// A step that a mailbox takes.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The mailbox.
    pub mailbox: Living,
    /// The day.
    pub on: Date,
    /// What it takes.
    pub step: Step,
}

/// What the administrator has confirmed: so many of each, whatever their share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// Closings.
    pub closings: u64,
    /// Suspensions for terms that were not accepted.
    pub suspensions: u64,
    /// Mailboxes that are forgotten.
    pub oblivions: u64,
    /// The clock is right, however far from the last run it is.
    pub clock: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Steps that were taken, by name.
    pub taken: BTreeMap<&'static str, u64>,
    /// Closings that wait for the administrator.
    pub unconfirmed: u64,
    /// Suspensions for terms that do.
    pub unconfirmed_suspensions: u64,
    /// Mailboxes that are to be forgotten and wait for it.
    pub unconfirmed_oblivions: u64,
    /// Mailboxes whose holders cannot be told.
    pub stuck: u64,
    /// Mailboxes that could not be changed; the next run tries again.
    pub failed: u64,
    /// Lines of the journal whose time is over.
    pub forgotten_lines: u64,
}

impl Plan {
    /// How many of its steps close a mailbox.
    pub fn closings(&self) -> u64 {
        self.count(&Step::Closed)
    }

    /// How many suspend one for terms that were not accepted.
    pub fn suspensions(&self) -> u64 {
        self.count(&Step::SuspendedForTerms)
    }

    /// How many forget who held one.
    pub fn oblivions(&self) -> u64 {
        self.count(&Step::Forgotten)
    }

    fn count(&self, step: &Step) -> u64 {
        self.steps.iter().filter(|planned| planned.step == *step).count() as u64
    }
}

impl LifecycleJob {
    /// The job of this registry's mailboxes.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// What is due from a day on, for so many days. Reads every account: not for an async thread.
    ///
    /// # Errors
    /// What the registry says.
    pub fn plan(&self, from: Date, days: i64) -> Result<Plan, AccountError> {
        let course = self.registry.course()?;
        let (mut plan, mut after) = (Plan::default(), None);
        loop {
            let page = self.registry.lives(after)?;
            let Some(last) = page.last() else { break };
            after = Some(last.account);
            page.into_iter().for_each(|living| plan.add(living, &course, from, days));
        }
        plan.steps.sort_by_key(|planned| (planned.on, planned.mailbox.account));
        Ok(plan)
    }

    /// How many mailboxes may be closed in one run without a confirmation, how many suspended for terms, and how many forgotten: a
    /// share of them, and one in any case.
    pub fn unconfirmed(&self, mailboxes: u64) -> u64 {
        (mailboxes * self.registry.life_options().unconfirmed_percent / 100).max(1)
    }

    /// Takes what is due at a moment (Unix seconds) that is not over: of closings, suspensions and oblivions no more than need no
    /// confirmation, or have one.
    ///
    /// # Errors
    /// [`AccountError::ClockAstray`], or what the registry says where nothing could be done at all; what fails of one mailbox is
    /// counted.
    pub async fn run(&self, at: i64, confirmed: Confirmed) -> Result<Ran, AccountError> {
        let now = super::unix_now();
        if !confirmed.clock {
            self.registry.check_clock(now)?;
        }
        self.registry.believe_clock(now).await?;
        let at = at.max(now);
        let (job, today) = (self.clone(), day_of(at));
        let planning = tokio::task::spawn_blocking(move || job.plan(today, 1));
        let plan = planning.await.map_err(|_| AccountError::Busy)??;
        let mut ran = Ran { stuck: plan.stuck.len() as u64, ..self.unconfirmed_of(&plan, confirmed) };
        let may_close = ran.unconfirmed == 0;
        let course = Course {
            spares_debtors: ran.unconfirmed_suspensions > 0,
            remembers: ran.unconfirmed_oblivions > 0,
            ..self.registry.course()?
        };
        let mut concerned: Vec<_> = plan.steps.into_iter().map(|planned| planned.mailbox.account).collect();
        concerned.dedup();
        for account in concerned {
            match self.registry.live_on(account, &course, at, may_close).await {
                Ok(steps) => steps.iter().for_each(|step| *ran.taken.entry(step.name()).or_default() += 1),
                Err(error) => {
                    tracing::error!(%account, %error, "a mailbox's life does not go on");
                    ran.failed += 1;
                }
            }
        }
        let before = now.saturating_sub(self.registry.life_options().journal_keep);
        ran.forgotten_lines = self.registry.forget_journal(before).await? as u64;
        self.trace(&ran).await;
        Ok(ran)
    }

    /// What of a plan waits for the administrator.
    fn unconfirmed_of(&self, plan: &Plan, confirmed: Confirmed) -> Ran {
        let share = self.unconfirmed(plan.mailboxes);
        let waits = |due: u64, confirmed: u64| if due <= share.max(confirmed) { 0 } else { due };
        let ran = Ran {
            unconfirmed: waits(plan.closings(), confirmed.closings),
            unconfirmed_suspensions: waits(plan.suspensions(), confirmed.suspensions),
            unconfirmed_oblivions: waits(plan.oblivions(), confirmed.oblivions),
            ..Ran::default()
        };
        if ran.all_unconfirmed() > 0 {
            tracing::error!(
                event = "lifecycle.unconfirmed",
                closings = ran.unconfirmed,
                suspensions = ran.unconfirmed_suspensions,
                oblivions = ran.unconfirmed_oblivions,
                mailboxes = plan.mailboxes,
                "too many mailboxes would be closed, suspended or forgotten at once: they wait for `caducee lifecycle confirm`"
            );
        }
        ran
    }

    /// Runs once a day, until `stop`.
    pub async fn run_daily(self, metrics: Metrics, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = EVERY;
            match self.run(super::unix_now(), Confirmed::default()).await {
                Ok(ran) => {
                    metrics.lifecycle_unconfirmed.set(ran.all_unconfirmed().cast_signed());
                    metrics.lifecycle_stuck.set(ran.stuck.cast_signed());
                    tracing::info!(event = "lifecycle.ran", ?ran, "mailboxes live on");
                }
                Err(error @ AccountError::ClockAstray(_)) => {
                    tracing::error!(event = "lifecycle.clock", %error, "no mailbox lives on: `caducee lifecycle plan`");
                }
                Err(error) => tracing::error!(event = "lifecycle.failed", %error, "mailboxes live on tomorrow only"),
            }
        }
    }

    async fn trace(&self, ran: &Ran) {
        let mut figures: Vec<String> = ran.taken.iter().map(|(step, count)| format!("{step} {count}")).collect();
        let rest = [
            ("unconfirmed", ran.unconfirmed),
            ("unconfirmed-suspensions", ran.unconfirmed_suspensions),
            ("unconfirmed-oblivions", ran.unconfirmed_oblivions),
            ("stuck", ran.stuck),
            ("failed", ran.failed),
        ];
        figures.extend(rest.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what} {count}")));
        let result = if ran.failed == 0 { "done" } else { "failed for some" };
        let action = Action::JobRan { job: "lifecycle".into(), result: result.into(), detail: figures.join(", ") };
        let trace = Trace { actor: Actor::server(), ..Trace::of(action) };
        if let Err(error) = self.registry.room().traces().write([trace]).await {
            tracing::error!(%error, "the run of the life cycle is not traced");
        }
    }
}

impl Ran {
    /// Steps of whatever kind that wait for the administrator.
    fn all_unconfirmed(&self) -> u64 {
        self.unconfirmed + self.unconfirmed_suspensions + self.unconfirmed_oblivions
    }
}

impl Plan {
    fn add(&mut self, mailbox: Living, course: &Course, from: Date, days: i64) {
        let life = &mailbox.life;
        self.mailboxes += u64::from(!matches!(life.standing, Standing::Closed(_) | Standing::Forgotten));
        if life.is_stuck(course, from) {
            self.stuck.push(mailbox.clone());
        }
        let steps = life.foresee(course, from, days).into_iter();
        self.steps.extend(steps.map(|(on, step)| Planned { mailbox: mailbox.clone(), on, step }));
    }
}

#[cfg(test)]
mod tests;
