//! Years of mailboxes' lives, on a clock that is driven.

use super::*;
use crate::accounts::notice::{Notice, NoticeInbox, Outcome};
use crate::accounts::{
    Account, AccountChange, AccountError, AccountOptions, JournalQuery, LoginError, NewMailbox, NewTerms, midnight,
};
use crate::mail::{MailError, MailLimits, MailRoom, now};
use crate::mss::lifecycle::Stage;
use crate::mss::{Address, Domain, Kind, MailboxState};
use crate::store::{
    self, AccessGrant, AccessRight, Batch, DecodeError, Holder, JournalEntry, JournalKey, MasterKey, Record, Store,
    Table, Terms, TermsKey,
};

const DAY: i64 = 86_400;
const PERSON: &str = "899700000001";

struct Scene {
    registry: Registry,
    job: LifecycleJob,
    inbox: NoticeInbox,
    start: i64,
}

impl Scene {
    async fn new() -> Self {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
        let inbox = registry.take_notices().unwrap();
        Self { job: LifecycleJob::new(registry.clone()), registry, inbox, start: midnight(day_of(now())) }
    }

    fn wanted(name: &str) -> NewMailbox {
        let address = Address::parse(&format!("{name}@aura.mssante.example")).unwrap();
        let holder =
            Holder { national_id: Some(PERSON.into()), last_name: Some("Fontanel".into()), ..Holder::default() };
        let notification_address = Some(format!("{name}@courriel.example"));
        NewMailbox { notification_address, ..NewMailbox::new(address, Kind::Per, holder) }
    }

    async fn mailbox(&self, name: &str) -> Account {
        self.registry.create(Self::wanted(name)).await.unwrap()
    }

    async fn terms(&self, version: &str, accept_in: i64) {
        let from = self.start;
        let text = "Article 1.\n\nVous acceptez.".to_owned();
        let new = NewTerms { version: version.into(), text, from, accept_by: from + accept_in * DAY };
        self.registry.add_terms(&new).await.unwrap();
    }

    /// The job of so many days after the start.
    async fn on_day(&self, day: i64) -> Ran {
        self.job.run(self.start + day * DAY + 3_600, Confirmed::default()).await.unwrap()
    }

    /// The job of each of these days; what was taken, by day.
    async fn days(&self, days: std::ops::RangeInclusive<i64>) -> Vec<(i64, &'static str)> {
        let mut taken = Vec::new();
        for day in days {
            taken.extend(self.on_day(day).await.taken.into_keys().map(|step| (day, step)));
        }
        taken
    }

    fn read(&self, account: &Account) -> Account {
        self.registry.by_id(account.id).unwrap().unwrap()
    }

    fn journal_of(&self, account: &Account) -> Vec<String> {
        let query = JournalQuery { account: Some(account.id), ..JournalQuery::default() };
        self.registry.journal(&query, 100).unwrap().into_iter().map(|(_, entry)| entry.step).collect()
    }

    async fn notices(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        while let Ok(notice) = tokio::time::timeout(std::time::Duration::from_millis(1), self.inbox.next()).await {
            names.push(notice.notice.name());
        }
        names
    }
}

