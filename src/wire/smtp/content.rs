//! What a message may consist of, checked while it passes through, in whatever pieces it arrives.
//!
//! [`Content`] cuts the bytes that follow `DATA` or `BDAT` into pieces of message, and stops at the first fault. It keeps
//! no bytes: a piece is a part of the input, except for a CRLF that was cut in two by the network. Per byte it does
//! vectorised scans only (one for line ends, one for NUL, one for 8-bit).
//!
//! With `DATA` a leading dot is removed from each line, and a line that is a dot alone ends the message (RFC 5321 §4.5.2).
//! Line ends are CRLF; a lone CR or LF is a fault (RFC 5321 §2.3.8), which takes the ground from every known form of
//! SMTP smuggling: `LF.LF`, `LF.CRLF`, `CR.CR`, `CRLF.LF`, `CRLF.CR`, `LF CRLF.CRLF` …

use memchr::{memchr, memchr2};

/// What [`Content`] lets through.
#[derive(Clone, Debug)]
pub struct ContentRules {
    /// Octets above 127 may occur in the header section (`SMTPUTF8` or `BODY=8BITMIME` was said).
    pub eight_bit_header: bool,
    /// Octets above 127 may occur in the body (`BODY=8BITMIME` was said).
    pub eight_bit_body: bool,
    /// The longest line in octets, without CRLF. RFC 5321 §4.5.3.1.6 has 998.
    pub line: usize,
    /// The longest header section in octets, with the empty line that ends it.
    pub header: u64,
    /// The biggest message in octets, without the dots that `DATA` adds.
    pub size: u64,
}

/// What is wrong with a message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A CR that no LF follows.
    BareCr,
    /// An LF that no CR precedes.
    BareLf,
    /// A NUL. RFC 5321 §4.5.2, RFC 5322 §4.
    Nul,
    /// 8-bit octets in the header section that were not declared.
    EightBitHeader,
    /// 8-bit octets in the body that were not declared. RFC 6152 §3.
    EightBitBody,
    /// A line longer than the limit.
    LongLine,
    /// A header section longer than the limit.
    LongHeader,
    /// A message longer than the limit.
    TooBig,
}

impl Fault {
    /// Whether the two sides may disagree about where the message ends: then nothing after it can be trusted.
    pub fn breaks_framing(self) -> bool {
        matches!(self, Fault::BareCr | Fault::BareLf)
    }
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// A piece of the message.
    Piece(&'i [u8]),
    /// The header section is complete: the last piece ended it, or the message ends without a body.
    HeaderEnd,
    /// The message is complete (`DATA` only).
    End,
    /// The message is not acceptable. After a fault that does not break the framing, the bytes go on to be followed to
    /// the message's end, without pieces and other faults than those that break the framing.
    Fault(Fault),
    /// All input was used.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    /// After the dot at a line's start, which was removed.
    Dot,
    /// After that dot and a CR: an LF ends the message.
    DotCr,
    Line,
    /// After a CR that has not been given out yet.
    Cr,
}

/// The scanner. See the module's text.
#[derive(Debug)]
pub struct Content {
    rules: ContentRules,
    dots: bool,
    at: At,
    in_header: bool,
    header_end_due: bool,
    end_due: bool,
    line: usize,
    size: u64,
    spoilt: bool,
}

impl Content {
    /// For a message that `DATA` brings: dots are removed, a dot alone ends it.
    pub fn dotted(rules: ContentRules) -> Content {
        Content::new(rules, true)
    }

    /// For a message that `BDAT` brings: its end is for the caller to know.
    pub fn counted(rules: ContentRules) -> Content {
        Content::new(rules, false)
    }

    fn new(rules: ContentRules, dots: bool) -> Content {
        Content {
            rules,
            dots,
            at: At::LineStart,
            in_header: true,
            header_end_due: false,
            end_due: false,
            line: 0,
            size: 0,
            spoilt: false,
        }
    }

    /// Octets of message given out so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the pieces belong to the header section.
    pub fn in_header(&self) -> bool {
        self.in_header
    }

    /// The message is refused for another reason: follow it to its end without pieces.
    pub fn spoil(&mut self) {
        self.spoilt = true;
        self.header_end_due = false;
    }

