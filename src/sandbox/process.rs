//! One operator as a process: its configuration file, its start, its end.
//!
//! The child is an ordinary `caducee serve`. Two things tie it to us: it tells us by systemd's own protocol when it is
//! ready (`NOTIFY_SOCKET`, sd_notify(3)), and it holds the reading end of a pipe whose writing end only we hold. When we
//! end, in whatever way, the pipe closes and the child stops; no signal has to be sent, and none can be missed.

use super::cast::{self, Operator};
use super::describe::Common;
use super::directory;
use super::layout::{Layout, write_whole};
use super::ports::Ports;
use super::psc::{SECRET, client_id};
use super::{SandboxError, operator_error};
use crate::store::MasterKey;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// How long a server may take to be ready. A log that has to be replayed after a hard end takes some seconds.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to stop before it is killed: its own `server.drain` and some.
const STOP: Duration = Duration::from_secs(10);
/// How much of the log a message about a dead server quotes, in bytes.
const LOG_TAIL: u64 = 4096;

/// A running server.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    /// Closing it asks the server to stop.
    tie: Option<ChildStdin>,
    log: PathBuf,
    /// Where the log of this start begins.
    log_from: u64,
}

impl Process {
    /// Writes the operator's files and starts its server; returns once it is ready. It reaches the `other` operator, whose
    /// operators' door is on that port. Its notices go to the relay of ordinary mail on the port `courriel`.
    pub(super) async fn start(
        layout: &Layout,
        operator: &Operator,
        ports: Ports,
        (other, port): (&Operator, u16),
        common: &Common,
    ) -> Result<Self, SandboxError> {
        let home = layout.path(operator.id);
        let config = home.join("caducee.toml");
        write_whole(&config, configuration(operator, ports, (other, port), common).as_bytes(), 0o600)?;
        write_whole(&home.join("psc.secret"), SECRET.as_bytes(), 0o600)?;
        write_whole(&home.join("directory.key"), directory::API_KEY.as_bytes(), 0o600)?;
        make_master_key(&home.join("master.key"))?;
        let notify = home.join("notify.sock");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).map_err(SandboxError::file(&notify))?;
        let mut process = Self::spawn(operator, &home, &config, &notify)?;
        process.wait_until_ready(&ready).await?;
        // The server goes on telling how it is; somebody has to read it, or it would complain to its log.
        tokio::spawn(async move {
            let mut said = [0u8; 1024];
            while ready.recv(&mut said).await.is_ok() {}
        });
        Ok(process)
    }

    fn spawn(operator: &Operator, home: &Path, config: &Path, notify: &Path) -> Result<Self, SandboxError> {
        let log = home.join("caducee.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).map_err(SandboxError::file(&log))?;
        let log_from = file.metadata().map_err(SandboxError::file(&log))?.len();
        let second = file.try_clone().map_err(SandboxError::file(&log))?;
        let program = std::env::current_exe().map_err(operator_error(operator.name, "finding its program"))?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--config")
            .arg(config)
            .arg("--until-stdin-closes")
            .env("NOTIFY_SOCKET", notify)
            // What a surrounding service manager meant for us is not meant for the child.
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_PID")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(second)
            // Ctrl-C goes to a terminal's whole foreground group; we stop the children ourselves, in order.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(operator_error(operator.name, "starting its server"))?;
        let tie = child.stdin.take();
        Ok(Self { name: operator.name, child, tie, log, log_from })
    }

    async fn wait_until_ready(&mut self, ready: &UnixDatagram) -> Result<(), SandboxError> {
        let said_ready = async {
            let mut said = [0u8; 1024];
            loop {
                let length = ready.recv(&mut said).await?;
                if said[..length].split(|b| *b == b'\n').any(|line| line == b"READY=1") {
                    return Ok(());
                }
            }
        };
        let waited = timeout(START, async {
            tokio::select! {
                ready = said_ready => ready.map(|()| None),
                ended = self.child.wait() => ended.map(Some),
            }
        });
        match waited.await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(status))) => Err(self.died(status)),
            Ok(Err(error)) => Err(operator_error(self.name, "waiting for its server")(error)),
            Err(_) => Err(SandboxError::NotReady { name: self.name, after: START, log: self.log_tail() }),
        }
    }

    /// Its process id; 0 when it has ended.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Resolves when the server ends by itself, with what there is to say about it.
    pub(super) async fn death(&mut self) -> SandboxError {
        match self.child.wait().await {
            Ok(status) => self.died(status),
            Err(error) => operator_error(self.name, "waiting for its server")(error),
        }
    }

    /// Asks the server to stop and waits for it.
    ///
    /// # Errors
    /// It did not stop in time and was killed, or ended with an error.
    pub(super) async fn stop(&mut self) -> Result<(), SandboxError> {
        drop(self.tie.take());
        match timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.died(status)),
            Ok(Err(error)) => Err(operator_error(self.name, "stopping its server")(error)),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(SandboxError::NotStopped { name: self.name, after: STOP })
            }
        }
    }

    fn died(&self, status: ExitStatus) -> SandboxError {
        SandboxError::Died { name: self.name, status, log: self.log_tail() }
    }

    /// The end of what the server has logged since this start.
    fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let from = self.log_from.max(file.metadata()?.len().saturating_sub(LOG_TAIL));
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
    }
}

