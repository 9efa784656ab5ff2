//! Reading and writing mbox files: many messages in one file, parted by `From ` lines.
//!
//! There are as many mbox formats as programs. This reads the two that quote (mboxrd: `>*From ` gets one more `>`; mboxo: only
//! `From ` does) and writes mboxrd, the one that loses nothing. `Content-Length:` is not believed: it is wrong too often.
//! Flags live in the pseudo-headers `Status:`, `X-Status:` and `X-Keywords:`, as mutt, Dovecot and Python's mailbox write them; they are
//! no part of the message and are taken away when reading.

use std::io::{self, BufRead};

use super::asctime;
use super::flags;

/// A message of an mbox file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MboxMessage {
    /// Its bytes, line ends as in the file.
    pub bytes: Vec<u8>,
    /// Its flags and keywords.
    pub flags: Vec<String>,
    /// When it arrived, in Unix seconds, if its `From ` line tells.
    pub date: Option<i64>,
}

/// One step through an mbox file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message.
    Message(MboxMessage),
    /// A message larger than the bound; its bytes were passed over.
    TooLarge,
}

/// Reads an mbox file, message by message, holding one at a time.
#[derive(Debug)]
pub struct MboxReader<R> {
    input: R,
    bound: usize,
    /// Whether this file's separators carry a date that we can read; then nothing else counts as one.
    strict: bool,
    /// The separator of the message that comes next.
    separator: Option<Vec<u8>>,
}

impl<R: BufRead> MboxReader<R> {
    /// Starts reading; messages larger than `bound` bytes are passed over.
    ///
    /// # Errors
    /// If the input cannot be read, or does not start with a `From ` line.
    pub fn new(mut input: R, bound: usize) -> io::Result<Self> {
        let mut first = Vec::new();
        // Blank lines before the first message are seen in the wild.
        while is_blank(&first) {
            first.clear();
            if read_line(&mut input, &mut first, bound)? == 0 {
                return Ok(Self { input, bound, strict: true, separator: None });
            }
        }
        if !first.starts_with(b"From ") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "does not start with a \"From \" line"));
        }
        let strict = asctime::of_from_line(&first).is_some();
        Ok(Self { input, bound, strict, separator: Some(first) })
    }

    /// The next message.
    ///
    /// # Errors
    /// If the input cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Item>> {
        let Some(separator) = self.separator.take() else { return Ok(None) };
        let mut bytes = Vec::new();
        let mut line = Vec::new();
        let mut after_blank = true;
        let mut too_large = false;
        loop {
            line.clear();
            if read_line(&mut self.input, &mut line, self.bound.saturating_add(1))? == 0 {
                break;
            }
            if line.starts_with(b"From ") && self.parts(&line, after_blank)? {
                self.separator = Some(line);
                break;
            }
            after_blank = is_blank(&line);
            too_large |= bytes.len() + line.len() > self.bound;
            if too_large {
                bytes = Vec::new();
            } else {
                bytes.extend_from_slice(unquoted(&line));
            }
        }
        if too_large {
            return Ok(Some(Item::TooLarge));
        }
        drop_last_blank_line(&mut bytes);
        let (bytes, flags) = take_status(bytes);
        Ok(Some(Item::Message(MboxMessage { bytes, flags, date: asctime::of_from_line(&separator) })))
    }

    /// Whether a line that begins with `From ` parts two messages. Where the file's separators have dates, the date decides; else a
    /// blank line before and a header field after it must be there, or prose that begins with "From" would cut messages in two.
    fn parts(&mut self, line: &[u8], after_blank: bool) -> io::Result<bool> {
        if self.strict {
            return Ok(asctime::of_from_line(line).is_some());
        }
        Ok(after_blank && looks_like_a_header(self.input.fill_buf()?))
    }
}

