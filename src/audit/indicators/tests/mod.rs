//! The counters, from traces to figures.

mod month;

use std::cell::RefCell;

use super::tally::{Place, place, row_key};
use super::*;
use crate::audit::{Action, Actor, FolderKind, MessageFacts, Origin};
use crate::mss::indicators::{Row, Sheet};
use crate::store::scratch::damage;
use crate::store::{Account, AccountId, AccountKind, AccountState, AddressEntry, Committed, Counter};

const ANNE: &str = "anne.roux@aura.example";
const CARE: &str = "soins@chu.example";
const PATIENT: &str = "184127512345678@patient.mssante.fr";

/// A store with two mailboxes, and counters over it.
struct Scene {
    store: Store,
    indicators: Indicators,
    /// The scribe's.
    observer: Box<dyn Observer>,
    month: Month,
    at: u64,
    written: Vec<Trace>,
}

struct Kept<'a>(&'a [Trace]);

impl TraceSource for Kept<'_> {
    fn each(
        &self,
        range: std::ops::Range<u64>,
        each: &mut dyn FnMut(&Trace) -> Result<(), StoreError>,
    ) -> Result<(), IndicatorError> {
        let mut within = self.0.iter().filter(|trace| range.contains(&trace.at));
        within.try_for_each(each).map_err(IndicatorError::from)
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(IndicatorOptions::default())
    }

    fn with(options: IndicatorOptions) -> Self {
        let store = Store::in_memory();
        let month: Month = "2026-11".parse().unwrap();
        let indicators = Indicators::new(store.clone(), options);
        let observer = indicators.observer();
        let scene = Self { store, indicators, observer, month, at: month.start(), written: Vec::new() };
        scene.mailbox(1, ANNE, AccountKind::Per);
        scene.mailbox(2, CARE, AccountKind::Org);
        scene
    }

    fn mailbox(&self, id: u64, address: &str, kind: AccountKind) {
        let account = Account { address: address.into(), kind, ..Account::default() };
        let mut batch = Batch::new();
        batch.put(&AccountId(id), &account).put(&address.to_owned(), &AddressEntry::Account(AccountId(id)));
        self.store.commit_blocking(batch).unwrap();
    }

    fn state(&self, id: u64, state: AccountState) {
        let read = self.store.get::<Account>(&AccountId(id)).unwrap().unwrap().record;
        let mut batch = Batch::new();
        batch.put(&AccountId(id), &Account { state, ..read });
        self.store.commit_blocking(batch).unwrap();
    }

    /// Writes traces as the scribe does, each a second after the one before.
    fn write(&mut self, traces: impl IntoIterator<Item = Trace>) -> Committed {
        self.try_to_write(traces).unwrap()
    }

    /// Nothing that is not committed was written.
    fn try_to_write(&mut self, traces: impl IntoIterator<Item = Trace>) -> Result<Committed, CommitError> {
        let (mut batch, mut given) = (Batch::new(), Vec::new());
        for mut trace in traces {
            self.at += 1_000_000;
            trace.at = self.at;
            self.observer.observe(&trace);
            given.push(trace);
        }
        self.observer.put_into(&self.store, &mut batch).unwrap();
        let committed = self.store.commit_blocking(batch)?;
        self.observer.committed(committed);
        self.written.append(&mut given);
        Ok(committed)
    }

    /// Another process's scribe, that remembers nothing.
    fn restart(&mut self) {
        self.observer = self.indicators.observer();
    }

    /// A sheet's rows as `a|b|c: 1 2`.
    fn rows(&self, sheet: Sheet) -> Vec<String> {
        shown(&self.indicators.month(self.month).unwrap().rows(sheet))
    }

    fn recount(&self) -> Vec<Difference> {
        self.indicators.recount(self.month, &Kept(&self.written)).unwrap()
    }
}

fn shown(rows: &[Row]) -> Vec<String> {
    let row = |row: &Row| {
        let measures: Vec<String> = row.measures.iter().map(u64::to_string).collect();
        format!("{}: {}", row.dimensions.join("|"), measures.join(" "))
    };
    rows.iter().map(row).collect()
}

