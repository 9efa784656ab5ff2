//! The configuration file: complete, and refused with file, line, key and what was expected.

use crate::support::ScratchDir;
use caducee::config::{Config, Problem, needs_restart};
use std::path::Path;

const CONF: &str = include_str!("../../conf/caducee.toml");

/// The keys without a default, as the example file gives them.
const REQUIRED: &str = r#"
    [server]
    name = "mx.example.mssante.fr"
    [tls]
    certificate = "/etc/caducee/tls/certificate.pem"
    key = "/etc/caducee/tls/key.pem"
    anchors = ["/etc/caducee/tls/igc-sante.pem"]
    crls = ["http://igc-sante.esante.gouv.fr/CRL/ACI-EL-ORG.crl"]
    [trust]
    source = "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml"
    anchors = ["/etc/caducee/tls/igc-sante.pem"]
"#;

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(Path::new("caducee.toml"), text)
}

/// The example file with each line that begins like one of `changes` replaced by it; every line must be found.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = CONF.to_owned();
    for (old, new) in changes {
        assert_eq!(text.matches(&format!("\n{old}\n")).count(), 1, "`{old}` is not one line of conf/caducee.toml");
        text = text.replacen(&format!("\n{old}\n"), &format!("\n{new}\n"), 1);
    }
    text
}

/// The problems of the example file with these changes, printed.
fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    let problems = parse(&changed(changes)).expect_err("the configuration should be refused");
    problems.iter().map(ToString::to_string).collect()
}

/// The number of the line that a text of one or more lines begins with.
fn line_of(needle: &str) -> usize {
    let needle = needle.lines().next().unwrap_or_default();
    1 + CONF.lines().position(|line| line == needle).unwrap_or_else(|| panic!("no line `{needle}`"))
}

fn keys_of(table: &toml::Table, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => keys.extend(keys_of(inner, &format!("{prefix}{name}."))),
            _ => keys.push(format!("{prefix}{name}")),
        }
    }
    keys.sort();
    keys
}

#[test]
fn the_example_file_is_the_defaults_and_the_required_keys() {
    let example = parse(CONF).expect("conf/caducee.toml");
    let bare = parse(REQUIRED).expect("the required keys alone");
    assert_eq!(example, bare);
}

#[test]
fn every_key_stands_in_the_example_file_under_a_comment() {
    let documented: toml::Table = CONF.parse().expect("TOML");
    let known = toml::Table::try_from(Config::default()).expect("the defaults as TOML");
    assert_eq!(keys_of(&documented, ""), keys_of(&known, ""));

    let mut under_comment = false;
    for line in CONF.lines() {
        let is_key = line.contains(" = ");
        assert!(!is_key || line.starts_with('#') || under_comment, "no comment above: {line}");
        // A comment serves the keys that follow it without a gap.
        under_comment = line.starts_with('#') || (is_key && under_comment);
    }
}

#[test]
fn the_example_file_marks_exactly_the_keys_that_need_a_restart() {
    let (mut section, mut comment) = (String::new(), String::new());
    for line in CONF.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        }
        if let Some(text) = line.strip_prefix("# ") {
            comment.push_str(text);
        } else if let Some((name, _)) = line.split_once(" = ") {
            let key = format!("{section}.{name}").trim_start_matches('.').to_owned();
            assert_eq!(comment.contains("(restart)"), needs_restart(&key), "{key}");
        } else {
            comment.clear();
        }
        // A key's comment ends where the next comment begins.
        if line.contains(" = ") && !line.starts_with('#') {
            comment.push('\n');
        } else if line.starts_with("# ") && comment.contains('\n') {
            comment = comment.rsplit('\n').next().unwrap_or_default().to_owned();
        }
    }
}

#[test]
fn required_keys_are_all_asked_for_at_once() {
    let problems = parse("").expect_err("nothing is configured");
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let expected =
        ["server.name", "tls.certificate", "tls.key", "tls.anchors", "tls.crls", "trust.source", "trust.anchors"];
    assert_eq!(keys, expected);
    assert!(problems.iter().all(|problem| problem.message.starts_with("required; expected ")));
}

