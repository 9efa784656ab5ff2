//! The real network over loopback: TLS with each kind of wrong certificate, and none.

use crate::peer::{Manners, Peer, Say};
use crate::pki::{DAY, Files, Leaf, Pki};
use crate::support::have;
use crate::world::{Stage, list, shown, subject};
use caducee::config::Config;
use caducee::config::sending::Route;
use caducee::mail::queue::Verdict;
use caducee::mail::relay::{Exchanger, Relay};
use caducee::mss::trust::{CrlState, TrustSpace};
use caducee::mss::{DistinguishedName, WhiteList};
use caducee::serve::outbound::dns::{LookupError, Resolver};
use caducee::serve::outbound::{Outbound, Surroundings};
use caducee::serve::tls::{self, Contexts, Material, Revocation};
use caducee::telemetry::Metrics;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::HandshakeKind;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What our side of the connection is made of.
pub struct Ours {
    pub config: Config,
    pub contexts: Contexts,
}

impl Surroundings for Ours {
    fn config(&self) -> Arc<Config> {
        Arc::new(self.config.clone())
    }

    fn tls(&self) -> &Contexts {
        &self.contexts
    }
}

/// No DNS: routes name addresses.
struct NoDns;

impl Resolver for NoDns {
    async fn mx(&self, _: &str) -> Result<Vec<Exchanger>, LookupError> {
        Err(LookupError::Failed("no DNS here".into()))
    }

    async fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, LookupError> {
        Err(LookupError::Failed("no DNS here".into()))
    }
}

pub fn contexts(pki: &Pki, files: &Files) -> Contexts {
    let settings = pki.settings(files);
    let lists = tls::read_crls(settings.crls.iter().map(Path::new)).unwrap();
    let revocation = Revocation { operators: lists.clone(), mailboxes: lists, grace: settings.crl_grace };
    Contexts::new(Material::read(&settings).unwrap(), revocation).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Sends a message to `there.example`, routed to this port, whose white list entry is `listed`. What it comes to, and the
/// words.
async fn send(pki: &Pki, port: u16, listed: WhiteList) -> (String, String) {
    let ours = pki.leaf(&Leaf::good("nous", 77));
    let mut config = Config::default();
    config.server.name = "mx.us.example".into();
    let hosts = vec![format!("127.0.0.1:{port}")];
    config.relay.routes = vec![Route { domains: vec!["there.example".into()], hosts, ..Route::default() }];
    let ours = Ours { config, contexts: contexts(pki, &ours) };
    let stage = Stage::new(&[]).await;
    let crl_state = CrlState::Loaded { fresh_until: now() + 100, usable_until: now() + 100 };
    let trust = TrustSpace { list: Some(Arc::new(listed)), crl_state, ..TrustSpace::default() }.into_handle();
    let network = Outbound::new(ours, NoDns);
    let relay = Relay::new(stage.store.clone(), trust, network, Metrics::default());
    let outcome = relay.carry(&stage.attempt("there.example", &["b"])).await;
    let words = match &outcome.recipients[0].1 {
        Verdict::Relayed { words, .. } | Verdict::Deferred(words) | Verdict::Failed(words) => words.text.clone(),
    };
    (shown(&outcome), words)
}

fn subject_of(files: &Files) -> DistinguishedName {
    DistinguishedName::from_der(&CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap()
}

/// A list that gives `there.example` to this subject.
fn listed(subject: &DistinguishedName) -> WhiteList {
    let mut entries = list(now(), &[("there.example", "x")]).entries().to_vec();
    entries[0].dn = Arc::new(subject.clone());
    WhiteList::from_entries(now(), entries)
}

/// A real server with these files, that asks for our certificate and judges it. Its port.
async fn server(pki: &Pki, files: &Files, peer: Arc<Peer>) -> u16 {
    let config = contexts(pki, files).inbound();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if peer.until_tls(&mut stream).await {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
                if let Ok(stream) = acceptor.accept(stream).await {
                    peer.after_tls(stream).await;
                }
            }
        }
    });
    port
}

