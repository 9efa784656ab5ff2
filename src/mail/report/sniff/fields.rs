//! Fields of others' reports, read with patience and within bounds.

use crate::mail::summary::parse_address_list;

/// Octets of a value that are kept.
pub(super) const VALUE: usize = 500;
/// Octets of a Message-ID: a line's (RFC 5322 §2.1.1).
const MESSAGE_ID: usize = 998;
/// Fields of one group, and groups of one report, that are looked at.
const FIELDS: usize = 200;
const GROUPS: usize = 101;

/// A group of fields: of the message, or of one recipient (RFC 3464 §2.1). Names are in lower case.
pub(super) struct Group(Vec<(String, String)>);

impl Group {
    /// The first field with this name (in lower case).
    pub(super) fn named(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The address in a typed field: `rfc822; anne@a.example` (RFC 3464 §2.1.2).
    pub(super) fn address(&self, name: &str) -> Option<String> {
        let value = self.named(name)?;
        let address = value.split_once(';').map_or(value, |(_, address)| address).trim();
        let bare = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address);
        (!bare.is_empty()).then(|| bare.to_owned())
    }
}

/// The groups of a status part, parted by empty lines. Lines may end in LF alone, behind a transfer encoding.
pub(super) fn groups(part: &[u8]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open = false;
    for line in part.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        if line.trim_ascii().is_empty() {
            open = false;
            continue;
        }
        if !open {
            if groups.len() == GROUPS {
                break;
            }
            groups.push(Group(Vec::new()));
            open = true;
        }
        if let Some(group) = groups.last_mut() {
            add_line(&mut group.0, line);
        }
    }
    groups
}

/// A field, or the continuation of the one before (RFC 5322 §2.2.3).
fn add_line(fields: &mut Vec<(String, String)>, line: &[u8]) {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        if let Some((_, value)) = fields.last_mut().filter(|(_, value)| value.len() < VALUE) {
            let more = text(line);
            let joined = format!("{value} {more}");
            *value = cut(joined.trim(), VALUE).to_owned();
        }
        return;
    }
    let Some(colon) = memchr::memchr(b':', line).filter(|_| fields.len() < FIELDS) else { return };
    let name = String::from_utf8_lossy(line[..colon].trim_ascii()).to_ascii_lowercase();
    fields.push((cut(&name, 80).to_owned(), text(&line[colon + 1..])));
}

/// A value as text on one line, cut: what is not UTF-8 is replaced, control characters and line ends become spaces.
pub(super) fn text(value: &[u8]) -> String {
    let window = &value[..value.len().min(4 * VALUE)];
    let clean: String = String::from_utf8_lossy(window).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split(' ').filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), VALUE).to_owned()
}

/// At most so many octets, no character in two.
fn cut(text: &str, octets: usize) -> &str {
    let end = (0..=octets.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    &text[..end]
}

/// The Message-IDs in a field, in its order: what stands in angle brackets (RFC 5322 §3.6.4).
pub(super) fn message_ids(value: &[u8]) -> Vec<String> {
    let well_formed = |id: &[u8]| id.len() > 2 && id.len() <= MESSAGE_ID && id.iter().all(|b| (0x21..0x7f).contains(b));
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(from) = memchr::memchr(b'<', rest) {
        rest = &rest[from..];
        let Some(to) = memchr::memchr(b'>', rest) else { break };
        let id = &rest[..=to];
        if well_formed(id) {
            ids.push(String::from_utf8_lossy(id).into_owned());
        }
        rest = &rest[to + 1..];
    }
    ids
}

/// The address of a field that holds exactly one.
pub(super) fn one_address(value: &[u8]) -> Option<String> {
    let list = parse_address_list(value);
    let [address] = list.as_slice() else { return None };
    let local = std::str::from_utf8(address.mailbox.as_deref()?).ok()?;
    let host = std::str::from_utf8(address.host.as_deref()?).ok()?;
    Some(text(format!("{local}@{host}").as_bytes()))
}

/// The first enhanced status code of a failure in a text (RFC 3463 §2), as `5.1.1`.
pub(super) fn failure_code(text: &[u8]) -> Option<String> {
    let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
    memchr::memchr2_iter(b'4', b'5', text).find_map(|at| {
        let code = &text[at..text.len().min(at + 9)];
        let length = code.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let code = std::str::from_utf8(&code[..length]).ok()?.trim_end_matches('.');
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        (is_edge(before) && is_status(code)).then(|| code.to_owned())
    })
}

fn is_status(code: &str) -> bool {
    let numbers: Vec<&str> = code.split('.').collect();
    let is_number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    matches!(numbers.as_slice(), [class, subject, detail]
        if class.len() == 1 && is_number(subject) && is_number(detail))
}
