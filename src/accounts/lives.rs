//! Mailboxes' lives: what a record says of one ([`Life`]), and what the clock does to it.
//!
//! [`crate::mss::lifecycle`] decides; here its events become changes of records. The clock's steps are asked for again over
//! the record that they change, so that whoever came back a moment before is not closed.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::life::Occasion;
use super::notice::Notice;
use super::{Account, AccountError, Registry};
use crate::mail::{kind_of, state_of};
use crate::mss::lifecycle::{
    Closing, Course, Delays, Event, Life, Stage, Standing, Step, TermsLife, TermsTold, Told, told,
};
use crate::mss::{Address, Kind};
use crate::store::{self, AccountId, AccountState, AnnouncedClosing, SuspendedFor};

/// Accounts read at a time.
const PAGE: usize = 500;

/// Settings of mailboxes' lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeOptions {
    /// How long things last.
    pub delays: Delays,
    /// The kinds of mailboxes whose holders are asked for the terms of use, once there are any.
    pub asked: Vec<Kind>,
    /// Closings of one day, suspensions for terms and oblivions that need no confirmation: so many hundredths of the living
    /// mailboxes of each, and one in any case.
    pub unconfirmed_percent: u64,
    /// Seconds that a mailbox goes on without a new version of the terms, where nobody says.
    pub terms_grace: i64,
    /// Seconds that a line of the journal is kept.
    pub journal_keep: i64,
}

impl Default for LifeOptions {
    fn default() -> Self {
        Self {
            delays: Delays::default(),
            asked: vec![Kind::Per, Kind::Org, Kind::Cab],
            unconfirmed_percent: 1,
            terms_grace: 60 * 86_400,
            journal_keep: 3_650 * 86_400,
        }
    }
}

/// A mailbox and its life.
#[derive(Clone, Debug)]
pub struct Living {
    /// The mailbox.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Its life up to now.
    pub life: Life,
}

impl Account {
    /// Where it is in its life, for people.
    pub fn stage(&self) -> Stage {
        life_of(&self.data, false, false).stage()
    }

    /// Whether it opens as soon as its holder accepts the terms of use.
    pub fn awaits_terms(&self) -> bool {
        self.data.state == AccountState::Suspended && self.data.suspended_for.is_some()
    }
}

impl Registry {
    /// The life that a record tells of.
    pub(super) fn life_of(&self, record: &store::Account) -> Life {
        let is_asked = self.life_options().asked.contains(&kind_of(record.kind)) && !record.test;
        let has_address = record.notification_address.as_deref().is_some_and(|text| Address::parse(text).is_ok());
        let takes_notices = has_address && record.notice_bounce.is_none();
        life_of(record, is_asked, takes_notices && self.reaches_holders())
    }

    /// What the clock goes by: the delays, and the terms of use.
    ///
    /// # Errors
    /// What the store says.
    pub fn course(&self) -> Result<Course, AccountError> {
        let versions = self.terms_versions()?.into_iter();
        let terms = versions.map(|version| version.as_version()).collect();
        Ok(Course { delays: self.life_options().delays, terms, ..Course::default() })
    }

    /// The lives of all mailboxes, a page at a time, by number, after the one given. An account that cannot be read has none.
    ///
    /// # Errors
    /// What the store says.
    pub fn lives(&self, after: Option<AccountId>) -> Result<Vec<Living>, AccountError> {
        let from = AccountId(after.map_or(0, |id| id.0.saturating_add(1)));
        let rows = self.store().scan::<store::Account>(from.., PAGE)?.into_iter();
        let living = |(account, record): (AccountId, store::Versioned<store::Account>)| {
            let address = Address::parse(&record.address).ok()?;
            Some(Living { account, address, life: self.life_of(&record) })
        };
        Ok(rows.filter_map(living).collect())
    }

    /// Lets a mailbox take the steps that are due at a moment, and says which. `may_close`: its closing too.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], or what the store says.
    pub async fn live_on(
        &self,
        id: AccountId,
        course: &Course,
        at: i64,
        may_close: bool,
    ) -> Result<Vec<Step>, AccountError> {
        let today = day_of(at);
        let mut taken = Vec::new();
        loop {
            let (course, registry) = (course.clone(), self.clone());
            let due = move |life: &Life| {
                // Whoever is in at this moment has answered, whatever was noted of it.
                let may_close = || may_close && !registry.sessions().is_in(id);
                let step = life.due(&course, today).filter(|step| *step != Step::Closed || may_close());
                step.map(Event::Clock)
            };
            let occasion = Occasion { at, reason: None };
            match self.happen(id, occasion, due).await? {
                (_, Some(Event::Clock(step))) => taken.push(step),
                _ => return Ok(taken),
            }
        }
    }

