//! `sandbox.json`: the contract that tests and tools start from. Paths are relative to the sandbox's directory.

use super::SandboxError;
use super::cast::{self, Holder, Resident};
use super::directory::{self, Directory};
use super::layout::{Layout, write_whole};
use super::pki::{Identity, P12_PASSWORD, Pki};
use super::ports::Ports;
use super::psc::{Person, ProSanteConnect, SECRET, SOFTWARE, client_id};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Description {
    /// The process that runs the sandbox; the file is removed when it stops.
    pid: u32,
    version: &'static str,
    ca: PathBuf,
    /// Root and intermediate in one file, for programs that do not take the intermediate from the peer.
    anchors: PathBuf,
    crl: PathBuf,
    white_list: PathBuf,
    /// The common name that the white list's signer has to have.
    white_list_signer: &'static str,
    operators: Vec<Operator>,
    bad_certificates: BTreeMap<&'static str, Files>,
    /// Listed operators that nobody serves: identities to play a peer with.
    peers: Vec<Peer>,
    /// The Pro Santé Connect look-alike.
    psc: Psc,
    /// The look-alike of the national directory.
    directory: DirectoryOf,
    /// The relay of ordinary mail: what notices there were.
    notices: Notices,
}

#[derive(Serialize)]
struct Operator {
    name: &'static str,
    domains: Vec<&'static str>,
    admin_socket: PathBuf,
    config: PathBuf,
    log: PathBuf,
    pid: u32,
    ports: AllPorts,
    #[serde(flatten)]
    identity: Files,
    mailboxes: Vec<Mailbox>,
    special_mailboxes: BTreeMap<&'static str, Mailbox>,
}

/// 0: not served yet.
#[derive(Serialize)]
struct AllPorts {
    smtp: u16,
    submission: u16,
    submissions: u16,
    imap: u16,
    imaps: u16,
    https: u16,
    metrics: u16,
    authcli_imap: u16,
    authcli_submission: u16,
    http: u16,
}

#[derive(Serialize)]
struct Psc {
    issuer: String,
    /// OpenID Connect discovery, at Pro Santé Connect's own path.
    discovery: String,
    /// Takes the knobs as JSON.
    knobs: String,
    /// Takes `person=`, answers with tokens.
    token: String,
    clients: Vec<ClientOf>,
    persons: Vec<Person>,
}

#[derive(Serialize)]
struct ClientOf {
    client_id: String,
    client_secret: &'static str,
}

#[derive(Serialize)]
struct DirectoryOf {
    /// The FHIR base.
    base: String,
    /// For the header `ESANTE-API-KEY`.
    api_key: &'static str,
    /// Takes the knobs as JSON.
    knobs: String,
    /// The public extraction, a ZIP.
    extraction: String,
    /// What was asked of it: readings counted, patches that were applied.
    seen: String,
}

#[derive(Serialize)]
struct Notices {
    port: u16,
    directory: &'static str,
}

#[derive(Serialize)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct Mailbox {
    address: String,
    kind: &'static str,
    test: bool,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    p12: PathBuf,
    p12_password: &'static str,
}

#[derive(Serialize)]
struct Peer {
    name: &'static str,
    domains: &'static [&'static str],
    #[serde(flatten)]
    identity: Files,
}

/// An operator that runs.
pub(super) struct Running<'a> {
    pub(super) operator: &'a cast::Operator,
    pub(super) ports: Ports,
    pub(super) pid: u32,
}

/// What serves both operators.
pub(super) struct Common {
    pub(super) issuer: String,
    pub(super) persons: Vec<Person>,
    /// The port of the relay of ordinary mail.
    pub(super) courriel: u16,
    /// `https://localhost:PORT` of the look-alike of the national directory.
    pub(super) directory: String,
}

impl Common {
    pub(super) fn of(connect: &ProSanteConnect, courriel: u16, directory: &Directory) -> Self {
        Self {
            issuer: connect.issuer().to_owned(),
            persons: connect.people().to_vec(),
            courriel,
            directory: directory.host().to_owned(),
        }
    }

    fn directory(&self) -> DirectoryOf {
        let host = &self.directory;
        DirectoryOf {
            base: directory::base(host),
            extraction: directory::extraction(host),
            api_key: directory::API_KEY,
            knobs: format!("{host}/_sandbox/knobs"),
            seen: format!("{host}/_sandbox/seen"),
        }
    }