fn accepted(door: &str, sender: &str, queued: &[&str], delivered: &[&str], size: u64, mss: &[(&str, &str)]) -> Trace {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let action = Action::Accepted { sender: sender.into(), queued: all(queued), delivered: all(delivered) };
    let mss = mss.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let message = MessageFacts { message_id: "<a@b>".into(), size: Some(size), mss, ..MessageFacts::default() };
    let origin = Origin { door: door.into(), ..Origin::default() };
    Trace { origin, message: Some(message), ..Trace::of(action) }
}

fn at_door(door: &str, means: &str, mailbox: Option<&str>, action: Action) -> Trace {
    let actor = Actor { means: Some(means.into()), ..Actor::default() };
    let origin = Origin { door: door.into(), ..Origin::default() };
    Trace { actor, origin, mailbox: mailbox.map(str::to_owned), ..Trace::of(action) }
}

fn administered(mailbox: &str, what: &str) -> Trace {
    let action = Action::Administered { what: what.into(), fields: Vec::new(), about: None };
    Trace { mailbox: Some(mailbox.into()), ..Trace::of(action) }
}

#[test]
fn a_message_counts_for_its_sender_and_for_each_mailbox_that_has_it() {
    let mut scene = Scene::new();
    scene.write([
        accepted("submission", ANNE, &["b@nord.example", "c@nord.example"], &[CARE], 2048, &[]),
        accepted("submission", ANNE, &[], &[CARE], 20 << 10, &[]),
        accepted("smtp", "b@nord.example", &[], &[ANNE, CARE], 3 << 20, &[]),
        accepted("report", "", &[], &[ANNE], 1000, &[]),
    ]);
    assert_eq!(
        scene.rows(Sheet::Exchanges),
        [
            "||automatique|interne|moins de 10 Kio: 1 1 1000",
            "aura.example|PER|emis|interne|10 a 100 Kio: 1 1 20480",
            "aura.example|PER|emis|operateur|moins de 10 Kio: 1 3 2048",
            "aura.example|PER|recu|interne|moins de 10 Kio: 1 1 1000",
            "aura.example|PER|recu|operateur|1 a 5 Mio: 1 1 3145728",
            "chu.example|ORG|recu|interne|10 a 100 Kio: 1 1 20480",
            "chu.example|ORG|recu|interne|moins de 10 Kio: 1 1 2048",
            "chu.example|ORG|recu|operateur|1 a 5 Mio: 1 1 3145728",
        ]
    );
    assert_eq!(
        scene.rows(Sheet::Peers),
        [
            "|automatique|aura.example: 1 1",
            "aura.example|emis|chu.example: 2 2",
            "aura.example|emis|nord.example: 1 2",
            "aura.example|recu|<>: 1 1",
            "aura.example|recu|nord.example: 1 1",
            "chu.example|recu|aura.example: 2 2",
            "chu.example|recu|nord.example: 1 1",
        ]
    );
    assert_eq!(scene.rows(Sheet::Activity), ["aura.example|PER: 1 0 1 1 0", "chu.example|ORG: 1 0 0 1 0"]);
    assert_eq!(scene.recount(), []);
}

#[test]
fn mail_with_citizens_is_told_apart_both_ways_and_no_citizen_is_counted_by() {
    let mut scene = Scene::new();
    scene.write([
        accepted("submission", ANNE, &["b@nord.example", PATIENT], &[], 100, &[("X-MSS-MES", "fin")]),
        accepted("smtp", PATIENT, &[], &[ANNE], 100, &[]),
        Trace::of(Action::Tried {
            recipient: PATIENT.into(),
            result: "relayed".into(),
            words: "250 ok".into(),
            attempt: 1,
        }),
    ]);
    let exchanges = scene.rows(Sheet::Exchanges);
    assert_eq!(
        exchanges,
        [
            "aura.example|PER|emis|patient|moins de 10 Kio: 1 2 100",
            "aura.example|PER|recu|patient|moins de 10 Kio: 1 1 100"
        ]
    );
    assert_eq!(scene.rows(Sheet::Outcomes), ["relayed|patient.mssante.fr: 1"]);
    for sheet in Sheet::ALL {
        assert!(scene.rows(sheet).iter().all(|row| !row.contains("184127512345678") && !row.contains("anne")));
    }
}

