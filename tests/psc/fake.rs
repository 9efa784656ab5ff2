//! A Pro Santé Connect of the tests' own: a few endpoints over TLS on loopback, whose answers and faults a test sets, and which
//! counts what it is asked.

use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use caducee::accounts::psc::{Judging, Person, Psc, PscError, PscOptions};
use caducee::telemetry::Metrics;
use caducee::wire::sasl::Secret;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What the service under test is known as there.
pub const CLIENT: &str = "caducee";

/// The national id of the person of most tests.
pub const LEA: &str = "899700000001";

/// The moment at which tests begin.
pub const BEGIN: i64 = 1_800_000_000;

thread_local! {
    /// Each test has a thread of its own, and so its own time.
    static NOW: Cell<i64> = const { Cell::new(BEGIN) };
}

/// What time it is.
pub fn now() -> i64 {
    NOW.get()
}

/// Time passes.
pub fn advance(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

/// What goes wrong at an endpoint.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with an empty body.
    Status(u16),
    /// 200 and these octets.
    Body(Vec<u8>),
    /// This status, pointing to this address.
    Redirect(u16, String),
    /// The connection ends without an answer.
    Reset,
    /// No answer until [`Fake::release`].
    Held,
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub path: String,
    pub authorization: String,
    pub body: String,
    pub with_certificate: bool,
}

#[derive(Default)]
struct Answers {
    faults: HashMap<String, Fault>,
    /// Introspection, userinfo and token answers, by token or code.
    tokens: HashMap<String, Value>,
    userinfo: HashMap<String, Value>,
    codes: HashMap<String, Value>,
    keys: Vec<Value>,
    asked: Vec<Asked>,
}

/// The server.
pub struct Fake {
    pub issuer: String,
    pub authority: Authority,
    answers: Arc<Mutex<Answers>>,
    connections: Arc<AtomicUsize>,
    cut: watch::Sender<u32>,
    released: watch::Sender<bool>,
}

/// An authority, and what it issues.
pub struct Authority {
    key: KeyPair,
    params: CertificateParams,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the tests' authority");
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { key, params, der }
    }

    pub fn issue(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        roots
    }
}

impl Fake {
    pub async fn start() -> Self {
        let authority = Authority::new();
        let (chain, key) = authority.issue("localhost");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = Arc::new(authority.roots());
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = format!("https://localhost:{port}/realms/esante-wallet");
        let (cut, released) = (watch::channel(0).0, watch::channel(false).0);
        let fake = Self { issuer, authority, answers: Arc::default(), connections: Arc::default(), cut, released };
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let site = fake.site();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(site.clone().connection(acceptor.clone(), stream));
            }
        });
        fake
    }

    fn site(&self) -> Site {
        Site {
            issuer: self.issuer.clone(),
            answers: Arc::clone(&self.answers),
            connections: Arc::clone(&self.connections),
            cut: self.cut.subscribe(),
            released: self.released.subscribe(),
        }
    }

    /// Introspection answers a token so from now on; `active` and what every token has is added.
    pub fn knows(&self, token: &str, changes: Value) {
        self.answers.lock().unwrap().tokens.insert(token.to_owned(), changed(access(&self.issuer), &changes));
    }

    /// Userinfo answers a token so.
    pub fn tells(&self, token: &str, userinfo: Value) {
        self.answers.lock().unwrap().userinfo.insert(token.to_owned(), userinfo);
    }

    /// The token endpoint answers a code so, once.
    pub fn redeems(&self, code: &str, tokens: Value) {
        self.answers.lock().unwrap().codes.insert(code.to_owned(), tokens);
    }

    /// The keys from now on.
    pub fn keys(&self, signers: &[&Signer]) {
        self.answers.lock().unwrap().keys = signers.iter().map(|signer| signer.json()).collect();
    }

    /// An endpoint (`introspect`, `certs`, …; `` is each of them) fails so from now on.
    pub fn fails(&self, endpoint: &str, fault: Fault) {
        self.answers.lock().unwrap().faults.insert(endpoint.to_owned(), fault);
    }

    /// All is well again.
    pub fn recovers(&self) {
        self.answers.lock().unwrap().faults.clear();
    }

    /// Lets go what is held, and what comes.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Cuts every connection that is open.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Requests whose path ends so, since the beginning.
    pub fn asked(&self, endpoint: &str) -> Vec<Asked> {
        self.answers.lock().unwrap().asked.iter().filter(|asked| asked.path.ends_with(endpoint)).cloned().collect()
    }

    /// Connections since the beginning.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Settings for it: introspection with a secret, bounds that a test can wait for.
    pub fn options(&self) -> PscOptions {
        PscOptions {
            issuer: self.issuer.clone(),
            client_id: CLIENT.into(),
            client_secret: Some(Secret::new("s3cr:et")),
            identity: None,
            anchors: self.authority.roots(),
            judging: Judging::Introspection,
            audience: Vec::new(),
            acr: vec!["eidas1".into()],
            clock_skew: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
            deadline: Duration::from_secs(60),
            retries: 0,
            at_once: 1000,
            max_answer: 64 << 10,
            breaker_failures: 1000,
            max_refused_per_address: 1000,
            breaker_pause: Duration::from_secs(3600),
            cache: Duration::from_secs(120),
            cache_refused: Duration::from_secs(10),
            cache_entries: 1000,
            refresh: Duration::from_secs(3600),
            keys_pause: Duration::from_secs(3600),
            clock: now,
        }
    }

    /// A client with these settings changed.
    pub fn client(&self, change: impl FnOnce(&mut PscOptions)) -> Psc {
        let mut options = self.options();
        change(&mut options);
        Psc::new(options, &Metrics::default()).unwrap()
    }
}

