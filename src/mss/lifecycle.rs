//! The life of a mailbox (MSSanté §5), as a state machine. Pure: days come as arguments.
//!
//! ```text
//!             terms accepted            the terms have changed and were not accepted in time
//! requested ────────────────▶ open ◀──────────────────────────────────────────────▶ suspended
//!                              │ ▲                by the operator, either way
//!      no authentication for   │ │ any authentication
//!      long: told, reminded    ▼ │
//!                            closing ──── ten working days after the reminder ───▶ closed ───▶ forgotten
//! ```
//!
//! # Rules
//!
//! 1. Nobody is closed by the clock who was not told twice: the delays run from the day of the announcement and of the
//!    reminder, not from the last authentication. Who cannot be told stays; a notice that turns out not to have reached them
//!    calls the closing off, and all begins anew once they can be told.
//! 2. Every event is a line of the journal ([`lines()`]); what the holder has to know is a notice ([`told`]). Both are read off
//!    the difference of two lives, so that no way of changing one leaves them out.
//! 3. Nobody is suspended for terms who was not told of them, [`DAYS_TO_ACCEPT`] before at least; who cannot be told goes on. A
//!    mailbox that the operator opens again is told of them anew, and goes on as long once more.
//! 4. Only closing and forgetting cannot be taken back ([`Step::is_final`]).
//!
//! That a mailbox is for tests, or restricted to the own domains (MSSanté §4), changes what it exchanges and nothing here,
//! but that nobody is asked for terms on a test mailbox.

mod words;

use jiff::civil::Date;

use super::holidays::{later, working_days_after};
pub use words::{Line, Told, lines, told};

/// Days that a holder has at least to accept terms, from the day on which they are told.
pub const DAYS_TO_ACCEPT: i64 = 7;

/// Where a mailbox is in its life, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Created; its holder has not accepted the terms of use yet. It takes no mail and opens for nobody.
    Requested,
    /// Receives and opens.
    Open,
    /// Takes no mail and opens for nobody; nothing is lost.
    Suspended,
    /// Its closing was announced. It goes on as before until then, so that its holder can answer.
    Closing,
    /// Its content is gone for good; who held it is still known.
    Closed,
    /// Nothing is known of it any more but that its address is never given again.
    Forgotten,
}

impl Stage {
    /// Every stage, in the order of a life.
    pub const ALL: [Stage; 6] =
        [Stage::Requested, Stage::Open, Stage::Suspended, Stage::Closing, Stage::Closed, Stage::Forgotten];

    /// `requested`, `open`, `suspended`, `closing`, `closed` or `forgotten`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Requested => "requested",
            Stage::Open => "open",
            Stage::Suspended => "suspended",
            Stage::Closing => "closing",
            Stage::Closed => "closed",
            Stage::Forgotten => "forgotten",
        }
    }
}

/// What a mailbox may do, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waits for its holder to accept the terms for the first time.
    Requested,
    /// In use.
    Open,
    /// Suspended until its holder accepts the terms, which have changed.
    OwesTerms,
    /// Suspended by the operator.
    Suspended,
    /// Closed on a day.
    Closed(Date),
    /// Forgotten.
    Forgotten,
}

/// A closing that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When the holder was told.
    pub announced: Date,
    /// When they were told again.
    pub reminded: Option<Date>,
    /// The first day on which the mailbox may be closed, as the holder was told; the reminder says it anew.
    pub on: Date,
}

/// What is known of a mailbox's terms of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermsLife {
    /// Whether its holder is asked for them.
    pub asked: bool,
    /// The version that was accepted last.
    pub accepted: Option<String>,
    /// What the holder was told of last.
    pub told: Option<TermsTold>,
}

/// That a holder was told of terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsTold {
    /// Which version.
    pub version: String,
    /// On which day.
    pub on: Date,
}

