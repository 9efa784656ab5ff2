//! Refreshing the white list: what is taken, what is refused without losing the current one, what is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caducee::jobs::fetch::{Fetcher, Source};
use caducee::jobs::trust::{RefreshError, Refreshed, TrustJob, TrustSettings};
use caducee::mss::trust::TrustHandle;
use caducee::mss::{CitizenRules, Domain, TestAddresses, TrustSpace};
use caducee::telemetry::{Metrics, RuleLabel};
use tokio::sync::watch;

use crate::https::{Answer, Server, http, ok, roots};
use crate::support::{AGENCY, Holder, SIGNER_CN, unsigned_list};

/// A directory of a test's own.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("caducee-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A signed list, generated so many seconds ago.
fn list(age: i64, entries: usize) -> Vec<u8> {
    AGENCY.signer.sign(&unsigned_list(now() - age, entries))
}

struct Setting {
    server: Server,
    cache: Directory,
    settings: TrustSettings,
    space: TrustHandle,
    metrics: Metrics,
}

impl Setting {
    async fn new(name: &str) -> Self {
        let server = Server::https(&AGENCY.root).await;
        let cache = Directory::new(name);
        let settings = TrustSettings {
            source: Source::parse(&server.url("https", "/listeblanchemssante.xml")).unwrap(),
            signer: AGENCY.policy(),
            fetcher: Fetcher::new(roots(&AGENCY.root), Duration::from_secs(5), 1 << 20).unwrap(),
            refresh: Duration::from_secs(900),
            max_shrink: 20,
            max_age: Duration::from_secs(86_400),
            max_size: 1 << 20,
            cache: cache.0.join("trust"),
            test_rules: TestAddresses::default(),
            citizens: CitizenRules::default(),
        };
        Self { server, cache, settings, space: TrustSpace::default().into_handle(), metrics: Metrics::default() }
    }

    fn job(&self) -> TrustJob {
        let (_, revocation) = watch::channel(Arc::default());
        TrustJob::new(self.settings.clone(), Arc::clone(&self.space), revocation, self.metrics.clone())
    }

    fn entries(&self) -> Option<usize> {
        self.space.load().list.as_ref().map(|list| list.entries().len())
    }

    fn counted(&self, rule: &'static str) -> u64 {
        self.metrics.white_list_refreshes.get_or_create(&RuleLabel { rule }).get()
    }
}

