//! Starting, stopping, starting again, and dying.

use crate::support::{Sandbox, ScratchDir, have, run, search, signal, wait_until};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

fn alive(pid: u32) -> bool {
    // A zombie has ended; its parent has only not asked yet.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

#[test]
fn a_stop_ends_both_servers_and_the_process_with_success() {
    for how in ["TERM", "INT"] {
        let sandbox = Sandbox::start();
        let pids: Vec<u32> = sandbox.description.operators.iter().map(|o| o.pid).collect();
        let port = sandbox.description.aura().ports.smtp;
        let description = sandbox.dir.join("sandbox.json");
        let mut sandbox = sandbox;
        signal(sandbox.pid(), how);
        let status = sandbox.wait_for_end();
        assert!(status.success(), "SIG{how}: {status}\n{}", sandbox.said());
        assert!(pids.iter().all(|pid| !alive(*pid)));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!description.exists(), "a description of nothing");
    }
}

#[test]
fn a_second_start_keeps_mail_and_certificates_and_delivers_no_sample_twice() {
    if !have("curl") {
        return;
    }
    let scratch = ScratchDir::new();
    let first = Sandbox::start_in(scratch.path());
    let root = std::fs::read(&first.description.ca).unwrap();
    let count = |sandbox: &Sandbox| {
        let known = &sandbox.description;
        known.operators.iter().map(|o| search(known, o, o.mailbox("PER"), "ALL").len()).collect::<Vec<_>>()
    };
    let before = count(&first);
    assert!(before.iter().all(|n| *n > 0));
    assert!(first.stop().success());
    let second = Sandbox::start_in(scratch.path());
    assert_eq!(count(&second), before);
    assert_eq!(std::fs::read(&second.description.ca).unwrap(), root, "people have imported the root");
}

#[test]
fn a_second_start_beside_a_running_one_is_refused_and_says_who_runs() {
    let sandbox = Sandbox::start();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_caducee"));
    command.arg("sandbox").arg("--dir").arg(&sandbox.dir).args(["--base-port", "0"]);
    let refused = run(command, SOON);
    assert_eq!(refused.code, Some(1), "{}", refused.all());
    assert!(refused.stderr.contains(&format!("process {}", sandbox.pid())), "{}", refused.stderr);
    assert!(sandbox.dir.join("sandbox.json").exists(), "the running one is still described");
}

#[test]
fn the_death_of_a_server_ends_the_sandbox_and_is_told() {
    let mut sandbox = Sandbox::start();
    let victim = sandbox.description.aura();
    let (name, other) = (victim.name.clone(), sandbox.description.aquitaine().pid);
    signal(victim.pid, "KILL");
    let status = sandbox.wait_for_end();
    assert_eq!(status.code(), Some(1));
    assert!(sandbox.said().contains(&name), "{}", sandbox.said());
    assert!(!alive(other));
}

#[test]
fn the_servers_end_when_the_sandbox_is_killed() {
    let mut sandbox = Sandbox::start();
    let pids: Vec<u32> = sandbox.description.operators.iter().map(|o| o.pid).collect();
    signal(sandbox.pid(), "KILL");
    let _ = sandbox.wait_for_end();
    assert!(wait_until(SOON, || pids.iter().all(|pid| !alive(*pid))), "{pids:?}");
}

#[test]
fn a_directory_too_deep_for_unix_sockets_is_refused_with_a_reason() {
    let scratch = ScratchDir::new();
    let deep = scratch.path().join("d".repeat(90));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_caducee"));
    command.arg("sandbox").arg("--dir").arg(Path::new(&deep)).args(["--base-port", "0"]);
    let refused = run(command, SOON);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--dir"), "{}", refused.stderr);
}