    /// What the holder is told when one life becomes another.
    pub(super) fn notices_of_life(&self, before: &Life, after: &Life) -> Vec<Notice> {
        let notice = |told| match told {
            Told::Terms { version } => {
                let terms = self.version_of(&version);
                let until = terms.and_then(|terms| after.goes_on_until(&terms.as_version())).map(midnight);
                Notice::TermsChanged { version, until }
            }
            Told::ClosingAnnounced { on } => Notice::ClosingAnnounced { on: midnight(on) },
            Told::ClosingReminded { on } => Notice::ClosingReminder { on: midnight(on) },
            Told::Closed => Notice::Closed,
        };
        told(Some(before), after).into_iter().map(notice).collect()
    }
}

/// The life that a record tells of.
fn life_of(record: &store::Account, asked: bool, can_be_told: bool) -> Life {
    let standing = match (record.state, record.suspended_for) {
        (AccountState::Open, _) => Standing::Open,
        (AccountState::Suspended, Some(SuspendedFor::Request)) => Standing::Requested,
        (AccountState::Suspended, Some(SuspendedFor::Terms)) => Standing::OwesTerms,
        (AccountState::Suspended, None) => Standing::Suspended,
        (AccountState::Closed, _) if record.forgotten_at.is_some() => Standing::Forgotten,
        (AccountState::Closed, _) => Standing::Closed(day_of(record.state_changed_at)),
    };
    let opened = Some(record.state_changed_at).filter(|_| record.state == AccountState::Open);
    let signs = [opened, record.last_login_at, record.terms_accepted_at];
    let alive = signs.into_iter().flatten().fold(record.created_at, i64::max);
    let closing = |closing: AnnouncedClosing| Closing {
        announced: day_of(closing.announced_at),
        reminded: closing.reminded_at.map(day_of),
        on: day_of(closing.on),
    };
    // Older versions noted no day: it was one since the mailbox is there.
    let told_at = record.terms_told_at.unwrap_or(record.created_at);
    let told = record.terms_told.clone().map(|version| TermsTold { version, on: day_of(told_at) });
    Life {
        standing,
        closing: record.closing.map(closing),
        alive: day_of(alive),
        terms: TermsLife { asked, accepted: record.terms_version.clone(), told },
        can_be_told,
    }
}

/// Writes a life into the record that the one before was read from.
pub(super) fn write(before: &Life, after: &Life, occasion: &Occasion, by: &str, record: &mut store::Account) {
    let at = occasion.at;
    let reason = occasion.reason.clone().filter(|reason| !reason.is_empty());
    if before.standing != after.standing {
        let (state, suspended_for) = match after.standing {
            Standing::Open => (AccountState::Open, None),
            Standing::Requested => (AccountState::Suspended, Some(SuspendedFor::Request)),
            Standing::OwesTerms => (AccountState::Suspended, Some(SuspendedFor::Terms)),
            Standing::Suspended => (AccountState::Suspended, None),
            Standing::Closed(_) | Standing::Forgotten => (AccountState::Closed, None),
        };
        (record.state, record.suspended_for) = (state, suspended_for);
        record.state_reason = reason;
        record.state_changed_at = at;
    } else if before.closing.is_some() && before.alive != after.alive {
        // The operator called the closing off: its time begins anew.
        record.state_reason = reason;
        record.state_changed_at = at;
    } else if reason.is_some() {
        // Asked for once more, with another reason.
        record.state_reason = reason;
    }
    if before.closing != after.closing {
        record.closing = after.closing.map(|closing| AnnouncedClosing {
            announced_at: midnight(closing.announced),
            reminded_at: closing.reminded.map(midnight),
            on: midnight(closing.on),
        });
    }
    if before.terms.accepted != after.terms.accepted {
        record.terms_version.clone_from(&after.terms.accepted);
        record.terms_accepted_at = Some(at);
        record.terms_accepted_by = Some(by.to_owned());
    }
    let told = after.terms.told.as_ref();
    record.terms_told = told.map(|told| told.version.clone());
    record.terms_told_at = told.map(|told| midnight(told.on));
    record.changed_at = at;
    match after.standing {
        Standing::Closed(_) => record.access_list.clear(),
        Standing::Forgotten => *record = forgotten(record, at),
        _ => {}
    }
}