#[test]
fn unknown_keys_and_wrong_values_are_told_together_each_with_its_line() {
    let found = problems(&[
        ("drain = \"30s\"", "drain = 30"),
        ("cache = \"64 MiB\"", "cash = \"64 MiB\""),
        ("refresh = \"15m\"", "refresh = \"15 minutes\""),
        ("listen = [\"127.0.0.1:9125\"]", "listen = [\"localhost\", \"127.0.0.1:70000\"]"),
        ("format = \"auto\"", "format = \"xml\""),
        ("[accounts]", "[account]"),
    ]);
    let expected = [
        format!(
            "caducee.toml:{}: server.drain: invalid type: integer `30`, expected a string",
            line_of("drain = \"30s\"")
        ),
        format!(
            "caducee.toml:{}: store.cash: unknown field `cash`, expected one of `path`, `cache`",
            line_of("cache = \"64 MiB\"")
        ),
        format!("caducee.toml:{}: trust.refresh: `15 minutes` is not a duration", line_of("refresh = \"15m\"")),
        format!("caducee.toml:{}: account: unknown field `account`, expected one of `server`", line_of("[accounts]")),
        format!("caducee.toml:{}: metrics.listen: ", line_of("listen = [\"127.0.0.1:9125\"]")),
        format!("caducee.toml:{}: metrics.listen: ", line_of("listen = [\"127.0.0.1:9125\"]")),
        format!(
            "caducee.toml:{}: log.format: unknown variant `xml`, expected one of `auto`, `pretty`, `json`",
            line_of("format = \"auto\"")
        ),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
    }
}

#[test]
fn text_that_is_not_toml_is_told_with_its_lines() {
    let problems = parse("[server]\nname = \n[store\n").expect_err("not TOML");
    assert_eq!(problems.first().and_then(|problem| problem.line), Some(2), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.message.starts_with("not TOML: ")));
}

/// One contradiction: the change, the key it is told at, and a part of what is said.
fn contradiction(old: &str, new: &str, key: &str, says: &str) {
    let found = problems(&[(old, new)]);
    let place = format!("caducee.toml:{}: {key}: ", line_of(old));
    assert!(found.iter().any(|line| line.starts_with(&place) && line.contains(says)), "{new}: {found:#?}");
}

