//! Refreshing the CRLs.

use std::sync::Arc;
use std::time::Duration;

use caducee::jobs::crl::{CrlJob, CrlSettings, judge};
use caducee::jobs::fetch::{Fetcher, Source};
use caducee::mss::trust::TrustHandle;
use caducee::mss::{CrlState, TrustSpace};
use caducee::telemetry::{Metrics, RuleLabel};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls::pki_types::CertificateDer;

use crate::https::{Server, http, ok, roots};
use crate::refresh::{Directory, until};
use crate::support::{AGENCY, Holder};

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A CRL of this issuer, made `age` seconds ago and good for `left` more, that revokes these serial numbers.
fn crl(issuer: &Holder, age: i64, left: i64, revoked: &[u64]) -> Vec<u8> {
    let at = |unix: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix as u64);
    let params = CertificateRevocationListParams {
        this_update: at(now() - age),
        next_update: at(now() + left),
        crl_number: SerialNumber::from((now() - age) as u64),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: at(now() - age),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer.issuer()).unwrap().der().to_vec()
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", lines.join("\n"))
}

fn issuers() -> Vec<CertificateDer<'static>> {
    vec![AGENCY.root.der.clone().into(), AGENCY.issuer.der.clone().into()]
}

fn settings(sources: &[&str], cache: &Directory) -> CrlSettings {
    CrlSettings {
        sources: sources.iter().map(|text| Source::parse(text).unwrap()).collect(),
        issuers: issuers(),
        fetcher: Fetcher::new(roots(&AGENCY.root), Duration::from_secs(5), 1 << 20).unwrap(),
        refresh: Duration::from_secs(3600),
        grace: Duration::from_secs(100),
        max_size: 1 << 20,
        cache: cache.0.join("trust"),
    }
}

fn job(settings: &CrlSettings, space: &TrustHandle) -> CrlJob {
    CrlJob::new(settings.clone(), Some(Arc::clone(space)), Metrics::default())
}

#[tokio::test]
async fn lists_come_from_files_and_addresses_in_der_and_pem() {
    let cache = Directory::new("crl-taken");
    let server = Server::plain().await;
    let file = cache.0.join("root.crl");
    std::fs::write(&file, pem(&crl(&AGENCY.root, 10, 1000, &[]))).unwrap();
    server.answer([ok(&crl(&AGENCY.issuer, 10, 500, &[1, 2]), "a")]);
    let settings = settings(&[file.to_str().unwrap(), &server.url("http", "/ACI-EL-ORG.crl")], &cache);
    let space = TrustSpace::default().into_handle();
    let job = job(&settings, &space);
    let mut lists = job.subscribe();
    assert_eq!(space.load().crl_state, CrlState::Missing);

    assert_eq!(job.refresh().await, 0);
    assert!(lists.has_changed().unwrap());
    assert_eq!(lists.borrow_and_update().iter().count(), 2);
    let CrlState::Loaded { fresh_until, usable_until } = space.load().crl_state else { panic!("not loaded") };
    assert!((now() + 490..=now() + 500).contains(&fresh_until), "the earliest end counts");
    assert_eq!(usable_until, fresh_until + 100);

    // Nothing new: nobody is told.
    server.answer([http("304 Not Modified", &[], b"")]);
    assert_eq!(job.refresh().await, 0);
    assert!(!lists.has_changed().unwrap());
    let status = job.status();
    assert_eq!(status.len(), 2);
    assert_eq!(status[1].last_result, Some("unchanged"));
    assert_eq!((status[1].lists.len(), status[1].lists[0].revoked, status[1].lists[0].stale), (1, 2, false));

    // A new one goes out.
    server.answer([ok(&crl(&AGENCY.issuer, 5, 800, &[1, 2, 3]), "b")]);
    assert_eq!(job.refresh().await, 0);
    assert!(lists.has_changed().unwrap());
    assert_eq!(lists.borrow_and_update().iter().map(|crl| crl.revoked).max(), Some(3));
}

#[tokio::test]
async fn what_is_refused_leaves_the_lists() {
    let cache = Directory::new("crl-refused");
    let server = Server::plain().await;
    let space = TrustSpace::default().into_handle();
    let metrics = Metrics::default();
    let settings = settings(&[&server.url("http", "/crl")], &cache);
    let job = CrlJob::new(settings, Some(Arc::clone(&space)), metrics.clone());
    server.answer([ok(&crl(&AGENCY.issuer, 60, 500, &[7]), "a")]);
    assert_eq!(job.refresh().await, 0);
    let state = space.load().crl_state;
    let lists = job.subscribe();

    // The same names, other keys.
    let stranger_root = Holder::authority("AC RACINE INVENTEE", None);
    let namesake = Holder::authority("AC INVENTEE ORGANISATIONS", Some(&stranger_root));
    let stranger = Holder::authority("AC ETRANGERE", None);
    let mut changed = crl(&AGENCY.issuer, 10, 500, &[7]);
    let serial = changed.windows(3).position(|octets| octets == [2, 1, 7]).unwrap() + 2;
    changed[serial] = 8;
    let mut longer = crl(&AGENCY.issuer, 10, 500, &[7]);
    longer.push(0);
    for (reason, content) in [
        ("bad-signature", crl(&namesake, 10, 500, &[])),
        ("bad-signature", changed),
        ("unknown-issuer", crl(&stranger, 10, 500, &[])),
        ("older", crl(&AGENCY.issuer, 120, 500, &[])),
        ("from-the-future", crl(&AGENCY.issuer, -7200, 9000, &[])),
        ("unreadable-crl", longer),
        ("unreadable-crl", b"<html>".to_vec()),
        ("unreadable-crl", Vec::new()),
        ("too-large", vec![0x30; (1 << 20) + 1]),
    ] {
        let before = metrics.crl_refreshes.get_or_create(&RuleLabel { rule: reason }).get();
        server.answer([ok(&content, "x")]);
        assert_eq!(job.refresh().await, 1, "{reason}");
        assert_eq!(job.status()[0].last_result, Some(reason));
        assert_eq!(metrics.crl_refreshes.get_or_create(&RuleLabel { rule: reason }).get(), before + 1);
        assert_eq!(space.load().crl_state, state, "{reason}");
        assert!(!lists.has_changed().unwrap(), "{reason}");
    }
}

