//! Address lists as ENVELOPE shows them (RFC 3501 §7.4.2, RFC 5322 §3.4 and §4.4), read leniently: what other servers
//! let through must still be shown, so nothing here fails.

use super::RawText;

/// One address structure of an ENVELOPE; `None` is NIL.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EnvelopeAddress {
    /// Display name (unquoted; encoded words stay encoded).
    pub name: Option<RawText>,
    /// Obsolete source route (`@a,@b`).
    pub route: Option<RawText>,
    /// Local part, or a group's name where `host` is `None`; `None` with `host` `None` ends a group.
    pub mailbox: Option<RawText>,
    /// Domain; `None` marks group syntax.
    pub host: Option<RawText>,
}

impl EnvelopeAddress {
    fn group_start(name: RawText) -> Self {
        Self { mailbox: Some(name), ..Self::default() }
    }

    fn group_end() -> Self {
        Self::default()
    }
}

/// At most so many addresses are shown of one field: an upper bound for work and reply, far above real mail.
const MOST_ADDRESSES: usize = 2_000;

/// How deep comments may be nested; deeper ones are read as text.
const COMMENT_DEPTH: usize = 16;

/// Reads an address list. Groups give a start entry (mailbox = name, host NIL), their members and an end entry.
pub fn parse_address_list(field: &[u8]) -> Vec<EnvelopeAddress> {
    let mut reader = ListReader { input: field, at: 0, out: Vec::new(), in_group: false };
    reader.run();
    reader.out
}

struct ListReader<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<EnvelopeAddress>,
    in_group: bool,
}

/// What stands before the next separator.
#[derive(Default)]
struct Pending {
    /// Words outside of angle brackets: a display name, or a bare address.
    phrase: RawText,
    /// Whether white space stands between the phrase and the next word.
    gap: bool,
    /// Where the last word of the phrase begins.
    last_word: usize,
    /// In `phrase`, where a bare address begins and where its `@` stands.
    at_sign: Option<(usize, usize)>,
    /// What stood in angle brackets.
    angle: Option<RawText>,
    /// The last comment: the name of a bare address in the old style, `user@host (Name)`.
    comment: Option<RawText>,
}

