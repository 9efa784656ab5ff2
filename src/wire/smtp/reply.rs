//! Replies: a code, an enhanced code and lines of text; written by a server, read by a client.
//!
//! RFC 5321 §4.2 (replies), RFC 2034 and RFC 3463 (enhanced status codes).

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest reply line, CRLF included, in octets. RFC 5321 §4.5.3.1.5.
pub const MAX_REPLY_LINE: usize = 512;

/// The most lines that [`ReplyReader`] takes for one reply.
const MAX_REPLY_LINES: usize = 128;

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 security.
    pub subject: u16,
    /// The precise condition.
    pub detail: u16,
}

impl EnhancedCode {
    /// `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedCode {
        EnhancedCode { class, subject, detail }
    }

    /// Reads `5.7.1`. Nothing but a class of 2, 4 or 5 and two numbers of one to three digits is taken (RFC 3463 §2).
    pub fn parse(text: &str) -> Option<EnhancedCode> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let subject = small_number(parts.next()?)?;
        let detail = small_number(parts.next()?)?;
        parts.next().is_none().then_some(EnhancedCode { class, subject, detail })
    }
}

fn small_number(text: &str) -> Option<u16> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, the first from 2 to 5.
    pub code: u16,
    /// The enhanced code; absent in the greeting, in `EHLO` and `HELO` replies and in 3xx replies (RFC 2034 §4).
    pub enhanced: Option<EnhancedCode>,
    /// At least one line of text, without the codes.
    pub lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply of one line with an enhanced code.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Reply {
        let (class, subject, detail) = enhanced;
        Reply { code, enhanced: Some(EnhancedCode::new(class, subject, detail)), lines: vec![text.into()] }
    }

    /// A reply of one line without an enhanced code: the greeting, 354, `HELO`.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, lines: vec![text.into()] }
    }

    /// A reply of several lines without an enhanced code: `EHLO`.
    pub fn listing(code: u16, lines: Vec<Cow<'static, str>>) -> Reply {
        debug_assert!(!lines.is_empty());
        Reply { code, enhanced: None, lines }
    }

    /// 2xx: done. (RFC 5321 §4.2.1)
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 4xx: try again later.
    pub fn is_temporary_failure(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5xx: do not try again.
    pub fn is_permanent_failure(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// 4xx or 5xx.
    pub fn is_failure(&self) -> bool {
        self.is_temporary_failure() || self.is_permanent_failure()
    }

    /// All lines of text in one, with a space between them.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The same reply, its text in one line of at most `most` octets: what is kept of a server's words while its next ones
    /// are awaited. A text that is cut ends in `…`.
    #[must_use]
    pub fn shortened(self, most: usize) -> Reply {
        if self.lines.len() == 1 && self.lines[0].len() <= most {
            return self;
        }
        let mut text = self.text();
        if text.len() > most {
            let room = most.saturating_sub('…'.len_utf8());
            text.truncate((0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
            text.push('…');
            text.shrink_to_fit();
        }
        Reply { code: self.code, enhanced: self.enhanced, lines: vec![text.into()] }
    }

    /// Appends the reply as it goes on the wire. Text that is not printable ASCII is made so (accents are dropped, other
    /// characters become `?`), because a reply is ASCII and a text may hold what a peer sent; a line that would be longer
    /// than [`MAX_REPLY_LINE`] becomes several.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let enhanced = self.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
        let room = MAX_REPLY_LINE - "250-\r\n".len() - enhanced.len();
        let lines: Vec<String> = self.lines.iter().flat_map(|line| wrapped(&printable(line), room)).collect();
        let last = lines.len().saturating_sub(1);
        for (i, line) in lines.iter().enumerate() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if i == last { b' ' } else { b'-' });
            out.extend_from_slice(enhanced.as_bytes());
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(&self.text())
    }
}

/// The text in printable ASCII: `Hôpital` becomes `Hopital`, anything without an ASCII form becomes `?`.
fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    let is_accent = |c: &char| ('\u{300}'..='\u{36f}').contains(c);
    let ascii = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    Cow::Owned(text.nfkd().filter(|c| !is_accent(c)).map(ascii).collect())
}

