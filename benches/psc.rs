//! Access tokens: `cargo bench --bench psc`.
//!
//! Prints a small table: tokens that are remembered, a second; tokens that are judged by their signature, a second, with keys
//! that are remembered; tokens that are asked about, one after the other and a hundred at once, at a Pro Santé Connect of the
//! tests' own in the same process.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../tests/psc/fake.rs"]
#[allow(dead_code, reason = "the tests' own; this takes a part of it")]
mod fake;

use std::time::{Duration, Instant};

use caducee::accounts::psc::{Judging, Psc};
use caducee::wire::sasl::Secret;
use serde_json::json;

use fake::{Fake, Signer, access, changed};

/// Tokens asked about at once.
const AT_ONCE: usize = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let fake = Fake::start().await;
        let signer = Signer::new("one");
        fake.keys(&[&signer]);
        remembered(&fake).await;
        signed(&fake, &signer).await;
        asked(&fake).await;
    });
}

async fn remembered(fake: &Fake) {
    fake.knows("good", json!({}));
    let psc = fake.client(|_| ());
    let token = Secret::new("good");
    report("remembered", 500_000, async |times| {
        for _ in 0..times {
            psc.verify(&token, None).await.unwrap();
        }
    })
    .await;
}

async fn signed(fake: &Fake, signer: &Signer) {
    const TOKENS: usize = 5_000;
    let psc = fake.client(|options| {
        options.judging = Judging::Signature;
        options.cache = Duration::ZERO;
    });
    let token = |n: usize| Secret::new(signer.sign(&changed(access(&fake.issuer), &json!({ "jti": n.to_string() }))));
    let tokens: Vec<Secret> = (0..TOKENS).map(token).collect();
    psc.verify(&tokens[0], None).await.unwrap();
    report("signed (ES256)", TOKENS, async |times| {
        for token in &tokens[..times] {
            psc.verify(token, None).await.unwrap();
        }
    })
    .await;
}

async fn asked(fake: &Fake) {
    const TOKENS: usize = 2_000;
    for n in 0..2 * TOKENS {
        fake.knows(&format!("t{n}"), json!({}));
    }
    let psc = fake.client(|_| ());
    report("asked about, one by one", TOKENS, async |times| {
        for n in 0..times {
            psc.verify(&Secret::new(format!("t{n}")), None).await.unwrap();
        }
    })
    .await;
    report("asked about, a hundred at once", TOKENS, async |times| {
        let workers: Vec<_> =
            (0..AT_ONCE).map(|worker| tokio::spawn(some(psc.clone(), TOKENS + worker, times))).collect();
        for worker in workers {
            worker.await.unwrap();
        }
    })
    .await;
}

async fn some(psc: Psc, first: usize, times: usize) {
    for n in (0..times).step_by(AT_ONCE) {
        psc.verify(&Secret::new(format!("t{}", first + n)), None).await.unwrap();
    }
}

async fn report(what: &str, times: usize, work: impl AsyncFnOnce(usize)) {
    let begin = Instant::now();
    work(times).await;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{what:32} {times:>8} in {seconds:6.2} s  {:>9.0} a second", times as f64 / seconds);
}
