//! APPEND, RFC 3501 §6.3.11: the message flows from the wire into the store in pieces.

use std::time::{SystemTime, UNIX_EPOCH};

use super::reply::{End, Outcome, Reply, Stop};
use super::session::Session;
use super::store::message_flags;
use super::updates::Expunges;
use crate::mail::{Incoming, NewMessage};
use crate::mss::Right;
use crate::wire::imap::command::AppendCommand;
use crate::wire::imap::framer::{Framed, Framing};
use crate::wire::imap::parse;
use crate::wire::imap::response::{self, Code};

/// A piece of the message, as far as it has arrived.
enum Piece {
    /// Bytes were written to the sink.
    Taken,
    /// The command is over; `clean` when nothing followed the message.
    End { clean: bool },
    /// More has to arrive.
    Wait,
}

impl Session {
    /// Answers an APPEND whose message is announced.
    pub(super) async fn append_command(&mut self, head: &Framed, size: u64, synchronising: bool) -> Result<(), Stop> {
        let command = match parse::append(head) {
            Ok(command) => command,
            Err(error) => {
                self.framer.refuse_message();
                return self.bad(error.tag.as_ref(), &Reply::from(&error.error)).await;
            }
        };
        if let Err(reply) = self.may_append(&command, size) {
            self.framer.refuse_message();
            return self.refused_append(&command, &reply).await;
        }
        if synchronising {
            response::continuation(&mut self.channel.out, "Send the message");
        }
        self.framer.accept_message();
        match self.append(&command).await {
            Ok(reply) => {
                self.updates(Expunges::Told, false)?;
                self.answer(&command.tag, &reply);
                Ok(self.channel.flush_if_full().await?)
            }
            Err(Stop::Reply(reply)) => self.refused_append(&command, &reply).await,
            Err(end) => Err(end),
        }
    }

    async fn refused_append(&mut self, command: &AppendCommand, reply: &Reply) -> Result<(), Stop> {
        if reply.status == crate::wire::imap::response::Status::Bad {
            return self.bad(Some(&command.tag), reply).await;
        }
        self.answer(&command.tag, reply);
        Ok(self.channel.flush_if_full().await?)
    }

    /// What can be refused before the message is sent.
    fn may_append(&mut self, command: &AppendCommand, size: u64) -> Result<(), Reply> {
        if self.user.is_none() {
            return Err(Reply::bad("Log in first"));
        }
        self.traceable()?;
        let most = self.services.options.max_message;
        if size > most {
            // RFC 7889 §4
            return Err(Reply::no(Some(Code::TooBig), format!("The message is larger than {most} bytes")));
        }
        if size == 0 {
            return Err(Reply::no(None, "The message is empty"));
        }
        let checked = self.place(&command.folder).and_then(|place| {
            place.needs(Right::Write)?;
            place.said_of_destination(place.mailbox.check_selectable(place.folder()?))?;
            let quota = place.said(place.mailbox.quota())?;
            match quota.limit {
                Some(limit) if quota.bytes.saturating_add(size) > limit => {
                    Err(Reply::no(Some(Code::OverQuota), "The mailbox has no room for this message").into())
                }
                _ => Ok(()),
            }
        });
        match checked {
            Ok(()) => Ok(()),
            Err(Stop::Reply(reply)) => Err(reply),
            Err(Stop::End(_) | Stop::Answered) => {
                Err(Reply::no(Some(Code::Unavailable), "The mailbox is not open any more"))
            }
        }
    }

    async fn append(&mut self, command: &AppendCommand) -> Outcome {
        let mut incoming = self.services.room.receive();
        let mut failed: Option<Stop> = None;
        let clean = loop {
            match self.piece(&mut incoming, &mut failed).await? {
                Piece::Taken => {}
                Piece::End { clean } => break clean,
                Piece::Wait => self.wait().await?,
            }
        };
        if !clean {
            return Err(Reply::bad("Unexpected text after the message").into());
        }
        if let Some(stop) = failed {
            return Err(stop);
        }
        let message = incoming.finish().await?;
        let size = message.size();
        let internal_date = command.internal_date.unwrap_or_else(now);
        let flags = message_flags(&command.flags);
        let new = NewMessage { message, flags, internal_date };
        // Asked again: the message may have been long under way.
        let place = self.place(&command.folder)?;
        place.needs(Right::Write)?;
        let appended =
            place.said_of_destination(place.mailbox.append(place.folder()?, new, self.user()?.asker()).await)?;
        tracing::info!(account = %place.mailbox.account(), size, "message appended");
        Ok(Reply::ok("Appended").with(Code::AppendUid(appended.uid_validity, appended.uid)))
    }

    /// Takes what has arrived of the message. A message that cannot be stored is read to its end all the same: the
    /// answer comes where the client expects it.
    async fn piece(&mut self, incoming: &mut Incoming, failed: &mut Option<Stop>) -> Result<Piece, Stop> {
        let (used, event) = self.framer.step(self.channel.pending());
        let outcome = match event {
            Some(Framing::Piece(piece)) => {
                if failed.is_none() {
                    *failed = take(incoming, piece).await.err();
                }
                Ok(Piece::Taken)
            }
            Some(Framing::MessageEnd { clean }) => Ok(Piece::End { clean }),
            Some(Framing::Overrun) => Err(End::Bye("Too much after the message").into()),
            Some(_) | None => Ok(Piece::Wait),
        };
        self.channel.consume(used);
        outcome
    }
}

async fn take(incoming: &mut Incoming, piece: &[u8]) -> Result<(), Stop> {
    if memchr::memchr(0, piece).is_some() {
        // RFC 3501 §9: a literal is made of CHAR8, which has no NUL.
        return Err(Reply::no(Some(Code::Cannot), "The message holds NUL bytes").into());
    }
    Ok(incoming.write(piece).await?)
}

/// Unix seconds.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
