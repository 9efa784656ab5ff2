//! SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE: a folder's opening and clearing.

use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use super::updates::{self, Expunges};
use crate::mail::{Expunge, Selected};
use crate::mss::Right;
use crate::wire::imap::command::{Numbers, SelectCommand};
use crate::wire::imap::response::{self, Code, Status};
use crate::wire::imap::sequence::SequenceSet;

impl Session {
    /// SELECT and EXAMINE, RFC 3501 §6.3.1.
    pub(super) async fn select(&mut self, command: SelectCommand) -> Outcome {
        // Whatever comes of it, the folder that was open is so no longer.
        self.leave();
        // SELECT tells HIGHESTMODSEQ anyway.
        self.condstore |= command.condstore;
        let place = self.place(&command.folder)?;
        // RFC 4314 §5.2: who may change nothing has it open for reading only, whatever they asked for.
        let read_only = command.read_only || !place.rights.has(Right::Write);
        let selected = place.said(place.mailbox.select(place.folder()?, read_only).await)?;
        let selected = selected.worked_in_by(self.user()?.asker());
        self.trace_opening(&selected).await?;
        let (account, messages) = (place.mailbox.account(), selected.exists());
        tracing::info!(%account, messages, read_only, "folder selected");
        opening(&mut self.channel.out, &selected);
        self.told_keywords = selected.keywords().len();
        let access = if selected.is_read_only() { Code::ReadOnly } else { Code::ReadWrite };
        self.selected = Some(selected);
        Ok(Reply::ok("Folder selected").with(access))
    }

    /// CLOSE, RFC 3501 §6.4.2: expunges without a word, if it may.
    pub(super) async fn close(&mut self) -> Outcome {
        let selected = self.selected()?;
        if !selected.is_read_only() {
            selected.expunge(Expunge::AllDeleted).await?;
        }
        self.leave();
        Ok(Reply::ok("Folder closed"))
    }

    /// UNSELECT, RFC 3691.
    pub(super) fn unselect(&mut self) -> Outcome {
        self.leave();
        Ok(Reply::ok("Folder left"))
    }

    /// EXPUNGE, RFC 3501 §6.4.3, and UID EXPUNGE, RFC 4315 §2.1. What went is told by the updates that follow.
    pub(super) async fn expunge(&mut self, set: Option<&SequenceSet>) -> Outcome {
        self.writable()?;
        match set {
            None => {
                self.selected()?.expunge(Expunge::AllDeleted).await?;
            }
            Some(set) => {
                let targets = self.targets(Numbers::Uid, set)?;
                let uids: Vec<u32> = self.entries(&targets).map(|(_, entry)| entry.uid).collect();
                self.selected()?.expunge(Expunge::Uids(&uids)).await?;
            }
        }
        self.updates(Expunges::Told, set.is_some())?;
        let reply = Reply::ok("Expunged");
        Ok(if self.condstore {
            // RFC 7162 §3.1.10: so that the client can go on from here.
            reply.with(Code::HighestModSeq(self.selected()?.highest_modseq()))
        } else {
            reply
        })
    }

    fn leave(&mut self) {
        self.selected = None;
        self.told_keywords = 0;
    }

    /// The open folder.
    pub(super) fn selected(&mut self) -> Result<&mut Selected, Stop> {
        self.selected.as_mut().ok_or_else(|| Reply::bad("Select a folder first").into())
    }

    /// Refuses when the folder was opened by EXAMINE.
    pub(super) fn writable(&mut self) -> Result<(), Stop> {
        if self.selected()?.is_read_only() {
            return Err(Reply::no(None, "The folder is open for reading only").into());
        }
        Ok(())
    }
}

/// What SELECT tells, RFC 3501 §6.3.1 and RFC 7162 §3.1.2.1.
fn opening(out: &mut Vec<u8>, selected: &Selected) {
    updates::flags_of_folder(out, selected);
    response::number(out, selected.exists(), "EXISTS");
    response::number(out, selected.recent(), "RECENT");
    let mut say = |code, text| response::untagged(out, Status::Ok, Some(&code), text);
    if let Some(first) = selected.first_unseen() {
        say(Code::Unseen(first), "The first unseen message");
    }
    say(Code::UidValidity(selected.uid_validity()), "UIDs are valid");
    say(Code::UidNext(selected.uid_next()), "The next message's UID");
    say(Code::HighestModSeq(selected.highest_modseq()), "The last change");
}
