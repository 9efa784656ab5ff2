//! A SEARCH made ready: sets resolved, flags as bits, texts lowered once; and its answer for one message.

use std::ops::RangeInclusive;

use super::decode;
use super::scan::{Needle, Scope};
use crate::mail::summary::Summary;
use crate::mail::{Entry, Selected, StoredMessage};
use crate::serve::imap::append::now;
use crate::serve::imap::reply::{Reply, Stop};
use crate::serve::imap::store::system_bit;
use crate::wire::imap::date::DAY;
use crate::wire::imap::flag::Flag;
use crate::wire::imap::search::SearchKey;
use crate::wire::imap::sequence::SequenceSet;

/// What is known of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) seq: u32,
    pub(super) entry: Entry,
    pub(super) recent: bool,
    /// Size, date, summary.
    pub(super) message: Option<&'a StoredMessage>,
    /// Which needles were found in its bytes.
    pub(super) found: Option<&'a [bool]>,
}

/// A SEARCH made ready.
#[derive(Debug)]
pub(super) struct Plan {
    test: Test,
    needles: Vec<Needle>,
}

#[derive(Debug)]
enum Test {
    Constant(bool),
    System(u32),
    Keyword(u64),
    Recent,
    Numbers(Vec<RangeInclusive<u32>>),
    Uids(Vec<RangeInclusive<u32>>),
    ModSeq(u64),
    /// Internal date in Unix seconds, from the first and before the second.
    Arrived(i64, i64),
    /// Days of the `Date:` field since 1970-01-01, from the first and before the second.
    Sent(i64, i64),
    Larger(u64),
    Smaller(u64),
    /// A needle in a header field.
    Header(usize),
    /// A needle that only the message's bytes tell.
    Bytes(usize),
    Not(Box<Test>),
    Or(Box<Test>, Box<Test>),
    And(Vec<Test>),
}

/// A header that is longer may have lost something in its summary.
const SURE_HEADER: u64 = 8 * 1024;

impl Plan {
    /// Fails when a message number is named that is not there.
    pub(super) fn new(keys: &[SearchKey], selected: &Selected) -> Result<Plan, Stop> {
        let mut maker = Maker { selected, needles: Vec::new(), now: now() };
        let tests = keys.iter().map(|key| maker.test(key)).collect::<Result<_, _>>()?;
        Ok(Plan { test: Test::And(tests), needles: maker.needles })
    }

    /// All texts that are looked for.
    pub(super) fn needles(&self) -> &[Needle] {
        &self.needles
    }

    /// Whether the message matches; `None` when more must be known.
    pub(super) fn decide(&self, facts: &Facts<'_>) -> Option<bool> {
        self.decide_test(&self.test, facts)
    }

    fn decide_test(&self, test: &Test, facts: &Facts<'_>) -> Option<bool> {
        let entry = &facts.entry;
        match test {
            Test::Constant(constant) => Some(*constant),
            Test::System(bits) => Some(entry.flags & bits != 0),
            Test::Keyword(mask) => Some(entry.keywords & mask != 0),
            Test::Recent => Some(facts.recent),
            Test::Numbers(ranges) => Some(contains(ranges, facts.seq)),
            Test::Uids(ranges) => Some(contains(ranges, entry.uid)),
            Test::ModSeq(least) => Some(entry.modseq >= *least),
            Test::Arrived(from, before) => facts.message.map(|m| (*from..*before).contains(&m.internal_date)),
            Test::Sent(from, before) => facts.message.map(|message| {
                let date = message.summary.message.envelope.date.as_deref();
                date.and_then(decode::day_of_date).is_some_and(|day| (*from..*before).contains(&day))
            }),
            Test::Larger(than) => facts.message.map(|message| message.size > *than),
            Test::Smaller(than) => facts.message.map(|message| message.size < *than),
            Test::Header(index) => match (facts.found, facts.message) {
                (Some(found), _) => found.get(*index).copied(),
                (None, Some(message)) => header_of_summary(&self.needles[*index], &message.summary),
                (None, None) => None,
            },
            Test::Bytes(index) => facts.found.and_then(|found| found.get(*index).copied()),
            Test::Not(test) => self.decide_test(test, facts).map(|verdict| !verdict),
            Test::Or(one, other) => match (self.decide_test(one, facts), self.decide_test(other, facts)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Test::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match self.decide_test(test, facts) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => all = None,
                    }
                }
                all
            }
        }
    }
}

