//! What the server writes, RFC 3501 §7 and §9 `response`.

use std::io::Write as _;

use super::command::{FolderName, Tag};
use super::sequence;
use super::utf7;

/// The kind of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `OK`
    Ok,
    /// `NO`
    No,
    /// `BAD`
    Bad,
    /// `BYE`, untagged only.
    Bye,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
            Status::Bye => "BYE",
        }
    }
}

/// A response code: RFC 3501 §7.1, RFC 5530, and the extensions' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The text must be shown to the user.
    Alert,
    /// AUTHENTICATIONFAILED
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED
    AuthorizationFailed,
    /// BADCHARSET, with what we have.
    BadCharset,
    /// ALREADYEXISTS
    AlreadyExists,
    /// CANNOT
    Cannot,
    /// CAPABILITY with its list.
    Capability(String),
    /// CLIENTBUG
    ClientBug,
    /// CLOSED (RFC 7162): the folder selected before is no longer.
    Closed,
    /// CONTACTADMIN
    ContactAdmin,
    /// EXPUNGEISSUED
    ExpungeIssued,
    /// HIGHESTMODSEQ
    HighestModSeq(u64),
    /// INUSE
    InUse,
    /// LIMIT
    Limit,
    /// MODIFIED, with the numbers that were not changed (RFC 7162 §3.1.3).
    Modified(Vec<u32>),
    /// NONEXISTENT
    NonExistent,
    /// NOPERM
    NoPerm,
    /// OVERQUOTA
    OverQuota,
    /// PERMANENTFLAGS with its list.
    PermanentFlags(String),
    /// PRIVACYREQUIRED
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG
    ServerBug,
    /// TOOBIG (RFC 4469, RFC 7889)
    TooBig,
    /// TRYCREATE
    TryCreate,
    /// UIDNEXT
    UidNext(u32),
    /// UIDVALIDITY
    UidValidity(u32),
    /// UNAVAILABLE
    Unavailable,
    /// UNSEEN: the first unseen message's number.
    Unseen(u32),
    /// USEATTR (RFC 6154)
    UseAttr,
    /// APPENDUID: validity and UID (RFC 4315).
    AppendUid(u32, u32),
    /// COPYUID: validity, and UIDs there and here in one order (RFC 4315).
    CopyUid(u32, Vec<u32>, Vec<u32>),
}

/// Charsets that SEARCH takes.
pub const CHARSETS: &str = "US-ASCII UTF-8";

impl Code {
    fn write(&self, out: &mut Vec<u8>) {
        let word = match self {
            Code::Alert => "ALERT",
            Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Code::AlreadyExists => "ALREADYEXISTS",
            Code::Cannot => "CANNOT",
            Code::ClientBug => "CLIENTBUG",
            Code::Closed => "CLOSED",
            Code::ContactAdmin => "CONTACTADMIN",
            Code::ExpungeIssued => "EXPUNGEISSUED",
            Code::InUse => "INUSE",
            Code::Limit => "LIMIT",
            Code::NonExistent => "NONEXISTENT",
            Code::NoPerm => "NOPERM",
            Code::OverQuota => "OVERQUOTA",
            Code::PrivacyRequired => "PRIVACYREQUIRED",
            Code::ReadOnly => "READ-ONLY",
            Code::ReadWrite => "READ-WRITE",
            Code::ServerBug => "SERVERBUG",
            Code::TooBig => "TOOBIG",
            Code::TryCreate => "TRYCREATE",
            Code::Unavailable => "UNAVAILABLE",
            Code::UseAttr => "USEATTR",
            _ => return self.write_with_argument(out),
        };
        out.extend_from_slice(word.as_bytes());
    }

    fn write_with_argument(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = match self {
            Code::BadCharset => write!(out, "BADCHARSET ({CHARSETS})"),
            Code::Capability(list) => write!(out, "CAPABILITY {list}"),
            Code::HighestModSeq(number) => write!(out, "HIGHESTMODSEQ {number}"),
            Code::PermanentFlags(list) => write!(out, "PERMANENTFLAGS ({list})"),
            Code::UidNext(uid) => write!(out, "UIDNEXT {uid}"),
            Code::UidValidity(validity) => write!(out, "UIDVALIDITY {validity}"),
            Code::Unseen(number) => write!(out, "UNSEEN {number}"),
            Code::AppendUid(validity, uid) => write!(out, "APPENDUID {validity} {uid}"),
            Code::Modified(numbers) => {
                out.extend_from_slice(b"MODIFIED ");
                sequence::write(out, numbers.iter().copied());
                Ok(())
            }
            Code::CopyUid(validity, from, to) => {
                let written = write!(out, "COPYUID {validity} ");
                sequence::write(out, from.iter().copied());
                out.push(b' ');
                sequence::write(out, to.iter().copied());
                written
            }
            _ => Ok(()),
        };
    }
}

/// Writes `tag OK [CODE] text`.
pub fn tagged(out: &mut Vec<u8>, tag: &Tag, status: Status, code: Option<&Code>, text: &str) {
    out.extend_from_slice(tag.as_str().as_bytes());
    status_line(out, status, code, text);
}

/// Writes `* OK [CODE] text`.
pub fn untagged(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    out.push(b'*');
    status_line(out, status, code, text);
}

fn status_line(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    out.push(b' ');
    out.extend_from_slice(status.word().as_bytes());
    out.push(b' ');
    if let Some(code) = code {
        out.push(b'[');
        code.write(out);
        out.extend_from_slice(b"] ");
    }
    line_text(out, text);
    out.extend_from_slice(b"\r\n");
}

/// `text` of a status response: what would break the line, or is not US-ASCII, is shown as `?`.
fn line_text(out: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        out.push(b'.');
    }
    out.extend(text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' }));
}

/// Writes `+ text`.
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes `* n WORD`.
pub fn number(out: &mut Vec<u8>, number: u32, word: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "* {number} {word}\r\n");
}

/// `string`: quoted where the grammar allows, else a literal.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    // RFC 3501 §9: QUOTED-CHAR is TEXT-CHAR, that is 7-bit without CR, LF and NUL. Long ones are easier read as literals.
    let quotable =
        bytes.len() <= 1000 && bytes.iter().all(|&byte| matches!(byte, 1..=0x7f) && byte != b'\r' && byte != b'\n');
    if !quotable {
        return literal(out, bytes);
    }
    out.push(b'"');
    if memchr::memchr2(b'"', b'\\', bytes).is_none() {
        out.extend_from_slice(bytes);
    } else {
        for &byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out.push(b'"');
}

/// `nstring`.
pub fn nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => string(out, bytes),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A literal with its bytes. NUL, which CHAR8 leaves out, becomes `?`.
pub fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    literal_head(out, bytes.len() as u64);
    if memchr::memchr(0, bytes).is_none() {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().map(|&byte| if byte == 0 { b'?' } else { byte }));
    }
}

/// The announcement of a literal whose bytes are written elsewhere.
pub fn literal_head(out: &mut Vec<u8>, size: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{{{size}}}\r\n");
}

/// A decimal number.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        // A single decimal digit fits.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A folder's name in modified UTF-7, always quoted.
pub fn folder(out: &mut Vec<u8>, name: &str) {
    string(out, utf7::encode(name).as_bytes());
}

/// As [`folder`], of a parsed name.
pub fn folder_name(out: &mut Vec<u8>, name: &FolderName) {
    folder(out, name.as_str());
}
