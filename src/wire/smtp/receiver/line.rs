//! Command lines out of a stream: CRLF only, bounded, the same in whatever pieces the bytes arrive.

use memchr::memchr2;
use zeroize::Zeroizing;

use super::super::content::Fault;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its CRLF; wiped when dropped, for it may hold a password.
    Complete(Zeroizing<Vec<u8>>),
    /// A line longer than the limit has ended; its bytes are gone.
    TooLong,
    /// A line so long that nobody waits for its end.
    Endless,
    /// A CR or LF that is not part of a CRLF.
    BadEnd(Fault),
}

/// Bytes of a line beyond the limit that are read before the peer is given up.
const PATIENCE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct LineReader {
    line: Zeroizing<Vec<u8>>,
    /// Octets of the line so far, kept or not.
    length: usize,
    after_cr: bool,
    limit: usize,
}

impl LineReader {
    /// `limit`: the longest line in octets, CRLF included.
    pub(super) fn new(limit: usize) -> LineReader {
        LineReader { line: Zeroizing::default(), length: 0, after_cr: false, limit }
    }

    /// Takes bytes off the front of `input`, up to the end of the next line. `None`: all was used, more is needed.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Option<Line> {
        loop {
            let (&first, rest) = input.split_first()?;
            if self.after_cr {
                if first != b'\n' {
                    return Some(Line::BadEnd(Fault::BareCr));
                }
                *input = rest;
                return Some(self.complete());
            }
            let length = memchr2(b'\r', b'\n', input).unwrap_or(input.len());
            let (text, rest) = input.split_at(length);
            if self.take(text).is_none() {
                return Some(Line::Endless);
            }
            *input = rest;
            match rest.first()? {
                b'\n' => return Some(Line::BadEnd(Fault::BareLf)),
                _ => {
                    self.after_cr = true;
                    *input = &rest[1..];
                }
            }
        }
    }

    fn take(&mut self, text: &[u8]) -> Option<()> {
        self.length += text.len();
        if self.length + 2 <= self.limit {
            self.line.extend_from_slice(text);
        } else {
            self.line = Zeroizing::default();
        }
        (self.length <= self.limit + PATIENCE).then_some(())
    }

    fn complete(&mut self) -> Line {
        self.after_cr = false;
        let line = std::mem::take(&mut self.line);
        let length = std::mem::take(&mut self.length);
        if length + 2 <= self.limit { Line::Complete(line) } else { Line::TooLong }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(wire: &[u8], size: usize) -> Vec<Line> {
        let mut reader = LineReader::new(12);
        let mut lines = Vec::new();
        for mut piece in wire.chunks(size) {
            while let Some(line) = reader.read(&mut piece) {
                let bad = matches!(line, Line::BadEnd(_) | Line::Endless);
                lines.push(line);
                if bad {
                    return lines;
                }
            }
        }
        lines
    }

    fn lines(wire: &[u8]) -> Vec<Line> {
        let whole = read_all(wire, wire.len());
        for size in 1..wire.len().min(40) {
            assert_eq!(read_all(wire, size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn lines_end_in_crlf() {
        let complete = |text: &str| Line::Complete(text.as_bytes().to_vec().into());
        assert_eq!(lines(b"NOOP\r\n\r\n0123456789\r\nQU"), [complete("NOOP"), complete(""), complete("0123456789")]);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_read() {
        assert_eq!(lines(b"0123456789a\r\nNOOP\r\n"), [Line::TooLong, Line::Complete(b"NOOP".to_vec().into())]);
    }

    #[test]
    fn a_lone_cr_or_lf_is_found_where_it_stands() {
        assert_eq!(lines(b"NOOP\nNOOP\r\n"), [Line::BadEnd(Fault::BareLf)]);
        assert_eq!(lines(b"NOOP\rNOOP\r\n"), [Line::BadEnd(Fault::BareCr)]);
        assert_eq!(lines(b"NOOP\r\r\n"), [Line::BadEnd(Fault::BareCr)]);
        assert_eq!(lines(b"012345678901234567890\n"), [Line::BadEnd(Fault::BareLf)]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let wire = vec![b'x'; PATIENCE + 13];
        assert_eq!(read_all(&wire, 1000), [Line::Endless]);
    }
}
