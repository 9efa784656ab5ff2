//! Who sends to whom, and with what.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::{Description, Mailbox, Operator, Ran, Sandbox, Tool, fetch, have, search};

/// The sandbox, its first operator, and the two people that most tests are about.
pub struct Scene {
    pub known: &'static Description,
    pub aura: &'static Operator,
    pub other: &'static Operator,
    /// Who sends.
    pub camille: Mailbox,
    /// Who gets it, at the same operator.
    pub jerome: Mailbox,
}

/// `None` where a program is missing.
pub fn scene(programs: &[&str]) -> Option<Scene> {
    if !programs.iter().all(|program| have(program)) {
        return None;
    }
    Some(Scene::of(&Sandbox::shared().description))
}

impl Scene {
    pub fn of(known: &'static Description) -> Scene {
        let aura = known.aura();
        let named = |local: &str| {
            let found = aura.mailboxes.iter().find(|mailbox| mailbox.address.starts_with(local));
            found.expect("a mailbox of the sandbox").clone()
        };
        let (camille, jerome) = (named("camille."), named("jerome."));
        Scene { known, aura, other: &known.operators[1], camille, jerome }
    }

    /// The line that logs `who` in.
    pub fn login(&self, who: &Mailbox) -> String {
        let (login, password) = who.credentials();
        format!("AUTH PLAIN {}\r\n", BASE64_STANDARD.encode(format!("\0{login}\0{password}")))
    }

    /// swaks as a mail program of `who`, over STARTTLS; add `--to` and what else the test is about.
    pub fn swaks(&self, who: &Mailbox) -> Tool {
        let (login, password) = who.credentials();
        let server = format!("localhost:{}", self.aura.ports.submission);
        let tool = Tool::new("swaks").args(["--server", &server, "--tls", "--tls-verify", "--tls-ca-path"]);
        let tool = tool.arg(&self.known.ca).args(["--auth", "PLAIN", "--auth-user", login]);
        tool.args(["--auth-password", password])
    }

    /// An ordinary message of `who`, but for what the options change; what swaks saw.
    pub fn send(&self, who: &Mailbox, options: &[&str]) -> Ran {
        let mut tool = self.swaks(who);
        for (option, default) in [("--from", &who.address), ("--to", &self.jerome.address)] {
            if !options.contains(&option) {
                tool = tool.args([option, default]);
            }
        }
        tool.args(options).run()
    }

    /// What the server answers to raw bytes behind TLS, `EHLO` and a login of `who`.
    pub fn raw(&self, who: &Mailbox, script: impl AsRef<[u8]>) -> String {
        self.behind_tls([b"EHLO client.example\r\n", self.login(who).as_bytes(), script.as_ref()].concat())
    }

    /// What the server answers to raw bytes behind STARTTLS.
    pub fn behind_tls(&self, script: impl AsRef<[u8]>) -> String {
        let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
        let tool = tool.args(["-connect", &format!("127.0.0.1:{}", self.aura.ports.submission), "-CAfile"]);
        tool.arg(&self.known.ca).input(script.as_ref()).run().all()
    }

    /// A message's dialogue up to the end of its data, from `from` to Jérôme.
    pub fn message(&self, from: &str, data: &str) -> String {
        format!("MAIL FROM:<{from}>\r\nRCPT TO:<{}>\r\nDATA\r\n{data}\r\n.\r\nQUIT\r\n", self.jerome.address)
    }

    /// The one message with this subject in a mailbox's INBOX.
    #[track_caller]
    pub fn read(&self, mailbox: &Mailbox, subject: &str) -> String {
        let found = search(self.known, self.aura, mailbox, &format!("SUBJECT \"{subject}\""));
        assert_eq!(found.len(), 1, "messages with the subject {subject}");
        fetch(self.known, self.aura, mailbox, found[0])
    }

    /// A verb of the command line, on the first operator's server.
    #[track_caller]
    pub fn administer(&self, args: &[&str]) -> Ran {
        let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(args).arg("--socket").arg(&self.aura.admin_socket);
        tool.run().expect_ok("administration")
    }

    /// Whether a line of the server's log holds all of these.
    pub fn logged(&self, words: &[&str]) -> bool {
        let log = std::fs::read_to_string(&self.aura.log).expect("the server's log");
        log.lines().any(|line| words.iter().all(|word| line.contains(word)))
    }
}

/// The scene, or the end of a test whose programs are missing.
#[macro_export]
macro_rules! scene {
    ($($program:literal),*) => {
        match $crate::scene::scene(&[$($program),*]) {
            Some(scene) => scene,
            None => return,
        }
    };
}
