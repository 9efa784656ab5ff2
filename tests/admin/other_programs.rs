//! Mailboxes that other programs made are imported, and what is exported is read by other programs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Server, is_there, run, text};

async fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    if !is_there("python3").await {
        return None;
    }
    let mut all = vec!["-c".to_owned(), script.to_owned()];
    all.extend(arguments.iter().map(|argument| argument.display().to_string()));
    Some(run("python3", &all, "", None).await.expect(0).stdout)
}

/// Flags of a folder's messages, in order.
async fn flags(server: &Server, address: &str, folder: &str) -> Vec<Value> {
    server.listed(address, folder).await.into_iter().map(|message| message["flags"].clone()).collect()
}

const MAKE_MBOX: &str = r#"
import mailbox, sys
box = mailbox.mbox(sys.argv[1])
for number, flags in enumerate(["", "RO", "ROAF", "D"]):
    message = mailbox.mboxMessage()
    message.set_from("sender@b.example Sun Nov 22 00:49:54 2026")
    message["Subject"] = "message %d" % number
    message.set_payload("Bonjour\nFrom Paris\n>From Lyon\n\nfin\n")
    message.set_flags(flags)
    box.add(message)
box.close()
"#;

#[tokio::test]
async fn an_mbox_made_by_python() {
    let server = Server::start().await;
    let file = server.place.join("python.mbox");
    if python(MAKE_MBOX, &[&file]).await.is_none() {
        return;
    }
    let to = server.mailbox("to").await;
    let report = server.caducee(&["import", &to, text(&file), "--json"]).await.expect(0).json();
    assert_eq!((&report["imported"], &report["left_out"]), (&json!(4), &json!([])));
    assert_eq!(
        flags(&server, &to, "INBOX").await,
        [json!([]), json!(["\\Seen"]), json!(["\\Seen", "\\Answered", "\\Flagged"]), json!(["\\Deleted"])]
    );
    assert!(server.listed(&to, "INBOX").await.iter().all(|message| message["date"] == "2026-11-22T00:49:54Z"));
    let way = format!("/v1/mailboxes/{to}/messages/3");
    let bytes = server.raw(hyper::Method::GET, &way, None, "").await.unwrap();
    let message = String::from_utf8(bytes).unwrap();
    assert!(message.ends_with("\r\n\r\nBonjour\r\nFrom Paris\r\nFrom Lyon\r\n\r\nfin\r\n"), "{message}");
    assert!(!message.contains("Status"), "{message}");
}

const MAKE_MAILDIR: &str = r#"
import mailbox, sys
box = mailbox.Maildir(sys.argv[1])
sub = box.add_folder("Archive.2024")
for number, flags in enumerate(["", "S", "FRS", "PT"]):
    message = mailbox.MaildirMessage()
    message["Subject"] = "message %d" % number
    message.set_payload("Bonjour\n")
    message.set_flags(flags)
    message.set_subdir("cur" if flags else "new")
    message.set_date(1600000000 + number)
    (box if number < 3 else sub).add(message)
"#;

#[tokio::test]
async fn a_maildir_made_by_python() {
    let server = Server::start().await;
    let directory = server.place.join("maildir");
    if python(MAKE_MAILDIR, &[&directory]).await.is_none() {
        return;
    }
    let to = server.mailbox("to").await;
    server.caducee(&["import", &to, text(&directory)]).await.expect(0);
    assert_eq!(
        flags(&server, &to, "INBOX").await,
        [json!([]), json!(["\\Seen"]), json!(["\\Seen", "\\Answered", "\\Flagged"])]
    );
    assert_eq!(flags(&server, &to, "Archive/2024").await, [json!(["\\Deleted", "$Forwarded"])]);
    assert_eq!(server.listed(&to, "INBOX").await[1]["date"], "2020-09-13T12:26:41Z");
}

#[tokio::test]
async fn a_maildir_made_by_mbsync() {
    let server = Server::start().await;
    if !is_there("mbsync").await {
        return;
    }
    let (near, far) = (server.place.join("near"), server.place.join("far"));
    for part in ["INBOX/cur", "INBOX/new", "INBOX/tmp", "Sent/cur", "Sent/new", "Sent/tmp"] {
        fs::create_dir_all(far.join(part)).unwrap();
    }
    fs::create_dir(&near).unwrap();
    fs::write(far.join("INBOX/cur/1600000000.1.host:2,S"), "Subject: un\n\nBonjour\n").unwrap();
    fs::write(far.join("INBOX/new/1600000001.2.host"), "Subject: deux\n\nBonjour\n").unwrap();
    fs::write(far.join("Sent/cur/1600000002.3.host:2,RS"), "Subject: trois\n\nBonjour\n").unwrap();
    let config = server.place.join("mbsyncrc");
    let store = |name: &str, path: &Path| {
        format!("MaildirStore {name}\nPath {0}/\nInbox {0}/INBOX\nSubFolders Verbatim\n\n", path.display())
    };
    let channel =
        "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSyncState *\nSync Pull\nCopyArrivalDate yes\n";
    fs::write(&config, store("far", &far) + &store("near", &near) + channel).unwrap();
    let arguments = ["-c", text(&config), "all"].map(str::to_owned);
    run("mbsync", &arguments, "", None).await.expect(0);

    let to = server.mailbox("to").await;
    let report = server.caducee(&["import", &to, text(&near), "--json"]).await.expect(0).json();
    assert_eq!((&report["imported"], &report["left_out"]), (&json!(3), &json!([])));
    let inbox = flags(&server, &to, "INBOX").await;
    assert!(inbox.contains(&json!(["\\Seen"])) && inbox.contains(&json!([])), "{inbox:?}");
    assert_eq!(flags(&server, &to, "Sent").await, [json!(["\\Seen", "\\Answered"])]);
}