/// A mailbox's life up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// What it may do.
    pub standing: Standing,
    /// Its closing, where one was announced.
    pub closing: Option<Closing>,
    /// The last sign of life: its creation or opening, an authentication, terms accepted.
    pub alive: Date,
    /// Its terms of use.
    pub terms: TermsLife,
    /// Whether its holder can be told anything: there is a notification address that takes notices, and somebody carries them.
    pub can_be_told: bool,
}

/// How long things last, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Without authentication until the reminder; zero: mailboxes are not closed for that.
    pub inactivity: i64,
    /// From the announcement to the reminder: the announcement comes so long before `inactivity` is over.
    pub notice: i64,
    /// Working days from the reminder to the closing.
    pub answer: u32,
    /// From the closing until the holder's data are forgotten.
    pub kept: i64,
}

impl Default for Delays {
    /// MSSanté §5: one year, two months before, ten working days, life + 1 year.
    fn default() -> Self {
        Self { inactivity: 365, notice: 61, answer: 10, kept: 365 }
    }
}

/// A version of the terms of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsVersion {
    /// Its name.
    pub version: String,
    /// The first day on which it is asked for.
    pub from: Date,
    /// The last day on which a mailbox goes on without it.
    pub accept_by: Date,
}

/// What the clock goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// How long things last.
    pub delays: Delays,
    /// The versions of the terms, the newest last.
    pub terms: Vec<TermsVersion>,
    /// Nobody is suspended for terms: so many would be that the administrator has to confirm it first.
    pub spares_debtors: bool,
    /// Nobody is forgotten: the same.
    pub remembers: bool,
}

impl Course {
    /// The version that is asked for on a day.
    pub fn terms_on(&self, day: Date) -> Option<&TermsVersion> {
        self.terms.iter().rev().find(|terms| terms.from <= day)
    }
}

/// What the clock brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The holder is told that there are terms to accept.
    TermsTold {
        /// Which.
        version: String,
        /// The last day on which the mailbox goes on without them; none where it is not open.
        until: Option<Date>,
    },
    /// The terms were not accepted in time.
    SuspendedForTerms,
    /// The closing is announced.
    ClosingAnnounced {
        /// The first day on which it can come.
        on: Date,
    },
    /// The holder is reminded of it.
    ClosingReminded {
        /// The day on which it comes.
        on: Date,
    },
    /// Nobody answered.
    Closed,
    /// The closing is off: the operator asks for no activity any more, a sign of life was missed, or the holder was not told.
    ClosingCalledOff,
    /// Who held it is forgotten.
    Forgotten,
}

impl Step {
    /// Its name in kebab-case, as the journal and the plan have it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::TermsTold { .. } => "terms-told",
            Step::SuspendedForTerms => "suspended-for-terms",
            Step::ClosingAnnounced { .. } => "closing-announced",
            Step::ClosingReminded { .. } => "closing-reminded",
            Step::Closed => "closed",
            Step::ClosingCalledOff => "closing-called-off",
            Step::Forgotten => "forgotten",
        }
    }

    /// Whether it is not taken while the holder cannot be told: a suspension, or one on the way to a closing.
    fn needs_telling(&self) -> bool {
        match self {
            Step::SuspendedForTerms | Step::ClosingAnnounced { .. } | Step::ClosingReminded { .. } | Step::Closed => {
                true
            }
            Step::TermsTold { .. } | Step::ClosingCalledOff | Step::Forgotten => false,
        }
    }

    /// Whether it cannot be taken back.
    pub fn is_final(&self) -> bool {
        matches!(self, Step::Closed | Step::Forgotten)
    }

    /// The version or the day that belongs to it.
    pub fn detail(&self) -> Option<String> {
        match self {
            Step::TermsTold { version, .. } => Some(version.clone()),
            Step::ClosingAnnounced { on } | Step::ClosingReminded { on } => Some(on.to_string()),
            _ => None,
        }
    }
}

