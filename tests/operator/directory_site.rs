//! A server of our own that publishes in the look-alike directory of a sandbox.

use crate::support::{Ran, Sandbox, Tool, free_port, signal, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use toml::{Table, toml};

/// How long anything may take that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The domain of the server's mailboxes.
pub(crate) const DOMAIN: &str = "annonces.mssante.example";

/// Professionals that the look-alike knows and whose mailboxes are nobody else's.
pub(crate) const LEA: &str = "899700000061";
pub(crate) const BASILE: &str = "899700000062";
pub(crate) const EVE: &str = "899700000063";

/// A sandbox, whose look-alike serves, and the files of a third server beside its two.
pub(crate) struct Site {
    pub(crate) sandbox: Sandbox,
    home: PathBuf,
    config: Table,
    socket: PathBuf,
    port: u16,
    directory: Value,
}

/// The third server, running.
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
}

impl Site {
    /// A sandbox whose own operators have published what they have to.
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::start();
        let home = sandbox.dir.join("d");
        fs::create_dir_all(&home).unwrap();
        for file in ["master.key", "directory.key"] {
            fs::copy(sandbox.dir.join("a").join(file), home.join(file)).unwrap();
        }
        let text = fs::read_to_string(&sandbox.description.aura().config).unwrap();
        let mut config: Table = text.parse().unwrap();
        for section in ["published", "fronts", "psc", "notices", "relay", "portal"] {
            config.remove(section);
        }
        let described: Value = serde_json::from_slice(&fs::read(sandbox.dir.join("sandbox.json")).unwrap()).unwrap();
        let (socket, port) = (home.join("admin.sock"), free_port());
        let directory = described["directory"].clone();
        let mut site = Self { sandbox, home, config, socket, port, directory };
        let doors = [site.port, free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let [smtp, submission, metrics] = doors.map(|door| toml::Value::Array(vec![door.into()]));
        site.put(
            "imap",
            &toml! { listen = []
            listen_tls = [] },
        );
        site.put("submission", &toml! { listen_tls = [] });
        for (section, listen) in [("smtp", smtp), ("submission", submission), ("metrics", metrics)] {
            let mut table = Table::new();
            table.insert("listen".to_owned(), listen);
            site.put(section, &table);
        }
        site.configure(&toml! { first_retry = "1s"
        longest_retry = "1s" });
        let settled = wait_until(SOON, || {
            site.sandbox.description.operators.iter().all(|operator| {
                let status = verb(&operator.admin_socket, &["directory", "status", "--json"]);
                let status: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
                status["waiting"] == 0 && status["published"].as_u64().is_some_and(|count| count > 0)
            })
        });
        assert!(settled, "the sandbox's operators do not publish:\n{}", site.sandbox.said());
        site
    }

    fn put(&mut self, section: &str, keys: &Table) {
        let section = self.config.entry(section).or_insert_with(|| Table::new().into());
        section.as_table_mut().unwrap().extend(keys.clone());
    }

    /// Sets keys of `[directory]`; they count from the next start on.
    pub(crate) fn configure(&mut self, keys: &Table) {
        self.put("directory", keys);
        fs::write(self.config_file(), self.config.to_string()).unwrap();
    }

    /// Sets keys of several sections; they count from the next start on.
    pub(crate) fn configure_all(&mut self, changes: &Table) {
        for (section, keys) in changes {
            self.put(section, keys.as_table().unwrap());
        }
        fs::write(self.config_file(), self.config.to_string()).unwrap();
    }

