//! `sandbox.json` as its readers see it: written apart from the server's own types, so that a change of the contract
//! breaks the tests and not only its users.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole description; every path is absolute once read by [`Description::read`].
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// The sandbox's own process.
    pub pid: u32,
    /// The root certificate, PEM.
    pub ca: PathBuf,
    /// The revocation lists of root and intermediate, PEM, one file.
    pub crl: PathBuf,
    /// The signed white list.
    pub white_list: PathBuf,
    /// The two operators; `operators[0]` is `aura.mssante.example`.
    pub operators: Vec<Operator>,
    /// Certificates a receiver must refuse, by what is wrong with them.
    pub bad_certificates: BTreeMap<String, Identity>,
    /// Operators that are in the white list and that nobody serves: the identities for playing a peer.
    pub peers: Vec<Peer>,
}

/// One served operator.
#[derive(Debug, Clone, Deserialize)]
pub struct Operator {
    pub name: String,
    pub domains: Vec<String>,
    pub admin_socket: PathBuf,
    pub config: PathBuf,
    pub log: PathBuf,
    pub pid: u32,
    pub ports: Ports,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub mailboxes: Vec<Mailbox>,
    /// Mailboxes in an unusual state: `suspended`, `restricted`, `tiny_quota`, `closed`.
    pub special_mailboxes: BTreeMap<String, Mailbox>,
}

/// Ports on 127.0.0.1; 0 is "not served".
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Ports {
    pub smtp: u16,
    pub submission: u16,
    pub submissions: u16,
    pub imap: u16,
    pub imaps: u16,
    pub https: u16,
    pub metrics: u16,
    pub authcli_imap: u16,
    pub authcli_submission: u16,
    pub http: u16,
}

/// A mailbox and how it may be opened.
#[derive(Debug, Clone, Deserialize)]
pub struct Mailbox {
    pub address: String,
    pub kind: String,
    pub test: bool,
    pub login: Option<String>,
    pub password: Option<String>,
    pub person: Option<String>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub p12: Option<PathBuf>,
    pub p12_password: Option<String>,
}

/// A certificate chain and its key, PEM.
#[derive(Debug, Clone, Deserialize)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A listed operator without a server of ours.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    pub name: String,
    pub domains: Vec<String>,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Description {
    /// Reads `DIR/sandbox.json` and makes its paths absolute.
    pub fn read(dir: &Path) -> Self {
        let path = dir.join("sandbox.json");
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
        let mut read: Self =
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{} breaks the contract: {e}", path.display()));
        read.make_absolute(dir);
        read
    }

    fn make_absolute(&mut self, dir: &Path) {
        let at = |path: &mut PathBuf| *path = dir.join(&*path);
        [&mut self.ca, &mut self.crl, &mut self.white_list].into_iter().for_each(at);
        for operator in &mut self.operators {
            let own = [&mut operator.admin_socket, &mut operator.config, &mut operator.log];
            own.into_iter().chain([&mut operator.cert, &mut operator.key]).for_each(at);
            for mailbox in operator.mailboxes.iter_mut().chain(operator.special_mailboxes.values_mut()) {
                [&mut mailbox.cert, &mut mailbox.key, &mut mailbox.p12].into_iter().flatten().for_each(at);
            }
        }
        for bad in self.bad_certificates.values_mut() {
            [&mut bad.cert, &mut bad.key].into_iter().for_each(at);
        }
        for peer in &mut self.peers {
            [&mut peer.cert, &mut peer.key].into_iter().for_each(at);
        }
    }

    /// The operator of `aura.mssante.example`: the one most tests deliver to and read from.
    pub fn aura(&self) -> &Operator {
        &self.operators[0]
    }

    /// The operator of `nouvelle-aquitaine.mssante.example`: the peer in most tests.
    pub fn aquitaine(&self) -> &Operator {
        &self.operators[1]
    }

    /// The certificate that is wrong in the way `name` says.
    pub fn bad(&self, name: &str) -> &Identity {
        self.bad_certificates.get(name).unwrap_or_else(|| panic!("no bad certificate called {name}"))
    }
}

impl Operator {
    /// The certificate and key with which this operator speaks to others.
    pub fn identity(&self) -> Identity {
        Identity { cert: self.cert.clone(), key: self.key.clone() }
    }

    /// The first mailbox of `kind` that is no test mailbox.
    pub fn mailbox(&self, kind: &str) -> &Mailbox {
        let found = self.mailboxes.iter().find(|m| m.kind == kind && !m.test);
        found.unwrap_or_else(|| panic!("{} has no {kind} mailbox", self.name))
    }

    /// The first test mailbox with a password.
    pub fn test_mailbox(&self) -> &Mailbox {
        let found = self.mailboxes.iter().find(|m| m.test && m.password.is_some());
        found.unwrap_or_else(|| panic!("{} has no test mailbox with a password", self.name))
    }

    /// A mailbox in an unusual state: `suspended`, `restricted`, `tiny_quota`, `closed`.
    pub fn special(&self, state: &str) -> &Mailbox {
        self.special_mailboxes.get(state).unwrap_or_else(|| panic!("{} has no {state} mailbox", self.name))
    }

    /// `127.0.0.1:PORT` of the door for other operators.
    pub fn smtp(&self) -> String {
        format!("127.0.0.1:{}", self.ports.smtp)
    }
}

impl Mailbox {
    /// Login name and password; panics where the mailbox has none.
    pub fn credentials(&self) -> (&str, &str) {
        match (&self.login, &self.password) {
            (Some(login), Some(password)) => (login, password),
            _ => panic!("{} has no password", self.address),
        }
    }
}
