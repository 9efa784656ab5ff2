//! Tokens of Pro Santé Connect at the doors, by other people's programs.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::psc::Psc;
use crate::support::{Operator, Ran, Sandbox, Tool, have, wait_until};

const CAMILLE: &str = "899700000001";

/// A sandbox, its look-alike, its first operator, and the mailbox of Camille.
struct Scene<'s> {
    sandbox: &'s Sandbox,
    psc: Psc,
    camille: String,
}

impl<'s> Scene<'s> {
    fn of(sandbox: &'s Sandbox) -> Self {
        let aura = sandbox.description.aura();
        let camille = aura.mailboxes.iter().find(|mailbox| mailbox.address.starts_with("camille."));
        let camille = camille.expect("Camille's mailbox").address.clone();
        Self { psc: Psc::of(sandbox), sandbox, camille }
    }

    fn aura(&self) -> &Operator {
        self.sandbox.description.aura()
    }

    /// What the door of those who send answers behind STARTTLS.
    fn submission(&self, script: &str) -> String {
        let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
        let tool = tool.args(["-connect", &format!("127.0.0.1:{}", self.aura().ports.submission), "-CAfile"]);
        tool.arg(&self.sandbox.description.ca).input(format!("EHLO client.example\r\n{script}QUIT\r\n")).run().all()
    }

    /// curl as a mail program with a token; what it saw.
    fn curl(&self, url: &str, mechanism: &str, token: &str, options: &[&str]) -> Ran {
        let tool = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]);
        let tool = tool.arg(&self.sandbox.description.ca).args(["--user", &self.camille, "--oauth2-bearer", token]);
        tool.args(["--login-options", &format!("AUTH={mechanism}")]).args(options).arg(url).run()
    }
}

fn xoauth2(user: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

#[test]
fn curl_logs_in_by_token_to_read_and_to_send_with_and_without_an_initial_response() {
    if !have("curl") {
        return;
    }
    let scene = Scene::of(Sandbox::shared());
    let token = scene.psc.token(CAMILLE);
    let letter = scene.sandbox.dir.join("token.eml");
    let from = &scene.camille;
    std::fs::write(&letter, format!("From: {from}\r\nTo: {from}\r\nSubject: by token\r\n\r\nBonjour\r\n")).unwrap();
    let ports = scene.aura().ports;
    let doors = [("imap", ports.imap, "smtp", ports.submission), ("imaps", ports.imaps, "smtps", ports.submissions)];
    for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
        for (n, (imap, reading, smtp, writing)) in doors.into_iter().cycle().take(4).enumerate() {
            let initial = if n < 2 { &[][..] } else { &["--sasl-ir"] };
            let reads = scene.curl(&format!("{imap}://localhost:{reading}/INBOX?ALL"), mechanism, &token, initial);
            assert!(reads.expect_ok(mechanism).stdout.contains("* SEARCH"));
            let file = letter.to_string_lossy();
            let envelope = ["--mail-from", from, "--mail-rcpt", from, "--upload-file", &file];
            let options = [initial, &envelope].concat();
            scene
                .curl(&format!("{smtp}://localhost:{writing}/client.example"), mechanism, &token, &options)
                .expect_ok(mechanism);
        }
    }
}

/// Python's own clients, each of which answers a challenge in its own way.
const PYTHON: &str = r#"
import imaplib, smtplib, ssl, sys
ca, imap_port, smtp_port, user, token = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
answer = f"user={user}\x01auth=Bearer {token}\x01\x01"
answers = [answer.encode(), b""]
imap = imaplib.IMAP4("localhost", int(imap_port)); imap.starttls(context)
try:
    print("imap", imap.authenticate("XOAUTH2", lambda challenge: answers.pop(0))[0])
except imaplib.IMAP4.error as error:
    print("imap", error)
print("imap still", imap.noop()[0])
for initial in (True, False):
    smtp = smtplib.SMTP("localhost", int(smtp_port)); smtp.starttls(context=context); smtp.ehlo()
    try:
        print("smtp", smtp.auth("XOAUTH2", lambda challenge=None: "" if challenge else answer, initial_response_ok=initial)[0])
    except smtplib.SMTPAuthenticationError as error:
        print("smtp", error.smtp_code, error.smtp_error.decode())
    print("smtp still", smtp.noop()[0])
"#;

fn python(scene: &Scene<'_>, token: &str) -> String {
    let ports = &scene.aura().ports;
    let output = Command::new("python3")
        .args(["-c", PYTHON])
        .arg(&scene.sandbox.description.ca)
        .args([ports.imap.to_string(), ports.submission.to_string(), scene.camille.clone(), token.to_owned()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pythons_clients_are_let_in_and_told_why_not_and_keep_their_connections() {
    if !have("python3") || !have("curl") {
        return;
    }
    let scene = Scene::of(Sandbox::shared());
    let good = python(&scene, &scene.psc.token(CAMILLE));
    assert_eq!(good, "imap OK\nimap still OK\nsmtp 235\nsmtp still 250\nsmtp 235\nsmtp still 250\n");
    let bad = python(&scene, "not-a-token");
    let lines: Vec<&str> = bad.lines().collect();
    assert!(lines[0].contains("[AUTHENTICATIONFAILED]") && lines[0].contains("log in again with your card"), "{bad}");
    assert!(lines[2].starts_with("smtp 535 5.7.8 ") && lines[2].contains("log in again with your card"), "{bad}");
    assert_eq!([lines[1], lines[3], lines[5]], ["imap still OK", "smtp still 250", "smtp still 250"], "{bad}");
}

#[test]
fn while_the_look_alike_fails_logins_are_put_off_and_its_return_is_noticed() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let own = Sandbox::start();
    let scene = Scene::of(&own);
    let token = scene.psc.token(CAMILLE);
    let login = format!("AUTH XOAUTH2 {}\r\n", xoauth2(&scene.camille, &token));
    scene.psc.knobs(r#"{"status": 500, "only": ["introspect"]}"#);
    let away = scene.submission(&format!("{login}NOOP\r\n"));
    assert!(away.contains("454 4.7.0 Pro Sante Connect cannot be reached") && !away.contains("334 "), "{away}");
    assert!(away.contains("250 2.0.0 Ok"), "the connection stays: {away}");
    scene.psc.knobs("{}");
    let is_back = || scene.submission(&login).contains("235 2.7.0");
    assert!(wait_until(Duration::from_secs(20), is_back), "{}", scene.submission(&login));
    scene.psc.knobs(r#"{"inactive": true}"#);
    let other = scene.psc.token(CAMILLE);
    let refused = scene.submission(&format!("AUTH XOAUTH2 {}\r\n\r\nNOOP\r\n", xoauth2(&scene.camille, &other)));
    assert!(refused.contains("334 ") && refused.contains("535 5.7.8 Pro Sante Connect has ended"), "{refused}");
    assert!(refused.contains("250 2.0.0 Ok"), "the connection stays: {refused}");
}
