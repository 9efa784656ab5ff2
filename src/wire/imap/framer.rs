//! Splits a client's bytes into complete commands, under bounds, before anything is parsed.
//!
//! A command is text with literals in it (RFC 3501 §4.3). The framer finds where lines and literals end; it asks for a
//! `+` continuation where the client waits for one, keeps small literals, and hands the message of an APPEND on in
//! pieces without keeping any of it. What is too big is refused: a synchronising literal simply is not asked for; a
//! non-synchronising one (RFC 7888 §4) is read and thrown away up to [`FramerLimits::swallow`], beyond it the
//! connection has to close.
//!
//! The framer never waits and never writes: [`Framer::step`] takes what has arrived, says how much of it was used, and
//! gives at most one event.

use std::ops::Range;

use super::command::Tag;
use super::parse;

/// Bounds of one connection; the session changes them at login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramerLimits {
    /// Bytes of a command's text, its literals not counted.
    pub line: usize,
    /// Bytes of all literals of one command together, an APPEND's message not counted.
    pub literal: usize,
    /// Literals of one command.
    pub literals: usize,
    /// Bytes of an APPEND's message.
    pub message: u64,
    /// Bytes that are read and thrown away for the sake of a polite refusal, before the connection closes instead.
    pub swallow: u64,
}

impl FramerLimits {
    /// Before login: enough for a long password or an access token, and no message.
    pub fn before_login() -> Self {
        // Access tokens are long: as much as RFC 4954 §4 gives them in SMTP.
        FramerLimits { line: 12 * 1024, literal: 8 * 1024, literals: 8, message: 0, swallow: 256 * 1024 }
    }

    /// After login, with the greatest `message` that APPEND takes.
    pub fn after_login(message: u64) -> Self {
        FramerLimits {
            line: 64 * 1024,
            literal: 64 * 1024,
            literals: 256,
            message,
            swallow: message.saturating_mul(2).saturating_add(1 << 20),
        }
    }
}

/// A complete command: its text with the literals' bytes in place, and where those are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framed {
    /// Text and literals as received, without the last CRLF. A literal's bytes follow its `{n}` CRLF.
    pub bytes: Vec<u8>,
    /// Where in `bytes` the literals' contents are, in order.
    pub literals: Vec<Range<usize>>,
}

/// Why a command was not taken; the text is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The text is longer than [`FramerLimits::line`].
    #[error("Command line too long")]
    LineTooLong,
    /// Literals together are longer than [`FramerLimits::literal`], or a message than [`FramerLimits::message`].
    #[error("Literal too big")]
    LiteralTooBig,
    /// More literals than [`FramerLimits::literals`].
    #[error("Too many literals in one command")]
    TooManyLiterals,
    /// A line that ends in LF without CR, RFC 3501 §2.2.
    #[error("Lines end in CRLF")]
    BareLf,
    /// More text after an APPEND's message; said by [`Framing::MessageEnd`].
    #[error("Unexpected text after the message")]
    AfterMessage,
}

/// What [`Framer::step`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing<'a> {
    /// A whole command to parse.
    Command(Framed),
    /// A line that was asked for with [`Framer::expect_line`], without its CRLF.
    Line(Vec<u8>),
    /// The client waits for a continuation request before it sends a literal.
    Continue,
    /// The message literal of an APPEND is announced; answer with [`Framer::accept_message`] or
    /// [`Framer::refuse_message`] before the next step.
    Message {
        /// The command up to and without the literal's announcement; for [`parse::append`].
        head: Framed,
        /// Bytes to come.
        size: u64,
        /// The client waits for a continuation request.
        synchronising: bool,
    },
    /// Bytes of the accepted message.
    Piece(&'a [u8]),
    /// The accepted message and its command ended; `clean` says that nothing but CRLF followed.
    MessageEnd {
        /// False when there was more text after the message: the command is a BAD one.
        clean: bool,
    },
    /// A command was refused and is over; the next byte begins a new one.
    Refused {
        /// Its tag, where one could be read.
        tag: Option<Tag>,
        /// Why.
        why: FrameError,
    },
    /// So much would have to be thrown away that the connection must close (RFC 7888 §4).
    Overrun,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Collecting text.
    Text,
    /// Collecting a literal that is kept.
    Literal { left: usize },
    /// [`Framing::Message`] was given, the answer is awaited.
    Asked { size: u64, synchronising: bool },
    /// Handing a message on.
    Message { left: u64 },
    /// Throwing a literal away.
    Swallow { left: u64 },
    /// [`Framing::Overrun`] was given.
    Dead,
}

