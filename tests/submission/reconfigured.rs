//! Bounds that a sandbox's own settings do not reach: one with others.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::door::{figure, refused};
use crate::scene::Scene;
use crate::support::{Operator, Sandbox, have, signal, wait_until};

/// Puts other settings in force.
fn reconfigure(operator: &Operator, from: &str, to: &str) {
    let reloads = "caducee_reloads_total{rule=\"ok\"}";
    let before = figure(operator, reloads);
    let text = fs::read_to_string(&operator.config).expect("the sandbox's configuration");
    assert!(text.contains(from), "{from}");
    fs::write(&operator.config, text.replace(from, to)).expect("the sandbox's configuration");
    signal(operator.pid, "HUP");
    assert!(wait_until(Duration::from_secs(10), || figure(operator, reloads) > before), "the server did not reload");
}

/// A client that keeps its connection open.
struct Held(Child);

impl Held {
    /// Says `script` behind STARTTLS and waits for `words` of an answer.
    fn open(scene: &Scene, script: &str, words: &str) -> Held {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-starttls", "smtp", "-CAfile"]).arg(&scene.known.ca);
        command.args(["-connect", &format!("127.0.0.1:{}", scene.aura.ports.submission)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut held = Held(command.spawn().expect("openssl can be started"));
        held.say(script, words);
        held
    }

    /// What the server says to the end of the connection.
    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.0.stdout.as_mut().expect("a pipe").read_to_string(&mut said).expect("replies are text");
        said
    }

    /// Says more and waits for `words`; everything that was answered until then.
    fn say(&mut self, script: &str, words: &str) -> String {
        self.0.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("openssl reads");
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(words) {
            let mut byte = [0];
            self.0.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("the server answers");
            said.push(byte[0]);
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn settings_bound_what_a_session_may_do() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::start();
    let scene = Scene::of(Box::leak(Box::new(sandbox.description.clone())));
    let bounds =
        "max_connections_per_account = 1\nmax_login_failures = 2\nmax_future_release = \"0s\"\nlogin_timeout = \"2s\"";
    reconfigure(scene.aura, "max_connections_per_account = 1000", bounds);
    sessions_of_a_mailbox_are_counted(&scene);
    guesses_are_counted(&scene);
    who_does_not_log_in_is_shown_out(&scene);
    a_login_outlives_no_suspension(&scene);
    a_session_is_listed_and_ended_by_its_number(&scene);
    let mine = &scene.camille.address;
    let said = scene.raw(&scene.camille, format!("MAIL FROM:<{mine}> HOLDFOR=60\r\nQUIT\r\n"));
    assert!(said.contains("555 5.5.4") && !said.contains("FUTURERELEASE"), "what is turned off is not offered: {said}");
}

fn sessions_of_a_mailbox_are_counted(scene: &Scene) {
    let login = scene.login(&scene.camille);
    let held = Held::open(scene, &format!("EHLO a\r\n{login}"), "235 2.7.0");
    refused(scene.aura, "454 4.7.0", "too-many-of-mailbox", || scene.raw(&scene.camille, "QUIT\r\n"));
    assert!(scene.raw(&scene.jerome, "QUIT\r\n").contains("235 2.7.0"), "another mailbox has its own count");
    drop(held);
    let open = "caducee_connections_open{door=\"submission\"}";
    assert!(wait_until(Duration::from_secs(10), || figure(scene.aura, open) == 0.0), "places are given back");
    assert!(scene.raw(&scene.camille, "QUIT\r\n").contains("235 2.7.0"));
}

fn a_login_outlives_no_suspension(scene: &Scene) {
    let mine = &scene.jerome.address;
    let login = scene.login(&scene.jerome);
    let mut held = Held::open(scene, &format!("EHLO a\r\n{login}"), "235 2.7.0");
    refused(scene.aura, "421 4.3.2", "session-ended", || {
        scene.administer(&["mailbox", "suspend", mine]);
        held.rest()
    });
    scene.administer(&["mailbox", "reopen", mine]);
}

fn a_session_is_listed_and_ended_by_its_number(scene: &Scene) {
    let login = scene.login(&scene.jerome);
    let script = format!("EHLO a\r\n{login}MAIL FROM:<{}>\r\n", scene.jerome.address);
    let mut held = Held::open(scene, &script, "250 2.1.0");
    let listed = scene.administer(&["session", "list", "--mailbox", &scene.jerome.address, "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        (&listed["sessions"][0]["door"], &listed["sessions"][0]["means"]),
        (&"submission".into(), &"password".into())
    );
    let number = listed["sessions"][0]["id"].to_string();
    let said = refused(scene.aura, "421 4.3.2", "session-ended", || {
        scene.administer(&["session", "end", &number]);
        held.rest()
    });
    assert!(said.contains("The session was ended by the operator"), "{said}");
}

fn guesses_are_counted(scene: &Scene) {
    let guess = "AUTH PLAIN AG5vYm9keUBhdXJhLm1zc2FudGUuZXhhbXBsZQB3cm9uZw==\r\n";
    refused(scene.aura, "421 4.7.0", "too-many-logins", || {
        let said = scene.behind_tls(format!("EHLO a\r\n{guess}{guess}NOOP\r\n"));
        assert!(said.contains("535 5.7.8") && !said.contains("250 2.0.0 Ok"), "{said}");
        said
    });
}

fn who_does_not_log_in_is_shown_out(scene: &Scene) {
    refused(scene.aura, "421 4.4.2", "too-slow", || {
        let mut held = Held::open(scene, "EHLO a\r\n", "250 ENHANCEDSTATUSCODES");
        held.rest()
    });
}
