//! Other people's programs send through the door: curl, msmtp, Python's smtplib, a certificate in place of a password.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::scene;
use crate::scene::Scene;
use crate::support::{ScratchDir, Tool};

fn letter(scene: &Scene, subject: &str) -> String {
    let (from, to) = (&scene.camille.address, &scene.jerome.address);
    format!("From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nBonjour\r\n")
}

#[test]
fn curl_sends_over_starttls_and_over_tls() {
    let scene = scene!("curl");
    let (login, password) = scene.camille.credentials();
    let ports = scene.aura.ports;
    for (subject, url) in [
        ("Curl-1", format!("smtp://localhost:{}", ports.submission)),
        ("Curl-2", format!("smtps://localhost:{}", ports.submissions)),
    ] {
        let tool = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(&scene.known.ca);
        let tool = tool.args(["--user", &format!("{login}:{password}"), "--mail-from", login]);
        let tool = tool.args(["--mail-rcpt", &scene.jerome.address, "--upload-file", "-"]).arg(&url);
        tool.input(letter(&scene, subject)).run().expect_ok(&url);
        scene.read(&scene.jerome, subject);
    }
}

#[test]
fn msmtp_sends() {
    let scene = scene!("msmtp", "curl");
    let directory = ScratchDir::new();
    let (login, password) = scene.camille.credentials();
    let config = format!(
        "account default\nhost localhost\nport {}\ntls on\ntls_starttls on\ntls_trust_file {}\nauth plain\nuser {login}\npassword {password}\nfrom {login}\n",
        scene.aura.ports.submission,
        scene.known.ca.display()
    );
    let file = directory.path().join("msmtprc");
    fs::write(&file, config).expect("a file can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner can set its mode");
    let tool = Tool::new("msmtp").arg("--file").arg(&file).arg(&scene.jerome.address);
    tool.input(letter(&scene, "Msmtp-1").replace("\r\n", "\n")).run().expect_ok("msmtp");
    scene.read(&scene.jerome, "Msmtp-1");
}

/// ca, port, login, password, recipient
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
ca, port, login, password, to = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
for method in ["PLAIN", "LOGIN"]:
    with smtplib.SMTP("localhost", int(port)) as server:
        server.starttls(context=context)
        server.ehlo()
        assert server.has_extn("auth") and server.has_extn("size") and server.has_extn("dsn"), server.esmtp_features
        server.user, server.password = login, password
        auth = server.auth_plain if method == "PLAIN" else server.auth_login
        assert server.auth(method, auth, initial_response_ok=method == "PLAIN")[0] == 235
        text = f"From: {login}\r\nTo: {to}\r\nSubject: Smtplib-{method}\r\n\r\nBonjour\r\n"
        assert server.sendmail(login, [to], text, rcpt_options=["NOTIFY=NEVER"]) == {}
with smtplib.SMTP("localhost", int(port)) as server:
    server.starttls(context=context)
    try:
        server.login(login.replace("@", ".nobody@"), "wrong")
        raise SystemExit("a wrong password opened the door")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    assert server.noop()[0] == 250
"#;

#[test]
fn pythons_smtplib_sends_with_each_mechanism() {
    let scene = scene!("python3", "curl");
    let (login, password) = scene.camille.credentials();
    let tool = Tool::new("python3").args(["-c", SMTPLIB]).arg(&scene.known.ca);
    let tool = tool.args([&scene.aura.ports.submission.to_string(), login, password, &scene.jerome.address]);
    tool.run().expect_ok("smtplib");
    scene.read(&scene.jerome, "Smtplib-PLAIN");
    scene.read(&scene.jerome, "Smtplib-LOGIN");
}

/// ca, port, certificate, key, mailbox, recipient
const EXTERNAL: &str = r#"
import base64, smtplib, ssl, sys
ca, port, cert, key, mailbox, to = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
with smtplib.SMTP("localhost", int(port)) as server:
    server.starttls(context=context)
    server.ehlo()
    assert "EXTERNAL" in server.esmtp_features["auth"], server.esmtp_features
    code, words = server.docmd("AUTH", "EXTERNAL " + base64.b64encode(b"nobody@aura.mssante.example").decode())
    assert code == 535, (code, words)
    code, words = server.docmd("AUTH", "EXTERNAL =")
    assert code == 235, (code, words)
    text = f"From: {mailbox}\r\nTo: {to}\r\nSubject: Externe-1\r\n\r\nBonjour\r\n"
    assert server.sendmail(mailbox, [to], text) == {}
"#;

#[test]
fn an_application_sends_with_its_certificate() {
    let scene = scene!("python3", "curl");
    let application = scene.aura.mailbox("APP");
    let (Some(cert), Some(key)) = (&application.cert, &application.key) else { panic!("an application has both") };
    let tool = Tool::new("python3").args(["-c", EXTERNAL]).arg(&scene.known.ca);
    let tool = tool.arg(scene.aura.ports.submission.to_string()).arg(cert).arg(key);
    tool.args([&application.address, &scene.jerome.address]).run().expect_ok("EXTERNAL");
    scene.read(&scene.jerome, "Externe-1");
}