impl<R: BufRead> Iterator for MboxReader<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Reads one line with its end into `line`; of one that is longer than `bound`, only its start is kept. Returns how long it was.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, bound: usize) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let buffer = match input.fill_buf() {
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let (take, ended) = match memchr::memchr(b'\n', buffer) {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        let room = bound.saturating_sub(line.len()).min(take);
        line.extend_from_slice(&buffer[..room]);
        input.consume(take);
        length += take;
        if ended {
            return Ok(length);
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\n" | b"\r\n")
}

/// Whether `text` begins with a header field (RFC 5322 §2.2: a name of printable characters, a colon).
pub fn looks_like_a_header(text: &[u8]) -> bool {
    let name = text.iter().take_while(|byte| byte.is_ascii_graphic() && **byte != b':').count();
    name > 0 && name < 200 && text.get(name) == Some(&b':')
}

/// A quoted line without one of its `>`.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    if quotes > 0 && line[quotes..].starts_with(b"From ") { &line[1..] } else { line }
}

/// The blank line before the next separator belongs to the file, not to the message.
fn drop_last_blank_line(bytes: &mut Vec<u8>) {
    for (tail, blank) in [(&b"\r\n\r\n"[..], 2), (&b"\n\n"[..], 1)] {
        if bytes.ends_with(tail) {
            bytes.truncate(bytes.len() - blank);
            return;
        }
    }
}

/// The pseudo-headers that hold flags.
const STATUS_FIELDS: [&str; 3] = ["status", "x-status", "x-keywords"];

/// Takes the pseudo-headers out of the message and reads the flags in them.
///
/// Where all three open the message, as in what [`write`] makes, just these are taken: a field of the same name further down then
/// came with the message. Else they are taken wherever they stand, as other programs put them last.
fn take_status(bytes: Vec<u8>) -> (Vec<u8>, Vec<String>) {
    let mut found = Vec::new();
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    let ours = begins_with_all(rest);
    while !(ours && found.len() == STATUS_FIELDS.len()) {
        let line = first_line(rest);
        match status_field(line) {
            Some((name, value)) => found.push((name, value.to_owned())),
            None if is_blank(line) => break,
            None => kept.extend_from_slice(line),
        }
        rest = &rest[line.len()..];
    }
    if found.is_empty() {
        return (bytes, Vec::new());
    }
    kept.extend_from_slice(rest);
    (kept, flags::of_status(&found))
}

/// Whether the three pseudo-headers stand first, in the order in which [`write`] puts them.
fn begins_with_all(mut text: &[u8]) -> bool {
    STATUS_FIELDS.into_iter().all(|wanted| {
        let line = first_line(text);
        text = &text[line.len()..];
        status_field(line).is_some_and(|(name, _)| name == wanted)
    })
}

fn first_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).map_or(text, |end| &text[..=end])
}

/// Name (in lower case) and value, if the line is one of the pseudo-headers.
fn status_field(line: &[u8]) -> Option<(&'static str, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (name, value) = line.split_once(':')?;
    let name = STATUS_FIELDS.into_iter().find(|field| field.eq_ignore_ascii_case(name))?;
    Some((name, value.trim()))
}

