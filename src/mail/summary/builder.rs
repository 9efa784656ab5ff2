//! The streaming MIME reader (RFC 2045, RFC 2046): bytes in pieces of any size → [`Summary`].
//!
//! It asks three things of the bytes: where does a header section end, does a line that begins with `--` open or close
//! a part, how many lines have gone by. So bodies are only searched for `\n--` and counted for `\n`, both vectorised.
//! The open parts stand on a stack of [`Frame`]s; a boundary of one of them closes all that stand above it.

use memchr::{memchr, memchr_iter, memmem};

use super::fields::{self, Field};
use super::frame::{Ending, Frame, Holds};
use super::{Envelope, Message, Summary, SummaryLimits};

/// RFC 2046 §5.1.1 allows 70; broken senders use more. A longer one leaves the multipart unread.
pub(super) const LONGEST_BOUNDARY: usize = 200;

/// So much of a line is enough to tell a boundary: `--`, the boundary, `--`.
const CANDIDATE_BYTES: usize = LONGEST_BOUNDARY + 4;

/// The smallest sensible bound for a header field; lines could not be told apart below.
const LEAST_FIELD_BYTES: usize = 512;

/// Builds the [`Summary`] of a message that flows by.
#[derive(Debug)]
pub struct SummaryBuilder {
    limits: SummaryLimits,
    /// Open parts, the root first; never empty before `finish`.
    frames: Vec<Frame>,
    mode: Mode,
    /// Offset of the next octet.
    at: u64,
    /// Line ends seen.
    newlines: u64,
    /// The last three octets seen, the newest last: they tell the kind of line end across pushes.
    tail: [u8; 3],
    /// The beginning of a line that is not complete yet (a header line or a boundary candidate).
    line: Vec<u8>,
    /// Where that line began.
    mark: LineMark,
    /// The header field that may still be continued, and its raw value.
    field: Option<Field>,
    value: Vec<u8>,
    /// Octets of header values that may still be kept.
    budget: usize,
    /// Parts that may still be opened.
    parts_left: usize,
    /// Multiparts on the stack that wait for boundaries.
    open_multiparts: usize,
    boundary_search: memmem::Finder<'static>,
}

/// What the next octet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// In a header line; `line` holds its beginning.
    Header,
    /// At the beginning of a body line; `line` holds what may be a boundary.
    LineStart,
    /// Inside of a body line.
    Text,
    /// In the rest of an opening boundary's line; a part's header follows.
    BoundaryRest,
    /// The limits are used up: the rest is one opaque part.
    Opaque,
}

/// The state at the beginning of a line.
#[derive(Clone, Copy, Debug, Default)]
struct LineMark {
    start: u64,
    newlines: u64,
    tail: [u8; 3],
}

/// A boundary found: the frame it belongs to, and whether it closes it.
struct Delimiter {
    frame: usize,
    closes: bool,
}

impl SummaryBuilder {
    /// A builder for one message.
    pub fn new(limits: SummaryLimits) -> Self {
        let limits = SummaryLimits { field_bytes: limits.field_bytes.max(LEAST_FIELD_BYTES), ..limits };
        Self {
            limits,
            frames: vec![Frame::new(0, Some(Envelope::default()), false)],
            mode: Mode::Header,
            at: 0,
            newlines: 0,
            tail: [0; 3],
            line: Vec::new(),
            mark: LineMark::default(),
            field: None,
            value: Vec::new(),
            budget: limits.kept_bytes,
            parts_left: limits.parts.saturating_sub(1),
            open_multiparts: 0,
            boundary_search: memmem::Finder::new(b"\n--"),
        }
    }

