//! Who is in: listed, and shown out.

use std::sync::Arc;

use axum::extract::State;

use super::Administration;
use super::acting::Acting;
use super::errors::of_account;
use super::extract::{Path, Query};
use super::mailboxes::parse_address;
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{EndedSessions, Session, SessionQuery, Sessions};
use crate::accounts::{Ending, OpenSession, Registry, SessionId};
use crate::mss::Right;
use crate::store::AccountId;

/// `GET /v1/sessions`.
pub(super) async fn list(
    State(administration): State<Arc<Administration>>,
    Query(query): Query<SessionQuery>,
) -> Result<axum::Json<Sessions>, Problem> {
    let registry = &administration.registry;
    let wanted = Wanted::of(query, registry)?;
    let mut sessions = registry.sessions().list();
    sessions.retain(|session| wanted.has(session));
    Ok(axum::Json(Sessions { sessions: sessions.iter().map(|session| shown(session)).collect() }))
}

/// `DELETE /v1/sessions/{id}`.
pub(super) async fn end_one(
    Acting(administration): Acting,
    Path(id): Path<u64>,
) -> Result<axum::Json<EndedSessions>, Problem> {
    let is_it = |session: &OpenSession| session.id == SessionId(id);
    match administration.registry.end_sessions(is_it, Ending::Administrator).await.map_err(of_account)? {
        0 => Err(Problem::new(Rule::NoSuchSession, "No session has this number, or it is over.")),
        ended => Ok(axum::Json(EndedSessions { ended: ended as u64 })),
    }
}

/// `DELETE /v1/sessions`.
pub(super) async fn end_many(
    Acting(administration): Acting,
    Query(query): Query<SessionQuery>,
) -> Result<axum::Json<EndedSessions>, Problem> {
    let registry = &administration.registry;
    let wanted = Wanted::of(query, registry)?;
    if wanted.mailbox.is_none() && wanted.person.is_none() {
        return Err(Problem::field("?", "Name a mailbox or a person: nobody ends all sessions by a slip."));
    }
    let ended =
        registry.end_sessions(|session| wanted.has(session), Ending::Administrator).await.map_err(of_account)?;
    Ok(axum::Json(EndedSessions { ended: ended as u64 }))
}

/// Which sessions are meant.
struct Wanted {
    mailbox: Option<AccountId>,
    person: Option<String>,
}

impl Wanted {
    fn of(query: SessionQuery, registry: &Registry) -> Result<Wanted, Problem> {
        let mailbox = query.mailbox.as_deref().map(|address| {
            let address = parse_address(address).map_err(|problem| problem.at("?mailbox"))?;
            let account = registry.by_address(&address).map_err(of_account)?;
            let account = account.ok_or_else(|| Problem::new(Rule::NoSuchMailbox, "No mailbox has this address."))?;
            Ok::<_, Problem>(account.id)
        });
        Ok(Wanted { mailbox: mailbox.transpose()?, person: query.person })
    }

    fn has(&self, session: &OpenSession) -> bool {
        let login = &session.login;
        self.mailbox.is_none_or(|mailbox| mailbox == login.account)
            && self.person.as_ref().is_none_or(|person| login.person.as_ref() == Some(person))
    }
}

fn shown(session: &OpenSession) -> Session {
    let login = &session.login;
    Session {
        id: session.id.0,
        mailbox: login.address.to_string(),
        person: login.person.clone(),
        rights: login.rights.iter().map(Right::name).map(str::to_owned).collect(),
        means: login.means.name().to_owned(),
        door: session.door.to_owned(),
        peer: session.peer.to_string(),
        began_at: date(session.began_at),
        last_command_at: date(session.heard_at()),
    }
}