#[tokio::test]
async fn a_silent_mailbox_is_told_twice_closed_and_forgotten_and_its_address_is_never_given_again() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    assert!(scene.days(0..=303).await.is_empty());
    assert_eq!(scene.days(304..=304).await, [(304, "closing-announced")]);
    let told = scene.read(&lea);
    assert_eq!((told.stage(), told.state), (Stage::Closing, MailboxState::Open), "it goes on until then");
    assert_eq!(scene.days(305..=365).await, [(365, "closing-reminded")]);
    let taken = scene.days(366..=395).await;
    let [(closed, "closed")] = taken[..] else { panic!("{taken:?}") };
    assert!(closed > 365 + 13, "ten working days take two weeks at least: {closed}");
    assert_eq!(scene.notices().await, ["closing-announced", "closing-reminder", "closed"]);
    assert!(matches!(scene.registry.room().open(lea.id), Err(MailError::Closed)), "nobody reads it any more");
    assert!(scene.read(&lea).data.holder.last_name.is_some(), "who held it is known for a year");

    assert!(scene.days(396..=closed + 364).await.is_empty());
    assert_eq!(scene.days(closed + 365..=closed + 365).await, [(closed + 365, "forgotten")]);
    let left = scene.read(&lea);
    assert_eq!((left.stage(), left.data.holder), (Stage::Forgotten, Holder::default()));
    assert_eq!(left.data.notification_address, None);
    assert!(scene.notices().await.is_empty(), "who is forgotten is not written to");
    assert!(matches!(scene.registry.create(Scene::wanted("lea")).await, Err(AccountError::AddressClosed)));
    let steps = ["opened", "closing-announced", "closing-reminded", "closed", "forgotten"];
    assert_eq!(scene.journal_of(&lea), steps);
    assert!(scene.days(closed + 366..=closed + 800).await.is_empty());
}

#[tokio::test]
async fn a_login_calls_a_closing_off_at_once() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.on_day(304).await;
    assert_eq!(scene.read(&lea).stage(), Stage::Closing);
    scene.registry.open_for_person(PERSON, "lea@aura.mssante.example").unwrap();
    for _ in 0..100 {
        if scene.read(&lea).stage() == Stage::Open {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(scene.read(&lea).stage(), Stage::Open);
    assert_eq!(scene.journal_of(&lea), ["opened", "closing-announced", "closing-called-off"]);
    assert_eq!(scene.notices().await, ["closing-announced"]);
}

#[tokio::test]
async fn a_sign_of_life_is_noted_in_a_record_that_todays_rules_would_refuse() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.on_day(304).await;
    let read = scene.registry.room().store().get::<store::Account>(&lea.id).unwrap().unwrap();
    let mut older = read.record.clone();
    older.holder.last_name = None;
    let mut batch = Batch::new();
    batch.update(&lea.id, read.version, &older);
    scene.registry.room().store().commit(batch).await.unwrap();
    let red = AccountChange { red_list: Some(true), ..AccountChange::default() };
    assert!(scene.registry.set(lea.id, &red).await.is_err(), "the rules refuse it");
    scene.registry.open_for_person(PERSON, "lea@aura.mssante.example").unwrap();
    for _ in 0..100 {
        if scene.read(&lea).data.last_login_at.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((scene.read(&lea).stage(), scene.read(&lea).data.closing), (Stage::Open, None));
}

#[tokio::test]
async fn a_mailbox_that_somebody_is_in_is_not_closed_by_the_clock() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    let login = scene.registry.open_for_person(PERSON, "lea@aura.mssante.example").unwrap();
    let ticket = scene.registry.enter(&login, "imap", "192.0.2.1".parse().unwrap(), 10).unwrap();
    for _ in 0..100 {
        if scene.read(&lea).data.last_login_at.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(scene.days(0..=420).await, [(304, "closing-announced"), (365, "closing-reminded")]);
    drop(ticket);
    assert_eq!(scene.days(421..=421).await, [(421, "closed")]);
}

#[tokio::test]
async fn a_mailbox_that_is_opened_beside_others_own_ones_is_in_use() {
    let scene = Scene::new().await;
    scene.mailbox("lea").await;
    let structure =
        Holder { structure_id: Some("1010000024".into()), label: Some("Secrétariat".into()), ..Holder::default() };
    let address = Address::parse("secretariat@aura.mssante.example").unwrap();
    let shared = NewMailbox {
        access_list: vec![AccessGrant {
            person: PERSON.into(),
            rights: vec![AccessRight::Read],
            ..AccessGrant::default()
        }],
        ..NewMailbox::new(address, Kind::Org, structure)
    };
    let shared = scene.registry.create(shared).await.unwrap();
    let login = scene.registry.open_for_person(PERSON, "lea@aura.mssante.example").unwrap();
    assert_eq!(scene.read(&shared).data.last_login_at, None);
    assert!(!scene.registry.rights_on(&login, shared.id).unwrap().is_empty());
    for _ in 0..100 {
        if scene.read(&shared).data.last_login_at == Some(scene.start) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody noted it");
}

#[tokio::test]
async fn the_operator_calls_a_closing_off_by_reopening() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.on_day(304).await;
    let back = scene.registry.reopen(lea.id, "elle a téléphoné").await.unwrap();
    assert_eq!((back.stage(), back.data.closing), (Stage::Open, None));
    let again = scene.registry.reopen(lea.id, "").await.unwrap();
    assert_eq!(again, back, "what is open stays as it is");
}

#[tokio::test]
async fn the_reason_that_the_operator_gives_is_written_down_and_no_older_one_in_its_place() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.registry.suspend(lea.id, "contrôle").await.unwrap();
    let again = scene.registry.suspend(lea.id, "plainte").await.unwrap();
    assert_eq!(again.data.state_reason.as_deref(), Some("plainte"), "of what is suspended already, too");
    scene.registry.reopen(lea.id, "clos").await.unwrap();
    scene.on_day(304).await;
    scene.registry.reopen(lea.id, "elle a téléphoné").await.unwrap();
    let query = JournalQuery { account: Some(lea.id), ..JournalQuery::default() };
    let lines = scene.registry.journal(&query, 100).unwrap();
    let lines: Vec<_> = lines.iter().map(|(_, line)| (line.step.as_str(), line.reason.as_deref())).collect();
    assert_eq!(
        lines,
        [
            ("opened", None),
            ("suspended", Some("contrôle")),
            ("reopened", Some("clos")),
            ("closing-announced", None),
            ("closing-called-off", Some("elle a téléphoné")),
        ]
    );
}

