//! The running process: readiness, reload, drain, watchdog, passed sockets, bad configurations.

use crate::pki::{Leaf, text};
use crate::server::{SOON, Server, Site, Talk, program};
use crate::support::{Tool, have, wait_until};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn it_says_that_it_is_ready_serves_every_door_and_stops_on_sigterm() {
    let site = Site::new();
    let mut server = site.start();
    assert!(server.told.iter().any(|line| line == "STATUS=opening the store"), "{:?}", server.told);
    assert!(Talk::with(site.smtp).hear().starts_with("220 mx.test.example"));
    assert!(Talk::with(site.imap).hear().starts_with("* OK"));
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    server.wait_for_told("STOPPING=1");
    assert!(server.log().contains("\"message\":\"stopped\""));
}

#[test]
fn metrics_liveness_and_readiness_answer_on_loopback() {
    let site = Site::new();
    let server = site.start();
    let _session = Talk::with(site.imap).hear();
    assert_eq!(server.get("/live"), (200, "live\n".to_owned()));
    let (code, body) = server.get("/ready");
    assert_eq!(code, 503, "there is no white list: {body}");
    assert!(body.contains("there is no white list"), "{body}");
    let (code, body) = server.get("/metrics");
    assert_eq!(code, 200);
    for figure in [
        "process_resident_memory_bytes ",
        "caducee_connections_total{door=\"imap\"} 1",
        "caducee_certificate_expiry_seconds{name=\"",
        "caducee_crl_next_update_seconds{name=\"",
        "caducee_store_ready 1",
        "caducee_commit_duration_seconds_bucket{le=\"",
        "caducee_log_syncs_total ",
        "caducee_store_free_bytes ",
        "# EOF",
    ] {
        assert!(body.contains(figure), "no {figure} in\n{body}");
    }
    assert_eq!(server.get("/anything").0, 404);
}

#[test]
fn lines_are_json_and_carry_the_connections_id() {
    let site = Site::new();
    let server = site.start();
    let mut session = Talk::with(site.smtp);
    session.hear();
    session.say("QUIT");
    session.hear();
    let of_connection = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["spans"][0]["id"].as_str().map(str::to_owned)
    };
    let seen = wait_until(SOON, || server.log().lines().any(|line| of_connection(line).is_some()));
    assert!(seen, "no line of the connection in\n{}", server.log());
}

#[test]
fn a_mailbox_doors_handshake_is_logged_with_whether_a_certificate_was_shown() {
    if !have("openssl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let files = site.pki.leaf(&Leaf::good("logiciel", 21));
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let address = format!("127.0.0.1:{}", site.imaps);
    let shown = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["message"] == "tls established").then(|| line["certificate_shown"].as_bool()).flatten()
    };
    for (arguments, expected) in
        [(&[][..], vec![false]), (&["-cert", &certificate, "-key", &key][..], vec![false, true])]
    {
        let tool = Tool::new("openssl").args(["s_client", "-quiet", "-connect", &address]).args(arguments);
        tool.input("a LOGOUT\r\n").run();
        let seen = || server.log().lines().filter_map(shown).collect::<Vec<_>>();
        assert!(wait_until(SOON, || seen() == expected), "{:?} in\n{}", seen(), server.log());
    }
}

