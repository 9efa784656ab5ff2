//! The disk of the traces is full: at every door of the real server nothing happens untraced, and all goes on by itself once there
//! is room.

use crate::site::{FaultPeer, SOON, Server, Site};
use crate::support::{Envelope, Identity, Mailbox, Tool, have, smtplib, swaks, wait_until};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Mounts a small disk at `$1` for the server alone, puts what is in `$2` there, and becomes what comes behind.
const ON_A_SMALL_DISK: &str =
    r#"mount -t tmpfs -o size=2m tmpfs "$1" && { [ ! -d "$2" ] || cp -a "$2/." "$1/"; } && shift 2 && exec "$@""#;

/// A disk of the server's own, in a namespace of its own: no privilege is needed where the system allows that.
struct SmallDisk {
    place: PathBuf,
    was: PathBuf,
}

impl SmallDisk {
    fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(&self.place).arg(&self.was);
        command
    }

    fn can_be_had(&self) -> bool {
        let mounted = self.command().arg("true").stderr(Stdio::null()).status();
        let can = mounted.is_ok_and(|status| status.success());
        if !can {
            println!("skipped: no disk can be mounted in a namespace of one's own");
        }
        can
    }

    /// The file that takes all the room, seen through the server's eyes.
    fn filler(&self, server: &Server) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", server.pid()));
        root.join(self.place.strip_prefix("/").expect("an absolute path")).join("filler")
    }

    fn fill(&self, server: &Server) {
        let mut file = File::create(self.filler(server)).expect("there is room for a name");
        while file.write_all(&[0; 512]).is_ok() {}
    }

    fn make_room(&self, server: &Server) {
        fs::remove_file(self.filler(server)).expect("it was there");
    }
}