#[tokio::test]
async fn a_list_is_taken_kept_and_asked_for_conditionally() {
    let setting = Setting::new("taken").await;
    let job = setting.job();
    assert_eq!(setting.entries(), None);

    let document = list(60, 10);
    setting.server.answer([ok(&document, "one")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    assert_eq!(setting.entries(), Some(10));
    assert_eq!(std::fs::read(setting.cache.0.join("trust/white-list.xml")).unwrap(), document);
    let requests = setting.server.requests();
    assert!(requests[0].starts_with("GET /listeblanchemssante.xml HTTP/1.1\r\n"), "{requests:?}");
    assert!(!requests[0].to_lowercase().contains("if-none-match"));

    // The server knows that we have it.
    setting.server.answer([http("304 Not Modified", &[], b"")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Unchanged);
    let request = setting.server.requests().remove(0).to_lowercase();
    assert!(
        request.contains("if-none-match: \"one\"") && request.contains("if-modified-since: tue, 01 dec 2026"),
        "{request}"
    );

    // The server does not, and gives the same again.
    setting.server.answer([ok(&document, "two")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Unchanged);

    // A newer one.
    setting.server.answer([ok(&list(10, 12), "three")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    assert_eq!(setting.entries(), Some(12));
    assert_eq!((setting.counted("taken"), setting.counted("unchanged")), (2, 2));
    assert_eq!(setting.metrics.white_list_entries.get(), 12);

    let status = job.status();
    assert_eq!(status.last_result, Some("taken"));
    assert_eq!(status.problem, None);
    let list = status.list.unwrap();
    assert_eq!((list.entries, list.domains, list.unreadable, list.stale, list.from_cache), (12, 12, 0, false, false));
}

#[tokio::test]
async fn whatever_is_refused_leaves_the_list_and_its_copy() {
    let setting = Setting::new("refused").await;
    let job = setting.job();
    let good = list(60, 100);
    setting.server.answer([ok(&good, "good")]);
    job.refresh(false).await.unwrap();

    let stranger = Holder::new(SIGNER_CN, None, |_| {});
    let mut damaged = list(10, 100);
    let at = damaged.windows(5).position(|octets| octets == b"<Nom>").unwrap() + 5;
    damaged[at] = b'x';
    let redirect = |to: &str| http("302 Found", &[&format!("Location: {to}")], b"");
    let big_without_length = Answer::Raw([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; (1 << 20) + 1]].concat());
    for (reason, answer) in [
        ("bad-signature", ok(&damaged, "x")),
        ("signer-not-trusted", ok(&stranger.sign(&unsigned_list(now(), 100)), "x")),
        ("older", ok(&list(120, 100), "x")),
        ("shrunk", ok(&list(10, 79), "x")),
        ("from-the-future", ok(&list(-7200, 100), "x")),
        ("signature-form", ok(unsigned_list(now(), 100).as_bytes(), "x")),
        ("bad-xml", ok(b"<html><body>Maintenance</body></html>", "x")),
        ("bad-xml", ok(b"", "x")),
        ("http-status", http("404 Not Found", &[], b"")),
        ("http-status", http("500 Internal Server Error", &[], b"")),
        ("http-status", http("204 No Content", &[], b"")),
        ("redirected", redirect("https://elsewhere.example/list.xml")),
        ("redirected", redirect("http://localhost/list.xml")),
        ("redirected", redirect("/again")),
        ("too-large", ok(&vec![b'x'; (1 << 20) + 1], "x")),
        ("too-large", http("200 OK", &["X: y"], &vec![b'x'; (1 << 20) + 1])),
        ("too-large", big_without_length),
        ("broken-http", Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        ("broken-http", Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec())),
        ("broken-http", Answer::Raw(Vec::new())),
    ] {
        let before = setting.counted(reason);
        setting.server.answer([answer]);
        let error = job.refresh(false).await.expect_err(reason);
        assert_eq!(error.name(), reason, "{error}");
        assert_eq!(setting.entries(), Some(100), "{reason}");
        assert_eq!(setting.counted(reason), before + 1);
        let status = job.status();
        assert_eq!(status.last_result, Some(reason));
        assert_eq!(status.problem, Some(error.to_string()));
        assert_eq!(std::fs::read(setting.cache.0.join("trust/white-list.xml")).unwrap(), good, "{reason}");
    }

    // What was refused is not remembered as known: the next request has the good list's tag.
    setting.server.requests();
    setting.server.answer([http("304 Not Modified", &[], b"")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Unchanged);
    assert!(setting.server.requests()[0].to_lowercase().contains("if-none-match: \"good\""));
}

#[tokio::test]
async fn a_loss_of_entries_can_be_accepted_by_the_operator() {
    let setting = Setting::new("shrink").await;
    let job = setting.job();
    setting.server.answer([ok(&list(60, 100), "a"), ok(&list(10, 50), "b")]);
    job.refresh(false).await.unwrap();
    assert!(matches!(
        job.refresh(false).await,
        Err(RefreshError::Shrunk { offered: 50, current: 100, max_shrink: 20 })
    ));
    assert_eq!(job.refresh(true).await.unwrap(), Refreshed::Taken);
    assert_eq!(setting.entries(), Some(50));
}

#[tokio::test]
async fn redirections_on_the_same_host_are_followed() {
    let setting = Setting::new("redirect").await;
    let job = setting.job();
    let there = format!("Location: {}", setting.server.url("https", "/there"));
    setting.server.answer([
        http("301 Moved", &["Location: /moved?x=y"], b""),
        http("307 T", &[&there], b""),
        ok(&list(5, 3), "x"),
    ]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    let lines: Vec<_> =
        setting.server.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines[1..], ["GET /moved?x=y HTTP/1.1", "GET /there HTTP/1.1"]);
}

#[tokio::test]
async fn only_servers_of_the_configured_authorities_are_believed() {
    let mut setting = Setting::new("tls").await;
    setting.server.answer([ok(&list(5, 3), "x")]);
    let stranger = Holder::authority("AC ETRANGERE", None);
    setting.settings.fetcher = Fetcher::new(roots(&stranger), Duration::from_secs(5), 1 << 20).unwrap();
    let error = setting.job().refresh(false).await.unwrap_err();
    assert_eq!(error.name(), "no-tls", "{error}");
    // The certificate is for another name.
    setting.settings.fetcher = Fetcher::new(roots(&AGENCY.root), Duration::from_secs(5), 1 << 20).unwrap();
    let address = format!("https://127.0.0.1:{}/", setting.server.address.port());
    setting.settings.source = Source::parse(&address).unwrap();
    let error = setting.job().refresh(false).await.unwrap_err();
    assert_eq!(error.name(), "no-tls", "{error}");
    // Nobody is there.
    setting.settings.source = Source::parse("https://localhost:1/").unwrap();
    assert_eq!(setting.job().refresh(false).await.unwrap_err().name(), "unreachable");
    // No TLS at all.
    let plain = Server::plain().await;
    plain.answer([ok(&list(5, 3), "x")]);
    setting.settings.source = Source::parse(&plain.url("https", "/")).unwrap();
    assert_eq!(setting.job().refresh(false).await.unwrap_err().name(), "no-tls");
    assert_eq!(setting.entries(), None);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let mut setting = Setting::new("silent").await;
    setting.settings.fetcher = Fetcher::new(roots(&AGENCY.root), Duration::from_millis(300), 1 << 20).unwrap();
    setting.server.answer([Answer::Silence]);
    assert_eq!(setting.job().refresh(false).await.unwrap_err().name(), "timed-out");
}

#[tokio::test]
async fn a_start_without_the_network_has_the_last_good_list() {
    let setting = Setting::new("start").await;
    let document = list(60, 10);
    setting.server.answer([ok(&document, "a")]);
    setting.job().refresh(false).await.unwrap();

    let again = Setting { space: TrustSpace::default().into_handle(), ..setting };
    let job = again.job();
    assert_eq!(again.entries(), Some(10), "before anything was asked");
    assert!(job.status().list.unwrap().from_cache);
    again.server.answer([http("503 Busy", &[], b"")]);
    assert!(job.refresh(false).await.is_err());
    assert_eq!(again.entries(), Some(10));

    // The source still has the same: confirmed.
    again.server.answer([ok(&document, "a")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Unchanged);
    assert!(!job.status().list.unwrap().from_cache);

    // An older one is refused after a start too.
    again.server.answer([ok(&list(100, 10), "b")]);
    assert_eq!(again.job().refresh(false).await.unwrap_err().name(), "older");
}

#[tokio::test]
async fn a_damaged_copy_is_not_started_from() {
    let setting = Setting::new("damaged").await;
    let path = setting.cache.0.join("trust/white-list.xml");
    setting.server.answer([ok(&list(60, 10), "a")]);
    setting.job().refresh(false).await.unwrap();
    let mut content = std::fs::read(&path).unwrap();
    let at = content.windows(5).position(|octets| octets == b"<Nom>").unwrap() + 5;
    content[at] = b'x';
    std::fs::write(&path, content).unwrap();
    let again = Setting { space: TrustSpace::default().into_handle(), ..setting };
    let job = again.job();
    assert_eq!(again.entries(), None);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    assert_eq!(again.entries(), Some(10));
}

#[tokio::test]
async fn a_list_is_taken_even_if_it_cannot_be_kept() {
    let mut setting = Setting::new("unwritable").await;
    let file = setting.cache.0.join("file");
    std::fs::write(&file, b"").unwrap();
    setting.settings.cache = file.join("trust");
    setting.server.answer([ok(&list(60, 10), "a")]);
    assert_eq!(setting.job().refresh(false).await.unwrap(), Refreshed::Taken);
    assert_eq!(setting.entries(), Some(10));
}

#[tokio::test]
async fn a_file_is_a_source_too() {
    let mut setting = Setting::new("file").await;
    let path = setting.cache.0.join("list.xml");
    setting.settings.source = Source::parse(path.to_str().unwrap()).unwrap();
    let job = setting.job();
    assert_eq!(job.refresh(false).await.unwrap_err().name(), "unreadable");
    std::fs::write(&path, list(60, 10)).unwrap();
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Unchanged);
    std::fs::write(&path, list(10, 3)).unwrap();
    assert_eq!(job.refresh(false).await.unwrap_err().name(), "shrunk");
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert_eq!(job.refresh(false).await.unwrap_err().name(), "too-large");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(job.refresh(false).await.unwrap_err().name(), "unreadable");
    assert_eq!(setting.entries(), Some(10));
}

#[tokio::test]
async fn an_old_list_still_serves_and_is_told() {
    let setting = Setting::new("old").await;
    let job = setting.job();
    setting.server.answer([ok(&list(86_401, 10), "a")]);
    assert_eq!(job.refresh(false).await.unwrap(), Refreshed::Taken);
    assert!(job.status().list.unwrap().stale);
    assert!(setting.space.load().list.as_ref().unwrap().contains_domain(&Domain::parse("d1.mssante.example").unwrap()));
}

#[tokio::test]
async fn new_settings_count_from_the_next_refresh_and_wake_the_job() {
    let setting = Setting::new("settings").await;
    setting.server.answer([ok(&list(60, 10), "a")]);
    let job = Arc::new(setting.job());
    let (stop, mut stopped) = watch::channel(false);
    let running = {
        let job = Arc::clone(&job);
        tokio::spawn(async move { job.run(async move { drop(stopped.wait_for(|stop| *stop).await) }).await })
    };
    until(|| setting.entries() == Some(10)).await;
    until(|| job.status().next_attempt_at.is_some()).await;

    // Another signer is pinned: what the old one signed is asked for and judged anew, and stays until there is better.
    let mut settings = setting.settings.clone();
    settings.signer.signer_cn = "other.mssante.example".into();
    settings.test_rules = TestAddresses::new::<&str>(&[], &[], []).unwrap();
    settings.citizens = CitizenRules::new([], false);
    setting.server.requests();
    job.configure(settings);
    until(|| job.status().last_result == Some("signer-not-trusted")).await;
    assert!(!setting.server.requests()[0].to_lowercase().contains("if-none-match"));
    assert_eq!(setting.entries(), Some(10));
    assert_eq!(*setting.space.load().test_rules, TestAddresses::new::<&str>(&[], &[], []).unwrap());
    assert_eq!(*setting.space.load().citizens, CitizenRules::new([], false));

    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops").unwrap();
}

/// Waits for what another task brings about.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about in 5 s");
}
