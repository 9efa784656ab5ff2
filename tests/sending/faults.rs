//! A peer that misbehaves in every way that we could think of: each recipient ends delivered, waiting in the queue, or
//! bounced, as the table says, and its sender is told exactly when it is over.

use crate::site::{FaultPeer, SOON, Server, Site};
use crate::support::{Mailbox, Tool, have, search, wait_until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How a recipient ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer took the message.
    Delivered,
    /// It waits; the words that `caducee queue show` has for it hold this.
    Waits(&'static str),
    /// Its sender has a report.
    Bounced,
}
use End::{Bounced, Delivered, Waits};

/// Every fault of `fault_peer.py`, and the end of a message that meets it.
const TABLE: &[(&str, End)] = &[
    // Nothing is wrong, or nothing that matters.
    ("none", Delivered),
    ("no-chunking", Delivered),
    ("no-pipelining", Delivered),
    ("dsn", Delivered),
    ("silence@quit", Delivered),
    ("250-then-reset", Delivered),
    ("250-then-421", Delivered),
    ("lines@ehlo", Waits("")),
    // 4xx and 5xx at each step.
    ("421@greeting", Waits("421")),
    ("554@greeting", Waits("554")),
    ("421@ehlo", Waits("421")),
    ("500@ehlo", Waits("500")),
    ("454@starttls", Waits("454")),
    ("554@starttls", Waits("554")),
    ("421@ehlo-tls", Waits("421")),
    ("451@mail", Waits("451")),
    ("550@mail", Bounced),
    ("421@mail", Waits("421")),
    ("450@rcpt", Waits("450")),
    ("550@rcpt", Bounced),
    ("421@rcpt", Waits("421")),
    ("451@data", Waits("451")),
    ("554@data", Bounced),
    ("451@dot", Waits("451")),
    ("554@dot", Bounced),
    ("452@bdat", Waits("452")),
    ("554@bdat", Bounced),
    ("421@bdat", Waits("421")),
    // Silence at each step.
    ("black-hole", Waits("")),
    ("silence@greeting", Waits("")),
    ("silence@ehlo", Waits("")),
    ("silence@starttls", Waits("")),
    ("silence@handshake", Waits("")),
    ("silence@ehlo-tls", Waits("")),
    ("silence@mail", Waits("")),
    ("silence@rcpt", Waits("")),
    ("silence@data", Waits("")),
    ("silence@dot", Waits("")),
    ("silence@bdat", Waits("")),
    // Resets at each step.
    ("reset@greeting", Waits("")),
    ("reset@ehlo", Waits("")),
    ("reset@handshake", Waits("")),
    ("reset@mail", Waits("")),
    ("reset@rcpt", Waits("")),
    ("reset@data", Waits("")),
    ("reset@body", Waits("")),
    ("reset@bdat", Waits("")),
    // SMTP's own window (RFC 5321 §4.5.4.1): it has the message, and we cannot know.
    ("taken-then-reset", Waits("")),
    // Replies that are none.
    ("half@mail", Waits("")),
    ("half@bdat", Waits("")),
    ("long@mail", Waits("")),
    ("long@bdat", Waits("")),
    ("lines@mail", Waits("")),
    ("binary@rcpt", Waits("")),
    ("bare-lf@mail", Waits("")),
    ("nocode@rcpt", Waits("")),
    // TLS, and who the peer is.
    ("no-starttls", Waits("STARTTLS")),
    ("injected", Waits("")),
    ("garbage@handshake", Waits("")),
    ("cbc-only", Waits("cipher suites")),
    ("tls11-only", Waits("version")),
    ("certificate:expired", Waits("expired")),
    ("certificate:revoked", Waits("revoked")),
    ("certificate:foreign", Waits("authorities")),
    ("certificate:not_listed", Bounced),
    ("certificate:same_cn_other_dn", Bounced),
    // What the peer says that it cannot take.
    ("small", Bounced),
    ("no-8bit", Bounced),
];

fn domain_of(number: usize) -> String {
    format!("f{number:02}.operateur-f.mssante.example")
}

/// One message for everybody, eight-bit, of 4 KB.
fn submit(site: &Site, from: &Mailbox, to: &[String]) {
    let (login, password) = from.credentials();
    let line = "Ligne accentuée : é à ç.\r\n".repeat(150);
    // The reports give the header back: it must name no recipient, or each report would seem to be about that one.
    let text = format!(
        "From: <{login}>\r\nTo: <{login}>\r\nSubject: fautes\r\nMessage-ID: <fautes@aura.mssante.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{line}"
    );
    let script = "import smtplib, ssl, sys
host, port, ca, user, password, to = sys.argv[1:]
link = smtplib.SMTP(host, int(port), timeout=60)
link.starttls(context=ssl.create_default_context(cafile=ca))
link.login(user, password)
refused = link.sendmail(user, to.split(','), sys.stdin.buffer.read(), ['BODY=8BITMIME'])
link.quit()
sys.exit(repr(refused) if refused else 0)";
    Tool::new("python3")
        .args(["-c", script, "localhost", &site.operator().ports.submission.to_string()])
        .arg(&site.known.ca)
        .args([login, password, &to.join(",")])
        .input(text)
        .run()
        .expect_ok("submission");
}

/// What the queue still holds: the recipients by domain, each with the last words about it.
fn waiting(server: &Server) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let list = server.json(&["queue", "list"]);
    for message in list["messages"].as_array().into_iter().flatten() {
        let shown = server.json(&["queue", "show", &message["id"].to_string()]);
        for consignment in shown["consignments"].as_array().into_iter().flatten() {
            let words: Vec<String> =
                consignment["recipients"].as_array().into_iter().flatten().map(Value::to_string).collect();
            if consignment["attempts"].as_u64() > Some(0) {
                found.insert(consignment["domain"].as_str().unwrap_or_default().to_owned(), words.join(" "));
            }
        }
    }
    found
}