struct Maker<'a> {
    selected: &'a Selected,
    needles: Vec<Needle>,
    now: i64,
}

impl Maker<'_> {
    fn test(&mut self, key: &SearchKey) -> Result<Test, Stop> {
        let days = |day: i64| day.saturating_mul(DAY);
        let ever = |bound: u32| self.now.saturating_sub(i64::from(bound));
        Ok(match key {
            SearchKey::All => Test::Constant(true),
            SearchKey::Flag(flag) => self.flag(flag),
            SearchKey::Recent => Test::Recent,
            SearchKey::Before(day) => Test::Arrived(i64::MIN, days(*day)),
            SearchKey::On(day) => Test::Arrived(days(*day), days(*day + 1)),
            SearchKey::Since(day) => Test::Arrived(days(*day), i64::MAX),
            SearchKey::SentBefore(day) => Test::Sent(i64::MIN, *day),
            SearchKey::SentOn(day) => Test::Sent(*day, *day + 1),
            SearchKey::SentSince(day) => Test::Sent(*day, i64::MAX),
            // RFC 5032 §3: older, at least so many seconds; younger, at most.
            SearchKey::Older(seconds) => Test::Arrived(i64::MIN, ever(*seconds).saturating_add(1)),
            SearchKey::Younger(seconds) => Test::Arrived(ever(*seconds), i64::MAX),
            SearchKey::Larger(than) => Test::Larger(u64::from(*than)),
            SearchKey::Smaller(than) => Test::Smaller(u64::from(*than)),
            SearchKey::Header(field, text) => Test::Header(self.needle(Scope::Field(field.to_ascii_lowercase()), text)),
            SearchKey::Body(text) => self.bytes(Scope::Body, text),
            SearchKey::Text(text) => self.bytes(Scope::Text, text),
            SearchKey::Sequence(set) => self.numbers(set)?,
            SearchKey::Uid(set) => {
                let last = self.selected.entry(self.selected.exists()).map_or(0, |entry| entry.uid);
                Test::Uids(set.ranges(last))
            }
            SearchKey::ModSeq(least) => Test::ModSeq(*least),
            SearchKey::Not(key) => Test::Not(Box::new(self.test(key)?)),
            SearchKey::Or(one, other) => Test::Or(Box::new(self.test(one)?), Box::new(self.test(other)?)),
            SearchKey::And(keys) => Test::And(keys.iter().map(|key| self.test(key)).collect::<Result<_, _>>()?),
        })
    }

    fn flag(&self, flag: &Flag) -> Test {
        let Flag::Keyword(name) = flag else { return Test::System(system_bit(flag)) };
        let known = self.selected.keywords().iter().position(|known| known.eq_ignore_ascii_case(name));
        known.map_or(Test::Constant(false), |index| Test::Keyword(1 << index))
    }

    fn numbers(&self, set: &SequenceSet) -> Result<Test, Stop> {
        let exists = self.selected.exists();
        if set.greatest() > exists && !(exists == 0 && set.names_last()) {
            return Err(Reply::bad("No such message number").into());
        }
        Ok(Test::Numbers(set.ranges(exists)))
    }

    /// An empty text is in every message.
    fn bytes(&mut self, scope: Scope, text: &str) -> Test {
        if text.is_empty() { Test::Constant(true) } else { Test::Bytes(self.needle(scope, text)) }
    }

    fn needle(&mut self, scope: Scope, text: &str) -> usize {
        self.needles.push(Needle::new(scope, text));
        self.needles.len() - 1
    }
}

fn contains(ranges: &[RangeInclusive<u32>], number: u32) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= number);
    after.checked_sub(1).is_some_and(|at| ranges[at].contains(&number))
}

/// What the summary says of a field: only fields of the envelope are in it, and very long headers not whole.
fn header_of_summary(needle: &Needle, summary: &Summary) -> Option<bool> {
    let Scope::Field(field) = &needle.scope else { return None };
    let envelope = &summary.message.envelope;
    let value = match field.as_str() {
        "subject" => &envelope.subject,
        "from" => &envelope.from,
        "to" => &envelope.to,
        "cc" => &envelope.cc,
        "bcc" => &envelope.bcc,
        "message-id" => &envelope.message_id,
        "in-reply-to" => &envelope.in_reply_to,
        _ => return None,
    };
    if value.as_deref().is_some_and(|value| needle.is_in(&decode::header(value))) {
        return Some(true);
    }
    let header = summary.message.root.header_range();
    (header.end - header.start <= SURE_HEADER).then_some(false)
}
