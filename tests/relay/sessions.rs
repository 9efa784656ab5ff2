//! Sessions: shared by messages and domains, bounded, ended in time, and never used on the strength of old certificates.

use crate::peer::{MOMENT, Manners, Say};
use crate::world::{NOW, Place, Stage, shown};
use caducee::telemetry::RuleLabel;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn an_idle_session_takes_the_next_message_for_its_host_also_of_another_domain() {
    let pairs = [("there.example", "there"), ("also.example", "there"), ("not.example", "else")];
    let stage = Stage::new(&pairs).await;
    let peer = stage.peer("there.example", "mx.there.example", Manners::default());
    stage.world.route("also.example", &["MX.there.example"]);
    stage.world.route("not.example", &["mx.there.example"]);
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    assert_eq!(stage.send("also.example").await, "relayed 2.0.0 250; reached");
    assert_eq!(stage.send("not.example").await, "failed 5.7.1 dn-not-listed; reached");
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    assert_eq!((peer.connections(), peer.taken().len()), (1, 3));
    assert_eq!(stage.metrics.relay_sessions.get_or_create(&RuleLabel { rule: "ok" }).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_ended_politely_when_its_time_or_its_number_of_messages_is_over() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    stage.send("there.example").await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!((peer.quits.load(Ordering::SeqCst), peer.open.load(Ordering::SeqCst)), (1, 0));
    stage.world.settings.lock().unwrap().max_messages = 2;
    for _ in 0..4 {
        stage.send("there.example").await;
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!((peer.connections(), peer.quits.load(Ordering::SeqCst)), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn the_next_message_of_a_session_does_not_pay_for_one_whose_data_was_refused() {
    let (stage, peer) = Stage::simple(Manners { offers: &[], ..Manners::default() }).await;
    peer.manners.lock().unwrap().data = Say::text("451 4.3.0 later\r\n");
    assert_eq!(stage.send("there.example").await, "deferred 4.3.0 451; reached");
    peer.manners.lock().unwrap().data = Say::Well;
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_died_while_idle_costs_nothing() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    for end in [Say::last("421 4.4.2 idle too long\r\n"), Say::close()] {
        peer.manners.lock().unwrap().mail = Say::Well;
        assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
        let before = peer.connections();
        // What the old session says to its next MAIL; a new session reads its manners anew, so the good ones come back.
        peer.manners.lock().unwrap().mail = end;
        let world = Arc::clone(&peer);
        let mending = tokio::spawn(async move {
            while world.open.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            world.manners.lock().unwrap().mail = Say::Well;
        });
        peer.manners.lock().unwrap().delay = Duration::from_millis(50);
        assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
        peer.manners.lock().unwrap().delay = Duration::ZERO;
        mending.await.unwrap();
        assert_eq!(peer.connections(), before + 1);
        sleep(Duration::from_secs(6)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_certificates_or_lists_ends_what_was_verified_before() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    stage.send("there.example").await;
    stage.world.epoch.fetch_add(1, Ordering::SeqCst);
    stage.send("there.example").await;
    assert_eq!(peer.connections(), 2);
    // The white list is asked before each message, also on a session that stays.
    stage.change_list(NOW - 60, &[("there.example", "else")]);
    assert_eq!(stage.send("there.example").await, "failed 5.7.1 dn-not-listed; reached");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_sessions_are_opened_with_a_host_than_it_may_have() {
    let (stage, peer) = Stage::simple(Manners { delay: Duration::from_millis(100), ..Manners::default() }).await;
    stage.world.settings.lock().unwrap().max_sessions_per_host = 3;
    let stage = Arc::new(stage);
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.send("there.example").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "relayed 2.0.0 250; reached");
    }
    assert_eq!(peer.most_open.load(Ordering::SeqCst), 3);
    assert_eq!((peer.connections(), peer.taken().len()), (3, 40));
}

#[tokio::test(start_paused = true)]
async fn all_that_wait_for_room_get_it_also_where_each_session_ends_after_one_message() {
    let (stage, peer) = Stage::simple(Manners { delay: Duration::from_millis(30), ..Manners::default() }).await;
    {
        let mut settings = stage.world.settings.lock().unwrap();
        (settings.max_sessions_per_host, settings.max_messages) = (1, 1);
    }
    let stage = Arc::new(stage);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.send("there.example").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "relayed 2.0.0 250; reached");
    }
    assert_eq!((peer.most_open.load(Ordering::SeqCst), peer.connections()), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_falls_silent_holds_up_nobody_but_those_that_it_has() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    stage.world.settings.lock().unwrap().max_sessions_per_host = 3;
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    peer.manners.lock().unwrap().message = Say::Nothing;
    let (stage, begun) = (Arc::new(stage), Instant::now());
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { (stage.send("there.example").await, begun.elapsed().as_secs()) })
        })
        .collect();
    let mut came = Vec::new();
    for task in tasks {
        came.push(task.await.unwrap());
    }
    came.sort_by_key(|(_, seconds)| *seconds);
    let (waiting, silent) = came.split_at(17);
    assert!(waiting.iter().all(|one| *one == ("deferred 4.4.5 no-room; crowded".to_owned(), 5)), "{came:?}");
    assert!(silent.iter().all(|one| *one == ("deferred 4.4.2 silence; busy".to_owned(), 600)), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_on_its_idle_sessions_is_waited_for_once() {
    let (stage, peer) = Stage::simple(Manners { delay: Duration::from_millis(10), ..Manners::default() }).await;
    stage.world.settings.lock().unwrap().keep_session = Duration::from_secs(3600);
    let stage = Arc::new(stage);
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.send("there.example").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "relayed 2.0.0 250; reached");
    }
    assert_eq!(peer.open.load(Ordering::SeqCst), 5);
    peer.manners.lock().unwrap().mail = Say::Nothing;
    let begun = Instant::now();
    assert_eq!(stage.send("there.example").await, "deferred 4.4.2 silence; away");
    assert_eq!((begun.elapsed().as_secs(), peer.connections()), (300, 5));
}

#[tokio::test(start_paused = true)]
async fn a_word_that_comes_unasked_between_two_messages_is_never_an_answer_to_the_next() {
    // As from a proxy that answers the message twice, each of its answers some time apart.
    let delay = Duration::from_millis(20);
    let manners = Manners { delay, message: Say::AndLater("250 2.0.0 kept\r\n"), ..Manners::default() };
    let (stage, peer) = Stage::simple(manners).await;
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    sleep(2 * MOMENT).await;
    peer.manners.lock().unwrap().message = Say::text("452 4.3.1 full\r\n");
    assert_eq!(stage.send("there.example").await, "deferred 4.3.1 452; reached");
    assert_eq!((peer.connections(), peer.open.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_makes_the_most_of_every_wait_is_left_in_bounded_time() {
    const MINUTE: u64 = 60;
    // A message of 2 MiB, a little of it in each minute: there are 40, and two more for its size.
    let mut bytes = vec![b'x'; 2 << 20];
    bytes[27..29].copy_from_slice(b"\r\n");
    let stage = Stage::with_message(&[("there.example", "there")], &bytes).await;
    let drip = Some(Duration::from_secs(60));
    let manners = Manners { drip, forgets: true, ..Manners::default() };
    let _peer = stage.peer("there.example", "mx.there.example", manners);
    let begun = Instant::now();
    assert_eq!(stage.send("there.example").await, "deferred 4.4.2 too-slow; busy");
    assert_eq!(begun.elapsed().as_secs() / MINUTE, 42);

    // A hundred recipients, each answered two minutes after the one before: what was said of the first ones stands.
    let rcpt_of = vec![("<1@", Say::text("550 5.1.1 unknown\r\n"))];
    let (stage, peer) = Stage::simple(Manners { rcpt_of, ..Manners::default() }).await;
    stage.send("there.example").await;
    peer.manners.lock().unwrap().delay = Duration::from_secs(120);
    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let outcome = shown(&stage.relay.carry(&stage.attempt("there.example", &names)).await);
    assert_eq!(begun.elapsed().as_secs() / MINUTE, 40);
    let wanted = "deferred 4.4.2 too-slow, failed 5.1.1 550, deferred 4.4.2 too-slow, ";
    assert!(outcome.starts_with(wanted) && outcome.ends_with("; busy"), "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_holds_nobody_up_for_long() {
    let stage = Stage::new(&[("dead.example", "there")]).await;
    stage.world.route("dead.example", &["mx.dead.example"]);
    stage.world.place("mx.dead.example", Place::Hole);
    stage.world.settings.lock().unwrap().max_sessions_per_host = 3;
    let stage = Arc::new(stage);
    let begun = Instant::now();
    let task = |stage: &Arc<Stage>| {
        let stage = Arc::clone(stage);
        tokio::spawn(async move { (stage.send("dead.example").await, begun.elapsed().as_secs()) })
    };
    let tasks: Vec<_> = (0..5).map(|_| task(&stage)).collect();
    let mut came = Vec::new();
    for task in tasks {
        came.push(task.await.unwrap());
    }
    let connecting = ("deferred 4.4.1 connect-failed; away".to_owned(), 30);
    let waiting = ("deferred 4.4.5 no-room; crowded".to_owned(), 5);
    came.sort_by_key(|(_, seconds)| *seconds);
    assert_eq!(came[..2], [waiting.clone(), waiting]);
    assert_eq!(came[2..], [connecting.clone(), connecting.clone(), connecting]);
    // For some seconds more, nobody knocks.
    let knocks = stage.world.knocks().len();
    assert_eq!(stage.send("dead.example").await, "deferred 4.4.1 connect-failed; away");
    assert_eq!((stage.world.knocks().len(), begun.elapsed().as_secs()), (knocks, 30));
}
