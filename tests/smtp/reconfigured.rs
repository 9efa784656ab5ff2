//! Refusals that a server only shows when it is short of time, places or disk: a sandbox with other settings.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::door::{figure, refused, talk};
use crate::support::{Description, Identity, Operator, Sandbox, free_port, have, signal, wait_until};

/// Puts other settings in force: lines for `[smtp]`, and whole other sections.
fn reconfigure(operator: &Operator, changes: &[(&str, &str)]) {
    let reloads = "caducee_reloads_total{rule=\"ok\"}";
    let before = figure(operator, reloads);
    let mut text = fs::read_to_string(&operator.config).expect("the sandbox's configuration");
    for (section, lines) in changes {
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "{section}");
        for key in lines.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key) {
            text = text.split_inclusive('\n').filter(|line| !line.starts_with(key)).collect();
        }
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

/// A peer that says what it is told and keeps its connection open: `s_client` with a pipe that nobody closes.
struct Held(Child);

impl Held {
    fn open(known: &Description, operator: &Operator, identity: &Identity) -> Held {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-quiet", "-starttls", "smtp", "-connect", &operator.smtp(), "-CAfile"])
            .arg(&known.ca);
        command.arg("-cert").arg(&identity.cert).arg("-cert_chain").arg(&identity.cert).arg("-key").arg(&identity.key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Held(command.spawn().expect("openssl can be started"))
    }

    fn say(&mut self, text: &str) {
        self.0.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("openssl reads");
    }

    /// The first bytes that the server says behind TLS have arrived: the connection has its place.
    fn is_answered(&mut self) {
        self.say("NOOP\r\n");
        self.0.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 3]).expect("the server answers");
    }

    /// Everything the server said until it closed the connection; the pipe to openssl stays open until then.
    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.0.stdout.as_mut().expect("a pipe").read_to_string(&mut said).expect("replies are text");
        said
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    too_many_connections(known, operator, &identity);
    slow_clients(known, operator, &identity, &from);
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
            let mut held = Held::open(known, operator, identity);
            held.say(script);
            held.rest()
        });
    }
}

fn too_many_connections(known: &Description, operator: &Operator, identity: &Identity) {
    reconfigure(operator, &[("smtp", "max_connections_per_peer = 2")]);
    let mut held: Vec<_> = (0..2).map(|_| Held::open(known, operator, identity)).collect();
    held.iter_mut().for_each(Held::is_answered);
    refused(operator, "421 4.7.0", "too-many-of-peer", || talk(known, operator, identity, "EHLO a\r\nQUIT\r\n").all());
    let open = |operator| figure(operator, "caducee_connections_open{door=\"smtp\"}");
    drop(held);
    assert!(wait_until(Duration::from_secs(10), || open(operator) == 0.0), "places are given back");
}

/// `store.min_free` counts from a start on: a second server beside the first, with a store and ports of its own.
fn disk_nearly_full(known: &Description, operator: &Operator, identity: &Identity, from: &str) {
    let text = fs::read_to_string(&operator.config).expect("the sandbox's configuration");
    let mut short = operator.clone();
    // Whatever the sandbox has its server listen on.
    let mut moved = std::collections::HashMap::new();
    let mut elsewhere = |line: &str| {
        let port = line.split_once(" = [\"127.0.0.1:").filter(|(key, _)| *key != "dns");
        let port = port.and_then(|(_, rest)| rest.split('"').next()?.parse::<u16>().ok());
        let Some(old) = port else { return line.to_owned() };
        let new = free_port();
        moved.insert(old, new);
        line.replace(&format!(":{old}\""), &format!(":{new}\""))
    };
    let text: String = text.split_inclusive('\n').map(&mut elsewhere).collect();
    let text = text.replace("\"store\"", "\"store-short\"").replace("\"admin.sock\"", "\"short.sock\"");
    // Twice what is free: too little for mail, enough for the store's own records (a quarter of it is kept for them).
    let least = figure(operator, "caducee_store_free_bytes") * 2.0 / f64::from(1 << 20);
    let text = text.replace("min_free = \"64 MiB\"", &format!("min_free = \"{least:.0} MiB\""));
    short.config = operator.config.with_file_name("short.toml");
    (short.ports.smtp, short.ports.metrics) = (moved[&operator.ports.smtp], moved[&operator.ports.metrics]);
    fs::write(&short.config, text).expect("the sandbox's directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_caducee"));
    command.args(["serve", "--until-stdin-closes", "--config"]).arg(&short.config);
    let log = operator.config.with_file_name("short.log");
    let out = fs::File::create(&log).expect("the sandbox's directory");
    command.stdin(Stdio::piped()).stderr(out.try_clone().expect("a file handle can be cloned")).stdout(out);
    let server = Held(command.spawn().expect("the binary under test can be started"));
    let up = wait_until(Duration::from_secs(20), || TcpStream::connect(short.smtp()).is_ok());
    assert!(up, "the second server does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
    let loaded = || figure(&short, "caducee_white_list_entries") > 0.0;
    assert!(wait_until(Duration::from_secs(20), loaded), "the second server has no white list");
    refused(&short, "452 4.3.1", "disk-nearly-full", || {
        talk(known, &short, identity, format!("EHLO a\r\nMAIL FROM:<{from}>\r\nQUIT\r\n")).all()
    });
    drop(server);
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
}
