//! The verbs of the command line, run as the real program.

use serde_json::json;

use crate::harness::{Server, run};

const ADDRESS: &str = "camille.fontanel@aura.mssante.example";

const CREATE: &[&str] = &[
    "mailbox",
    "create",
    ADDRESS,
    "--kind",
    "PER",
    "--title",
    "Dr",
    "--first-name",
    "Camille",
    "--last-name",
    "Fontanel",
    "--national-id",
    "899700000001",
    "--quota",
    "2GiB",
];

#[tokio::test]
async fn a_domain_from_beginning_to_end() {
    let server = Server::start().await;
    let added = server.caducee(&["domain", "add", "nord.mssante.example", "--description", "Le Nord"]).await.expect(0);
    assert_eq!(added.stdout, "nord.mssante.example added.\n");
    let list = server.caducee(&["domain", "list"]).await.expect(0);
    assert!(list.stdout.contains("nord.mssante.example") && list.stdout.contains("Le Nord"), "{}", list.stdout);
    let list = server.caducee(&["domain", "list", "--json"]).await.expect(0).json();
    assert_eq!(list["domains"][1]["name"], "nord.mssante.example");
    let shown = server.caducee(&["domain", "show", "nord.mssante.example", "--json"]).await.expect(0).json();
    assert_eq!(shown, list["domains"][1]);
    let removed = server.caducee(&["domain", "remove", "nord.mssante.example", "--json"]).await.expect(0);
    assert_eq!(removed.json(), json!({ "removed": "nord.mssante.example" }));
    let refused = server.caducee(&["domain", "show", "nord.mssante.example"]).await.expect(1);
    assert!(refused.stdout.is_empty());
    assert!(refused.stderr.contains("[rule no-such-domain, ref adm-"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_mailbox_from_beginning_to_end() {
    let server = Server::start().await;
    let created = server.caducee(CREATE).await.expect(0);
    assert_eq!(created.stdout, format!("{ADDRESS} created (PER, id 1).\n"));
    let shown = server.caducee(&["mailbox", "show", ADDRESS]).await.expect(0).stdout;
    for expected in ["Dr Camille Fontanel", "899700000001", "0 B of 2.0 GiB", "none set"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let set =
        server.caducee(&["mailbox", "set", ADDRESS, "--test", "--entity", "CH", "--clear", "quota", "--json"]).await;
    let set = set.expect(0).json();
    assert_eq!((&set["test"], &set["holder"]["entity"]), (&json!(true), &json!("CH")));
    let set = server
        .caducee(&["mailbox", "set", ADDRESS, "--test=false", "--clear", "entity", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!((&set["test"], &set["holder"].get("entity")), (&json!(false), &None));
    server.caducee(&["mailbox", "suspend", ADDRESS, "--reason", "congé"]).await.expect(0);
    assert!(server.caducee(&["mailbox", "list", "--state", "suspended"]).await.expect(0).stdout.contains(ADDRESS));
    let reopened = server.caducee(&["mailbox", "reopen", ADDRESS]).await.expect(0);
    assert_eq!(reopened.stdout, format!("{ADDRESS} is open.\n"));
    let unsure = server.caducee(&["mailbox", "close", ADDRESS]).await.expect(1);
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    assert_eq!(server.caducee(&["mailbox", "show", ADDRESS, "--json"]).await.json()["state"], "open");
    server.caducee(&["mailbox", "close", ADDRESS, "--yes"]).await.expect(0);
    assert_eq!(server.caducee(&["mailbox", "show", ADDRESS, "--json"]).await.json()["state"], "closed");
    assert_eq!(server.caducee(&[CREATE, &["--json"]].concat()).await.expect(1).problem()["rule"], "address-taken");
}

#[tokio::test]
async fn lists_are_whole_whatever_the_pages() {
    let server = Server::start().await;
    for number in 0..7 {
        server.mailbox(&format!("m{number}")).await;
    }
    let count = async |arguments: &[&str]| {
        let all = [&["mailbox", "list", "--json"], arguments].concat();
        server.caducee(&all).await.expect(0).json()["mailboxes"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]).await, 7);
    assert_eq!(count(&["--limit", "3"]).await, 3);
    assert_eq!(count(&["--search", "M4"]).await, 1);
    assert_eq!(count(&["--test=false", "--kind", "per", "--domain", "aura.mssante.example"]).await, 7);
    assert_eq!(count(&["--test"]).await, 0);
}

#[tokio::test]
async fn passwords_come_from_standard_input_or_are_made_and_shown_once() {
    let server = Server::start().await;
    let created = server.caducee(&[CREATE, &["--allow-password", "--generate-password"]].concat()).await.expect(0);
    let password = created.stdout.lines().find_map(|line| line.strip_prefix("Password: ")).unwrap();
    assert_eq!(password.len(), 23);
    let set =
        server.caducee_with(&["mailbox", "password", ADDRESS, "--password-stdin"], "une phrase assez longue\n").await;
    assert_eq!(set.expect(0).stdout, "Password set.\n");
    let peer = std::net::IpAddr::from([127, 0, 0, 1]);
    server.registry.verify_password(ADDRESS, None, "une phrase assez longue", None, peer).await.unwrap();
    let made =
        server.caducee(&["mailbox", "password", ADDRESS, "--generate-password", "--json"]).await.expect(0).json();
    server.registry.verify_password(ADDRESS, None, made["password"].as_str().unwrap(), None, peer).await.unwrap();
    let weak = server.caducee_with(&["mailbox", "password", ADDRESS, "--password-stdin"], "court\n").await.expect(1);
    assert!(weak.stderr.contains("password-too-weak"), "{}", weak.stderr);
    let none = server.caducee(&["mailbox", "password", ADDRESS]).await.expect(1);
    assert!(none.stderr.contains("no terminal"), "{}", none.stderr);
    server.caducee_with(&["mailbox", "password", ADDRESS, "--password-stdin"], "").await.expect(1);
    server.caducee(&["mailbox", "password", ADDRESS, "--remove"]).await.expect(0);
    assert_eq!(server.caducee(&["mailbox", "show", ADDRESS, "--json"]).await.json()["has_password"], false);
}

#[tokio::test]
async fn certificates_are_bound_from_files() {
    let server = Server::start().await;
    server.caducee(CREATE).await.expect(0);
    let file = server.place.join("cert.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&file, rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()).unwrap();
    let file = file.to_str().unwrap();
    server.caducee(&["mailbox", "certificate", "bind", ADDRESS, "--file", file, "--label", "poste 1"]).await.expect(0);
    let listed = server.caducee(&["mailbox", "certificate", "list", ADDRESS]).await.expect(0);
    assert!(listed.stdout.contains("fingerprint") && listed.stdout.contains("poste 1"), "{}", listed.stdout);
    let listed = server.caducee(&["mailbox", "certificate", "list", ADDRESS, "--json"]).await.expect(0).json();
    let number = listed["certificates"][0]["id"].to_string();
    server.caducee(&["mailbox", "certificate", "unbind", ADDRESS, &number]).await.expect(0);
    server.caducee(&["mailbox", "certificate", "unbind", ADDRESS, &number]).await.expect(1);
    server.caducee(&["mailbox", "certificate", "bind", ADDRESS, "--file", "/nowhere.pem"]).await.expect(1);
    server.caducee(&["mailbox", "certificate", "bind", ADDRESS]).await.expect(2);
}

#[tokio::test]
async fn the_server_itself() {
    let server = Server::start().await;
    let status = server.caducee(&["status"]).await.expect(0);
    assert!(status.stdout.contains("smtp.aura.mssante.example"), "{}", status.stdout);
    let reload = server.caducee(&["reload"]).await.expect(0);
    assert!(reload.stdout.contains("certificates") && reload.stdout.contains("restart"), "{}", reload.stdout);
    *server.surroundings.trouble.lock().unwrap() = Some("the disk is nearly full".into());
    let trouble = server.caducee(&["status"]).await.expect(1);
    assert!(trouble.stdout.contains("the disk is nearly full"), "{}", trouble.stdout);
    *server.surroundings.refuse_reload.lock().unwrap() = Some("caducee.toml:3: no".into());
    let refused = server.caducee(&["reload", "--json"]).await.expect(1);
    assert_eq!(refused.problem()["rule"], "reload-refused");
}

#[tokio::test]
async fn exit_codes_tell_what_kind_of_failure_it_was() {
    let program = env!("CARGO_BIN_EXE_caducee");
    let exit = async |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        run(program, &arguments, "", None).await
    };
    let usage = exit(&["mailbox", "create"]).await.expect(2);
    assert!(usage.stderr.contains("--kind"), "{}", usage.stderr);
    let nobody = exit(&["domain", "list", "--socket", "/nonexistent/admin.sock"]).await.expect(3);
    assert!(nobody.stderr.contains("is the server running"), "{}", nobody.stderr);
    let nobody = exit(&["domain", "list", "--json", "--socket", "/nonexistent/admin.sock"]).await.expect(3);
    assert_eq!(nobody.problem()["rule"], "unreachable");
    exit(&["domain", "list", "--config", "/nonexistent.toml"]).await.expect(1);
}

#[tokio::test]
async fn the_socket_is_found_in_the_configuration() {
    let server = Server::start().await;
    let config = server.place.join("caducee.toml");
    std::fs::write(&config, "[admin]\nsocket = \"admin.sock\"\n").unwrap();
    let arguments = ["status", "--config"].map(str::to_owned).into_iter().chain([config.display().to_string()]);
    run(env!("CARGO_BIN_EXE_caducee"), &arguments.collect::<Vec<_>>(), "", None).await.expect(0);
}
