//! Looking into a mailbox for an export: its folders, its messages' facts, and a message's bytes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::channel::Channel;

use super::Administration;
use super::acting::Acting;
use super::errors::of_mail;
use super::extract::{Path, Query};
use super::filing::folder_name;
use super::given_out::GivenOut;
use super::message_flags;
use super::problem::{Problem, Rule};
use super::types::{Folder, Folders, MESSAGE_TYPE, Message, MessageQuery, Messages};
use crate::mail::{BodyReader, MailError, MessageFacts};
use crate::mss::text::hex;
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
    let mailbox = administration.open(&address)?;
    let folder = folder_name(query.folder.as_deref())?;
    let page = mailbox.facts(&folder, query.after.unwrap_or(0), limit as usize).await.map_err(of_folder)?;
    let next_after = page.messages.last().filter(|_| page.more).map(|last| last.uid);
    let shown = |facts: MessageFacts| Message {
        uid: facts.uid,
        size: facts.size,
        sha256: facts.sha256.map(|digest| hex(&digest)),
        flags: message_flags::names(facts.flags),
        date: message_flags::date(facts.internal_date),
    };
    let messages = page.messages.into_iter().map(shown).collect();
    Ok(axum::Json(Messages { uid_validity: page.uid_validity, messages, next_after }))
}

/// `GET /v1/mailboxes/{address}/messages/{uid}`: the message as it is stored.
pub(super) async fn message(
    Acting(administration): Acting,
    Path((address, uid)): Path<(String, u32)>,
    Query(query): Query<MessageQuery>,
    given: GivenOut,
) -> Result<Response, Problem> {
    let account = administration.account(&address)?;
    let mailbox = administration.mail.open(account.id).map_err(of_mail)?;
    let reader = mailbox.body(&folder_name(query.folder.as_deref())?, uid).map_err(of_folder)?;
    // Read before the answer begins: what is damaged at its start is refused as a whole.
    let first = reader.read(0..PIECE).await.map_err(of_mail)?;
    given.note(&administration, &account).await?;
    let mut response = Response::new(stream(reader.clone(), first));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MESSAGE_TYPE));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(reader.size));
    Ok(response)
}

/// A mailbox's error, where the folder was named in the query.
fn of_folder(error: MailError) -> Problem {
    let problem = of_mail(error);
    if problem.rule() == Rule::NoSuchFolder { problem.at("?folder") } else { problem }
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
