//! Mail that a holder has sent on: inside our domains, to other operators, and when it stays.

use caducee::accounts::{Account, AccountChange, NewMailbox};
use caducee::mail::aftermath::{ForwardProblem, may_forward};
use caducee::mail::queue::{Destination, Outcome, Verdict, Words};
use caducee::mss::Rule;
use caducee::store::Body;

use crate::scene::{NOW, Scene, written};
use crate::support::{House, address, new_mailbox, steps};

const OUTSIDE: &str = "marc@region.mssante.example";
const OTHER: &str = "jeanne@region.mssante.example";
const CITIZEN: &str = "184127512345678@patient.mssante.fr";

crate::on_both_engines!(a_message_goes_on_alone_or_beside_the_copy_that_is_kept, |house: House| async {
    let scene = Scene::over(house);
    let anne = scene.account("anne").await;
    let zoe = scene.forwarding("zoe", &["anne"], false).await;
    let lea = scene.forwarding("lea", &["anne"], true).await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &lea, &anne]).await, [0, 0, 1]);
    scene.send(OUTSIDE, &[&lea], "").await;
    assert_eq!(scene.counts(&[&zoe, &lea, &anne]).await, [0, 1, 2]);
    let sent = written(OUTSIDE, &[&zoe], "");
    assert_eq!(scene.inbox(&anne).await[0], sent, "what goes on within our domains is the message itself");
    scene.house.check_counters();
});

#[tokio::test]
async fn a_mailbox_gets_a_message_once_whatever_leads_to_it() {
    let scene = Scene::new();
    let anne = scene.account("anne").await;
    let zoe = scene.forwarding("zoe", &["anne"], false).await;
    let lea = scene.forwarding("lea", &["zoe", "anne"], true).await;
    scene.send(OUTSIDE, &[&lea, &anne, &zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &lea, &anne]).await, [0, 1, 1]);
    scene.send(OUTSIDE, &[&anne, &zoe, &lea], "").await;
    assert_eq!(scene.counts(&[&zoe, &lea, &anne]).await, [0, 2, 2]);
    scene.house.check_counters();
}

#[tokio::test]
async fn a_loop_ends_with_a_copy_kept() {
    let scene = Scene::new();
    let zoe = scene.forwarding("zoe", &["anne"], false).await;
    let anne = scene.forwarding("anne", &["zoe"], false).await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &anne]).await, [0, 1]);
    scene.send(OUTSIDE, &[&zoe, &anne], "").await;
    assert_eq!(scene.counts(&[&zoe, &anne]).await, [0, 2], "one of two is enough");

    // A longer way round, with a side road: whoever closes the circle keeps the message too.
    let lea = scene.account("lea").await;
    scene.set_forward(&anne, &["tom"], false).await;
    let tom = scene.forwarding("tom", &["zoe", "lea"], false).await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &anne, &tom, &lea]).await, [0, 2, 1, 1]);
    scene.house.check_counters();
}

#[tokio::test]
async fn no_chain_is_followed_for_more_than_ten_hops() {
    let scene = Scene::new();
    let mut chain: Vec<Account> = Vec::new();
    for n in 0..14 {
        chain.push(scene.forwarding(&format!("m{n}"), &[&format!("m{}", n + 1)], false).await);
    }
    scene.send(OUTSIDE, &[&chain[0]], "").await;
    let counts = scene.counts(&chain.iter().collect::<Vec<_>>()).await;
    assert_eq!(counts.iter().position(|count| *count == 1), Some(10), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 1);
}