    /// Takes bytes off the front of `input` and says what they are.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Event<'i> {
        loop {
            if std::mem::take(&mut self.header_end_due) {
                return Event::HeaderEnd;
            }
            if std::mem::take(&mut self.end_due) {
                return Event::End;
            }
            if input.is_empty() {
                return Event::More;
            }
            let event = match self.at {
                At::LineStart => self.line_start(input),
                At::Dot => self.dot(input),
                At::DotCr => self.dot_cr(input),
                At::Cr => self.cr(input),
                At::Line => self.lines(input),
            };
            match event {
                Some(Event::Fault(fault)) => {
                    self.spoil();
                    return Event::Fault(fault);
                }
                Some(Event::Piece(_)) if self.spoilt => {}
                Some(event) => return event,
                None => {}
            }
        }
    }

    /// The last byte of a counted message has been taken: `HeaderEnd` if it has no body (then ask again), a fault if it
    /// ends in a lone CR, else `End`. That a message ends in CRLF is not asked for (RFC 3030 §2 lets it end anywhere).
    pub fn finish(&mut self) -> Event<'static> {
        if self.at == At::Cr {
            return Event::Fault(Fault::BareCr);
        }
        if std::mem::take(&mut self.in_header) && !self.spoilt {
            return Event::HeaderEnd;
        }
        Event::End
    }

    fn line_start(&mut self, input: &mut &[u8]) -> Option<Event<'static>> {
        self.line = 0;
        self.at = At::Line;
        if self.dots && input[0] == b'.' {
            *input = &input[1..];
            self.at = At::Dot;
        }
        None
    }

    fn dot(&mut self, input: &mut &[u8]) -> Option<Event<'static>> {
        self.at = At::Line;
        if input[0] == b'\r' {
            *input = &input[1..];
            self.at = At::DotCr;
        }
        None
    }

    fn dot_cr(&mut self, input: &mut &[u8]) -> Option<Event<'static>> {
        if input[0] != b'\n' {
            return Some(Event::Fault(Fault::BareCr));
        }
        *input = &input[1..];
        self.at = At::LineStart;
        self.end_due = true;
        self.leave_header();
        None
    }

    /// The other half of a CRLF that was cut in two.
    fn cr(&mut self, input: &mut &[u8]) -> Option<Event<'static>> {
        if input[0] != b'\n' {
            return Some(Event::Fault(Fault::BareCr));
        }
        if self.room() < 2 {
            return Some(Event::Fault(self.full()));
        }
        *input = &input[1..];
        self.at = At::LineStart;
        self.size += 2;
        if self.line == 0 {
            self.leave_header();
        }
        Some(Event::Piece(b"\r\n"))
    }

    /// RFC 5322 §2.1: the first empty line ends the header section.
    fn leave_header(&mut self) {
        if std::mem::take(&mut self.in_header) {
            self.header_end_due = !self.spoilt;
        }
    }

    /// As many lines as lie before us without a dot to remove, the last of them perhaps in part.
    fn lines<'i>(&mut self, input: &mut &'i [u8]) -> Option<Event<'i>> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        if room == 0 {
            return Some(Event::Fault(self.full()));
        }
        let bytes: &'i [u8] = input;
        let (end, stop) = self.measure(&bytes[..bytes.len().min(room)]);
        let piece = &bytes[..end];
        self.size += end as u64;
        // A CR at the end waits for its LF: it is used up, and given out with it.
        *input = &bytes[end + usize::from(stop == Stop::Cr)..];
        let wrong_byte = self.wrong_byte(piece);
        match stop {
            Stop::Fault(fault) if piece.is_empty() => return Some(Event::Fault(fault)),
            // With bytes before it, the fault is met again when they have been given out.
            Stop::Fault(_) | Stop::Bytes => {}
            Stop::Cr => self.at = At::Cr,
            Stop::LineStart => self.at = At::LineStart,
            Stop::EmptyLine => {
                self.at = At::LineStart;
                self.leave_header();
            }
        }
        match wrong_byte {
            Some(fault) => Some(Event::Fault(fault)),
            None => (!piece.is_empty()).then_some(Event::Piece(piece)),
        }
    }

    /// How many of the bytes can be given out in one piece, and why no more. Keeps `line` up to date.
    fn measure(&mut self, bytes: &[u8]) -> (usize, Stop) {
        let longest = if self.spoilt { usize::MAX } else { self.rules.line };
        let mut end = 0;
        loop {
            let rest = &bytes[end..];
            let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            if length > longest - self.line {
                let fits = longest - self.line;
                self.line = longest;
                return (end + fits, Stop::Fault(Fault::LongLine));
            }
            self.line = self.line.saturating_add(length);
            end += length;
            match bytes[end..] {
                [] => return (end, Stop::Bytes),
                [b'\r'] => return (end, Stop::Cr),
                [b'\r', b'\n', ..] => end += 2,
                [b'\r', ..] => return (end, Stop::Fault(Fault::BareCr)),
                _ => return (end, Stop::Fault(Fault::BareLf)),
            }
            if std::mem::take(&mut self.line) == 0 && self.in_header {
                return (end, Stop::EmptyLine);
            }
            if bytes.get(end).is_none_or(|next| self.dots && *next == b'.') {
                return (end, Stop::LineStart);
            }
        }
    }

    /// Octets that may still come in this part of the message.
    fn room(&self) -> u64 {
        let limit = if self.in_header { self.rules.size.min(self.rules.header) } else { self.rules.size };
        if self.spoilt { u64::MAX } else { limit.saturating_sub(self.size) }
    }

    /// The fault of a message that has no more room.
    fn full(&self) -> Fault {
        if self.in_header && self.rules.header < self.rules.size { Fault::LongHeader } else { Fault::TooBig }
    }

    /// The first byte that no message may hold, or that was not declared.
    fn wrong_byte(&self, piece: &[u8]) -> Option<Fault> {
        if self.spoilt {
            return None;
        }
        let (allowed, undeclared) = match self.in_header {
            true => (self.rules.eight_bit_header, Fault::EightBitHeader),
            false => (self.rules.eight_bit_body, Fault::EightBitBody),
        };
        let nul = memchr(0, piece);
        if allowed || piece.is_ascii() {
            return nul.map(|_| Fault::Nul);
        }
        let eight_bit = piece.iter().position(|byte| !byte.is_ascii());
        if nul.is_some() && nul < eight_bit { Some(Fault::Nul) } else { Some(undeclared) }
    }
}