/// What happens to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody was let in.
    Authenticated,
    /// The terms were accepted.
    TermsAccepted {
        /// Which.
        version: String,
    },
    /// The operator suspends it.
    Suspended,
    /// The operator opens it again.
    Reopened,
    /// The operator closes it, at its holder's wish say.
    Closed,
    /// The clock.
    Clock(Step),
}

/// An event that cannot happen to a mailbox in this stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this cannot happen to a mailbox that is {}", .0.name())]
pub struct Impossible(pub Stage);

impl Life {
    /// The life of a mailbox that is created on a day; `asked`: its holder is to accept terms first.
    pub fn new(created: Date, asked: bool) -> Self {
        Self {
            standing: if asked { Standing::Requested } else { Standing::Open },
            closing: None,
            alive: created,
            terms: TermsLife { asked, ..TermsLife::default() },
            can_be_told: false,
        }
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        match (self.standing, self.closing) {
            (Standing::Suspended, _) => Stage::Suspended,
            (Standing::Closed(_), _) => Stage::Closed,
            (Standing::Forgotten, _) => Stage::Forgotten,
            (_, Some(_)) => Stage::Closing,
            (Standing::Requested, None) => Stage::Requested,
            (Standing::Open, None) => Stage::Open,
            (Standing::OwesTerms, None) => Stage::Suspended,
        }
    }

    /// Whether its holder owes an acceptance of this version.
    pub fn owes(&self, terms: &TermsVersion) -> bool {
        let is_living = matches!(self.standing, Standing::Requested | Standing::Open | Standing::OwesTerms);
        is_living && self.terms.asked && self.terms.accepted.as_ref() != Some(&terms.version)
    }

    /// What the clock brings on a day; none: nothing, or the holder has to be told first and cannot be.
    pub fn due(&self, course: &Course, today: Date) -> Option<Step> {
        let mut wanted = self.wanted(course, today).into_iter().flatten();
        wanted.find(|step| self.can_be_told || !step.needs_telling())
    }

    /// Whether it would be suspended or closed in time, but for its holder, who cannot be told.
    pub fn is_stuck(&self, course: &Course, today: Date) -> bool {
        let mut wanted = self.wanted(course, today).into_iter().flatten();
        !self.can_be_told && wanted.any(|step| step.needs_telling())
    }

    fn wanted(&self, course: &Course, today: Date) -> [Option<Step>; 2] {
        match self.standing {
            // While the operator suspends it, nobody could answer: its time stands still.
            Standing::Forgotten | Standing::Suspended => [None, None],
            Standing::Closed(on) => {
                let is_due = today >= later(on, course.delays.kept) && !course.remembers;
                [is_due.then_some(Step::Forgotten), None]
            }
            Standing::Requested | Standing::Open | Standing::OwesTerms => {
                [self.terms_step(course, today), self.closing_step(course.delays, today)]
            }
        }
    }

    fn terms_step(&self, course: &Course, today: Date) -> Option<Step> {
        let terms = course.terms_on(today).filter(|terms| self.owes(terms))?;
        let told = self.terms.told.as_ref().filter(|told| told.version == terms.version);
        if told.is_none() && self.can_be_told {
            let version = terms.version.clone();
            let told = Some(TermsTold { version: version.clone(), on: today });
            let until = Life { terms: TermsLife { told, ..self.terms.clone() }, ..self.clone() }.goes_on_until(terms);
            return Some(Step::TermsTold { version, until });
        }
        // Whoever was never told would be suspended by now, and is not.
        let until = self.goes_on_until(terms).unwrap_or(terms.accept_by);
        let is_due = self.standing == Standing::Open && today > until && !course.spares_debtors;
        is_due.then_some(Step::SuspendedForTerms)
    }

    /// The last day on which it goes on without terms that its holder was told of; none where it is not open, or they were not.
    pub fn goes_on_until(&self, terms: &TermsVersion) -> Option<Date> {
        let told = self.terms.told.as_ref().filter(|told| told.version == terms.version)?;
        let until = terms.accept_by.max(later(told.on, DAYS_TO_ACCEPT));
        (self.standing == Standing::Open).then_some(until)
    }