#[tokio::test]
async fn what_may_not_or_cannot_go_on_stays() {
    let scene = Scene::new();
    let (suspended, closed) = (scene.account("suspended").await, scene.account("closed").await);
    scene.house.registry.suspend(suspended.id, "").await.unwrap();
    scene.house.registry.close(closed.id, "").await.unwrap();
    let full = scene.account("full").await;
    let quota = AccountChange { quota: Some(Some(10)), ..AccountChange::default() };
    scene.house.registry.set(full.id, &quota).await.unwrap();
    let restricted = NewMailbox { restricted: true, ..new_mailbox("restricted") };
    scene.house.create(restricted).await;
    let test = NewMailbox { test: true, ..new_mailbox("test.zoe") };
    scene.house.create(test).await;
    let targets = [
        "suspended",
        "closed",
        "full",
        "restricted",
        "test.zoe",
        "nobody",
        "x@gmail.example",
        CITIZEN,
        "test@region.mssante.example",
    ];
    let zoe = scene.account("zoe").await;
    for (at, target) in targets.into_iter().enumerate() {
        scene.set_forward(&zoe, &[target], false).await;
        scene.send(OUTSIDE, &[&zoe], "").await;
        assert_eq!(scene.counts(&[&zoe]).await, [at + 1], "{target}");
        assert!(scene.queued().is_empty(), "{target}");
    }
    // Where one of two can go on, it goes on there and stays.
    let anne = scene.account("anne").await;
    scene.set_forward(&zoe, &["suspended", "anne"], false).await;
    scene.send(OUTSIDE, &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &anne]).await, [targets.len() + 1, 1]);
    let steps = steps(&scene.house.room);
    assert!(steps > targets.len(), "each refusal and the sending on are traced as the message's");
}

#[tokio::test]
async fn colleagues_mail_goes_on_to_a_restricted_mailbox_and_a_patients_answer_to_a_colleague() {
    let scene = Scene::new();
    let restricted = scene.house.create(NewMailbox { restricted: true, ..new_mailbox("restricted") }).await;
    let zoe = scene.forwarding("zoe", &["restricted"], false).await;
    scene.account("anne").await;
    scene.send("anne", &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe, &restricted]).await, [0, 1]);
    let lea = scene.forwarding("lea", &["zoe"], false).await;
    scene.set_forward(&zoe, &["anne"], true).await;
    scene.send(CITIZEN, &[&lea], "").await;
    assert_eq!(scene.counts(&[&zoe, &lea]).await, [1, 0], "the door has let the citizen write to lea");
}

#[tokio::test]
async fn a_restricted_authors_mail_does_not_leave_by_a_colleagues_forward() {
    let scene = Scene::new();
    scene.house.create(NewMailbox { restricted: true, ..new_mailbox("restricted") }).await;
    let zoe = scene.forwarding("zoe", &[OUTSIDE], false).await;
    scene.send("restricted", &[&zoe], "").await;
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![1], 0));
}

crate::on_both_engines!(to_another_operator_it_goes_in_the_same_commit_and_is_nowhere_twice, |house: House| async {
    let scene = Scene::over(house);
    let zoe = scene.forwarding("zoe", &[OUTSIDE, OTHER], false).await;
    scene.send(OTHER, &[&zoe], "").await;
    assert_eq!(scene.counts(&[&zoe]).await, [0]);
    assert_eq!(scene.queued(), ["region.mssante.example"], "one consignment for both");
    let bodies = scene.house.room.store().scan::<Body>(.., usize::MAX).unwrap();
    assert_eq!(bodies.len(), 1, "the holder's message; the original itself lies nowhere");
    scene.set_forward(&zoe, &[OUTSIDE], true).await;
    scene.send(OTHER, &[&zoe], "").await;
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![1], 2));
    assert_eq!(scene.house.room.store().scan::<Body>(.., usize::MAX).unwrap().len(), 3);
});

crate::on_both_engines!(what_was_sent_on_without_a_copy_and_does_not_arrive_comes_back_whole, |house: House| async {
    let scene = Scene::over(house);
    let zoe = scene.forwarding("zoe", &[OUTSIDE], false).await;
    let lea = scene.forwarding("lea", &[OUTSIDE], true).await;
    let sent = written(OTHER, &[&zoe], "");
    for holder in [&zoe, &lea] {
        scene.send_at(NOW, Some(OTHER), &[holder], &sent).await;
        let attempt = scene.house.room.queue().next().await.unwrap();
        let words = Words { code: Some(550), status: "5.1.1".into(), text: "No".into(), host: None, rule: None };
        let failed = attempt.recipients.iter().map(|to| (to.number, Verdict::Failed(words.clone()))).collect();
        let outcome = Outcome { recipients: failed, destination: Destination::Reached };
        scene.house.room.queue().settle(attempt, outcome).await;
    }
    let inbox = scene.inbox(&zoe).await;
    let [report] = inbox.as_slice() else { panic!("one report: {inbox:?}") };
    assert!(report.contains("Action: failed") && report.contains(&sent), "the message itself comes back:\n{report}");
    let inbox = scene.inbox(&lea).await;
    let [copy, report] = inbox.as_slice() else { panic!("a copy and a report: {inbox:?}") };
    assert!(*copy == sent && report.contains("Action: failed") && !report.contains(&sent), "once is enough:\n{report}");
    scene.house.check_counters();
});

