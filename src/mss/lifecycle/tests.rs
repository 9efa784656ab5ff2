//! The machine through years, day by day.

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::super::holidays::{is_working_day, later};
use super::*;

const BORN: Date = date(2026, 1, 5);

fn open() -> Life {
    Life { can_be_told: true, ..Life::new(BORN, false) }
}

fn asked() -> Life {
    Life { can_be_told: true, ..Life::new(BORN, true) }
}

fn version(name: &str, from: Date, accept_by: Date) -> TermsVersion {
    TermsVersion { version: name.into(), from, accept_by }
}

fn step(life: &Life, step: Step, day: Date) -> Life {
    life.after(&Event::Clock(step), day).unwrap()
}

#[test]
fn a_year_of_silence_is_announced_two_months_before_reminded_and_closed_after_ten_working_days() {
    let foreseen = open().foresee(&Course::default(), BORN, 3 * 366);
    let steps: Vec<_> = foreseen.iter().map(|(day, step)| (*day, step.name())).collect();
    assert_eq!(
        steps,
        [
            (date(2026, 11, 5), "closing-announced"),
            (date(2027, 1, 5), "closing-reminded"),
            (date(2027, 1, 20), "closed"),
            (date(2028, 1, 20), "forgotten"),
        ]
    );
    assert_eq!(foreseen[0].1, Step::ClosingAnnounced { on: date(2027, 1, 20) });
    assert_eq!(foreseen[1].1, Step::ClosingReminded { on: date(2027, 1, 20) });
}

#[test]
fn any_authentication_calls_a_closing_off_and_the_year_begins_anew() {
    let closing = step(&open(), Step::ClosingAnnounced { on: date(2027, 1, 20) }, date(2026, 11, 5));
    assert_eq!(closing.stage(), Stage::Closing);
    let back = closing.after(&Event::Authenticated, date(2027, 1, 19)).unwrap();
    assert_eq!((back.stage(), back.alive), (Stage::Open, date(2027, 1, 19)));
    assert_eq!(lines(Some(&closing), &back), [Line { step: "closing-called-off", detail: None }]);
    let first = back.foresee(&Course::default(), date(2027, 1, 19), 400).remove(0);
    assert_eq!(first.0, later(date(2027, 1, 19), 365 - 61));
}

#[test]
fn a_job_that_did_not_run_shortens_nobodys_delays() {
    // Two years late: announced then, and all delays from there.
    let late = date(2028, 6, 1);
    let steps = open().foresee(&Course::default(), late, 100);
    assert_eq!(steps[0].0, late);
    assert_eq!(steps[1].0, later(late, 61));
    assert!(steps[2].0 > later(late, 61 + 13), "{steps:?}");
    // Reminded late: the ten working days count from the reminder.
    let announced = step(&open(), Step::ClosingAnnounced { on: date(2027, 1, 20) }, date(2026, 11, 5));
    let Some(Step::ClosingReminded { on }) = announced.due(&Course::default(), date(2027, 3, 1)) else {
        panic!("the reminder is due")
    };
    assert_eq!(on, date(2027, 3, 16));
}

#[test]
fn who_cannot_be_told_is_not_closed() {
    let mute = Life { can_be_told: false, ..open() };
    assert!(mute.foresee(&Course::default(), BORN, 2_000).is_empty());
    assert!(mute.is_stuck(&Course::default(), date(2027, 1, 1)));
    assert!(!open().is_stuck(&Course::default(), date(2027, 1, 1)));
    // Nor once the address is gone after the announcement.
    let announced = step(&open(), Step::ClosingAnnounced { on: date(2027, 1, 20) }, date(2026, 11, 5));
    let mute = Life { can_be_told: false, ..announced.clone() };
    assert!(mute.foresee(&Course::default(), date(2026, 11, 5), 2_000).is_empty());
    // Nor after the reminder.
    let reminded = step(&announced, Step::ClosingReminded { on: date(2027, 1, 20) }, date(2027, 1, 5));
    let mute = Life { can_be_told: false, ..reminded };
    assert!(mute.foresee(&Course::default(), date(2027, 1, 5), 2_000).is_empty());
    assert!(mute.is_stuck(&Course::default(), date(2027, 1, 20)));
}