#[test]
fn header_fields_are_counted_by_their_codes_and_by_nothing_else() {
    let mut scene = Scene::new();
    let with = [("X-MSS-NIL", "WEDA-4"), ("x-mss-codecda", "34133-9, 11488-4,34133-9"), ("X-MSS-INS", "o")];
    let without = [("X-MSS-NIL", "184127512345678"), ("X-MSS-INS", "184127512345678"), ("X-MSS-MES", "x")];
    scene.write([
        accepted("submission", ANNE, &["b@nord.example"], &[], 100, &with),
        accepted("smtp", "b@nord.example", &[], &[ANNE, CARE], 100, &without),
        accepted("smtp", "b@nord.example", &[], &[ANNE], 100, &[]),
    ]);
    assert_eq!(
        scene.rows(Sheet::Headers),
        [
            "aura.example|emis|oui|oui|O|absent: 1",
            "aura.example|recu|non|non|absent|absent: 1",
            "aura.example|recu|oui|non|(illisible)|(illisible): 1",
            "chu.example|recu|oui|non|(illisible)|(illisible): 1",
        ]
    );
    assert_eq!(scene.rows(Sheet::Software), ["emis|WEDA-4: 1", "recu|(illisible): 1"]);
    assert_eq!(scene.rows(Sheet::Documents), ["emis|11488-4: 1", "emis|34133-9: 1"]);
}

#[test]
fn logins_refusals_and_movements_have_their_sheets() {
    let mut scene = Scene::new();
    let refused = |asked: Option<&str>| Action::LoginRefused {
        reason: "bad-credentials".into(),
        asked: asked.map(str::to_owned),
    };
    let rules = [("over-quota", 30), ("mailbox-closed", 7)].map(|(rule, count)| (rule.to_owned(), count));
    let many = Action::ManyRefused { rules: rules.into() };
    let rule = Action::Refused { rule: "over-quota".into(), sender: "b@nord.example".into(), recipient: None };
    scene.write([
        at_door("imap", "pro-sante-connect", Some(ANNE), Action::LoggedIn),
        at_door("imap", "pro-sante-connect", Some(ANNE), Action::LoggedIn),
        at_door("submission", "password", None, refused(Some(ANNE))),
        at_door("submission", "password", None, refused(None)),
        at_door("submission", "", None, Action::LoginsRefused { count: 40 }),
        at_door("imap", "password", Some(CARE), Action::Read { folder: FolderKind::Inbox, messages: 3 }),
        at_door("smtp", "", None, rule),
        at_door("smtp", "", None, many),
        administered(CARE, "mailbox-created"),
        administered(CARE, "mailbox-changed"),
    ]);
    assert_eq!(
        scene.rows(Sheet::Connections),
        [
            "||submission||refus-en-nombre: 40",
            "||submission|password|bad-credentials: 1",
            "aura.example|PER|imap|pro-sante-connect|admis: 2",
            "aura.example|PER|submission|password|bad-credentials: 1",
        ]
    );
    assert_eq!(scene.rows(Sheet::Refusals), ["smtp|mailbox-closed: 7", "smtp|over-quota: 31"]);
    assert_eq!(scene.rows(Sheet::Movements), ["chu.example|ORG|creation: 1"]);
    assert_eq!(scene.rows(Sheet::Activity), ["aura.example|PER: 1 1 0 0 0", "chu.example|ORG: 1 0 0 0 1"]);
    assert_eq!(scene.recount(), []);
}

#[test]
fn what_another_commit_came_between_is_no_commit_and_counts_once_when_it_is_counted_again() {
    let mut scene = Scene::new();
    let sent = || accepted("submission", ANNE, &["b@nord.example"], &[], 100, &[]);
    for written in 1..=3 {
        // What this one has counted so far it does not read again: others' commits have to show all the same.
        scene.write([sent()]);
        let key =
            row_key(scene.month, Sheet::Exchanges, &["aura.example", "PER", "emis", "operateur", "moins de 10 Kio"]);
        let mut of_others = Batch::new();
        of_others.put(&key, &Counter { values: vec![10 * written, 0, 0] });
        scene.store.commit_blocking(of_others).unwrap();
        assert!(matches!(scene.try_to_write([sent()]), Err(CommitError::Conflict(_))));
        assert_eq!(
            scene.rows(Sheet::Exchanges),
            [format!("aura.example|PER|emis|operateur|moins de 10 Kio: {} 0 0", 10 * written)]
        );
        scene.write([sent()]);
        assert_eq!(
            scene.rows(Sheet::Exchanges),
            [format!("aura.example|PER|emis|operateur|moins de 10 Kio: {} 1 100", 10 * written + 1)]
        );
    }
    assert_eq!(scene.rows(Sheet::Activity), ["aura.example|PER: 1 0 1 0 0"]);
}

