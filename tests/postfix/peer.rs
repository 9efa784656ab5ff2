//! Debian's Postfix as `operateur-c.mssante.example`: its own configuration, queue and ports in a scratch directory.
//! Nothing of the system's own Postfix is read or touched.

use crate::support::{Description, Operator, ScratchDir, Tool, free_port, have, wait_until};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long Postfix may take to start, to deliver or to bounce.
const PATIENCE: Duration = Duration::from_secs(30);
/// The one mailbox of Postfix's domain.
pub(crate) const POSTMAN: &str = "dr.postier@operateur-c.mssante.example";
/// An address that Postfix takes, and gives up only later: it leads out of what it can reach.
pub(crate) const MOVED: &str = "dr.parti@operateur-c.mssante.example";
/// The user and group for Postfix's own mailboxes: `nobody`.
const NOBODY: u32 = 65_534;

/// A running Postfix; dropping it stops it.
pub(crate) struct Postfix {
    scratch: ScratchDir,
    pub(crate) ports: Ports,
    master: Child,
}

/// Where it listens on loopback.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// For the mail programs of its own domain.
    own: u16,
    /// For other operators: TLS and a client certificate are demanded.
    pub(crate) door: u16,
    /// The same without CHUNKING and DSN.
    pub(crate) plain_door: u16,
}

impl Postfix {
    /// Starts it, or says why the test is skipped: Postfix is not installed, or its master cannot become other users.
    pub(crate) fn start(known: &Description) -> Option<Self> {
        if !have("postfix") || !have("swaks") || !have("curl") {
            return None;
        }
        if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
            println!("skipped: Postfix's master process has to be started by root");
            return None;
        }
        let scratch = ScratchDir::new();
        let ports = Ports { own: free_port(), door: free_port(), plain_door: free_port() };
        lay_out(scratch.path(), ports, known);
        // Its end is tied to ours: the shell waits on a pipe that only this process holds, and then stops Postfix.
        let script = "postfix -c \"$0\" start-fg & cat >/dev/null; postfix -c \"$0\" stop; wait";
        let master = Command::new("sh")
            .args(["-c", script])
            .arg(scratch.path().join("etc"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let postfix = Self { scratch, ports, master };
        let up = wait_until(PATIENCE, || TcpStream::connect(("127.0.0.1", ports.own)).is_ok());
        assert!(up, "Postfix does not listen:\n{}", postfix.log());
        Some(postfix)
    }

    /// Gives Postfix a message to send, as a mail program of its own domain would.
    pub(crate) fn submit(&self, from: &str, to: &str, subject: &str, body: &str) {
        let mime = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"];
        Tool::new("swaks")
            .args(["--server", &format!("127.0.0.1:{}", self.ports.own), "--from", from, "--to", to])
            .args(["--header", &format!("From: {from}"), "--header", &format!("Subject: {subject}"), "--body", body])
            .args(mime.iter().flat_map(|line| ["--add-header", line]))
            .run()
            .expect_ok("giving Postfix a message");
    }

    /// What Postfix has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log/maillog")).unwrap_or_default()
    }

