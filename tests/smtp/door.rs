//! A peer at the door of a running server: raw bytes through `openssl s_client`, and the server's counters.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Description, Identity, Operator, Ran, Tool};

/// What the server answered to a script that a peer wrote without waiting: openssl's `s_client` does TLS, the bytes are the
/// test's own. Begin with `EHLO`, end with `QUIT` or with what ends the connection.
pub(crate) fn talk(known: &Description, operator: &Operator, identity: &Identity, script: impl AsRef<[u8]>) -> Ran {
    let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
    let tool = tool.args(["-connect", &operator.smtp(), "-CAfile"]).arg(&known.ca);
    tool.arg("-cert")
        .arg(&identity.cert)
        .arg("-cert_chain")
        .arg(&identity.cert)
        .arg("-key")
        .arg(&identity.key)
        .input(script.as_ref())
        .run()
}

/// The same in plain text.
pub(crate) fn talk_plain(operator: &Operator, script: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(operator.smtp()).expect("the door is open");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(script.as_ref()).expect("the door reads");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// A figure of the server's, by the text in front of its value.
pub(crate) fn figure(operator: &Operator, name: &str) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", operator.ports.metrics)).expect("metrics are served");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("metrics are served");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("metrics are text");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// How often a rule has refused.
pub(crate) fn refusals(operator: &Operator, rule: &str) -> f64 {
    figure(operator, &format!("caducee_smtp_refusals_total{{rule=\"{rule}\"}}"))
}

/// Does something that a rule refuses: the reply's codes must come, with the rule's name and a reference, and be counted.
#[track_caller]
pub(crate) fn refused(operator: &Operator, code: &str, rule: &str, doing: impl FnOnce() -> String) -> String {
    let before = refusals(operator, rule);
    let said = doing();
    assert!(said.contains(code) && said.contains(&format!("[rule {rule}, ref ")), "no `{code}` by {rule} in:\n{said}");
    assert!(refusals(operator, rule) > before, "{rule} is not counted");
    said
}