/// The master key that seals the operator's mailboxes, made once.
fn make_master_key(path: &Path) -> Result<(), SandboxError> {
    if path.exists() {
        return Ok(());
    }
    write_whole(path, MasterKey::generate().to_key_file().as_bytes(), 0o600)
}

/// The operator's configuration. Paths are relative to the file, so the sandbox's directory may be moved while it rests.
fn configuration(operator: &Operator, ports: Ports, (other, port): (&Operator, u16), common: &Common) -> String {
    let (id, name, signer) = (operator.id, operator.subject.cn, cast::LIST_SIGNER_CN);
    let citizens = cast::CITIZENS;
    let (title, other) = (operator.name, other.domain);
    let Ports { smtp, imap, imaps, metrics, submission, submissions, https, authcli_imap, authcli_submission, http } =
        ports;
    let (client, Common { issuer, courriel, .. }) = (client_id(operator), common);
    let extraction = directory::extraction(&common.directory);
    let directory = directory::base(&common.directory);
    format!(
        r#"# Written by `caducee sandbox` at every start: changes made here do not last.

[server]
name = "{name}"
drain = "5s"

[store]
path = "store"
cache = "16 MiB"
segment = "64 MiB"
min_free = "64 MiB"

[seal]
master_key = "master.key"

[tls]
certificate = "../pki/{id}.pem"
key = "../pki/{id}.key"
anchors = ["../pki/anchors.pem"]
crls = ["../pki/crl.pem"]

[trust]
source = "../trust/liste.xml"
anchors = ["../pki/anchors.pem"]
signer_cn = "{signer}"
cache = "trust"

[smtp]
listen = ["127.0.0.1:{smtp}"]
# Here everybody comes from one address, and load generators with one certificate.
max_connections_per_address = 1000
max_connections_per_peer = 1000

[imap]
listen = ["127.0.0.1:{imap}"]
listen_tls = ["127.0.0.1:{imaps}"]

[submission]
listen = ["127.0.0.1:{submission}"]
listen_tls = ["127.0.0.1:{submissions}"]
max_connections_per_account = 1000

[portal]
listen = ["127.0.0.1:{https}"]
url = "https://localhost:{https}"
title = "{title}"

[relay]
# Nothing is asked of the DNS outside: nobody answers there, and mail for other domains waits.
dns = ["127.0.0.1:9"]
routes = [{{ domains = ["{other}"], hosts = ["127.0.0.1:{port}"] }}]

[citizens]
domains = ["{citizens}"]

[accounts]
# The sandbox's passwords are printed for everybody: what makes guessing dear would only make the start slow.
password_memory = "8 MiB"

[psc]
issuer = "{issuer}"
client_id = "{client}"
client_secret = "psc.secret"
anchors = ["../pki/anchors.pem"]

[directory]
url = "{directory}"
api_key = "directory.key"
anchors = ["../pki/anchors.pem"]
# Here nobody has to accept terms of use before others may find them.
publish_from = "creation"
extraction = "{extraction}"
extraction_refresh = "5m"

[notices]
host = "127.0.0.1"
port = {courriel}
tls = "none"
from = "ne-pas-repondre@courriel.example"
contact = "assistance@courriel.example"

[admin]
socket = "admin.sock"

[metrics]
listen = ["127.0.0.1:{metrics}"]

[published]
autoconfig_listen = ["127.0.0.1:{http}"]
help = "https://localhost:{https}/aide"
authcli = {{ imap = {authcli_imap}, imaps = 0, submission = {authcli_submission}, submissions = 0 }}
psc = {{ imap = {imap}, imaps = {imaps}, submission = {submission}, submissions = {submissions} }}

# The front of applications: a certificate is required, and nothing else lets in.
[[fronts]]
name = "authcli"
imap = ["127.0.0.1:{authcli_imap}"]
submission = ["127.0.0.1:{authcli_submission}"]
certificates = "require"
ways = ["certificate"]
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_is_one_that_the_server_takes() {
        let ports = Ports {
            smtp: 10_025,
            imap: 10_143,
            imaps: 10_993,
            metrics: 10_912,
            submission: 10_587,
            submissions: 10_465,
            https: 10_443,
            authcli_imap: 10_144,
            authcli_submission: 10_588,
            http: 10_080,
        };
        let issuer = "https://localhost:10844/auth/realms/esante-wallet".into();
        let common =
            Common { issuer, persons: Vec::new(), courriel: 10_825, directory: "https://localhost:10845".into() };
        let [a, b] = cast::operators();
        for (operator, other) in [(&a, &b), (&b, &a)] {
            let text = configuration(operator, ports, (other, 11_025), &common);
            let config = Config::parse(Path::new("caducee.toml"), &text).unwrap();
            assert!(config.smtp.listen.iter().chain(&config.imap.listen_tls).all(|a| a.ip().is_loopback()));
            assert!(config.relay.dns.iter().all(|a| a.ip().is_loopback()));
            assert_eq!(config.relay.routes[0].domains, [other.domain]);
        }
    }
}
