//! `caducee check`: all that is wrong, at once.

use crate::pki::{DAY, Files, Leaf, Pki, text};
use crate::server::{Site, program};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

/// What `check --json` says of a site, and its exit code.
fn check(site: &Site) -> (Value, Option<i32>) {
    let output = program().args(["check", "--json", "--config", &text(&site.config())]).output().expect("check");
    let answer = serde_json::from_slice(&output.stdout);
    (answer.unwrap_or_else(|error| panic!("{error}: {output:?}")), output.status.code())
}

/// "key: message" of every problem or note.
fn lines(answer: &Value, list: &str) -> Vec<String> {
    let line = |each: &Value| format!("{}: {}", each["key"].as_str().unwrap(), each["message"].as_str().unwrap());
    answer[list].as_array().expect(list).iter().map(line).collect()
}

/// A site with which nothing is wrong: keys are private, and there is a list that has us.
fn good_site() -> Site {
    let site = Site::new();
    for name in ["serveur.key", "master.key"] {
        fs::set_permissions(site.pki.path(name), Permissions::from_mode(0o600)).expect("permissions");
    }
    let ours = Files { certificate: site.pki.path("serveur.pem"), key: site.pki.path("serveur.key") };
    site.pki.write_list(SystemTime::now() - DAY / 4, "test.mssante.example", &ours);
    site
}

/// Writes a file's content into one of the site's, which keeps its permissions.
fn put(site: &Site, name: &str, content: &Path) {
    fs::write(site.pki.path(name), fs::read(content).expect("read")).expect("written");
}

/// Checks a changed good site; a problem must begin with each of `expected`, and there may be no other.
#[track_caller]
fn wrong(change: impl FnOnce(&Site), expected: &[&str]) {
    let site = good_site();
    change(&site);
    let (answer, code) = check(&site);
    let found = lines(&answer, "problems");
    assert_eq!((found.len(), code), (expected.len(), Some(1)), "{found:#?}");
    for part in expected {
        assert!(found.iter().any(|line| line.contains(part)), "{part} not in {found:#?}");
    }
}

#[test]
fn nothing_is_wrong_with_a_good_site() {
    let site = good_site();
    let (answer, code) = check(&site);
    assert_eq!((answer["ok"].as_bool(), code), (Some(true), Some(0)), "{answer:#}");
    assert_eq!(lines(&answer, "notes"), Vec::<String>::new());
    let output = program().args(["check", "--config", &text(&site.config())]).output().expect("check");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Nothing is wrong.\n");
}

