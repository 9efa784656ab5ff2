//! Other people's programs as judges: swaks, openssl, curl, mbsync, python3, xmlsec1, Postfix. Each run has a time limit.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` when it was ended by a signal or by the time limit.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The limit struck.
    pub timed_out: bool,
}

impl Ran {
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Both outputs, for searching in.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Panics with everything the program said unless it ended with 0.
    #[track_caller]
    pub fn expect_ok(self, doing: &str) -> Self {
        assert!(
            self.ok(),
            "{doing}: {:?}{}\n{}",
            self.code,
            if self.timed_out { ", timed out" } else { "" },
            self.all()
        );
        self
    }
}

/// Is `program` on the path? If not, says so where the test's reader sees it: `if !have("swaks") { return }`.
pub fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let found = std::env::split_paths(&path).chain(sbin).any(|dir| dir.join(program).is_file());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A program with arguments added one after another; a thin wrapper that keeps tests short.
pub struct Tool {
    command: Command,
    limit: Duration,
    input: Vec<u8>,
}

impl Tool {
    pub fn new(program: &str) -> Self {
        let mut command = Command::new(program);
        // A program that asks its user or follows a proxy of the surroundings is of no use here.
        command.env("LC_ALL", "C.UTF-8").env_remove("http_proxy").env_remove("https_proxy").env_remove("ALL_PROXY");
        Self { command, limit: Duration::from_secs(30), input: Vec::new() }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub fn run(self) -> Ran {
        run_with_input(self.command, self.input, self.limit)
    }
}

/// Runs to the end or to the limit, with no input.
pub fn run(command: Command, limit: Duration) -> Ran {
    run_with_input(command, Vec::new(), limit)
}

/// Runs to the end or to the limit; `input` is written and standard input then closed.
pub fn run_with_input(mut command: Command, input: Vec<u8>, limit: Duration) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {:?}: {e}", command.get_program()));
    let mut stdin = child.stdin.take();
    let feeding = thread::spawn(move || {
        if let Some(pipe) = stdin.as_mut() {
            // A program may end before it has read everything; that is its own affair.
            let _ = pipe.write_all(&input);
        }
    });
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let (code, timed_out) = wait(&mut child, limit);
    let _ = feeding.join();
    let text = |reader: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().expect("a reading thread ends")).into_owned()
    };
    Ran { code, stdout: text(stdout), stderr: text(stderr), timed_out }
}

fn collect<R: Read + Send + 'static>(from: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> (Option<i32>, bool) {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return (status.code(), false);
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return (None, true);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Polls `done` until it holds or `limit` has passed; for things that another program does in its own time.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