impl ListReader<'_> {
    fn run(&mut self) {
        let mut pending = Pending::default();
        while let Some(&byte) = self.input.get(self.at) {
            if self.out.len() >= MOST_ADDRESSES {
                break;
            }
            match byte {
                b'"' => {
                    let word = self.quoted();
                    pending.push_word(&word);
                }
                b'(' => {
                    let comment = self.comment();
                    pending.gap = true;
                    pending.comment = Some(comment);
                }
                b'<' => {
                    let inner = self.angle();
                    pending.angle = Some(inner);
                }
                b',' => {
                    self.at += 1;
                    self.emit(std::mem::take(&mut pending));
                }
                b':' if !self.in_group && pending.at_sign.is_none() && pending.angle.is_none() => {
                    self.at += 1;
                    self.start_group(std::mem::take(&mut pending));
                }
                b';' => {
                    self.at += 1;
                    self.emit(std::mem::take(&mut pending));
                    self.end_group();
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    pending.gap = true;
                }
                _ => {
                    self.at += 1;
                    pending.push_byte(byte);
                }
            }
        }
        self.emit(pending);
        self.end_group();
    }

    fn start_group(&mut self, pending: Pending) {
        self.out.push(EnvelopeAddress::group_start(pending.phrase));
        self.in_group = true;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(EnvelopeAddress::group_end());
        }
    }

    fn emit(&mut self, pending: Pending) {
        if let Some(address) = pending.into_address() {
            self.out.push(address);
        }
    }

    /// A quoted string from its opening quote; gives the unquoted text. An unclosed one runs to the end.
    fn quoted(&mut self) -> RawText {
        self.at += 1;
        let mut text = RawText::new();
        while let Some(&byte) = self.input.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some(&escaped) = self.input.get(self.at) {
                        self.at += 1;
                        text.push(escaped);
                    }
                }
                _ => text.push(byte),
            }
        }
        text
    }

    /// A comment from its opening parenthesis; gives the text within.
    fn comment(&mut self) -> RawText {
        self.at += 1;
        let mut text = RawText::new();
        let mut depth = 1usize;
        while let Some(&byte) = self.input.get(self.at) {
            self.at += 1;
            match byte {
                b'(' if depth < COMMENT_DEPTH => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    if let Some(&escaped) = self.input.get(self.at) {
                        self.at += 1;
                        text.push(escaped);
                    }
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        trimmed(&text).to_vec()
    }

    /// From `<` to its `>`, white space and comments dropped, quoted local parts kept with their content only.
    fn angle(&mut self) -> RawText {
        self.at += 1;
        let mut text = RawText::new();
        while let Some(&byte) = self.input.get(self.at) {
            match byte {
                b'>' => {
                    self.at += 1;
                    break;
                }
                b'"' => text.extend(self.quoted()),
                b'(' => {
                    self.comment();
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => {
                    self.at += 1;
                    text.push(byte);
                }
            }
        }
        text
    }
}

impl Pending {
    fn push_word(&mut self, word: &[u8]) {
        self.space(b'"');
        self.phrase.extend_from_slice(word);
    }

    fn push_byte(&mut self, byte: u8) {
        self.space(byte);
        if byte == b'@' {
            self.at_sign = Some((self.last_word, self.phrase.len()));
        }
        self.phrase.push(byte);
    }

    /// White space between words is one space of the name; none stands around the signs of an address.
    fn space(&mut self, next: u8) {
        // A dot holds a domain's labels together, but not a name's words: `Dr. Martin`.
        let in_domain = self.at_sign.is_some();
        let is_sign = |byte: u8| byte == b'@' || (byte == b'.' && in_domain);
        let in_address = is_sign(next) || self.phrase.last().copied().is_none_or(is_sign);
        if std::mem::take(&mut self.gap) && !in_address {
            self.phrase.push(b' ');
            self.last_word = self.phrase.len();
        }
    }

    fn into_address(self) -> Option<EnvelopeAddress> {
        if let Some(angle) = self.angle {
            let (route, spec) = split_route(&angle);
            let (mailbox, host) = split_spec(spec);
            let name = Some(self.phrase).filter(|n| !n.is_empty()).or(self.comment).filter(|n| !n.is_empty());
            if name.is_none() && mailbox.is_empty() && host.is_empty() {
                return None;
            }
            return Some(EnvelopeAddress { name, route, mailbox: Some(mailbox), host: Some(host) });
        }
        if self.phrase.is_empty() {
            return None;
        }
        let comment = self.comment.filter(|comment| !comment.is_empty());
        let Some((start, at)) = self.at_sign else {
            // No domain: shown as a local part with an empty host; NIL would mean group syntax.
            return Some(EnvelopeAddress {
                name: comment,
                route: None,
                mailbox: Some(self.phrase),
                host: Some(RawText::new()),
            });
        };
        // Words before a bare address (`Jean Martin jm@x.example`, without brackets) are meant as its name.
        let words = trimmed(&self.phrase[..start]).to_vec();
        Some(EnvelopeAddress {
            name: comment.or(Some(words)).filter(|name| !name.is_empty()),
            route: None,
            mailbox: Some(self.phrase[start..at].to_vec()),
            host: Some(self.phrase[at + 1..].to_vec()),
        })
    }
}

/// RFC 5322 §4.4: `<@a,@b:user@host>`.
fn split_route(angle: &[u8]) -> (Option<RawText>, &[u8]) {
    if angle.first() == Some(&b'@')
        && let Some(colon) = memchr::memchr(b':', angle)
    {
        return (Some(angle[..colon].to_vec()), &angle[colon + 1..]);
    }
    (None, angle)
}

fn split_spec(spec: &[u8]) -> (RawText, RawText) {
    match memchr::memrchr(b'@', spec) {
        Some(at) => (spec[..at].to_vec(), spec[at + 1..].to_vec()),
        None => (spec.to_vec(), RawText::new()),
    }
}

pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}
