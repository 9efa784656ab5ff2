//! COPY, RFC 3501 §6.4.7, and MOVE, RFC 6851, with COPYUID, RFC 4315 §3.

use super::reply::{Outcome, Reply, destination};
use super::session::Session;
use super::updates::Expunges;
use crate::mail::Copied;
use crate::wire::imap::command::{CopyCommand, Numbers};
use crate::wire::imap::response::{self, Code, Status};

impl Session {
    /// COPY, MOVE and their UID forms: all of the messages, or none.
    pub(super) async fn copy(&mut self, command: &CopyCommand) -> Outcome {
        if command.remove {
            self.writable()?;
        }
        let targets = self.targets(command.numbers, &command.set)?;
        let uids: Vec<u32> = self.entries(&targets).map(|(_, entry)| entry.uid).collect();
        if uids.is_empty() {
            return Ok(Reply::ok("There was nothing to do"));
        }
        let folder = command.folder.as_str();
        if !command.remove {
            let copied = self.selected()?.copy(&uids, folder).await.map_err(destination)?;
            return Ok(with_uids(Reply::ok("Copied"), copied));
        }
        let moved = self.selected()?.move_to(&uids, folder).await.map_err(destination)?;
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