/// What a message comes to at a server with this certificate, listed as it is.
async fn at(pki: &Pki, files: &Files) -> (String, String) {
    let peer = Arc::new(Peer::default());
    let port = server(pki, files, Arc::clone(&peer)).await;
    let found = send(pki, port, listed(&subject_of(files))).await;
    assert_eq!(peer.taken().len(), usize::from(found.0.starts_with("relayed")));
    found
}

#[tokio::test]
async fn a_listed_server_with_a_good_certificate_gets_the_message_over_mutual_tls() {
    let pki = Pki::new();
    assert_eq!(at(&pki, &pki.leaf(&Leaf::good("serveur", 1))).await.0, "relayed 2.0.0 250; reached");
}

#[tokio::test]
async fn each_kind_of_wrong_certificate_is_a_reason_to_wait_that_says_which() {
    let pki = Pki::new();
    let foreign = Pki::of("FREMD");
    pki.write_crls(2, &[3]);
    let good = |name, serial| Leaf::good(name, serial);
    let now = SystemTime::now();
    let rows = [
        (pki.leaf(&Leaf { from: now - 9 * DAY, until: now - DAY, ..good("perime", 2) }), "certificate-expired"),
        (pki.leaf(&Leaf { from: now + DAY, ..good("futur", 4) }), "certificate-not-yet-valid"),
        (pki.leaf(&good("revoque", 3)), "certificate-revoked"),
        (foreign.leaf(&good("etranger", 5)), "certificate-unknown-issuer"),
        (
            pki.leaf(&Leaf { usages: vec![ExtendedKeyUsagePurpose::ClientAuth], ..good("client", 6) }),
            "certificate-wrong-usage",
        ),
        (pki.leaf(&Leaf { usages: vec![], ..good("sans-usage", 7) }), "certificate-wrong-usage"),
    ];
    for (files, rule) in rows {
        let (found, words) = at(&pki, &files).await;
        assert_eq!(found, format!("deferred 4.7.5 {rule}; away"), "{words}");
        assert!(words.contains("certificate of the server 127.0.0.1"), "{words}");
    }
}

#[tokio::test]
async fn a_good_certificate_that_is_not_the_listed_one_gets_nothing() {
    let pki = Pki::new();
    let files = pki.leaf(&Leaf::good("serveur", 1));
    for other in ["CN=autre.example,O=HOPITAL DE TEST,C=FR", "CN=serveur.example,O=AUTRE HOPITAL,C=FR"] {
        let peer = Arc::new(Peer::default());
        let port = server(&pki, &files, Arc::clone(&peer)).await;
        let other = DistinguishedName::parse_text(other).unwrap();
        let (found, words) = send(&pki, port, listed(&other)).await;
        assert_eq!(found, "failed 5.7.1 dn-not-listed; reached", "{words}");
        assert!(words.contains("CN=serveur.example"), "{words}");
        assert!(peer.taken().is_empty());
    }
}

#[tokio::test]
async fn a_server_whose_starttls_is_stripped_or_that_is_not_there_gets_nothing() {
    let pki = Pki::new();
    let files = pki.leaf(&Leaf::good("serveur", 1));
    let stripped = Manners { ehlo: Say::text("250-peer\r\n250 HELP\r\n"), ..Manners::default() };
    let peer = Arc::new(Peer::with(stripped));
    let port = server(&pki, &files, Arc::clone(&peer)).await;
    assert_eq!(send(&pki, port, listed(&subject("x"))).await.0, "deferred 4.7.4 no-starttls; away");
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (found, words) = send(&pki, unused, listed(&subject("x"))).await;
    assert_eq!(found, "deferred 4.4.1 connect-failed; away");
    assert!(words.ends_with("connection refused"), "{words}");
}

#[tokio::test]
async fn a_server_that_does_not_believe_our_certificate_is_heard() {
    let (pki, foreign) = (Pki::new(), Pki::of("FREMD"));
    let files = pki.leaf(&Leaf::good("serveur", 1));
    let peer = Arc::new(Peer::default());
    // Its own certificate is good, and it believes another authority.
    let port = server(&foreign, &files, Arc::clone(&peer)).await;
    let (found, words) = send(&pki, port, listed(&subject_of(&files))).await;
    // TLS 1.3: the client is done before the server judges it, so that its alert comes in place of the next answer.
    assert_eq!(found, "deferred 4.4.2 connection-lost; away", "{words}");
    assert!(words.contains("answer to EHLO") && words.contains("alert: UnknownC"), "{words}");
}