/// Why a piece ends where it does.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// There are no more bytes; in the middle of a line.
    Bytes,
    /// A line is complete, and the next one starts with a dot or is not there yet.
    LineStart,
    /// The line that ends the header section is complete.
    EmptyLine,
    /// The last byte is a CR.
    Cr,
    /// What follows is a fault.
    Fault(Fault),
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ContentRules =
        ContentRules { eight_bit_header: false, eight_bit_body: false, line: 20, header: 60, size: 100 };

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Outcome {
        header: Vec<u8>,
        body: Vec<u8>,
        header_ended: bool,
        faults: Vec<Fault>,
        ended: bool,
        rest: Vec<u8>,
    }

    fn run(mut content: Content, wire: &[u8], size: usize) -> Outcome {
        let mut outcome = Outcome::default();
        let mut used = 0;
        'pieces: for piece in wire.chunks(size) {
            let mut input = piece;
            loop {
                let in_header = content.in_header();
                match content.next(&mut input) {
                    Event::Piece(piece) if outcome.header_ended => outcome.body.extend_from_slice(piece),
                    Event::Piece(piece) => {
                        assert!(in_header);
                        outcome.header.extend_from_slice(piece);
                    }
                    Event::HeaderEnd => outcome.header_ended = true,
                    Event::Fault(fault) => {
                        outcome.faults.push(fault);
                        if fault.breaks_framing() {
                            break 'pieces;
                        }
                    }
                    Event::End => {
                        outcome.ended = true;
                        used += piece.len() - input.len();
                        break 'pieces;
                    }
                    Event::More => break,
                }
            }
            used += piece.len();
        }
        if outcome.ended {
            outcome.rest = wire[used..].to_vec();
        }
        if !outcome.faults.is_empty() {
            outcome.header.clear();
            outcome.body.clear();
        }
        outcome
    }

    /// The outcome, which is the same in whatever pieces the bytes come.
    fn dotted(wire: &[u8]) -> Outcome {
        let whole = run(Content::dotted(RULES), wire, wire.len().max(1));
        for size in 1..wire.len() {
            assert_eq!(
                run(Content::dotted(RULES), wire, size),
                whole,
                "{:?} in pieces of {size}",
                wire.escape_ascii().to_string()
            );
        }
        whole
    }

    #[test]
    fn a_message_passes_unchanged_but_for_its_dots() {
        let outcome = dotted(b"A: b\r\nC: d\r\n\r\n..x\r\n.y\r\n...\r\nz.\r\n\r\n.\r\nQUIT\r\n");
        assert_eq!(outcome.header, b"A: b\r\nC: d\r\n\r\n");
        assert_eq!(outcome.body, b".x\r\ny\r\n..\r\nz.\r\n\r\n");
        assert!(outcome.header_ended && outcome.ended && outcome.faults.is_empty());
        assert_eq!(outcome.rest, b"QUIT\r\n");
    }

    #[test]
    fn a_message_without_a_body_has_a_header_section_that_ends() {
        for wire in [&b"A: b\r\n.\r\n"[..], b".\r\n", b"A: b\r\n\r\n.\r\n", b"\r\n.\r\n"] {
            let outcome = dotted(wire);
            assert!(outcome.header_ended && outcome.ended, "{wire:?}");
            assert!(outcome.body.is_empty());
        }
    }

    #[test]
    fn every_known_form_of_smuggling_is_a_fault() {
        for ending in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r\n.\r",
            "\r.\r\n",
            "\n\r\n.\n",
            "\r\r\n.\r\n",
            "\n.\r",
            "\r.\n",
            "\n\r.\r\n",
        ] {
            for head in ["A: b", "A: b\r\n\r\nx"] {
                let wire = format!("{head}{ending}MAIL FROM:<x@y>\r\n.\r\n");
                let outcome = dotted(wire.as_bytes());
                assert!(outcome.faults.iter().any(|fault| fault.breaks_framing()), "{wire:?}: {outcome:?}");
                assert!(!outcome.ended, "{wire:?}");
            }
        }
        assert_eq!(dotted(b"A: b\r\n\r\nx\n\r\n.\r\n").faults, [Fault::BareLf]);
        assert_eq!(dotted(b"A: b\r\n\0.\r\n.\r\n").faults, [Fault::Nul]);
    }

    #[test]
    fn what_is_not_allowed_is_a_fault_once_and_the_message_is_followed_to_its_end() {
        let long = format!("A: {}\r\n\r\n.\r\n", "x".repeat(18));
        let header = format!("{}\r\n.\r\n", "A: 0123456789\r\n".repeat(5));
        let big = format!("A: b\r\n\r\n{}.\r\n", "0123456789\r\n".repeat(9));
        for (wire, fault) in [
            (&b"A: \0b\r\n\r\nc\0\r\n.\r\n"[..], Fault::Nul),
            (b"A: \xe9\r\n\r\nc\xe9\r\n.\r\n", Fault::EightBitHeader),
            (b"A: b\r\n\r\nc\xe9\r\n.\r\n", Fault::EightBitBody),
            (b"A: b\r\n\r\nc\0\xe9\r\n.\r\n", Fault::Nul),
            (long.as_bytes(), Fault::LongLine),
            (header.as_bytes(), Fault::LongHeader),
            (big.as_bytes(), Fault::TooBig),
        ] {
            let outcome = dotted(wire);
            assert_eq!(outcome.faults, [fault]);
            assert!(outcome.ended);
        }
    }

    #[test]
    fn what_just_fits_is_no_fault() {
        let line = format!("A: {}\r\n\r\n.\r\n", "x".repeat(17));
        let big = format!("A: b\r\n\r\n{}\r\n.\r\n", "0123456789\r\n".repeat(7) + "012345");
        let header = format!("{}A: 90123456\r\n\r\n.\r\n", "A: 0123456789\r\n".repeat(3));
        for wire in [line, big, header] {
            let outcome = dotted(wire.as_bytes());
            assert!(outcome.faults.is_empty() && outcome.ended, "{wire:?}: {outcome:?}");
        }
    }

    #[test]
    fn a_counted_message_keeps_its_dots_and_may_end_anywhere() {
        let wire = b"A: b\r\n\r\n.\r\n..\r\nend";
        for size in 1..wire.len() {
            let mut content = Content::counted(RULES);
            let mut given = Vec::new();
            for mut input in wire.chunks(size) {
                loop {
                    match content.next(&mut input) {
                        Event::Piece(piece) => given.extend_from_slice(piece),
                        Event::HeaderEnd => {}
                        Event::More => break,
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(given, wire);
            assert_eq!(content.finish(), Event::End);
        }
        let mut content = Content::counted(RULES);
        let mut input = &b"A: b\r"[..];
        while content.next(&mut input) != Event::More {}
        assert_eq!(content.finish(), Event::Fault(Fault::BareCr));
    }
}