#[tokio::test]
async fn who_cannot_be_told_is_counted_and_not_closed() {
    let scene = Scene::new().await;
    let mute = NewMailbox { notification_address: None, ..Scene::wanted("muet") };
    let mute = scene.registry.create(mute).await.unwrap();
    for day in [304, 365, 400, 800] {
        let ran = scene.on_day(day).await;
        assert_eq!((ran.stuck, ran.taken.len()), (1, 0), "day {day}");
    }
    assert_eq!(scene.read(&mute).stage(), Stage::Open);
    let plan = scene.job.plan(day_of(scene.start + 400 * DAY), 7).unwrap();
    assert_eq!(plan.stuck.len(), 1);
}

#[tokio::test]
async fn nothing_is_announced_while_the_relay_is_away_and_what_was_given_up_is_announced_once_it_is_back() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.on_day(304).await;
    let announced = scene.inbox.next().await;
    scene.registry.note_relay(true);
    scene.registry.settle_notice(&announced, &Outcome::GivenUp).await.unwrap();
    for day in 306..320 {
        let ran = scene.on_day(day).await;
        assert_eq!((ran.stuck, ran.taken.len()), (1, 0), "day {day}");
    }
    assert_eq!(scene.journal_of(&lea), ["opened", "closing-announced", "closing-called-off"]);
    scene.registry.note_relay(false);
    assert_eq!(scene.days(320..=320).await, [(320, "closing-announced")]);
}