#[test]
fn what_is_remembered_counts_as_what_is_read() {
    let with = |counters, mailboxes| {
        let remembered = Remembered { counters, mailboxes };
        Scene::with(IndicatorOptions { remembered, ..IndicatorOptions::default() })
    };
    // All of it; nothing; and so little that what is remembered gives way all the time.
    let mut scenes = [Scene::new(), with(0, 0), with(8, 1)];
    for number in 0..200_u64 {
        let peer = format!("b@nord{}.example", number % 7);
        let software = format!("LOGICIEL-{}", number % 11);
        let fields = [("X-MSS-NIL", software.as_str()), ("X-MSS-CODECDA", "34133-9")];
        for scene in &mut scenes {
            scene.write([
                accepted("submission", [ANNE, CARE][number as usize % 2], &[&peer], &[], number * 1000, &fields),
                accepted("smtp", &peer, &[], &[CARE], number, &fields),
                at_door("imap", "password", Some(ANNE), Action::LoggedIn),
            ]);
        }
    }
    for sheet in Sheet::ALL {
        for scene in &scenes[1..] {
            assert_eq!(scenes[0].rows(sheet), scene.rows(sheet), "{sheet:?}");
        }
    }
    assert_eq!(scenes[0].recount(), []);
}

#[test]
fn each_trace_counts_in_the_month_of_its_own_time() {
    let mut scene = Scene::new();
    scene.at = scene.month.end() - 2_000_000;
    scene.write((0..3).map(|_| at_door("imap", "password", Some(ANNE), Action::LoggedIn)));
    assert_eq!(scene.rows(Sheet::Connections), ["aura.example|PER|imap|password|admis: 1"]);
    scene.month = scene.month.next();
    assert_eq!(scene.rows(Sheet::Connections), ["aura.example|PER|imap|password|admis: 2"]);
}

#[test]
fn counting_again_tells_each_row_that_differs() {
    let mut scene = Scene::new();
    scene.write((0..5).map(|_| at_door("imap", "password", Some(ANNE), Action::LoggedIn)));
    scene.written.pop();
    let lost: Vec<_> = scene.recount();
    assert_eq!(lost.len(), 1, "four logins mark the mailbox as five do: {lost:?}");
    assert_eq!((lost[0].sheet, &lost[0].counted[..], &lost[0].recounted[..]), (Sheet::Connections, &[5][..], &[4][..]));
    scene.written.clear();
    assert_eq!(scene.recount().len(), 2, "now no mailbox was used, either");
}

/// Traces of a month in which mail goes on while they are given.
struct Busy(RefCell<Scene>);

impl TraceSource for Busy {
    fn each(
        &self,
        range: std::ops::Range<u64>,
        each: &mut dyn FnMut(&Trace) -> Result<(), StoreError>,
    ) -> Result<(), IndicatorError> {
        let (mut scene, login) = (self.0.borrow_mut(), || at_door("imap", "password", Some(CARE), Action::LoggedIn));
        scene.write([login()]);
        Kept(&scene.written).each(range, each)?;
        scene.write([login(), accepted("smtp", "b@nord.example", &[], &[ANNE], 100, &[])]);
        Ok(())
    }
}

#[test]
fn mail_that_goes_on_while_it_is_counted_again_is_no_difference() {
    let mut scene = Scene::new();
    scene.write((0..5).map(|_| at_door("imap", "password", Some(CARE), Action::LoggedIn)));
    let (indicators, month, busy) = (scene.indicators.clone(), scene.month, Busy(RefCell::new(scene)));
    assert_eq!(indicators.recount(month, &busy).unwrap(), []);
    busy.0.borrow_mut().written.drain(..3);
    let lost = indicators.recount(month, &busy).unwrap();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!((lost[0].sheet, &lost[0].counted[..], &lost[0].recounted[..]), (Sheet::Connections, &[9][..], &[5][..]));
}

