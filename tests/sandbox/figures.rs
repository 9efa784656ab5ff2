//! The month's indicators of a whole trust space, from outside: what is sent is counted once, and the traces say the same.

use std::time::Duration;

use crate::support::{Envelope, Operator, Sandbox, Tool, have, smtplib, wait_until};
use caducee::mss::indicators::Month;
use serde_json::Value;

/// What `caducee` says of an operator, as JSON; figures that differ from the traces fail it, and are shown. Null as long as
/// nothing was counted.
fn caducee(operator: &Operator, arguments: &[&str]) -> Value {
    let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(arguments).args(["--json", "--socket"]);
    let ran = tool.arg(&operator.admin_socket).run();
    if ran.all().contains("/problems/nothing-counted") {
        return Value::Null;
    }
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.all()))
}

fn this_month() -> String {
    Month::of(u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap()).to_string()
}

/// The sum of a column of a sheet, over the rows that have this text in some column.
fn sum(figures: &Value, sheet: &str, column: &str, having: &str) -> u64 {
    let sheets = figures["sheets"].as_array().unwrap();
    let sheet = sheets.iter().find(|it| it["sheet"] == sheet).unwrap();
    let at = sheet["columns"].as_array().unwrap().iter().position(|it| it == column).unwrap();
    let rows = sheet["rows"].as_array().unwrap().iter().map(|row| row.as_array().unwrap());
    let wanted = rows.filter(|row| row.iter().any(|cell| cell == having));
    wanted.map(|row| row[at].as_str().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn what_is_sent_is_counted_once_on_both_sides_and_the_traces_say_the_same() {
    if !have("python3") || !have("curl") {
        return;
    }
    let sandbox = Sandbox::start();
    let known = &sandbox.description;
    let (aura, other) = (known.aura(), known.aquitaine());
    let (from, to) = (aura.mailbox("PER"), other.mailbox("PER"));
    let month = this_month();
    let figures = |operator: &Operator| caducee(operator, &["indicators", &month]);
    let sent = |operator: &Operator| sum(&figures(operator), "exchanges", "messages", "emis");
    let received = |operator: &Operator| sum(&figures(operator), "software", "messages", "ESSAI-1");
    // What the sandbox was furnished with is counted first.
    let settled = wait_until(Duration::from_secs(30), || {
        let again = caducee(aura, &["indicators", &month, "--recount"]);
        again["differences"] == Value::Array(Vec::new())
    });
    assert!(settled, "the furniture is counted as its traces say");
    let before = sent(aura);
    for number in 0..3 {
        let envelope = Envelope { from: None, to: &[&to.address], mail: &[], rcpt: &[] };
        let head = format!("From: {}\r\nTo: {}\r\nMessage-ID: <figures-{number}@aura>\r\n", from.address, to.address);
        let text = head + "Subject: essai\r\nX-MSS-NIL: ESSAI-1\r\n\r\nBonjour\r\n";
        smtplib(known, aura, from, &envelope, &text).expect_ok("sending");
    }
    assert!(wait_until(Duration::from_secs(30), || sent(aura) >= before + 3 && received(other) >= 3));
    let counted = wait_until(Duration::from_secs(30), || sum(&figures(aura), "outcomes", "essais", "relayed") >= 3);
    assert!(counted);
    for operator in [aura, other] {
        // Each trace is in a file before it is counted, and read where it waits: what differs at this moment does not for long.
        let same = wait_until(Duration::from_secs(15), || {
            caducee(operator, &["indicators", &month, "--recount"])["differences"] == Value::Array(Vec::new())
        });
        assert!(same, "{}", caducee(operator, &["indicators", &month, "--recount"])["differences"]);
    }
    assert_eq!((sent(aura), received(other)), (before + 3, 3));
    // The figures for operations are others: they name nobody.
    for operator in [aura, other] {
        let page = format!("http://127.0.0.1:{}/metrics", operator.ports.metrics);
        let metrics = Tool::new("curl").args(["--silent", "--fail", &page]).run().expect_ok("the metrics").stdout;
        assert!(metrics.contains("caducee_traces_written_total"), "{metrics}");
        let names = [&from.address, &to.address].map(|address| address.split('@').next().unwrap());
        assert!(!metrics.contains('@') && !names.iter().any(|name| metrics.contains(name)), "{metrics}");
    }
}
