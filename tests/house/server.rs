//! The real binary as a process: started with a configuration, watched through `NOTIFY_SOCKET` and its ports.

use crate::pki::{Leaf, Pki, text};
use crate::support::wait_until;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that the server does at once.
pub const SOON: Duration = Duration::from_secs(30);

/// A configuration on disk, with a PKI and a signed list's place.
pub struct Site {
    pub pki: Pki,
    pub smtp: u16,
    pub imap: u16,
    pub imaps: u16,
    pub metrics: u16,
}

impl Site {
    pub fn new() -> Self {
        let pki = Pki::new();
        let files = pki.leaf(&Leaf::good("serveur", 1));
        assert_eq!(files.certificate, pki.path("serveur.pem"));
        pki.write("anchors.pem", &(pki.root.pem.clone() + &pki.intermediate.pem));
        pki.write("master.key", &"0123456789abcdef".repeat(4));
        let [smtp, imap, imaps, metrics] = [(); 4].map(|()| port_of_ours());
        let site = Self { pki, smtp, imap, imaps, metrics };
        site.configure(|text| text);
        site
    }

    /// Writes the configuration, changed.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let Self { smtp, imap, imaps, metrics, .. } = self;
        let text = format!(
            r#"
[server]
name = "mx.test.example"
drain = "2s"
[store]
path = "store"
cache = "4 MiB"
segment = "4 MiB"
min_free = "1 MiB"
[seal]
master_key = "master.key"
[tls]
certificate = "serveur.pem"
key = "serveur.key"
anchors = ["anchors.pem"]
crls = ["crl.pem"]
[trust]
source = "liste.xml"
anchors = ["anchors.pem"]
cache = "trust"
[smtp]
listen = ["127.0.0.1:{smtp}"]
[imap]
listen = ["127.0.0.1:{imap}"]
listen_tls = ["127.0.0.1:{imaps}"]
[submission]
listen = []
listen_tls = []
[admin]
socket = "admin.sock"
[metrics]
listen = ["127.0.0.1:{metrics}"]
[log]
level = "debug"
[tls.mailbox]
policies = ["1.2.250.1.71.4.2.2"]
"#
        );
        self.pki.write("caducee.toml", &change(text));
    }

    pub fn config(&self) -> PathBuf {
        self.pki.path("caducee.toml")
    }

    pub fn start(&self) -> Server {
        self.start_as(program())
    }

    /// Starts `command` with `serve --config …` and waits until it says that it is ready.
    pub fn start_as(&self, command: Command) -> Server {
        let mut server = self.spawn(command);
        server.wait_for("READY=1");
        server
    }

    /// Starts a command that first prints the ports of the sockets it passes.
    pub fn start_with_ports(&self, mut command: Command) -> (Server, Vec<u16>) {
        let mut server = self.spawn_with(&mut command, Stdio::piped());
        let mut line = String::new();
        let output = server.child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the ports");
        let ports = line.split_whitespace().map(|port| port.parse().expect("a port")).collect();
        (server, ports)
    }

    pub fn spawn(&self, mut command: Command) -> Server {
        self.spawn_with(&mut command, Stdio::null())
    }

    fn spawn_with(&self, command: &mut Command, stdout: Stdio) -> Server {
        let path = self.pki.path("notify.sock");
        let _ = fs::remove_file(&path);
        let notify = UnixDatagram::bind(&path).expect("a socket");
        notify.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let log = fs::File::create(self.pki.path("log")).expect("a log");
        let child = command
            .args(["serve", "--config", &text(&self.config())])
            .env("NOTIFY_SOCKET", &path)
            .env_remove("CADUCEE_LOG")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Server { child, notify, told: Vec::new(), log: self.pki.path("log"), metrics: self.metrics }
    }
}

/// A port that is free and that nobody takes by chance: below those that the system gives out, each one once.
fn port_of_ours() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const RANGE: u16 = 20_000;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Test binaries that run side by side begin at different places.
        let begin = (std::process::id() % 499) as u16 * 40;
        let port = 11_000 + (begin + step) % RANGE;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The binary under test.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_caducee"))
}

/// A running server; killed on drop.
pub struct Server {
    pub child: Child,
    notify: UnixDatagram,
    /// Every line that it told the service manager, in order.
    pub told: Vec<String>,
    log: PathBuf,
    metrics: u16,
}

impl Server {
    /// Takes in what the server has told until one line is `expected`.
    #[track_caller]
    pub fn wait_for(&mut self, expected: &str) {
        let begun = Instant::now();
        while !self.told.iter().any(|line| line == expected) {
            self.hear();
            let ended = self.child.try_wait().expect("a child");
            let waiting = ended.is_none() && begun.elapsed() < SOON;
            assert!(waiting, "no {expected}: {ended:?}, told {:?}\n{}", self.told, self.log());
        }
    }

    /// As [`Server::wait_for`], of one that has ended: what it told is in the socket.
    #[track_caller]
    pub fn wait_for_told(&mut self, expected: &str) {
        let told = wait_until(SOON, || {
            self.hear();
            self.told.iter().any(|line| line == expected)
        });
        assert!(told, "no {expected} in {:?}", self.told);
    }

    /// Takes in what is there, or waits a moment.
    pub fn hear(&mut self) {
        let mut datagram = [0u8; 4096];
        if let Ok(length) = self.notify.recv(&mut datagram) {
            let lines = String::from_utf8_lossy(&datagram[..length]).into_owned();
            self.told.extend(lines.lines().map(str::to_owned));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(SOON, || {
            self.hear();
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("the server does not end\n{}", self.log()))
    }

    /// A GET on the metrics' port: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).expect("the metrics' port");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line-by-line conversation in clear.
pub struct Talk(BufReader<TcpStream>);

impl Talk {
    #[track_caller]
    pub fn with(port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, SOON).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    #[track_caller]
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    pub fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("said");
    }
}
