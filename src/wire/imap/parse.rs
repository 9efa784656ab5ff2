//! A framed command → a typed one, RFC 3501 §9 `command`.

use super::acl;
use super::command::{
    AppendCommand, Command, CopyCommand, FolderName, Numbers, SelectCommand, StoreCommand, StoreOperation, Tag, Tagged,
};
use super::cursor::{Cursor, ParseError, is_atom_char, text};
use super::fetch;
use super::flag;
use super::framer::Framed;
use super::list::{self, ListUseAttribute, StatusItem};
use super::search;
use super::sequence::SequenceSet;
use super::{cursor, date};
use crate::wire::sasl::Secret;

/// A command that was not understood, with its tag if it had one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct CommandError {
    /// To be repeated in the answer; without one the answer is untagged.
    pub tag: Option<Tag>,
    /// What is wrong.
    pub error: ParseError,
}

/// The tag at the beginning of a command, which a space ends.
pub fn tag_of(bytes: &[u8]) -> Option<Tag> {
    let end = memchr::memchr(b' ', bytes)?;
    Tag::new(&bytes[..end])
}

/// Reads a complete command. APPEND never comes this way when it is well formed: see [`append`].
pub fn command(framed: &Framed) -> Result<Tagged, CommandError> {
    let mut cursor = Cursor::new(framed);
    let tag = match tag(&mut cursor) {
        Ok(tag) => tag,
        Err(error) => return Err(CommandError { tag: None, error }),
    };
    match body(&mut cursor) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(error) => Err(CommandError { tag: Some(tag), error }),
    }
}

/// Reads an APPEND up to its message's literal, whose announcement has been cut off.
pub fn append(head: &Framed) -> Result<AppendCommand, CommandError> {
    let mut cursor = Cursor::new(head);
    let tag = tag(&mut cursor).map_err(|error| CommandError { tag: None, error })?;
    append_head(&mut cursor, tag.clone()).map_err(|error| CommandError { tag: Some(tag), error })
}

fn append_head(cursor: &mut Cursor<'_>, tag: Tag) -> Result<AppendCommand, ParseError> {
    if !cursor.eat_word("APPEND ") {
        return Err(ParseError::bad("Expected APPEND"));
    }
    let folder = folder(cursor)?;
    cursor.space()?;
    let mut flags = Vec::new();
    if cursor.peek() == Some(b'(') {
        flags = flag::flag_list(cursor)?;
        cursor.space()?;
    }
    let mut internal_date = None;
    if cursor.peek() == Some(b'"') {
        internal_date = Some(date::date_time(cursor)?);
        cursor.space()?;
    }
    cursor.end().map_err(|_| ParseError::bad("Expected the message as a literal"))?;
    Ok(AppendCommand { tag, folder, flags, internal_date })
}

/// True when the literal announced at `at` is the message of an APPEND: the folder's name is complete before it.
pub(super) fn announces_message(framed: &Framed, at: usize) -> bool {
    let mut cursor = Cursor::new(framed);
    tag(&mut cursor).is_ok()
        && cursor.eat_word("APPEND ")
        && cursor.position() < at
        && cursor.astring().is_ok()
        && cursor.position() < at
        && cursor.eat(b' ')
}

fn tag(cursor: &mut Cursor<'_>) -> Result<Tag, ParseError> {
    let tag = cursor.run(|byte| byte != b' ');
    if tag.is_empty() && cursor.at_end() {
        return Err(ParseError::bad("Empty command line"));
    }
    let tag = Tag::new(tag).ok_or(ParseError::bad("Expected a tag"))?;
    if cursor.at_end() {
        return Err(ParseError::bad("Expected a command after the tag"));
    }
    cursor.space()?;
    Ok(tag)
}

