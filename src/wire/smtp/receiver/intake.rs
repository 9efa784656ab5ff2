//! A message comes in: by `DATA`, or by `BDAT` in chunks.

use super::super::content::{Content, ContentRules, Event, Fault};
use super::super::reply::Reply;
use super::{Asked, Phase, Question, Receiver, Refusal, Step, Then, Tick};

/// The octets of a chunk that are still to come (RFC 3030 §2).
#[derive(Debug)]
struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

/// One message, on its way in.
#[derive(Debug)]
pub(super) struct Intake {
    content: Content,
    /// `None` with `DATA`.
    chunk: Option<Chunk>,
    /// Why the message is refused, said when it (or the chunk) has come to its end.
    failure: Option<Reply>,
    /// Octets read so far.
    read: u64,
    /// When it began.
    pub(super) since: Tick,
}

impl Intake {
    pub(super) fn dotted(rules: ContentRules, since: Tick) -> Intake {
        Intake { content: Content::dotted(rules), chunk: None, failure: None, read: 0, since }
    }

    fn counted(rules: ContentRules, since: Tick) -> Intake {
        Intake { content: Content::counted(rules), chunk: None, failure: None, read: 0, since }
    }

    /// The message is refused; the first reason stays.
    pub(super) fn fail(&mut self, reply: Reply) {
        self.content.spoil();
        self.failure.get_or_insert(reply);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Takes bytes off the front of `input`, but not beyond the chunk, and of a refused message not beyond `allowance`
    /// in all.
    fn next<'i>(&mut self, input: &mut &'i [u8], allowance: u64) -> Event<'i> {
        let whole: &'i [u8] = input;
        let chunk = self.chunk.as_ref().map_or(u64::MAX, |chunk| chunk.left);
        let patience = if self.has_failed() { allowance.saturating_sub(self.read) } else { u64::MAX };
        let most = usize::try_from(chunk.min(patience)).unwrap_or(usize::MAX);
        let mine = &whole[..most.min(whole.len())];
        let mut rest = mine;
        let event = self.content.next(&mut rest);
        let used = mine.len() - rest.len();
        *input = &whole[used..];
        if let Some(chunk) = &mut self.chunk {
            chunk.left -= used as u64;
        }
        self.read += used as u64;
        event
    }

    /// The message was refused, and the peer does not come to its end.
    fn is_endless(&self, allowance: u64) -> bool {
        self.has_failed() && self.read >= allowance
    }

    fn chunk_is_complete(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.left == 0)
    }
}

impl Receiver {
    pub(super) fn content_rules(&self) -> ContentRules {
        let limits = &self.settings.limits;
        let (utf8, eight_bit) = self.transaction.as_ref().map_or((false, false), |t| (t.utf8, t.eight_bit));
        // Programs do send 8-bit data without a word. RFC 6409 §8 lets the first server mend what it takes in: the driver
        // sees the pieces, and says 8BITMIME when it sends the message on.
        let undeclared = self.settings.role.submission().is_some();
        ContentRules {
            // RFC 6531 §3.6 for SMTPUTF8. RFC 6152 speaks of bodies only, but senders that declare 8BITMIME put raw
            // bytes into header fields as well; to refuse them would lose mail and protect nobody.
            eight_bit_header: utf8 || eight_bit || undeclared,
            eight_bit_body: eight_bit || undeclared,
            line: limits.text_line.saturating_sub(2).max(1),
            header: limits.header,
            size: limits.message,
        }
    }

    /// Octets of a refused message that are read, so that the peer can come to its end and see why.
    fn allowance(&self) -> u64 {
        self.settings.limits.message.saturating_mul(3)
    }

