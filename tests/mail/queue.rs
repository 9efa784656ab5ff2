//! The queue over its store: what goes in comes out, or is told of; what an operator does to it; restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caducee::mail::MailLimits;
use caducee::mail::queue::schedule::Standing;
use caducee::mail::queue::{
    Attempt, Destination, Handled, Kind, Listed, OnlyCopies, Outbound, OutboundRecipient, Outcome, QueueOptions,
    RouteTimes, Selection, StateFilter, Verdict, Words,
};
use caducee::store::{Batch, Body, Consignment, QueueId, QueueMessage, QueueRecipient};
use caducee::wire::smtp::params::{MailParams, Notify, RcptParams, Return};

use crate::on_both_engines;
use crate::support::{House, address, domain, message, steps};

/// Long enough for a busy machine, and no more.
const PATIENCE: Duration = Duration::from_secs(20);

fn outbound(recipients: &[&str]) -> Outbound {
    // Without reports, which would be queued too: `lea` has no mailbox here.
    let params = RcptParams { notify: Some(Notify::Never), ..RcptParams::default() };
    let recipient = |text: &&str| OutboundRecipient { address: address(text), params: params.clone() };
    Outbound {
        kind: Kind::Mail,
        sender: Some(address("lea")),
        account: None,
        params: MailParams::default(),
        recipients: recipients.iter().map(recipient).collect(),
        message_id: Some("<1@aura.mssante.example>".into()),
        reference: "t-1".into(),
        skip: 0,
        header: 60,
        not_before: None,
    }
}

fn words(code: u16, text: &str) -> Words {
    let status = format!("{}.0.0", code / 100);
    Words { code: Some(code), status, text: text.into(), host: Some("mx.b.example".into()), rule: None }
}

fn relayed() -> Verdict {
    Verdict::Relayed { words: words(250, "ok"), takes_dsn: true }
}

fn reached(verdicts: &[Verdict]) -> Outcome {
    Outcome { recipients: (0..).zip(verdicts.iter().cloned()).collect(), destination: Destination::Reached }
}

fn away() -> Outcome {
    Outcome { recipients: Vec::new(), destination: Destination::Away(words(0, "no answer")) }
}

impl House {
    async fn enqueue(&self, outbound: Outbound) {
        let message = self.received(message("sortant").as_bytes()).await;
        self.room.queue().enqueue(outbound, message).await.unwrap();
    }

    async fn next(&self) -> Attempt {
        tokio::time::timeout(PATIENCE, self.room.queue().next()).await.unwrap().unwrap()
    }

    /// Nothing is to be tried now.
    async fn is_quiet(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(100), self.room.queue().next()).await.is_err()
    }

    fn list(&self, selection: &Selection) -> Vec<Listed> {
        self.room.queue().list(selection, None, 1000).unwrap().messages
    }

    /// Messages, consignments, recipients and bodies in the store.
    fn queued(&self) -> (usize, usize, usize, usize) {
        let store = self.room.store();
        (
            store.scan::<QueueMessage>(.., usize::MAX).unwrap().len(),
            store.scan::<Consignment>(.., usize::MAX).unwrap().len(),
            store.scan::<QueueRecipient>(.., usize::MAX).unwrap().len(),
            store.scan::<Body>(.., usize::MAX).unwrap().len(),
        )
    }

    /// How many steps of messages are traced.
    fn steps(&self) -> usize {
        steps(&self.room)
    }
}

fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn of_recipient(text: &str) -> Selection {
    Selection { recipient: Some(address(text)), ..Selection::default() }
}