#[test]
fn others_words_make_only_so_many_rows_and_counting_again_makes_the_same() {
    let mut scene = Scene::with(IndicatorOptions { most_rows: 3, ..IndicatorOptions::default() });
    let software =
        |number: u32| accepted("smtp", "b@nord.example", &[], &[ANNE], 100, &[("X-MSS-NIL", &format!("L{number}"))]);
    for number in [1, 2, 3, 4, 2, 5, 4] {
        scene.write([software(number)]);
    }
    scene.write((1..7).map(software));
    assert_eq!(scene.rows(Sheet::Software), ["recu|(autres): 6", "recu|L1: 2", "recu|L2: 3", "recu|L3: 2"]);
    assert_eq!(scene.recount(), []);
}

#[tokio::test]
async fn which_mailboxes_were_used_is_forgotten_after_three_months_and_how_many_is_not() {
    let mut scene = Scene::new();
    scene.write([
        at_door("imap", "password", Some(ANNE), Action::LoggedIn),
        accepted("smtp", "b@nord.example", &[], &[CARE], 100, &[]),
    ]);
    let marks = |scene: &Scene| {
        let rows = scene.store.scan::<Counter>(.., usize::MAX).unwrap();
        rows.iter().filter(|(key, _)| matches!(place(key), Some(Place::Mark(..)))).count()
    };
    let before = scene.rows(Sheet::Activity);
    let end = |month: &str| month.parse::<Month>().unwrap().end();
    assert_eq!(scene.indicators.tend(end("2027-01") - 1).await.unwrap().anonymised, 0);
    assert_eq!(marks(&scene), 2);
    assert_eq!(scene.indicators.tend(end("2027-01")).await.unwrap().anonymised, 2);
    assert_eq!((marks(&scene), scene.rows(Sheet::Activity)), (0, before.clone()));
    // A trace that comes late brings none back, where it was not known yet that there are none any more, either.
    let late = || [at_door("imap", "password", Some(CARE), Action::LoggedIn)];
    assert!(matches!(scene.try_to_write(late()), Err(CommitError::Conflict(_))));
    assert_eq!((marks(&scene), scene.rows(Sheet::Activity)), (0, before.clone()));
    scene.write(late());
    assert_eq!((marks(&scene), scene.rows(Sheet::Activity)), (0, before));
    assert_eq!(scene.indicators.tend(end("2027-01")).await.unwrap(), Tended::default());
}

#[tokio::test]
async fn the_mailboxes_at_a_months_end_are_noted_once_and_follow_from_the_month_before() {
    let mut scene = Scene::new();
    scene.write([administered(ANNE, "mailbox-created"), administered(CARE, "mailbox-created")]);
    assert_eq!(
        scene.rows(Sheet::Mailboxes),
        ["aura.example|PER|open|non: 1 0 0 0", "chu.example|ORG|open|non: 1 0 0 0"]
    );
    let november = scene.month;
    assert_eq!(scene.indicators.tend(november.end()).await.unwrap().snapshot, Some(november));
    scene.mailbox(3, "b.petit@aura.example", AccountKind::Per);
    scene.mailbox(4, "c.petit@aura.example", AccountKind::Per);
    scene.state(2, AccountState::Closed);
    assert_eq!(scene.rows(Sheet::Mailboxes).len(), 2, "what comes later changes nothing of November");
    assert_eq!(scene.indicators.tend(november.end() + 1).await.unwrap().snapshot, None);

    (scene.month, scene.at) = (november.next(), november.end());
    scene.write([
        administered("b.petit@aura.example", "mailbox-created"),
        administered("c.petit@aura.example", "mailbox-created"),
        administered(CARE, "mailbox-closed"),
    ]);
    assert_eq!(scene.recount(), []);
    let forgotten = scene.written.remove(2);
    let found = scene.recount();
    assert!(forgotten.mailbox.as_deref() == Some("b.petit@aura.example"));
    let mailboxes: Vec<_> = found.iter().filter(|row| row.sheet == Sheet::Mailboxes).collect();
    assert_eq!(mailboxes.len(), 1);
    assert_eq!((&mailboxes[0].counted[..], &mailboxes[0].recounted[..]), (&[3][..], &[2][..]));
}