/// The ASCII text in pieces of at most `room` octets, cut at spaces where there are any.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut rest = text;
    let mut lines = Vec::new();
    while rest.len() > room {
        let cut = rest[..room].rfind(' ').filter(|at| *at > 0).unwrap_or(room);
        lines.push(rest[..cut].to_owned());
        rest = rest[cut..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

/// Why a server's reply could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line longer than any reply may be.
    #[error("a reply line is longer than {} octets", ReplyReader::LINE_LIMIT)]
    LineTooLong,
    /// More octets than any reply has.
    #[error("a reply is longer than {} octets", ReplyReader::LIMIT)]
    TooLong,
    /// More lines than any reply has.
    #[error("a reply has more than {MAX_REPLY_LINES} lines")]
    TooManyLines,
    /// Not `NNN text`, or the code changes within the reply.
    #[error("not an SMTP reply")]
    Malformed,
}

/// Reads replies out of a stream, in whatever pieces it arrives. Bounded: a line, the lines of a reply, and its octets.
///
/// As RFC 5321 §4.2 asks of a client it is tolerant in texts (any bytes; not UTF-8 is replaced) and strict in codes. A
/// line may end in a lone LF: a client gains nothing from refusing that.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    lines: Vec<Cow<'static, str>>,
    /// Octets of the lines before the one that is being read.
    octets: usize,
}

impl ReplyReader {
    /// Four times what RFC 5321 §4.5.3.1.5 allows, for servers with long texts.
    pub const LINE_LIMIT: usize = 4 * MAX_REPLY_LINE;

    /// Octets of a whole reply: what a thousand extensions would take.
    pub const LIMIT: usize = 32 << 10;

