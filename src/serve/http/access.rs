//! Access lists: who else may use a mailbox.

use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Json, Path, Query};
use super::mailboxes::{parse_address, shown};
use super::message_flags::{date, parse_date};
use super::problem::{Problem, Rule};
use super::types::{self, GranteeQuery, Mailbox};
use crate::accounts::{Grantee, Registry, right_of, right_record};
use crate::mss::{Right, Rights};
use crate::store::{AccessGrant, AccountId};

/// `POST /v1/mailboxes/{address}/access-list`.
pub(super) async fn grant(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(grant): Json<types::AccessGrant>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = administration.account(&address)?;
    let grant = one(grant, &administration.registry, str::to_owned)?;
    let account = administration.registry.grant(account.id, grant).await.map_err(of_account)?;
    tracing::info!(account = %account.id, "access granted");
    shown(&administration, account).await.map(axum::Json)
}

/// `DELETE /v1/mailboxes/{address}/access-list`.
pub(super) async fn ungrant(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Query(query): Query<GranteeQuery>,
) -> Result<axum::Json<Mailbox>, Problem> {
    let account = administration.account(&address)?;
    let registry = &administration.registry;
    let grantee = grantee(query.person, query.mailbox, registry, |name| format!("?{name}"))?;
    let account = registry.take_grant(account.id, &grantee).await.map_err(of_account)?;
    tracing::info!(account = %account.id, "access taken away");
    shown(&administration, account).await.map(axum::Json)
}

/// A whole access list, as a mailbox's creation or change brings it.
pub(super) fn grants(list: Vec<types::AccessGrant>, registry: &Registry) -> Result<Vec<AccessGrant>, Problem> {
    let mut grants: Vec<AccessGrant> = Vec::with_capacity(list.len());
    for (index, grant) in list.into_iter().enumerate() {
        let field = |name: &str| format!("access_list[{index}].{name}");
        let grant = one(grant, registry, field)?;
        if grants.iter().any(|other| Grantee::of(other) == Grantee::of(&grant)) {
            let name = if grant.mailbox.is_some() { "mailbox" } else { "person" };
            return Err(Problem::field(&field(name), "The same is on the list already."));
        }
        grants.push(grant);
    }
    Ok(grants)
}

fn one(grant: types::AccessGrant, registry: &Registry, field: impl Fn(&str) -> String) -> Result<AccessGrant, Problem> {
    let (person, mailbox) = match grantee(grant.person, grant.mailbox, registry, &field)? {
        Grantee::Person(person) => (person, None),
        Grantee::Mailbox(mailbox) => (String::new(), Some(mailbox)),
    };
    let rights: Result<Rights, _> = grant.rights.iter().map(|name| name.parse::<Right>()).collect();
    let rights = rights.map_err(|_| Problem::field(&field("rights"), "Expected read, write, send or manage."))?;
    let rights = if rights.is_empty() { [Right::Write].into_iter().collect() } else { rights };
    let instant = |text: Option<String>, name| text.map(|text| parse_date(&text, &field(name))).transpose();
    Ok(AccessGrant {
        since: instant(grant.since, "since")?.unwrap_or_else(|| jiff::Timestamp::now().as_second()),
        until: instant(grant.until, "until")?,
        person,
        mailbox,
        name: grant.name,
        rights: rights.iter().map(right_record).collect(),
    })
}

fn grantee(
    person: Option<String>,
    mailbox: Option<String>,
    registry: &Registry,
    field: impl Fn(&str) -> String,
) -> Result<Grantee, Problem> {
    match (person, mailbox) {
        (Some(person), None) => Ok(Grantee::Person(person)),
        (None, Some(address)) => {
            let address = parse_address(&address).map_err(|problem| problem.at(&field("mailbox")))?;
            let account = registry.by_address(&address).map_err(of_account)?;
            let none = || Problem::new(Rule::NoSuchMailbox, "No mailbox has this address.").at(&field("mailbox"));
            Ok(Grantee::Mailbox(account.ok_or_else(none)?.id))
        }
        _ => Err(Problem::field(&field("person"), "Give exactly one of person and mailbox.")),
    }
}

/// A record's grant as the API shows it; `address_of` tells a mailbox's address.
pub(super) fn shown_grant(
    grant: AccessGrant,
    address_of: impl Fn(AccountId) -> Result<Option<String>, Problem>,
) -> Result<types::AccessGrant, Problem> {
    let rights: Rights = grant.rights.iter().copied().map(right_of).collect();
    Ok(types::AccessGrant {
        mailbox: grant.mailbox.map(address_of).transpose()?.flatten(),
        person: Some(grant.person).filter(|person| !person.is_empty()),
        name: grant.name,
        rights: rights.iter().map(Right::name).map(str::to_owned).collect(),
        since: Some(date(grant.since)),
        until: grant.until.map(date),
    })
}