    /// `BDAT` was said in a transaction with recipients.
    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) {
        let rules = self.content_rules();
        let (now, limit) = (self.now, self.settings.limits.message);
        let Some(transaction) = &mut self.transaction else { return };
        let is_first = transaction.intake.is_none();
        let intake = transaction.intake.get_or_insert_with(|| Intake::counted(rules, now));
        intake.chunk = Some(Chunk { size, left: size, last });
        self.phase = Phase::Message;
        // RFC 3030 §2: the whole is known to be too big before its last octet.
        let too_big = intake.content.size().saturating_add(size) > limit && !intake.has_failed();
        if is_first {
            self.ask(Asked::Open, Question::Open);
        } else if too_big {
            self.spoil_message(Refusal::too_big());
        }
    }

    /// The driver has a place for the message.
    pub(super) fn opened(&mut self) {
        let Some(intake) = self.transaction.as_ref().and_then(|transaction| transaction.intake.as_ref()) else {
            return;
        };
        self.phase = Phase::Message;
        let limit = self.settings.limits.message;
        match &intake.chunk {
            None => self.say(&Reply::plain(354, "Go ahead, end with a dot on a line of its own")),
            Some(chunk) if chunk.size > limit => self.spoil_message(Refusal::too_big()),
            Some(_) => {}
        }
    }

    /// The driver has none. After `DATA` the peer sends nothing; after `BDAT` the chunk is on its way already.
    pub(super) fn not_opened(&mut self, reply: Reply) {
        let by_chunks =
            self.transaction.as_ref().and_then(|t| t.intake.as_ref()).is_some_and(|intake| intake.chunk.is_some());
        if by_chunks {
            self.phase = Phase::Message;
            self.fail_message(reply);
        } else {
            self.say(&reply);
            self.drop_transaction();
        }
    }

    /// Follows the message's bytes. `None`: something else is due first.
    pub(super) fn message<'i>(&mut self, input: &mut &'i [u8]) -> Option<Step<'i>> {
        if !input.is_empty() {
            self.heard = self.now;
        }
        let allowance = self.allowance();
        let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) else {
            self.phase = Phase::Command;
            return None;
        };
        let in_header = intake.content.in_header();
        match intake.next(input, allowance) {
            Event::Piece(piece) if in_header => return Some(Step::Header(piece)),
            Event::Piece(piece) => return Some(Step::Body(piece)),
            Event::HeaderEnd => self.ask(Asked::HeaderEnd, Question::HeaderEnd),
            Event::End => self.message_end(),
            Event::Fault(fault) => self.fault(fault),
            Event::More if intake.chunk_is_complete() => self.chunk_end(),
            Event::More if intake.is_endless(allowance) => self.refuse(Refusal::endless_message()),
            Event::More => return Some(Step::NeedBytes),
        }
        None
    }

    fn fault(&mut self, fault: Fault) {
        let refusal = Refusal::content(fault);
        if refusal.then == Then::Close {
            self.refuse(refusal);
        } else {
            self.spoil_message(refusal);
        }
    }

    /// The message is refused by a rule of the engine's: told at once to the driver, to the peer at the message's end.
    fn spoil_message(&mut self, refusal: Refusal) {
        let reply = self.referenced(&refusal);
        // Too many such messages end the connection as other errors do; but not before this one has been answered.
        if refusal.then == Then::Count {
            self.session.errors = self.session.errors.saturating_add(1);
        }
        self.due.push_back(Step::Refused(refusal));
        self.fail_message(reply);
    }

    fn chunk_end(&mut self) {
        let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) else {
            return;
        };
        let Some(chunk) = &intake.chunk else { return };
        if chunk.last {
            match intake.content.finish() {
                Event::HeaderEnd => self.ask(Asked::HeaderEnd, Question::HeaderEnd),
                Event::Fault(fault) => self.fault(fault),
                _ => self.message_end(),
            }
            return;
        }
        let received = Reply::new(250, (2, 0, 0), format!("{} octets received", chunk.size));
        let reply = intake.failure.clone().unwrap_or(received);
        self.phase = Phase::Command;
        self.say(&reply);
    }

    fn message_end(&mut self) {
        let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) else {
            return;
        };
        match intake.failure.take() {
            Some(reply) => {
                self.transaction = None;
                self.phase = Phase::Command;
                self.say(&reply);
            }
            None => {
                let size = intake.content.size();
                self.ask(Asked::Message, Question::Message { size });
            }
        }
    }

    /// Throws octets of a refused chunk away. False: more bytes are needed.
    pub(super) fn swallow(&mut self, input: &mut &[u8]) -> bool {
        let allowance = self.allowance();
        let Phase::Swallow { left, refusal } = &mut self.phase else { return true };
        if *left > allowance {
            self.refuse(Refusal::endless_message());
            return true;
        }
        let used = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= used as u64;
        *input = &input[used..];
        if *left > 0 {
            if used > 0 {
                self.heard = self.now;
            }
            return false;
        }
        let refusal = refusal.clone();
        self.phase = Phase::Command;
        self.refuse(refusal);
        true
    }

    /// The peer said goodbye: nothing more is to come.
    pub(super) fn close_politely(&mut self) {
        self.close();
        self.phase = Phase::Ended { linger: false };
    }
}