#[tokio::test]
async fn a_closing_that_its_holder_was_not_told_of_is_called_off_and_begins_anew_once_they_can_be() {
    let bounced = || Outcome::Bounced("550 5.1.1".into());
    // Days of runs before the notice that fails is settled, and its outcome.
    for (days, outcome) in [
        (vec![304], bounced()),
        (vec![304, 365], bounced()),
        (vec![304], Outcome::GivenUp),
        (vec![304, 365], Outcome::GivenUp),
    ] {
        let mut scene = Scene::new().await;
        let lea = scene.mailbox("lea").await;
        let mut last = None;
        for day in &days {
            scene.on_day(*day).await;
            last = Some(scene.inbox.next().await);
        }
        scene.registry.settle_notice(&last.unwrap(), &outcome).await.unwrap();
        assert_eq!(scene.read(&lea).stage(), Stage::Open, "{days:?} {outcome:?}");
        assert_eq!(scene.journal_of(&lea).last().map(String::as_str), Some("closing-called-off"));
        if outcome != Outcome::GivenUp {
            for day in [400, 800] {
                let ran = scene.on_day(day).await;
                assert_eq!((ran.stuck, ran.taken.len()), (1, 0), "day {day}: {days:?}");
            }
            let elsewhere = Some(Some("lea@ailleurs.example".to_owned()));
            let change = AccountChange { notification_address: elsewhere, ..AccountChange::default() };
            scene.registry.set(lea.id, &change).await.unwrap();
        }
        let taken = scene.days(801..=900).await;
        let [(801, "closing-announced"), (862, "closing-reminded"), (closed, "closed")] = taken[..] else {
            panic!("{days:?} {outcome:?}: {taken:?}")
        };
        assert!(closed > 862 + 13, "all delays anew: {closed}");
    }
}

#[tokio::test]
async fn a_bounce_that_the_relay_tells_later_and_notices_that_nobody_carries_call_a_closing_off() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.on_day(304).await;
    scene.on_day(365).await;
    for _ in 0..2 {
        let notice = scene.inbox.next().await;
        scene.registry.settle_notice(&notice, &Outcome::Sent).await.unwrap();
    }
    assert_eq!(scene.read(&lea).stage(), Stage::Closing, "told twice");
    let address = Address::parse("lea@courriel.example").unwrap();
    scene.registry.notices_bounced(&address, "5.1.1").await.unwrap();
    assert_eq!(scene.read(&lea).stage(), Stage::Open);
    assert!(scene.days(366..=420).await.is_empty());

    let scene = Scene::new().await;
    let max = scene.mailbox("max").await;
    scene.on_day(304).await;
    assert_eq!(scene.registry.give_up_notices().await.unwrap(), 1);
    assert_eq!(scene.read(&max).stage(), Stage::Open);
}

#[tokio::test]
async fn many_closings_at_once_wait_for_the_administrator_and_one_does_not() {
    let scene = Scene::new().await;
    for name in ["a", "b", "c"] {
        scene.mailbox(name).await;
    }
    scene.on_day(304).await;
    scene.on_day(365).await;
    let ran = scene.on_day(390).await;
    assert_eq!((ran.unconfirmed, ran.taken.len()), (3, 0));
    let at = scene.start + 391 * DAY;
    let few = scene.job.run(at, Confirmed { closings: 2, ..Confirmed::default() }).await.unwrap();
    assert_eq!((few.unconfirmed, few.taken.len()), (3, 0), "three are due, not two");
    let ran = scene.job.run(at, Confirmed { closings: 3, ..Confirmed::default() }).await.unwrap();
    assert_eq!((ran.unconfirmed, ran.taken.get("closed")), (0, Some(&3)));
    assert_eq!((scene.job.unconfirmed(3), scene.job.unconfirmed(1_000)), (1, 10));
}

