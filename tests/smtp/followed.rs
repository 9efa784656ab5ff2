//! What can be followed of a message that came in, and what its sender is told.

use serde_json::Value;

use crate::door::talk;
use crate::support::{Identity, Operator, Sandbox, Tool, have};

/// What `caducee follow` knows of a message.
fn follow(operator: &Operator, message_id: &str) -> Vec<Value> {
    let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["follow", message_id, "--json", "--socket"]);
    let shown = tool.arg(&operator.admin_socket).run().expect_ok("caducee follow");
    let shown: Value = serde_json::from_str(&shown.stdout).expect("it answers in JSON");
    shown["events"].as_array().expect("a list of events").clone()
}

#[test]
fn a_message_that_came_in_is_on_its_trail_with_the_reference_of_its_answer() {
    if !have("openssl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let (operator, peer) = (known.aura(), &known.peers[0]);
    let (one, other) = (operator.mailbox("PER"), operator.mailbox("ORG"));
    let from = format!("anne.roux@{}", peer.domains[0]);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let script = format!(
        "EHLO a\r\nMAIL FROM:<{from}>\r\nRCPT TO:<{}>\r\nRCPT TO:<{}>\r\nDATA\r\n\
         From: {from}\r\nMessage-ID: <followed@peer.example>\r\n\r\nx\r\n.\r\nQUIT\r\n",
        one.address, other.address,
    );
    let said = talk(known, operator, &identity, script).all();
    let reference = said.lines().find_map(|line| line.strip_prefix("250 2.6.0 ")).expect("a positive answer");
    let reference = reference.split(' ').next().unwrap_or_default();
    let events = follow(operator, "followed@peer.example");
    let [event] = events.as_slice() else { panic!("one event: {events:?}") };
    assert_eq!((&event["action"], &event["origin"]["door"]), (&"accepted".into(), &"smtp".into()));
    assert_eq!((&event["sender"], &event["reference"]), (&from.as_str().into(), &reference.into()));
    assert_eq!(event["delivered"], serde_json::json!([one.address, other.address]));
}

#[test]
fn success_is_told_to_whom_asked_and_to_nobody_else() {
    if !have("openssl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let (operator, peer) = (known.aura(), &known.peers[0]);
    let (asked, silent) = (operator.mailbox("PER"), operator.mailbox("ORG"));
    let from = format!("anne.roux@{}", peer.domains[0]);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let message = |id: &str| format!("From: {from}\r\nMessage-ID: <{id}@peer.example>\r\n\r\nx\r\n");
    let script = format!(
        "EHLO a\r\n\
         MAIL FROM:<{from}> RET=FULL ENVID=QQ314\r\nRCPT TO:<{a}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{a}\r\n\
         RCPT TO:<{s}> NOTIFY=FAILURE\r\nDATA\r\n{}.\r\n\
         MAIL FROM:<{from}>\r\nRCPT TO:<{a}> NOTIFY=NEVER\r\nDATA\r\n{}.\r\n\
         MAIL FROM:<>\r\nRCPT TO:<{a}> NOTIFY=SUCCESS\r\nDATA\r\n{}.\r\nQUIT\r\n",
        message("success"),
        message("never"),
        message("null"),
        a = asked.address,
        s = silent.address,
    );
    let said = talk(known, operator, &identity, script).all();
    assert_eq!(said.matches("250 2.6.0").count(), 3, "{said}");
    let events = follow(operator, "<success@peer.example>");
    let told: Vec<&Value> = events.iter().filter(|event| event["action"] == "reported").collect();
    let [told] = told.as_slice() else { panic!("one report: {events:?}") };
    assert_eq!((&told["result"], &told["recipients"]), (&"delivered".into(), &serde_json::json!([asked.address])));
    let report = follow(operator, told["report"].as_str().expect("the report has a Message-ID"));
    assert_eq!((&report[0]["origin"]["door"], &report[0]["sender"]), (&"report".into(), &"".into()));
    assert_eq!(report[0]["queued"], serde_json::json!([from]));
    for quiet in ["never@peer.example", "null@peer.example"] {
        assert_eq!(follow(operator, quiet).len(), 1, "{quiet} is accepted, and nobody is told");
    }
}
