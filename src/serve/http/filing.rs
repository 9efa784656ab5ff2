//! Taking messages in: one a request, or a run of them. Bodies flow into the log as they come; nothing is held whole.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::acting::Acting;
use super::errors::{of_mail, sentence};
use super::extract::{Path, Pieces, Query, expect_media_type};
use super::frames::Frames;
use super::line_ends::LineEnds;
use super::message_flags;
use super::problem::{Problem, Rule};
use super::types::{BATCH_TYPE, BatchEntry, BatchResult, BatchResults, FileQuery, Filed, MESSAGE_TYPE};
use crate::audit::Asker;
use crate::mail::{
    Appended, FolderName, INBOX, Incoming, MailError, MailRoom, Mailbox, MessageFlags, NewMessage, ReceivedMessage,
};
use crate::mss::text::hex;

/// Messages that are filed in one commit …
const GROUP_MESSAGES: usize = 200;

/// … or bytes, whichever comes first.
const GROUP_BYTES: u64 = 16 << 20;

/// The most that one request may bring.
const RUN_MESSAGES: usize = 10_000;

/// `POST /v1/mailboxes/{address}/messages`: one message, its bytes as the body.
pub(super) async fn file_one(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Query(query): Query<FileQuery>,
    request: Request,
) -> Result<Response, Problem> {
    expect_media_type(&request, MESSAGE_TYPE)?;
    let mailbox = administration.open(&address)?;
    let flags = query.flags.as_deref().unwrap_or_default();
    let place = Place::of(query.folder.as_deref(), flags.split_ascii_whitespace(), query.date.as_deref())?;
    let limit = administration.message_limit();
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(too_large(limit));
    }
    let message = receive_all(&administration.mail, request.into_body(), limit).await?;
    prepare_folder(&mailbox, &place.folder).await?;
    let receipt = Receipt::of(&message);
    let new = NewMessage { message, flags: place.flags, internal_date: place.date };
    let appended =
        mailbox.append(place.folder.as_str(), new, administration.registry.asker()).await.map_err(of_mail)?;
    Ok((StatusCode::CREATED, axum::Json(receipt.filed(&appended))).into_response())
}

/// `POST /v1/mailboxes/{address}/messages/batch`: a run of messages, filed in their order in few commits.
///
/// A message that cannot be taken costs itself alone. If the run itself is broken (a line that is no JSON, an early end),
/// the messages of the group at hand are not filed, those of groups before it are; listing the folder tells.
pub(super) async fn file_run(
    Acting(administration): Acting,
    Path(address): Path<String>,
    request: Request,
) -> Result<axum::Json<BatchResults>, Problem> {
    expect_media_type(&request, BATCH_TYPE)?;
    let mailbox = administration.open(&address)?;
    let mut frames = Frames::of(Pieces::of(request.into_body()));
    let asker = Arc::clone(administration.registry.asker());
    let mut run = RunningBatch { asker, mailbox: &mailbox, results: Vec::new(), group: Vec::new(), group_bytes: 0 };
    let limit = administration.message_limit();
    while let Some(entry) = frames.entry::<BatchEntry>().await? {
        if run.results.len() + run.group.len() >= RUN_MESSAGES {
            return Err(Problem::new(Rule::BodyTooLarge, format!("At most {RUN_MESSAGES} messages in one request.")));
        }
        match Place::of(entry.folder.as_deref(), entry.flags.iter().map(String::as_str), entry.date.as_deref()) {
            Ok(place) if entry.size <= limit => {
                let received = receive_frame(&administration.mail, &mut frames, entry.size, limit).await?;
                run.add(place, received).await?;
            }
            refused => {
                frames.skip(entry.size).await?;
                let problem = refused.err().unwrap_or_else(|| too_large(limit));
                run.refuse(problem).await?;
            }
        }
    }
    run.file_group().await?;
    Ok(axum::Json(BatchResults { results: run.results }))
}

/// Where a message goes, and with what.
struct Place {
    folder: FolderName,
    flags: MessageFlags,
    date: i64,
}

impl Place {
    fn of<'a>(
        folder: Option<&str>,
        flags: impl IntoIterator<Item = &'a str>,
        date: Option<&str>,
    ) -> Result<Self, Problem> {
        Ok(Self {
            folder: folder_name(folder)?,
            flags: message_flags::parse(flags, "flags")?,
            date: match date {
                Some(date) => message_flags::parse_date(date, "date")?,
                None => jiff::Timestamp::now().as_second(),
            },
        })
    }
}

/// A folder's name out of a request.
pub(super) fn folder_name(name: Option<&str>) -> Result<FolderName, Problem> {
    FolderName::parse(name.unwrap_or(INBOX))
        .map_err(|problem| Problem::new(Rule::BadFolderName, sentence(&problem)).at("folder"))
}

/// What is told of a message once it is filed.
struct Receipt {
    size: u64,
    sha256: String,
}

impl Receipt {
    fn of(message: &ReceivedMessage) -> Self {
        Self { size: message.size(), sha256: hex(&message.sha256) }
    }