/// The framer of one connection. Costs next to nothing while no command is under way.
#[derive(Debug, Clone)]
pub struct Framer {
    limits: FramerLimits,
    state: State,
    framed: Framed,
    /// Where in `framed.bytes` the line under way began.
    line_start: usize,
    /// Literal bytes kept for this command.
    literal_bytes: usize,
    /// Bytes thrown away for this command.
    swallowed: u64,
    /// Set once the command under way is refused; its rest is read and dropped.
    refused: Option<(Option<Tag>, FrameError)>,
    /// The caller answers a refused message itself.
    quiet: bool,
    /// A message has been handed on: only CRLF may follow.
    after_message: bool,
    raw_line: bool,
}

/// While a command is being dropped, so much of a line's end is kept to see a literal announced there.
const TAIL: usize = 32;

impl Framer {
    /// A framer at the beginning of a connection.
    pub fn new(limits: FramerLimits) -> Self {
        Framer {
            limits,
            state: State::Text,
            framed: Framed::default(),
            line_start: 0,
            literal_bytes: 0,
            swallowed: 0,
            refused: None,
            quiet: false,
            after_message: false,
            raw_line: false,
        }
    }

    /// Other bounds from the next byte on.
    pub fn set_limits(&mut self, limits: FramerLimits) {
        self.limits = limits;
    }

    /// Takes the next line as it is, as AUTHENTICATE and IDLE want it: no literals, no grammar.
    pub fn expect_line(&mut self) {
        self.raw_line = true;
    }

    /// True between commands: nothing of a next one has arrived.
    pub fn at_rest(&self) -> bool {
        self.state == State::Text && self.framed.bytes.is_empty() && self.refused.is_none()
    }

    /// The announced message will be taken: its pieces follow. True when the client waits for a continuation request.
    pub fn accept_message(&mut self) -> bool {
        let State::Asked { size, synchronising } = self.state else { return false };
        self.state = State::Message { left: size };
        synchronising
    }

    /// The announced message will not be taken; the caller answers the command itself, at once. What a client sends
    /// without waiting is dropped silently.
    pub fn refuse_message(&mut self) {
        let State::Asked { size, synchronising } = self.state else { return };
        if synchronising {
            // RFC 3501 §4.3: the client, not having been asked to go on, takes the tagged answer as the end.
            self.reset();
        } else {
            self.refused = Some((None, FrameError::LiteralTooBig));
            self.quiet = true;
            self.state = State::Swallow { left: size };
        }
    }