    /// The server's configuration.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.home.join("caducee.toml")
    }

    /// The key that the server shows, in its file.
    pub(crate) fn write_key(&self, key: &str) {
        fs::write(self.home.join("directory.key"), key).unwrap();
    }

    /// A path in the server's home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Where the look-alike's extraction is.
    pub(crate) fn extraction(&self) -> &str {
        self.directory["extraction"].as_str().unwrap()
    }

    /// The door of the server's metrics.
    pub(crate) fn metrics(&self) -> &str {
        self.config["metrics"]["listen"][0].as_str().unwrap()
    }

    /// The port of its door for other operators.
    pub(crate) fn smtp(&self) -> u16 {
        self.port
    }

    pub(crate) fn api_key(&self) -> &str {
        self.directory["api_key"].as_str().unwrap()
    }

    /// Starts the server; at its first start it gets its domain.
    pub(crate) fn start(&self) -> Server {
        let server = self.serve();
        if server.json(&["domain", "list"])["domains"].as_array().is_some_and(Vec::is_empty) {
            server.caducee(&["domain", "add", DOMAIN]).expect_ok("adding the domain");
        }
        server
    }

    /// Starts the server as its configuration is.
    pub(crate) fn serve(&self) -> Server {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.join("server.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_caducee"))
            .args(["serve", "--until-stdin-closes", "--config"])
            .arg(self.config_file())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server { child, socket: self.socket.clone() };
        let door = ("127.0.0.1", self.port);
        assert!(wait_until(SOON, || TcpStream::connect(door).is_ok()), "not listening:\n{}", self.log());
        server
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("server.log")).unwrap_or_default()
    }

    // ---- the look-alike ----

    /// curl, as somebody whom the look-alike knows.
    pub(crate) fn curl(&self) -> Tool {
        let curl = Tool::new("curl").args(["--silent", "--show-error", "--cacert"]).arg(&self.sandbox.description.ca);
        curl.args(["--header", &format!("ESANTE-API-KEY: {}", self.api_key())])
    }

    fn get(&self, url: &str) -> Value {
        let ran = self.curl().arg(url).run().expect_ok("asking the look-alike");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no JSON: {ran:?}"))
    }

    /// Turns the look-alike's knobs; `{}` is well again.
    pub(crate) fn turn(&self, knobs: &Value) {
        let url = self.directory["knobs"].as_str().unwrap();
        let ran = self.curl().args(["--fail", "--data", &knobs.to_string()]).arg(url).run();
        ran.expect_ok("turning a knob");
    }

    /// Patches a resource behind the server's back.
    pub(crate) fn patch(&self, target: &str, operations: &Value) {
        let body = json!({ "resourceType": "Parameters", "parameter": operations });
        let url = format!("{}/{target}", self.directory["base"].as_str().unwrap());
        let curl =
            self.curl().args(["--fail", "--request", "PATCH", "--header", "Content-Type: application/fhir+json"]);
        curl.args(["--data", &body.to_string()]).arg(url).run().expect_ok("patching");
    }

    /// The contacts of a resource, by its type and id.
    pub(crate) fn contacts(&self, reference: &str) -> Vec<Value> {
        let resource = self.get(&format!("{}/{reference}", self.directory["base"].as_str().unwrap()));
        resource["telecom"].as_array().cloned().unwrap_or_default()
    }

    /// The contact with an address, of a resource.
    pub(crate) fn contact(&self, reference: &str, address: &str) -> Option<Value> {
        let mut found = self.contacts(reference);
        found.retain(|contact| contact["value"] == address);
        assert!(found.len() < 2, "{address} stands there twice: {found:?}");
        found.pop()
    }

    /// What was done about an address, in order: the types of the operations that were applied.
    pub(crate) fn done(&self, address: &str) -> Vec<String> {
        let seen = self.get(self.directory["seen"].as_str().unwrap());
        let patches = seen["patches"].as_array().cloned().unwrap_or_default();
        let operations = patches.iter().flat_map(|patch| patch["operations"].as_array().cloned().unwrap_or_default());
        let quoted = format!("'{}'", address.replace('\'', r"\'"));
        let about = |operation: &Value| {
            let by_path = operation["path"].as_str().is_some_and(|path| path.contains(&quoted));
            by_path || operation["value"]["value"] == address
        };
        operations.filter(about).map(|operation| operation["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// How often it was read, or searched.
    pub(crate) fn reads(&self) -> u64 {
        self.get(self.directory["seen"].as_str().unwrap())["reads"].as_u64().unwrap()
    }

    /// How many patches were asked for, applied or not, and how many were applied.
    pub(crate) fn patches(&self) -> (u64, usize) {
        let seen = self.get(self.directory["seen"].as_str().unwrap());
        (seen["asked"].as_u64().unwrap(), seen["patches"].as_array().map_or(0, Vec::len))
    }
}

impl Server {
    /// Ends it as a power cut ends a process: at once.
    pub(crate) fn kill(mut self) {
        signal(self.child.id(), "KILL");
        let _ = self.child.wait();
    }

    /// A verb of the command line, as a client of this server.
    pub(crate) fn caducee(&self, words: &[&str]) -> Ran {
        verb(&self.socket, words)
    }

    /// The JSON that a verb prints.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let ran = self.caducee(&[words, &["--json"]].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}): {}", ran.all()))
    }

    /// Makes a professional's mailbox; gives its address.
    pub(crate) fn create(&self, local: &str, person: &str) -> String {
        let address = format!("{local}@{DOMAIN}");
        let words = ["mailbox", "create", &address, "--kind", "PER", "--national-id", person, "--last-name", "Martin"];
        self.caducee(&[&words[..], &["--notification-address", "martin@courriel.example"]].concat())
            .expect_ok("creating a mailbox");
        address
    }

    /// Whether the server holds that a mailbox is published, with nothing that waits.
    pub(crate) fn is_settled(&self, address: &str) -> bool {
        let standing = self.json(&["directory", "show", address]);
        standing["pending"].as_array().is_some_and(Vec::is_empty) && standing["task"].is_null()
    }

    /// Waits until it does; panics with what the server knows if it never comes.
    #[track_caller]
    pub(crate) fn settles(&self, site: &Site, address: &str) {
        let settled = wait_until(SOON, || self.is_settled(address));
        assert!(settled, "{}\n{}", self.json(&["directory", "show", address]), site.log());
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

fn verb(socket: &std::path::Path, words: &[&str]) -> Ran {
    Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words).arg("--socket").arg(socket).limit(SOON).run()
}

/// The extension of a contact's metadata by its name: whatever value it has.
pub(crate) fn metadata(contact: &Value, name: &str) -> Value {
    let extensions = contact["extension"].as_array().cloned().unwrap_or_default();
    let is_metadata =
        |extension: &&Value| extension["url"].as_str().is_some_and(|url| url.ends_with("as-ext-mailbox-mss-metadata"));
    let metadata = extensions.iter().find(is_metadata).cloned().unwrap_or_default();
    let parts = metadata["extension"].as_array().cloned().unwrap_or_default();
    let part = parts.into_iter().find(|part| part["url"] == name).unwrap_or_default();
    let value = part.as_object().and_then(|part| part.iter().find(|(key, _)| key.starts_with("value")));
    value.map(|(_, value)| value.clone()).unwrap_or_default()
}