#[test]
fn contradictions_are_errors_that_name_both_sides() {
    contradiction(
        "listen_tls = [\"0.0.0.0:993\", \"[::]:993\"]",
        "listen_tls = [\"127.0.0.1:143\"]",
        "imap.listen_tls",
        "127.0.0.1:143 is also taken by imap.listen (0.0.0.0:143)",
    );
    contradiction(
        "crl_grace = \"24h\"",
        "crl_grace = \"30m\"",
        "tls.crl_grace",
        "30m is shorter than tls.crl_refresh (1h)",
    );
    contradiction("max_age = \"24h\"", "max_age = \"10m\"", "trust.max_age", "10m is shorter than trust.refresh (15m)");
    contradiction(
        "message = \"25 MiB\"",
        "message = \"65 MiB\"",
        "limits.message",
        "65 MiB; expected 64 KiB to 64 MiB",
    );
    contradiction("header = \"256 KiB\"", "header = \"26 MiB\"", "limits.header", "26 MiB; expected 4 KiB to 4 MiB");
    contradiction("recipients = 100", "recipients = 99", "limits.recipients", "99; expected 100 to 10000");
    contradiction(
        "certificate = \"\"",
        "certificate = \"imap.pem\"",
        "tls.mailbox.certificate",
        "expected both or neither",
    );
    contradiction("listen = [\"127.0.0.1:9125\"]", "listen = [\"192.0.2.1:9125\"]", "metrics.listen", "not loopback");
    contradiction(
        "max_connections_per_peer = 50",
        "max_connections_per_peer = 1001",
        "smtp.max_connections_per_peer",
        "1001; expected 1 to 1000 (smtp.max_connections)",
    );
    contradiction(
        "message_timeout = \"15m\"\n# Longest life of a connection that has not begun TLS.",
        "message_timeout = \"2m\"",
        "smtp.message_timeout",
        "2m; expected 3m to 1d",
    );
    contradiction(
        "max_future_release = \"7d\"",
        "max_future_release = \"400d\"",
        "submission.max_future_release",
        "400d; expected 0s to 365d",
    );
    contradiction("keep = \"90d\"", "keep = \"0s\"", "trail.keep", "0s; expected 2d to 36500d");
    contradiction(
        "max_message = \"25 MiB\"",
        "max_message = \"0 KiB\"",
        "citizens.max_message",
        "0 KiB; expected 64 KiB to 64 MiB",
    );
    contradiction(
        "postmaster = \"\"",
        "postmaster = \"184127512345678@Patient.mssante.fr\"",
        "smtp.postmaster",
        "is in a domain of citizens.domains",
    );
    contradiction("max_shrink = 20", "max_shrink = 0", "trust.max_shrink", "0 percent; expected 1 to 100");
    contradiction("level = \"info\"", "level = \"caducee=loud\"", "log.level", "expected error, warn");
    contradiction("name = \"mx.example.mssante.fr\"", "name = \"mx_1..fr\"", "server.name", "is not a host name");
    contradiction("quota = \"5 GiB\"", "quota = \"1 MiB\"", "accounts.quota", "1 MiB; expected 25 MiB to");
    contradiction(
        "local_parts = [\"test\", \"test-*\", \"*-test\", \"test.*\", \"*.test\"]",
        "local_parts = [\"*\"]",
        "trust.test_addresses.local_parts",
        "not `*` alone",
    );
    contradiction(
        "source = \"https://espacedeconfiance.mssante.fr/listeblanchemssante.xml\"",
        "source = \"http://example.org/l.xml\"",
        "trust.source",
        "expected https:// or a file",
    );
    contradiction(
        "socket = \"/run/caducee/admin.sock\"",
        &format!("socket = \"/{}\"", "s".repeat(120)),
        "admin.socket",
        "121 bytes long; expected at most 107",
    );
}

#[test]
fn fronts_have_names_of_their_own_addresses_of_their_own_and_ways_that_can_be_used() {
    let front = |lines: &str| format!("{CONF}\n[[fronts]]\n{lines}\n").replacen("fronts = []", "", 1);
    let good = "name = \"authcli\"\nimap = [\"192.0.2.8:1143\"]\nways = [\"certificate\"]";
    let config = parse(&front(good)).expect("a good front");
    assert_eq!(config.fronts[0].name, "authcli");
    for (lines, says) in [
        ("imap = [\"192.0.2.8:143\"]\nways = [\"token\"]", "``; expected a name"),
        ("name = \"main\"\nimap = [\"192.0.2.8:143\"]\nways = [\"token\"]", "`main`; expected a name"),
        ("name = \"a\"\nways = [\"token\"]", "`a` listens nowhere"),
        ("name = \"a\"\nimap = [\"192.0.2.8:143\"]", "`a` has no ways to log in"),
        ("name = \"a\"\nimap = [\"127.0.0.1:143\"]\nways = [\"token\"]", "127.0.0.1:143 is also taken by imap.listen"),
        (
            "name = \"a\"\nimap = [\"192.0.2.8:143\"]\nways = [\"certificate\"]\ncertificates = \"never\"",
            "offers logins by certificate and asks for none",
        ),
    ] {
        let found: Vec<String> = parse(&front(lines)).expect_err(lines).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|line| line.contains(says)), "{lines}: {found:#?}");
    }
}