    /// Takes the next octets of the message.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.mode {
                Mode::Header => self.read_header(rest),
                Mode::LineStart => self.read_line_start(rest),
                Mode::Text => self.read_text(rest),
                Mode::BoundaryRest => self.read_boundary_rest(rest),
                Mode::Opaque => self.pass(rest, rest.len()),
            };
            rest = &rest[used..];
        }
    }

    /// The message is complete.
    pub fn finish(mut self) -> Summary {
        let line = std::mem::take(&mut self.line);
        match self.mode {
            Mode::Header if !line.is_empty() => self.header_line(&line),
            Mode::LineStart if !line.is_empty() => self.body_line(&line),
            Mode::BoundaryRest => self.open_part(),
            _ => {}
        }
        // A header that the end cuts short; an embedded message behind it has an empty one of its own.
        while self.mode == Mode::Header {
            self.header_done();
        }
        let ending = Ending { at: self.at, newlines: self.newlines, last: self.tail[2] };
        self.close_above(0, ending);
        let message = match self.frames.pop() {
            Some(root) => {
                let (root, envelope) = root.close(ending);
                Message { envelope: envelope.unwrap_or_default(), root }
            }
            None => Message::default(),
        };
        Summary { size: self.at, message }
    }

    /// Moves behind `count` octets of `rest`, counting lines.
    fn pass(&mut self, rest: &[u8], count: usize) -> usize {
        let passed = &rest[..count];
        self.newlines += memchr_iter(b'\n', passed).count() as u64;
        self.at += count as u64;
        for &byte in &passed[count.saturating_sub(3)..] {
            self.tail = [self.tail[1], self.tail[2], byte];
        }
        count
    }

    fn mark_line(&mut self) {
        self.mark = LineMark { start: self.at, newlines: self.newlines, tail: self.tail };
    }

    /// Whether the octets passed last ended a line.
    fn at_line_end(&self) -> bool {
        self.tail[2] == b'\n'
    }

    // ---- header sections ----

    /// Reads to the end of the header line, or takes what is there of it.
    fn read_header(&mut self, rest: &[u8]) -> usize {
        if self.line.is_empty() {
            self.mark_line();
        }
        let newline = memchr(b'\n', rest);
        let count = newline.map_or(rest.len(), |at| at + 1);
        self.pass(rest, count);
        if newline.is_some() && self.line.is_empty() {
            self.header_line(&rest[..count.min(self.limits.field_bytes)]);
            return count;
        }
        let room = self.limits.field_bytes.saturating_sub(self.line.len());
        self.line.extend_from_slice(&rest[..count.min(room)]);
        if newline.is_some() {
            let line = std::mem::take(&mut self.line);
            self.header_line(&line);
        }
        count
    }

    /// A header line that has been passed: complete, or the last one of a message cut short. At most `field_bytes`.
    fn header_line(&mut self, line: &[u8]) {
        if let Some(found) = self.delimiter(line) {
            // A boundary within a part's header: the part has no body.
            self.end_field();
            self.cut_header();
            self.delimited(found);
            return;
        }
        if matches!(line, b"\n" | b"\r\n") {
            self.header_done();
            return;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            self.continue_field(line);
            return;
        }
        self.end_field();
        let Some((name_end, value_start)) = fields::split_name(line) else {
            self.not_a_field(line);
            return;
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.has_field = true;
        }
        self.field = Field::named(&line[..name_end]);
        if self.field.is_some() {
            self.value.extend_from_slice(&line[value_start..]);
        }
    }

    /// A line without a colon. As the first of its section it is body already: the header is missing. Later it is
    /// passed over, as mail clients do, so that no field can be hidden behind it.
    fn not_a_field(&mut self, line: &[u8]) {
        let has_field = self.frames.last().is_some_and(|frame| frame.has_field);
        let of_mbox = line.starts_with(b"From ") || line.starts_with(b">From ");
        if has_field || of_mbox {
            return;
        }
        self.enter_body(self.mark.start, self.mark.newlines);
        if self.mode == Mode::Header {
            // A digest's embedded message: its header is missing as well.
            self.enter_body(self.mark.start, self.mark.newlines);
        }
        self.mode = if self.at_line_end() { Mode::LineStart } else { Mode::Text };
    }

    fn continue_field(&mut self, line: &[u8]) {
        if self.field.is_some() {
            let room = self.limits.field_bytes.saturating_sub(self.value.len());
            self.value.extend_from_slice(&line[..line.len().min(room)]);
        }
    }

    /// Keeps the field that has been read, if it is one to keep and the budget allows.
    fn end_field(&mut self) {
        let Some(field) = self.field.take() else { return };
        let mut value = fields::unfold(&self.value);
        self.value.clear();
        value.truncate(self.budget);
        self.budget -= value.len();
        if let Some(frame) = self.frames.last_mut() {
            fields::keep(field, value, frame.envelope.as_mut(), &mut frame.part.content, &self.limits);
        }
    }

    /// The empty line, or the end of the message.
    fn header_done(&mut self) {
        self.end_field();
        self.enter_body(self.at, self.newlines);
    }

    /// The present header ends before the present line, and there is no body.
    fn cut_header(&mut self) {
        let (start, newlines) = (self.mark.start, self.mark.newlines);
        if let Some(frame) = self.frames.last_mut() {
            frame.part.body_start = start;
            frame.newlines_before = newlines;
        }
    }

    /// The header of the part on top is known: what does its body hold?
    fn enter_body(&mut self, start: u64, newlines: u64) {
        let deep = self.frames.len() >= self.limits.depth;
        let Some(frame) = self.frames.last_mut() else { return };
        frame.enter_body(start, newlines, deep || self.parts_left == 0);
        match frame.holds {
            Holds::Message(_) => {
                self.parts_left -= 1;
                self.frames.push(Frame::new(start, Some(Envelope::default()), false));
                self.mode = Mode::Header;
            }
            Holds::Multipart { .. } => {
                self.open_multiparts += 1;
                self.mode = Mode::LineStart;
            }
            Holds::Leaf => self.mode = Mode::LineStart,
        }
    }

    // ---- bodies ----

    /// Looks whether a body line begins as a boundary does.
    fn read_line_start(&mut self, rest: &[u8]) -> usize {
        let may_be_boundary = match self.line.len() {
            _ if self.open_multiparts == 0 => false,
            0 | 1 => rest[0] == b'-',
            _ => true,
        };
        if !may_be_boundary {
            self.line.clear();
            self.mode = Mode::Text;
            return 0;
        }
        if self.line.is_empty() {
            self.mark_line();
        }
        let room = CANDIDATE_BYTES - self.line.len();
        let window = &rest[..rest.len().min(room)];
        let newline = memchr(b'\n', window);
        let count = newline.map_or(window.len(), |at| at + 1);
        self.line.extend_from_slice(&rest[..count]);
        self.pass(rest, count);
        if newline.is_some() || self.line.len() == CANDIDATE_BYTES {
            let line = std::mem::take(&mut self.line);
            self.body_line(&line);
            // The buffer is used again: a body may have many such lines.
            self.line = line;
            self.line.clear();
        }
        count
    }

    /// A body line of which the beginning has been passed.
    fn body_line(&mut self, line: &[u8]) {
        match self.delimiter(line) {
            Some(found) => self.delimited(found),
            None => self.mode = if self.at_line_end() { Mode::LineStart } else { Mode::Text },
        }
    }

    /// Reads on to the next line that may be a boundary.
    fn read_text(&mut self, rest: &[u8]) -> usize {
        if self.open_multiparts == 0 {
            return self.pass(rest, rest.len());
        }
        let count = match self.boundary_search.find(rest) {
            Some(at) => at + 1,
            None if rest.ends_with(b"\n") => rest.len(),
            None if rest.ends_with(b"\n-") => rest.len() - 1,
            None => return self.pass(rest, rest.len()),
        };
        self.mode = Mode::LineStart;
        self.pass(rest, count)
    }

    /// Skips the padding behind an opening boundary (RFC 2046 §5.1.1, transport-padding).
    fn read_boundary_rest(&mut self, rest: &[u8]) -> usize {
        let newline = memchr(b'\n', rest);
        let count = newline.map_or(rest.len(), |at| at + 1);
        self.pass(rest, count);
        if newline.is_some() {
            self.open_part();
        }
        count
    }

    // ---- boundaries ----

    /// Whether the line is a boundary of an open multipart. Behind it only padding may stand, or the `--` that closes;
    /// where two fit, the longer one does.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        if self.open_multiparts == 0 {
            return None;
        }
        let text = line.strip_prefix(b"--")?;
        let mut best: Option<(usize, Delimiter)> = None;
        for (index, frame) in self.frames.iter().enumerate().rev() {
            let Holds::Multipart { boundary, open: true, .. } = &frame.holds else { continue };
            let Some(rest) = text.strip_prefix(boundary.as_slice()) else { continue };
            let closes = rest.starts_with(b"--");
            let opens = matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
            if (closes || opens) && best.as_ref().is_none_or(|(length, _)| boundary.len() > *length) {
                best = Some((boundary.len(), Delimiter { frame: index, closes }));
            }
        }
        best.map(|(_, found)| found)
    }

    /// A boundary has been read: its line is the present one, complete or in part.
    fn delimited(&mut self, found: Delimiter) {
        self.close_above(found.frame, self.mark.ending_before());
        if found.closes {
            self.frames[found.frame].close_multipart();
            self.open_multiparts -= 1;
            self.mode = if self.at_line_end() { Mode::LineStart } else { Mode::Text };
        } else if self.at_line_end() {
            self.open_part();
        } else {
            self.mode = Mode::BoundaryRest;
        }
    }

    /// Begins a part of the multipart on top of the stack.
    fn open_part(&mut self) {
        let in_digest = self.frames.last().is_some_and(Frame::is_digest);
        let mut frame = Frame::new(self.at, None, in_digest);
        if self.parts_left == 0 {
            frame.make_opaque(self.at, self.newlines);
            self.mode = Mode::Opaque;
        } else {
            self.parts_left -= 1;
            self.mode = Mode::Header;
        }
        self.frames.push(frame);
    }

    /// Closes the frames above the one at `index`.
    fn close_above(&mut self, index: usize, ending: Ending) {
        while self.frames.len() > index + 1 {
            let Some(frame) = self.frames.pop() else { return };
            if frame.is_open_multipart() {
                self.open_multiparts -= 1;
            }
            let (part, envelope) = frame.close(ending);
            if let Some(parent) = self.frames.last_mut() {
                parent.adopt(part, envelope);
            }
        }
    }
}

impl LineMark {
    /// How a body ends that this line's boundary closes: the line end before belongs to the boundary.
    fn ending_before(&self) -> Ending {
        let [older, old, newest] = self.tail;
        match (old, newest) {
            (b'\r', b'\n') => Ending { at: self.start.saturating_sub(2), newlines: self.newlines - 1, last: older },
            (_, b'\n') => Ending { at: self.start.saturating_sub(1), newlines: self.newlines - 1, last: old },
            _ => Ending { at: self.start, newlines: self.newlines, last: newest },
        }
    }
}
