//! Each program sends in both directions, and the recipient reads it over IMAP.

use super::way::{Envelope, Way, both_ways};
use crate::support::{ScratchDir, Tool};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Sends in both directions with `send`, and reads what came.
fn send_and_read(programs: &[&str], word: &str, send: impl Fn(&Way<'_>, &str)) {
    for way in both_ways(programs).into_iter().flatten() {
        let subject = format!("{word}-de-{}", way.from.domains[0]);
        send(&way, &subject);
        let text = way.read(&format!("SUBJECT \"{subject}\""));
        assert!(text.starts_with(&format!("Return-Path: <{}>\r\n", way.sender.address)), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        assert_eq!(body.trim_end(), "Bonjour");
    }
}

#[test]
fn swaks_sends_both_ways_over_starttls() {
    send_and_read(&["swaks"], "Swaks-starttls", |way, subject| {
        let server = format!("localhost:{}", way.from.ports.submission);
        let tool = way.swaks().args(["--server", &server, "--tls", "--to", &way.recipient.address]);
        tool.args(["--header", &format!("Subject: {subject}"), "--body", "Bonjour"]).run().expect_ok("swaks");
    });
}

#[test]
fn swaks_sends_both_ways_over_tls_from_the_first_byte() {
    send_and_read(&["swaks"], "Swaks-tls", |way, subject| {
        let server = format!("localhost:{}", way.from.ports.submissions);
        let tool = way.swaks().args(["--server", &server, "--tlsc", "--to", &way.recipient.address]);
        tool.args(["--header", &format!("Subject: {subject}"), "--body", "Bonjour"]).run().expect_ok("swaks");
    });
}

/// curl with one of its two schemes.
fn curl(way: &Way<'_>, url: &str, subject: &str) {
    let (login, password) = way.sender.credentials();
    let tool = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(&way.known.ca);
    let tool = tool.args(["--user", &format!("{login}:{password}"), "--mail-from", &way.sender.address]);
    let tool = tool.args(["--mail-rcpt", &way.recipient.address, "--upload-file", "-", url]);
    tool.input(way.letter(subject)).run().expect_ok(url);
}

#[test]
fn curl_sends_both_ways_over_starttls() {
    send_and_read(&[], "Curl-starttls", |way, subject| {
        curl(way, &format!("smtp://localhost:{}", way.from.ports.submission), subject);
    });
}

#[test]
fn curl_sends_both_ways_over_tls_from_the_first_byte() {
    send_and_read(&[], "Curl-tls", |way, subject| {
        curl(way, &format!("smtps://localhost:{}", way.from.ports.submissions), subject);
    });
}

#[test]
fn msmtp_sends_both_ways() {
    let directory = ScratchDir::new();
    send_and_read(&["msmtp"], "Msmtp", |way, subject| {
        let (login, password) = way.sender.credentials();
        let config = format!(
            "account default\nhost localhost\nport {}\ntls on\ntls_starttls on\ntls_trust_file {}\nauth plain\n\
             user {login}\npassword {password}\nfrom {}\n",
            way.from.ports.submission,
            way.known.ca.display(),
            way.sender.address,
        );
        let file = directory.path().join(&way.from.domains[0]);
        fs::write(&file, config).expect("a file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner can set its mode");
        let tool = Tool::new("msmtp").arg("--file").arg(&file).arg(&way.recipient.address);
        tool.input(way.letter(subject).replace("\r\n", "\n")).run().expect_ok("msmtp");
    });
}

#[test]
fn pythons_smtplib_sends_both_ways() {
    send_and_read(&[], "Smtplib", |way, subject| way.send(&Envelope::default(), &way.letter(subject)));
}