#[tokio::test]
async fn a_start_without_the_network_has_the_last_good_lists() {
    let cache = Directory::new("crl-start");
    let server = Server::plain().await;
    let settings = settings(&[&server.url("http", "/crl")], &cache);
    server.answer([ok(&crl(&AGENCY.issuer, 60, 500, &[7]), "a")]);
    job(&settings, &TrustSpace::default().into_handle()).refresh().await;

    let space = TrustSpace::default().into_handle();
    server.answer([http("503 Busy", &[], b"")]);
    let again = job(&settings, &space);
    assert!(matches!(space.load().crl_state, CrlState::Loaded { .. }), "before anything was asked");
    assert_eq!(again.refresh().await, 1);
    assert_eq!(again.subscribe().borrow().iter().count(), 1);

    // A damaged copy is no list.
    let copy = std::fs::read_dir(cache.0.join("trust")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&copy, b"0").unwrap();
    job(&settings, &space);
    assert_eq!(space.load().crl_state, CrlState::Missing);
}

#[tokio::test]
async fn past_next_update_the_grace_runs_and_then_admission_stops() {
    let cache = Directory::new("crl-grace");
    let file = cache.0.join("crl");
    for (left, fresh, usable) in [(50, true, true), (-50, false, true), (-150, false, false)] {
        std::fs::write(&file, crl(&AGENCY.issuer, 1000, left, &[])).unwrap();
        let space = TrustSpace::default().into_handle();
        let job = job(&settings(&[file.to_str().unwrap()], &cache), &space);
        assert_eq!(job.refresh().await, 0, "an old list is better than none");
        let state = space.load().crl_state;
        assert_eq!((state.is_fresh(now()), state.is_usable(now())), (fresh, usable), "{left}");
        assert_eq!(job.status()[0].lists[0].stale, !fresh);
        std::fs::remove_dir_all(cache.0.join("trust")).unwrap();
    }
}

#[tokio::test]
async fn of_two_sources_of_one_issuer_the_newest_list_counts() {
    let cache = Directory::new("crl-two");
    let (old, new) = (cache.0.join("old"), cache.0.join("new"));
    std::fs::write(&old, crl(&AGENCY.issuer, 60, 500, &[1])).unwrap();
    std::fs::write(&new, crl(&AGENCY.issuer, 30, 500, &[1, 2])).unwrap();
    let job =
        job(&settings(&[new.to_str().unwrap(), old.to_str().unwrap()], &cache), &TrustSpace::default().into_handle());
    job.refresh().await;
    let lists = job.subscribe();
    let lists = lists.borrow();
    assert_eq!(lists.iter().map(|crl| crl.revoked).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn sources_that_are_gone_are_dropped_and_the_job_wakes() {
    let cache = Directory::new("crl-configure");
    let (one, two) = (cache.0.join("one"), cache.0.join("two"));
    std::fs::write(&one, crl(&AGENCY.issuer, 60, 500, &[1])).unwrap();
    std::fs::write(&two, crl(&AGENCY.root, 60, 500, &[])).unwrap();
    let space = TrustSpace::default().into_handle();
    let job = Arc::new(job(&settings(&[one.to_str().unwrap()], &cache), &space));
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let running = {
        let job = Arc::clone(&job);
        tokio::spawn(async move { job.run(async move { drop(stopped.wait_for(|stop| *stop).await) }).await })
    };
    until(|| job.subscribe().borrow().iter().count() == 1).await;
    job.configure(settings(&[two.to_str().unwrap()], &cache));
    until(|| job.status()[0].last_result == Some("taken")).await;
    until(|| job.subscribe().borrow().iter().all(|crl| crl.revoked == 0)).await;
    assert_eq!(job.subscribe().borrow().iter().count(), 1);
    job.configure(settings(&[], &cache));
    assert_eq!(space.load().crl_state, CrlState::NotConfigured);
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[test]
fn each_list_of_a_file_must_be_signed() {
    let good = pem(&crl(&AGENCY.issuer, 60, 500, &[]));
    let stranger = pem(&crl(&Holder::authority("AC ETRANGERE", None), 60, 500, &[]));
    assert_eq!(judge(good.as_bytes(), &issuers(), now()).unwrap().len(), 1);
    let error = judge(format!("{good}{stranger}").as_bytes(), &issuers(), now()).unwrap_err();
    assert_eq!(error.name(), "unknown-issuer");
}
