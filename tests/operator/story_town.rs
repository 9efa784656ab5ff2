//! Where the story takes place: a sandbox, and in it an operator that is new, `operateur-c`, with a configuration of its own
//! beside the two that are there. The white list has it already; the other operator has to learn its way.

use crate::directory_site::{SOON, Server, Site};
use crate::support::{Mailbox, Operator, Ran, Tool, free_port, wait_until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use toml::{Table, toml};

/// The new operator's domain.
pub(crate) const DOMAIN: &str = "operateur-c.mssante.example";

/// The sandbox with its look-alikes and its other operator, and the new operator's files and doors.
pub(crate) struct Town {
    pub(crate) site: Site,
    imaps: u16,
    submission: u16,
    https: u16,
}

impl Town {
    pub(crate) fn new() -> Self {
        let [imaps, submission, https] = [(); 3].map(|()| free_port());
        let mut town = Self { site: Site::new(), imaps, submission, https };
        town.write_configuration();
        town.tell_the_other_operator();
        town
    }

    /// What a new operator writes: its name and certificate, its doors, the way to the other one, what holders are told. What
    /// makes a mailbox public is left as it comes: the acceptance of the terms of use.
    fn write_configuration(&mut self) {
        let door = |port: u16| format!("127.0.0.1:{port}");
        let [imaps, submission, https] = [self.imaps, self.submission, self.https].map(door);
        let url = self.page();
        let (other, way) = (self.other().domains[0].clone(), self.other().smtp());
        let mut changes = toml! {
            [server]
            name = "smtp.operateur-c.mssante.example"
            [tls]
            certificate = "../pki/operateur-c.pem"
            key = "../pki/operateur-c.key"
            [imap]
            listen_tls = [imaps]
            [submission]
            listen = [submission]
            [portal]
            listen = [https]
            url = url
            [directory]
            publish_from = "acceptance"
            [[relay.routes]]
            domains = [other]
            hosts = [way]
        };
        let text = fs::read_to_string(&self.site.sandbox.description.aura().config).unwrap();
        let theirs: Table = text.parse().unwrap();
        for section in ["psc", "notices"] {
            changes.insert(section.to_owned(), theirs[section].clone());
        }
        changes["psc"].as_table_mut().unwrap().insert("client_secret".into(), "../a/psc.secret".into());
        changes["notices"].as_table_mut().unwrap().insert("new_mail".into(), "at-once".into());
        self.site.configure_all(&changes);
    }

    /// The other operator learns where the new one's mail goes, as it would from the DNS.
    fn tell_the_other_operator(&self) {
        let config = &self.other().config;
        let mut table: Table = fs::read_to_string(config).unwrap().parse().unwrap();
        let way = format!("127.0.0.1:{}", self.site.smtp());
        let route = toml! {
            domains = ["operateur-c.mssante.example"]
            hosts = [way]
        };
        table["relay"]["routes"].as_array_mut().unwrap().push(route.into());
        fs::write(config, table.to_string()).unwrap();
        let said = self.verb_of_the_other(&["reload"]).expect_ok("the other operator reads its configuration again");
        assert!(!said.stdout.contains("restart"), "{}", said.stdout);
    }

    // ---- the other operator, and its practitioner ----

    pub(crate) fn other(&self) -> &Operator {
        self.site.sandbox.description.aquitaine()
    }

    pub(crate) fn colleague(&self) -> &Mailbox {
        self.other().mailbox("PER")
    }

    /// A verb of the command line, as a client of the other operator's server.
    pub(crate) fn verb_of_the_other(&self, words: &[&str]) -> Ran {
        let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words);
        tool.arg("--socket").arg(&self.other().admin_socket).limit(SOON).run()
    }

    /// What the other operator knows of a message's way, once one of its steps is `action`.
    #[track_caller]
    pub(crate) fn followed_by_the_other(&self, id: &str, action: &str) -> Value {
        let mut found = Value::Null;
        let there = wait_until(SOON, || {
            let ran = self.verb_of_the_other(&["follow", id, "--json"]);
            found = serde_json::from_str(&ran.stdout).unwrap_or_default();
            step(&found, action).is_some()
        });
        assert!(there, "{id} was not {action}: {found}");
        found
    }

    // ---- the new operator's page, doors and holders ----

    /// The address of the holders' page.
    fn page(&self) -> String {
        format!("https://localhost:{}", self.https)
    }

    /// What a person sees at the holders' page behind their card: `look`, or `accept` the terms of use.
    pub(crate) fn at_the_page(&self, what: &str, person: &str) -> Ran {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operator/story.py");
        let tool = Tool::new("python3").arg(script).arg(what).arg(&self.site.sandbox.description.ca);
        tool.arg(self.page()).arg(person).limit(SOON).run()
    }

    /// curl that has shown a card, for a mailbox.
    fn with_a_card(&self, person: &str, address: &str) -> Tool {
        let token = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["sandbox", "token", person, "--dir"]);
        let token = token.arg(&self.site.sandbox.dir).run().expect_ok("a token of Pro Santé Connect").stdout;
        let tool = Tool::new("curl").args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]);
        let tool = tool.arg(&self.site.sandbox.description.ca).args(["--login-options", "AUTH=XOAUTH2"]);
        tool.args(["--user", &format!("{address}:"), "--oauth2-bearer", token.trim()])
    }

    /// An IMAP command in a person's INBOX.
    pub(crate) fn imap(&self, person: &str, address: &str, command: &str) -> Ran {
        let url = format!("imaps://localhost:{}/INBOX", self.imaps);
        self.with_a_card(person, address).args(["--request", command]).arg(url).run()
    }

    /// The first message in a person's INBOX, whole, once it is there.
    #[track_caller]
    pub(crate) fn first_message(&self, person: &str, address: &str) -> String {
        let came = || self.imap(person, address, "SEARCH ALL").stdout.trim_end().ends_with("SEARCH 1");
        assert!(wait_until(SOON, came), "nothing came to {address}:\n{}", self.site.log());
        let url = format!("imaps://localhost:{}/INBOX;MAILINDEX=1", self.imaps);
        self.with_a_card(person, address).arg(url).run().expect_ok("reading a message").stdout
    }

    /// A person's mail program sends a message.
    pub(crate) fn sends(&self, person: &str, from: &str, to: &str, message: &str) -> Ran {
        let tool = self.with_a_card(person, from).args(["--mail-from", from, "--mail-rcpt", to]);
        let url = format!("smtp://localhost:{}/poste", self.submission);
        tool.args(["--upload-file", "-"]).arg(url).input(message).run()
    }

    // ---- what was written ----

    /// The texts of the notices that an address got, with their envelopes and header sections.
    pub(crate) fn notices(&self, to: &str) -> Vec<String> {
        let files = fs::read_dir(self.site.sandbox.dir.join("courriel")).unwrap();
        let mut texts = Vec::new();
        for file in files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "eml"))
        {
            let raw = fs::read_to_string(&file).unwrap();
            if raw.lines().any(|line| line == format!("X-Envelope-To: <{to}>")) {
                let read = mail_parser::MessageParser::default().parse(raw.as_bytes()).expect("a message");
                let body = read.body_text(0).expect("a text").split_whitespace().collect::<Vec<_>>().join(" ");
                texts.push(format!("{raw}\n{}\n{body}", read.subject().unwrap_or_default()));
            }
        }
        texts
    }

    /// Waits for a notice that says `words`.
    #[track_caller]
    pub(crate) fn is_told(&self, to: &str, words: &str) {
        let told = wait_until(SOON, || self.notices(to).iter().any(|text| text.contains(words)));
        assert!(told, "{to} was not told « {words} »: {:?}\n{}", self.notices(to), self.site.log());
    }
}

/// The first step of a message's way with this action.
pub(crate) fn step<'a>(followed: &'a Value, action: &str) -> Option<&'a Value> {
    followed["events"].as_array()?.iter().find(|event| event["action"] == action)
}

/// What the new operator knows of a message's way, once one of its steps is `action`.
#[track_caller]
pub(crate) fn followed(server: &Server, id: &str, action: &str) -> Value {
    let mut found = Value::Null;
    let there = wait_until(SOON, || {
        let ran = server.caducee(&["follow", id, "--json"]);
        found = serde_json::from_str(&ran.stdout).unwrap_or_default();
        step(&found, action).is_some()
    });
    assert!(there, "{id} was not {action}: {found}");
    found
}

/// The files below a directory in which one of the words stands.
pub(crate) fn files_with(dir: &std::path::Path, words: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files_with(&path, words));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let holds = |word: &&str| memchr::memmem::find(&bytes, word.as_bytes()).is_some();
            found.extend(words.iter().any(holds).then_some(path));
        }
    }
    found
}
