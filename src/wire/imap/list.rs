//! LIST and LSUB with LIST-EXTENDED (RFC 5258), SPECIAL-USE (RFC 6154), LIST-STATUS (RFC 5819), and STATUS' items.

use super::command::Command;
use super::cursor::{Cursor, ParseError};
use super::utf7;

/// A special use, RFC 6154 §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListUseAttribute {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl ListUseAttribute {
    /// Reads one with its backslash.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        cursor.expect(b'\\', "Expected a special use")?;
        match cursor.atom()?.to_ascii_lowercase().as_str() {
            "all" => Ok(Self::All),
            "archive" => Ok(Self::Archive),
            "drafts" => Ok(Self::Drafts),
            "flagged" => Ok(Self::Flagged),
            "junk" => Ok(Self::Junk),
            "sent" => Ok(Self::Sent),
            "trash" => Ok(Self::Trash),
            _ => Err(ParseError::bad("Unknown special use")),
        }
    }
}

/// What STATUS can say of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`
    Unseen,
    /// `SIZE`, RFC 8438
    Size,
    /// `HIGHESTMODSEQ`, RFC 7162
    HighestModSeq,
    /// `APPENDLIMIT`, RFC 7889
    AppendLimit,
}

impl StatusItem {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            StatusItem::Size => "SIZE",
            StatusItem::HighestModSeq => "HIGHESTMODSEQ",
            StatusItem::AppendLimit => "APPENDLIMIT",
        }
    }

    /// Reads one.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        const ALL: [StatusItem; 8] = [
            StatusItem::Messages,
            StatusItem::Recent,
            StatusItem::UidNext,
            StatusItem::UidValidity,
            StatusItem::Unseen,
            StatusItem::Size,
            StatusItem::HighestModSeq,
            StatusItem::AppendLimit,
        ];
        let name = cursor.atom()?;
        ALL.into_iter()
            .find(|item| item.name().eq_ignore_ascii_case(name))
            .ok_or(ParseError::bad("Unknown STATUS item"))
    }

    /// Reads `(item item …)`.
    pub fn parse_list(cursor: &mut Cursor<'_>) -> Result<Vec<Self>, ParseError> {
        cursor.list(1, StatusItem::parse)
    }
}

/// LIST, or LSUB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListCommand {
    /// LSUB: the names subscribed to, RFC 3501 §6.3.9.
    pub lsub: bool,
    /// The extended form was used (RFC 5258 §3): an empty pattern is no question for the delimiter.
    pub extended: bool,
    /// The reference, decoded.
    pub reference: String,
    /// Patterns, decoded; `*` and `%` are wildcards.
    pub patterns: Vec<String>,
    /// `SUBSCRIBED` selected.
    pub select_subscribed: bool,
    /// `SPECIAL-USE` selected.
    pub select_special_use: bool,
    /// `RECURSIVEMATCH`
    pub recursive_match: bool,
    /// `RETURN (SUBSCRIBED)`, or implied by its selection.
    pub return_subscribed: bool,
    /// `RETURN (SPECIAL-USE)`, or implied.
    pub return_special_use: bool,
    /// `RETURN (CHILDREN)`
    pub return_children: bool,
    /// `RETURN (STATUS (…))`
    pub return_status: Option<Vec<StatusItem>>,
}

/// Most patterns in one LIST.
const MAX_PATTERNS: usize = 64;

/// Reads what follows `LIST`.
pub fn list(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let mut command = ListCommand::default();
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        command.extended = true;
        selection_options(cursor, &mut command)?;
        cursor.space()?;
    }
    command.reference = pattern(&cursor.astring()?)?;
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        command.extended = true;
        command.patterns = cursor.list(1, |cursor| pattern(&cursor.list_mailbox()?))?;
        if command.patterns.len() > MAX_PATTERNS {
            return Err(ParseError::bad("Too many patterns"));
        }
    } else {
        command.patterns = vec![pattern(&cursor.list_mailbox()?)?];
    }
    if cursor.eat(b' ') {
        command.extended = true;
        return_options(cursor, &mut command)?;
    }
    Ok(Command::List(command))
}

/// Reads what follows `LSUB`.
pub fn lsub(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    cursor.space()?;
    let reference = pattern(&cursor.astring()?)?;
    cursor.space()?;
    let patterns = vec![pattern(&cursor.list_mailbox()?)?];
    Ok(Command::List(ListCommand { lsub: true, reference, patterns, ..ListCommand::default() }))
}

fn pattern(bytes: &[u8]) -> Result<String, ParseError> {
    utf7::decode(bytes).map_err(ParseError::BadName)
}

fn selection_options(cursor: &mut Cursor<'_>, command: &mut ListCommand) -> Result<(), ParseError> {
    let options = cursor.list(0, |cursor| Ok(cursor.atom()?.to_ascii_uppercase()))?;
    for option in options {
        match option.as_str() {
            "SUBSCRIBED" => (command.select_subscribed, command.return_subscribed) = (true, true),
            "SPECIAL-USE" => (command.select_special_use, command.return_special_use) = (true, true),
            "RECURSIVEMATCH" => command.recursive_match = true,
            // There are no remote folders: asking for them too changes nothing.
            "REMOTE" => {}
            _ => return Err(ParseError::bad("Unknown LIST selection option")),
        }
    }
    if command.recursive_match && !(command.select_subscribed || command.select_special_use) {
        // RFC 5258 §3: RECURSIVEMATCH needs another option beside it.
        return Err(ParseError::bad("RECURSIVEMATCH needs another selection option"));
    }
    Ok(())
}

fn return_options(cursor: &mut Cursor<'_>, command: &mut ListCommand) -> Result<(), ParseError> {
    if !cursor.eat_word("RETURN") {
        return Err(ParseError::bad("Expected RETURN"));
    }
    cursor.space()?;
    cursor.list(0, |cursor| {
        match cursor.atom()?.to_ascii_uppercase().as_str() {
            "SUBSCRIBED" => command.return_subscribed = true,
            "CHILDREN" => command.return_children = true,
            "SPECIAL-USE" => command.return_special_use = true,
            "STATUS" => {
                cursor.space()?;
                command.return_status = Some(StatusItem::parse_list(cursor)?);
            }
            _ => return Err(ParseError::bad("Unknown LIST return option")),
        }
        Ok(())
    })?;
    Ok(())
}