#[tokio::test]
async fn many_oblivions_at_once_wait_for_the_administrator_and_hold_up_nothing_else() {
    let scene = Scene::new().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(scene.mailbox(name).await);
        scene.registry.close(all.last().unwrap().id, "").await.unwrap();
    }
    let lea = scene.mailbox("lea").await;
    let ran = scene.on_day(365).await;
    assert_eq!((ran.unconfirmed_oblivions, ran.unconfirmed), (3, 0));
    assert_eq!(ran.taken.into_iter().collect::<Vec<_>>(), [("closing-announced", 1)]);
    let is_known = |account: &&Account| scene.read(account).data.holder.last_name.is_some();
    assert_eq!(all.iter().filter(is_known).count(), 3);
    let at = scene.start + 366 * DAY;
    let few = scene.job.run(at, Confirmed { oblivions: 2, ..Confirmed::default() }).await.unwrap();
    assert_eq!((few.unconfirmed_oblivions, few.taken.len()), (3, 0), "three are due, not two");
    let closings = scene.job.run(at, Confirmed { closings: 3, ..Confirmed::default() }).await.unwrap();
    assert_eq!(closings.unconfirmed_oblivions, 3, "who confirms closings confirms no oblivion");
    let ran = scene.job.run(at, Confirmed { oblivions: 3, ..Confirmed::default() }).await.unwrap();
    assert_eq!((ran.unconfirmed_oblivions, ran.taken.get("forgotten")), (0, Some(&3)));
    assert_eq!(all.iter().filter(is_known).count(), 0);
    assert_eq!(scene.read(&lea).stage(), Stage::Closing);
}

#[tokio::test]
async fn a_clock_that_is_far_from_the_last_run_takes_no_step_until_an_administrator_says_that_it_is_right() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    let closed = scene.mailbox("anne").await;
    scene.registry.close(closed.id, "").await.unwrap();
    scene.notices().await;
    let at = scene.start + 366 * DAY;
    let old = JournalEntry { step: "requested".into(), ..JournalEntry::default() };
    let mut batch = Batch::new();
    batch.insert(&JournalKey { at: 1, account: lea.id }, &old);
    scene.registry.room().store().commit(batch).await.unwrap();
    scene.registry.believe_clock(now() - 41 * DAY).await.unwrap();
    for _ in 0..2 {
        let ran = scene.job.run(at, Confirmed { closings: 9, suspensions: 9, oblivions: 9, clock: false }).await;
        assert!(matches!(ran, Err(AccountError::ClockAstray(41))), "{ran:?}");
    }
    assert!(scene.notices().await.is_empty());
    assert_eq!(scene.journal_of(&lea), ["requested", "opened"], "nor does an old line go");
    assert_eq!([&lea, &closed].map(|account| scene.read(account).stage()), [Stage::Open, Stage::Closed]);
    let ran = scene.job.run(at, Confirmed { clock: true, ..Confirmed::default() }).await.unwrap();
    assert_eq!((ran.taken.get("forgotten"), ran.forgotten_lines), (Some(&1), 1));
    assert!(scene.job.run(at, Confirmed::default()).await.is_ok(), "from then on it is believed");
}

#[tokio::test]
async fn a_run_of_a_day_that_is_over_tells_nobody_a_day_that_has_passed_and_shortens_no_delay() {
    let mut scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    let read = scene.registry.room().store().get::<store::Account>(&lea.id).unwrap().unwrap();
    let silent = scene.start - 500 * DAY;
    let mut batch = Batch::new();
    let record = store::Account { created_at: silent, state_changed_at: silent, ..read.record };
    batch.update(&lea.id, read.version, &record);
    scene.registry.room().store().commit(batch).await.unwrap();
    for day in [-100, -30, -1] {
        scene.on_day(day).await;
        let closing = scene.read(&lea).data.closing.expect("it was announced");
        assert_eq!((closing.announced_at, closing.reminded_at), (scene.start, None), "day {day}");
    }
    let notice = scene.inbox.next().await.notice;
    let Notice::ClosingAnnounced { on } = notice else { panic!("{notice:?}") };
    assert!(on > scene.start + (61 + 13) * DAY);
    assert!(scene.notices().await.is_empty(), "told once");
    assert_eq!(scene.days(1..=61).await, [(61, "closing-reminded")]);
}

#[tokio::test]
async fn a_plan_foresees_what_the_runs_then_do_and_does_nothing() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    let plan = scene.job.plan(day_of(scene.start), 1_000).unwrap();
    let foreseen: Vec<_> = plan.steps.iter().map(|planned| (planned.on, planned.step.name())).collect();
    assert_eq!(scene.read(&lea), lea, "nothing has changed");
    let done = scene.days(0..=999).await;
    let done: Vec<_> = done.into_iter().map(|(day, step)| (day_of(scene.start + day * DAY), step)).collect();
    assert_eq!(done, foreseen);
    assert_eq!(done.len(), 4);
}

