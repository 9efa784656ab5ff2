//! Clients that nobody here wrote, against a sandbox: imaplib, curl, mbsync, openssl.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::support::{Description, Mailbox, Operator, Sandbox, ScratchDir, Tool, have, run_with_input};

/// The second operator of the sandbox, whose mailboxes the tests here use.
fn operator() -> (&'static Description, &'static Operator) {
    let known = &Sandbox::shared().description;
    (known, known.aquitaine())
}

fn skipped(program: &str) -> bool {
    if have(program) {
        return false;
    }
    println!("skipped: {program} is not installed");
    true
}

#[test]
fn imaplib_finds_its_way_through_every_command() {
    if skipped("python3") {
        return;
    }
    let (known, operator) = operator();
    let (login, password) = operator.mailbox("ORG").credentials();
    let app = operator.mailbox("APP");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imap/session.py");
    let (imap, imaps) = (operator.ports.imap.to_string(), operator.ports.imaps.to_string());
    let tool = Tool::new("python3").args([script, "localhost", &imap, &imaps]).arg(&known.ca).args([login, password]);
    let (Some(cert), Some(key)) = (&app.cert, &app.key) else { panic!("an application has a certificate") };
    let ran = tool.arg(&app.address).arg(cert).arg(key).limit(Duration::from_secs(60)).run();
    assert!(ran.ok() && ran.stdout.contains("all well"), "{}", ran.all());
}

#[test]
fn imaplib_shares_a_mailbox_between_three_people() {
    if skipped("python3") {
        return;
    }
    let (known, operator) = operator();
    let of =
        |kind: &'static str, test: bool| operator.mailboxes.iter().filter(move |m| m.kind == kind && m.test == test);
    let people = of("ORG", true).chain(of("PER", false)).take(3);
    let credentials = people.flat_map(|mailbox| <[&str; 2]>::from(mailbox.credentials()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imap/shared.py");
    let tool = Tool::new("python3").args([script, "localhost", &operator.ports.imaps.to_string()]).arg(&known.ca);
    let ran = credentials.fold(tool, Tool::arg).limit(Duration::from_secs(60)).run();
    assert!(ran.ok() && ran.stdout.contains("all well"), "{}", ran.all());
}

#[test]
fn a_revoked_or_foreign_client_certificate_does_not_break_the_handshake_but_opens_nothing() {
    if skipped("python3") {
        return;
    }
    let (known, operator) = operator();
    let app = operator.mailbox("APP");
    let script = "
import imaplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.load_cert_chain(sys.argv[2], sys.argv[3])
client = imaplib.IMAP4_SSL('localhost', int(sys.argv[4]), ssl_context=context)
try:
    client.authenticate('EXTERNAL', lambda _: sys.argv[5].encode())
except imaplib.IMAP4.error as error:
    assert 'AUTHENTICATIONFAILED' in str(error), error
    client.noop()
    print('refused')
";
    for name in ["revoked", "expired", "foreign", "no_client_auth"] {
        let bad = known.bad(name);
        let tool = Tool::new("python3").args(["-c", script]).arg(&known.ca).arg(&bad.cert).arg(&bad.key);
        let ran = tool.args([&operator.ports.imaps.to_string(), &app.address]).run();
        assert!(ran.ok() && ran.stdout.contains("refused"), "{name}: {}", ran.all());
    }
}

#[test]
fn curl_lists_fetches_and_uploads() {
    if skipped("curl") {
        return;
    }
    let (known, operator) = operator();
    let mailbox = operator.mailbox("CAB");
    let list = super::support::imap(known, operator, mailbox, "", None).expect_ok("LIST");
    assert!(list.stdout.contains("\\Sent"), "{}", list.stdout);
    let scratch = ScratchDir::new();
    let file = scratch.path().join("message.eml");
    fs::write(&file, "From: a@b\r\nSubject: par curl\r\n\r\nBonjour\r\n").unwrap();
    let (login, password) = mailbox.credentials();
    let upload = Tool::new("curl").args(["--silent", "--show-error", "--cacert"]).arg(&known.ca);
    let upload = upload.args(["--user", &format!("{login}:{password}"), "--upload-file"]).arg(&file);
    upload.arg(format!("imaps://localhost:{}/Drafts", operator.ports.imaps)).run().expect_ok("APPEND");
    let path = "Drafts;MAILINDEX=1";
    let fetched = super::support::imap(known, operator, mailbox, path, None).expect_ok("FETCH");
    assert!(fetched.stdout.contains("Subject: par curl") && fetched.stdout.contains("Bonjour"), "{}", fetched.stdout);
    // STARTTLS too.
    let tool = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(&known.ca);
    let tool = tool.args(["--user", &format!("{login}:{password}"), "--request", "NOOP"]);
    tool.arg(format!("imap://localhost:{}/INBOX", operator.ports.imap)).run().expect_ok("STARTTLS");
}

/// mbsync's configuration for a mailbox and a Maildir beside it; what others share with it is left to other tests.
fn mbsyncrc(known: &Description, operator: &Operator, mailbox: &Mailbox, directory: &str) -> String {
    let (login, password) = mailbox.credentials();
    format!(
        "IMAPAccount server\nHost localhost\nPort {port}\nUser {login}\nPass \"{password}\"\nSSLType IMAPS\n\
         CertificateFile {ca}\n\nIMAPStore far\nAccount server\n\nMaildirStore near\nSubFolders Verbatim\n\
         Path {directory}/\nInbox {directory}/INBOX\n\nChannel all\nFar :far:\nNear :near:\nPatterns * !Shared/*\nCreate Both\n\
         Expunge Both\nSyncState *\n",
        port = operator.ports.imaps,
        ca = known.ca.display(),
    )
}

#[test]
fn mbsync_synchronises_both_ways() {
    if skipped("mbsync") {
        return;
    }
    let (known, operator) = operator();
    let mailbox = operator.test_mailbox();
    let scratch = ScratchDir::new();
    let maildir = scratch.path().join("mail");
    fs::create_dir(&maildir).unwrap();
    let rc = scratch.path().join("mbsyncrc");
    fs::write(&rc, mbsyncrc(known, operator, mailbox, &maildir.to_string_lossy())).unwrap();
    let sync = || {
        let tool = Tool::new("mbsync").arg("-c").arg(&rc).arg("-a").limit(Duration::from_secs(60));
        tool.run().expect_ok("mbsync");
    };
    let count = |folder: &str| {
        let files = ["new", "cur"].iter().filter_map(|sub| fs::read_dir(maildir.join(folder).join(sub)).ok());
        files.flatten().count()
    };
    sync();
    let before = count("INBOX");
    // A message made here goes there, with its flags …
    fs::write(maildir.join("INBOX/cur/1.local:2,FS"), "From: a@b\nSubject: par mbsync\n\nBonjour\n").unwrap();
    sync();
    let search = |criteria: &str| super::support::search(known, operator, mailbox, criteria);
    assert_eq!(search("SUBJECT \"par mbsync\" FLAGGED SEEN").len(), 1);
    // … and what is deleted here is expunged there.
    let name = fs::read_dir(maildir.join("INBOX/cur")).unwrap().flatten().map(|entry| entry.path());
    let sent = name.filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("par mbsync")));
    sent.for_each(|path| fs::remove_file(path).unwrap());
    sync();
    assert!(search("SUBJECT \"par mbsync\"").is_empty());
    assert_eq!(count("INBOX"), before);
}