#[test]
fn sighup_reloads_under_an_open_connection_and_tells_the_manager() {
    let site = Site::new();
    let mut server = site.start();
    let mut session = Talk::with(site.smtp);
    session.hear();
    server.told.clear();
    site.configure(|text| {
        text.replace("drain = \"2s\"", "drain = \"3s\"").replace("cache = \"4 MiB\"", "cache = \"8 MiB\"")
    });
    site.pki.leaf(&Leaf::good("serveur", 77));
    server.signal("HUP");
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    assert!(server.told.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{:?}", server.told);
    assert!(wait_until(SOON, || server.log().contains("\"message\":\"reloaded\"")), "{}", server.log());
    let log = server.log();
    assert!(log.contains("server.drain") && log.contains("store.cache"), "{log}");
    session.say("NOOP");
    assert!(session.hear().starts_with("250"), "the connection lives");
    if have("openssl") {
        let shown =
            Tool::new("openssl").args(["s_client", "-connect", &format!("127.0.0.1:{}", site.imaps)]).run().all();
        let serial =
            Tool::new("openssl").args(["x509", "-noout", "-serial"]).input(shown).run().expect_ok("x509").stdout;
        assert_eq!(serial.trim(), "serial=4D", "the new certificate is shown");
    }
}

#[test]
fn a_refused_reload_changes_nothing() {
    let site = Site::new();
    let mut server = site.start();
    site.configure(|text| text.replace("drain = \"2s\"", "drain = \"2 seconds\""));
    server.told.clear();
    server.signal("HUP");
    server.wait_for("READY=1");
    let told = wait_until(SOON, || server.log().contains("reload refused, everything stays as it was"));
    assert!(told && server.log().contains("server.drain"), "{}", server.log());
    let (_, figures) = server.get("/metrics");
    assert!(figures.contains("caducee_reloads_total{rule=\"failed\"} 1"), "{figures}");
    assert!(Talk::with(site.smtp).hear().starts_with("220"));
}

#[test]
fn the_command_line_reloads_through_the_administration_socket() {
    let site = Site::new();
    let _server = site.start();
    site.configure(|text| {
        text.replace("level = \"debug\"", "level = \"warn\"").replace("segment = \"4 MiB\"", "segment = \"8 MiB\"")
    });
    let output = program().args(["reload", "--json", "--config"]).arg(site.config()).output().expect("reload");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["needs_restart"][0], "store.segment", "{answer}");
    assert_eq!(answer["reloaded"][1], "certificates", "{answer}");
    // There is no white list at this site: done, but in part.
    assert_eq!(output.status.code(), Some(5), "{answer}");
}

#[test]
fn a_drain_waits_for_sessions_and_cuts_them_at_its_end() {
    let site = Site::new();
    let mut server = site.start();
    let mut session = Talk::with(site.imap);
    session.hear();
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    assert!(begun.elapsed() < Duration::from_secs(10), "server.drain is 2 s, this took {:?}", begun.elapsed());
    assert!(wait_until(SOON, || std::net::TcpStream::connect(("127.0.0.1", site.imap)).is_err()));
}

#[test]
fn the_watchdog_is_fed() {
    let site = Site::new();
    let mut command = program();
    command.env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let mut server = site.start_as(command);
    let fed = |server: &Server| server.told.iter().filter(|line| *line == "WATCHDOG=1").count();
    let enough = wait_until(SOON, || {
        server.hear();
        fed(&server) >= 3
    });
    assert!(enough, "{:?}", server.told);
}

/// As systemd does it: sockets from descriptor 3 on, named by `LISTEN_FDNAMES`, for the process that `LISTEN_PID` names.
const PASS_SOCKETS: &str = r#"
import os, socket, sys
names, program = sys.argv[1], sys.argv[2:]
ports = []
for at, name in enumerate(names.split(':')):
    s = socket.create_server(('127.0.0.1', 0))
    ports.append(str(s.getsockname()[1]))
    os.dup2(s.fileno(), 100 + at)
for at in range(len(ports)):
    os.dup2(100 + at, 3 + at)
    os.close(100 + at)
    os.set_inheritable(3 + at, True)
