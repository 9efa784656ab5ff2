//! What a session tells of changes to its folder, RFC 3501 §5.2 and §7.

use super::reply::Stop;
use super::session::Session;
use crate::mail::{Entry, Selected, Update};
use crate::store::flags;
use crate::wire::imap::response::{self, Code, Status, decimal};

/// Whether EXPUNGE may be told now, RFC 3501 §7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    /// Message numbers may change.
    Told,
    /// They must not: a command that uses them is answered.
    Held,
}

impl Session {
    /// Writes what has changed in the open folder since it was last told, to who may still look into it.
    pub(super) fn updates(&mut self, expunges: Expunges, uids: bool) -> Result<(), Stop> {
        self.recheck()?;
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let updates = selected.refresh(expunges == Expunges::Told);
        tell_keywords(&mut self.channel.out, selected, &mut self.told_keywords);
        for update in updates {
            match update {
                Update::Expunge { seq, .. } => response::number(&mut self.channel.out, seq, "EXPUNGE"),
                Update::Exists(count) => response::number(&mut self.channel.out, count, "EXISTS"),
                Update::Recent(count) => response::number(&mut self.channel.out, count, "RECENT"),
                Update::Flags { seq, .. } => {
                    if let Some(entry) = selected.entry(seq) {
                        let shown = Shown { uid: uids, modseq: self.condstore };
                        flags_response(&mut self.channel.out, selected, seq, entry, shown);
                    }
                }
                // Told above: the session's own STORE may have brought some as well.
                Update::Keywords => {}
                Update::Gone => return Err(selected.why_gone().into()),
            }
        }
        Ok(())
    }
}

impl Session {
    /// The client knows of CONDSTORE: from now on it is told mod-sequences, beginning with the folder's
    /// (RFC 7162 §3.1).
    pub(super) fn enable_condstore(&mut self) {
        if self.condstore {
            return;
        }
        self.condstore = true;
        if let Some(selected) = &self.selected {
            let code = Code::HighestModSeq(selected.highest_modseq());
            response::untagged(&mut self.channel.out, Status::Ok, Some(&code), "The last change");
        }
    }
}

/// What a FETCH response of new flags shows beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) uid: bool,
    pub(super) modseq: bool,
}

/// Writes `* n FETCH (FLAGS (…))`.
pub(super) fn flags_response(out: &mut Vec<u8>, selected: &Selected, seq: u32, entry: &Entry, shown: Shown) {
    out.extend_from_slice(b"* ");
    decimal(out, u64::from(seq));
    out.extend_from_slice(b" FETCH (");
    if shown.uid {
        out.extend_from_slice(b"UID ");
        decimal(out, u64::from(entry.uid));
        out.push(b' ');
    }
    out.extend_from_slice(b"FLAGS ");
    flag_list(out, entry, selected.is_recent(entry.uid), selected.keywords());
    if shown.modseq {
        out.extend_from_slice(b" MODSEQ (");
        decimal(out, entry.modseq);
        out.push(b')');
    }
    out.extend_from_slice(b")\r\n");
}

/// System flags by their bits.
const SYSTEM: [(u32, &str); 5] = [
    (flags::ANSWERED, "\\Answered"),
    (flags::FLAGGED, "\\Flagged"),
    (flags::DELETED, "\\Deleted"),
    (flags::SEEN, "\\Seen"),
    (flags::DRAFT, "\\Draft"),
];

/// Writes a message's flags in parentheses.
pub(super) fn flag_list(out: &mut Vec<u8>, entry: &Entry, recent: bool, keywords: &[String]) {
    out.push(b'(');
    let mut separate = false;
    let mut put = |out: &mut Vec<u8>, name: &str| {
        if separate {
            out.push(b' ');
        }
        separate = true;
        out.extend_from_slice(name.as_bytes());
    };
    for (_, name) in SYSTEM.iter().filter(|(bit, _)| entry.flags & bit != 0) {
        put(out, name);
    }
    if entry.keywords != 0 {
        for (_, name) in keywords.iter().enumerate().filter(|(index, _)| entry.keywords >> index & 1 == 1) {
            put(out, name);
        }
    }
    if recent {
        put(out, "\\Recent");
    }
    out.push(b')');
}

/// Writes FLAGS and PERMANENTFLAGS, of SELECT and again when the folder has got a new keyword: a client is told of a
/// keyword before it sees it on a message (RFC 3501 §7.2.6).
pub(super) fn flags_of_folder(out: &mut Vec<u8>, selected: &Selected) {
    let mut known: Vec<&str> = SYSTEM.iter().map(|(_, name)| *name).collect();
    let keywords = selected.keywords();
    known.extend(keywords.iter().map(String::as_str));
    let known = known.join(" ");
    out.extend_from_slice(b"* FLAGS (");
    out.extend_from_slice(known.as_bytes());
    out.extend_from_slice(b")\r\n");
    let (permanent, text) = match () {
        () if selected.is_read_only() => (String::new(), "No flag can be changed"),
        () if keywords.len() < crate::mail::MAX_KEYWORDS => (format!("{known} \\*"), "Keywords may be added"),
        () => (known, "No more keywords can be added"),
    };
    response::untagged(out, Status::Ok, Some(&Code::PermanentFlags(permanent)), text);
}

/// Tells the folder's flags again if it has got new keywords.
pub(super) fn tell_keywords(out: &mut Vec<u8>, selected: &Selected, told: &mut usize) {
    let now = selected.keywords().len();
    if now != *told {
        *told = now;
        flags_of_folder(out, selected);
    }
}