    /// Takes from `input`; gives how many bytes were used, and an event if there is one. Call again with the rest until
    /// nothing is used and nothing is given.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Framing<'a>>) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let (taken, event, go_on) = match self.state {
                State::Asked { .. } | State::Dead => (0, None, false),
                State::Text => self.text(rest),
                State::Literal { left } => self.literal(rest, left),
                State::Message { left } => return self.message(rest, left, used),
                State::Swallow { left } => self.swallow(rest, left),
            };
            used += taken;
            if event.is_some() || !go_on {
                return (used, event);
            }
        }
    }

    fn text<'a>(&mut self, rest: &[u8]) -> (usize, Option<Framing<'a>>, bool) {
        if rest.is_empty() {
            return (0, None, false);
        }
        let (taken, whole) = match memchr::memchr(b'\n', rest) {
            Some(end) => (end + 1, true),
            None => (rest.len(), false),
        };
        self.take_text(&rest[..taken]);
        if self.swallowed > self.limits.swallow {
            return (taken, Some(self.overrun()), false);
        }
        let event = if whole { self.end_of_line() } else { None };
        (taken, event, true)
    }

    /// Adds text to the command, or drops it when the command is refused or becomes too long.
    fn take_text(&mut self, text: &[u8]) {
        let mut text = text;
        if self.refused.is_none() {
            let room = (self.limits.line + 2).saturating_sub(self.framed.bytes.len() - self.literal_bytes);
            let fits = room.min(text.len());
            self.framed.bytes.extend_from_slice(&text[..fits]);
            if fits == text.len() {
                return;
            }
            text = &text[fits..];
            self.refuse(FrameError::LineTooLong);
        }
        self.swallowed += text.len() as u64;
        self.framed.bytes.extend_from_slice(&text[text.len().saturating_sub(TAIL)..]);
        let excess = self.framed.bytes.len().saturating_sub(TAIL);
        self.framed.bytes.drain(..excess);
        self.line_start = 0;
    }

    fn end_of_line<'a>(&mut self) -> Option<Framing<'a>> {
        let line = &self.framed.bytes[self.line_start..];
        let Some(line) = line.strip_suffix(b"\r\n") else {
            self.refuse(FrameError::BareLf);
            return self.finish();
        };
        if self.raw_line {
            if self.refused.is_none() {
                let line = line.to_vec();
                self.reset();
                return Some(Framing::Line(line));
            }
            return self.finish();
        }
        let announced = announced(line);
        if self.after_message && !line.is_empty() {
            self.refuse(FrameError::AfterMessage);
        }
        match announced {
            None => self.finish(),
            Some(announced) => self.announce(announced),
        }
    }

    /// A literal was announced at the end of a line.
    fn announce<'a>(&mut self, Announced { size, synchronising, at }: Announced) -> Option<Framing<'a>> {
        if self.refused.is_some() {
            return self.drop_literal(size, synchronising);
        }
        let announcement = self.line_start + at;
        if parse::announces_message(&self.framed, announcement) {
            return self.announce_message(announcement, size, synchronising);
        }
        if self.framed.literals.len() >= self.limits.literals {
            self.refuse(FrameError::TooManyLiterals);
            return self.drop_literal(size, synchronising);
        }
        let room = self.limits.literal.saturating_sub(self.literal_bytes);
        match usize::try_from(size) {
            Ok(size) if size <= room => {
                let start = self.framed.bytes.len();
                self.framed.literals.push(start..start + size);
                self.literal_bytes += size;
                self.state = State::Literal { left: size };
                synchronising.then_some(Framing::Continue)
            }
            _ => {
                self.refuse(FrameError::LiteralTooBig);
                self.drop_literal(size, synchronising)
            }
        }
    }

    fn announce_message<'a>(&mut self, announcement: usize, size: u64, synchronising: bool) -> Option<Framing<'a>> {
        if size > self.limits.swallow && !synchronising {
            return Some(self.overrun());
        }
        let mut head = std::mem::take(&mut self.framed);
        self.literal_bytes = 0;
        self.line_start = 0;
        head.bytes.truncate(announcement);
        self.state = State::Asked { size, synchronising };
        Some(Framing::Message { head, size, synchronising })
    }

    /// Goes on after a literal that is not wanted.
    fn drop_literal<'a>(&mut self, size: u64, synchronising: bool) -> Option<Framing<'a>> {
        if synchronising {
            return self.finish();
        }
        if self.swallowed.saturating_add(size) > self.limits.swallow {
            return Some(self.overrun());
        }
        self.state = State::Swallow { left: size };
        None
    }

    fn literal<'a>(&mut self, rest: &[u8], left: usize) -> (usize, Option<Framing<'a>>, bool) {
        let taken = left.min(rest.len());
        self.framed.bytes.extend_from_slice(&rest[..taken]);
        if taken == left {
            self.line_start = self.framed.bytes.len();
            self.state = State::Text;
            return (taken, None, true);
        }
        self.state = State::Literal { left: left - taken };
        (taken, None, false)
    }

    fn message<'a>(&mut self, rest: &'a [u8], left: u64, used: usize) -> (usize, Option<Framing<'a>>) {
        let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let left = left - taken as u64;
        if left == 0 {
            self.state = State::Text;
            self.after_message = true;
            if taken == 0 {
                let (more, event) = self.step(rest);
                return (used + more, event);
            }
        } else {
            self.state = State::Message { left };
        }
        (used + taken, (taken > 0).then(|| Framing::Piece(&rest[..taken])))
    }

    fn swallow<'a>(&mut self, rest: &[u8], left: u64) -> (usize, Option<Framing<'a>>, bool) {
        let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let left = left - taken as u64;
        self.swallowed += taken as u64;
        if left > 0 {
            self.state = State::Swallow { left };
            return (taken, None, false);
        }
        self.framed.bytes.clear();
        self.line_start = 0;
        self.state = State::Text;
        (taken, None, true)
    }

    /// Marks the command under way as refused; its tag is read from what has arrived.
    fn refuse(&mut self, why: FrameError) {
        if self.refused.is_none() {
            self.refused = Some((parse::tag_of(&self.framed.bytes), why));
            self.framed.literals.clear();
            self.literal_bytes = 0;
        }
    }

    /// The command's last line has ended.
    fn finish<'a>(&mut self) -> Option<Framing<'a>> {
        let mut framed = std::mem::take(&mut self.framed);
        let refused = self.refused.take();
        let (quiet, after_message) = (self.quiet, self.after_message);
        self.reset();
        match refused {
            refused if after_message => Some(Framing::MessageEnd { clean: refused.is_none() }),
            Some(_) if quiet => None,
            Some((tag, why)) => Some(Framing::Refused { tag, why }),
            None => {
                framed.bytes.truncate(framed.bytes.len().saturating_sub(2));
                Some(Framing::Command(framed))
            }
        }
    }

    fn overrun<'a>(&mut self) -> Framing<'a> {
        self.reset();
        self.state = State::Dead;
        Framing::Overrun
    }

    fn reset(&mut self) {
        *self = Framer::new(self.limits);
    }
}

/// A literal's announcement at the end of a line.
struct Announced {
    size: u64,
    synchronising: bool,
    /// Where in the line its `{` is.
    at: usize,
}

/// Reads `{n}` or `{n+}` at the end of `line` (RFC 3501 §4.3, RFC 7888 §8). A number that no integer holds counts as
/// the greatest: it is refused for its size.
fn announced(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', inner)?;
    let number = &inner[at + 1..];
    let (digits, synchronising) = match number.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (number, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Announced { size, synchronising, at })
}
