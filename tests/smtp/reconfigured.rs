//! Refusals that a server only shows when it is short of time, places or disk: a sandbox with other settings.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::door::{figure, refused, talk};
use crate::support::{Description, Identity, Operator, Sandbox, Tool, have, signal, wait_until};

/// Puts other settings in force: lines for `[smtp]`, and whole other sections.
fn reconfigure(operator: &Operator, changes: &[(&str, &str)]) {
    let reloads = "caducee_reloads_total{rule=\"ok\"}";
    let before = figure(operator, reloads);
    let mut text = fs::read_to_string(&operator.config).expect("the sandbox's configuration");
    for (section, lines) in changes {
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "{section}");
        text = text.replace(&head, &format!("{head}{lines}\n"));
    }
    fs::write(&operator.config, text).expect("the sandbox's configuration");
    signal(operator.pid, "HUP");
    assert!(wait_until(Duration::from_secs(10), || figure(operator, reloads) > before), "the server did not reload");
}

fn peer(known: &Description) -> (Identity, String) {
    let peer = &known.peers[0];
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    (identity, format!("anne.roux@{}", peer.domains[0]))
}

/// A peer that keeps its connection open until it is dropped: `s_client` with a pipe that nobody closes.
fn holding(known: &Description, operator: &Operator, identity: &Identity) -> std::process::Child {
    let mut command = std::process::Command::new("openssl");
    command.args(["s_client", "-quiet", "-starttls", "smtp", "-connect", &operator.smtp(), "-CAfile"]).arg(&known.ca);
    command.arg("-cert").arg(&identity.cert).arg("-cert_chain").arg(&identity.cert).arg("-key").arg(&identity.key);
    let quiet = std::process::Stdio::null;
    command.stdin(std::process::Stdio::piped()).stdout(quiet()).stderr(quiet());
    command.spawn().expect("openssl can be started")
}

#[test]
fn a_server_that_is_short_of_something_says_what() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::start();
    let known = &sandbox.description;
    let operator = known.aura();
    let (identity, from) = peer(known);
    slow_clients(known, operator, &identity, &from);
    too_many_connections(known, operator, &identity);
    disk_nearly_full(known, operator, &identity, &from);
    draining(operator);
}

fn slow_clients(known: &Description, operator: &Operator, identity: &Identity, from: &str) {
    let timeouts =
        "command_timeout = \"2s\"\ndata_timeout = \"2s\"\nmessage_timeout = \"3s\"\nplaintext_timeout = \"1s\"";
    reconfigure(operator, &[("smtp", timeouts)]);
    refused(operator, "421 4.4.2", "too-slow", || {
        let mut stream = TcpStream::connect(operator.smtp()).expect("the door is open");
        let begun = Instant::now();
        let mut said = String::new();
        stream.write_all(b"EH").expect("the door reads");
        stream.read_to_string(&mut said).expect("replies are text");
        assert!(begun.elapsed() < Duration::from_secs(10), "plain text has little time");
        said
    });
    let open =
        format!("EHLO a\r\nMAIL FROM:<{from}>\r\nRCPT TO:<{}>\r\nDATA\r\nFrom: x", operator.mailbox("PER").address);
    for script in ["EHLO a\r\nNOO", open.as_str()] {
        refused(operator, "421 4.4.2", "too-slow", || {
            let mut child = holding_with_output(known, operator, identity);
            child.0.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("openssl reads");
            child.output()
        });
    }
}

struct Held(std::process::Child);

impl Held {
    /// Everything the server said until it closed the connection; the pipe to openssl stays open until then.
    fn output(&mut self) -> String {
        let mut said = String::new();
        let stdout = self.0.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut said).expect("replies are text");
        let _ = self.0.wait();
        said
    }
}

fn holding_with_output(known: &Description, operator: &Operator, identity: &Identity) -> Held {
    let mut command = std::process::Command::new("openssl");
    command.args(["s_client", "-quiet", "-starttls", "smtp", "-connect", &operator.smtp(), "-CAfile"]).arg(&known.ca);
    command.arg("-cert").arg(&identity.cert).arg("-cert_chain").arg(&identity.cert).arg("-key").arg(&identity.key);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    Held(command.spawn().expect("openssl can be started"))
}

fn too_many_connections(known: &Description, operator: &Operator, identity: &Identity) {
    reconfigure(operator, &[("smtp", "max_connections_per_peer = 2")]);
    // The limit on waiting is short here; a held connection must outlive the third's attempt.
    let mut held: Vec<_> = (0..2).map(|_| holding(known, operator, identity)).collect();
    let handshakes = "caducee_connections_open{door=\"smtp\"}";
    assert!(wait_until(Duration::from_secs(10), || figure(operator, handshakes) >= 2.0));
    std::thread::sleep(Duration::from_millis(300));
    refused(operator, "421 4.7.0", "too-many-of-peer", || talk(known, operator, identity, "EHLO a\r\nQUIT\r\n").all());
    for child in &mut held {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn disk_nearly_full(known: &Description, operator: &Operator, identity: &Identity, from: &str) {
    let text = fs::read_to_string(&operator.config).expect("the sandbox's configuration");
    let text =
        text.replace("min_free = \"64 MiB\"", "min_free = \"1000000 GiB\"").replace("max_connections_per_peer = 2", "");
    fs::write(&operator.config, text).expect("the sandbox's configuration");
    reconfigure(operator, &[]);
    refused(operator, "452 4.3.1", "disk-nearly-full", || {
        talk(known, operator, identity, format!("EHLO a\r\nMAIL FROM:<{from}>\r\nQUIT\r\n")).all()
    });
}

/// A server that stops says so to those who wait, between two transactions.
fn draining(operator: &Operator) {
    let mut stream = TcpStream::connect(operator.smtp()).expect("the door is open");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).expect("a greeting");
    signal(operator.pid, "TERM");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("replies are text");
    assert!(said.contains("421 4.3.2") && said.contains("[rule draining, ref "), "{said}");
    let _ = Tool::new("true").run();
}