const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_maildir_made_by_dovecot() {
    let server = Server::start().await;
    if !is_there("doveadm").await {
        return;
    }
    let root = server.place.join("dovecot");
    fs::create_dir(&root).unwrap();
    // Dovecot keeps nobody's mail as root; who is not root keeps it as themselves.
    let _not_root = std::os::unix::fs::chown(&root, Some(NOBODY), None);
    let config = server.place.join("dovecot.conf");
    let settings = "log_path = /dev/stderr\nmail_location = maildir:~/Maildir\nmail_uid = nobody\nmail_gid = nogroup\n\
        first_valid_uid = 0\nfirst_valid_gid = 0\nnamespace inbox {\n inbox = yes\n separator = /\n}\n";
    fs::write(
        &config,
        format!("base_dir = {0}/run\nstate_dir = {0}/state\n{settings}mail_home = {0}/home\n", root.display()),
    )
    .unwrap();
    let doveadm = async |arguments: &[&str], input: &str| {
        let base = ["-c", text(&config)].into_iter().chain(arguments.iter().copied());
        let arguments: Vec<String> = base.map(str::to_owned).collect();
        let environment =
            [("USER".to_owned(), "camille".to_owned()), ("HOME".to_owned(), format!("{}/home", root.display()))];
        let all: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let all = all.into_iter().chain(["doveadm".to_owned()]).chain(arguments).collect::<Vec<_>>();
        run("env", &all, input, None).await
    };
    let first = doveadm(&["mailbox", "create", "Été", "Archive/2024"], "").await;
    if first.code != 0 {
        eprintln!("skipped: doveadm does not work without a running Dovecot here: {}", first.stderr);
        return;
    }
    for (folder, subject) in [("INBOX", "un"), ("Été", "deux"), ("Archive/2024", "trois")] {
        doveadm(&["save", "-m", folder], &format!("Subject: {subject}\r\n\r\nBonjour\r\n")).await.expect(0);
    }
    doveadm(&["flags", "add", "\\Seen $MDNSent", "mailbox", "Été", "all"], "").await.expect(0);

    let to = server.mailbox("to").await;
    let directory = root.join("home/Maildir");
    let report = server.caducee(&["import", &to, text(&directory), "--json"]).await.expect(0).json();
    assert_eq!((&report["imported"], &report["left_out"]), (&json!(3), &json!([])), "{report}");
    assert_eq!(flags(&server, &to, "Été").await, [json!(["\\Seen", "$MDNSent"])]);
    assert_eq!(flags(&server, &to, "Archive/2024").await, [json!([])]);
}

const READ_MAILDIR: &str = r#"
import mailbox, sys
box = mailbox.Maildir(sys.argv[1], create=False)
for name in [None] + sorted(box.list_folders()):
    folder = box if name is None else box.get_folder(name)
    for message in folder:
        print(name, message["Subject"], message.get_flags(), int(message.get_date()))
"#;

const READ_MBOX: &str = r#"
import mailbox, sys
for message in mailbox.mbox(sys.argv[1], create=False):
    print(message["Subject"], message.get_flags(), message.get_from())
"#;

#[tokio::test]
async fn what_is_exported_is_read_by_python() {
    let server = Server::start().await;
    let from = server.mailbox("from").await;
    server
        .file(&from, "?flags=%5CSeen%20%5CFlagged&date=2020-09-13T12:26:41Z", "Subject: un\r\n\r\nFrom Paris\r\n")
        .await
        .unwrap();
    server.file(&from, "?folder=Archive/2024&date=2020-09-13T12:26:42Z", "Subject: deux\r\n\r\nx\r\n").await.unwrap();
    let (maildir, mbox) = (server.place.join("maildir"), server.place.join("mbox"));
    server.caducee(&["export", &from, text(&maildir), "--format", "maildir"]).await.expect(0);
    server.caducee(&["export", &from, text(&mbox), "--format", "mbox"]).await.expect(0);
    let Some(read) = python(READ_MAILDIR, &[&maildir]).await else { return };
    assert_eq!(read, "None un FS 1600000001\nArchive.2024 deux  1600000002\n");
    let read = python(READ_MBOX, &[&mbox.join("INBOX.mbox")]).await.unwrap();
    assert_eq!(read, "un ROF MAILER-DAEMON Sun Sep 13 12:26:41 2020\n");
}