print(' '.join(ports), flush=True)
os.environ.update(LISTEN_FDS=str(len(ports)), LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
"#;

/// A command that runs the server with sockets of these names, and writes their ports to a file.
fn with_passed_sockets(site: &Site, names: &str) -> Command {
    let script = site.pki.write("pass.py", PASS_SOCKETS);
    let mut command = Command::new("python3");
    command.arg(script).arg(names).arg(env!("CARGO_BIN_EXE_caducee"));
    command
}

#[test]
fn passed_sockets_are_served_by_their_names_in_place_of_configured_ports() {
    if !have("python3") {
        return;
    }
    let site = Site::new();
    let (mut server, ports) = site.start_with_ports(with_passed_sockets(&site, "imaps:smtp:submission:submissions"));
    let [imaps, smtp, submission, submissions] = ports[..] else { panic!("{ports:?}") };
    server.wait_for("READY=1");
    assert!(Talk::with(smtp).hear().starts_with("220 mx.test.example"));
    assert!(Talk::with(submission).hear().starts_with("220 mx.test.example"));
    assert!(Talk::with(site.imap).hear().starts_with("* OK"), "a door without a passed socket opens its own");
    assert!(std::net::TcpStream::connect(("127.0.0.1", site.smtp)).is_err(), "the configured port is not used");
    if have("openssl") {
        let heard = Tool::new("openssl").args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{imaps}")]);
        assert!(heard.input("a LOGOUT\r\n").run().all().contains("* OK"));
        let heard = Tool::new("openssl").args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{submissions}")]);
        assert!(heard.input("QUIT\r\n").run().all().contains("220 mx.test.example"));
    }
}

#[test]
fn a_passed_socket_that_belongs_to_no_door_is_an_error() {
    if !have("python3") {
        return;
    }
    let site = Site::new();
    let (mut server, _) = site.start_with_ports(with_passed_sockets(&site, "pop3"));
    assert_eq!(server.end().code(), Some(1));
    assert!(server.log().contains("passed socket 0 (pop3)"), "{}", server.log());
}

#[test]
fn connections_beyond_an_addresss_share_are_turned_away_with_a_word() {
    let site = Site::new();
    site.configure(|text| {
        text.replace("[imap]", "max_connections_per_address = 2\n[imap]\nmax_connections_per_address = 1")
    });
    let server = site.start();
    let (mut one, mut two, mut three) = (Talk::with(site.smtp), Talk::with(site.smtp), Talk::with(site.smtp));
    assert!(one.hear().starts_with("220") && two.hear().starts_with("220"));
    assert!(three.hear().starts_with("421 4.7.0 mx.test.example too many connections from this address"));
    let mut first = Talk::with(site.imap);
    assert!(first.hear().starts_with("* OK"));
    assert!(Talk::with(site.imap).hear().starts_with("* BYE too many connections"));
    let (_, figures) = server.get("/metrics");
    assert!(
        figures.contains("caducee_connections_refused_total{door=\"smtp\",reason=\"too-many-of-address\"} 1"),
        "{figures}"
    );
    drop(one);
    let free_again = wait_until(SOON, || Talk::with(site.smtp).hear().starts_with("220"));
    assert!(free_again, "a place that was given back is given again");
}

#[test]
fn what_keeps_it_from_starting_is_said_on_standard_error() {
    let site = Site::new();
    let fails = |needle: &str| {
        let mut server = site.spawn(program());
        assert_eq!(server.end().code(), Some(1));
        assert!(server.log().contains(needle), "{needle} not in\n{}", server.log());
    };
    site.configure(|text| text.replace("drain = \"2s\"", "drian = \"2s\"").replace("\"4 MiB\"", "\"4 MB\""));
    fails("caducee.toml:4: server.drian: unknown field `drian`, expected one of `name`, `drain`");
    fails("store.cache: `4 MB` is not a size");
    site.configure(|text| text.replace("\"master.key\"", "\"credential:master-key\""));
    fails("LoadCredential=master-key");
    site.configure(|text| text.replace("\"serveur.key\"", "\"absent.key\""));
    fails("absent.key: No such file or directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    site.configure(|text| text.replace(&format!("127.0.0.1:{}", site.smtp), &address.to_string()));
    fails(&format!("smtp.listen: cannot listen on {address}: Address already in use"));
}

#[test]
fn credentials_of_systemd_hold_the_master_key() {
    let site = Site::new();
    site.configure(|text| text.replace("\"master.key\"", "\"credential:master-key\""));
    let credentials = site.pki.path("credentials");
    std::fs::create_dir(&credentials).expect("a directory");
    std::fs::copy(site.pki.path("master.key"), credentials.join("master-key")).expect("copied");
    let mut command = program();
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    drop(site.start_as(command));
}

#[test]
fn the_unit_is_as_hardened_as_systemd_analyze_asks() {
    if !have("systemd-analyze") {
        return;
    }
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/caducee.service");
    let ran = Tool::new("systemd-analyze").args(["security", "--offline=yes", "--threshold=15", unit]).run();
    // The threshold is in tenths: 1.5, "OK"; what is left is the network, which a mail server needs.
    ran.expect_ok("systemd-analyze security");
}

#[test]
fn a_domain_of_ours_that_becomes_the_citizens_keeps_it_from_starting() {
    let site = Site::new();
    let mut server = site.start();
    let mut add = program();
    add.args(["domain", "add", "patient.mssante.example", "--socket"]).arg(site.config().with_file_name("admin.sock"));
    assert!(add.output().expect("caducee can be started").status.success());
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    site.configure(|text| text + "[citizens]\ndomains = [\"patient.mssante.example\"]\n");
    let mut server = site.spawn(program());
    assert_eq!(server.end().code(), Some(1));
    let says = "citizens.domains: 'patient.mssante.example' is one of the operator's own domains";
    assert!(server.log().contains(says), "{}", server.log());
}