#[tokio::test]
async fn a_mailbox_opens_with_the_acceptance_of_the_terms_and_is_suspended_for_new_ones() {
    let mut scene = Scene::new().await;
    scene.terms("1", 0).await;
    let lea = scene.mailbox("lea").await;
    assert_eq!((lea.stage(), lea.state), (Stage::Requested, MailboxState::Suspended));
    let refused = scene.registry.open_for_person(PERSON, "lea@aura.mssante.example");
    assert!(matches!(refused, Err(LoginError::TermsNotAccepted)), "{refused:?}");
    let waiting = scene.registry.awaiting_terms_of(PERSON).unwrap();
    assert_eq!(waiting.len(), 1);
    let other = scene.registry.awaiting_terms_of("899700000002").unwrap();
    assert!(other.is_empty(), "others accept nothing for her");
    assert!(matches!(scene.registry.accept_terms(lea.id, "2").await, Err(AccountError::NoTerms)));
    let opened = scene.registry.accept_terms(lea.id, "1").await.unwrap();
    assert_eq!((opened.stage(), opened.data.terms_version.as_deref()), (Stage::Open, Some("1")));
    assert!(scene.registry.open_for_person(PERSON, "lea@aura.mssante.example").is_ok());

    scene.terms("2", 30).await;
    assert_eq!(scene.registry.terms_owed(&opened).unwrap().unwrap().head.version, "2");
    assert_eq!(scene.days(0..=30).await, [(0, "terms-told")]);
    assert_eq!(scene.days(31..=31).await, [(31, "suspended-for-terms")]);
    let owing = scene.read(&lea);
    assert_eq!((owing.stage(), owing.awaits_terms()), (Stage::Suspended, true));
    let back = scene.registry.accept_terms(lea.id, "2").await.unwrap();
    assert_eq!(back.stage(), Stage::Open);
    assert!(scene.registry.terms_owed(&back).unwrap().is_none());
    assert_eq!(scene.notices().await, ["terms-changed"]);
    let steps =
        ["requested", "terms-accepted", "opened", "terms-told", "suspended-for-terms", "terms-accepted", "reopened"];
    assert_eq!(scene.journal_of(&lea), steps);
}

#[tokio::test]
async fn many_suspensions_for_terms_at_once_wait_for_the_administrator_and_hold_up_nothing_else() {
    let scene = Scene::new().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(scene.mailbox(name).await);
    }
    scene.terms("1", 10).await;
    assert_eq!(scene.on_day(0).await.taken.get("terms-told"), Some(&3));
    let ran = scene.on_day(11).await;
    assert_eq!((ran.unconfirmed_suspensions, ran.unconfirmed, ran.taken.len()), (3, 0, 0));
    // One has accepted meanwhile: two are due, and their closings are announced in time all the same.
    scene.registry.accept_terms(all[0].id, "1").await.unwrap();
    let ran = scene.on_day(304).await;
    assert_eq!((ran.unconfirmed_suspensions, ran.taken.get("closing-announced")), (2, Some(&3)));
    let at = scene.start + 305 * DAY;
    let few = scene.job.run(at, Confirmed { suspensions: 1, ..Confirmed::default() }).await.unwrap();
    assert_eq!((few.unconfirmed_suspensions, few.taken.len()), (2, 0), "two are due, not one");
    let ran = scene.job.run(at, Confirmed { suspensions: 2, ..Confirmed::default() }).await.unwrap();
    assert_eq!((ran.unconfirmed_suspensions, ran.taken.get("suspended-for-terms")), (0, Some(&2)));
    assert!(all.iter().map(|account| scene.read(account)).filter(Account::awaits_terms).count() == 2);
}

