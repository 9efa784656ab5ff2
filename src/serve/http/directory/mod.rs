//! Publication in the national directory: how it stands, what waits, and what the administrator does about it.

mod lookup;
pub mod types;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::routing::{get, post};

use self::types::{
    DirectoryDifference, DirectoryImage, DirectoryMailbox, DirectoryQuery, DirectoryStatus, DirectoryTask,
    DirectoryTasks, DirectoryVerified, PendingMailbox, PendingMailboxes, PublishOrder, Queued, VerifyOrder,
};
use super::acting::asker;
use super::blocking;
use super::errors::of_account;
use super::extract::{Json, Path, Query};
use super::mailboxes::parse_address;
use super::message_flags::date;
use super::problem::{Problem, Rule};
use crate::accounts::publication::{Counts, Image, Pending, Task};
use crate::accounts::{Account, AccountError, Registry};
use crate::jobs::directory::search::Lookup;
use crate::jobs::directory::verify::{self, Difference, Extent, Found, Verified};
use crate::jobs::directory::{Activity, DirectoryHandle};
use crate::mss::Domain;
use crate::serve::Shared;
use crate::store::{AccountId, StoreError};

/// Mailboxes on a page where the request does not say, and the most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;

/// What these handlers work with.
#[derive(Clone)]
pub struct DirectoryAdministration {
    /// The job; none: it is off.
    job: Option<DirectoryHandle>,
    lookup: Lookup,
    registry: Registry,
    /// Seconds after which a mailbox that waits is an alarm.
    late: i64,
}

impl DirectoryAdministration {
    /// With what publishes, if anything does; a mailbox that waits for longer than `late` is an alarm.
    pub fn new(registry: Registry, job: Option<DirectoryHandle>, lookup: Lookup, late: Duration) -> Self {
        Self { job, lookup, registry, late: late.as_secs().cast_signed() }
    }

    /// That of the running server.
    pub fn of(shared: &Arc<Shared>) -> Self {
        let (job, lookup) = (shared.directory.clone(), shared.lookup.clone());
        Self::new(shared.registry.clone(), job, lookup, shared.config.load().directory.late)
    }

    fn job(&self) -> Result<&DirectoryHandle, Problem> {
        let off = || Problem::new(Rule::DirectoryOff, "Nothing is published: directory.url is empty.");
        self.job.as_ref().ok_or_else(off)
    }

    fn account(&self, address: &str) -> Result<Account, Problem> {
        let account = self.registry.by_address(&parse_address(address)?).map_err(of_account)?;
        account.ok_or_else(|| Problem::new(Rule::NoSuchMailbox, "No mailbox has this address."))
    }
}

/// These, working for who asks, as [`super::acting::Acting`] does: every handler that changes something takes this one.
struct ActingOnDirectory(DirectoryAdministration);

impl FromRequestParts<DirectoryAdministration> for ActingOnDirectory {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, directory: &DirectoryAdministration) -> Result<Self, Infallible> {
        let registry = directory.registry.acting_for(asker(parts));
        Ok(Self(DirectoryAdministration { registry, ..directory.clone() }))
    }
}

/// The endpoints under `/v1/directory`.
pub fn router(administration: DirectoryAdministration) -> Router {
    Router::new()
        .route("/v1/directory", get(status))
        .route("/v1/directory/pending", get(pending))
        .route("/v1/directory/tasks", get(tasks))
        .route("/v1/directory/mailboxes/{address}", get(mailbox))
        .route("/v1/directory/publish", post(publish))
        .route("/v1/directory/resume", post(resume))
        .route("/v1/directory/verify", post(verify))
        .route("/v1/directory/search", get(lookup::search))
        .route("/v1/directory/copy", get(lookup::copy))
        .route("/v1/directory/copy/refresh", post(lookup::refresh))
        .with_state(administration)
}

/// `GET /v1/directory`.
async fn status(State(directory): State<DirectoryAdministration>) -> Result<axum::Json<DirectoryStatus>, Problem> {
    let registry = directory.registry.clone();
    let counts = blocking(move || registry.publication_counts().map_err(of_account)).await?;
    Ok(axum::Json(directory.status(counts)))
}

