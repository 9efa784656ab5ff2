//! What a session looks at.

use caducee::audit::{Action, By, FolderKind};

use crate::harness::{MAILBOX, PASSWORD, Server, message};
use crate::scene::{Since, names, told, traces, until};

#[tokio::test]
async fn a_session_leaves_who_was_in_with_what_from_where_and_why_it_ended() {
    let server = Server::start().await;
    server.deliver(&message("un")).await;
    let mut since = Since::now(&server.room);
    let mut client = server.inbox().await;
    client.ok("FETCH 1 BODY.PEEK[TEXT]").await;
    client.ok("LOGOUT").await;
    let left = since.take_so_many(4).await;
    assert_eq!(names(&left), ["logged-in", "opened", "read", "logged-out"]);
    let session = left[0].origin.session;
    for trace in &left {
        assert_eq!(trace.mailbox.as_deref(), Some(MAILBOX), "{trace:?}");
        assert_eq!((trace.actor.by, trace.actor.login.as_deref()), (Some(By::User), Some(MAILBOX)));
        assert_eq!((trace.actor.means.as_deref(), trace.actor.person.as_deref()), (Some("password"), None));
        assert_eq!((trace.origin.door.as_str(), trace.origin.peer.as_deref()), ("imap", Some("127.0.0.1")));
        assert!(session.is_some() && trace.origin.session == session);
    }
    assert_eq!(left[1].action, Action::Opened { folder: FolderKind::Inbox });
    assert_eq!(left[2].action, Action::Read { folder: FolderKind::Inbox, messages: 1 });
    assert_eq!(left[3].action, Action::LoggedOut { reason: "logout".into() });
}

#[tokio::test]
async fn lists_leave_nothing_and_a_command_that_reads_leaves_one_trace_however_many_messages_it_reads() {
    let server = Server::start().await;
    for n in 0..20 {
        server.deliver(&message(&"x".repeat(n))).await;
    }
    let mut client = server.inbox().await;
    let mut since = Since::now(&server.room);
    for list in [
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
        "FETCH 1:* (BODY.PEEK[HEADER] RFC822.HEADER BODY.PEEK[1.MIME])",
        "UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]",
        "STORE 1:5 +FLAGS (\\Flagged)",
        "SEARCH UNSEEN SINCE 1-Jan-2020 NOT LARGER 100000",
        "STATUS Sent (MESSAGES UNSEEN)",
        "LIST \"\" *",
        "SELECT INBOX",
        "FETCH 1:* BODY.PEEK[] (CHANGEDSINCE 99999999)",
    ] {
        client.ok(list).await;
    }
    client.ok("FETCH 1:* BODY.PEEK[]").await;
    let left = since.take_so_many(1).await;
    assert_eq!(told(&left), [Action::Read { folder: FolderKind::Inbox, messages: 20 }]);
    client.ok("UID FETCH 3,5 RFC822").await;
    client.ok("UID SEARCH OR TEXT nulle-part SUBJECT xxxx").await;
    let left = since.take_so_many(2).await;
    let searched = Action::Searched { folder: FolderKind::Inbox, messages: 16 };
    assert_eq!(told(&left), [Action::Read { folder: FolderKind::Inbox, messages: 2 }, searched]);
}

#[tokio::test]
async fn a_message_that_is_fetched_in_pieces_is_read_once() {
    let server = Server::start().await;
    server.deliver(&message("un")).await;
    server.deliver(&message("deux")).await;
    let mut client = server.inbox().await;
    let mut since = Since::now(&server.room);
    for piece in ["BODY.PEEK[]<0.100>", "BODY.PEEK[]<100.100>", "BODY.PEEK[TEXT]", "BODY[1]"] {
        client.ok(&format!("FETCH 1 {piece}")).await;
    }
    client.ok("FETCH 2 BODY.PEEK[]<50.10>").await;
    client.ok("FETCH 1 BODY.PEEK[]").await;
    let left = since.take_so_many(3).await;
    assert_eq!(left.len(), 3, "one for each turn to a message: {left:#?}");
}

#[tokio::test]
async fn nobody_comes_in_and_nothing_is_opened_while_it_cannot_be_written_down() {
    use crate::scene::Place;
    use caducee::store::Options;
    let place = Place::new();
    let server = Server::over(place.room(&Options::default()).await);
    server.registry.add_domain(&"aura.mssante.example".parse().unwrap(), "").await.unwrap();
    server.mailbox(MAILBOX).await;
    server.room.store().close();
    drop(server);
    // More free space is asked for than any disk has: reading goes on, nothing is written.
    let server = Server::over(place.room(&Options { reserve: u64::MAX, ..Options::default() }).await);
    let before = traces(&server.room).len();
    let mut client = server.connect(true).await;
    client.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO [UNAVAILABLE]").await;
    client.refused("SELECT INBOX", "BAD").await;
    assert_eq!(server.registry.sessions().list().len(), 0, "nobody is in");
    assert_eq!(traces(&server.room).len(), before);
}

#[tokio::test]
async fn a_session_that_is_ended_from_outside_says_by_what() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    server.registry.suspend(server.account, "").await.unwrap();
    client.end().await;
    let is_out = |trace: &caducee::audit::Trace| trace.action == Action::LoggedOut { reason: "suspended".into() };
    until(&server.room, |traces| traces.iter().any(is_out)).await;
}

#[tokio::test]
async fn once_a_reading_could_not_be_written_down_nothing_more_is_read_and_no_folder_opened() {
    let server = Server::start().await;
    server.deliver(&message("un")).await;
    server.deliver(&message("deux")).await;
    let mut client = server.inbox().await;
    client.ok("FETCH 1 BODY.PEEK[TEXT]").await;
    server.room.store().close();
    client.ok("FETCH 1:* (FLAGS ENVELOPE)").await;
    // On its way when the text is told; that it comes to nothing is known at the next.
    client.ok("FETCH 2 BODY.PEEK[TEXT]").await;
    client.refused("FETCH 1 BODY.PEEK[TEXT]", "NO [UNAVAILABLE]").await;
    client.refused("SEARCH TEXT x", "NO [UNAVAILABLE]").await;
    client.refused("EXAMINE Sent", "NO [UNAVAILABLE]").await;
}
