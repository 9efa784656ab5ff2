//! The operator's own domains.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::acting::Acting;
use super::errors::{of_account, sentence};
use super::extract::{Json, Path};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{Domain, DomainChange, Domains, NewDomain};
use super::{Administration, blocking};
use crate::accounts::{Account, ListFilter, Registry};
use crate::{accounts, mss, store};

/// Accounts read at a time while they are counted.
const PAGE: usize = 1000;

/// The longest description.
const DESCRIPTION: usize = 200;

/// `GET /v1/domains`.
pub(super) async fn list(State(administration): State<Arc<Administration>>) -> Result<axum::Json<Domains>, Problem> {
    let registry = administration.registry.clone();
    let (records, counts) =
        blocking(move || Ok((registry.domains().map_err(of_account)?, count_all(&registry)?))).await?;
    let shown = |record: store::Domain| {
        let count = counts.get(&record.name).copied().unwrap_or_default();
        administration.shown_domain(record, count)
    };
    Ok(axum::Json(Domains { domains: records.into_iter().map(shown).collect() }))
}

/// `GET /v1/domains/{name}`.
pub(super) async fn show(
    State(administration): State<Arc<Administration>>,
    Path(name): Path<String>,
) -> Result<axum::Json<Domain>, Problem> {
    find(&administration, &parse(&name, "name")?).await.map(axum::Json)
}

/// `POST /v1/domains`.
pub(super) async fn add(Acting(administration): Acting, Json(new): Json<NewDomain>) -> Result<Response, Problem> {
    let name = parse(&new.name, "name")?;
    check_description(&new.description)?;
    if administration.trust.load().citizens.has_domain(&name) {
        return Err(Problem::field(
            "name",
            "This domain is the citizens' (citizens.domains): nobody's mailbox is in it.",
        ));
    }
    administration.registry.add_domain(&name, &new.description).await.map_err(of_account)?;
    tracing::info!(domain = %name, "domain added");
    let location = [(header::LOCATION, format!("/v1/domains/{name}"))];
    Ok((StatusCode::CREATED, location, axum::Json(find(&administration, &name).await?)).into_response())
}

/// `PATCH /v1/domains/{name}`.
pub(super) async fn change(
    Acting(administration): Acting,
    Path(name): Path<String>,
    Json(change): Json<DomainChange>,
) -> Result<axum::Json<Domain>, Problem> {
    let name = parse(&name, "name")?;
    if let Some(description) = &change.description {
        check_description(description)?;
    }
    if !administration.registry.is_own(&name).map_err(of_account)? {
        return Err(no_such_domain());
    }
    let DomainChange { description, quota, mailbox_quota } = change;
    let change = accounts::DomainChange { description, quota, mailbox_quota };
    administration.registry.set_domain(&name, &change).await.map_err(of_account)?;
    tracing::info!(domain = %name, "domain changed");
    find(&administration, &name).await.map(axum::Json)
}

fn check_description(description: &str) -> Result<(), Problem> {
    if description.chars().count() > DESCRIPTION || description.chars().any(char::is_control) {
        return Err(Problem::field("description", format!("At most {DESCRIPTION} characters, no control characters.")));
    }
    Ok(())
}

/// `DELETE /v1/domains/{name}`.
pub(super) async fn remove(Acting(administration): Acting, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let name = parse(&name, "name")?;
    if !administration.registry.is_own(&name).map_err(of_account)? {
        return Err(no_such_domain());
    }
    administration.registry.remove_domain(&name).await.map_err(of_account)?;
    tracing::info!(domain = %name, "domain removed");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn parse(name: &str, field: &str) -> Result<mss::Domain, Problem> {
    mss::Domain::parse(name).map_err(|problem| Problem::field(field, sentence(&problem)))
}

fn no_such_domain() -> Problem {
    Problem::new(Rule::NoSuchDomain, "This is none of the operator's own domains.")
}

async fn find(administration: &Administration, name: &mss::Domain) -> Result<Domain, Problem> {
    let (registry, name) = (administration.registry.clone(), name.clone());
    let (record, count) = blocking(move || {
        let records = registry.domains().map_err(of_account)?;
        let record = records.into_iter().find(|record| record.name == name.as_str()).ok_or_else(no_such_domain)?;
        let filter = ListFilter { domain: Some(name), ..ListFilter::default() };
        Ok((record, count(&registry, &filter, |_| {})?))
    })
    .await?;
    Ok(administration.shown_domain(record, count))
}

/// How many mailboxes each domain has.
fn count_all(registry: &Registry) -> Result<HashMap<String, u64>, Problem> {
    let mut counts = HashMap::new();
    let mut add = |account: &Account| *counts.entry(account.address.domain().to_string()).or_insert(0) += 1;
    count(registry, &ListFilter::default(), &mut add)?;
    Ok(counts)
}

/// Counts the accounts that a filter lets through, a page at a time, telling each.
pub(super) fn count(registry: &Registry, filter: &ListFilter, mut each: impl FnMut(&Account)) -> Result<u64, Problem> {
    let mut total = 0;
    let mut after = None;
    loop {
        let page = registry.list(filter, after, PAGE).map_err(of_account)?;
        page.iter().for_each(&mut each);
        total += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.id),
            _ => return Ok(total),
        }
    }
}

impl Administration {
    fn shown_domain(&self, record: store::Domain, mailboxes: u64) -> Domain {
        let trust = self.trust.load();
        let name = mss::Domain::parse(&record.name).ok();
        Domain {
            listed: trust.list.as_ref().zip(name).map(|(list, name)| list.contains_domain(&name)),
            used_bytes: self.mail.held_by_domain(&record.name),
            name: record.name,
            quota: record.quota,
            mailbox_quota: record.mailbox_quota,
            description: record.description,
            created_at: Some(date(record.created_at)),
            mailboxes,
        }
    }
}