#[test]
fn nothing_happens_to_a_mailbox_that_the_operator_suspends() {
    let suspended = open().after(&Event::Suspended, date(2026, 3, 1)).unwrap();
    assert!(suspended.foresee(&Course::default(), date(2026, 3, 1), 3_000).is_empty());
    let again = suspended.after(&Event::Reopened, date(2030, 3, 1)).unwrap();
    assert_eq!(again.foresee(&Course::default(), date(2030, 3, 1), 400)[0].0, later(date(2030, 3, 1), 304));
}

#[test]
fn no_inactivity_asked_means_no_closing_and_calls_off_what_was_announced() {
    let course = Course { delays: Delays { inactivity: 0, ..Delays::default() }, ..Course::default() };
    assert!(open().foresee(&course, BORN, 5_000).is_empty());
    let announced = step(&open(), Step::ClosingAnnounced { on: date(2027, 1, 20) }, date(2026, 11, 5));
    assert_eq!(announced.due(&course, date(2026, 11, 6)), Some(Step::ClosingCalledOff));
}

#[test]
fn a_requested_mailbox_opens_with_the_acceptance_of_the_terms() {
    let life = asked();
    assert_eq!(life.stage(), Stage::Requested);
    let course = Course { terms: vec![version("1", date(2025, 1, 1), date(2025, 3, 1))], ..Course::default() };
    let told = Step::TermsTold { version: "1".into(), until: None };
    assert_eq!(life.due(&course, BORN), Some(told.clone()), "told, and never suspended: it is not open");
    let life = step(&life, told, BORN);
    assert_eq!(life.due(&course, BORN), None);
    let opened = life.after(&Event::TermsAccepted { version: "1".into() }, date(2026, 1, 9)).unwrap();
    assert_eq!(opened.stage(), Stage::Open);
    let steps: Vec<_> = lines(Some(&life), &opened).into_iter().map(|line| line.step).collect();
    assert_eq!(steps, ["terms-accepted", "opened"]);
    assert_eq!(opened.due(&course, date(2026, 1, 9)), None);
}

#[test]
fn new_terms_are_told_and_suspend_past_their_date_until_they_are_accepted() {
    let first = version("1", date(2025, 1, 1), date(2025, 3, 1));
    let second = version("2", date(2026, 6, 1), date(2026, 7, 31));
    let course = Course { terms: vec![first, second], ..Course::default() };
    let life = asked().after(&Event::TermsAccepted { version: "1".into() }, BORN).unwrap();
    let foreseen = life.foresee(&course, date(2026, 5, 1), 100);
    assert_eq!(
        foreseen,
        [
            (date(2026, 6, 1), Step::TermsTold { version: "2".into(), until: Some(date(2026, 7, 31)) }),
            (date(2026, 8, 1), Step::SuspendedForTerms),
        ]
    );
    let sparing = Course { spares_debtors: true, ..course };
    let steps: Vec<_> =
        life.foresee(&sparing, date(2026, 5, 1), 250).into_iter().map(|(_, step)| step.name()).collect();
    assert_eq!(
        steps,
        ["terms-told", "closing-announced", "closing-reminded"],
        "what is spared stands in no other's way"
    );
    let owing = step(&life, Step::SuspendedForTerms, date(2026, 8, 1));
    assert_eq!((owing.stage(), owing.standing), (Stage::Suspended, Standing::OwesTerms));
    let back = owing.after(&Event::TermsAccepted { version: "2".into() }, date(2026, 9, 1)).unwrap();
    assert_eq!((back.stage(), back.alive), (Stage::Open, date(2026, 9, 1)));
}

