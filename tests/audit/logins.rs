//! Who is not let in.

use std::net::{IpAddr, Ipv4Addr};

use caducee::accounts::RefusedLogin;
use caducee::audit::{Action, Trace};

use crate::harness::{MAILBOX, PASSWORD, Server};
use crate::scene::{traces, until};

fn refusals(traces: &[Trace]) -> Vec<(&str, Option<&str>)> {
    let refused = traces.iter().filter_map(|trace| match &trace.action {
        Action::LoginRefused { reason, asked } => Some((reason.as_str(), asked.as_deref())),
        _ => None,
    });
    refused.collect()
}

#[tokio::test]
async fn a_refused_login_names_a_mailbox_of_ours_and_nothing_that_a_stranger_wrote() {
    let server = Server::start().await;
    let mut client = server.connect(true).await;
    client.refused(&format!("LOGIN {} wrong-secret", MAILBOX.to_uppercase()), "NO").await;
    client.refused("LOGIN nobody@elsewhere.example wrong-secret", "NO").await;
    let left = until(&server.room, |traces| refusals(traces).len() >= 2).await;
    assert_eq!(refusals(&left), [("wrong-password", Some(MAILBOX)), ("wrong-password", None)]);
    for trace in left.iter().filter(|trace| matches!(trace.action, Action::LoginRefused { .. })) {
        assert_eq!((trace.origin.door.as_str(), trace.origin.peer.as_deref()), ("imap", Some("127.0.0.1")));
        assert_eq!((trace.actor.by, trace.actor.login.as_deref()), (None, None), "nobody who is known");
    }
    let written = serde_json::to_string(&left).unwrap();
    assert!(!written.contains("elsewhere.example") && !written.contains("wrong-secret"));
}

#[tokio::test]
async fn who_is_turned_away_for_too_many_sessions_or_a_suspended_mailbox_has_a_trace_with_that_reason() {
    let mut server = Server::start().await;
    server.options.max_sessions = 1;
    let _in = server.login().await;
    let mut client = server.connect(true).await;
    client.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO [LIMIT]").await;
    server.registry.suspend(server.account, "").await.unwrap();
    client.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO").await;
    let left = until(&server.room, |traces| refusals(traces).len() >= 2).await;
    assert_eq!(refusals(&left), [("too-many-sessions", Some(MAILBOX)), ("mailbox-not-open", Some(MAILBOX))]);
}

/// What a stranger can make the store grow by: some traces a minute, and the count of the rest.
#[tokio::test]
async fn a_stranger_who_guesses_without_end_makes_the_store_grow_by_a_bounded_number_of_traces() {
    let server = Server::start().await;
    let before = traces(&server.room).len();
    for n in 0..5_000u32 {
        let peer = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n % 3));
        let asked = format!("nobody-{n}@elsewhere.example");
        let (door, means, reason) = ("imap", "password", "wrong-password");
        server.registry.note_refused(RefusedLogin { door, peer, means, person: None, asked: &asked, reason });
    }
    let left = until(&server.room, |traces| traces.len() >= before + 60).await;
    assert_eq!(left.len(), before + 60, "20 of each of three addresses");
    let last = left.last().unwrap().at;
    server.registry.note_last_refused().await.unwrap();
    let told = traces(&server.room);
    let counts: Vec<_> = told
        .iter()
        .filter_map(|trace| match trace.action {
            Action::LoginsRefused { count } => Some((trace.origin.door.as_str(), trace.origin.peer.as_deref(), count)),
            _ => None,
        })
        .collect();
    assert_eq!((counts.len(), counts.iter().map(|(_, _, count)| count).sum::<u32>()), (3, 4_940));
    assert!(counts.iter().all(|(door, peer, _)| *door == "imap" && peer.is_some_and(|peer| peer.starts_with("10."))));
    let of_counts = told.iter().filter(|trace| matches!(trace.action, Action::LoginsRefused { .. }));
    assert!(of_counts.into_iter().all(|trace| trace.at <= last), "at the beginning of their minute");
    server.registry.note_last_refused().await.unwrap();
    assert_eq!(traces(&server.room).len(), before + 63, "nothing was beyond since");
}