on_both_engines!(a_message_for_three_domains_is_three_attempts_and_leaves_with_the_last, async |house: House| {
    house.enqueue(outbound(&["a@x.example", "b@y.example", "c@x.example", "d@z.example"])).await;
    assert_eq!(house.queued(), (1, 3, 4, 1));
    for left in [(1, 2), (1, 1), (0, 0)] {
        let attempt = house.next().await;
        assert_eq!(attempt.number, 1);
        assert_eq!(attempt.envelope.sender, Some(address("lea")));
        let body = house.room.store().read_body(&attempt.body, &attempt.body_key, 0..attempt.size).await.unwrap();
        assert_eq!(body, message("sortant").as_bytes());
        assert!(attempt.recipients.iter().all(|recipient| *recipient.address.domain() == attempt.domain));
        let verdicts = vec![relayed(); attempt.recipients.len()];
        house.room.queue().settle(attempt, reached(&verdicts)).await;
        let (messages, consignments, _, bodies) = house.queued();
        assert_eq!((messages, consignments, bodies), (left.0, left.1, left.0));
        house.check_counters();
    }
    assert!(house.is_quiet().await);
    assert_eq!(house.steps(), 4, "each recipient's relaying is traced");
});

on_both_engines!(settling_leaves_exactly_what_is_owed, async |house: House| {
    house.enqueue(outbound(&["a@x.example", "b@x.example", "c@x.example", "d@x.example"])).await;
    let attempt = house.next().await;
    let verdicts = [relayed(), Verdict::Deferred(words(451, "plus tard")), Verdict::Failed(words(550, "inconnu"))];
    house.room.queue().settle(attempt, reached(&verdicts)).await;
    assert!(house.is_quiet().await, "what is deferred waits");
    let listed = house.list(&Selection::default());
    let consignment = &listed[0].consignments[0];
    assert_eq!(consignment.attempts, 1);
    let left: Vec<_> =
        consignment.recipients.iter().map(|each| (each.address.to_string(), each.last.clone())).collect();
    assert_eq!(left, [("b@x.example".into(), Some(words(451, "plus tard"))), ("d@x.example".into(), None)]);
    house.room.queue().retry(Selection::default()).await.unwrap();
    let attempt = house.next().await;
    assert_eq!(attempt.number, 2);
    assert_eq!(attempt.recipients.iter().map(|each| each.number).collect::<Vec<_>>(), [1, 3]);
});

on_both_engines!(what_failed_is_told_in_the_senders_own_mailbox_in_the_commit_that_ends_it, async |house: House| {
    let lea = house.account("lea").await;
    let mut outbound = outbound(&["a@x.example", "b@x.example"]);
    outbound.account = Some(lea.id);
    outbound.recipients.iter_mut().for_each(|recipient| recipient.params = RcptParams::default());
    house.enqueue(outbound).await;
    let attempt = house.next().await;
    house.room.queue().settle(attempt, reached(&[relayed(), Verdict::Failed(words(550, "inconnu"))])).await;
    assert_eq!(house.queued(), (0, 0, 0, 1), "nothing but the report's body is left");
    let session = house.room.open(lea.id).unwrap().select("INBOX", true).await.unwrap();
    assert_eq!(session.exists(), 1);
    let body = session.body(1).await.unwrap();
    let report = String::from_utf8(body.read(0..body.size).await.unwrap()).unwrap();
    assert!(report.contains("Final-Recipient: rfc822; b@x.example\r\nAction: failed\r\n"), "{report}");
    assert!(report.contains("Diagnostic-Code: smtp; 550 5.0.0 inconnu\r\n") && !report.contains("a@x.example"));
    house.check_counters();
});