#[test]
fn policies_are_oids_and_published_names_are_hosts() {
    contradiction("policies = []", "policies = [\"igc-sante\"]", "tls.mailbox.policies", "expected an OID");
    contradiction("mx = []", "mx = [\"mx.op.example.\", \"-\"]", "published.mx", "is not a host name");
    contradiction("help = \"\"", "help = \"aide\"", "published.help", "expected an https:// address");
}

#[test]
fn routes_name_domains_once_and_hosts_that_are_some() {
    let rows = [
        (r#"[{ domains = ["a.example", "*"], hosts = ["mx_1"] }]"#, "`mx_1`; expected a host name or address"),
        (r#"[{ domains = ["a.example"], hosts = ["mx.example:0"] }]"#, "`mx.example:0`; expected a host name"),
        (r#"[{ domains = ["*.example"], hosts = ["mx.example"] }]"#, "`*.example`; expected a domain"),
        (r#"[{ hosts = ["mx.example"] }]"#, "a route without domains"),
        (r#"[{ domains = ["a.example"] }, { domains = ["A.example"] }]"#, "`A.example` in two routes"),
    ];
    for (routes, says) in rows {
        contradiction("routes = []", &format!("routes = {routes}"), "relay.routes", says);
    }
    let good = r#"routes = [{ domains = ["a.example"], hosts = ["mx.example", "192.0.2.1:2525", "[2001:db8::1]:25", "::1"] }]"#;
    let config = parse(&changed(&[("routes = []", good)])).expect("good routes");
    assert_eq!(config.relay.routes[0].hosts.len(), 4);
    contradiction("final_timeout = \"10m\"", "final_timeout = \"0s\"", "relay.final_timeout", "expected 1s to 1h");
    contradiction(
        "max_sessions_per_host = 20",
        "max_sessions_per_host = 0",
        "relay.max_sessions_per_host",
        "1 to 10000",
    );
}

#[test]
fn mail_is_tried_before_it_is_given_up_or_the_file_is_refused() {
    contradiction("first_retry = \"5m\"", "first_retry = \"0s\"", "queue.first_retry", "0s; expected 1s to 1d");
    contradiction(
        "longest_retry = \"4h\"",
        "longest_retry = \"1m\"",
        "queue.longest_retry",
        "1m; expected 5m to 7d (first_retry is the least)",
    );
    contradiction(
        "lifetime = \"2d\"",
        "lifetime = \"0s\"",
        "queue.lifetime",
        "0s; expected 8h to 30d (twice longest_retry is the least)",
    );
    contradiction(
        "delay_notice = \"4h\"",
        "delay_notice = \"2d\"",
        "queue.delay_notice",
        "2d; expected 1s or more, and less than queue.lifetime (2d)",
    );
    contradiction("at_once = 500", "at_once = 0", "queue.at_once", "0; expected 1 to 100000");
    contradiction("first_window = 2", "first_window = 21", "queue.first_window", "21; expected 1 to 20");
    for (times, says) in [
        (r#"lifetime = "1h""#, "lifetime of a.fr, *: 1h; expected 8h to 30d (twice longest_retry is the least)"),
        (r#"longest_retry = "1m""#, "longest_retry of a.fr, *: 1m; expected 5m to 7d (first_retry is the least)"),
        (r#"first_retry = "0s""#, "first_retry of a.fr, *: 0s; expected 1s to 1d"),
        (r#"longest_retry = "2d""#, "lifetime of a.fr, *: 2d; expected 4d to 30d (twice longest_retry is the least)"),
    ] {
        let routes = format!(r#"routes = [{{ domains = ["a.fr", "*"], {times} }}]"#);
        contradiction("routes = []", &routes, "relay.routes", says);
    }
    let routes = r#"routes = [{ domains = ["a.fr"], first_retry = "1m", longest_retry = "20m", lifetime = "1h" }]"#;
    parse(&changed(&[("routes = []", routes)])).expect("a route of short times");
}

/// The example file with Pro Santé Connect on, and these lines of its section changed.
fn with_psc(changes: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let on = [
        ("issuer = \"\"", "issuer = \"https://auth.example/realms/wallet\""),
        ("client_id = \"\"", "client_id = \"caducee\""),
        ("client_secret = \"\"", "client_secret = \"credential:psc\""),
    ];
    let kept = on.iter().filter(|(old, _)| !changes.iter().any(|(changed, _)| changed == old));
    parse(&changed(&kept.chain(changes).copied().collect::<Vec<_>>()))
}

#[test]
fn pro_sante_connect_has_an_address_a_client_and_a_way_to_say_who_it_is() {
    with_psc(&[]).expect("all that is needed");
    with_psc(&[
        ("client_secret = \"\"", "client_secret = \"\""),
        ("validation = \"introspection\"", "validation = \"jwt\""),
    ])
    .expect("signatures need no secret");
    for (old, new, key, says) in [
        ("issuer = \"\"", "issuer = \"http://auth.example\"", "psc.issuer", "expected an https:// address"),
        ("issuer = \"\"", "issuer = \"https://auth.example/?a\"", "psc.issuer", "expected an https:// address"),
        ("client_id = \"\"", "client_id = \"\"", "psc.client_id", "required with psc.issuer"),
        ("client_secret = \"\"", "client_secret = \"\"", "psc.client_secret", "required to ask about tokens"),
        (
            "anchors = [\"/etc/ssl/certs/ca-certificates.crt\"]",
            "anchors = []",
            "psc.anchors",
            "required with psc.issuer",
        ),
        ("timeout = \"8s\"", "timeout = \"30s\"", "psc.deadline", "25s; expected more than 1m"),
        ("clock_skew = \"30s\"", "clock_skew = \"10m\"", "psc.clock_skew", "10m; expected 0s to 5m"),
        ("at_once = 100", "at_once = 0", "psc.at_once", "0; expected 1 to 10000"),
        ("max_answer = \"256 KiB\"", "max_answer = \"1 KiB\"", "psc.max_answer", "1 KiB; expected 16 KiB to 4 MiB"),
        ("validation = \"introspection\"", "validation = \"none\"", "psc.validation", "unknown variant"),
    ] {
        let found = with_psc(&[(old, new)]).expect_err(new);
        let is_told = |problem: &Problem| problem.key == key && problem.message.contains(says);
        assert!(found.iter().any(is_told), "{new}: {found:#?}");
    }
}

#[test]
fn a_citizens_domain_is_a_domain() {
    contradiction(
        "domains = [\"patient.mssante.fr\"]",
        "domains = [\"patient mssante\"]",
        "citizens.domains",
        "expected a domain, as patient.mssante.fr",
    );
}

#[test]
fn figures_that_could_not_be_written_are_contradictions() {
    let key = "indicators.sheets";
    for (sheet, says) in [
        ("{ sheet = \"mails\" }", "there is no sheet `mails`; expected one of mailboxes, movements"),
        (
            "{ sheet = \"refusals\", columns = [\"colour\"] }",
            "`colour` is no column of `refusals`; expected month or one of",
        ),
        ("{ sheet = \"refusals\", file = \"../{month}.csv\" }", "is no name of a monthly file"),
        ("{ sheet = \"refusals\", file = \"BAL_{month}.csv\" }", "two sheets are written to `BAL_{month}.csv`"),
    ] {
        contradiction("sheets = []", &format!("sheets = [{sheet}]"), key, says);
    }
    contradiction("anonymous_after = 3", "anonymous_after = 0", "indicators.anonymous_after", "0; expected 1 to 12");
    contradiction("most_rows = 100000", "most_rows = 99", "indicators.most_rows", "99; expected 100 to 300000");
}

#[test]
fn a_server_without_any_door_is_a_contradiction() {
    let found = problems(&[
        ("listen = [\"0.0.0.0:25\", \"[::]:25\"]", "listen = []"),
        ("listen = [\"0.0.0.0:143\", \"[::]:143\"]", "listen = []"),
        ("listen_tls = [\"0.0.0.0:993\", \"[::]:993\"]", "listen_tls = []"),
        ("listen = [\"0.0.0.0:587\", \"[::]:587\"]", "listen = []"),
        ("listen_tls = [\"0.0.0.0:465\", \"[::]:465\"]", "listen_tls = []"),
    ]);
    assert!(found.len() == 1 && found[0].contains("no door is open"), "{found:?}");
}

#[test]
fn ports_of_zero_and_other_addresses_do_not_collide() {
    let text = changed(&[
        ("listen = [\"0.0.0.0:25\", \"[::]:25\"]", "listen = [\"127.0.0.1:0\"]"),
        ("listen = [\"0.0.0.0:143\", \"[::]:143\"]", "listen = [\"127.0.0.1:0\", \"192.0.2.1:993\"]"),
        ("listen_tls = [\"0.0.0.0:993\", \"[::]:993\"]", "listen_tls = [\"192.0.2.2:993\"]"),
    ]);
    parse(&text).expect("no two doors on one port");
}

#[test]
fn relative_paths_start_from_the_files_directory() {
    let directory = ScratchDir::new();
    let file = directory.path().join("caducee.toml");
    let text = changed(&[
        ("path = \"/var/lib/caducee/store\"", "path = \"store\""),
        ("master_key = \"credential:master-key\"", "master_key = \"master.key\""),
        ("key = \"/etc/caducee/tls/key.pem\"", "key = \"pki/key.pem\""),
        (
            "crls = [\"http://igc-sante.esante.gouv.fr/CRL/ACI-EL-ORG.crl\"]",
            "crls = [\"crl.pem\", \"http://example.org/a.crl\"]",
        ),
        ("source = \"https://espacedeconfiance.mssante.fr/listeblanchemssante.xml\"", "source = \"liste.xml\""),
    ]);
    std::fs::write(&file, text).expect("written");
    let config = Config::load(&file).expect("loaded");
    let inside = |name: &str| directory.path().join(name);
    assert_eq!(config.store.path, inside("store"));
    assert_eq!(Path::new(&config.seal.master_key), inside("master.key"));
    assert_eq!(config.tls.key, inside("pki/key.pem"));
    assert_eq!(config.tls.crls, [inside("crl.pem").to_string_lossy().as_ref(), "http://example.org/a.crl"]);
    assert_eq!(Path::new(&config.trust.source), inside("liste.xml"));
    assert_eq!(config.tls.certificate, Path::new("/etc/caducee/tls/certificate.pem"), "absolute paths stay");
    assert!(config.tls.mailbox.certificate.as_os_str().is_empty(), "an empty key stays empty");
}

#[test]
fn notices_go_in_the_clear_to_this_machine_alone_and_come_from_an_address_that_every_relay_takes() {
    let with = |host: &str, tls: &str, from: &str| {
        let section = format!("[notices]\nhost = \"{host}\"\ntls = \"{tls}\"\nfrom = \"{from}\"\n");
        let found = parse(&format!("{REQUIRED}{section}")).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
    };
    for host in ["localhost", "127.0.0.1", "::1", "127.8.8.8"] {
        assert!(with(host, "none", "avis@operateur.example").is_empty(), "{host}");
    }
    for host in ["relais.example", "192.0.2.1", "2001:db8::1", "localhost.example"] {
        assert_eq!(with(host, "none", "avis@operateur.example"), ["notices.tls"], "{host}");
        assert!(with(host, "required", "avis@operateur.example").is_empty(), "{host}");
    }
    assert_eq!(with("localhost", "none", "secrétariat@operateur.example"), ["notices.from"]);
    assert_eq!(with("localhost", "none", "nobody"), ["notices.from"]);
    let nameless = parse(&format!("{REQUIRED}[notices]\nname = \" \"\n")).expect_err("no name");
    assert_eq!(nameless[0].key, "notices.name");
}
