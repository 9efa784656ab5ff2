//! Notices to holders' ordinary e-mail: what leaves the server by the relay, from the relay's end.

use crate::site::{SOON, Server, Site};
use crate::support::{Envelope, free_port, have, smtplib, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toml::toml;

/// A relay of ordinary mail.
struct Relay {
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// One message, as it came.
#[derive(Clone, Debug)]
struct Taken {
    /// The commands.
    envelope: String,
    message: String,
}

impl Taken {
    fn body(&self) -> String {
        let read = mail_parser::MessageParser::default().parse(self.message.as_bytes()).expect("a message");
        read.body_text(0).expect("a text").into_owned()
    }

    fn header(&self, name: &str) -> String {
        let read = mail_parser::MessageParser::default().parse(self.message.as_bytes()).expect("a message");
        read.header_raw(name).unwrap_or_default().trim().to_owned()
    }
}

impl Relay {
    /// Listens on `port`; refuses recipients whose command holds `refused`, where that is not empty.
    fn start(port: u16, refused: &str) -> Self {
        let refused: Arc<str> = refused.into();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the relay's port");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (into, refused) = (Arc::clone(&into), Arc::clone(&refused));
                std::thread::spawn(move || converse(stream, &refused, &into));
            }
        });
        Self { taken }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for `count` messages.
    fn wait_for(&self, count: usize, site: &Site) -> Vec<Taken> {
        let came = wait_until(SOON, || self.taken().len() >= count);
        assert!(came, "{} of {count} notices came:\n{}", self.taken().len(), site.log());
        self.taken()
    }
}

