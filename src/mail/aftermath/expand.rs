//! Following forwards within our domains: who gets a message in the end.

use std::collections::HashMap;

use crate::audit::{Action, Actor, Trace};
use crate::mail::parties::own_mailbox;
use crate::mail::queue::Words;
use crate::mail::trail::{mark, named, step};
use crate::mail::work::Work;
use crate::mail::{MailError, MailRoom};
use crate::mss::exchange::{self, OwnMailbox, Party};
use crate::mss::{Address, Conversation, Refusal};
use crate::store::{Account, AccountId, Batch};

use super::Arrival;
use super::absence::Notice;
use super::forward::{ForwardProblem, may_forward, sent_on};

/// Forwards that are followed one after the other.
const MOST_HOPS: usize = 10;
/// Mailboxes that one message reaches by forwards, at most.
const MOST_REACHED: usize = 100;

/// Whether a mailbox has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Its forwards are being followed: one of them leads back to it.
    OnTheWay,
    /// The message lies in it, or where it has it sent on to.
    Served,
}

/// What a mailbox has sent on to other operators.
#[derive(Debug)]
pub(super) struct Errand {
    /// Whose forward it is.
    pub(super) account: AccountId,
    /// The same, as the exchange rules see it.
    pub(super) holder: OwnMailbox,
    /// To whom.
    pub(super) to: Vec<Address>,
    /// Whether the message lies in the mailbox as well.
    pub(super) keeps_copy: bool,
}

/// A message on its way through forwards.
#[derive(Debug)]
pub(super) struct Expansion<'a> {
    room: &'a MailRoom,
    arrival: Arrival<'a>,
    reached: HashMap<AccountId, Reached>,
    /// The mailboxes that it comes to lie in.
    pub(super) kept: Vec<AccountId>,
    /// What goes to other operators.
    pub(super) outside: Vec<Errand>,
    /// The traces of what was sent on, and of what was not.
    pub(super) also: Batch,
    /// Whose correspondents are to be told that they are away.
    pub(super) notices: Vec<Notice>,
}

impl<'a> Expansion<'a> {
    pub(super) fn new(room: &'a MailRoom, arrival: Arrival<'a>) -> Self {
        Self {
            room,
            arrival,
            reached: HashMap::new(),
            kept: Vec::new(),
            outside: Vec::new(),
            also: Batch::new(),
            notices: Vec::new(),
        }
    }

    /// Brings the message to a mailbox, or where that has it sent on to; `hops` forwards led here. False: it is not there
    /// yet, and whoever sent it on must keep it.
    pub(super) fn reach(&mut self, account: AccountId, hops: usize) -> bool {
        match self.reached.get(&account) {
            Some(Reached::Served) => return true,
            Some(Reached::OnTheWay) => return false,
            None => {}
        }
        self.reached.insert(account, Reached::OnTheWay);
        let went_on = self.room.account(account).is_ok_and(|record| self.send_on(account, &record, hops));
        if !went_on {
            self.kept.push(account);
        }
        self.reached.insert(account, Reached::Served);
        true
    }

    /// What the mailbox's holder wants done. True: the mailbox needs no copy.
    fn send_on(&mut self, account: AccountId, record: &Account, hops: usize) -> bool {
        let Ok(holder) = own_mailbox(record) else { return false };
        if hops == 0 {
            self.notices.extend(Notice::of(account, record, &holder, &self.arrival));
        }
        let Some(setting) = &record.forward else { return false };
        if hops >= MOST_HOPS || self.reached.len() >= MOST_REACHED {
            tracing::warn!(event = "forward-stays", %account, reference = self.arrival.reference, hops, "too many forwards");
            return false;
        }
        let (mut own, mut outside, mut all) = (Vec::new(), Vec::new(), true);
        for target in &setting.to {
            match self.aim(&holder, target) {
                Ok(Aim::Own(id, address)) if self.reach(id, hops + 1) => own.push(address),
                Ok(Aim::Other(address)) => outside.push(address),
                Ok(Aim::Own(..)) => all = false,
                Err(stays) => {
                    self.stays(account, target, &stays);
                    all = false;
                }
            }
        }
        self.note_sent_on(&holder, own);
        let keeps_copy = setting.keep_copy || !all;
        if !outside.is_empty() {
            self.outside.push(Errand { account, holder, to: outside, keeps_copy });
        }
        !keeps_copy
    }

    /// Where a target is, if the message may go there.
    fn aim(&self, holder: &OwnMailbox, target: &str) -> Result<Aim, Stays> {
        let address = Address::parse(target).map_err(ForwardProblem::from)?;
        let party = self.room.party(&address)?;
        may_forward(self.arrival.space, holder, &party)?;
        match party {
            Party::Own(to) => self.aim_at_own(to),
            _ => self.aim_outside(holder, address),
        }
    }

