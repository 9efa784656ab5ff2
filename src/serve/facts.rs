//! The ends of our certificates, for the figures and for warnings ahead of time. (Those of the CRLs are told by their job.)

use super::tls::Material;
use crate::telemetry::{Labelled, Metrics};
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Days before the end of a certificate's validity from which it is warned of.
pub const WARNING_DAYS: i64 = 30;

const DAY: i64 = 86_400;

/// Our certificates' ends of validity, in Unix seconds, by subject; those of the chains included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, i64)>);

impl Facts {
    /// Reads them off what the contexts are made of.
    pub fn of(material: &Material) -> Self {
        let mut ends = Vec::new();
        for der in material.operators.identity.chain.iter().chain(&material.mailboxes.identity.chain) {
            let Ok((_, certificate)) = X509Certificate::from_der(der) else { continue };
            let end = (certificate.subject().to_string(), certificate.validity().not_after.timestamp());
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        Self(ends)
    }

    /// Puts them into the figures, in place of what was there, and warns of what ends soon.
    pub fn note(&self, metrics: &Metrics) {
        metrics.certificate_expiry.clear();
        for (name, end) in &self.0 {
            metrics.certificate_expiry.get_or_create(&Labelled { name: name.clone() }).set(*end);
        }
        self.warn(now());
    }

    /// Warns of certificates that end soon, at `now` (Unix seconds).
    pub fn warn(&self, now: i64) {
        for (subject, end) in &self.0 {
            let days = (end - now).div_euclid(DAY);
            if *end <= now {
                tracing::error!(event = "certificate.expired", %subject, "our certificate has expired: nobody will take it");
            } else if days < WARNING_DAYS {
                tracing::warn!(event = "certificate.expires", %subject, days, "our certificate expires soon");
            }
        }
    }
}

/// Unix seconds.
pub fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