fn body(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let name = cursor.run(|byte| byte.is_ascii_alphanumeric()).to_ascii_uppercase();
    let command = match name.as_slice() {
        b"CAPABILITY" => Command::Capability,
        b"NOOP" => Command::Noop,
        b"LOGOUT" => Command::Logout,
        b"STARTTLS" => Command::StartTls,
        b"NAMESPACE" => Command::Namespace,
        b"CHECK" => Command::Check,
        b"CLOSE" => Command::Close,
        b"UNSELECT" => Command::Unselect,
        b"EXPUNGE" => Command::Expunge(None),
        b"IDLE" => Command::Idle,
        b"AUTHENTICATE" => authenticate(cursor)?,
        b"LOGIN" => login(cursor)?,
        b"ENABLE" => enable(cursor)?,
        b"ID" => id(cursor)?,
        b"SELECT" => select(cursor, false)?,
        b"EXAMINE" => select(cursor, true)?,
        b"CREATE" => create(cursor)?,
        b"DELETE" => Command::Delete(spaced_folder(cursor)?),
        b"RENAME" => Command::Rename { from: spaced_folder(cursor)?, to: spaced_folder(cursor)? },
        b"SUBSCRIBE" => Command::Subscribe(spaced_folder(cursor)?),
        b"UNSUBSCRIBE" => Command::Unsubscribe(spaced_folder(cursor)?),
        b"LIST" => list::list(cursor)?,
        b"LSUB" => list::lsub(cursor)?,
        b"STATUS" => status(cursor)?,
        b"APPEND" => return Err(bad_append(cursor)),
        b"GETQUOTA" => Command::GetQuota(spaced_text(cursor)?),
        b"GETQUOTAROOT" => Command::GetQuotaRoot(spaced_folder(cursor)?),
        b"SETQUOTA" => set_quota(cursor)?,
        b"GETACL" => Command::GetAcl(spaced_folder(cursor)?),
        b"SETACL" => acl::set_acl(cursor)?,
        b"DELETEACL" => acl::delete_acl(cursor)?,
        b"LISTRIGHTS" => acl::list_rights(cursor)?,
        b"MYRIGHTS" => Command::MyRights(spaced_folder(cursor)?),
        b"UID" => uid(cursor)?,
        other => match message_command(other, cursor, Numbers::Sequence)? {
            Some(command) => command,
            None => return Err(ParseError::bad("Unknown command")),
        },
    };
    cursor.end()?;
    Ok(command)
}

/// The commands that exist with and without UID.
fn message_command(name: &[u8], cursor: &mut Cursor<'_>, numbers: Numbers) -> Result<Option<Command>, ParseError> {
    match name {
        b"FETCH" => fetch::fetch(cursor, numbers).map(Some),
        b"SEARCH" => search::search(cursor, numbers).map(Some),
        b"STORE" => store(cursor, numbers).map(Some),
        b"COPY" => copy(cursor, numbers, false).map(Some),
        b"MOVE" => copy(cursor, numbers, true).map(Some),
        _ => Ok(None),
    }
}

fn uid(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    cursor.space()?;
    let name = cursor.run(|byte| byte.is_ascii_alphanumeric()).to_ascii_uppercase();
    if name == b"EXPUNGE" {
        cursor.space()?;
        return SequenceSet::parse(cursor).map(|set| Command::Expunge(Some(set)));
    }
    message_command(&name, cursor, Numbers::Uid)?.ok_or(ParseError::bad("Unknown UID command"))
}

/// An APPEND that came without a message literal: says what its head lacks.
fn bad_append(cursor: &mut Cursor<'_>) -> ParseError {
    match spaced_folder(cursor) {
        Err(error) => error,
        Ok(_) => ParseError::bad("Expected the message as a literal"),
    }
}

fn folder(cursor: &mut Cursor<'_>) -> Result<FolderName, ParseError> {
    FolderName::from_wire(&cursor.astring()?).map_err(ParseError::BadName)
}

pub(super) fn spaced_folder(cursor: &mut Cursor<'_>) -> Result<FolderName, ParseError> {
    cursor.space()?;
    folder(cursor)
}

fn spaced_text(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    cursor.space()?;
    text(&cursor.astring()?).map(str::to_owned)
}