    /// The message itself comes to the mailbox, so its author must be one who may write there; a citizen has written to
    /// the holder, and that conversation counts.
    fn aim_at_own(&self, to: OwnMailbox) -> Result<Aim, Stays> {
        let id = self.room.account_of(&to.address)?.ok_or(MailError::NoMailbox)?;
        let address = to.address.clone();
        let decision = exchange::decide_in(self.arrival.space, self.arrival.party, &Party::Own(to), Conversation::Open);
        if let Some(refusal) = decision.refusal() {
            return Err(Stays::Author(refusal.clone()));
        }
        // A full mailbox at the end of a forward is no reason to refuse the message to the one that it was written to.
        let mailbox = self.room.open(id)?;
        let work = Work::begin(&mailbox)?;
        let fits = work.has_room() && work.has_room_for(self.arrival.message.size());
        if fits { Ok(Aim::Own(id, address)) } else { Err(Stays::Full) }
    }

    /// A message of the holder's is made of it. Reports and answers of software are for the one they were sent to; what an
    /// own mailbox may not write to other operators does not come to them this way either.
    fn aim_outside(&self, holder: &OwnMailbox, address: Address) -> Result<Aim, Stays> {
        let facts = self.arrival.facts;
        if self.arrival.sender.is_none() || facts.is_report || facts.is_automatic_reply {
            return Err(Stays::Automatic);
        }
        if facts.was_forwarded_by(&holder.address) || facts.forwarded_by.len() >= MOST_HOPS {
            return Err(Stays::Loop);
        }
        let to = Party::Other { address: address.clone() };
        if matches!(self.arrival.party, Party::Own(_))
            && let Some(refusal) = exchange::decide(self.arrival.space, self.arrival.party, &to).refusal()
        {
            return Err(Stays::Author(refusal.clone()));
        }
        Ok(Aim::Other(address))
    }

    fn stays(&mut self, account: AccountId, target: &str, why: &Stays) {
        let reference = self.arrival.reference;
        tracing::warn!(event = "forward-stays", %account, reference, why = why.rule(), "kept in the mailbox: {why}");
        let words = Words {
            code: None,
            status: why.status().to_owned(),
            text: why.to_string(),
            host: None,
            rule: Some(why.rule().to_owned()),
        };
        let (recipient, result) = (target.to_owned(), "failed".to_owned());
        let tried = Action::Tried { recipient, result, words: words.to_string(), attempt: 0 };
        let message = named(self.arrival.facts.message_id.as_deref());
        let trace = Trace { actor: Actor::server(), ..step(message, reference, tried) };
        self.room.traces().note(trace, &mut self.also);
    }

    fn note_sent_on(&mut self, holder: &OwnMailbox, delivered: Vec<Address>) {
        if delivered.is_empty() {
            return;
        }
        let message_id = self.arrival.facts.message_id.as_deref();
        let trace = sent_on(named(message_id), self.arrival.reference, &holder.address, &[], &delivered);
        self.room.traces().note(trace, &mut self.also);
        if let Some(message_id) = message_id {
            mark(self.room, message_id, Some(&holder.address), &mut self.also);
        }
    }
}

/// A target that a message may go to.
enum Aim {
    Own(AccountId, Address),
    Other(Address),
}

/// Why a message is not sent on.
#[derive(Debug, thiserror::Error)]
enum Stays {
    /// The holder may not send anything on to there.
    #[error(transparent)]
    NotAllowed(#[from] ForwardProblem),
    /// The message's author may not write there.
    #[error("its author may not write there: {}", .0.reason)]
    Author(Refusal),
    /// A report, or an answer that software wrote.
    #[error("reports and automatic answers are not sent on to other operators")]
    Automatic,
    /// The mailbox has sent it on before, or too many have.
    #[error("it has been sent on from here before")]
    Loop,
    /// No room at the other end.
    #[error("the mailbox that it was to go to is full")]
    Full,
    /// The target cannot be looked at.
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl Stays {
    /// A stable name, for the log and the traces.
    fn rule(&self) -> &'static str {
        match self {
            Stays::NotAllowed(problem) => problem.rule(),
            Stays::Author(refusal) => refusal.rule.name(),
            Stays::Automatic => "forward-automatic",
            Stays::Loop => "forward-loop",
            Stays::Full => "forward-full",
            Stays::Mail(_) => "forward-unavailable",
        }
    }

    /// RFC 3463.
    fn status(&self) -> &'static str {
        match self {
            Stays::NotAllowed(_) | Stays::Author(_) | Stays::Automatic => "5.7.1",
            Stays::Loop => "5.4.6",
            Stays::Full => "5.2.2",
            Stays::Mail(_) => "4.3.0",
        }
    }
}
