//! COPY, RFC 3501 §6.4.7, and MOVE, RFC 6851, with COPYUID, RFC 4315 §3.

use super::reply::{Outcome, Reply};
use super::session::Session;
use super::updates::Expunges;
use crate::mail::Copied;
use crate::mss::Right;
use crate::wire::imap::command::{CopyCommand, Numbers};
use crate::wire::imap::response::{self, Code, Status};

impl Session {
    /// COPY, MOVE and their UID forms: all of the messages, or none.
    pub(super) async fn copy(&mut self, command: &CopyCommand) -> Outcome {
        if command.remove {
            self.writable()?;
        }
        let place = self.place(&command.folder)?;
        place.needs(Right::Write)?;
        let (to, folder) = (&place.mailbox, place.folder()?);
        let targets = self.targets(command.numbers, &command.set)?;
        let uids: Vec<u32> = self.entries(&targets).map(|(_, entry)| entry.uid).collect();
        if uids.is_empty() {
            return Ok(Reply::ok("There was nothing to do"));
        }
        let selected = self.selected()?;
        if !command.remove {
            let copied = place.said_of_destination(selected.copy_across(&uids, to, folder).await)?;
            return Ok(with_uids(Reply::ok("Copied"), copied));
        }
        let moved = place.said_of_destination(selected.move_across(&uids, to, folder).await)?;
        let reply = with_uids(Reply::ok("Moved"), moved);
        // RFC 6851 §4.3: COPYUID goes into an untagged OK before the EXPUNGEs.
        if let Some(code) = &reply.code {
            response::untagged(&mut self.channel.out, Status::Ok, Some(code), "Moved");
        }
        self.updates(Expunges::Told, command.numbers == Numbers::Uid)?;
        Ok(Reply::ok("Moved"))
    }
}

fn with_uids(reply: Reply, copied: Copied) -> Reply {
    if copied.source.is_empty() {
        return reply;
    }
    reply.with(Code::CopyUid(copied.uid_validity, copied.source, copied.dest))
}