#[test]
fn who_was_not_told_of_terms_is_not_suspended_for_them_and_who_was_told_late_has_a_week() {
    let course = Course { terms: vec![version("1", BORN, BORN)], ..Course::default() };
    let life = Life { can_be_told: true, ..asked().after(&Event::Reopened, BORN).unwrap() };
    let mute = Life { can_be_told: false, ..life.clone() };
    assert!(mute.foresee(&course, BORN, 300).is_empty());
    assert!(mute.is_stuck(&course, date(2026, 1, 6)) && !mute.is_stuck(&course, BORN));
    let late = date(2026, 3, 1);
    let foreseen = life.foresee(&course, late, 9);
    let until = Some(date(2026, 3, 8));
    assert_eq!(
        foreseen,
        [(late, Step::TermsTold { version: "1".into(), until }), (date(2026, 3, 9), Step::SuspendedForTerms)]
    );
    // Nor once they cannot be told any more.
    let told = step(&life, foreseen[0].1.clone(), late);
    assert!(Life { can_be_told: false, ..told }.foresee(&course, late, 100).is_empty());
}

#[test]
fn a_mailbox_that_the_operator_opens_again_is_told_of_the_terms_anew_and_goes_on_for_a_week() {
    let course = Course { terms: vec![version("1", BORN, BORN)], ..Course::default() };
    let life = asked().after(&Event::Reopened, BORN).unwrap();
    let told = step(&life, Step::TermsTold { version: "1".into(), until: None }, BORN);
    let owing = step(&told, Step::SuspendedForTerms, date(2026, 1, 13));
    let opened = owing.after(&Event::Reopened, date(2026, 5, 4)).unwrap();
    assert_eq!(opened.stage(), Stage::Open);
    let steps: Vec<_> = opened.foresee(&course, date(2026, 5, 4), 30);
    let steps: Vec<_> = steps.iter().map(|(day, step)| (*day, step.name())).collect();
    assert_eq!(steps, [(date(2026, 5, 4), "terms-told"), (date(2026, 5, 12), "suspended-for-terms")]);
    // What is open stays as it is: nobody is told twice for that.
    assert_eq!(told.after(&Event::Reopened, BORN).unwrap().terms, told.terms);
}

#[test]
fn silence_goes_on_while_terms_are_owed() {
    let course = Course { terms: vec![version("1", BORN, BORN)], ..Course::default() };
    let owing = step(&asked().after(&Event::Reopened, BORN).unwrap(), Step::SuspendedForTerms, date(2026, 8, 1));
    let foreseen = owing.foresee(&course, date(2026, 8, 1), 800);
    let steps: Vec<_> = foreseen.iter().map(|(_, step)| step.name()).collect();
    assert_eq!(steps, ["terms-told", "closing-announced", "closing-reminded", "closed", "forgotten"]);
    assert_eq!(foreseen[1].0, date(2026, 11, 5), "its suspension is no sign of life");
}

#[test]
fn of_a_closed_mailbox_nothing_comes_but_oblivion() {
    let closed = open().after(&Event::Closed, date(2026, 2, 1)).unwrap();
    for event in [
        Event::Authenticated,
        Event::Suspended,
        Event::Reopened,
        Event::Closed,
        Event::TermsAccepted { version: "1".into() },
        Event::Clock(Step::ClosingAnnounced { on: BORN }),
    ] {
        assert_eq!(closed.after(&event, date(2026, 3, 1)), Err(Impossible(Stage::Closed)), "{event:?}");
    }
    assert_eq!(open().after(&Event::Clock(Step::Forgotten), BORN), Err(Impossible(Stage::Open)));
    assert_eq!(told(Some(&open()), &closed), [Told::Closed]);
}

/// Something that comes from outside, on a day of a random life.
fn events() -> impl Strategy<Value = Option<Event>> {
    prop_oneof![
        400 => Just(None),
        2 => Just(Some(Event::Authenticated)),
        1 => Just(Some(Event::Suspended)),
        2 => Just(Some(Event::Reopened)),
        1 => (1..4_u8).prop_map(|n| Some(Event::TermsAccepted { version: n.to_string() })),
    ]
}

