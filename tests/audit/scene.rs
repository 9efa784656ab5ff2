//! What the tests of this group share: reading the traces that wait, and an administration API beside the sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caducee::audit::{Action, Trace, Traces};
use caducee::cli::client::{Client, collect, full};
use caducee::config::Config;
use caducee::mail::{MailLimits, MailRoom};
use caducee::mss::trust::TrustSpace;
use caducee::serve::http::connection::{self, ConnectionLimits};
use caducee::serve::http::peer::Allowed;
use caducee::serve::http::socket::AdminSocket;
use caducee::serve::http::types::Reloaded;
use caducee::serve::http::{Administration, Keeping, Process, complete, router};
use caducee::serve::{ShutdownSwitch, shutdown};
use caducee::store::{MasterKey, OpenError, Options, Store, WaitingTrace};
use hyper::Method;
use serde_json::Value;

use crate::harness::Server;

/// All traces that wait, in their order.
pub fn traces(room: &MailRoom) -> Vec<Trace> {
    let rows = room.store().scan::<WaitingTrace>(.., usize::MAX).unwrap();
    rows.iter().map(|(key, waiting)| room.traces().open(*key, waiting).expect("a trace opens")).collect()
}

/// Waits until the traces are what the test wants, for what nobody's answer waits for.
pub async fn until(room: &MailRoom, wanted: impl Fn(&[Trace]) -> bool) -> Vec<Trace> {
    for _ in 0..400 {
        let traces = traces(room);
        if wanted(&traces) {
            return traces;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come to that: {:#?}", traces(room));
}

/// The names of their actions.
pub fn names(traces: &[Trace]) -> Vec<&'static str> {
    traces.iter().map(|trace| trace.action.name()).collect()
}

/// What was written down since the last look.
pub struct Since {
    room: MailRoom,
    last: u64,
}

impl Since {
    pub fn now(room: &MailRoom) -> Self {
        Self { room: room.clone(), last: traces(room).last().map_or(0, |trace| trace.at) }
    }

    /// What came since, and from now on no more.
    pub fn take(&mut self) -> Vec<Trace> {
        let mut new = traces(&self.room);
        new.retain(|trace| trace.at > self.last);
        self.last = new.last().map_or(self.last, |trace| trace.at);
        new
    }

    /// The same, once there are so many.
    pub async fn take_so_many(&mut self, count: usize) -> Vec<Trace> {
        let last = self.last;
        let is_new = |trace: &&Trace| trace.at > last;
        until(&self.room, |traces| traces.iter().filter(is_new).count() >= count).await;
        self.take()
    }
}

/// What an action says, for comparing.
pub fn told(traces: &[Trace]) -> Vec<Action> {
    traces.iter().map(|trace| trace.action.clone()).collect()
}

/// A directory of one test's own, gone with it. Short: the path of a socket is bounded.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cad-aud-{}-{number}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The mail room of a store that lies here, once whoever had it open is gone.
    pub async fn room(&self, options: &Options) -> MailRoom {
        let (place, master) = (self.0.join("store"), MasterKey::from_bytes([7; 32]));
        let mut tries = 0;
        let (store, opening) = loop {
            match Store::open(&place, &master, options) {
                Err(OpenError::InUse(_)) if tries < 400 => tries += 1,
                opened => break opened.unwrap(),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(opening.damaged.is_empty(), "{opening:?}");
        MailRoom::new(store, MasterKey::from_bytes([7; 32]), MailLimits::default()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The administration API of a server.
pub struct Api {
    place: Place,
    switch: ShutdownSwitch,
}

struct Surroundings;

impl Process for Surroundings {
    fn name(&self) -> String {
        "smtp.aura.mssante.example".into()
    }

    fn message_limit(&self) -> u64 {
        100_000
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn keeping(&self) -> Keeping {
        Keeping::of(&Config::default())
    }

    fn reload(&self) -> std::pin::Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send + '_>> {
        Box::pin(async { Err("not here".into()) })
    }
}

impl Api {
    pub fn of(server: &Server) -> Self {
        let place = Place::new();
        let trust = TrustSpace::default().into_handle();
        let traces = Traces::open(server.registry.room().traces(), &place.path().join("traces")).unwrap();
        let administration = Administration::new(server.registry.clone(), trust, Arc::new(Surroundings), traces);
        let allowed = Allowed::new(&[], &[]).unwrap();
        let socket = AdminSocket::bind(&place.path().join("admin.sock"), &allowed).unwrap();
        let (switch, stop) = shutdown();
        let administration = Arc::new(administration);
        let router = complete(router(Arc::clone(&administration)), administration);
        tokio::spawn(connection::serve(socket, allowed, router, ConnectionLimits::default(), stop));
        Self { place, switch }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.place.path().join("admin.sock")).await.unwrap()
    }

    /// A request that must be granted; what it is answered with, if anything.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let kind = (!body.is_empty()).then_some("application/json");
        let response = self.client().await.raw(method, path, kind, full(body)).await.unwrap();
        let bytes = collect(response.into_body()).await.unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.switch.begin();
    }
}
