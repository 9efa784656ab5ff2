//! Nothing that is told at the loudest level holds a token, a code, a verifier, our secret, or a person.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use caducee::wire::sasl::Secret;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::fake::{Fake, Fault, LEA, Signer, access, verify};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_line_holds_a_token_a_code_or_a_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // Beside a single dispatcher, `tracing` lets whichever thread comes to a line first decide for all whether it is told.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _loud = tracing::subscriber::set_default(subscriber);
    let fake = Fake::start().await;
    let signer = Signer::new("one");
    fake.keys(&[&signer]);
    let signed = signer.sign(&access(&fake.issuer));
    let (good, bad) = ("good-0123456789", "bad-9876543210");
    fake.knows(good, json!({ "SubjectNameID": null }));
    fake.tells(good, json!({ "sub": "f:550dc1c8:899700000001", "SubjectNameID": LEA }));
    let psc = fake.client(|options| {
        options.client_secret = Some(Secret::new("our-own-s3cret"));
        options.breaker_failures = 2;
    });
    verify(&psc, good).await.unwrap();
    verify(&psc, bad).await.unwrap_err();
    verify(&psc, &signed).await.unwrap_err();
    let verifier = Secret::new("verifier-0123456789-0123456789-0123456789-0123");
    psc.redeem("code-5555555555", &verifier, "https://portail.example/", "nonce-7777777777").await.unwrap_err();
    for fault in [Fault::Status(401), Fault::Body(b"good-0123456789".to_vec()), Fault::Reset, Fault::Reset] {
        fake.fails("", fault);
        verify(&psc, "other-1111111111").await.unwrap_err();
        psc.redeem("code-5555555555", &verifier, "https://portail.example/", "nonce-7777777777").await.unwrap_err();
    }
    let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(told.contains("psc.refused-us") && told.contains("psc.away"), "the log was listened to:\n{told}");
    let encoded = "Y2FkdWNlZT";
    for secret in [good, bad, &signed, "other-1111111111", "our-own-s3cret", encoded, "verifier-0", "code-5", LEA] {
        let line = told.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in {line:?}");
    }
}
