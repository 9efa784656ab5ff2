//! The relay of ordinary mail in the sandbox: what is sent by it lies in a directory.

use crate::support::{Sandbox, Tool, have};
use serde_json::Value;

#[test]
fn what_is_sent_by_the_relay_of_ordinary_mail_can_be_read_in_its_directory() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::shared();
    let all: Value = serde_json::from_slice(&std::fs::read(sandbox.dir.join("sandbox.json")).unwrap()).unwrap();
    let port = all["notices"]["port"].as_u64().unwrap();
    let script = r#"
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as relay:
    relay.sendmail("avis@aura.example", ["camille@courriel.example"], "Subject: Avis\r\n\r\n.une ligne\r\n..deux points\r\n")
"#;
    Tool::new("python3").args(["-c", script, &port.to_string()]).run().expect_ok("sending a notice");
    let directory = sandbox.dir.join(all["notices"]["directory"].as_str().unwrap());
    let files =
        std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let found = files.into_iter().find(|text| text.contains("Subject: Avis")).expect("the message is there");
    assert!(found.starts_with("X-Envelope-To: <camille@courriel.example>\r\n"), "{found}");
    assert!(found.ends_with("\r\n\r\n.une ligne\r\n..deux points\r\n"), "{found}");
}