on_both_engines!(an_attempt_that_is_dropped_is_due_again, async |house: House| {
    house.enqueue(outbound(&["a@x.example"])).await;
    let first = house.next().await;
    let other = first.clone();
    drop(first);
    assert!(house.is_quiet().await, "a clone still holds it");
    drop(other);
    assert_eq!(house.next().await.number, 1);
});

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_damage_has_cost_its_consignments_gets_them_back_at_the_start() {
    let house = House::embedded();
    house.enqueue(outbound(&["a@x.example", "b@y.example", "c@x.example"])).await;
    house.enqueue(outbound(&["d@z.example", "e@w.example"])).await;
    let mut batch = Batch::new();
    for (key, _) in house.room.store().scan::<Consignment>(.., usize::MAX).unwrap() {
        // All of the first, one of the second.
        if key.message == QueueId(1) || key.number == 0 {
            batch.delete::<Consignment>(&key);
        }
    }
    house.room.store().commit(batch).await.unwrap();
    let house = house.restarted_after_damage();
    assert_eq!(house.queued(), (2, 4, 5, 2));
    let mut found = Vec::new();
    for _ in 0..4 {
        let attempt = house.next().await;
        let to: Vec<_> = attempt.recipients.iter().map(|each| each.address.to_string()).collect();
        found.push(format!("{} {}", attempt.domain, to.join(" ")));
        house.room.queue().settle(attempt, reached(&vec![relayed(); to.len()])).await;
    }
    found.sort();
    assert_eq!(
        found,
        [
            "w.example e@w.example",
            "x.example a@x.example c@x.example",
            "y.example b@y.example",
            "z.example d@z.example"
        ]
    );
    assert_eq!(house.queued(), (0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_and_what_was_under_way_is_due() {
    let house = House::embedded();
    for n in 0..50 {
        house.enqueue(outbound(&[&format!("a@d{n}.example"), "b@y.example"])).await;
    }
    let under_way = house.next().await;
    let relay = house.next().await;
    let verdicts = vec![relayed(); relay.recipients.len()];
    house.room.queue().settle(relay, reached(&verdicts)).await;
    let before = house.queued();
    assert_eq!(before, (50, 99, 99, 50));
    std::mem::forget(under_way);
    let house = house.restarted();
    assert_eq!(house.queued(), before);
    assert_eq!(house.room.queue().counts().consignments, 99);
    let mut found = 0;
    while house.room.queue().counts().consignments > 0 {
        let attempt = house.next().await;
        let verdicts = vec![relayed(); attempt.recipients.len()];
        found += attempt.recipients.len();
        house.room.queue().settle(attempt, reached(&verdicts)).await;
    }
    assert_eq!((found, house.queued()), (99, (0, 0, 0, 0)));
    house.enqueue(outbound(&["a@x.example"])).await;
    assert!(house.list(&Selection::default())[0].id > QueueId(50), "numbers are never given twice");
}

on_both_engines!(what_found_no_free_session_was_not_tried_and_is_due_after_a_rest, async |house: House| {
    house.enqueue(outbound(&["a@x.example"])).await;
    let attempt = house.next().await;
    let crowded = Outcome { recipients: Vec::new(), destination: Destination::Crowded };
    house.room.queue().settle(attempt, crowded).await;
    assert!(house.is_quiet().await, "the destination rests");
    assert_eq!(house.list(&Selection::default())[0].consignments[0].attempts, 0);
    assert_eq!(house.steps(), 0, "nothing was tried, nothing is told");
    let again = house.next().await;
    assert_eq!(again.number, 1);
});

on_both_engines!(what_waits_for_the_end_of_our_own_trouble_was_not_tried_either, async |house: House| {
    house.enqueue(outbound(&["a@x.example"])).await;
    let attempt = house.next().await;
    let no_list = Outcome { recipients: Vec::new(), destination: Destination::Unready(words(0, "no white list")) };
    house.room.queue().settle(attempt, no_list).await;
    assert!(house.is_quiet().await, "all that go there wait for a moment");
    let consignment = &house.list(&Selection::default())[0].consignments[0];
    let Some(Standing::Away { probe }) = consignment.standing else { panic!("{consignment:?}") };
    assert!(probe - unix_now() <= 66, "{probe}");
    assert_eq!((consignment.attempts, house.steps()), (0, 1), "it was no try; why it waits is told");
    assert_eq!(consignment.recipients[0].last, Some(words(0, "no white list")));
    house.room.queue().retry(Selection::default()).await.unwrap();
    let (again, events) = (house.next().await, house.steps());
    assert_eq!(again.number, 1);
    let still = Outcome { recipients: Vec::new(), destination: Destination::Unready(words(0, "still none")) };
    house.room.queue().settle(again, still).await;
    assert_eq!(house.steps(), events, "and not told again each minute");
    assert!(house.is_quiet().await);
});

on_both_engines!(what_is_held_waits_for_its_release_also_when_it_was_under_way, async |house: House| {
    house.enqueue(outbound(&["a@x.example"])).await;
    let attempt = house.next().await;
    let held = house.room.queue().hold(Selection::default()).await.unwrap();
    assert_eq!(held, Handled { consignments: 1, recipients: 1, spared: 0 });
    house.room.queue().settle(attempt, reached(&[Verdict::Deferred(words(451, "plus tard"))])).await;
    let consignment = &house.list(&Selection::default())[0].consignments[0];
    assert_eq!((consignment.standing, consignment.attempts), (Some(Standing::Held), 1));
    assert_eq!(house.room.queue().retry(Selection::default()).await.unwrap(), Handled::default(), "held stays held");
    assert!(house.is_quiet().await);
    assert_eq!(house.room.queue().hold(Selection::default()).await.unwrap(), Handled::default());
    house.room.queue().release(Selection::default()).await.unwrap();
    assert_eq!(house.next().await.number, 2);
});

on_both_engines!(what_is_bounced_while_it_is_tried_is_gone_whatever_the_peer_said, async |house: House| {
    house.enqueue(outbound(&["a@x.example", "b@x.example"])).await;
    let attempt = house.next().await;
    let one = house.room.queue().bounce(of_recipient("A@x.example"), "faux destinataire".into()).await.unwrap();
    assert_eq!(one, Handled { consignments: 1, recipients: 1, spared: 0 });
    assert_eq!(house.queued(), (1, 1, 1, 1));
    house.room.queue().cancel(Selection::default(), OnlyCopies::Spare).await.unwrap();
    assert_eq!(house.queued(), (0, 0, 0, 0));
    let events = house.steps();
    house.room.queue().settle(attempt, reached(&[relayed(), Verdict::Deferred(words(451, "x"))])).await;
    assert_eq!(house.queued(), (0, 0, 0, 0));
    assert_eq!(house.steps(), events + 1, "that the peer took it is traced");
    assert!(house.is_quiet().await);
});

on_both_engines!(a_cancelling_spares_the_only_copy_of_a_message_unless_it_shall_not, async |house: House| {
    let sent_on = |ret| {
        let params = MailParams { ret: Some(ret), ..MailParams::default() };
        Outbound { kind: Kind::Forward, params, ..outbound(&["a@x.example", "b@x.example"]) }
    };
    // What a holder sends on and keeps; what nobody else has; a message whose sender asks for all of it back.
    let asks = MailParams { ret: Some(Return::Full), ..MailParams::default() };
    for outbound in
        [sent_on(Return::Headers), sent_on(Return::Full), Outbound { params: asks, ..outbound(&["a@x.example"]) }]
    {
        house.enqueue(outbound).await;
    }
    let queue = house.room.queue();
    let some = queue.cancel(of_recipient("a@x.example"), OnlyCopies::Spare).await.unwrap();
    assert_eq!(some, Handled { consignments: 2, recipients: 2, spared: 1 });
    let rest = queue.cancel(Selection::default(), OnlyCopies::Spare).await.unwrap();
    assert_eq!(rest, Handled { consignments: 1, recipients: 1, spared: 2 });
    assert_eq!(house.queued(), (1, 1, 2, 1));
    assert_eq!(house.next().await.recipients.len(), 2, "it is tried as before");
    let forced = queue.cancel(Selection::default(), OnlyCopies::Destroy).await.unwrap();
    assert_eq!(forced, Handled { consignments: 1, recipients: 2, spared: 0 });
    assert_eq!(house.queued(), (0, 0, 0, 0));
});

on_both_engines!(a_dead_destination_is_probed_and_a_retry_opens_its_gate, async |house: House| {
    for _ in 0..20 {
        house.enqueue(outbound(&["a@dead.example"])).await;
    }
    let (first, second) = (house.next().await, house.next().await);
    house.room.queue().settle(first, away()).await;
    house.room.queue().settle(second, away()).await;
    assert!(house.is_quiet().await);
    house.enqueue(outbound(&["a@live.example"])).await;
    let live = house.next().await;
    assert_eq!(live.domain, domain("live.example"));
    house.room.queue().settle(live, reached(&[relayed()])).await;
    let is_away = |listed: &Listed| matches!(listed.consignments[0].standing, Some(Standing::Away { .. }));
    assert!(house.list(&Selection::default()).iter().all(is_away));
    let tried: Vec<u32> = house.list(&Selection::default()).iter().map(|each| each.consignments[0].attempts).collect();
    assert_eq!(tried.iter().sum::<u32>(), 2, "nothing is written for what waits behind the gate");
    house.room.queue().retry(Selection { id: Some(QueueId(7)), ..Selection::default() }).await.unwrap();
    let probe = house.next().await;
    assert!(house.is_quiet().await, "one probe");
    house.room.queue().settle(probe, reached(&[relayed()])).await;
    assert_eq!(house.next().await.domain, domain("dead.example"));
});

fn hurried(lifetime: i64, delay_notice: i64) -> House {
    let queue = QueueOptions { lifetime, delay_notice, ..QueueOptions::default() };
    House::with_limits(MailLimits { queue, ..MailLimits::default() })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_once_and_what_is_too_old_is_given_up() {
    let house = hurried(4, 1);
    let queue = house.room.queue().clone();
    let tending = tokio::spawn(async move { queue.tend().await });
    house.enqueue(outbound(&["a@x.example", "b@y.example"])).await;
    for _ in 0..2 {
        let attempt = house.next().await;
        house.room.queue().settle(attempt, away()).await;
    }
    let store = house.room.store();
    let told = || store.scan::<Consignment>(.., 10).unwrap().iter().filter(|(_, each)| each.delay_told).count();
    until("both senders are told", || told() == 2).await;
    let versions: Vec<_> = store.scan::<Consignment>(.., 10).unwrap().iter().map(|(_, each)| each.version).collect();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let later: Vec<_> = store.scan::<Consignment>(.., 10).unwrap().iter().map(|(_, each)| each.version).collect();
    assert_eq!(later, versions, "once");
    until("both are given up", || house.queued() == (0, 0, 0, 0)).await;
    assert_eq!(house.room.queue().counts().consignments, 0);
    assert_eq!(house.steps(), 4, "two tries, two expiries");
    house.room.queue().stop();
    tokio::time::timeout(PATIENCE, tending).await.unwrap().unwrap();
    assert!(house.room.queue().next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_is_neither_told_of_nor_given_up() {
    let house = hurried(1, 1);
    let queue = house.room.queue().clone();
    tokio::spawn(async move { queue.tend().await });
    house.enqueue(outbound(&["a@x.example"])).await;
    house.room.queue().hold(Selection::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(house.queued(), (1, 1, 1, 1));
    house.room.queue().release(Selection::default()).await.unwrap();
    assert_eq!(house.next().await.number, 1, "its release gives it a try");
}

#[tokio::test]
async fn a_message_that_its_sender_holds_back_is_not_tried_before_and_can_be_cancelled() {
    let house = House::in_memory();
    let release = jiff::Timestamp::now().as_second() + 3600;
    house.enqueue(Outbound { not_before: Some(release), ..outbound(&["a@x.example"]) }).await;
    assert!(house.is_quiet().await);
    let listed = house.list(&Selection::default());
    assert_eq!(listed[0].not_before, Some(release));
    assert_eq!(listed[0].expires_at, release + 48 * 3600);
    house
        .room
        .queue()
        .cancel(Selection { id: Some(listed[0].id), ..Selection::default() }, OnlyCopies::Spare)
        .await
        .unwrap();
    assert_eq!(house.queued(), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_selection_means_what_every_filter_lets_through() {
    let house = House::in_memory();
    house.enqueue(outbound(&["a@x.example", "b@y.example"])).await;
    house.enqueue(Outbound { sender: Some(address("max")), ..outbound(&["b@y.example", "c@y.example"]) }).await;
    house.enqueue(Outbound { sender: None, kind: Kind::Report, ..outbound(&["a@x.example"]) }).await;
    let shown = |selection: Selection| -> Vec<(u64, usize)> {
        let consignments = |listed: &Listed| listed.consignments.iter().map(|each| each.recipients.len()).sum();
        house.list(&selection).iter().map(|listed| (listed.id.0, consignments(listed))).collect()
    };
    let all = Selection::default();
    assert_eq!(shown(all.clone()), [(1, 2), (2, 2), (3, 1)]);
    assert_eq!(shown(Selection { id: Some(QueueId(2)), ..all.clone() }), [(2, 2)]);
    assert_eq!(shown(Selection { sender: Some(address("LEA")), ..all.clone() }), [(1, 2)]);
    assert_eq!(shown(of_recipient("b@y.example")), [(1, 1), (2, 1)]);
    assert_eq!(shown(Selection { domain: Some(domain("x.example")), ..all.clone() }), [(1, 1), (3, 1)]);
    let none = Selection { domain: Some(domain("x.example")), ..of_recipient("b@y.example") };
    assert_eq!(shown(none), []);
    assert_eq!(shown(Selection { state: Some(StateFilter::Held), ..all.clone() }), []);
    assert_eq!(shown(Selection { state: Some(StateFilter::Waiting), ..all.clone() }).len(), 3);
    let page = house.room.queue().list(&all, None, 2).unwrap();
    assert_eq!((page.messages.len(), page.more), (2, true));
    let page = house.room.queue().list(&all, Some(page.messages[1].id), 2).unwrap();
    assert_eq!((page.messages.len(), page.messages[0].id.0, page.more), (1, 3, false));
}

on_both_engines!(an_order_is_carried_out_to_its_end_though_whoever_gave_it_goes_away, async |house: House| {
    for n in 0..100 {
        house.enqueue(outbound(&[&format!("a@d{n}.example")])).await;
    }
    let held = Selection { state: Some(StateFilter::Held), ..Selection::default() };
    for moment in [0, 2, 5, 10] {
        house.room.queue().hold(Selection::default()).await.unwrap();
        assert_eq!(house.list(&held).len(), 100);
        let release = house.room.queue().release(Selection::default());
        let _cut_short = tokio::time::timeout(Duration::from_millis(moment), release).await;
        let store = house.room.store();
        let is_free = || store.scan::<Consignment>(.., 1000).unwrap().iter().all(|(_, each)| !each.held);
        until("all are let go", || is_free() && house.list(&held).is_empty()).await;
    }
    let mut attempts = Vec::new();
    while attempts.len() < 100 {
        attempts.push(house.next().await);
    }
});

#[tokio::test]
async fn what_a_peer_says_about_a_recipient_taken_out_while_it_was_tried_is_traced() {
    let house = House::in_memory();
    house.enqueue(outbound(&["a@x.example", "b@x.example"])).await;
    let attempt = house.next().await;
    house.room.queue().cancel(of_recipient("a@x.example"), OnlyCopies::Spare).await.unwrap();
    assert_eq!((house.queued(), house.steps()), ((1, 1, 1, 1), 1));
    house.room.queue().settle(attempt, reached(&[relayed(), relayed()])).await;
    assert_eq!((house.queued(), house.steps()), ((0, 0, 0, 0), 3), "cancelled, and both relayed");
}

#[tokio::test]
async fn a_hundred_recipients_of_a_domain_are_one_transaction_and_more_are_several() {
    let house = House::in_memory();
    let recipients: Vec<String> = (0..250).map(|n| format!("r{n}@x.example")).collect();
    house.enqueue(outbound(&recipients.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!(house.queued(), (1, 3, 250, 1));
    house.enqueue(outbound(&["a@y.example"])).await;
    let mut sizes = vec![house.next().await.recipients.len(), house.next().await.recipients.len()];
    sizes.push(house.next().await.recipients.len());
    assert_eq!(sizes, [100, 1, 100], "destinations take turns");
}

#[tokio::test]
async fn a_route_may_shorten_the_lifetime_of_its_domains() {
    let route = RouteTimes { domains: vec!["x.example".into()], lifetime: Some(2), ..RouteTimes::default() };
    let queue = QueueOptions { routes: vec![route], ..QueueOptions::default() };
    let house = House::with_limits(MailLimits { queue, ..MailLimits::default() });
    let queue = house.room.queue().clone();
    tokio::spawn(async move { queue.tend().await });
    house.enqueue(outbound(&["a@x.example", "b@y.example"])).await;
    until("the one with the short life is given up", || house.queued() == (1, 1, 1, 1)).await;
    assert_eq!(house.list(&Selection::default())[0].consignments[0].domain, "y.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_consignments_of_a_message_that_end_at_once_leave_nothing_behind() {
    let house = House::embedded();
    let recipients: Vec<String> = (0..50).map(|n| format!("a@d{n}.example")).collect();
    house.enqueue(outbound(&recipients.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let mut settling = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (attempt, queue) = (house.next().await, house.room.queue().clone());
        settling.spawn(async move { queue.settle(attempt, reached(&[relayed()])).await });
    }
    settling.join_all().await;
    assert_eq!(house.queued(), (0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_stopped_store_does_not_write_stops_the_queue_and_is_due_after_the_restart() {
    let house = House::embedded();
    house.enqueue(outbound(&["a@x.example", "b@y.example"])).await;
    let attempt = house.next().await;
    house.room.store().close();
    house.room.queue().settle(attempt, reached(&[relayed()])).await;
    assert!(house.room.queue().next().await.is_none(), "what was sent now could not be written down");
    let house = house.restarted();
    let mut domains = vec![house.next().await.domain, house.next().await.domain];
    domains.sort();
    assert_eq!(domains, [domain("x.example"), domain("y.example")]);
}

#[tokio::test]
async fn a_damaged_record_costs_its_own_message() {
    let house = House::in_memory();
    for n in 0..3 {
        house.enqueue(outbound(&[&format!("a@d{n}.example")])).await;
    }
    let store = house.room.store();
    let (damaged, record) = store.scan::<QueueMessage>(.., 1).unwrap().remove(0);
    let mut batch = Batch::new();
    batch.put(&damaged, &QueueMessage { sealed: vec![1; 60], ..record.record });
    store.commit(batch).await.unwrap();
    let found = [house.next().await, house.next().await].map(|attempt| attempt.key.message);
    assert!(!found.contains(&damaged));
    assert!(house.is_quiet().await);
    assert_eq!(house.list(&Selection::default()).len(), 2);
    assert_eq!(house.queued().0, 3, "it stays for whoever can mend it");
}

#[tokio::test]
async fn nothing_of_an_envelope_lies_open_but_its_domains() {
    let house = House::in_memory();
    house.enqueue(outbound(&["289017512345678@patient.mssante.example"])).await;
    let store = house.room.store();
    let mut sealed = store.scan::<QueueMessage>(.., 1).unwrap().remove(0).1.record.sealed;
    sealed.extend(store.scan::<QueueRecipient>(.., 1).unwrap().remove(0).1.record.sealed);
    for secret in [&b"28901751"[..], b"lea", b"aura.mssante"] {
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
    }
}