/// A server in Python's `ssl`: it can what rustls cannot, old suites and versions.
const OLD_SERVER: &str = r#"
import socket, ssl, sys
certificate, key, ciphers, version = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.minimum_version = ssl.TLSVersion[version]
context.maximum_version = ssl.TLSVersion[version]
context.set_ciphers(ciphers)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.sendall(b"220 old\r\n")
connection.recv(1000)
connection.sendall(b"250-old\r\n250 STARTTLS\r\n")
connection.recv(1000)
connection.sendall(b"220 go\r\n")
try:
    context.wrap_socket(connection, server_side=True)
except (ssl.SSLError, OSError) as error:
    print(error, file=sys.stderr)
"#;

/// Ends the server with the test.
struct OldServer(Child, u16);

impl OldServer {
    fn start(files: &Files, ciphers: &str, version: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-W", "ignore", "-c", OLD_SERVER])
            .args([&files.certificate, &files.key])
            .args([ciphers, version])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line:?}"));
        Self(child, port)
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_with_nothing_but_what_we_refuse_is_reported_in_those_words() {
    if !have("python3") {
        return;
    }
    let pki = Pki::new();
    let files = pki.leaf(&Leaf::good("serveur", 1));
    let subject = subject_of(&files);
    let rows = [("ECDHE-ECDSA-AES128-SHA256", "TLSv1_2"), ("DEFAULT:@SECLEVEL=0", "TLSv1_1")];
    for (ciphers, version) in rows {
        let server = OldServer::start(&files, ciphers, version);
        let (found, words) = send(&pki, server.1, listed(&subject)).await;
        assert_eq!(found, "deferred 4.7.4 tls-incompatible; away", "{version}: {words}");
        let told = "offers TLS only with cipher suites or versions that this operator refuses";
        assert!(words.contains(told), "{version}: {words}");
    }
    // The same server is spoken to when it has a suite that serves: it is the suites that were wrong.
    let server = OldServer::start(&files, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1_2");
    let (found, _) = send(&pki, server.1, listed(&subject)).await;
    assert!(!found.contains("tls-incompatible"), "{found}");
}

#[tokio::test]
async fn a_server_that_offers_to_resume_gets_a_full_handshake_each_time() {
    let pki = Pki::new();
    let contexts = contexts(&pki, &pki.leaf(&Leaf::good("serveur", 1)));
    for _ in 0..3 {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        // The mailbox door's context gives tickets.
        let acceptor =
            tokio_rustls::TlsAcceptor::from(contexts.mailbox(caducee::config::fronts::ClientCertificates::Ask));
        let server = tokio::spawn(async move {
            let mut stream = acceptor.accept(theirs).await.unwrap();
            stream.write_all(b"!").await.unwrap();
            stream.flush().await.unwrap();
            stream
        });
        let name = ServerName::try_from("serveur.example").unwrap();
        let longest = Duration::from_secs(10);
        let (mut stream, _) = tls::connect(contexts.outbound(), name, ours, longest).await.unwrap();
        // Behind the tickets.
        assert_eq!(stream.read_u8().await.unwrap(), b'!');
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        drop(server.await.unwrap());
    }
}

#[tokio::test]
async fn new_files_and_new_lists_are_another_epoch_and_the_same_lists_are_not() {
    let pki = Pki::new();
    let files = pki.leaf(&Leaf::good("nous", 1));
    let settings = pki.settings(&files);
    let contexts = contexts(&pki, &files);
    let revocation = |path: &Path| {
        let lists = tls::read_crls([path]).unwrap();
        Revocation { operators: lists.clone(), mailboxes: lists, grace: settings.crl_grace }
    };
    let first = contexts.epoch();
    contexts.replace_revocation(revocation(&pki.path("crl.pem"))).unwrap();
    assert_eq!(contexts.epoch(), first);
    contexts.replace_revocation(revocation(&pki.write_crls(2, &[9]))).unwrap();
    let second = contexts.epoch();
    assert_ne!(second, first);
    contexts.replace_material(Material::read(&settings).unwrap()).unwrap();
    assert_ne!(contexts.epoch(), second);
}