    /// Takes bytes off the front of `input`, up to the end of the next reply. `None`: all was used, more is needed.
    ///
    /// # Errors
    /// When the bytes are no reply; the connection is of no use any more.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = memchr::memchr(b'\n', input) {
            let (head, rest) = input.split_at(end + 1);
            *input = rest;
            self.grow_line(head)?;
            if let Some(reply) = self.line_complete()? {
                return Ok(Some(reply));
            }
        }
        let rest = std::mem::take(input);
        self.grow_line(rest)?;
        Ok(None)
    }

    /// Some of a reply has been read, and its end has not.
    pub fn is_within_reply(&self) -> bool {
        self.code.is_some() || !self.line.is_empty()
    }

    fn grow_line(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        if self.line.len() + bytes.len() > Self::LINE_LIMIT {
            return Err(ReplyError::LineTooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_complete(&mut self) -> Result<Option<Reply>, ReplyError> {
        let raw = std::mem::take(&mut self.line);
        // Looked at where a line ends, so that the answer does not hang on how the bytes were cut.
        self.octets += raw.len();
        if self.octets > Self::LIMIT {
            return Err(ReplyError::TooLong);
        }
        let line = raw.strip_suffix(b"\n").unwrap_or(&raw);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, last, text) = split_line(line).ok_or(ReplyError::Malformed)?;
        if *self.code.get_or_insert(code) != code {
            return Err(ReplyError::Malformed);
        }
        if self.lines.len() == MAX_REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        let text = self.without_enhanced_code(code, String::from_utf8_lossy(text).into_owned());
        self.lines.push(Cow::Owned(text));
        if !last {
            return Ok(None);
        }
        self.code = None;
        self.octets = 0;
        Ok(Some(Reply { code, enhanced: self.enhanced.take(), lines: std::mem::take(&mut self.lines) }))
    }

    /// Takes an enhanced code of the reply's own class off the front of the text (RFC 2034 §4).
    fn without_enhanced_code(&mut self, code: u16, text: String) -> String {
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match EnhancedCode::parse(word).filter(|enhanced| u16::from(enhanced.class) == code / 100) {
            Some(enhanced) => {
                self.enhanced.get_or_insert(enhanced);
                rest.to_owned()
            }
            None => text,
        }
    }
}

/// `NNN text`, `NNN-text` or `NNN`: the code, whether it is the last line, the text.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let plausible = (b'2'..=b'5').contains(&digits[0]) && digits[1..].iter().all(u8::is_ascii_digit);
    if !plausible {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_of_several_lines_repeats_its_codes() {
        let mut reply = Reply::new(550, (5, 7, 1), "First");
        reply.lines.push("second".into());
        assert_eq!(written(&reply), "550-5.7.1 First\r\n550 5.7.1 second\r\n");
    }

    #[test]
    fn a_text_cannot_break_out_of_its_line() {
        let reply = Reply::new(550, (5, 7, 1), "no\r\n250 2.0.0 yes\0");
        assert_eq!(written(&reply), "550 5.7.1 no??250 2.0.0 yes?\r\n");
    }

    #[test]
    fn a_reply_is_kept_in_a_line_of_bounded_length() {
        let mut long = Reply::new(550, (5, 1, 1), "no");
        assert_eq!(long.clone().shortened(2), long);
        long.lines.push("such é".into());
        assert_eq!(long.clone().shortened(10), Reply::new(550, (5, 1, 1), "no such é"));
        // Never within a character.
        assert_eq!(long.clone().shortened(9), Reply::new(550, (5, 1, 1), "no suc…"));
        long.lines.push("é".repeat(20_000).into());
        for most in 100..110 {
            let kept = long.clone().shortened(most).text();
            assert!(kept.ends_with("é…") && kept.len() <= most && kept.len() > most - 2, "{most}: {kept}");
        }
    }

    #[test]
    fn accents_are_dropped_from_a_text() {
        assert_eq!(written(&Reply::plain(554, "Hôpital d’Évreux ✓")), "554 Hopital d?Evreux ?\r\n");
    }

    #[test]
    fn no_line_is_longer_than_the_limit() {
        let text = written(&Reply::new(550, (5, 7, 1), "word ".repeat(500)));
        assert!(text.lines().count() > 4);
        assert!(text.split_inclusive("\r\n").all(|line| line.len() <= MAX_REPLY_LINE));
        let text = written(&Reply::new(550, (5, 7, 1), "x".repeat(2000)));
        assert!(text.split_inclusive("\r\n").all(|line| line.len() <= MAX_REPLY_LINE));
    }

    #[test]
    fn a_reply_is_read_back_in_any_pieces() {
        let wire =
            b"250-mx.example greets you\r\n250-SIZE 100\r\n250 DSN\r\n550-5.7.1 no\r\n550 5.7.1 really\r\n354\r\n";
        for size in 1..wire.len() {
            let mut reader = ReplyReader::default();
            let mut replies = Vec::new();
            for mut piece in wire.chunks(size) {
                while let Some(reply) = reader.read(&mut piece).unwrap() {
                    replies.push(reply);
                }
            }
            let codes: Vec<u16> = replies.iter().map(|r| r.code).collect();
            assert_eq!(codes, [250, 550, 354]);
            assert_eq!(replies[0].lines, ["mx.example greets you", "SIZE 100", "DSN"]);
            assert_eq!(replies[1].enhanced, Some(EnhancedCode::new(5, 7, 1)));
            assert_eq!(replies[1].text(), "no really");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for wire in ["hello\r\n", "2x0 no\r\n", "250-a\r\n251 b\r\n", "999 a\r\n", "25\r\n", "250/a\r\n"] {
            let mut reader = ReplyReader::default();
            assert!(reader.read(&mut wire.as_bytes()).is_err(), "{wire:?}");
        }
        let mut reader = ReplyReader::default();
        assert_eq!(reader.read(&mut vec![b'2'; 5000].as_slice()), Err(ReplyError::LineTooLong));
    }

    #[test]
    fn a_reply_without_an_end_is_given_up_and_a_long_one_before_the_next_is_not() {
        let endless = |line: &str| {
            let wire = line.repeat(1000);
            let mut reader = ReplyReader::default();
            reader.read(&mut wire.as_bytes()).unwrap_err()
        };
        assert_eq!(endless("250-go on\r\n"), ReplyError::TooManyLines);
        assert_eq!(endless(&format!("250-{}\r\n", "x".repeat(1000))), ReplyError::TooLong);
        let long = format!("250-{}\r\n", "x".repeat(1000)).repeat(30) + "250 end\r\n";
        let mut reader = ReplyReader::default();
        for _ in 0..3 {
            assert_eq!(reader.read(&mut long.as_bytes()).unwrap().unwrap().lines.len(), 31);
        }
    }
}