/// What is left of a mailbox that is forgotten (MSSanté §5): that its address was given, and when it was closed.
fn forgotten(record: &store::Account, at: i64) -> store::Account {
    store::Account {
        address: record.address.clone(),
        kind: record.kind,
        state: record.state,
        test: record.test,
        created_at: record.created_at,
        state_changed_at: record.state_changed_at,
        changed_at: at,
        forgotten_at: Some(at),
        ..store::Account::default()
    }
}

/// The day of a moment, in Universal Time.
pub fn day_of(unix: i64) -> Date {
    Timestamp::from_second(unix).map_or(Date::MAX, |at| at.to_zoned(TimeZone::UTC).date())
}

/// The first moment of a day, Unix seconds.
pub fn midnight(day: Date) -> i64 {
    day.to_zoned(TimeZone::UTC).map_or(i64::MAX, |at| at.timestamp().as_second())
}

/// What an event that a life does not admit is to who asked for it.
pub(super) fn refused(record: &store::Account) -> AccountError {
    match record.state {
        AccountState::Closed => AccountError::Closed,
        state => AccountError::WrongState(state_of(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn record() -> store::Account {
        store::Account {
            address: "zoe@aura.example".into(),
            created_at: 20_000 * DAY + 7,
            state_changed_at: 20_000 * DAY + 7,
            ..store::Account::default()
        }
    }

    fn occasion(at: i64) -> Occasion {
        Occasion { at, reason: Some("contrôle".into()) }
    }

    #[test]
    fn a_record_of_an_older_version_is_an_open_mailbox_without_terms() {
        let old = r#"{"address":"zoe@aura.example","state":"open","created_at":1728000007}"#;
        let old: store::Account = serde_json::from_str(old).unwrap();
        let life = life_of(&old, true, true);
        assert_eq!((life.stage(), life.closing, life.terms.accepted), (Stage::Open, None, None));
    }

    #[test]
    fn a_life_comes_back_from_the_record_that_it_was_written_into() {
        let today = day_of(20_100 * DAY);
        let on = day_of(20_200 * DAY);
        let announced = Event::Clock(Step::ClosingAnnounced { on });
        let reminded = Event::Clock(Step::ClosingReminded { on });
        let accepted = Event::TermsAccepted { version: "2".into() };
        let told = Event::Clock(Step::TermsTold { version: "2".into(), until: None });
        let owing = Event::Clock(Step::SuspendedForTerms);
        for events in [
            vec![Event::Suspended],
            vec![Event::Suspended, Event::Reopened],
            vec![told, owing, accepted],
            vec![announced.clone(), reminded.clone()],
            vec![announced, reminded, Event::Clock(Step::Closed)],
            vec![Event::Closed, Event::Clock(Step::Forgotten)],
        ] {
            let mut record = record();
            for event in events {
                let before = life_of(&record, true, false);
                let after = before.after(&event, today).unwrap();
                write(&before, &after, &occasion(20_100 * DAY), "server", &mut record);
                let read = life_of(&record, true, false);
                assert_eq!(Life { alive: after.alive, ..read }, after, "{event:?}");
            }
        }
    }

    #[test]
    fn what_is_forgotten_has_nobodys_name_and_keeps_its_address() {
        let holder = store::Holder { last_name: Some("Martin".into()), ..store::Holder::default() };
        let mut record = store::Account { holder, comment: Some("x".into()), ..record() };
        let today = day_of(20_500 * DAY);
        for event in [Event::Closed, Event::Clock(Step::Forgotten)] {
            let before = life_of(&record, true, false);
            let after = before.after(&event, today).unwrap();
            write(&before, &after, &occasion(20_500 * DAY), "server", &mut record);
        }
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("Martin") && json.contains("zoe@aura.example"), "{json}");
        assert_eq!((record.comment, record.state), (None, AccountState::Closed));
    }

    #[test]
    fn days_and_moments_agree() {
        for unix in [0, DAY - 1, DAY, 20_000 * DAY + 5] {
            assert_eq!(midnight(day_of(unix)), unix / DAY * DAY);
        }
    }
}