impl DirectoryAdministration {
    fn status(&self, counts: Counts) -> DirectoryStatus {
        let (activity, until, words) = match self.job.as_ref().map(DirectoryHandle::activity) {
            None => ("off", None, None),
            Some(Activity::Working) => ("working", None, None),
            Some(Activity::Away { until, words }) => ("away", Some(date(until)), Some(words)),
            Some(Activity::Halted { until, words }) => ("halted", Some(date(until)), Some(words)),
        };
        let now = jiff::Timestamp::now().as_second();
        let is_late = counts.oldest.is_some_and(|since| now.saturating_sub(since) >= self.late);
        let alarms = [("refused", activity == "halted"), ("late", is_late), ("tasks", counts.tasks > 0)];
        DirectoryStatus {
            activity: activity.to_owned(),
            until,
            words,
            published: counts.published,
            waiting: counts.waiting,
            tasks: counts.tasks,
            oldest_at: counts.oldest.map(date),
            alarms: alarms.into_iter().filter(|(_, is_raised)| *is_raised).map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

/// `GET /v1/directory/pending`.
async fn pending(
    State(directory): State<DirectoryAdministration>,
    Query(query): Query<DirectoryQuery>,
) -> Result<axum::Json<PendingMailboxes>, Problem> {
    let (after, limit) = page(&query)?;
    let registry = directory.registry;
    blocking(move || {
        let found = registry.publications_pending(after, limit).map_err(of_account)?;
        let next_after = found.last().filter(|_| found.len() >= limit).map(|last| last.account.0);
        let shown = found.into_iter().map(|pending| {
            let address = address_of(&registry, pending.account)?;
            Ok(shown_pending(address, pending))
        });
        Ok(axum::Json(PendingMailboxes { pending: shown.collect::<Result<_, Problem>>()?, next_after }))
    })
    .await
}

/// `GET /v1/directory/tasks`.
async fn tasks(
    State(directory): State<DirectoryAdministration>,
    Query(query): Query<DirectoryQuery>,
) -> Result<axum::Json<DirectoryTasks>, Problem> {
    let (after, limit) = page(&query)?;
    let registry = directory.registry;
    blocking(move || {
        let found = registry.publication_tasks(after, limit).map_err(of_account)?;
        let next_after = found.last().filter(|_| found.len() >= limit).map(|(last, _)| last.0);
        let shown = found.into_iter().map(|(id, task)| Ok(shown_task(address_of(&registry, id)?, task)));
        Ok(axum::Json(DirectoryTasks { tasks: shown.collect::<Result<_, Problem>>()?, next_after }))
    })
    .await
}

/// `GET /v1/directory/mailboxes/{address}`.
async fn mailbox(
    State(directory): State<DirectoryAdministration>,
    Path(address): Path<String>,
) -> Result<axum::Json<DirectoryMailbox>, Problem> {
    let account = directory.account(&address)?;
    let standing = directory.registry.publication_of(&account).map_err(of_account)?;
    let address = || account.data.address.clone();
    Ok(axum::Json(DirectoryMailbox {
        address: address(),
        wanted: standing.wanted.map(shown_image),
        published: standing.published.map(shown_image),
        published_at: standing.published_at.map(date),
        pending: standing.waiting.into_iter().map(|pending| shown_pending(address(), pending)).collect(),
        task: standing.task.map(|task| shown_task(address(), task)),
    }))
}

/// `POST /v1/directory/publish`.
async fn publish(
    ActingOnDirectory(directory): ActingOnDirectory,
    Json(order): Json<PublishOrder>,
) -> Result<axum::Json<Queued>, Problem> {
    directory.job()?;
    let registry = &directory.registry;
    let accounts: Vec<AccountId> = match (&order.address, order.tasks) {
        (Some(address), false) => vec![directory.account(address)?.id],
        (None, true) => {
            let reading = registry.clone();
            let tasks = blocking(move || reading.publication_tasks(None, usize::MAX).map_err(of_account)).await?;
            tasks.into_iter().map(|(id, _)| id).collect()
        }
        _ => return Err(Problem::field("address", "Say an address; or else tasks, alone.")),
    };
    for account in &accounts {
        registry.publish_again(*account).await.map_err(of_account)?;
    }
    Ok(axum::Json(Queued { queued: accounts.len() as u64 }))
}

/// `POST /v1/directory/resume`.
async fn resume(ActingOnDirectory(directory): ActingOnDirectory) -> Result<axum::Json<DirectoryStatus>, Problem> {
    let job = directory.job()?;
    directory.registry.note_deed("publication-resumed", None).await.map_err(of_account)?;
    job.resume();
    status(State(directory)).await
}

/// `POST /v1/directory/verify`.
async fn verify(
    ActingOnDirectory(directory): ActingOnDirectory,
    Json(order): Json<Option<VerifyOrder>>,
) -> Result<axum::Json<DirectoryVerified>, Problem> {
    let job = directory.job()?;
    let VerifyOrder { mend, confirm, extraction, copy } = order.unwrap_or_default();
    if confirm.is_some() && !mend {
        return Err(Problem::field("confirm", "Goes with mend."));
    }
    let (extent, found) = match (extraction, copy) {
        (None, false) => (Extent::Whole, directory.found(job).await?),
        (Some(_), true) => {
            return Err(Problem::field("copy", "Say an extraction, or else the copy of it that is held."));
        }
        (file, _) => {
            let entries = directory.extracted(file).await?;
            (Extent::Extraction, entries.into_iter().map(Found::extracted).collect())
        }
    };
    let registry = directory.registry.clone();
    let mut verified = blocking(move || verify::compare(&registry, found, extent).map_err(of_account)).await?;
    if mend {
        check_confirmed(&verified, confirm)?;
        verified.mend(&directory.registry, confirm.is_some()).await.map_err(of_account)?;
    }
    Ok(axum::Json(DirectoryVerified {
        wanted: verified.wanted,
        shown: verified.shown,
        differences: verified.differences.into_iter().map(shown_difference).collect(),
    }))
}

/// What a request confirms is all that the rules in force take away.
fn check_confirmed(verified: &Verified, confirm: Option<u64>) -> Result<(), Problem> {
    let withheld = verified.withheld();
    let Some(confirmed) = confirm.filter(|confirmed| withheld > *confirmed) else { return Ok(()) };
    let text = format!("The rules in force take {withheld} mailboxes away, not {confirmed}: look at them again.");
    Err(Problem::new(Rule::ConfirmationNeeded, text).at("confirm"))
}

impl DirectoryAdministration {
    /// What the directory itself shows of our domains.
    async fn found(&self, job: &DirectoryHandle) -> Result<Vec<Found>, Problem> {
        let names = self.registry.domains().map_err(of_account)?;
        let domains: Vec<Domain> = names.iter().filter_map(|domain| Domain::parse(&domain.name).ok()).collect();
        let unread =
            |error| Problem::new(Rule::DirectoryUnavailable, format!("The directory cannot be read: {error}."));
        verify::read(job.client(), &domains).await.map_err(unread)
    }
}

fn page(query: &DirectoryQuery) -> Result<(Option<AccountId>, usize), Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    Ok((query.after.map(AccountId), limit as usize))
}

/// The address of an account; its number, where its record is damaged or gone.
fn address_of(registry: &Registry, id: AccountId) -> Result<String, Problem> {
    match registry.by_id(id) {
        Ok(account) => Ok(account.map_or_else(|| id.to_string(), |account| account.data.address)),
        Err(AccountError::Store(StoreError::Record { .. }) | AccountError::Address(_)) => Ok(id.to_string()),
        Err(error) => Err(of_account(error)),
    }
}

fn shown_pending(address: String, pending: Pending) -> PendingMailbox {
    PendingMailbox {
        address,
        since: date(pending.at),
        cause: pending.cause,
        tries: pending.tries,
        next_try_at: (pending.due_at > 0).then(|| date(pending.due_at)),
        words: pending.words,
    }
}

fn shown_task(address: String, task: Task) -> DirectoryTask {
    let (since, refused_at) = (date(task.since), date(task.at));
    DirectoryTask { address, since, refused_at, status: task.status, words: task.words }
}

fn shown_image(image: Image) -> DirectoryImage {
    DirectoryImage {
        identifier: format!("{}|{}", image.place.system, image.place.value),
        resource: image.place.resource,
        red_list: image.red_list,
        zero_paper: image.zero_paper,
        description: image.description,
        service: image.service,
        responsible: image.responsible,
    }
}

fn shown_difference(difference: Difference) -> DirectoryDifference {
    DirectoryDifference {
        address: difference.address,
        discord: difference.discord.name().to_owned(),
        fields: difference.fields.into_iter().map(str::to_owned).collect(),
        shown_at: difference.shown_at,
        waits: difference.waits,
        withheld: difference.withheld,
        mended: difference.mended,
    }
}
