//! `caducee dns zone`, read by another program's eyes: what the API LPS wants stands there.

use crate::support::{Sandbox, Tool};

#[test]
fn the_zone_has_the_records_of_the_api_lps_for_both_fronts() {
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["dns", "zone", &operator.domains[0], "--config"]);
    let zone = tool.arg(&operator.config).run().expect_ok("caducee dns zone").stdout;
    let (own, ports) = ("aura.mssante.example", operator.ports);
    for line in [
        format!("{own}. 3600 IN MX 10 smtp.{own}."),
        format!("_imap._tcp.{own}. 3600 IN SRV 10 100 {} smtp.{own}.", ports.imap),
        format!("_imap._tcp.{own}. 3600 IN SRV 20 100 {} smtp.{own}.", ports.authcli_imap),
        format!("_submission._tcp.{own}. 3600 IN SRV 10 100 {} smtp.{own}.", ports.submission),
        format!("_submission._tcp.{own}. 3600 IN SRV 20 100 {} smtp.{own}.", ports.authcli_submission),
    ] {
        assert!(zone.lines().any(|each| each == line), "{line}\n{zone}");
    }
}

#[test]
fn a_dns_that_does_not_answer_is_told_as_that() {
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    // Nobody answers at the sandbox's relay.dns.
    let config = std::fs::read_to_string(&operator.config).unwrap();
    let config = config.replace("[relay]\n", "[relay]\ndns_timeout = \"1s\"\n");
    let file = operator.config.with_file_name("dns-check.toml");
    std::fs::write(&file, config).unwrap();
    let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["dns", "check", &operator.domains[0], "--config"]);
    let checked = tool.arg(&file).run();
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains("unknown  aura.mssante.example: "), "{checked:?}");
    assert!(checked.stdout.contains("no host  smtp.aura.mssante.example: "), "{checked:?}");
}
