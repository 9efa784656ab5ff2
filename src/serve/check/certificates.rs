//! Certificates, keys, authorities, revocation lists.

use super::Look;
use crate::config::{is_address, sections};
use crate::jobs::crl::judge;
use crate::serve::facts::WARNING_DAYS;
use crate::serve::tls::{self, CertificateProblem, Crl, CrlSet, Identity};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: i64 = 86_400;

/// The keys of one side: `[tls]`, `[tls.mailbox]`, `[psc]`, `[directory]`.
pub(super) struct Keys {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    pub(super) anchors: &'static str,
    pub(super) crls: &'static str,
}

const OPERATORS: Keys =
    Keys { certificate: "tls.certificate", key: "tls.key", anchors: "tls.anchors", crls: "tls.crls" };
const MAILBOXES: Keys = Keys {
    certificate: "tls.mailbox.certificate",
    key: "tls.mailbox.key",
    anchors: "tls.mailbox.anchors",
    crls: "tls.mailbox.crls",
};

pub(super) fn check(look: &mut Look<'_>) {
    let tls = look.examined.config.tls.clone();
    let identity = identity(look, &OPERATORS, &tls.certificate, &tls.key);
    let authorities = authorities(look, &OPERATORS, &tls.anchors);
    let lists = lists(look, &OPERATORS, &tls.crls, &authorities);
    if let Some(identity) = identity {
        as_peers_see_us(look, &tls, &identity, lists);
    }
    if !tls.mailbox.certificate.as_os_str().is_empty() && !tls.mailbox.key.as_os_str().is_empty() {
        self::identity(look, &MAILBOXES, &tls.mailbox.certificate, &tls.mailbox.key);
    }
    if !tls.mailbox.anchors.is_empty() {
        let authorities = self::authorities(look, &MAILBOXES, &tls.mailbox.anchors);
        self::lists(look, &MAILBOXES, &tls.mailbox.crls, &authorities);
    }
}

/// Certificate and key: readable, a pair, valid now and for some time.
pub(super) fn identity(look: &mut Look<'_>, keys: &Keys, certificate: &Path, key: &Path) -> Option<Identity> {
    if !look.is_readable(keys.certificate) || !look.is_readable(keys.key) {
        return None;
    }
    let chain = look.value(keys.certificate, tls::read_certificates(certificate));
    for der in chain.iter().flatten() {
        validity(look, keys.certificate, certificate, der);
    }
    look.is_private(keys.key, key);
    look.value(keys.key, tls::read_key(key))?;
    chain?;
    let identity = look.value(keys.certificate, Identity::read(certificate, key))?;
    look.value(keys.key, tls::check_identity(&identity))?;
    Some(identity)
}

/// The authorities' certificates: readable, and not expired.
fn authorities(look: &mut Look<'_>, keys: &Keys, paths: &[PathBuf]) -> Vec<CertificateDer<'static>> {
    let mut all = Vec::new();
    for path in paths {
        let Some(certificates) = look.value(keys.anchors, tls::read_certificates(path)) else { continue };
        for der in &certificates {
            validity(look, keys.anchors, path, der);
        }
        all.extend(certificates);
    }
    all
}

/// The lists: readable, signed by the authorities, in force. Those that are fetched are not looked at.
fn lists(look: &mut Look<'_>, keys: &Keys, sources: &[String], authorities: &[CertificateDer<'_>]) -> Option<CrlSet> {
    let mut all: Vec<Crl> = Vec::new();
    let mut complete = true;
    for source in sources {
        if is_address(source) {
            look.note(keys.crls, format!("{source} is fetched by the running server; not looked at here"));
            complete = false;
            continue;
        }
        let read = std::fs::read(source).map_err(|error| format!("{source}: {error}"));
        let Some(content) = look.value(keys.crls, read) else { continue };
        let judged = judge(&content, authorities, look.now).map_err(|error| format!("{source}: {error}"));
        let Some(found) = look.value(keys.crls, judged) else { continue };
        let now = look.now;
        for crl in found.iter().filter(|crl| crl.next_update <= now) {
            let end = day(crl.next_update);
            look.problem(keys.crls, format!("{source}: the CRL of {} was to be replaced on {end}", crl.issuer));
        }
        all.extend(found);
    }
    complete.then(|| CrlSet::newest_of_each_issuer(all))
}

/// Our own certificate, judged as another operator's server and client judge it.
fn as_peers_see_us(look: &mut Look<'_>, tls: &sections::Tls, identity: &Identity, lists: Option<CrlSet>) {
    let Ok(roots) = tls::read_anchors(&tls.anchors) else { return };
    let revocation_known = lists.is_some();
    let judged = tls::check_own_chain(identity, roots, &lists.unwrap_or_default());
    match judged {
        Ok(Ok(())) => {}
        // Validity has been told with its dates; without all lists the status cannot be known here.
        Ok(Err(CertificateProblem::Expired | CertificateProblem::NotYetValid)) => {}
        Ok(Err(CertificateProblem::RevocationUnknown)) if !revocation_known => {}
        Ok(Err(problem)) => look.problem(
            OPERATORS.certificate,
            format!("{}: other operators will refuse it: {problem}", tls.certificate.display()),
        ),
        Err(error) => look.problem(OPERATORS.anchors, error.to_string()),
    }
}

/// Tells a certificate that is not valid now, or ends within [`WARNING_DAYS`].
fn validity(look: &mut Look<'_>, key: &str, path: &Path, der: &CertificateDer<'_>) {
    let path = path.display();
    let certificate = match X509Certificate::from_der(der) {
        Ok((_, certificate)) => certificate,
        Err(error) => return look.problem(key, format!("{path}: a certificate cannot be read: {error}")),
    };
    let (begin, end) = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let subject = certificate.subject().to_string();
    if begin > look.now {
        look.problem(key, format!("{path}: {subject} is not valid before {}", day(begin)));
    }
    if end <= look.now {
        look.problem(key, format!("{path}: {subject} expired on {}", day(end)));
    } else if end <= look.now + WARNING_DAYS * DAY {
        let days = (end - look.now) / DAY;
        look.problem(key, format!("{path}: {subject} expires on {}, in {days} days", day(end)));
    }
}

/// The day of a time in Unix seconds.
fn day(time: i64) -> String {
    Timestamp::from_second(time).map_or_else(|_| time.to_string(), |time| time.strftime("%Y-%m-%d").to_string())
}