    fn filed(self, appended: &Appended) -> Filed {
        Filed { uid_validity: appended.uid_validity, uid: appended.uid, size: self.size, sha256: self.sha256 }
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::new(Rule::MessageTooLarge, format!("A message may have {limit} bytes, lines ending in CRLF."))
}

/// Takes one message in: line ends made CRLF, NUL refused, the size bounded.
struct Intake {
    incoming: Incoming,
    line_ends: LineEnds,
    limit: u64,
}

impl Intake {
    fn new(room: &MailRoom, limit: u64) -> Self {
        Self { incoming: room.receive(), line_ends: LineEnds::default(), limit }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Problem> {
        // RFC 3501 §9: no NUL in a literal; RFC 5321 §4.5.2 has none either.
        if memchr::memchr(0, piece).is_some() {
            return Err(Problem::new(Rule::BadMessage, "The message holds a NUL byte."));
        }
        let piece = self.line_ends.piece(piece);
        if self.incoming.size() + piece.len() as u64 > self.limit {
            return Err(too_large(self.limit));
        }
        self.incoming.write(&piece).await.map_err(of_mail)
    }

    async fn finish(self) -> Result<ReceivedMessage, Problem> {
        if self.incoming.size() == 0 {
            return Err(Problem::new(Rule::BadMessage, "The message is empty."));
        }
        self.incoming.finish().await.map_err(of_mail)
    }
}

async fn receive_all(room: &MailRoom, body: Body, limit: u64) -> Result<ReceivedMessage, Problem> {
    let mut intake = Intake::new(room, limit);
    let mut pieces = Pieces::of(body);
    while let Some(piece) = pieces.next().await? {
        intake.write(&piece).await?;
    }
    intake.finish().await
}

/// Receives a run's next message. The outer error breaks the run, the inner one costs the message; its bytes are read
/// to their end in either case.
async fn receive_frame(
    room: &MailRoom,
    frames: &mut Frames,
    size: u64,
    limit: u64,
) -> Result<Result<ReceivedMessage, Problem>, Problem> {
    let mut intake = Intake::new(room, limit);
    let mut left = size;
    while left > 0 {
        let piece = frames.piece(left).await?;
        left -= piece.len() as u64;
        if let Err(problem) = intake.write(&piece).await {
            frames.skip(left).await?;
            return Ok(Err(problem));
        }
    }
    Ok(intake.finish().await)
}

/// A message waiting for its group's commit, or refused before it.
type Waiting = Result<(Place, ReceivedMessage), Problem>;

/// A run on its way in.
struct RunningBatch<'a> {
    /// Who files it.
    asker: Arc<Asker>,
    mailbox: &'a Arc<Mailbox>,
    results: Vec<BatchResult>,
    group: Vec<Waiting>,
    group_bytes: u64,
}

impl RunningBatch<'_> {
    async fn add(&mut self, place: Place, received: Result<ReceivedMessage, Problem>) -> Result<(), Problem> {
        match received {
            Ok(message) => {
                self.group_bytes += message.size();
                self.group.push(Ok((place, message)));
                self.file_full_group().await
            }
            Err(problem) => self.refuse(problem).await,
        }
    }

    async fn refuse(&mut self, problem: Problem) -> Result<(), Problem> {
        self.group.push(Err(problem));
        self.file_full_group().await
    }

    async fn file_full_group(&mut self) -> Result<(), Problem> {
        let full = self.group.len() >= GROUP_MESSAGES || self.group_bytes >= GROUP_BYTES;
        if full { self.file_group().await } else { Ok(()) }
    }

    /// Files the group in one commit. What keeps the whole group out ends the run.
    async fn file_group(&mut self) -> Result<(), Problem> {
        self.group_bytes = 0;
        let mut messages = Vec::with_capacity(self.group.len());
        let mut fates: Vec<Result<Receipt, Problem>> = Vec::with_capacity(self.group.len());
        for waiting in self.group.drain(..) {
            fates.push(waiting.map(|(place, message)| {
                let receipt = Receipt::of(&message);
                messages.push((place.folder, NewMessage { message, flags: place.flags, internal_date: place.date }));
                receipt
            }));
        }
        let mut folders: Vec<&FolderName> = messages.iter().map(|(folder, _)| folder).collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            prepare_folder(self.mailbox, folder).await?;
        }
        let mut appended = self.mailbox.append_all(messages, &self.asker).await.map_err(of_mail)?.into_iter();
        self.results.extend(fates.into_iter().map(|fate| {
            let outcome = fate.and_then(|receipt| match appended.next() {
                Some(Ok(appended)) => Ok(receipt.filed(&appended)),
                Some(Err(problem)) => Err(of_mail(problem)),
                None => Err(Problem::new(Rule::Internal, "The server failed.").because("a result is missing")),
            });
            match outcome {
                Ok(filed) => BatchResult::Filed(filed),
                Err(problem) => BatchResult::Refused(problem.body("")),
            }
        }));
        Ok(())
    }
}

/// Makes a folder that is not there, subscribed, so that clients show it.
async fn prepare_folder(mailbox: &Arc<Mailbox>, folder: &FolderName) -> Result<(), Problem> {
    match mailbox.status(folder.as_str()) {
        Ok(_) => return Ok(()),
        Err(MailError::NoFolder | MailError::NotSelectable) => {}
        Err(problem) => return Err(of_mail(problem)),
    }
    match mailbox.create(folder.as_str()).await {
        // Someone else was quicker.
        Ok(_) | Err(MailError::FolderExists) => {}
        Err(problem) => return Err(of_mail(problem)),
    }
    mailbox.subscribe(folder.as_str()).await.map_err(of_mail)
}
