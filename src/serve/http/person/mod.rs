//! A person's data: told (GDPR article 15), and erased as far as it may be (article 17).

mod page;
mod shown;
mod texts;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Json, Path};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{Erasure, ErasureLine, ErasureOrder, Ground, MailboxTraces, Person, PersonTraces};
use super::{Administration, blocking};
use crate::accounts::person::{Erasable, Held, HeldMeans, Stays};
use crate::audit::{Action, Trace, TraceQuery, Traces, TracesError};
use crate::store::AccountId;
use shown::{acceptance, access, addresses, elsewhere, event, mailbox, shown_session, structure};
use texts::Times;

/// The longest national id: `8` and an RPPS have 12; employers give longer ones.
const LONGEST_ID: usize = 64;

/// Traces that are counted; beyond, there are more.
const MOST_TRACES: usize = 10_000;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/persons/{person}", get(show))
        .route("/v1/persons/{person}/page", get(show_page))
        .route("/v1/persons/{person}/erase", post(erase))
}

/// `GET /v1/persons/{person}`.
async fn show(Acting(administration): Acting, Path(person): Path<String>) -> Result<axum::Json<Person>, Problem> {
    administration.told(&person).await.map(axum::Json)
}

/// `GET /v1/persons/{person}/page`: the same, to read.
async fn show_page(Acting(administration): Acting, Path(person): Path<String>) -> Result<Response, Problem> {
    let person = administration.told(&person).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Html(page::page(&person))).into_response())
}

/// `POST /v1/persons/{person}/erase`.
async fn erase(
    Acting(administration): Acting,
    Path(person): Path<String>,
    Json(order): Json<Option<ErasureOrder>>,
) -> Result<axum::Json<Erasure>, Problem> {
    let really = order.unwrap_or_default().really;
    let (held, traces) = administration.held_about(&person).await?;
    let erasable = held.erasable();
    // Told from what was there: afterwards it is gone.
    let erased = erasable.iter().map(|what| goes(&held, what)).collect();
    administration.note_access(if really { "person-erased" } else { "person-told" }, &person).await?;
    if really {
        for what in &erasable {
            administration.registry.erase_of_person(what).await.map_err(of_account)?;
        }
        tracing::info!(event = "person.erased", erased = erasable.len(), "a person's data were erased");
    }
    let times = administration.times();
    let staying = held.stays(administration.registry.life_options().delays.kept);
    let mut kept: Vec<ErasureLine> = staying.iter().map(|what| stays(&held, what, &times)).collect();
    if held.is_in_the_journal() {
        kept.push(line(texts::JOURNAL, None, &times.fill(texts::JOURNAL_WHY), None));
    }
    if traces.count > 0 {
        kept.push(line(texts::TRACES, None, &times.fill(texts::TRACES_WHY), None));
    }
    Ok(axum::Json(Erasure { person, done: really, erased, kept }))
}

impl Administration {
    /// All that is held; refused where that is nothing.
    async fn held_about(&self, person: &str) -> Result<(Held, PersonTraces), Problem> {
        if person.is_empty() || person.len() > LONGEST_ID || !person.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Problem::field("person", "Expected a national id, as 899700000001."));
        }
        let (registry, traces, person) = (self.registry.clone(), self.traces.clone(), person.to_owned());
        blocking(move || {
            let held = registry.held_about(&person).map_err(of_account)?;
            let unread = |error| Problem::new(Rule::Unavailable, "The traces cannot be read now.").because(error);
            let traces = traces_of(&traces, &person, &held).map_err(unread)?;
            if held.is_empty() && traces.count == 0 {
                if let Some(first) = traces.unreadable.first() {
                    let detail = format!("Nothing is found of this person, but not all could be read: {first}");
                    return Err(Problem::new(Rule::TracesUnreadable, detail));
                }
                return Err(Problem::new(Rule::NoSuchPerson, "Nothing is held about a person of this national id."));
            }
            Ok((held, traces))
        })
        .await
    }

    /// Traces who looked at a person's data, or erased them: before they see it.
    async fn note_access(&self, what: &str, person: &str) -> Result<(), Problem> {
        let action = Action::Administered { what: what.into(), fields: Vec::new(), about: Some(person.into()) };
        let trace = self.registry.asker().trace(None, action);
        let written = self.mail.traces().write([trace]).await;
        written.map(drop).map_err(|error| of_account(error.into()))
    }

    /// How long things are kept here, in words.
    fn times(&self) -> Times {
        let life = self.registry.life_options();
        Times::new(life.delays.kept, life.journal_keep, &self.process.keeping())
    }

    async fn told(&self, person: &str) -> Result<Person, Problem> {
        let (held, traces) = self.held_about(person).await?;
        self.note_access("person-told", person).await?;
        let times = self.times();
        let ground =
            |[data, why, until]: [&str; 3]| Ground { data: data.into(), why: why.into(), until: times.fill(until) };
        Ok(Person {
            person: person.to_owned(),
            operator: self.process.name(),
            made_at: date(jiff::Timestamp::now().as_second()),
            mailboxes: held.mailboxes.iter().map(|held| mailbox(held, person)).collect(),
            responsible_for: held.responsible_for.iter().map(structure).collect(),
            accepted: held.accepted.iter().map(acceptance).collect(),
            forwarding: addresses(&held.forwarding),
            directory: addresses(&held.directory),
            acts: held.acts.iter().map(|line| event(line, person)).collect(),
            access: held.grants.iter().map(access).collect(),
            means: held.means.iter().map(elsewhere).collect(),
            sessions: held.sessions.iter().map(|session| shown_session(session)).collect(),
            traces,
            grounds: texts::GROUNDS.into_iter().map(ground).collect(),
        })
    }
}