    /// MSSanté §5: one year without authentication; told two months before, again at its end, closed after ten working days.
    fn closing_step(&self, delays: Delays, today: Date) -> Option<Step> {
        let answered_by = |reminded| later(working_days_after(reminded, delays.answer), 1);
        let Some(closing) = self.closing else {
            // A day at least: an announcement on the day of a sign of life would be called off by it.
            let told_from = later(self.alive, (delays.inactivity - delays.notice).max(1));
            let is_due = delays.inactivity > 0 && today >= told_from;
            return is_due.then(|| Step::ClosingAnnounced { on: answered_by(later(today, delays.notice)) });
        };
        if delays.inactivity == 0 || self.alive >= closing.announced {
            return Some(Step::ClosingCalledOff);
        }
        match closing.reminded {
            None => {
                let is_due = today >= later(closing.announced, delays.notice);
                is_due.then(|| Step::ClosingReminded { on: answered_by(today) })
            }
            Some(_) => (today >= closing.on).then_some(Step::Closed),
        }
    }

    /// The life after an event of a day.
    ///
    /// # Errors
    /// [`Impossible`]: such an event does not happen in this stage.
    pub fn after(&self, event: &Event, today: Date) -> Result<Life, Impossible> {
        let mut next = self.clone();
        let impossible = Err(Impossible(self.stage()));
        match (self.standing, event) {
            (Standing::Closed(_), Event::Clock(Step::Forgotten)) => {
                next.standing = Standing::Forgotten;
                next.terms = TermsLife { asked: self.terms.asked, ..TermsLife::default() };
            }
            (Standing::Closed(_) | Standing::Forgotten, _) | (_, Event::Clock(Step::Forgotten)) => return impossible,
            (_, Event::Closed | Event::Clock(Step::Closed)) => {
                next.standing = Standing::Closed(today);
                next.closing = None;
            }
            (_, Event::Suspended) => {
                next.standing = Standing::Suspended;
                next.closing = None;
            }
            (standing, Event::Reopened) => {
                next.opens(today);
                if standing != Standing::Open {
                    next.terms.told = None;
                }
            }
            (standing, Event::TermsAccepted { version }) => {
                next.terms.accepted = Some(version.clone());
                if standing != Standing::Suspended {
                    next.opens(today);
                }
            }
            (Standing::Suspended, _) => return impossible,
            (_, Event::Authenticated) => {
                next.alive = today;
                next.closing = None;
            }
            (_, Event::Clock(step)) => next.take(step, today),
        }
        Ok(next)
    }

    fn opens(&mut self, today: Date) {
        self.standing = Standing::Open;
        self.closing = None;
        self.alive = today;
    }

    /// A step of the clock that a living mailbox takes.
    fn take(&mut self, step: &Step, today: Date) {
        match step {
            Step::TermsTold { version, .. } => {
                self.terms.told = Some(TermsTold { version: version.clone(), on: today });
            }
            Step::SuspendedForTerms => self.standing = Standing::OwesTerms,
            Step::ClosingAnnounced { on } => {
                self.closing = Some(Closing { announced: today, reminded: None, on: *on });
            }
            Step::ClosingReminded { on } => {
                let announced = self.closing.map_or(today, |closing| closing.announced);
                self.closing = Some(Closing { announced, reminded: Some(today), on: *on });
            }
            Step::ClosingCalledOff | Step::Closed | Step::Forgotten => self.closing = None,
        }
    }

    /// What the clock will bring from a day on, for so many days, if nobody does anything.
    pub fn foresee(&self, course: &Course, from: Date, days: i64) -> Vec<(Date, Step)> {
        let mut found = Vec::new();
        let mut life = self.clone();
        for day in (0..days).map(|n| later(from, n)) {
            while let Some(step) = life.due(course, day) {
                let Ok(next) = life.after(&Event::Clock(step.clone()), day) else { return found };
                found.push((day, step));
                life = next;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
