//! One operator's real server, set up from a sandbox's files: its own white list with as many domains of a played peer as a
//! test wants, its own routes and times; and the played peer, `fault_peer.py`.

use crate::support::{Description, Operator, Ran, Sandbox, ScratchDir, Tool, signal, wait_until};
use caducee::sandbox::trust_list;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use toml::{Table, toml};

/// How long a server may take to start or to stop, and anything to happen that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The files of operator A, and what the tests have changed of them.
pub(crate) struct Site {
    pub(crate) known: Description,
    scratch: ScratchDir,
    config: Table,
}

/// A running server of a [`Site`].
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
}

impl Site {
    /// A sandbox's files, after it has stopped; `domains` are listed beside its own, for the peer that tests play.
    pub(crate) fn new(domains: &[String]) -> Self {
        let scratch = ScratchDir::new();
        let sandbox = Sandbox::start_in(scratch.path());
        let known = sandbox.description.clone();
        sandbox.stop();
        list_for_peer(&known, scratch.path(), domains);
        let text = fs::read_to_string(&known.aura().config).expect("the sandbox's configuration");
        let config = text.parse().expect("TOML");
        Self { known, scratch, config }
    }

    /// Operator A, as the sandbox described it.
    pub(crate) fn operator(&self) -> &Operator {
        self.known.aura()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Sets the keys of some sections.
    pub(crate) fn configure(&mut self, changes: Table) {
        for (section, keys) in changes {
            let section = self.config.entry(section).or_insert_with(|| Table::new().into());
            let (Some(section), Some(keys)) = (section.as_table_mut(), keys.as_table()) else { panic!("a section") };
            section.extend(keys.clone());
        }
        fs::write(self.operator().config.with_file_name("test.toml"), self.config.to_string()).expect("written");
    }

    /// Routes for played peers: each domain to a port of loopback.
    pub(crate) fn route(&mut self, ports: &BTreeMap<String, u16>) {
        let route = |(domain, port): (&String, &u16)| {
            let (domain, host) = (domain.clone(), format!("127.0.0.1:{port}"));
            toml::Value::Table(toml! { domains = [domain]
            hosts = [host] })
        };
        let routes: Vec<toml::Value> = ports.iter().map(route).collect();
        let mut relay = Table::new();
        relay.insert("routes".into(), routes.into());
        let mut changes = Table::new();
        changes.insert("relay".into(), relay.into());
        self.configure(changes);
    }

    /// What a path in the configuration means.
    pub(crate) fn configured(&self, section: &str, key: &str) -> PathBuf {
        let setting = self.config[section][key].as_str().expect("a text");
        self.operator().config.with_file_name(setting)
    }

    /// Starts the server and waits until its submission door answers.
    pub(crate) fn start(&self) -> Server {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_caducee")))
    }

    /// The same by a command that the server's own words are added to.
    pub(crate) fn start_by(&self, mut command: Command) -> Server {
        let operator = self.operator();
        let log = fs::File::create(self.path("server.log")).expect("a log");
        let child = command
            .args(["serve", "--until-stdin-closes", "--config"])
            .arg(operator.config.with_file_name("test.toml"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log)
            .spawn()
            .expect("the server can be started");
        let server = Server { child, socket: operator.admin_socket.clone() };
        let door = ("127.0.0.1", operator.ports.submission);
        assert!(wait_until(SOON, || TcpStream::connect(door).is_ok()), "not listening:\n{}", self.log());
        server
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }
}

impl Server {
    /// Ends it as a power cut ends a process: at once.
    pub(crate) fn kill(mut self) {
        signal(self.child.id(), "KILL");
        let _ = self.child.wait();
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A verb of the command line, as a client of this server.
    pub(crate) fn caducee(&self, words: &[&str]) -> Ran {
        Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words).arg("--socket").arg(&self.socket).run()
    }

    /// The JSON that a verb prints.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let ran = self.caducee(&[words, &["--json"]].concat()).expect_ok("a verb");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}): {}", ran.stdout))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if !wait_until(SOON, || !matches!(self.child.try_wait(), Ok(None))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Signs the sandbox's white list anew with `domains` in it, each for the certificate of the peer that tests play.
fn list_for_peer(known: &Description, dir: &Path, domains: &[String]) {
    let text = fs::read_to_string(&known.white_list).expect("the sandbox's white list");
    let signature = text.find("<Signature").expect("a signature");
    let end = text.rfind("</").expect("an end tag");
    let mut unsigned = format!("{}{}", &text[..signature], &text[end..]);
    let of_peer = format!("<Nom>{}</Nom>", known.peers[0].domains[0]);
    let name = unsigned.find(&of_peer).expect("the peer is listed");
    let from = unsigned[..name].rfind("<Domaine>").expect("an entry");
    let until = name + unsigned[name..].find("</Domaine>").expect("an end") + "</Domaine>".len();
    let entry = unsigned[from..until].to_owned();
    let more: String =
        domains.iter().map(|domain| entry.replace(&of_peer, &format!("<Nom>{domain}</Nom>")) + "\n").collect();
    unsigned.insert_str(until, &format!("\n{more}"));
    let pki = dir.join("pki");
    let key = PrivatePkcs8KeyDer::from_pem_file(pki.join("liste.key")).expect("the signer's key");
    let signer = CertificateDer::from_pem_file(pki.join("liste.pem")).expect("the signer's certificate");
    let signed = trust_list::sign(unsigned.as_bytes(), key.secret_pkcs8_der(), &[signer.to_vec()]).expect("signed");
    fs::write(&known.white_list, signed).expect("written");
}

/// The peer that misbehaves, a port a fault.
pub(crate) struct FaultPeer {
    child: Child,
    /// By fault.
    pub(crate) ports: BTreeMap<String, u16>,
    journal: PathBuf,
}

impl FaultPeer {
    /// Starts it with the certificate of the played peer; it ends with the test.
    pub(crate) fn start(site: &Site, faults: &[&str]) -> Self {
        let known = &site.known;
        let journal = site.path("journal");
        let bad: serde_json::Map<String, Value> = known
            .bad_certificates
            .iter()
            .map(|(name, files)| (name.clone(), serde_json::json!({ "cert": files.cert, "key": files.key })))
            .collect();
        let spec = serde_json::json!({
            "cert": known.peers[0].cert, "key": known.peers[0].key, "ca": known.ca,
            "journal": journal, "certificates": bad, "faults": faults,
        });
        let path = site.path("peer.json");
        fs::write(&path, spec.to_string()).expect("written");
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sending/fault_peer.py"))
            .arg(&path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the ports");
        let ports = serde_json::from_str(&line).expect("the peer prints its ports");
        Self { child, ports, journal }
    }

    /// What it has taken so far.
    pub(crate) fn taken(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for FaultPeer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
