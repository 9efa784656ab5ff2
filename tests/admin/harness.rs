//! An administration API on a socket of its own, over a store in memory; and the real `caducee` as its client.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caducee::accounts::{AccountOptions, HashingOptions, Registry};
use caducee::audit::indicators::{IndicatorOptions, Indicators};
use caducee::audit::{Scribe, ScribeOptions, Traces};
use caducee::cli::client::{Client, ClientError, collect, full, path};
use caducee::config::Config;
use caducee::jobs::directory::search::Lookup;
use caducee::mail::{MailLimits, MailRoom};
use caducee::mss::trust::{TrustHandle, TrustSpace};
use caducee::mss::whitelist::WhiteList;
use caducee::serve::http::connection::{self, ConnectionLimits};
use caducee::serve::http::directory::{self, DirectoryAdministration};
use caducee::serve::http::indicators::{self, IndicatorAdministration};
use caducee::serve::http::peer::Allowed;
use caducee::serve::http::socket::AdminSocket;
use caducee::serve::http::types::{CreatedMailbox, Domain, Filed, NewDomain, ProblemBody, Reloaded};
use caducee::serve::http::{Administration, Keeping, Process, complete, router};
use caducee::serve::{ShutdownSwitch, shutdown};
use caducee::store::{MasterKey, Store};
use caducee::telemetry::Metrics;
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// How large a message may be in these tests.
pub(crate) const MESSAGE_LIMIT: u64 = 100_000;

/// A directory of one test's own, gone with it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket is bounded.
        let path = std::env::temp_dir().join(format!("cad-adm-{}-{number}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// What stands in for the running server around the API.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) trouble: Mutex<Option<String>>,
    pub(crate) refuse_reload: Mutex<Option<String>>,
    /// A reload takes so long.
    pub(crate) reload_takes: Mutex<Duration>,
    pub(crate) reloads_begun: AtomicU32,
    pub(crate) reloads_done: AtomicU32,
}

impl Process for Surroundings {
    fn name(&self) -> String {
        "smtp.aura.mssante.example".into()
    }

    fn message_limit(&self) -> u64 {
        MESSAGE_LIMIT
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap().clone()
    }

    fn keeping(&self) -> Keeping {
        Keeping::of(&Config::default())
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send + '_>> {
        let refused = self.refuse_reload.lock().unwrap().clone();
        let takes = *self.reload_takes.lock().unwrap();
        Box::pin(async move {
            self.reloads_begun.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(takes).await;
            self.reloads_done.fetch_add(1, Ordering::Relaxed);
            match refused {
                Some(problem) => Err(problem),
                None => Ok(Reloaded {
                    reloaded: vec!["certificates".into()],
                    needs_restart: vec!["store".into()],
                    problems: vec![],
                }),
            }
        })
    }
}

/// A served API.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) registry: Registry,
    pub(crate) trust: TrustHandle,
    pub(crate) traces: Traces,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) indicators: Indicators,
    switch: ShutdownSwitch,
}

/// Who may use it besides root and ourselves, and its connections' bounds.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) uids: Vec<u32>,
    pub(crate) gids: Vec<u32>,
    pub(crate) limits: ConnectionLimits,
}

impl Server {
    /// With the domain `aura.mssante.example`.
    pub(crate) async fn start() -> Self {
        Self::start_for(Access::default()).await
    }

    pub(crate) async fn start_for(access: Access) -> Self {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let hashing = HashingOptions { memory: 64, passes: 1, ..HashingOptions::default() };
        let registry = Registry::new(room, AccountOptions { hashing, ..AccountOptions::default() });
        let trust = TrustSpace::default().into_handle();
        let surroundings = Arc::new(Surroundings::default());
        let place = Place::new();
        let traces = Traces::open(registry.room().traces(), &place.join("traces")).unwrap();
        let administration = Administration::new(registry.clone(), trust.clone(), surroundings.clone(), traces.clone());
        let allowed = Allowed::new(&access.uids, &access.gids).unwrap();
        let socket = AdminSocket::bind(&place.join("admin.sock"), &allowed).unwrap();
        let (switch, stop) = shutdown();
        let indicators = Indicators::new(registry.room().store().clone(), IndicatorOptions::default());
        let counters = IndicatorAdministration { indicators: indicators.clone(), traces: traces.clone() };
        let publication = DirectoryAdministration::new(registry.clone(), None, Lookup::new(None, None), Duration::ZERO);
        let administration = Arc::new(administration);
        let router = router(Arc::clone(&administration))
            .merge(indicators::router(counters))
            .merge(directory::router(publication));
        let router = complete(router, administration);
        tokio::spawn(connection::serve(socket, allowed, router, access.limits, stop));
        let server = Self { place, registry, trust, traces, surroundings, indicators, switch };
        let domain = NewDomain { name: "aura.mssante.example".into(), description: String::new() };
        let _: Domain = server.client().await.send(Method::POST, "/v1/domains", &domain).await.unwrap();
        server
    }

