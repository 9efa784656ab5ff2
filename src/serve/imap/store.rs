//! STORE, RFC 3501 §6.4.6, with UNCHANGEDSINCE, RFC 7162 §3.1.3.

use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use super::updates::{Shown, flags_response, tell_keywords};
use crate::mail::{Entry, FlagOp, MessageFlags, StoredFlags};
use crate::store::flags;
use crate::wire::imap::command::{Numbers, StoreCommand, StoreOperation};
use crate::wire::imap::flag::Flag;
use crate::wire::imap::response::Code;

/// Messages changed in one commit.
const BATCH: usize = 10_000;

impl Session {
    /// STORE and UID STORE.
    pub(super) async fn store(&mut self, command: &StoreCommand) -> Outcome {
        self.writable()?;
        let targets = self.targets(command.numbers, &command.set)?;
        if command.unchanged_since.is_some() {
            self.enable_condstore();
        }
        let uids: Vec<u32> = self.entries(&targets).map(|(_, entry)| entry.uid).collect();
        let wanted = message_flags(&command.flags);
        let mut unchanged = Vec::new();
        let mut gone = false;
        for batch in uids.chunks(BATCH) {
            let operation = operation(command.operation);
            let stored = self.selected()?.store_flags(batch, operation, &wanted, command.unchanged_since).await?;
            unchanged.extend_from_slice(&stored.modified);
            gone |= !stored.gone.is_empty();
            self.tell_stored(command, &stored).await?;
        }
        if unchanged.is_empty() && gone && command.numbers == Numbers::Sequence {
            // RFC 2180 §4.2.1: the others were changed.
            return Ok(Reply::no(Some(Code::ExpungeIssued), "Some of the messages are gone"));
        }
        if unchanged.is_empty() {
            return Ok(Reply::ok("Stored"));
        }
        // RFC 7162 §3.1.3: the command is OK, and names the messages that it passed over.
        let mut numbers = unchanged;
        if command.numbers == Numbers::Sequence {
            let selected = self.selected()?;
            numbers = numbers.iter().filter_map(|uid| selected.seq_of(*uid)).collect();
        }
        numbers.sort_unstable();
        Ok(Reply::ok("Some messages were changed meanwhile").with(Code::Modified(numbers)))
    }

    /// The untagged FETCH of each message that was changed. With `.SILENT` only of those where the client could not know
    /// the outcome, and its MODSEQ for who knows of that (RFC 7162 §3.1.3).
    async fn tell_stored(&mut self, command: &StoreCommand, stored: &StoredFlags) -> Result<(), Stop> {
        let Session { channel, selected, told_keywords, condstore, .. } = self;
        let Some(selected) = selected else { return Ok(()) };
        tell_keywords(&mut channel.out, selected, told_keywords);
        let uid = command.numbers == Numbers::Uid;
        for entry in &stored.entries {
            let Some(seq) = selected.seq_of(entry.uid) else { continue };
            if !command.silent || stored.surprising.binary_search(&entry.uid).is_ok() {
                flags_response(&mut channel.out, selected, seq, entry, Shown { uid, modseq: *condstore });
            } else if *condstore {
                modseq_response(&mut channel.out, seq, entry, uid);
            }
            channel.flush_if_full().await?;
        }
        Ok(())
    }
}

/// Writes `* n FETCH (MODSEQ (…))`.
fn modseq_response(out: &mut Vec<u8>, seq: u32, entry: &Entry, uid: bool) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "* {seq} FETCH (");
    if uid {
        let _ = write!(out, "UID {} ", entry.uid);
    }
    let _ = write!(out, "MODSEQ ({}))\r\n", entry.modseq);
}

/// Flags of the wire → flags of mail.
pub(super) fn message_flags(wanted: &[Flag]) -> MessageFlags {
    let mut named = MessageFlags::default();
    for flag in wanted {
        match flag {
            Flag::Keyword(keyword) => named.keywords.push(keyword.clone()),
            system => named.system |= system_bit(system),
        }
    }
    named
}

/// The bit of a system flag; none of a keyword.
pub(super) fn system_bit(flag: &Flag) -> u32 {
    match flag {
        Flag::Seen => flags::SEEN,
        Flag::Answered => flags::ANSWERED,
        Flag::Flagged => flags::FLAGGED,
        Flag::Deleted => flags::DELETED,
        Flag::Draft => flags::DRAFT,
        Flag::Keyword(_) => 0,
    }
}

fn operation(operation: StoreOperation) -> FlagOp {
    match operation {
        StoreOperation::Replace => FlagOp::Replace,
        StoreOperation::Add => FlagOp::Add,
        StoreOperation::Remove => FlagOp::Remove,
    }
}