#[test]
fn everything_wrong_is_told_at_once_each_at_its_line() {
    let site = good_site();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    site.configure(|text| {
        text.replace("drain = \"2s\"", "drian = \"2s\"")
            .replace("\"master.key\"", "\"absent.key\"")
            .replace("\"liste.xml\"", "\"crl.pem\"")
            .replace(&format!("127.0.0.1:{}", site.imap), &address)
    });
    let other = site.pki.leaf(&Leaf::good("autre", 2));
    put(&site, "serveur.key", &other.key);
    let (answer, code) = check(&site);
    assert_eq!(code, Some(1));
    let found: Vec<(u64, &str)> = answer["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .map(|problem| (problem["line"].as_u64().expect("a line"), problem["key"].as_str().expect("a key")))
        .collect();
    let expected =
        [(4, "server.drian"), (11, "seal.master_key"), (14, "tls.key"), (18, "trust.source"), (24, "imap.listen")];
    assert_eq!(found, expected, "{answer:#}");
}

#[test]
fn certificates_are_a_pair_in_time_and_what_peers_will_take() {
    let now = SystemTime::now();
    let replaced = |leaf: Leaf| {
        move |site: &Site| {
            site.pki.leaf(&Leaf { name: "serveur", ..leaf });
        }
    };
    let server = |serial| Leaf::good("serveur", serial);
    wrong(replaced(Leaf { until: now + 20 * DAY, ..server(3) }), &["tls.certificate: ", "in 19 days"][..1]);
    wrong(replaced(Leaf { from: now - 9 * DAY, until: now - DAY, ..server(4) }), &["expired on "]);
    wrong(replaced(Leaf { from: now + DAY, ..server(5) }), &["is not valid before "]);
    wrong(
        replaced(Leaf { usages: vec![], ..server(6) }),
        &["other operators will refuse it: the certificate is not meant for"],
    );
    wrong(
        |site| {
            site.pki.write_crls(9, &[7]);
            replaced(server(7))(site);
        },
        &["other operators will refuse it: the certificate is revoked"],
    );
    wrong(
        |site| {
            let stranger = Pki::of("ETRANGER");
            let files = stranger.leaf(&server(8));
            put(site, "serveur.pem", &files.certificate);
            put(site, "serveur.key", &files.key);
        },
        &["other operators will refuse it: the certificate's issuer is not one of"],
    );
    wrong(|site| drop(fs::remove_file(site.pki.path("serveur.pem"))), &["serveur.pem: No such file"]);
    wrong(|site| drop(site.pki.write("serveur.key", "nothing")), &["no section of a private key"]);
}

#[test]
fn lists_are_signed_and_in_force() {
    let until = SystemTime::now();
    wrong(
        |site| {
            let ended = site.pki.intermediate.crl(3, &[], until - DAY);
            site.pki.write("crl.pem", &(ended + &site.pki.root.crl(3, &[], until + DAY)));
        },
        &["tls.crls: ", "was to be replaced on "][1..],
    );
    wrong(
        |site| {
            let stranger = Pki::of("ETRANGER");
            site.pki.write("crl.pem", &stranger.intermediate.crl(3, &[], until + DAY));
        },
        &["of no authority in the configured anchors", "revocation status is unknown"],
    );
    wrong(
        |site| {
            let list = fs::read_to_string(site.pki.path("liste.xml")).expect("the list");
            site.pki.write("liste.xml", &list.replace("test.mssante.example", "fraude.mssante.example"));
        },
        &["trust.source: "],
    );
    wrong(
        |site| {
            let ours = Files { certificate: site.pki.path("serveur.pem"), key: site.pki.path("serveur.key") };
            site.pki.write_list(SystemTime::now() - 2 * DAY, "test.mssante.example", &ours);
        },
        &["the list is 48 h old; expected at most 1d (trust.max_age)"],
    );
}

#[test]
fn keys_that_everybody_may_read_are_wrong() {
    for name in ["serveur.key", "master.key"] {
        wrong(
            |site| fs::set_permissions(site.pki.path(name), Permissions::from_mode(0o644)).expect("permissions"),
            &["may be read by everybody (mode 0644); expected 0600"],
        );
    }
}

#[test]
fn what_cannot_be_looked_at_from_here_is_a_note() {
    let site = good_site();
    let another = site.pki.leaf(&Leaf::good("autre", 9));
    site.pki.write_list(SystemTime::now(), "autre.mssante.example", &another);
    site.configure(|text| {
        text.replace("\"master.key\"", "\"credential:master-key\"")
            .replace("[\"crl.pem\"]", "[\"crl.pem\", \"http://127.0.0.1:9/a.crl\"]")
    });
    let (answer, code) = check(&site);
    assert_eq!(code, Some(0), "{answer:#}");
    let notes = lines(&answer, "notes");
    for part in ["given by systemd to the service", "fetched by the running server", "does not have our subject"] {
        assert!(notes.iter().any(|note| note.contains(part)), "{part} not in {notes:#?}");
    }
}

#[test]
fn mailboxes_that_any_certificate_of_a_structure_opens_are_a_note() {
    let site = good_site();
    let without = |text: String| text.replace("policies = [\"1.2.250.1.71.4.2.2\"]", "policies = []");
    site.configure(without);
    let (answer, code) = check(&site);
    assert_eq!(code, Some(0), "{answer:#}");
    let notes = lines(&answer, "notes");
    assert!(notes.len() == 1 && notes[0].starts_with("tls.mailbox.policies: empty: an APP mailbox"), "{notes:#?}");
    site.configure(|text| format!("{}\n[logins]\nways = [\"password\", \"token\"]\n", without(text)));
    assert_eq!(lines(&check(&site).0, "notes"), Vec::<String>::new());
}

#[test]
fn the_running_servers_own_ports_are_not_taken_by_another() {
    let site = good_site();
    let _server = site.start();
    let (answer, code) = check(&site);
    assert_eq!(code, Some(0), "{answer:#}");
    assert_eq!(lines(&answer, "notes").iter().filter(|note| note.contains("is in use")).count(), 4, "{answer:#}");
}

#[test]
fn what_pro_sante_connect_is_asked_with_is_looked_at() {
    let with = |site: &Site, lines: &str| {
        site.configure(|text| {
            let section = "[psc]\nissuer = \"https://auth.example/realms/wallet\"\nclient_id = \"caducee\"";
            format!("{text}\n{section}\nanchors = [\"anchors.pem\"]\n{lines}\n")
        });
    };
    let site = good_site();
    with(&site, "client_secret = \"credential:psc\"");
    let (answer, code) = check(&site);
    assert_eq!((lines(&answer, "problems"), code), (Vec::new(), Some(0)));
    assert!(
        lines(&answer, "notes")[0].starts_with("psc.client_secret: credential:psc is given by systemd"),
        "{answer:#}"
    );

    wrong(|site| with(site, "client_secret = \"absent\""), &["psc.client_secret: "]);
    wrong(
        |site| {
            site.pki.write("psc.secret", "two\nlines\n");
            with(site, "client_secret = \"psc.secret\"");
        },
        &["expected one line of text"],
    );
    wrong(
        |site| {
            site.pki.write("psc.secret", "a secret\n");
            fs::set_permissions(site.pki.path("psc.secret"), Permissions::from_mode(0o644)).expect("permissions");
            with(site, "client_secret = \"psc.secret\"");
        },
        &["psc.client_secret: "],
    );
    wrong(
        |site| {
            let other = site.pki.leaf(&Leaf::good("autre", 2));
            fs::set_permissions(&other.key, Permissions::from_mode(0o600)).expect("permissions");
            with(site, "client_certificate = \"serveur.pem\"\nclient_key = \"autre.key\"");
        },
        &["psc.client_key: "],
    );
}

/// The header line of the published extraction (MSSanté §9).
const COLUMNS: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|\
    Code savoir-faire|Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|\
    Enseigne commerciale structure BAL|L2COMPLEMENTLOCALISATION structure BAL|L3COMPLEMENTDISTRIBUTION structure BAL|\
    L4NUMEROVOIE structure BAL|L4COMPLEMENTNUMEROVOIE structure BAL|NL4TYPEVOIE structure BAL|\
    L4LIBELLEVOIE structure BAL|L5LIEUDITMENTION structure BAL|L6LIGNEACHEMINEMENT structure BAL|\
    Code postal structure BAL|Département structure BAL|Pays structure BAL";

#[test]
fn the_extraction_is_a_file_with_the_columns_that_are_read() {
    let with = |site: &Site, lines: &str| site.configure(|text| format!("{text}\n[directory]\n{lines}\n"));
    let holding = |content: &str| {
        let content = content.to_owned();
        move |site: &Site| {
            site.pki.write("extraction.txt", &content);
            with(site, "extraction = \"extraction.txt\"\nextraction_max = \"64 KiB\"");
        }
    };
    let notes = |change: &dyn Fn(&Site)| {
        let site = good_site();
        change(&site);
        let (answer, code) = check(&site);
        assert_eq!((lines(&answer, "problems"), code), (Vec::new(), Some(0)));
        lines(&answer, "notes")
    };
    assert_eq!(notes(&holding(&format!("{COLUMNS}\n"))), Vec::<String>::new());
    let more = notes(&holding(&format!("{COLUMNS}|Téléphone\n")));
    assert!(more.len() == 1 && more[0].contains("32 columns; published are 31"), "{more:?}");
    let fetched =
        notes(&|site| with(site, "extraction = \"https://annuaire.example/e.zip\"\nanchors = [\"anchors.pem\"]"));
    assert!(fetched.len() == 1 && fetched[0].contains("fetched by the running server"), "{fetched:?}");

    wrong(|site| with(site, "extraction = \"absent.zip\""), &["directory.extraction: "]);
    wrong(|site| with(site, "extraction = \".\""), &["not a file"]);
    wrong(holding("<!doctype html>\n"), &["first line lacks columns: type de bal, adresse bal"]);
    wrong(holding(&COLUMNS.replace("|Dématérialisation", "")), &["first line lacks columns: dematerialisation"]);
    wrong(holding("PK is how an archive begins"), &["no archive that can be read"]);
    wrong(
        holding(&format!("{COLUMNS}\n{}", "x".repeat(70_000))),
        &["expected at most 64 KiB (directory.extraction_max)"],
    );
    wrong(
        |site| with(site, "extraction = \"https://annuaire.example/e.zip\"\nanchors = [\"absent.pem\"]"),
        &["directory.anchors: "],
    );
}