/// A mailbox program that searches in INBOX all the time.
struct Searcher {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Searcher {
    fn start(site: &Site, mailbox: &Mailbox) -> Self {
        let (login, password) = mailbox.credentials();
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sending/untraced.py"))
            .arg(site.operator().ports.imap.to_string())
            .arg(&site.known.ca)
            .args([login, password])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let said = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("it speaks");
        line
    }
}

impl Drop for Searcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What each door says; in the words that tell whether something was done.
#[derive(Debug, PartialEq, Eq)]
struct Doors {
    ready: String,
    operators: bool,
    submission: bool,
    imap: bool,
    /// A login, and a return from Pro Santé Connect.
    portal: [bool; 2],
    /// A change, and a message given out.
    administration: [bool; 2],
}

/// Everything is open.
fn all_open() -> Doors {
    Doors {
        ready: "200".into(),
        operators: true,
        submission: true,
        imap: true,
        portal: [true; 2],
        administration: [true; 2],
    }
}

/// Tries each door. What is refused must be refused for the traces, and for the time being.
fn try_doors(site: &Site) -> Doors {
    let (known, aura) = (&site.known, site.operator());
    let (to, tester) = (aura.mailbox("PER"), aura.test_mailbox());
    let peer = &known.peers[0];
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let from = format!("anne.roux@{}", peer.domains[0]);
    let operators = swaks(known, aura, Some(&identity)).args(["--from", &from, "--to", &to.address]).run();
    assert!(operators.ok() || operators.all().contains("451 4.3.0") && operators.all().contains("[rule traces-stuck"));
    let to_whom = [to.address.as_str()];
    let text = format!("From: <{}>\r\nTo: <{}>\r\nSubject: essai\r\n\r\nBonjour\r\n", tester.address, to.address);
    let submission = smtplib(known, aura, tester, &Envelope { to: &to_whom, ..Envelope::default() }, &text);
    assert!(submission.ok() || submission.all().contains("454"), "{}", submission.all());
    let (login, password) = tester.credentials();
    let imap = Tool::new("openssl").args(["s_client", "-quiet", "-verify_return_error", "-CAfile"]).arg(&known.ca);
    let imap = imap.args(["-connect", &format!("localhost:{}", aura.ports.imaps)]);
    let imap = imap.input(format!("a LOGIN {login} \"{password}\"\r\nb LOGOUT\r\n")).run().all();
    let is_in = imap.contains("\na OK");
    assert!(is_in || imap.contains("a NO [UNAVAILABLE]"), "{imap}");

    let page = |path: &str| format!("https://localhost:{}{path}", aura.ports.https);
    let status = |more: &[&str], url: &str| {
        let tool = Tool::new("curl").args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        tool.arg("--cacert").arg(&known.ca).args(more).arg(url).run().stdout
    };
    assert_eq!(status(&[], &page("/")), "200", "the page itself is shown");
    let socket = aura.admin_socket.to_str().expect("a path");
    let admin = |more: &[&str], path: &str| {
        status(&[&["--unix-socket", socket], more].concat(), &format!("http://localhost/v1/{path}"))
    };
    assert_eq!(admin(&[], "traces?limit=1"), "200", "traces can be looked at all the same");
    let change = ["--request", "PATCH", "--header", "Content-Type: application/json", "--data", r#"{"comment":"x"}"#];
    let is_done = |status: String| status != "503";
    Doors {
        ready: status(&[], &format!("http://127.0.0.1:{}/ready", aura.ports.metrics)),
        operators: operators.ok(),
        submission: submission.ok(),
        imap: is_in,
        portal: [
            is_done(status(&["--data", "adresse=x&mot_de_passe=y"], &page("/connexion"))),
            is_done(status(&[], &page("/psc/retour?state=x&code=y"))),
        ],
        administration: [
            is_done(admin(&change, &format!("mailboxes/{}", to.address))),
            is_done(admin(&[], &format!("mailboxes/{}/messages/1", to.address))),
        ],
    }
}

/// How often a message was tried.
fn tries(server: &Server, message_id: &str) -> usize {
    let followed = server.json(&["follow", message_id]);
    followed["events"].as_array().into_iter().flatten().filter(|event| event["action"] == "tried").count()
}

#[test]
fn every_door_and_the_queue_stop_while_traces_have_no_room_and_go_on_by_themselves() {
    if !["python3", "openssl", "curl", "swaks", "unshare"].iter().all(|program| have(program)) {
        return;
    }
    let domain = "plein.operateur-f.mssante.example".to_owned();
    let mut site = Site::new(std::slice::from_ref(&domain));
    let disk =
        SmallDisk { place: site.path("small"), was: site.configured("store", "path").with_file_name("store-traces") };
    fs::create_dir(&disk.place).expect("a directory");
    if !disk.can_be_had() {
        return;
    }
    let peer = FaultPeer::start(&site, &["mixed"]);
    site.route(&BTreeMap::from([(domain.clone(), peer.ports["mixed"])]));
    let place = disk.place.to_str().expect("a path").to_owned();
    site.configure(toml::toml! {
        [queue]
        first_retry = "1s"
        longest_retry = "1s"
        [traces]
        path = place
        most_waiting = 1000
    });
    let mut command = disk.command();
    command.arg(env!("CARGO_BIN_EXE_caducee"));
    let server = site.start_by(command);
    assert!(wait_until(SOON, || try_doors(&site) == all_open()), "{:#?}\n{}", try_doors(&site), site.log());
    let (sender, tester) = (site.operator().mailbox("PER"), site.operator().test_mailbox());
    let (id, later) = ("<toujours-plus-tard@essai.example>", format!("later@{domain}"));
    let text = format!("From: <{}>\r\nTo: <{later}>\r\nMessage-ID: {id}\r\n\r\nBonjour\r\n", sender.address);
    let to = [later.as_str()];
    let envelope = Envelope { to: &to, ..Envelope::default() };
    smtplib(&site.known, site.operator(), sender, &envelope, &text).expect_ok("submitting");
    assert!(wait_until(SOON, || tries(&server, id) >= 2), "it is tried again and again");

    disk.fill(&server);
    let mut searcher = Searcher::start(&site, tester);
    let refused = searcher.line();
    assert!(refused.contains("[UNAVAILABLE]"), "{refused}\n{}", site.log());
    let stopped = Doors {
        ready: "503".into(),
        operators: false,
        submission: false,
        imap: false,
        portal: [false; 2],
        administration: [false; 2],
    };
    assert_eq!(try_doors(&site), stopped);
    let before = tries(&server, id);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(tries(&server, id), before, "nothing is tried");
    assert_eq!(try_doors(&site), stopped, "and it stays so");

    disk.make_room(&server);
    let searched: usize =
        searcher.line().trim().parse().unwrap_or_else(|_| panic!("it does not go on\n{}", site.log()));
    assert_eq!(try_doors(&site), all_open());
    assert!(wait_until(SOON, || tries(&server, id) > before + 1), "it is tried again");
    // Each search that was said yes to stands among the traces, and once.
    let (login, _) = tester.credentials();
    let search = ["traces", "search", "--action", "searched", "--mailbox", login, "--limit", "10000"];
    assert_eq!(server.json(&search)["traces"].as_array().map(Vec::len), Some(searched));
    server.caducee(&["traces", "verify"]).expect_ok("the chain");
}
