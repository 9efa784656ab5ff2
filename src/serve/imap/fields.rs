//! Chooses fields of a header that flows by, for `HEADER.FIELDS` (RFC 3501 §6.4.5).

/// Lets the named fields of a header pass, or all but them. Takes the header in pieces of any size.
#[derive(Debug, Clone)]
pub(super) struct FieldFilter<'a> {
    not: bool,
    names: &'a [Vec<u8>],
    /// The beginning of a line whose field is not known yet.
    undecided: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, after a field that passed or did not.
    LineStart { passing: bool },
    /// In a field's name.
    Name,
    /// Within a line.
    Line { passing: bool },
    /// The empty line was seen.
    Over,
}

/// A line without a colon in so many bytes is no field.
const LONGEST_NAME: usize = 1000;

impl<'a> FieldFilter<'a> {
    pub(super) fn new(not: bool, names: &'a [Vec<u8>]) -> Self {
        FieldFilter { not, names, undecided: Vec::new(), state: State::LineStart { passing: false } }
    }

    /// Takes a piece of the header and puts what passes into `out`.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            rest = match self.state {
                State::Over => return,
                State::LineStart { passing } => {
                    // RFC 5322 §2.2.3: a line that begins with white space goes on with the field before.
                    self.state = if matches!(byte, b' ' | b'\t') { State::Line { passing } } else { State::Name };
                    rest
                }
                State::Name => self.name(rest, out),
                State::Line { passing } => self.line(rest, passing, out),
            };
        }
    }

    /// The header is over: the empty line is always in the answer, unless the header has none (RFC 3501 §6.4.5).
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Over {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn name<'b>(&mut self, rest: &'b [u8], out: &mut Vec<u8>) -> &'b [u8] {
        let Some(at) = memchr::memchr2(b':', b'\n', rest) else {
            self.undecided.extend_from_slice(rest);
            if self.undecided.len() > LONGEST_NAME {
                self.decide(self.not, out);
            }
            return &[];
        };
        self.undecided.extend_from_slice(&rest[..at]);
        if rest[at] == b':' {
            let wanted = self.is_wanted();
            self.decide(wanted, out);
            return &rest[at..];
        }
        if matches!(self.undecided.as_slice(), b"" | b"\r") {
            self.state = State::Over;
            self.undecided.clear();
            return &[];
        }
        // A line that is no field belongs to none.
        self.decide(self.not, out);
        &rest[at..]
    }

    fn decide(&mut self, passing: bool, out: &mut Vec<u8>) {
        if passing {
            out.extend_from_slice(&self.undecided);
        }
        self.undecided.clear();
        self.state = State::Line { passing };
    }

    fn is_wanted(&self) -> bool {
        let name = self.undecided.trim_ascii_end();
        self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) != self.not
    }

    fn line<'b>(&mut self, rest: &'b [u8], passing: bool, out: &mut Vec<u8>) -> &'b [u8] {
        let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
        let line = &rest[..end.unwrap_or(rest.len())];
        if passing {
            out.extend_from_slice(line);
        }
        if end.is_some() {
            self.state = State::LineStart { passing };
        }
        &rest[line.len()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "From: a\r\nTo: b,\r\n\tc\r\nSubject : d\r\nX-No-Colon\r\nto: e\r\n\r\n";

    fn kept(not: bool, names: &[&str], size: usize) -> String {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut filter = FieldFilter::new(not, &names);
        let mut out = Vec::new();
        for piece in HEADER.as_bytes().chunks(size) {
            filter.push(piece, &mut out);
        }
        filter.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn named_fields_pass_with_their_folded_lines_however_the_header_is_cut() {
        for size in 1..HEADER.len() {
            assert_eq!(kept(false, &["TO"], size), "To: b,\r\n\tc\r\nto: e\r\n\r\n", "pieces of {size}");
            assert_eq!(kept(false, &["subject", "x"], size), "Subject : d\r\n\r\n");
            assert_eq!(kept(true, &["to", "from"], size), "Subject : d\r\nX-No-Colon\r\n\r\n");
            assert_eq!(kept(false, &[], size), "\r\n");
        }
    }
}
