//! A real Thunderbird as an enrolled workstation (`tests/clients/thunderbird.py`).

use std::time::Duration;

use crate::support::{Sandbox, Tool, have};

#[test]
fn a_real_thunderbird_works_as_an_enrolled_workstation_and_as_nothing_else() {
    if !["python3", "openssl", "thunderbird", "certutil", "pk12util"].into_iter().all(have) {
        return;
    }
    // Its own: a mailbox of it opens by no password alone meanwhile.
    let sandbox = Sandbox::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/thunderbird.py");
    let tool = Tool::new("python3").arg(script).arg("--sandbox").arg(&sandbox.dir).args(["--enrol", "psc"]);
    let ran = tool.args(["--caducee", env!("CARGO_BIN_EXE_caducee")]).limit(Duration::from_secs(180)).run();
    assert!(ran.ok() && ran.stdout.contains("all well"), "{}", ran.all());
}
