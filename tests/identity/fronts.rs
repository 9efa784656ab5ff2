//! Fronts: what each listener asks of its clients and offers them, as OpenSSL, curl, swaks and mbsync see it.

use crate::support::{Description, Mailbox, Ran, Sandbox, Tool, have, read, swaks};

/// What a server says to some lines behind STARTTLS, with or without a client certificate.
fn said(known: &Description, port: u16, protocol: &str, with: Option<&Mailbox>, lines: &str) -> Ran {
    let mut tool = Tool::new("openssl").args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")]);
    tool = tool.args(["-starttls", protocol, "-verify_return_error", "-CAfile"]).arg(&known.ca);
    if let Some(mailbox) = with {
        tool = tool.arg("-cert").arg(mailbox.cert.as_ref().unwrap()).arg("-key").arg(mailbox.key.as_ref().unwrap());
    }
    tool.input(lines).run()
}

/// The mechanisms of a CAPABILITY or EHLO answer.
fn mechanisms(answer: &str) -> Vec<&str> {
    let imap = answer.split_ascii_whitespace().filter_map(|word| word.strip_prefix("AUTH="));
    let smtp = answer.lines().filter_map(|line| line.trim_end().get(4..)?.strip_prefix("AUTH "));
    imap.chain(smtp.flat_map(|line| line.split(' '))).collect()
}

#[test]
fn the_main_front_offers_external_to_who_shows_a_certificate_only() {
    if !have("openssl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let application = operator.mailbox("APP");
    let imap = |with| said(known, operator.ports.imap, "imap", with, "a CAPABILITY\r\nb LOGOUT\r\n").stdout;
    let smtp = |with| said(known, operator.ports.submission, "smtp", with, "EHLO a.example\r\nQUIT\r\n").stdout;
    for (without, shown) in [(imap(None), imap(Some(application))), (smtp(None), smtp(Some(application)))] {
        let (without, shown) = (mechanisms(&without), mechanisms(&shown));
        assert!(without.contains(&"PLAIN") && !without.contains(&"EXTERNAL"), "{without:?}");
        assert!(shown.contains(&"PLAIN") && shown.contains(&"EXTERNAL"), "{shown:?}");
    }
}

#[test]
fn the_front_of_applications_has_nothing_without_a_certificate_and_nothing_but_external_with_one() {
    if !have("openssl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let application = operator.mailbox("APP");
    let lines = "a CAPABILITY\r\nb LOGIN x y\r\nc AUTHENTICATE PLAIN\r\nd LOGOUT\r\n";
    let without = said(known, operator.ports.authcli_imap, "imap", None, lines);
    assert!(without.all().contains("certificate required") && !without.stdout.contains("CAPABILITY"), "{without:?}");
    let shown = said(known, operator.ports.authcli_imap, "imap", Some(application), lines).stdout;
    assert_eq!(mechanisms(&shown), ["EXTERNAL"], "{shown}");
    assert!(
        shown.contains("LOGINDISABLED") && shown.contains("b NO [CANNOT]") && shown.contains("c NO [CANNOT]"),
        "{shown}"
    );
    let lines = "EHLO a.example\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n";
    let shown = said(known, operator.ports.authcli_submission, "smtp", Some(application), lines).stdout;
    assert_eq!(mechanisms(&shown), ["EXTERNAL"], "{shown}");
    assert!(shown.contains("504 5.5.4"), "{shown}");
}

/// curl as an application at its front.
fn as_application(known: &Description, application: &Mailbox) -> Tool {
    let curl = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(&known.ca);
    let curl = curl.arg("--cert").arg(application.cert.as_ref().unwrap());
    let curl = curl.arg("--key").arg(application.key.as_ref().unwrap());
    curl.args(["--user", &format!("{}:", application.address), "--login-options", "AUTH=EXTERNAL"])
}

#[test]
fn an_application_sends_and_reads_at_its_front() {
    if !have("curl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let application = operator.mailbox("APP");
    let to = operator.mailbox("PER");
    let sending = as_application(known, application)
        .args(["--mail-from", &application.address, "--mail-rcpt", &to.address, "--upload-file", "-"])
        .arg(format!("smtp://localhost:{}", operator.ports.authcli_submission))
        .input(format!("From: {}\r\nSubject: par authcli\r\n\r\nUn compte rendu.\r\n", application.address));
    sending.run().expect_ok("an application sending");
    let got = read(known, operator, to, "SUBJECT \"par authcli\"");
    assert!(got.contains("Un compte rendu."), "{got}");
    let opening = as_application(known, application).args(["--request", "STATUS INBOX (MESSAGES)"]);
    let opened = opening.arg(format!("imap://localhost:{}/", operator.ports.authcli_imap)).run();
    assert!(opened.expect_ok("an application opening its mailbox").stdout.contains("MESSAGES"));
}

#[test]
fn mbsync_fetches_an_applications_mailbox_with_its_certificate() {
    if !have("mbsync") || !have("swaks") {
        return;
    }
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let operator = known.aura();
    let application = operator.mailbox("APP");
    let peer = known.aquitaine();
    let sent = swaks(known, operator, Some(&peer.identity()));
    let sent = sent.args(["--from", &peer.mailbox("PER").address, "--to", &application.address]);
    sent.run().expect_ok("a letter to the application");
    let maildir = sandbox.dir.join("mbsync-app");
    std::fs::create_dir_all(maildir.join("INBOX")).unwrap();
    let config = format!(
        "IMAPAccount app\nHost localhost\nPort {}\nUser {}\nSSLType STARTTLS\nAuthMechs EXTERNAL\nCertificateFile {}\n\
         ClientCertificate {}\nClientKey {}\n\nIMAPStore far\nAccount app\n\nMaildirStore near\nPath {}/\nInbox {}/INBOX\n\n\
         Channel app\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSyncState *\n",
        operator.ports.authcli_imap,
        application.address,
        known.ca.display(),
        application.cert.as_ref().unwrap().display(),
        application.key.as_ref().unwrap().display(),
        maildir.display(),
        maildir.display(),
    );
    let file = maildir.join("mbsyncrc");
    std::fs::write(&file, config).unwrap();
    Tool::new("mbsync").arg("-c").arg(&file).arg("app").run().expect_ok("mbsync with a client certificate");
    let messages = |folder: &str| std::fs::read_dir(maildir.join("INBOX").join(folder)).map_or(0, Iterator::count);
    assert!(messages("new") + messages("cur") > 0, "the letter is there");
}
