//! Looking into a mailbox for an export: its folders, its messages' facts, and a message's bytes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::channel::Channel;

use super::Administration;
use super::errors::of_mail;
use super::extract::{Path, Query};
use super::filing::{folder_name, hex};
use super::message_flags;
use super::problem::{Problem, Rule};
use super::types::{Folder, Folders, MESSAGE_TYPE, Message, MessageQuery, Messages};
use crate::mail::{BodyReader, Entry, MailError, Selected};
use crate::store::SpecialUse;

/// Messages on a page where the request does not say.
const PAGE: u32 = 1000;

/// The most on a page.
const LARGEST_PAGE: u32 = 5000;

/// A message is read in pieces of so many bytes.
const PIECE: u64 = 256 << 10;

/// `GET /v1/mailboxes/{address}/folders`.
pub(super) async fn folders(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
) -> Result<axum::Json<Folders>, Problem> {
    let mailbox = administration.open(&address)?;
    let mut folders = Vec::new();
    for info in mailbox.folders().map_err(of_mail)?.into_iter().filter(|info| info.selectable) {
        let status = match mailbox.status(&info.name) {
            // Deleted since the list was made.
            Err(MailError::NoFolder | MailError::NotSelectable) => continue,
            status => status.map_err(of_mail)?,
        };
        folders.push(Folder {
            name: info.name,
            special_use: info.special_use.map(|special| special_use(special).to_owned()),
            uid_validity: status.uid_validity,
            messages: u64::from(status.messages),
            unseen: u64::from(status.unseen),
            bytes: status.bytes,
        });
    }
    Ok(axum::Json(Folders { folders }))
}

/// RFC 6154 §2.
fn special_use(special: SpecialUse) -> &'static str {
    match special {
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Trash => "\\Trash",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Archive => "\\Archive",
    }
}

/// `GET /v1/mailboxes/{address}/messages`.
pub(super) async fn messages(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
    Query(query): Query<MessageQuery>,
) -> Result<axum::Json<Messages>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    let selected = select(&administration, &address, query.folder.as_deref()).await?;
    let first = query.after.unwrap_or(0).checked_add(1);
    let mut entries: Vec<Entry> = first.map_or_else(Vec::new, |first| {
        selected.iter_uids(first, u32::MAX).map(|(_, entry)| *entry).take(limit as usize + 1).collect()
    });
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let facts = selected.facts(entries.iter().map(|entry| entry.uid).collect()).await.map_err(of_mail)?;
    let mut facts = facts.into_iter().peekable();
    let mut messages = Vec::with_capacity(entries.len());
    for entry in &entries {
        // The facts stand in the same order; what is gone since is not among them.
        if let Some(facts) = facts.next_if(|facts| facts.uid == entry.uid) {
            messages.push(Message {
                uid: facts.uid,
                size: facts.size,
                sha256: facts.sha256.map(|digest| hex(&digest)),
                flags: message_flags::names(selected.flags_of(entry)),
                date: message_flags::date(facts.internal_date),
            });
        }
    }
    let next_after = entries.last().filter(|_| more).map(|entry| entry.uid);
    Ok(axum::Json(Messages { uid_validity: selected.uid_validity(), messages, next_after }))
}

/// `GET /v1/mailboxes/{address}/messages/{uid}`: the message as it is stored.
pub(super) async fn message(
    State(administration): State<Arc<Administration>>,
    Path((address, uid)): Path<(String, u32)>,
    Query(query): Query<MessageQuery>,
) -> Result<Response, Problem> {
    let selected = select(&administration, &address, query.folder.as_deref()).await?;
    let reader = selected.body(uid).await.map_err(of_mail)?;
    // Read before the answer begins: what is damaged at its start is refused as a whole.
    let first = reader.read(0..PIECE).await.map_err(of_mail)?;
    let mut response = Response::new(stream(reader.clone(), first));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MESSAGE_TYPE));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(reader.size));
    Ok(response)
}

async fn select(administration: &Administration, address: &str, folder: Option<&str>) -> Result<Selected, Problem> {
    let mailbox = administration.open(address)?;
    let folder = folder_name(folder)?;
    match mailbox.select(folder.as_str(), true).await {
        Err(MailError::NoFolder | MailError::NotSelectable) => {
            Err(Problem::new(Rule::NoSuchFolder, "There is no such folder.").at("?folder"))
        }
        selected => selected.map_err(of_mail),
    }
}

/// A message's bytes, read as fast as the peer takes them. Damage further on ends the connection before the announced
/// length: the peer knows that it does not have all.
fn stream(reader: BodyReader, first: Vec<u8>) -> Body {
    let (mut sender, body) = Channel::<Bytes, MailError>::new(1);
    tokio::spawn(async move {
        let mut at = first.len() as u64;
        let mut piece = first;
        loop {
            let ended = piece.is_empty() || sender.send_data(Bytes::from(piece)).await.is_err();
            if ended || at >= reader.size {
                return;
            }
            match reader.read(at..at + PIECE).await {
                Ok(next) => {
                    at += next.len() as u64;
                    piece = next;
                }
                Err(problem) => {
                    tracing::error!(%problem, "a message cannot be read to its end");
                    sender.abort(problem);
                    return;
                }
            }
        }
    });
    Body::new(body)
}
