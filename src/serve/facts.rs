//! What there is to know about our certificates and CRLs: their ends, for the figures and for warnings ahead of time.

use super::tls::{Material, Revocation};
use crate::telemetry::{Labelled, Metrics};
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Days before the end of a certificate's validity from which it is warned of.
pub const WARNING_DAYS: i64 = 30;

const DAY: i64 = 86_400;

/// Ends of validity, in Unix seconds, by what they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Our certificates, each of the chains included.
    pub certificates: Vec<(String, i64)>,
    /// The CRLs' `nextUpdate`, by issuer.
    pub crls: Vec<(String, i64)>,
}

/// Reads them off what the contexts are made of.
pub fn of(material: &Material, revocation: &Revocation) -> Facts {
    let mut facts = Facts::default();
    for side in [&material.operators, &material.mailboxes] {
        for der in &side.identity.chain {
            let Ok((_, certificate)) = X509Certificate::from_der(der) else { continue };
            let fact = (certificate.subject().to_string(), certificate.validity().not_after.timestamp());
            if !facts.certificates.contains(&fact) {
                facts.certificates.push(fact);
            }
        }
    }
    for crl in revocation.operators.iter().chain(revocation.mailboxes.iter()) {
        let fact = (crl.issuer.clone(), crl.next_update);
        if !facts.crls.contains(&fact) {
            facts.crls.push(fact);
        }
    }
    facts
}

impl Facts {
    /// Puts them into the figures, in place of what was there, and warns of what ends soon.
    pub fn note(&self, metrics: &Metrics) {
        metrics.certificate_expiry.clear();
        for (name, end) in &self.certificates {
            metrics.certificate_expiry.get_or_create(&Labelled { name: name.clone() }).set(*end);
        }
        metrics.crl_next_update.clear();
        for (name, end) in &self.crls {
            metrics.crl_next_update.get_or_create(&Labelled { name: name.clone() }).set(*end);
        }
        self.warn(now());
    }

    /// Warns of certificates that end soon and CRLs past their end, at `now` (Unix seconds).
    pub fn warn(&self, now: i64) {
        for (subject, end) in &self.certificates {
            let days = (end - now).div_euclid(DAY);
            if *end <= now {
                tracing::error!(%subject, "our certificate has expired: no other operator will take it");
            } else if days < WARNING_DAYS {
                tracing::warn!(%subject, days, "our certificate expires soon");
            }
        }
        for (issuer, next_update) in &self.crls {
            if *next_update <= now {
                tracing::error!(%issuer, "the CRL is past its nextUpdate: it serves for tls.crl_grace only");
            }
        }
    }
}

/// Unix seconds.
pub fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