/// As much of RFC 5321 as it takes.
fn converse(stream: TcpStream, refused: &str, taken: &Mutex<Vec<Taken>>) -> Option<()> {
    let mut output = stream.try_clone().ok()?;
    let mut input = BufReader::new(stream);
    output.write_all(b"220 sortie.example ESMTP\r\n").ok()?;
    let (mut envelope, mut line) = (String::new(), String::new());
    while input.read_line(&mut line).ok()? > 0 {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "DATA" => {
                output.write_all(b"354 go\r\n").ok()?;
                let mut message = String::new();
                loop {
                    line.clear();
                    input.read_line(&mut line).ok().filter(|count| *count > 0)?;
                    if line == ".\r\n" {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                taken.lock().unwrap().push(Taken { envelope: std::mem::take(&mut envelope), message });
                "250 2.0.0 taken"
            }
            "RCPT" if !refused.is_empty() && line.contains(refused) => "550 5.1.1 nobody here",
            "QUIT" => "221 2.0.0 bye",
            _ => {
                envelope.push_str(&line);
                "250 2.0.0 fine"
            }
        };
        output.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
        line.clear();
    }
    Some(())
}

/// A site whose notices go to a port of loopback.
fn site(port: u16) -> Site {
    let mut site = Site::new(&[]);
    let port = i64::from(port);
    site.configure(toml! {
        [notices]
        host = "127.0.0.1"
        port = port
        tls = "none"
        from = "ne-pas-repondre@operateur.example"
        new_mail = "at-once"
        rate = 6000
    });
    site
}

fn waiting(server: &Server) -> u64 {
    server.json(&["notice", "status"])["waiting"].as_u64().expect("a number")
}

#[test]
fn a_notice_outlives_kills_between_the_change_and_its_sending_and_comes_once() {
    let port = free_port();
    let site = site(port);
    let address = site.operator().mailbox("PER").address.clone();
    // Nobody answers at the relay's port: the change is made, and its notice cannot leave.
    let server = site.start();
    server.caducee(&["mailbox", "password", &address, "--generate-password"]).expect_ok("a new password");
    assert_eq!(waiting(&server), 1);
    server.kill();
    let server = site.start();
    assert_eq!(waiting(&server), 1, "it waits through a start without its relay");
    server.kill();

    let relay = Relay::start(port, "");
    let server = site.start();
    let taken = relay.wait_for(1, &site);
    assert!(taken[0].body().contains(&format!("Le mot de passe de la boîte aux lettres {address} a été modifié")));
    assert!(wait_until(SOON, || waiting(&server) == 0), "it leaves the queue:\n{}", site.log());
    server.kill();
    let server = site.start();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(relay.taken().len(), 1, "it came once");
    drop(server);
}

#[test]
fn holders_are_told_how_many_messages_came_and_nothing_of_them_leaves_by_the_relay() {
    if !have("python3") {
        return;
    }
    let port = free_port();
    let (site, relay) = (site(port), Relay::start(port, ""));
    let server = site.start();
    let operator = site.operator();
    let (sender, holder) = (operator.mailbox("PER"), operator.mailbox("ORG"));
    for number in ["premier", "second"] {
        let message = format!(
            "From: <{}>\r\nTo: <{}>\r\nSubject: RESULTAT-SECRET {number}\r\n\r\nPATIENT-SECRET {number}\r\n",
            sender.address, holder.address
        );
        let to = [holder.address.as_str()];
        let envelope = Envelope { from: None, to: &to, ..Envelope::default() };
        smtplib(&site.known, operator, sender, &envelope, &message).expect_ok("a message within the domain");
    }
    let taken = relay.wait_for(1, &site);
    assert!(wait_until(SOON, || relay.taken().iter().any(|one| one.body().contains("non lu"))), "{taken:?}");
    // Long enough for whatever else would leave.
    std::thread::sleep(Duration::from_secs(7));
    let taken = relay.taken();
    for one in &taken {
        assert!(one.envelope.contains("MAIL FROM:<ne-pas-repondre@operateur.example>"), "{one:?}");
        assert_eq!(one.header("Auto-Submitted"), "auto-generated");
        let all = format!("{}{}{}", one.envelope, one.message, one.body());
        for secret in ["SECRET", "premier", sender.address.as_str()] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        assert!(one.body().contains(&holder.address), "{}", one.body());
    }
    assert!(taken.len() <= 2, "two messages are two notices at most: {taken:?}");
    drop(server);
}

#[test]
fn an_announcement_reaches_the_holders_and_a_refused_address_is_shown() {
    let port = free_port();
    let site = site(port);
    let refused = site.operator().mailbox("PER").address.clone();
    let local = refused.split('@').next().unwrap();
    let relay = Relay::start(port, &format!("<{local}@"));
    let server = site.start();
    let file = site.path("annonce.txt");
    std::fs::write(&file, "Le service sera arrêté dimanche de 2 h à 4 h.\n").unwrap();
    let file = file.to_str().unwrap();
    let answer = server.json(&["notice", "maintenance", "--all", "--text-file", file]);
    let told = usize::try_from(answer["told"].as_u64().unwrap()).unwrap();
    assert!(told > 3, "{answer}");
    let taken = relay.wait_for(told - 1, &site);
    assert!(taken.iter().all(|one| one.body().contains("arrêté dimanche de 2 h à 4 h")));
    assert!(wait_until(SOON, || waiting(&server) == 0), "{}", site.log());
    let status = server.json(&["notice", "status"]);
    assert_eq!(status["refused"][0]["mailbox"], refused.as_str(), "{status}");
    assert_eq!(status["refused"][0]["status"], "550 5.1.1");
    let shown = server.caducee(&["mailbox", "show", &refused]).expect_ok("a mailbox");
    assert!(shown.stdout.contains("takes NOTHING: 550 5.1.1"), "{}", shown.stdout);

    std::fs::write(file, "Voyez https://operateur.example").unwrap();
    let refusal = server.caducee(&["notice", "maintenance", "--all", "--text-file", file]);
    assert!(!refusal.ok() && refusal.all().contains("link"), "{}", refusal.all());
    let domain = &site.operator().domains[0];
    let shown = server.caducee(&["domain", "set", domain, "--quota", "2TiB", "--mailbox-quota", "10GiB"]);
    let shown = shown.expect_ok("a domain's quotas").stdout;
    assert!(shown.contains("of 2") && shown.contains("10"), "{shown}");
}