/// The domains that reports in the sender's INBOX say have failed.
fn bounced(site: &Site, from: &Mailbox) -> BTreeSet<String> {
    let failed = |domain: &String| {
        let criteria = format!("SUBJECT \"non remis\" BODY \"dr.essai@{domain}\"");
        !search(&site.known, site.operator(), from, &criteria).is_empty()
    };
    (0..TABLE.len()).map(domain_of).filter(failed).collect()
}

#[test]
fn each_recipient_of_a_misbehaving_peer_ends_as_the_table_says() {
    if !have("python3") || !have("curl") {
        return;
    }
    let domains: Vec<String> = (0..TABLE.len()).map(domain_of).collect();
    let mut site = Site::new(&domains);
    let faults: Vec<&str> = TABLE.iter().map(|(fault, _)| *fault).collect();
    let peer = FaultPeer::start(&site, &faults);
    site.route(&domains.iter().zip(&faults).map(|(domain, fault)| (domain.clone(), peer.ports[*fault])).collect());
    site.configure(toml::toml! {
        [queue]
        first_retry = "1h"
        [relay]
        connect_timeout = "2s"
        command_timeout = "2s"
        data_timeout = "2s"
        block_timeout = "2s"
        final_timeout = "2s"
        [tls]
        handshake_timeout = "2s"
    });
    let server = site.start();
    let from = site.operator().mailbox("PER").clone();
    let to: Vec<String> = domains.iter().map(|domain| format!("dr.essai@{domain}")).collect();
    submit(&site, &from, &to);

    let expected = |end: fn(&End) -> bool| -> BTreeSet<String> {
        TABLE.iter().enumerate().filter(|(_, (_, e))| end(e)).map(|(number, _)| domain_of(number)).collect()
    };
    let (delivered, failed) = (expected(|end| *end == Delivered), expected(|end| *end == Bounced));
    let taken = || -> BTreeSet<String> {
        let not_known = |note: &&Value| note["fault"] != "taken-then-reset";
        let domain = |to: &Value| to.as_str().and_then(|to| to.split('@').nth(1)).unwrap_or_default().to_owned();
        peer.taken()
            .iter()
            .filter(not_known)
            .flat_map(|note| note["to"].as_array().cloned())
            .flatten()
            .map(|to| domain(&to))
            .collect()
    };
    let waits = expected(|end| matches!(end, Waits(_)));
    let settled =
        wait_until(SOON, || waiting(&server).into_keys().collect::<BTreeSet<_>>() == waits && taken() == delivered);
    let now = waiting(&server);
    let name = |domain: &String| faults[domains.iter().position(|d| d == domain).unwrap_or(0)];
    let names = |set: BTreeSet<String>| set.iter().map(name).collect::<Vec<_>>();
    let now_waits: BTreeSet<String> = now.keys().cloned().collect();
    assert!(
        settled,
        "wait and should not: {:?}\ndo not wait and should: {:?}\ntaken and should not be: {:?}\nnot taken: {:?}\n{}",
        names(&now_waits - &waits),
        names(&waits - &now_waits),
        names(&taken() - &delivered),
        names(&delivered - &taken()),
        site.log()
    );
    for (number, (fault, end)) in TABLE.iter().enumerate() {
        if let Waits(part) = end {
            let words = &now[&domain_of(number)];
            assert!(words.contains(part), "{fault}: the words about it are {words}");
        }
    }
    assert!(wait_until(SOON, || bounced(&site, &from) == failed), "told of {:?}", names(bounced(&site, &from)));
}