/// One message as mboxrd, with a blank line at its end.
///
/// mbox knows lines that end in LF, and nothing else: a message whose last line has no end gets one, and a bare CR or LF
/// within is not told apart from a line end afterwards. Mail that came by SMTP has neither.
pub fn write(message: &[u8], flags: &[String], date: i64) -> Vec<u8> {
    let mut file = Vec::with_capacity(message.len() + message.len() / 50 + 200);
    file.extend_from_slice(format!("From MAILER-DAEMON {}\n", asctime::text(date)).as_bytes());
    // All three, always: the block is what tells ours from the message's own fields when it is read again.
    file.extend_from_slice(flags::to_status(flags).as_bytes());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            file.push(b'>');
        }
        let text = line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
        file.extend_from_slice(text);
        file.push(b'\n');
    }
    file.push(b'\n');
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::line_ends::LineEnds;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<MboxMessage> {
        let reader = MboxReader::new(text.as_bytes(), 1 << 20).unwrap();
        reader
            .map(|item| match item.unwrap() {
                Item::Message(message) => message,
                Item::TooLarge => panic!("too large"),
            })
            .collect()
    }

    fn bodies(text: &str) -> Vec<String> {
        read(text).into_iter().map(|message| String::from_utf8(message.bytes).unwrap()).collect()
    }

    const ONE: &str = "From a@b.example Sun Nov 22 00:49:54 2026\n";

    #[test]
    fn messages_are_parted_and_unquoted() {
        let file =
            format!("{ONE}A: 1\n\n>From here\n>>From there\n>Not\n\n{ONE}A: 2\n\nFrom Paris with 3 greetings\n\n");
        assert_eq!(bodies(&file), ["A: 1\n\nFrom here\n>From there\n>Not\n", "A: 2\n\nFrom Paris with 3 greetings\n"]);
    }

    #[test]
    fn a_separator_needs_no_blank_line_before_it_when_it_has_a_date() {
        assert_eq!(bodies(&format!("{ONE}A: 1\n\nx\n{ONE}A: 2\n\ny\n")), ["A: 1\n\nx\n", "A: 2\n\ny\n"]);
    }

    #[test]
    fn separators_without_a_date_need_a_blank_line_and_a_header() {
        let file = "From x\nA: 1\n\nwords\n\nFrom here to there\nit went\nFrom y\nA: 3\n\nFrom z\nA: 2\n\n.\n";
        assert_eq!(bodies(file), ["A: 1\n\nwords\n\nFrom here to there\nit went\nFrom y\nA: 3\n", "A: 2\n\n.\n"]);
    }

    #[test]
    fn the_date_of_the_separator_is_the_internal_date() {
        assert_eq!(read(&format!("{ONE}A: 1\n\n"))[0].date, Some(1_795_308_594));
    }

    #[test]
    fn flags_of_other_programs_are_read_and_taken_away() {
        let file = format!(
            "{ONE}Subject: x\nStatus: RO\nX-Status: AF\nX-Keywords: $MDNSent  autre\nTo: y\n\nStatus: no field\n\n"
        );
        let message = &read(&file)[0];
        assert_eq!(message.bytes, b"Subject: x\nTo: y\n\nStatus: no field\n");
        assert_eq!(message.flags, ["\\Seen", "\\Answered", "\\Flagged", "$MDNSent", "autre"]);
    }

    #[test]
    fn a_status_field_that_came_with_the_message_survives_there_and_back() {
        for message in ["Subject: x\r\nStatus: R\r\n\r\nbody\r\n", "Status: R\r\nX-Status: A\r\nX-Keywords: k\r\n\r\n"]
        {
            let file = write(message.as_bytes(), &["\\Flagged".into()], 0);
            let back = &read(std::str::from_utf8(&file).unwrap())[0];
            assert_eq!(&*LineEnds::whole(&back.bytes), message.as_bytes());
            assert_eq!(back.flags, ["\\Flagged"]);
        }
    }

    #[test]
    fn a_message_over_the_bound_is_passed_over_and_the_next_one_is_read() {
        let file = format!("{ONE}A: 1\n\n{}\n\n{ONE}A: 2\n\nok\n", "x".repeat(5000));
        let items: Vec<_> = MboxReader::new(file.as_bytes(), 1000).unwrap().map(Result::unwrap).collect();
        assert_eq!(items[0], Item::TooLarge);
        assert!(matches!(&items[1], Item::Message(message) if message.bytes == b"A: 2\n\nok\n"));
    }

    #[test]
    fn what_is_no_mbox_says_so_and_an_empty_file_holds_nothing() {
        assert!(MboxReader::new(&b"Subject: x\n\n"[..], 10).is_err());
        assert_eq!(bodies(""), Vec::<String>::new());
    }

    #[test]
    fn crlf_files_are_read_too() {
        let file = "From a@b Sun Nov 22 00:49:54 2026\r\nA: 1\r\n\r\nx\r\n\r\nFrom a@b Sun Nov 22 00:49:54 2026\r\nA: 2\r\n\r\ny\r\n";
        assert_eq!(bodies(file), ["A: 1\r\n\r\nx\r\n", "A: 2\r\n\r\ny\r\n"]);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            lines in proptest::collection::vec("(>{0,2}From |Status: R|From a Sun Nov 22 00:49:54 2026|[a-z >]{0,12}|)", 1..12),
            seen: bool,
        ) {
            let message = format!("Subject: s\r\n\r\n{}\r\n", lines.join("\r\n"));
            let flags: Vec<String> = if seen { vec!["\\Seen".into()] } else { vec![] };
            let mut file = write(message.as_bytes(), &flags, 86_400);
            file.extend(write(message.as_bytes(), &flags, 86_401));
            let back: Vec<_> = MboxReader::new(&file[..], 1 << 20).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(back.len(), 2);
            for (item, date) in back.into_iter().zip([86_400, 86_401]) {
                let Item::Message(found) = item else { panic!("too large") };
                prop_assert_eq!(&*LineEnds::whole(&found.bytes), message.as_bytes());
                prop_assert_eq!(&found.flags, &flags);
                prop_assert_eq!(found.date, Some(date));
            }
        }

        #[test]
        fn no_input_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = ONE.as_bytes().to_vec();
            file.extend(text);
            for item in MboxReader::new(&file[..], 100).unwrap() {
                item.unwrap();
            }
        }
    }
}