#[test]
fn mbsync_synchronises_a_folder_of_another_mailbox() {
    if skipped("mbsync") || skipped("curl") {
        return;
    }
    let (known, operator) = operator();
    let (practice, person) = (operator.mailbox("CAB"), operator.mailbox("PER"));
    let as_holder =
        |command: &str| super::support::imap(known, operator, practice, "", Some(command)).expect_ok(command);
    as_holder("CREATE Classement");
    as_holder(&format!("SETACL INBOX {} lrswikxte", person.address));
    let scratch = ScratchDir::new();
    let maildir = scratch.path().join("mail");
    fs::create_dir(&maildir).unwrap();
    let rc = mbsyncrc(known, operator, person, &maildir.to_string_lossy());
    let path = format!("Account server\nPath \"Shared/{}/\"\n\nMaildirStore", practice.address);
    let rc = rc.replace("Account server\n\nMaildirStore", &path).replace("Patterns * !Shared/*", "Patterns Classement");
    let file = scratch.path().join("mbsyncrc");
    fs::write(&file, rc).unwrap();
    let sync = || {
        let tool = Tool::new("mbsync").arg("-c").arg(&file).arg("-a").limit(Duration::from_secs(60));
        tool.run().expect_ok("mbsync");
    };
    sync();
    let message = maildir.join("Classement/cur/1.local:2,FS");
    fs::write(&message, "From: a@b\nSubject: par mbsync\n\nBonjour\n").unwrap();
    sync();
    let there = super::support::imap(known, operator, practice, "Classement", Some("SEARCH FLAGGED SEEN"));
    assert!(there.expect_ok("SEARCH").stdout.contains("* SEARCH 1"));
    // What the practice does comes back to the person.
    super::support::imap(known, operator, practice, "Classement", Some("STORE 1 +FLAGS (\\Answered)"))
        .expect_ok("STORE");
    sync();
    let files = ["new", "cur"].iter().filter_map(|sub| fs::read_dir(maildir.join("Classement").join(sub)).ok());
    let names: Vec<String> =
        files.flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.len() == 1 && names[0].ends_with(":2,FRS"), "{names:?}");
    as_holder(&format!("DELETEACL INBOX {}", person.address));
    as_holder("DELETE Classement");
}

#[test]
fn openssl_sees_a_clean_upgrade_and_nothing_of_what_was_injected_before_it() {
    if skipped("openssl") {
        return;
    }
    let (known, operator) = operator();
    let address = format!("127.0.0.1:{}", operator.ports.imap);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-crlf", "-starttls", "imap", "-verify_return_error", "-connect", &address]);
    command.arg("-CAfile").arg(&known.ca).args(["-servername", "localhost"]);
    let ran = run_with_input(command, b"a CAPABILITY\nb LOGOUT\n".to_vec(), Duration::from_secs(20));
    assert!(ran.stdout.contains("a OK") && ran.stdout.contains("AUTH=PLAIN"), "{}", ran.all());
    assert!(!ran.stdout.contains("LOGINDISABLED"), "{}", ran.all());
}