#[tokio::test]
async fn old_months_go_and_the_others_stay() {
    let mut scene = Scene::with(IndicatorOptions { keep: 12, ..IndicatorOptions::default() });
    scene.write([at_door("imap", "password", Some(ANNE), Action::LoggedIn)]);
    scene.at = "2027-06".parse::<Month>().unwrap().start();
    scene.write([at_door("imap", "password", Some(ANNE), Action::LoggedIn)]);
    let at = |month: &str| month.parse::<Month>().unwrap().start();
    assert_eq!(scene.indicators.tend(at("2027-11")).await.unwrap().forgotten, 0);
    assert!(scene.indicators.tend(at("2027-12")).await.unwrap().forgotten > 0);
    assert_eq!(scene.indicators.months().unwrap(), ["2027-06".parse::<Month>().unwrap()]);
    assert!(scene.indicators.month(scene.month).unwrap().is_empty());
    // Who remembers what has gone looks again.
    scene.at = scene.month.start();
    let late = || [at_door("imap", "password", Some(ANNE), Action::LoggedIn)];
    assert!(matches!(scene.try_to_write(late()), Err(CommitError::Conflict(_))));
    scene.write(late());
    assert_eq!(scene.rows(Sheet::Connections), ["aura.example|PER|imap|password|admis: 1"]);
}

#[test]
fn a_damaged_counter_is_begun_anew_and_a_recount_tells_what_it_lost() {
    let mut scene = Scene::new();
    let sent = || accepted("submission", ANNE, &["b@nord.example"], &[], 2048, &[]);
    scene.write([sent(), sent()]);
    let rows = scene.store.scan::<Counter>(.., 99).unwrap();
    for (key, _) in &rows {
        damage::<Counter>(&scene.store, key);
    }
    scene.restart();
    scene.write([sent()]);
    assert_eq!(scene.rows(Sheet::Exchanges), ["aura.example|PER|emis|operateur|moins de 10 Kio: 1 1 2048"]);
    let lost = scene.recount().into_iter().find(|row| row.sheet == Sheet::Exchanges).unwrap();
    assert_eq!((lost.counted, lost.recounted), (vec![1, 1, 2048], vec![2 + 1, 2 + 1, 3 * 2048]));
}

#[test]
fn a_damaged_account_costs_its_traces_a_row_and_no_trace() {
    let mut scene = Scene::new();
    damage::<Account>(&scene.store, &AccountId(1));
    scene.write([accepted("smtp", "b@nord.example", &[], &[ANNE, CARE], 2048, &[])]);
    assert_eq!(
        scene.rows(Sheet::Exchanges),
        ["||recu|operateur|moins de 10 Kio: 1 1 2048", "chu.example|ORG|recu|operateur|moins de 10 Kio: 1 1 2048"]
    );
    damage::<AddressEntry>(&scene.store, &ANNE.to_owned());
    scene.write([accepted("smtp", "b@nord.example", &[], &[ANNE], 2048, &[])]);
}

#[test]
fn what_an_older_version_counted_by_somebodys_number_is_shown_without_it() {
    let mut scene = Scene::new();
    let software = [("X-MSS-NIL", "184052A12345678")];
    scene.write([accepted("smtp", "a@nord.example", &[], &[ANNE], 9, &software)]);
    assert_eq!(scene.rows(Sheet::Software), ["recu|(illisible): 1"]);
    let mut batch = Batch::new();
    for (sheet, value) in
        [(Sheet::Software, "184052A87654321"), (Sheet::Documents, "0612345678"), (Sheet::Documents, OTHERS)]
    {
        batch.put(&row_key(scene.month, sheet, &["recu", value]), &Counter { values: vec![2] });
    }
    scene.store.commit_blocking(batch).unwrap();
    assert_eq!(scene.rows(Sheet::Software), ["recu|(illisible): 3"]);
    assert_eq!(scene.rows(Sheet::Documents), ["recu|(autres): 2", "recu|(illisible): 2"]);
}
