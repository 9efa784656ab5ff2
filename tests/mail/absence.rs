//! Absence notices: to whom, how often, and never to whom (RFC 3834).

use caducee::accounts::{AccountChange, NewMailbox};
use caducee::mail::aftermath::HeaderFacts;
use caducee::mail::aftermath::absence::{ONCE_IN, Silence, silence};
use caducee::mss::CitizenRules;
use caducee::store::{Absence, AbsenceAnswer};
use mail_parser::MessageParser;

use crate::scene::{NOW, Scene, away, written};
use crate::support::{House, address, new_mailbox, steps};

const OUTSIDE: &str = "marc@region.mssante.example";
const CITIZEN: &str = "184127512345678@patient.mssante.fr";

fn absence() -> Absence {
    Absence { from: NOW - 10, until: NOW + 10, text: away(), citizens: false }
}

#[test]
fn each_reason_for_silence_has_its_name_and_an_ordinary_message_has_none() {
    let own = address("zoe");
    let to = "To: zoe@aura.mssante.example\r\n";
    let citizens = CitizenRules::default();
    let told = |absence: &Absence, sender: Option<&str>, lines: &str, now| {
        let facts = HeaderFacts::of(format!("{lines}\r\n").as_bytes());
        silence(absence, &own, sender.map(address).as_ref(), &facts, &citizens, now)
    };
    for (sender, lines, reason) in [
        (Some(OUTSIDE), "", None),
        (Some(OUTSIDE), "Auto-Submitted: no\r\n", None),
        (Some(OUTSIDE), "X-Auto-Response-Suppress: DR\r\n", None),
        (Some("anne"), "Precedence: first-class\r\n", None),
        (None, "", Some(Silence::NullSender)),
        (Some("ZOE"), "", Some(Silence::Itself)),
        (Some(OUTSIDE), "Content-Type: multipart/report; report-type=delivery-status\r\n", Some(Silence::Report)),
        (
            Some(OUTSIDE),
            "Content-Type: multipart/report; report-type=disposition-notification\r\n",
            Some(Silence::Report),
        ),
        (Some(OUTSIDE), "Auto-Submitted: auto-replied (vacation)\r\n", Some(Silence::Automatic)),
        (Some(OUTSIDE), "Auto-Submitted: auto-generated\r\n", Some(Silence::Automatic)),
        (Some(OUTSIDE), "Auto-Submitted: auto-forwarded\r\n", Some(Silence::Automatic)),
        (Some(OUTSIDE), "List-Id: <l.x.example>\r\n", Some(Silence::List)),
        (Some(OUTSIDE), "Precedence: bulk\r\n", Some(Silence::List)),
        (Some(OUTSIDE), "Precedence: junk\r\n", Some(Silence::List)),
        (Some(OUTSIDE), "X-Auto-Response-Suppress: OOF\r\n", Some(Silence::NotWanted)),
        (Some("MAILER-DAEMON@region.mssante.example"), "", Some(Silence::NoPerson)),
        (Some("liste-request@region.mssante.example"), "", Some(Silence::NoPerson)),
        (Some("owner-liste@region.mssante.example"), "", Some(Silence::NoPerson)),
        (Some(CITIZEN), "", Some(Silence::Citizen)),
    ] {
        assert_eq!(told(&absence(), sender, &format!("{to}{lines}"), NOW), reason, "{sender:?} {lines}");
    }
    assert_eq!(told(&absence(), Some(OUTSIDE), "Bcc: zoe@aura.mssante.example\r\n", NOW), Some(Silence::NotNamed));
    assert_eq!(told(&absence(), Some(OUTSIDE), "Cc: x@y.example, ZOE@Aura.mssante.example\r\n", NOW), None);
    for (now, reason) in
        [(NOW - 11, Some(Silence::NotAway)), (NOW - 10, None), (NOW + 9, None), (NOW + 10, Some(Silence::NotAway))]
    {
        assert_eq!(told(&absence(), Some(OUTSIDE), to, now), reason);
    }
    let also_citizens = Absence { citizens: true, ..absence() };
    assert_eq!(told(&also_citizens, Some(CITIZEN), to, NOW), None);
}

