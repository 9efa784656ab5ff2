//! The message itself: in pieces, whole or not at all; and what a peer does not take.

use crate::peer::{EVERYTHING, Manners, Say};
use crate::world::{SKIP, Stage, shown};
use caducee::mail::queue::Verdict;
use caducee::mss::Address;
use caducee::store::BodyId;
use caducee::wire::smtp::params::{BodyKind, MailParams, Notify, OriginalRecipient, RcptParams, Return};
use std::sync::Arc;
use tokio::time::Instant;

/// Several chunks of the store, with dots where they hurt.
fn large() -> Vec<u8> {
    let mut bytes = vec![b'x'; SKIP as usize - 2];
    bytes.extend_from_slice(b"\r\nSubject: essai\r\n\r\n");
    for line in 0..8000 {
        bytes.extend_from_slice(format!(".{}\r\n..\r\n.\r\n", "point ".repeat(line % 13)).as_bytes());
    }
    bytes
}

async fn large_stage(manners: Manners) -> (Stage, Arc<crate::peer::Peer>) {
    let stage = Stage::with_message(&[("there.example", "there")], &large()).await;
    let peer = stage.peer("there.example", "mx.there.example", manners);
    (stage, peer)
}

#[tokio::test(start_paused = true)]
async fn a_message_of_many_chunks_arrives_as_it_lies_in_the_store_by_bdat_and_by_data() {
    for offers in [EVERYTHING, &["8BITMIME"], &["PIPELINING"]] {
        let (stage, peer) = large_stage(Manners { offers, ..Manners::default() }).await;
        assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
        assert!(peer.taken()[0].bytes == large()[SKIP as usize..], "{offers:?}");
    }
}

/// Resident memory now, and the most there was, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    (value("VmRSS:"), value("VmHWM:"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_at_once_are_never_whole_in_memory() {
    const AT_ONCE: usize = 60;
    let mut bytes = vec![b'x'; 25 << 20];
    bytes[SKIP as usize - 2..SKIP as usize].copy_from_slice(b"\r\n");
    let stage = Stage::with_message(&[("there.example", "there")], &bytes).await;
    drop(bytes);
    let peer = stage.peer("there.example", "mx.there.example", Manners { forgets: true, ..Manners::default() });
    stage.world.settings.lock().unwrap().max_sessions_per_host = AT_ONCE;
    let (before, stage) = (memory().0, Arc::new(stage));
    let send = |_| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.send("there.example").await })
    };
    let tasks: Vec<_> = (0..AT_ONCE).map(send).collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "relayed 2.0.0 250; reached");
    }
    assert_eq!(peer.connections(), AT_ONCE);
    // Other tests run beside; whole messages would be 1500 MiB.
    let grown = memory().1.saturating_sub(before);
    println!("{AT_ONCE} messages of 25 MiB at once: {grown} MiB more");
    assert!(grown < 150, "{grown} MiB");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_middle_of_a_message_is_its_answer() {
    for offers in [EVERYTHING, &["8BITMIME"]] {
        for (word, wanted) in [
            ("552 5.3.4 too large\r\n", "failed 5.3.4 552; busy"),
            ("452 4.3.1 full\r\n", "deferred 4.3.1 452; busy"),
            ("250 2.0.0 enough\r\n", "deferred 2.0.0 250; busy"),
        ] {
            let early = Some((100_000, Say::last(word)));
            let (stage, peer) = large_stage(Manners { offers, early, ..Manners::default() }).await;
            let wanted = wanted.replace("deferred 2", "deferred 4");
            assert_eq!(stage.send("there.example").await, wanted, "{offers:?}");
            assert!(peer.taken().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_more_of_a_message_is_left_after_the_time_for_a_block() {
    let (stage, _peer) = large_stage(Manners { early: Some((100_000, Say::Stall)), ..Manners::default() }).await;
    let begun = Instant::now();
    assert_eq!(stage.send("there.example").await, "deferred 4.4.2 blocked; busy");
    assert_eq!(begun.elapsed().as_secs(), 180);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_never_sent_in_part() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    let mut attempt = stage.attempt("there.example", &["b"]);
    attempt.size += 10;
    assert_eq!(shown(&stage.relay.carry(&attempt).await), "deferred 4.3.0 body-unreadable; reached");
    attempt.body = BodyId(4711);
    assert_eq!(shown(&stage.relay.carry(&attempt).await), "deferred 4.3.0 body-unreadable; reached");
    assert!(peer.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_does_not_take_is_told_without_a_word_to_it() {
    type Change = fn(&mut caducee::mail::queue::Attempt);
    let rows: [(&'static [&'static str], Change, &str); 5] = [
        (&["SIZE 20"], |_| {}, "failed 5.3.4 too-large-there; reached"),
        (&[], |attempt| attempt.envelope.params.body = BodyKind::EightBitMime, "failed 5.6.3 no-8bit-there; reached"),
        (&[], |attempt| attempt.envelope.params.smtp_utf8 = true, "failed 5.6.7 no-utf8-there; reached"),
        (
            &[],
            |attempt| attempt.recipients[0].address = Address::parse("hélène@there.example").unwrap(),
            "failed 5.6.7 no-utf8-there; reached",
        ),
        (
            &["SMTPUTF8"],
            |attempt| attempt.recipients[0].address = Address::parse("hélène@there.example").unwrap(),
            "relayed 2.0.0 250; reached",
        ),
    ];
    for (offers, change, wanted) in rows {
        let (stage, peer) = Stage::simple(Manners { offers, ..Manners::default() }).await;
        let mut attempt = stage.attempt("there.example", &["b"]);
        change(&mut attempt);
        assert_eq!(shown(&stage.relay.carry(&attempt).await), wanted, "{offers:?}");
        // The session is as good as before.
        assert_eq!((peer.connections(), peer.taken().len()), (1, usize::from(wanted.starts_with("relayed"))));
        for taken in peer.taken() {
            assert!(taken.mail.ends_with(" SMTPUTF8"), "{taken:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dsn_parameters_go_to_a_peer_that_knows_them_which_then_makes_the_reports() {
    for (offers, knows) in [(EVERYTHING, true), (&["PIPELINING"][..], false)] {
        let (stage, peer) = Stage::simple(Manners { offers, ..Manners::default() }).await;
        let mut attempt = stage.attempt("there.example", &["b"]);
        attempt.envelope.params =
            MailParams { ret: Some(Return::Headers), envelope_id: Some("a+b".into()), ..MailParams::default() };
        let original = OriginalRecipient { address_type: "rfc822".into(), address: "b@there.example".into() };
        attempt.recipients[0].params = RcptParams {
            notify: Some(Notify::On { success: true, failure: true, delay: false }),
            original: Some(original),
        };
        let outcome = stage.relay.carry(&attempt).await;
        let (_, Verdict::Relayed { takes_dsn, .. }) = &outcome.recipients[0] else { panic!("{outcome:?}") };
        assert_eq!(*takes_dsn, knows);
        let taken = &peer.taken()[0];
        assert_eq!(taken.mail.contains("RET=HDRS ENVID=a+2Bb"), knows, "{taken:?}");
        assert_eq!(taken.rcpt[0].contains("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@there.example"), knows, "{taken:?}");
    }
}