#[tokio::test]
async fn who_cannot_be_told_of_terms_or_was_not_is_not_suspended_for_them() {
    let mut scene = Scene::new().await;
    let mute = NewMailbox { notification_address: None, ..Scene::wanted("muet") };
    let mute = scene.registry.create(mute).await.unwrap();
    let lea = scene.mailbox("lea").await;
    scene.terms("1", 10).await;
    scene.on_day(0).await;
    let notice = scene.inbox.next().await;
    let Notice::TermsChanged { until, .. } = notice.notice else { panic!("{:?}", notice.notice) };
    assert_eq!(until, Some(scene.start + 10 * DAY));
    // It was given up: she is told again, and has a week from then.
    scene.registry.settle_notice(&notice, &Outcome::GivenUp).await.unwrap();
    assert_eq!(scene.days(11..=11).await, [(11, "terms-told")]);
    let again = scene.inbox.next().await;
    let Notice::TermsChanged { until, .. } = again.notice else { panic!("{:?}", again.notice) };
    assert_eq!(until, Some(scene.start + 18 * DAY));
    // It bounced: she is not suspended, nor told, until the address is another.
    scene.registry.settle_notice(&again, &Outcome::Bounced("550 5.1.1".into())).await.unwrap();
    assert!(scene.days(12..=100).await.is_empty());
    assert_eq!(scene.on_day(100).await.stuck, 2);
    let elsewhere = Some(Some("lea@ailleurs.example".to_owned()));
    let change = AccountChange { notification_address: elsewhere, ..AccountChange::default() };
    scene.registry.set(lea.id, &change).await.unwrap();
    assert_eq!(scene.days(101..=109).await, [(101, "terms-told"), (109, "suspended-for-terms")]);
    assert_eq!([&mute, &lea].map(|account| scene.read(account).stage()), [Stage::Open, Stage::Suspended]);
}

#[tokio::test]
async fn a_mailbox_that_the_operator_opens_again_is_not_suspended_by_the_next_run() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    scene.terms("1", 10).await;
    assert_eq!(scene.days(0..=11).await, [(0, "terms-told"), (11, "suspended-for-terms")]);
    let back = scene.registry.reopen(lea.id, "elle est en congé").await.unwrap();
    assert_eq!((back.stage(), back.data.terms_told.as_deref()), (Stage::Open, None));
    assert_eq!(scene.days(12..=20).await, [(12, "terms-told"), (20, "suspended-for-terms")]);
}

/// What damage leaves of a version of the terms.
struct Scratched;

impl Record for Scratched {
    const TABLE: Table = Table::Terms;
    type Key = TermsKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xFF, 0]);
    }
    fn decode(_bytes: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::Malformed)
    }
}

#[tokio::test]
async fn a_damaged_version_of_the_terms_costs_itself_alone() {
    let scene = Scene::new().await;
    for version in ["1", "2"] {
        scene.terms(version, 30).await;
    }
    let mut batch = Batch::new();
    let key = TermsKey { number: 1, piece: 0 };
    batch.put(&key, &Scratched);
    scene.registry.room().store().commit(batch).await.unwrap();
    assert!(scene.registry.room().store().get::<Terms>(&key).is_err());
    assert_eq!(scene.registry.terms_in_force().unwrap().unwrap().head.version, "2");
    let lea = scene.mailbox("lea").await;
    assert_eq!(lea.stage(), Stage::Requested);
    assert_eq!(scene.registry.accept_terms(lea.id, "2").await.unwrap().stage(), Stage::Open);
    scene.terms("3", 30).await;
    let names: Vec<_> = scene.registry.terms_versions().unwrap().into_iter().map(|terms| terms.head.version).collect();
    assert_eq!(names, ["2", "3"], "no number is given twice");
}