crate::on_both_engines!(a_colleague_is_told_in_the_holders_words, |house: House| async {
    let scene = Scene::over(house);
    let (zoe, anne) = (scene.absent("zoe").await, scene.account("anne").await);
    scene.send("anne", &[&zoe], "References: <a@x.example>\r\n").await;
    assert_eq!(scene.counts(&[&zoe, &anne]).await, [1, 1]);
    let text = &scene.inbox(&anne).await[0];
    assert!(text.starts_with("Return-Path: <>\r\n"), "{text}");
    let notice = MessageParser::new().parse(text.as_bytes()).unwrap();
    let header =
        |name: &str| notice.header_raw(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(notice.subject(), Some("Absence : Re: Bilan"));
    assert_eq!(notice.body_text(0).unwrap().replace("\r\n", "\n"), away());
    assert_eq!(header("From"), "zoe@aura.mssante.example");
    assert_eq!(header("To"), "anne@aura.mssante.example");
    assert_eq!(header("Auto-Submitted"), "auto-replied (vacation)");
    assert_eq!(header("In-Reply-To"), "<bilan@x.example>");
    assert_eq!(header("References"), "<a@x.example> <bilan@x.example>");
    assert!(header("Message-ID").ends_with("@aura.mssante.example>"));
    scene.house.check_counters();
    assert_eq!(steps(&scene.house.room), 1);
});

#[tokio::test]
async fn a_correspondent_is_told_once_a_week_and_each_one_by_themselves() {
    let scene = Scene::new();
    let (zoe, anne, lea) = (scene.absent("zoe").await, scene.account("anne").await, scene.account("lea").await);
    let text = written("anne", &[&zoe], "");
    for (from, now, expected) in [
        ("anne", NOW, [1, 0]),
        ("ANNE", NOW + 1, [1, 0]),
        ("anne", NOW + ONCE_IN - 1, [1, 0]),
        ("lea", NOW + ONCE_IN - 1, [1, 1]),
        ("anne", NOW + ONCE_IN, [2, 1]),
        ("anne", NOW + ONCE_IN + 1, [2, 1]),
        ("lea", NOW + 2 * ONCE_IN - 1, [2, 2]),
        ("lea", NOW + 40 * 86_400, [2, 2]),
    ] {
        scene.send_at(now, Some(from), &[&zoe], &text).await;
        assert_eq!(scene.counts(&[&anne, &lea]).await, expected, "{from} at {}", now - NOW);
    }
}

#[tokio::test]
async fn each_of_several_holders_who_are_away_answers_for_their_own_mailbox() {
    let scene = Scene::new();
    let (zoe, tom, anne) = (scene.absent("zoe").await, scene.absent("tom").await, scene.account("anne").await);
    scene.send("anne", &[&zoe, &tom], "").await;
    assert_eq!(scene.counts(&[&anne]).await, [2]);
    let answers = scene.house.room.store().scan::<AbsenceAnswer>(.., usize::MAX).unwrap();
    assert!(answers.len() == 2 && answers[0].0.digest != answers[1].0.digest);
}

#[tokio::test]
async fn two_who_are_away_tell_each_other_once() {
    let scene = Scene::new();
    let (zoe, tom) = (scene.absent("zoe").await, scene.absent("tom").await);
    scene.send("tom", &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &tom]).await, [1, 1]);
}

#[tokio::test]
async fn another_operators_sender_is_told_through_the_queue() {
    let scene = Scene::new();
    let zoe = scene.absent("zoe").await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    assert_eq!(scene.queued(), ["region.mssante.example"]);
    scene.send(CITIZEN, &[&zoe], "").await;
    assert_eq!(scene.queued().len(), 1, "a citizen is not told unless the holder wants it");
    let change = AccountChange {
        absence: Some(Some(Absence { from: NOW - 1, until: NOW + 1, text: away(), citizens: true })),
        ..AccountChange::default()
    };
    scene.house.registry.set(zoe.id, &change).await.unwrap();
    scene.send(CITIZEN, &[&zoe], "").await;
    assert_eq!(scene.queued(), ["region.mssante.example", "patient.mssante.fr"]);
}

#[tokio::test]
async fn nobody_is_told_whom_the_mailbox_may_not_write_to() {
    let scene = Scene::new();
    let absence = Absence { from: NOW - 1, until: NOW + 1, text: away(), citizens: false };
    let change = AccountChange { absence: Some(Some(absence)), ..AccountChange::default() };
    for new in [
        NewMailbox { restricted: true, ..new_mailbox("restricted") },
        NewMailbox { test: true, ..new_mailbox("test.tom") },
    ] {
        let account = scene.house.create(new).await;
        scene.house.registry.set(account.id, &change).await.unwrap();
        scene.send(OUTSIDE, &[&account], "").await;
    }
    assert!(scene.queued().is_empty());
    assert!(scene.house.room.store().scan::<AbsenceAnswer>(.., usize::MAX).unwrap().is_empty(), "they were not told");
}

#[tokio::test]
async fn a_holder_who_is_away_and_has_mail_sent_on_still_answers() {
    let scene = Scene::new();
    let (zoe, anne, lea) = (scene.absent("zoe").await, scene.account("anne").await, scene.absent("lea").await);
    scene.set_forward(&zoe, &["lea"], false).await;
    scene.send("anne", &[&zoe], "").await;
    assert_eq!(
        scene.counts(&[&zoe, &lea, &anne]).await,
        [0, 1, 1],
        "zoe's notice, and none of lea's: anne wrote to zoe"
    );
}

#[tokio::test]
async fn who_was_told_long_ago_is_forgotten() {
    let scene = Scene::new();
    let zoe = scene.absent("zoe").await;
    let answers = || scene.house.room.store().scan::<AbsenceAnswer>(.., usize::MAX).unwrap().len();
    for n in 0..20 {
        let from = format!("m{n}@region.mssante.example");
        scene.send_at(NOW, Some(&from), &[&zoe], &written(&from, &[&zoe], "")).await;
    }
    assert_eq!(answers(), 20);
    for n in 20..40 {
        let from = format!("m{n}@region.mssante.example");
        scene.send_at(NOW + ONCE_IN, Some(&from), &[&zoe], &written(&from, &[&zoe], "")).await;
    }
    assert!((20..30).contains(&answers()), "{} are kept", answers());
    scene.house.registry.close(zoe.id, "").await.unwrap();
    assert_eq!(answers(), 0);
}
