//! `caducee lifecycle`: what becomes of mailboxes with time.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, table};
use crate::serve::http::types::{
    Journal, JournalLine, JournalLines, LifecyclePlan, LifecycleRan, LifecycleRun, PlanQuery, PlannedStep,
};

/// Lines on one request's page.
const PAGE: u32 = 1000;

/// What becomes of mailboxes with time: terms of use, inactivity, closing
#[derive(Args, Debug)]
pub(super) struct LifecycleCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows what the daily job is about to do, if nobody does anything
    Plan {
        /// Look so many days ahead
        #[arg(long, value_name = "N", default_value_t = 7)]
        days: u32,
        /// As if it were this day, as 2027-03-01
        #[arg(long, value_name = "DATE", hide = true)]
        as_of: Option<String>,
    },
    /// Shows what the daily job would do now; with --apply, does it
    Run {
        /// Do it
        #[arg(long)]
        apply: bool,
        /// As if it were this day, as 2027-03-01: for trials; what it brings is real with --apply
        #[arg(long, value_name = "DATE", hide = true)]
        as_of: Option<String>,
        /// Take so many steps of a day that has not come, as `plan` shows them
        #[arg(long, value_name = "N", hide = true)]
        confirm_steps: Option<u64>,
    },
    /// Runs the job and lets it close, suspend or forget so many mailboxes, which it did not without being told
    Confirm {
        /// How many to close, as `plan` shows them
        #[arg(required_unless_present_any = ["suspensions", "oblivions", "clock"])]
        closings: Option<u64>,
        /// How many to suspend for terms that were not accepted, as `plan` shows them
        #[arg(long, value_name = "N")]
        suspensions: Option<u64>,
        /// How many to forget, who were closed long ago, as `plan` shows them
        #[arg(long, value_name = "N")]
        oblivions: Option<u64>,
        /// The server's clock is right, though it is far from the last run
        #[arg(long)]
        clock: bool,
        /// As if it were this day, as 2027-03-01
        #[arg(long, value_name = "DATE", hide = true)]
        as_of: Option<String>,
        /// Take so many steps of a day that has not come, as `plan` shows them
        #[arg(long, value_name = "N", hide = true)]
        confirm_steps: Option<u64>,
    },
    /// Shows what happened in mailboxes' lives
    Journal {
        /// Only of this mailbox
        #[arg(long, value_name = "ADDRESS")]
        mailbox: Option<String>,
        /// From this day on, as 2027-03-01
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Up to this day
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
        /// So many lines at most
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

impl LifecycleCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Plan { days, as_of } => plan(client, output, days, as_of).await?,
            Self::Run { apply: false, as_of, .. } => {
                plan(client, output, 1, as_of).await?;
                output.note("Nothing was done; --apply does it.");
            }
            Self::Run { apply: true, as_of, confirm_steps } => {
                return run(client, output, LifecycleRun { as_of, confirm_steps, ..LifecycleRun::default() }).await;
            }
            Self::Confirm { closings, suspensions, oblivions, clock, as_of, confirm_steps } => {
                let request = LifecycleRun {
                    as_of,
                    confirm_closings: closings,
                    confirm_suspensions: suspensions,
                    confirm_oblivions: oblivions,
                    confirm_clock: clock,
                    confirm_steps,
                };
                return run(client, output, request).await;
            }
            Self::Journal { mailbox, from, to, limit } => {
                let wanted = JournalLines { mailbox, from, to, ..JournalLines::default() };
                journal(client, output, wanted, limit.unwrap_or(usize::MAX)).await?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn plan(client: &mut Client, output: &Output, days: u32, as_of: Option<String>) -> Result<(), ClientError> {
    let wanted = PlanQuery { days: Some(days), as_of };
    let plan: LifecyclePlan = client.get(&(path(&["lifecycle", "plan"]) + &query(&wanted)?)).await?;
    output.result(&plan, planned);
    Ok(())
}

fn planned(plan: &LifecyclePlan) -> String {
    let row = |step: &PlannedStep| {
        [step.on.clone(), step.mailbox.clone(), step.step.clone(), step.detail.clone().unwrap_or_default()]
    };
    let mut text = match plan.steps.len() {
        0 => format!("Nothing is due from {} on, for {} day(s).", plan.as_of, plan.days),
        _ => table(["day", "mailbox", "step", "detail"], plan.steps.iter().map(row)),
    };
    let share = format!("more than {} of {} mailboxes", plan.closings_without_confirmation, plan.mailboxes);
    for (step, steps, option) in [
        ("closed", "closings", ""),
        ("suspended-for-terms", "suspensions", "--suspensions "),
        ("forgotten", "oblivions", "--oblivions "),
    ] {
        let most = most_of_a_day(&plan.steps, step);
        if most > plan.closings_without_confirmation {
            text +=
                &format!("\n{most} {steps} of one day wait for `caducee lifecycle confirm {option}{most}`: {share}.");
        }
    }
    if let Some(days) = plan.clock_astray {
        text += &format!(
            "\nThe server's clock is {days} days from the last run: none is made until `caducee lifecycle confirm --clock` \
             says that it is right."
        );
    }
    for address in &plan.cannot_be_told {
        text += &format!("\n{address} would be suspended or closed in time, but its holder cannot be told.");
    }
    text
}

/// The most steps of this name that fall on one day. The steps come by day.
fn most_of_a_day(steps: &[PlannedStep], name: &str) -> u64 {
    let days = steps.chunk_by(|one, other| one.on == other.on);
    days.map(|day| day.iter().filter(|step| step.step == name).count() as u64).max().unwrap_or_default()
}

/// Runs the job. What waits for a confirmation or failed is no full success: `cron` is to say so.
async fn run(client: &mut Client, output: &Output, request: LifecycleRun) -> Result<Exit, ClientError> {
    let ran: LifecycleRan = client.send(Method::POST, &path(&["lifecycle", "run"]), &request).await?;
    output.result(&ran, |ran| {
        let mut lines: Vec<String> = ran.taken.iter().map(|(step, count)| format!("{step}: {count}")).collect();
        let rest = [
            (ran.unconfirmed, "closings wait for a confirmation (caducee lifecycle confirm)"),
            (
                ran.unconfirmed_suspensions,
                "suspensions for terms wait for a confirmation (caducee lifecycle confirm --suspensions)",
            ),
            (ran.unconfirmed_oblivions, "oblivions wait for a confirmation (caducee lifecycle confirm --oblivions)"),
            (ran.cannot_be_told, "mailboxes whose holders cannot be told stay as they are"),
            (ran.failed, "mailboxes could not be changed; the server's log says why"),
            (ran.forgotten_lines, "old lines of the journal are gone"),
        ];
        lines.extend(rest.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
        if lines.is_empty() { "Nothing was due.".to_owned() } else { lines.join("\n") }
    });
    let unconfirmed = ran.unconfirmed + ran.unconfirmed_suspensions + ran.unconfirmed_oblivions;
    Ok(if unconfirmed + ran.failed == 0 { Exit::Done } else { Exit::Partly })
}

async fn journal(
    client: &mut Client,
    output: &Output,
    mut wanted: JournalLines,
    most: usize,
) -> Result<(), ClientError> {
    let mut all = Journal::default();
    while all.lines.len() < most {
        wanted.limit = Some(u32::try_from(most - all.lines.len()).unwrap_or(u32::MAX).min(PAGE));
        let page: Journal = client.get(&(path(&["lifecycle", "journal"]) + &query(&wanted)?)).await?;
        all.lines.extend(page.lines);
        wanted.after.clone_from(&page.next_after);
        if page.next_after.is_none() {
            break;
        }
    }
    output.result(&all, |all| match all.lines.len() {
        0 => "The journal has no such line.".to_owned(),
        _ => table(["time (UTC)", "mailbox", "step", "detail", "by", "reason"], all.lines.iter().map(row)),
    });
    Ok(())
}

fn row(line: &JournalLine) -> [String; 6] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = line.at.get(..19).unwrap_or(&line.at).replace('T', " ");
    [at, line.mailbox.clone(), line.step.clone(), text(&line.detail), line.by.clone(), text(&line.reason)]
}