/// The claims that a good access token has.
pub fn access(issuer: &str) -> Value {
    json!({
        "active": true, "iss": issuer, "sub": "f:550dc1c8:899700000001", "azp": "some-lps", "typ": "Bearer", "acr": "eidas1",
        "exp": BEGIN + 240, "iat": BEGIN - 5, "scope": "openid scope_all", "preferred_username": LEA, "SubjectNameID": LEA,
        "given_name": "LÉA", "family_name": "PETIT", "SubjectRole": ["10^1.2.250.1.213.1.1.5.5"],
    })
}

/// A value with these members in place of its own; `null` takes one away.
pub fn changed(mut value: Value, changes: &Value) -> Value {
    let members = value.as_object_mut().expect("an object");
    for (name, change) in changes.as_object().expect("an object") {
        if change.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), change.clone())
        };
    }
    value
}

/// Asks who a token is, on a connection without a certificate.
pub async fn verify(psc: &Psc, token: &str) -> Result<Person, PscError> {
    psc.verify(&Secret::new(token), None).await
}

/// A key that signs tokens.
pub struct Signer {
    pub kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    pub fn json(&self) -> Value {
        let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
    }

    pub fn sign(&self, claims: &Value) -> String {
        let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = json!({ "alg": "ES256", "kid": self.kid, "typ": "JWT" });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a connection needs of the server.
#[derive(Clone)]
struct Site {
    issuer: String,
    answers: Arc<Mutex<Answers>>,
    connections: Arc<AtomicUsize>,
    cut: watch::Receiver<u32>,
    released: watch::Receiver<bool>,
}

/// An answer that is none: the connection ends.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

impl Site {
    async fn connection(mut self, acceptor: TlsAcceptor, stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let with_certificate = stream.get_ref().1.peer_certificates().is_some();
        let site = self.clone();
        let service = service_fn(move |request| site.clone().answer(request, with_certificate));
        self.cut.mark_unchanged();
        tokio::select! {
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
            _ = self.cut.changed() => {}
        }
    }

    async fn answer(
        mut self,
        request: Request<Incoming>,
        with_certificate: bool,
    ) -> Result<Response<Full<Bytes>>, Cut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let authorization = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let asked = Asked {
            path: head.uri.path().to_owned(),
            authorization: authorization.unwrap_or_default(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            with_certificate,
        };
        let endpoint = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        let fault = {
            let mut answers = self.answers.lock().unwrap();
            answers.asked.push(asked.clone());
            answers.faults.get(&endpoint).or_else(|| answers.faults.get("")).cloned()
        };
        match fault {
            Some(Fault::Status(status)) => Ok(plain(status, Vec::new())),
            Some(Fault::Body(body)) => Ok(plain(200, body)),
            Some(Fault::Redirect(status, to)) => {
                let mut answer = plain(status, Vec::new());
                answer.headers_mut().insert("location", to.parse().unwrap());
                Ok(answer)
            }
            Some(Fault::Reset) => Err(Cut),
            Some(Fault::Held) => {
                self.released.wait_for(|released| *released).await.map_err(|_| Cut)?;
                Ok(self.good(&endpoint, &asked).unwrap())
            }
            None => Ok(self.good(&endpoint, &asked).unwrap()),
        }
    }

    fn good(&self, endpoint: &str, asked: &Asked) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut answers = self.answers.lock().unwrap();
        let field = |name: &str| {
            let pairs = asked.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
        };
        let (status, body) = match endpoint {
            "wallet-openid-configuration" => (200, discovery(&self.issuer)),
            "certs" => (200, json!({ "keys": answers.keys })),
            "introspect" | "introspect-mtls" => {
                (200, answers.tokens.get(&field("token")).cloned().unwrap_or(json!({ "active": false })))
            }
            "userinfo" => {
                let token = asked.authorization.strip_prefix("Bearer ").unwrap_or_default();
                answers
                    .userinfo
                    .get(token)
                    .map_or((401, json!({ "error": "invalid_token" })), |info| (200, info.clone()))
            }
            "token" => answers
                .codes
                .remove(&field("code"))
                .map_or((400, json!({ "error": "invalid_grant" })), |tokens| (200, tokens)),
            _ => (404, json!({})),
        };
        Ok(plain(status, body.to_string().into_bytes()))
    }
}

fn plain(status: u16, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn discovery(issuer: &str) -> Value {
    let at = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": "https://wallet.example/auth",
        "token_endpoint": at("token"),
        "introspection_endpoint": at("token/introspect"),
        "userinfo_endpoint": at("userinfo"),
        "end_session_endpoint": at("logout"),
        "jwks_uri": at("certs"),
        "mtls_endpoint_aliases": { "introspection_endpoint": at("token/introspect-mtls") },
    })
}