#[tokio::test]
async fn reports_answers_of_software_and_what_was_here_before_do_not_go_to_other_operators() {
    let scene = Scene::new();
    let zoe = scene.forwarding("zoe", &[OUTSIDE], false).await;
    let marks = "X-Caducee-Forwarded: <m@x.example>\r\n".repeat(10);
    let lines = [
        "Content-Type: multipart/report; report-type=disposition-notification\r\n",
        "Content-Type: multipart/report; report-type=delivery-status\r\n",
        "Auto-Submitted: auto-replied (vacation)\r\n",
        "X-Caducee-Forwarded: <zoe@aura.mssante.example>\r\n",
        "X-Caducee-Forwarded: <anne@x.example>\r\nX-Caducee-Forwarded: <ZOE@Aura.mssante.example>\r\n",
        marks.as_str(),
    ];
    for (at, lines) in lines.into_iter().enumerate() {
        scene.send(OTHER, &[&zoe], lines).await;
        assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![at + 1], 0), "{lines}");
    }
    scene.send_at(NOW, None, &[&zoe], &written(OTHER, &[&zoe], "")).await;
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![lines.len() + 1], 0), "the null sender");
    for lines in ["Auto-Submitted: auto-generated\r\n", "X-Caducee-Forwarded: <anne@x.example>\r\n"] {
        scene.send(OTHER, &[&zoe], lines).await;
    }
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![lines.len() + 1], 2));
}

#[tokio::test]
async fn a_report_goes_on_within_our_domains() {
    let scene = Scene::new();
    let anne = scene.account("anne").await;
    let zoe = scene.forwarding("zoe", &["anne"], false).await;
    let report = "Content-Type: multipart/report; report-type=delivery-status\r\n";
    scene.send_at(NOW, None, &[&zoe], &written(OTHER, &[&zoe], report)).await;
    assert_eq!(scene.counts(&[&zoe, &anne]).await, [0, 1]);
}

#[tokio::test]
async fn what_would_be_too_large_with_the_holders_words_around_it_stays() {
    let mut scene = Scene::new();
    let zoe = scene.forwarding("zoe", &[OUTSIDE], false).await;
    scene.largest = written(OTHER, &[&zoe], "").len() as u64;
    scene.send(OTHER, &[&zoe], "").await;
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![1], 0));
    scene.largest += 4_096;
    scene.send(OTHER, &[&zoe], "").await;
    assert_eq!((scene.counts(&[&zoe]).await, scene.queued().len()), (vec![1], 1));
}

#[tokio::test]
async fn a_forward_leads_where_its_holder_may_write_and_never_to_a_patient_or_to_itself() {
    let scene = Scene::new();
    let (zoe, _anne) = (scene.account("zoe").await, scene.account("anne").await);
    let may = |to: &str| {
        let party = scene.house.room.party(&address(to)).unwrap();
        may_forward(&scene.space, &zoe.as_own(), &party)
    };
    assert_eq!((may("anne"), may(OUTSIDE)), (Ok(()), Ok(())));
    assert_eq!(may(CITIZEN), Err(ForwardProblem::Citizen));
    assert_eq!(may("ZOE"), Err(ForwardProblem::Itself));
    for (to, rule) in [
        ("x@gmail.example", Rule::RecipientDomainUnlisted),
        ("nobody", Rule::RecipientUnknown),
        ("test@region.mssante.example", Rule::RealToTest),
    ] {
        assert!(matches!(may(to), Err(ForwardProblem::Refused(refusal)) if refusal.rule == rule), "{to}");
    }
}
