//! A peer that comes back without end for what it is refused.

use crate::site::Site;
use crate::support::{Identity, Tool, have};
use serde_json::{Value, json};

#[test]
fn what_is_refused_without_end_leaves_some_traces_and_the_count_of_the_rest_and_the_month_has_all_of_it() {
    if !have("openssl") {
        return;
    }
    let mut site = Site::new(&[]);
    site.configure(toml::toml! {
        [traces]
        refused_mail_of_address = 4
        [smtp]
        max_errors = 100
    });
    let server = site.start();
    let (known, aura) = (&site.known, site.operator());
    let peer = &known.peers[0];
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let closed = &aura.special("closed").address;
    let mail = format!("MAIL FROM:<anne.roux@{}>\r\n", peer.domains[0]);
    let asked = format!("RCPT TO:<personne@{}>\r\nRCPT TO:<{closed}>\r\n", aura.domains[0]).repeat(9);
    let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
    let tool = tool.args(["-connect", &aura.smtp(), "-CAfile"]).arg(&known.ca).arg("-cert").arg(&identity.cert);
    let tool = tool.arg("-cert_chain").arg(&identity.cert).arg("-key").arg(&identity.key);
    let said = tool.input(format!("EHLO peer.example\r\n{mail}{asked}QUIT\r\n")).run().all();
    assert_eq!(said.matches("[rule recipient-unknown").count(), 9, "{said}");
    assert_eq!(said.matches("[rule recipient-closed").count(), 9, "{said}");
    drop(server);

    // A server that stops writes down what it has counted.
    let server = site.start();
    let found = |action: &str| server.json(&["traces", "search", "--action", action])["traces"].clone();
    assert_eq!(found("refused").as_array().map(Vec::len), Some(4));
    let counted = found("many-refused");
    let [many] = counted.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{counted:#}") };
    assert_eq!(many["rules"], json!({"recipient-closed": 7, "recipient-unknown": 7}));
    assert_eq!((&many["origin"]["door"], &many["origin"]["peer"]), (&json!("smtp"), &json!("127.0.0.1")));
    let month = many["at"].as_str().and_then(|at| at.get(..7)).expect("a moment");
    let counted = server.json(&["indicators", month, "--recount"]);
    assert_eq!(counted["differences"], json!([]));
    let sheets = counted["sheets"].as_array().expect("sheets");
    let refusals = sheets.iter().find(|sheet| sheet["sheet"] == "refusals").expect("the sheet of refusals");
    let row = |rule: &str| json!([month, "smtp", rule, "9"]);
    let rows: Vec<&Value> = refusals["rows"].as_array().into_iter().flatten().collect();
    assert_eq!(rows, [&row("recipient-closed"), &row("recipient-unknown")]);
}