    fn psc(self, running: &[Running<'_>]) -> Psc {
        let Self { issuer, persons, .. } = self;
        let host = issuer.split("/auth/").next().unwrap_or_default();
        let ids = running.iter().map(|one| client_id(one.operator)).chain([SOFTWARE.to_owned()]);
        Psc {
            discovery: format!("{issuer}/.well-known/wallet-openid-configuration"),
            knobs: format!("{host}/_sandbox/knobs"),
            token: format!("{host}/_sandbox/token"),
            clients: ids.map(|client_id| ClientOf { client_id, client_secret: SECRET }).collect(),
            persons,
            issuer,
        }
    }
}

/// Writes the description, all of it or nothing.
pub(super) fn write(layout: &Layout, pki: &Pki, running: &[Running<'_>], common: Common) -> Result<(), SandboxError> {
    let describing = Describing { dir: layout.dir(), pki };
    let description = Description {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        ca: describing.relative(pki.root()),
        anchors: describing.relative(pki.anchors()),
        crl: describing.relative(pki.crl()),
        white_list: describing.relative(layout.white_list()),
        white_list_signer: cast::LIST_SIGNER_CN,
        operators: running.iter().map(|running| describing.operator(running)).collect(),
        bad_certificates: cast::BAD_CERTIFICATES.into_iter().map(|name| (name, describing.files(name))).collect(),
        peers: cast::peers()
            .into_iter()
            .map(|peer| {
                let identity = describing.files(peer.certificate);
                Peer { name: peer.name, domains: peer.domains, identity }
            })
            .collect(),
        notices: Notices { port: common.courriel, directory: "courriel" },
        directory: common.directory(),
        psc: common.psc(running),
    };
    let text = serde_json::to_vec_pretty(&description).map_err(SandboxError::internal("sandbox.json"))?;
    write_whole(&layout.description(), &text, 0o600)
}

struct Describing<'a> {
    dir: &'a Path,
    pki: &'a Pki,
}

impl Describing<'_> {
    fn relative(&self, path: PathBuf) -> PathBuf {
        path.strip_prefix(self.dir).map(Path::to_owned).unwrap_or(path)
    }

    fn files(&self, certificate: &str) -> Files {
        let Identity { cert, key } = self.pki.identity(certificate);
        Files { cert: self.relative(cert), key: self.relative(key) }
    }

    fn operator(&self, Running { operator, ports, pid }: &Running<'_>) -> Operator {
        let below = |name: &str| Path::new(operator.id).join(name);
        let Ports { smtp, imap, imaps, metrics, submission, submissions, https, .. } = *ports;
        let (authcli_imap, authcli_submission, http) = (ports.authcli_imap, ports.authcli_submission, ports.http);
        let (special, ordinary): (Vec<_>, Vec<_>) =
            operator.residents.iter().partition(|resident| resident.special.key().is_some());
        Operator {
            name: operator.name,
            domains: vec![operator.domain],
            admin_socket: below("admin.sock"),
            config: below("caducee.toml"),
            log: below("caducee.log"),
            pid: *pid,
            ports: AllPorts {
                smtp,
                submission,
                submissions,
                imap,
                imaps,
                https,
                metrics,
                authcli_imap,
                authcli_submission,
                http,
            },
            identity: self.files(operator.id),
            mailboxes: ordinary.into_iter().map(|resident| self.mailbox(operator, resident)).collect(),
            special_mailboxes: special
                .into_iter()
                .filter_map(|resident| Some((resident.special.key()?, self.mailbox(operator, resident))))
                .collect(),
        }
    }

    fn mailbox(&self, operator: &cast::Operator, resident: &Resident) -> Mailbox {
        let address = operator.address(resident);
        let certificate = resident.certificate.map(|name| {
            let Files { cert, key } = self.files(name);
            Certificate { cert, key, p12: self.relative(self.pki.p12(name)), p12_password: P12_PASSWORD }
        });
        Mailbox {
            login: resident.password.then(|| address.clone()),
            password: resident.password.then_some(cast::PASSWORD),
            address,
            kind: resident.kind,
            test: resident.test,
            name: resident.holder.display(),
            person: match resident.holder {
                Holder::Person { person, .. } => Some(person),
                Holder::Structure { .. } => None,
            },
            certificate,
        }
    }
}