    /// Has the scribe write down and count the traces that wait.
    pub(crate) async fn keep_traces(&self) {
        let observers = vec![self.indicators.observer()];
        let options = ScribeOptions { observers, most_waiting: 1_000, metrics: Metrics::default() };
        let traces = self.traces.clone();
        tokio::task::spawn_blocking(move || Scribe::start(&traces, options).unwrap().stop()).await.unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.place.join("admin.sock")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket()).await.unwrap()
    }

    pub(crate) fn stop(&self) {
        self.switch.begin();
    }

    pub(crate) fn install_list(&self, list: WhiteList) {
        self.trust.store(Arc::new(TrustSpace { list: Some(Arc::new(list)), ..TrustSpace::default() }));
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, ProblemBody> {
        refused(self.client().await.get(path).await)
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, ProblemBody> {
        refused(self.client().await.send(method, path, &body).await)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, ProblemBody> {
        self.send(Method::POST, path, body).await
    }

    /// A request with any body, as text.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: impl Into<hyper::body::Bytes>,
    ) -> Result<Vec<u8>, ProblemBody> {
        let mut client = self.client().await;
        match client.raw(method, path, kind, full(body)).await {
            Ok(response) => Ok(collect(response.into_body()).await.unwrap().into()),
            Err(problem) => refused(Err(problem)),
        }
    }

    /// A personal mailbox of the domain.
    pub(crate) async fn mailbox(&self, local: &str) -> String {
        let created = self.post("/v1/mailboxes", per(local)).await.unwrap();
        serde_json::from_value::<CreatedMailbox>(created).unwrap().mailbox.address
    }

    /// Files a message; `query` begins with `?` or is empty.
    pub(crate) async fn file(&self, address: &str, query: &str, message: &str) -> Result<Filed, ProblemBody> {
        let way = path(&["mailboxes", address, "messages"]) + query;
        let bytes = self.raw(Method::POST, &way, Some("message/rfc822"), message.to_owned()).await?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    /// The messages of a folder, as the API lists them.
    pub(crate) async fn listed(&self, address: &str, folder: &str) -> Vec<Value> {
        let way =
            path(&["mailboxes", address, "messages"]) + "?folder=" + &folder.replace(' ', "%20").replace('é', "%C3%A9");
        self.get(&way).await.unwrap()["messages"].as_array().unwrap().clone()
    }

    /// Runs the real `caducee` against this server.
    pub(crate) async fn caducee(&self, arguments: &[&str]) -> Ran {
        self.caducee_with(arguments, "").await
    }

    /// The same, with standard input.
    pub(crate) async fn caducee_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        all.extend(["--socket".into(), self.socket().display().to_string()]);
        run(env!("CARGO_BIN_EXE_caducee"), &all, input, None).await
    }
}

/// A `PER` mailbox with what the rules ask for.
pub(crate) fn per(local: &str) -> Value {
    json!({
        "address": format!("{local}@aura.mssante.example"),
        "kind": "PER",
        "holder": { "first_name": "Camille", "last_name": "Fontanel", "national_id": "899700000001" },
    })
}

/// The problem of a refused request; any other failure fails the test.
pub(crate) fn refused<T>(result: Result<T, ClientError>) -> Result<T, ProblemBody> {
    match result {
        Ok(value) => Ok(value),
        Err(ClientError::Refused(problem)) => Err(*problem),
        Err(other) => panic!("{other}"),
    }
}

/// A program's end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|problem| panic!("{problem}: {}", self.stdout))
    }

    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(self.stderr.trim()).unwrap_or_else(|problem| panic!("{problem}: {}", self.stderr))
    }
}

/// Runs a program to its end, as another user if asked to.
pub(crate) async fn run(program: &str, arguments: &[String], input: &str, user: Option<u32>) -> Ran {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(user) = user {
        command.uid(user).gid(user).current_dir("/");
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read its input closes it; that is its right.
    let _closed = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether another program is there; says "skipped" if not.
pub(crate) async fn is_there(program: &str) -> bool {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|path| path.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