    /// Waits until the log has a line with all of these in it, and returns that line.
    pub(crate) fn logged(&self, parts: &[&str]) -> String {
        let find = || {
            let log = self.log();
            log.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        assert!(wait_until(PATIENCE, || find().is_some()), "no line with {parts:?} in:\n{}", self.log());
        find().unwrap_or_default()
    }

    /// Waits for a message in Postfix's own mailbox for its domain, where its bounces go.
    pub(crate) fn own_message(&self, part: &str) -> String {
        let new = self.scratch.path().join("mail/inbox/new");
        let read = || {
            let files = fs::read_dir(&new).into_iter().flatten().flatten();
            files.filter_map(|file| fs::read_to_string(file.path()).ok()).find(|text| text.contains(part))
        };
        assert!(wait_until(PATIENCE, || read().is_some()), "no message with {part:?}:\n{}", self.log());
        read().unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        drop(self.master.stdin.take());
        if !wait_until(PATIENCE, || !matches!(self.master.try_wait(), Ok(None))) {
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

fn lay_out(dir: &Path, ports: Ports, known: &Description) {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    for sub in ["etc", "queue", "data", "log", "mail"] {
        let path = dir.join(sub);
        fs::create_dir_all(&path).expect("a directory");
        mode(&path, 0o755);
    }
    chown(dir.join("mail"), Some(NOBODY), Some(NOBODY)).expect("root may give directories away");
    let owner = Command::new("id").args(["-u", "postfix"]).output().expect("id can be run").stdout;
    let owner: u32 = String::from_utf8_lossy(&owner).trim().parse().expect("the user postfix exists");
    chown(dir.join("data"), Some(owner), None).expect("root may give directories away");
    let etc = dir.join("etc");
    fs::write(etc.join("main.cf"), main_cf(dir, known)).expect("main.cf");
    fs::write(etc.join("master.cf"), master_cf(ports)).expect("master.cf");
}

/// As an operator would have it: mutual TLS with both served operators, whose certificates are verified by name.
fn main_cf(dir: &Path, known: &Description) -> String {
    let peer = &known.peers[0];
    let route =
        |operator: &Operator| format!(" {{ {} = smtp:[127.0.0.1]:{} }}", operator.domains[0], operator.ports.smtp);
    let routes: String = known.operators.iter().map(route).collect();
    let path = |path: &PathBuf| path.display().to_string();
    format!(
        "compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/log/maillog
maillog_file_prefixes = {dir}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = smtp.operateur-c.mssante.example
myorigin = operateur-c.mssante.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
biff = no
virtual_mailbox_domains = operateur-c.mssante.example
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = inline:{{ {{ {POSTMAN} = inbox/ }} }}
virtual_alias_maps = inline:{{ {{ {MOVED} = dr.parti@ailleurs.example }} }}
default_transport = error:5.1.6 this address has moved out of the trust space
virtual_uid_maps = static:{NOBODY}
virtual_gid_maps = static:{NOBODY}
transport_maps = inline:{{{routes} }}
relay_domains = $transport_maps
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_CAfile = {ca}
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 1
smtp_tls_security_level = verify
smtp_tls_verify_cert_match = hostname, smtp.aura.mssante.example, smtp.nouvelle-aquitaine.mssante.example
smtp_tls_CAfile = {ca}
smtp_tls_cert_file = {cert}
smtp_tls_key_file = {key}
smtp_tls_loglevel = 1
",
        dir = dir.display(),
        ca = path(&known.ca),
        cert = path(&peer.cert),
        key = path(&peer.key),
    )
}

/// Debian's services without chroot jails, and SMTP on ports of loopback only: one for its own mail programs, two for other
/// operators.
fn master_cf(ports: Ports) -> String {
    let Ports { own, door, plain_door } = ports;
    let peers = "-o smtpd_tls_security_level=encrypt -o smtpd_tls_req_ccert=yes \
                 -o smtpd_relay_restrictions=permit_auth_destination,reject";
    let mut services = format!(
        "127.0.0.1:{own} inet n - n - - smtpd\n\
         127.0.0.1:{door} inet n - n - - smtpd {peers}\n\
         127.0.0.1:{plain_door} inet n - n - - smtpd {peers} -o smtpd_discard_ehlo_keywords=chunking,dsn\n"
    );
    for (name, kind, wakeup, limit, program) in [
        ("pickup", "unix", "60", "1", "pickup"),
        ("cleanup", "unix", "-", "0", "cleanup"),
        ("qmgr", "unix", "300", "1", "qmgr"),
        ("tlsmgr", "unix", "1000?", "1", "tlsmgr"),
        ("rewrite", "unix", "-", "-", "trivial-rewrite"),
        ("bounce", "unix", "-", "0", "bounce"),
        ("defer", "unix", "-", "0", "bounce"),
        ("trace", "unix", "-", "0", "bounce"),
        ("verify", "unix", "-", "1", "verify"),
        ("flush", "unix", "1000?", "0", "flush"),
        ("proxymap", "unix", "-", "-", "proxymap"),
        ("smtp", "unix", "-", "-", "smtp"),
        ("relay", "unix", "-", "-", "smtp"),
        ("error", "unix", "-", "-", "error"),
        ("retry", "unix", "-", "-", "error"),
        ("discard", "unix", "-", "-", "discard"),
        ("virtual", "unix", "-", "-", "virtual"),
        ("anvil", "unix", "-", "1", "anvil"),
        ("scache", "unix", "-", "1", "scache"),
    ] {
        // The queue manager's and the mail programs' sockets are public in Debian's file too.
        let private = if matches!(name, "pickup" | "cleanup" | "qmgr" | "flush") { "n" } else { "-" };
        let unprivileged = if name == "virtual" { "n" } else { "-" };
        services.push_str(&format!("{name} {kind} {private} {unprivileged} n {wakeup} {limit} {program}\n"));
    }
    // Writes maillog_file without a syslog daemon.
    services.push_str("postlog unix-dgram n - n - 1 postlogd\n");
    services
}