#[tokio::test]
async fn test_mailboxes_and_software_are_not_asked_for_terms() {
    let scene = Scene::new().await;
    let before = scene.mailbox("avant").await;
    scene.terms("1", 10).await;
    let test = scene.registry.create(NewMailbox { test: true, ..Scene::wanted("test") }).await.unwrap();
    let software =
        Holder { structure_id: Some("1010000024".into()), label: Some("Logiciel".into()), ..Holder::default() };
    let address = Address::parse("app@aura.mssante.example").unwrap();
    let app = scene.registry.create(NewMailbox::new(address, Kind::App, software)).await.unwrap();
    assert_eq!((test.stage(), app.stage()), (Stage::Open, Stage::Open));
    assert_eq!(scene.days(0..=11).await, [(0, "terms-told"), (11, "suspended-for-terms")]);
    assert_eq!(
        [&before, &test, &app].map(|account| scene.read(account).stage()),
        [Stage::Suspended, Stage::Open, Stage::Open]
    );
}

#[tokio::test]
async fn old_lines_of_the_journal_are_forgotten_in_their_time_and_not_by_a_run_of_a_later_day() {
    let scene = Scene::new().await;
    let lea = scene.mailbox("lea").await;
    assert_eq!(scene.on_day(3_651).await.forgotten_lines, 0);
    assert_eq!(scene.journal_of(&lea).first().map(String::as_str), Some("opened"));
    let at = u64::try_from((scene.start - 3_651 * DAY) * 1_000_000).unwrap();
    let old = JournalEntry { step: "requested".into(), ..JournalEntry::default() };
    let mut batch = Batch::new();
    batch.insert(&JournalKey { at, account: lea.id }, &old);
    scene.registry.room().store().commit(batch).await.unwrap();
    assert_eq!(scene.on_day(0).await.forgotten_lines, 1);
    assert_eq!(scene.journal_of(&lea).first().map(String::as_str), Some("opened"));
}

#[tokio::test]
async fn a_text_of_terms_comes_back_whole_and_a_version_is_added_once() {
    let scene = Scene::new().await;
    let text = "Article 1er : été.\n".repeat(900);
    let new = NewTerms { version: "2026-01".into(), text: text.clone(), from: scene.start, accept_by: scene.start };
    let added = scene.registry.add_terms(&new).await.unwrap();
    assert!(added.head.pieces > 5);
    let (read, whole) = scene.registry.terms_text("2026-01").unwrap();
    assert_eq!((read, whole), (added, text));
    assert!(matches!(scene.registry.add_terms(&new).await, Err(AccountError::TermsExist(_))));
    let earlier = NewTerms { version: "2025".into(), from: scene.start - DAY, ..new };
    assert!(matches!(scene.registry.add_terms(&earlier).await, Err(AccountError::BadTerms(_))));
}

#[tokio::test]
async fn a_text_of_terms_that_does_not_read_whole_is_given_to_nobody() {
    let scene = Scene::new().await;
    let text = "Article 1er : été.\n".repeat(900);
    let new = NewTerms { version: "2026-01".into(), text, from: scene.start, accept_by: scene.start };
    let added = scene.registry.add_terms(&new).await.unwrap();
    let key = store::TermsKey { number: added.number, piece: 2 };
    store::scratch::damage::<store::Terms>(scene.registry.room().store(), &key);
    let read = scene.registry.terms_text("2026-01");
    assert!(matches!(read, Err(AccountError::TermsDamaged(_))), "{read:?}");
}

#[tokio::test]
async fn the_closing_notice_tells_the_day_that_the_plan_has() {
    let mut scene = Scene::new().await;
    scene.mailbox("lea").await;
    scene.on_day(304).await;
    let sent = scene.inbox.next().await;
    let Notice::ClosingAnnounced { on } = sent.notice else { panic!("{:?}", sent.notice) };
    scene.on_day(365).await;
    let due = (366..420).find(|day| {
        let plan = scene.job.plan(day_of(scene.start + day * DAY), 1).unwrap();
        plan.closings() == 1
    });
    assert_eq!(Some(on), due.map(|day| scene.start + day * DAY));
}