/// How many traces tell of a person, and of when; and how many of their mailboxes.
fn traces_of(traces: &Traces, person: &str, held: &Held) -> Result<PersonTraces, TracesError> {
    let newest = TraceQuery { person: Some(person.to_owned()), ..TraceQuery::default() };
    let oldest = TraceQuery { oldest_first: true, ..newest.clone() };
    let found = traces.search(&newest, MOST_TRACES)?;
    let first = traces.search(&oldest, 1)?;
    let at = |trace: Option<&Trace>| trace.map(|trace| date(i64::try_from(trace.at / 1_000_000).unwrap_or(i64::MAX)));
    let (mut mailboxes, mut unreadable) = (Vec::new(), found.unreadable);
    for held in &held.mailboxes {
        let mailbox = held.account.data.address.clone();
        let query = TraceQuery { mailbox: Some(mailbox.clone()), ..TraceQuery::default() };
        let found = traces.search(&query, MOST_TRACES)?;
        unreadable.extend(found.unreadable);
        mailboxes.push(MailboxTraces { mailbox, count: found.traces.len() as u64, more: found.more });
    }
    unreadable.sort_unstable();
    unreadable.dedup();
    Ok(PersonTraces {
        count: found.traces.len() as u64,
        more: found.more,
        first: at(first.traces.first()),
        last: at(found.traces.first()),
        mailboxes,
        unreadable,
    })
}

// ---- what goes and what stays ----

fn goes(held: &Held, what: &Erasable) -> ErasureLine {
    match what {
        Erasable::Grant(account, _) => line(texts::GRANT, address(held, *account), "", None),
        Erasable::Means(key) => {
            let is_it = |means: &&HeldMeans| means.account.id == key.account && means.number == key.number;
            let label = held.means.iter().find(is_it).map_or("", |means| means.credential.label.as_str());
            line(&format!("{} « {label} »", texts::MEANS), address(held, key.account), "", None)
        }
        Erasable::Details(account) => line(texts::DETAILS, address(held, *account), "", None),
    }
}

fn stays(held: &Held, what: &Stays, times: &Times) -> ErasureLine {
    match what {
        Stays::Living(account) => line(texts::LIVING, address(held, *account), texts::LIVING_WHY, None),
        Stays::Identification(account, until) => {
            let until = Some(date(*until));
            line(texts::IDENTIFICATION, address(held, *account), &times.fill(texts::IDENTIFICATION_WHY), until)
        }
        Stays::Responsible(account) => line(texts::RESPONSIBLE, address(held, *account), texts::RESPONSIBLE_WHY, None),
    }
}

fn line(what: &str, mailbox: Option<String>, why: &str, until: Option<String>) -> ErasureLine {
    ErasureLine { what: what.to_owned(), mailbox, why: why.to_owned(), until }
}

/// The address of one of the mailboxes that are named.
fn address(held: &Held, id: AccountId) -> Option<String> {
    let mailboxes = held.mailboxes.iter().map(|held| &held.account);
    let grants = held.grants.iter().map(|held| &held.account);
    let means = held.means.iter().map(|held| &held.account);
    let structures = held.responsible_for.iter().map(|held| &held.account);
    let mut all = mailboxes.chain(structures).chain(grants).chain(means);
    all.find(|account| account.id == id).map(|account| account.address.to_string())
}