fn courses() -> impl Strategy<Value = Course> {
    let delays = (0_i64..400, 0_i64..100, 0_u32..15, 0_i64..400).prop_map(|(inactivity, notice, answer, kept)| {
        Delays { inactivity, notice: notice.min(inactivity), answer, kept }
    });
    let terms = prop::collection::vec((0_i64..900, 0_i64..90), 0..4).prop_map(|mut starts| {
        starts.sort_unstable();
        let numbered = starts.into_iter().enumerate();
        numbered
            .map(|(n, (from, grace))| version(&(n + 1).to_string(), later(BORN, from), later(BORN, from + grace)))
            .collect()
    });
    (delays, terms).prop_map(|(delays, terms)| Course { delays, terms, ..Course::default() })
}

fn working_days_between(from: Date, to: Date) -> usize {
    let days = (1..=2_000).map(|n| later(from, n)).take_while(|day| *day < to);
    days.filter(|day| is_working_day(*day)).count()
}

/// What somebody outside has seen of a life.
#[derive(Default)]
struct Seen {
    announced: Option<Date>,
    reminded: Option<Date>,
    closed: Option<Date>,
    terms: Option<Date>,
}

impl Seen {
    /// Looks at one change: the journal has it, and the holder was told what must be told.
    fn look(
        &mut self,
        course: &Course,
        before: &Life,
        after: &Life,
        day: Date,
        by_clock: bool,
    ) -> Result<(), TestCaseError> {
        let (lines, told) = (lines(Some(before), after), told(Some(before), after));
        if before.standing != after.standing || before.closing != after.closing {
            prop_assert!(!lines.is_empty(), "{before:?} became {after:?} without a line");
        }
        for told in told {
            match told {
                Told::ClosingAnnounced { .. } => {
                    *self = Seen { announced: Some(day), terms: self.terms, ..Seen::default() };
                }
                Told::ClosingReminded { .. } => self.reminded = Some(day),
                Told::Closed => self.closed = Some(day),
                Told::Terms { .. } => self.terms = Some(day),
            }
        }
        if before.standing == Standing::Open && after.standing == Standing::OwesTerms {
            prop_assert!(by_clock);
            prop_assert!(later(self.terms.unwrap(), DAYS_TO_ACCEPT) < day, "told of the terms a week before");
        }
        let is_new = |standing: fn(&Standing) -> bool| !standing(&before.standing) && standing(&after.standing);
        if is_new(|standing| matches!(standing, Standing::Closed(_))) {
            prop_assert!(lines.iter().any(|line| line.step == "closed"));
            prop_assert_eq!(self.closed, Some(day));
            prop_assert!(by_clock);
            let (announced, reminded) = (self.announced.unwrap(), self.reminded.unwrap());
            prop_assert!(later(announced, course.delays.notice) <= reminded);
            prop_assert!(working_days_between(reminded, day) >= course.delays.answer as usize);
            prop_assert!(before.alive < announced, "somebody was there after the announcement");
        }
        if after.standing == Standing::Forgotten {
            prop_assert!(later(self.closed.unwrap(), course.delays.kept) <= day);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Four years, day by day; the job runs on most days, people and the operator do what they like.
    #[test]
    fn no_path_of_the_clock_reaches_closed_without_a_line_and_two_notices_in_time(
        course in courses(),
        asked in any::<bool>(),
        days in prop::collection::vec((events(), 0..10_u8), 1_460),
    ) {
        let mut life = Life { can_be_told: true, ..Life::new(BORN, asked) };
        let mut seen = Seen::default();
        for (n, (event, luck)) in (0_i64..).zip(days) {
            let day = later(BORN, n);
            if let Some(Ok(next)) = event.map(|event| life.after(&event, day)) {
                seen.look(&course, &life, &next, day, false)?;
                life = next;
            }
            let mut steps = 0;
            while luck > 2 && let Some(step) = life.due(&course, day) {
                let next = life.after(&Event::Clock(step), day).unwrap();
                seen.look(&course, &life, &next, day, true)?;
                life = next;
                steps += 1;
                prop_assert!(steps < 9, "the clock never rests: {life:?}");
            }
            if life.standing == Standing::Suspended {
                prop_assert_eq!(life.due(&course, day), None);
            }
        }
    }
}