fn authenticate(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    cursor.space()?;
    let mechanism = cursor.atom()?.to_ascii_uppercase();
    let mut initial = None;
    if cursor.eat(b' ') {
        // RFC 4959 §3: base64 or "=".
        let response = cursor.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        initial = Some(Secret::new(response));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

fn login(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let user = spaced_text(cursor)?;
    cursor.space()?;
    let password = Secret::new(cursor.astring()?.into_owned());
    Ok(Command::Login { user, password })
}

fn enable(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let mut names = Vec::new();
    cursor.space()?;
    loop {
        names.push(cursor.atom()?.to_ascii_uppercase());
        if !cursor.eat(b' ') {
            return Ok(Command::Enable(names));
        }
    }
}

/// RFC 2971 §3.3: at most 30 pairs, names to 30 octets, values to 1024.
fn id(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    cursor.space()?;
    if cursor.eat_word("NIL") {
        return Ok(Command::Id(Vec::new()));
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = cursor.list(0, |cursor| {
        let name = cursor.string()?;
        cursor.space()?;
        let value = cursor.nstring()?;
        if name.len() > 30 || value.as_ref().is_some_and(|value| value.len() > 1024) {
            return Err(ParseError::bad("ID name or value too long"));
        }
        Ok((lossy(&name), value.map(|value| lossy(&value))))
    })?;
    if pairs.len() > 30 {
        return Err(ParseError::bad("Too many ID pairs"));
    }
    Ok(Command::Id(pairs))
}

fn select(cursor: &mut Cursor<'_>, read_only: bool) -> Result<Command, ParseError> {
    let folder = spaced_folder(cursor)?;
    let mut condstore = false;
    if cursor.eat(b' ') {
        let parameters = cursor.list(1, |cursor| Ok(cursor.atom()?.to_ascii_uppercase()))?;
        if parameters.iter().any(|parameter| parameter != "CONDSTORE") {
            // RFC 4466 §2.1: an unknown parameter is BAD.
            return Err(ParseError::bad("Unknown SELECT parameter"));
        }
        condstore = true;
    }
    Ok(Command::Select(SelectCommand { folder, read_only, condstore }))
}

fn create(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    cursor.space()?;
    // RFC 3501 §6.3.3: a trailing delimiter declares that names will be made below.
    let name = cursor.astring()?;
    let name = name.strip_suffix(b"/").unwrap_or(&name);
    let folder = FolderName::from_wire(name).map_err(ParseError::BadName)?;
    let mut uses = Vec::new();
    if cursor.eat(b' ') {
        cursor.expect(b'(', "Expected CREATE parameters")?;
        if !cursor.eat_word("USE ") {
            return Err(ParseError::bad("Unknown CREATE parameter"));
        }
        uses = cursor.list(0, ListUseAttribute::parse)?;
        cursor.expect(b')', "Expected a closing parenthesis")?;
    }
    Ok(Command::Create { folder, uses })
}

fn status(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let folder = spaced_folder(cursor)?;
    cursor.space()?;
    let items = StatusItem::parse_list(cursor)?;
    Ok(Command::Status { folder, items })
}

fn set_quota(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let root = spaced_text(cursor)?;
    cursor.space()?;
    let limits = cursor.list(0, |cursor| {
        let resource = cursor.atom()?.to_ascii_uppercase();
        cursor.space()?;
        Ok((resource, cursor.number64()?))
    })?;
    Ok(Command::SetQuota(root, limits))
}

fn store(cursor: &mut Cursor<'_>, numbers: Numbers) -> Result<Command, ParseError> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.eat(b'(') {
        if !cursor.eat_word("UNCHANGEDSINCE ") {
            return Err(ParseError::bad("Unknown STORE modifier"));
        }
        unchanged_since = Some(cursor.number64()?);
        cursor.expect(b')', "Expected a closing parenthesis")?;
        cursor.space()?;
    }
    let operation = match () {
        () if cursor.eat(b'+') => StoreOperation::Add,
        () if cursor.eat(b'-') => StoreOperation::Remove,
        () => StoreOperation::Replace,
    };
    let name = cursor.run(is_atom_char);
    let silent = match () {
        () if name.eq_ignore_ascii_case(b"FLAGS") => false,
        () if name.eq_ignore_ascii_case(b"FLAGS.SILENT") => true,
        () => return Err(ParseError::bad("Expected FLAGS")),
    };
    cursor.space()?;
    let flags = flag::store_flags(cursor)?;
    Ok(Command::Store(StoreCommand { numbers, set, operation, silent, flags, unchanged_since }))
}

fn copy(cursor: &mut Cursor<'_>, numbers: Numbers, remove: bool) -> Result<Command, ParseError> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    let folder = spaced_folder(cursor)?;
    Ok(Command::Copy(CopyCommand { numbers, set, folder, remove }))
}

/// Reads a sequence set alone; for tests and tools.
pub fn sequence_set(set: &str) -> Result<SequenceSet, ParseError> {
    let framed = Framed { bytes: set.as_bytes().to_vec(), literals: Vec::new() };
    let mut cursor = cursor::Cursor::new(&framed);
    let set = SequenceSet::parse(&mut cursor)?;
    cursor.end()?;
    Ok(set)
}
