//! What a session changes: traced in the commit that changes it.

use caducee::audit::{Action, By, FolderKind};

use crate::harness::{MAILBOX, Server, message};
use crate::scene::{Since, told};

#[tokio::test]
async fn what_a_session_files_copies_moves_and_deletes_is_written_with_the_change() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    client.ok("CREATE \"Mme Secrete\"").await;
    let mut since = Since::now(&server.room);
    let (inbox, other) = (FolderKind::Inbox, FolderKind::Other);
    let mut expect = |wanted: &[Action]| {
        let left = since.take();
        assert_eq!(told(&left), wanted);
        assert!(
            left.iter().all(|trace| trace.actor.login.as_deref() == Some(MAILBOX) && trace.origin.session.is_some())
        );
    };

    for n in 1..=3 {
        client.append("INBOX", "", &message(&"x".repeat(n))).await;
    }
    expect(&vec![Action::Appended { folder: inbox, messages: 1 }; 3]);
    client.ok("NOOP").await;
    client.ok("COPY 1:2 \"Mme Secrete\"").await;
    expect(&[Action::Copied { folder: inbox, to: other, to_mailbox: None, messages: 2 }]);
    client.ok("UID MOVE 1 Trash").await;
    expect(&[Action::Moved { folder: inbox, to: FolderKind::Trash, to_mailbox: None, messages: 1 }]);
    client.ok("STORE 1:* +FLAGS (\\Deleted)").await;
    client.ok("UID COPY 999 Trash").await;
    expect(&[]);
    client.ok("EXPUNGE").await;
    expect(&[Action::Deleted { folder: inbox, messages: 2 }]);
    client.ok("EXPUNGE").await;
    client.ok("CREATE Vide").await;
    client.ok("DELETE Vide").await;
    expect(&[]);
    client.ok("DELETE \"Mme Secrete\"").await;
    expect(&[Action::Deleted { folder: other, messages: 2 }]);
}

#[tokio::test]
async fn what_closing_a_folder_deletes_is_written_too() {
    let server = Server::start().await;
    server.deliver(&message("un")).await;
    let mut client = server.inbox().await;
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    let mut since = Since::now(&server.room);
    client.ok("CLOSE").await;
    assert_eq!(told(&since.take()), [Action::Deleted { folder: FolderKind::Inbox, messages: 1 }]);
}

#[tokio::test]
async fn the_copy_that_a_full_mailbox_takes_back_leaves_nothing_that_did_not_happen() {
    let server = Server::start().await;
    let big = "x".repeat(3 << 20);
    let mut client = server.inbox().await;
    for _ in 0..3 {
        client.append("INBOX", "", &format!("{}{big}\n", message("gros"))).await;
    }
    let mut since = Since::now(&server.room);
    client.refused("COPY 1:* Archive", "NO [OVERQUOTA]").await;
    assert_eq!(told(&since.take()), []);
}

#[tokio::test]
async fn who_lets_somebody_in_by_setacl_is_named_and_so_is_whom_they_let_in() {
    let server = Server::start().await;
    let anne = "anne@aura.mssante.example";
    server.professional(anne, "899700000001").await;
    let mut client = server.login_to(anne).await;
    let mut since = Since::now(&server.room);
    client.ok("SETACL INBOX 899700000002 lr").await;
    client.ok("DELETEACL INBOX 899700000002").await;
    let left = since.take();
    let what =
        |what: &str| Action::Administered { what: what.into(), fields: Vec::new(), about: Some("899700000002".into()) };
    assert_eq!(told(&left), [what("access-granted"), what("access-taken")]);
    for trace in left {
        assert_eq!((trace.actor.by, trace.actor.person.as_deref()), (Some(By::User), Some("899700000001")));
        assert_eq!((trace.mailbox.as_deref(), trace.origin.door.as_str()), (Some(anne), "imap"));
    }
}
