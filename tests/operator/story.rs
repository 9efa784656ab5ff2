//! A new operator's story, from its configuration to the end of a mailbox: what an operator does on paper is done here by
//! the command line, what a holder does by their programs and the page, and what the rules promise is looked at from outside.

use crate::directory_site::{BASILE, EVE, SOON, Server, metadata};
use crate::story_town::{DOMAIN, Town, files_with, followed, step};
use crate::support::{Envelope, Ran, ScratchDir, Tool, have, read, smtplib, wait_until};
use caducee::store::{AccountId, Folder, KeyOwner, MasterKey, Options, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Words of the messages, which may stand in no file: of the subjects, and of the bodies.
const SUBJECT: &str = "Compte-rendu-7Q4Z";
const WORDS: [&str; 3] = [SUBJECT, "PNEUMOTHORAX-7Q4Z", "REPONSE-7Q4Z"];

const TERMS: &str = "Article 1\n\nVous gardez votre carte pour vous.\n\nArticle 2\n\nRien d’autre.\n";
/// Where the two holders get ordinary mail.
const NOTIFIED: [&str; 2] = ["basile@courriel.example", "eve@courriel.example"];

/// The story's mailboxes.
struct Holders {
    basile: String,
    eve: String,
}

/// The messages' Message-IDs: what Basile wrote to the other operator's practitioner, and what she wrote to both of ours.
struct Mail {
    sent: &'static str,
    received: &'static str,
}

#[test]
fn a_new_operator_gives_a_practitioner_a_mailbox_and_takes_it_back() {
    if !["curl", "python3", "openssl"].into_iter().all(have) {
        return;
    }
    let (town, papers) = (Town::new(), ScratchDir::new());
    let server = opens(&town);
    let holders = creates_mailboxes(&town, &server, papers.path());
    the_terms_are_accepted(&town, &server, &holders);
    the_directory_shows_them(&town, &server, &holders);
    let mail = mail_goes_both_ways(&town, &holders);
    holders_are_told(&town, &holders);
    the_mail_is_followed(&town, &server, &mail);
    the_traces_hold(&server, &holders, &mail);
    a_proof_holds(&server, &mail, papers.path());
    the_month_is_counted(&server, papers.path(), &[]);
    the_holder_leaves_with_the_mail(&server, &holders, papers.path());

    server.caducee(&["mailbox", "close", &holders.basile, "--yes", "--reason", "départ"]).expect_ok("closing");
    it_is_gone(&town, &server, &holders);
    no_mail_comes_any_more(&town, &server, &holders);
    what_must_be_kept_is_kept(&server, &mail);
    let more = [("Mouvements", "cloture,1\r\n"), ("Connexions", "imap,token,mailbox-not-open,1\r\n")];
    the_month_is_counted(&server, papers.path(), &more);
    let [basile, eve] = [&holders.basile, &holders.eve].map(|address| number(&server, address));
    drop(server);
    nothing_can_be_read_on_the_disk(&town, papers.path(), basile, eve);
}

/// It checks what it has written, starts, and adds its domain.
fn opens(town: &Town) -> Server {
    let check = Tool::new(env!("CARGO_BIN_EXE_caducee")).arg("check").arg("--config").arg(town.site.config_file());
    check.run().expect_ok("the configuration is right");
    let server = town.site.serve();
    server.caducee(&["domain", "add", DOMAIN, "--description", "Opérateur C"]).expect_ok("adding the domain");
    server
}

/// Terms of use are there, and two practitioners get mailboxes that wait for them.
fn creates_mailboxes(town: &Town, server: &Server, papers: &Path) -> Holders {
    let terms = papers.join("conditions.txt");
    fs::write(&terms, TERMS).unwrap();
    server.caducee(&["terms", "add", "2026-11", terms.to_str().unwrap()]).expect_ok("adding terms of use");
    let create = |local: &str, first: &str, last: &str, person: &str, notified: &str| {
        let address = format!("{local}@{DOMAIN}");
        let who = ["--kind", "PER", "--first-name", first, "--last-name", last, "--national-id", person];
        let rest = ["--notification-address", notified, &address];
        server.caducee(&[&["mailbox", "create"], &who[..], &rest].concat()).expect_ok("creating a mailbox");
        address
    };
    let basile = create("basile.sans-boite", "Basile", "Sans-Boîte", BASILE, NOTIFIED[0]);
    let eve = create("eve.de-passage", "Ève", "De-Passage", EVE, NOTIFIED[1]);
    assert_eq!(shown(server, &basile)["stage"], "requested");
    let refused = town.imap(BASILE, &basile, "SEARCH ALL");
    assert!(!refused.ok(), "it opens before its terms are accepted: {}", refused.all());
    let standing = server.json(&["directory", "show", &basile]);
    assert!(standing["wanted"].is_null(), "nobody is to find it yet: {standing}");
    Holders { basile, eve }
}

/// One holder accepts them at the page, the other on paper.
fn the_terms_are_accepted(town: &Town, server: &Server, holders: &Holders) {
    let page = town.at_the_page("accept", BASILE).expect_ok("accepting at the page").stdout;
    for words in ["Conditions d’utilisation", "Vous gardez votre carte pour vous.", "sont acceptées", &holders.basile]
    {
        assert!(page.contains(words), "no « {words} » at the page:\n{page}");
    }
    server.caducee(&["terms", "accept", &holders.eve, "2026-11"]).expect_ok("noting an acceptance on paper");
    let basile = shown(server, &holders.basile);
    assert_eq!((&basile["stage"], &basile["terms_version"]), (&json!("open"), &json!("2026-11")), "{basile}");
    assert_eq!(basile["terms_accepted_by"], BASILE);
    assert_eq!(shown(server, &holders.eve)["stage"], "open");
}

/// The look-alike has them where the professionals stand, and the other operator finds them.
fn the_directory_shows_them(town: &Town, server: &Server, holders: &Holders) {
    for (address, person) in [(&holders.basile, BASILE), (&holders.eve, EVE)] {
        server.settles(&town.site, address);
        let contact = town.site.contact(&format!("Practitioner/003-{person}"), address).expect("published");
        assert_eq!(metadata(&contact, "type")["coding"][0]["code"], "PER");
    }
    let search = ["directory", "search", "--number", BASILE, "--source", "fhir"];
    let found = town.verb_of_the_other(&search).expect_ok("the other operator looks him up").stdout;
    assert!(found.contains(&holders.basile), "{found}");
    server.caducee(&["directory", "verify"]).expect_ok("the directory shows what it should");
}

/// Basile writes to the other operator's practitioner; she answers him and Ève.
fn mail_goes_both_ways(town: &Town, holders: &Holders) -> Mail {
    let (mail, hers) = (
        Mail { sent: "<histoire-1@operateur-c.mssante.example>", received: "<histoire-2@nouvelle-aquitaine.example>" },
        town.colleague(),
    );
    let letter = |from: &str, to: &str, id: &str, word: &str| {
        format!("From: <{from}>\r\nTo: <{to}>\r\nMessage-ID: {id}\r\nSubject: {SUBJECT}\r\n\r\nBonjour, {word}.\r\n")
    };
    let message = letter(&holders.basile, &hers.address, mail.sent, WORDS[1]);
    town.sends(BASILE, &holders.basile, &hers.address, &message).expect_ok("Basile writes");
    let arrived = read(&town.site.sandbox.description, town.other(), hers, &format!("SUBJECT {SUBJECT}"));
    assert!(arrived.contains(WORDS[1]) && arrived.contains(mail.sent), "{arrived}");

    let both = [holders.basile.as_str(), &holders.eve];
    let answer = letter(&hers.address, &both.join(">, <"), mail.received, WORDS[2]);
    let envelope = Envelope { to: &both, ..Envelope::default() };
    smtplib(&town.site.sandbox.description, town.other(), hers, &envelope, &answer).expect_ok("she answers");
    mail
}

/// A notice says that mail is there, and nothing of it; then both read it.
fn holders_are_told(town: &Town, holders: &Holders) {
    for (notified, mailbox, person) in [(NOTIFIED[0], &holders.basile, BASILE), (NOTIFIED[1], &holders.eve, EVE)] {
        town.is_told(notified, "Un nouveau message non lu vous attend");
        for notice in town.notices(notified) {
            for secret in WORDS.into_iter().chain([town.colleague().address.as_str(), "histoire-"]) {
                assert!(!notice.contains(secret), "{secret} in a notice:\n{notice}");
            }
        }
        let arrived = town.first_message(person, mailbox);
        assert!(arrived.contains(WORDS[2]), "{arrived}");
    }
}

/// Each message's way is known: that it was taken, handed on, delivered.
fn the_mail_is_followed(town: &Town, server: &Server, mail: &Mail) {
    let hers = &town.colleague().address;
    let sent = followed(server, mail.sent, "tried");
    let (accepted, tried) = (step(&sent, "accepted").unwrap(), step(&sent, "tried").unwrap());
    assert_eq!((&accepted["queued"], &accepted["actor"]["person"]), (&json!([hers]), &json!(BASILE)), "{sent}");
    assert_eq!((&tried["result"], &tried["recipient"]), (&json!("relayed"), &json!(hers)), "{sent}");
    let received = followed(server, mail.received, "accepted");
    let accepted = step(&received, "accepted").unwrap();
    assert_eq!((&accepted["sender"], &accepted["origin"]["door"]), (&json!(hers), &json!("smtp")), "{received}");
    let text = server.caducee(&["follow", mail.sent]).expect_ok("following").stdout;
    assert!(text.contains("accepted") && text.contains("relayed") && !text.contains(SUBJECT), "{text}");
}

/// The traces are whole, and found by whatever is known of them.
fn the_traces_hold(server: &Server, holders: &Holders, mail: &Mail) {
    let verified = server.caducee(&["traces", "verify"]).expect_ok("verifying the traces").stdout;
    assert_eq!(verified.matches("all as it was written").count(), 2, "functional and technical ones: {verified}");
    let found = |words: &[&str]| -> Vec<String> {
        let found = server.json(&[&["traces", "search", "--oldest-first"], words].concat());
        let traces = found["traces"].as_array().unwrap_or_else(|| panic!("{words:?}: {found}"));
        traces.iter().map(|trace| trace["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(&["--message-id", mail.sent]), ["accepted", "tried"]);
    let all = found(&["--mailbox", &holders.basile]);
    for action in ["lived", "published", "accepted", "logged-in", "read", "noticed"] {
        assert!(all.iter().any(|one| one == action), "no {action} of {} in {all:?}", holders.basile);
    }
    assert!(found(&["--person", BASILE]).contains(&"logged-in".to_owned()));
    let read = found(&["--person", BASILE, "--action", "read"]);
    assert!(!read.is_empty() && read.iter().all(|action| action == "read"), "{read:?}");
    let received = followed(server, mail.received, "accepted");
    let subject = received["events"][0]["origin"]["subject"].as_str().expect("by whom it came");
    assert!(subject.contains("smtp.nouvelle-aquitaine.mssante.example"), "{received}");
    assert_eq!(found(&["--peer", subject, "--action", "accepted"]), ["accepted"]);
    assert!(found(&["--person", "899700000099"]).is_empty());
}

/// Evidence about a message is good without its operator, as long as nobody changes it.
fn a_proof_holds(server: &Server, mail: &Mail, papers: &Path) {
    for (number, id) in [mail.sent, mail.received].into_iter().enumerate() {
        let out = papers.join(format!("preuve-{number}"));
        server.caducee(&["traces", "proof", id, "--out", out.to_str().unwrap()]).expect_ok("giving evidence");
        let verify = |proof: &str| Tool::new("python3").arg(out.join("verify.py")).arg(out.join(proof)).run();
        let good = verify("proof.json").expect_ok("verifying the evidence").stdout;
        assert!(good.contains("OK: ") && good.contains("accepted"), "{good}");
        let proof: serde_json::Value = serde_json::from_slice(&fs::read(out.join("proof.json")).unwrap()).unwrap();
        // What happened, when, and the day under which it is filed.
        for (pointer, other) in [
            ("/steps/0/trace/action", "refused"),
            ("/steps/0/trace/at", "2019-01-01T00:00:00.000000Z"),
            ("/blocks/0/day", "2019-01-01"),
        ] {
            let mut proof = proof.clone();
            *proof.pointer_mut(pointer).unwrap() = json!(other);
            fs::write(out.join("faux.json"), proof.to_string()).unwrap();
            let bad = verify("faux.json");
            assert!(!bad.ok() && bad.all().contains("BAD"), "{pointer}: {}", bad.all());
        }
        assert!(files_with(&out, &WORDS).is_empty(), "evidence holds something of the content");
    }
}

/// The month's files say what happened, and the traces say the same; `more` lines stand there by now.
fn the_month_is_counted(server: &Server, papers: &Path, more: &[(&str, &str)]) {
    let month = server.caducee(&["indicators"]).expect_ok("the months").stdout.trim().to_owned();
    let out = papers.join(format!("mois-{}", more.len()));
    let words = ["indicators", &month, "--recount", "--out", out.to_str().unwrap()];
    let told = server.caducee(&words).expect_ok("the month's files").stdout;
    assert!(told.contains("Counted again from the traces: the same."), "{told}");
    let both_directions = ["emis,operateur,moins de 10 Kio,1,1,", "recu,operateur,moins de 10 Kio,2,2,"];
    let exchanges = both_directions.map(|line| ("Echanges", line));
    let rest = [
        ("Mouvements", "creation,2\r\n"),
        ("Mouvements", "ouverture,2\r\n"),
        ("Activite", "2,2,1,2,2\r\n"),
        ("Connexions", "portal,pro-sante-connect,admis,1\r\n"),
        ("Connexions", "submission,pro-sante-connect,admis,1\r\n"),
        ("Connexions", "imap,token,terms-not-accepted,1\r\n"),
    ];
    for (name, line) in exchanges.iter().chain(&rest).chain(more) {
        let lines = fs::read_to_string(out.join(format!("{name}_{month}.csv"))).unwrap();
        let line = format!("\r\n{month},{DOMAIN},PER,{line}");
        assert!(lines.contains(&line), "no `{}` in {name}:\n{lines}", line.trim());
    }
    assert_eq!(files_with(&out, &["basile.sans-boite", BASILE]), [] as [&Path; 0], "nobody is named");
}

/// Before he goes, the operator gives the holder what is his.
fn the_holder_leaves_with_the_mail(server: &Server, holders: &Holders, papers: &Path) {
    let out = papers.join("courrier");
    let words = ["export", &holders.basile, out.to_str().unwrap(), "--format", "maildir"];
    server.caducee(&words).expect_ok("exporting the mailbox");
    assert_eq!(files_with(&out, &[WORDS[2]]).len(), 1, "the message that came is there, to be read");
}

/// Nobody finds it or opens it, and its address is nobody's for ever.
fn it_is_gone(town: &Town, server: &Server, holders: &Holders) {
    let closed = &holders.basile;
    assert_eq!(shown(server, closed)["stage"], "closed");
    server.settles(&town.site, closed);
    assert_eq!(town.site.contact(&format!("Practitioner/003-{BASILE}"), closed), None);
    assert_eq!(town.site.done(closed), ["insert", "delete"]);
    assert!(town.site.contact(&format!("Practitioner/003-{EVE}"), &holders.eve).is_some());
    server.caducee(&["directory", "verify"]).expect_ok("the directory shows what it should");
    town.is_told(NOTIFIED[0], "Ses messages sont effacés définitivement");

    let refused = |ran: Ran, what: &str| {
        assert!(!ran.ok(), "{what}: {}", ran.all());
        ran.all()
    };
    refused(town.imap(BASILE, closed, "SEARCH ALL"), "it opens");
    refused(town.sends(BASILE, closed, &town.colleague().address, "Subject: x\r\n\r\nx\r\n"), "it sends");
    let page = town.at_the_page("look", BASILE);
    let page = refused(page, "the page lets him in");
    assert!(page.contains("Aucune boîte aux lettres") && !page.contains(closed.as_str()), "{page}");
    let out = town.site.path("copie");
    refused(server.caducee(&["export", closed, out.to_str().unwrap(), "--format", "mbox"]), "it is exported");
    let create = ["mailbox", "create", closed, "--kind", "PER", "--last-name", "Autre", "--national-id", EVE];
    assert!(refused(server.caducee(&create), "its address is given").contains("never given again"));
    refused(server.caducee(&["mailbox", "reopen", closed]), "it opens again");
    assert!(town.first_message(EVE, &holders.eve).contains(WORDS[2]), "others keep what is theirs");
}

/// The other operator's practitioner is told that it is not there any more.
fn no_mail_comes_any_more(town: &Town, server: &Server, holders: &Holders) {
    let (hers, id) = (town.colleague(), "<histoire-3@nouvelle-aquitaine.example>");
    let late = format!("From: <{}>\r\nMessage-ID: {id}\r\nSubject: Trop-tard\r\n\r\nx\r\n", hers.address);
    let envelope = Envelope { to: &[&holders.basile], ..Envelope::default() };
    smtplib(&town.site.sandbox.description, town.other(), hers, &envelope, &late).expect_ok("she writes again");
    let way = town.followed_by_the_other(id, "reported");
    let tried = step(&way, "tried").unwrap_or_else(|| panic!("{way}"));
    assert_eq!(tried["result"], "failed", "{way}");
    let refused = || server.json(&["traces", "search", "--mailbox", &holders.basile, "--action", "refused"]);
    assert!(wait_until(SOON, || refused()["traces"][0]["recipient"] == holders.basile), "{}", refused());
}

/// What was sent and received can still be told, and nothing of it is missing.
fn what_must_be_kept_is_kept(server: &Server, mail: &Mail) {
    for id in [mail.sent, mail.received] {
        followed(server, id, "accepted");
    }
    let verified = server.caducee(&["traces", "verify"]).expect_ok("verifying the traces").stdout;
    assert_eq!(verified.matches("all as it was written").count(), 2, "{verified}");
    let held = server.json(&["person", "export", BASILE]);
    assert_eq!(held["mailboxes"][0]["state"], "closed", "it is kept who held it: {held}");
}

/// Who opens the store with the master key finds no key and no folder of the closed mailbox (`tests/mail/digging.rs` digs in
/// all files of one); and no word of any message stands in any file of the operators, of the relay of ordinary mail, of the
/// directory.
fn nothing_can_be_read_on_the_disk(town: &Town, papers: &Path, closed: AccountId, open: AccountId) {
    let check = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["store", "check", "--config"]);
    check.arg(town.site.config_file()).limit(SOON).run().expect_ok("the store is sound");
    let home = town.site.path("");
    let key = MasterKey::parse(&fs::read(home.join("master.key")).unwrap()).unwrap();
    let (store, _) = Store::open(&home.join("store"), &key, &Options::default()).unwrap();
    let folders = store.scan::<Folder>(.., usize::MAX).unwrap();
    let readable = |id: AccountId| {
        let sealed = store.keys().sealed(KeyOwner::Mailbox(id));
        let opens = sealed.is_some_and(|sealed| key.open(id, &sealed).is_ok());
        (opens, folders.iter().filter(|(key, _)| key.account == id).count())
    };
    assert_eq!(readable(closed), (false, 0));
    let (opens, count) = readable(open);
    assert!(opens && count >= 6, "the other one is as it was: {count} folders");

    assert!(!files_with(papers, &[WORDS[2]]).is_empty(), "words are found where they stand");
    assert_eq!(files_with(&town.site.sandbox.dir, &WORDS), [] as [&Path; 0]);
}

fn shown(server: &Server, address: &str) -> Value {
    server.json(&["mailbox", "show", address])
}

fn number(server: &Server, address: &str) -> AccountId {
    AccountId(shown(server, address)["id"].as_u64().unwrap())
}
