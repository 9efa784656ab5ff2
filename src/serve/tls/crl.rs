//! Choosing the revocation lists that a verifier is built with.
//!
//! rustls-webpki takes the first CRL of an issuer that it is given, even when a newer one follows, and refuses to be
//! built at all when one is of a kind it does not read. So exactly one list an issuer is chosen here, the newest, and
//! those that cannot serve are set aside and told.

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::time::Duration;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

/// Why a CRL cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlProblem {
    /// It is neither DER nor PEM of a CRL.
    #[error("not a certificate revocation list: {0}")]
    Unreadable(String),
    /// It has no end (RFC 5280 §5.1.2.5 requires one).
    #[error("the CRL of {issuer} has no nextUpdate")]
    Endless {
        /// The issuer.
        issuer: String,
    },
    /// A delta or indirect CRL, which rustls-webpki does not read.
    #[error("the CRL of {issuer} is a delta or indirect one; a full one is needed")]
    Partial {
        /// The issuer.
        issuer: String,
    },
}

/// One full CRL, read once. Its signature is verified later, against the issuer's certificate, in each handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The issuer's name, for people.
    pub issuer: String,
    /// When it was made, in Unix seconds.
    pub this_update: i64,
    /// When its successor was promised for, in Unix seconds.
    pub next_update: i64,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// The issuer's name in DER: what lists are told apart by.
    issuer_der: Vec<u8>,
    /// The issuing-distribution-point extension, if any: an issuer may split its list.
    scope: Vec<u8>,
    /// The CRL number, big-endian without leading zeros (RFC 5280 §5.2.3).
    number: Vec<u8>,
    der: CertificateRevocationListDer<'static>,
}

impl Crl {
    /// Reads a file's content: one CRL in DER, or any number in PEM.
    ///
    /// # Errors
    /// One of them cannot serve.
    pub fn read_all(content: &[u8]) -> Result<Vec<Self>, CrlProblem> {
        // DER begins with a SEQUENCE tag; PEM may have words before its first section.
        if content.first() == Some(&0x30) && memchr::memmem::find(content, b"-----BEGIN").is_none() {
            return Ok(vec![Self::read(content.to_vec().into())?]);
        }
        let mut found = Vec::new();
        for item in CertificateRevocationListDer::pem_slice_iter(content) {
            found.push(Self::read(item.map_err(|e| CrlProblem::Unreadable(e.to_string()))?)?);
        }
        if found.is_empty() {
            return Err(CrlProblem::Unreadable("no X509 CRL section in the PEM file".into()));
        }
        Ok(found)
    }

    /// Reads one CRL.
    fn read(der: CertificateRevocationListDer<'static>) -> Result<Self, CrlProblem> {
        let (rest, crl) =
            CertificateRevocationList::from_der(&der).map_err(|e| CrlProblem::Unreadable(e.to_string()))?;
        if !rest.is_empty() {
            return Err(CrlProblem::Unreadable("bytes after its end".into()));
        }
        let issuer = crl.issuer().to_string();
        let mut scope = Vec::new();
        for extension in crl.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::IssuingDistributionPoint(point) if point.indirect_crl => {
                    return Err(CrlProblem::Partial { issuer });
                }
                ParsedExtension::IssuingDistributionPoint(_) => scope = extension.value.to_vec(),
                _ if extension.oid == x509_parser::oid_registry::OID_X509_EXT_DELTA_CRL_INDICATOR => {
                    return Err(CrlProblem::Partial { issuer });
                }
                _ => {}
            }
        }
        let next_update = crl.next_update().ok_or_else(|| CrlProblem::Endless { issuer: issuer.clone() })?.timestamp();
        let read = Self {
            this_update: crl.last_update().timestamp(),
            next_update,
            revoked: crl.iter_revoked_certificates().count(),
            issuer_der: crl.issuer().as_raw().to_vec(),
            scope,
            number: crl.crl_number().map(|n| n.to_bytes_be()).unwrap_or_default(),
            issuer,
            der: der.clone(),
        };
        Ok(read)
    }

    /// The list in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether `self` was made after `other`: by number, where both have one (RFC 5280 §5.2.3), then by time.
    fn is_newer_than(&self, other: &Self) -> bool {
        let rank = |crl: &Self| (crl.number.len(), crl.number.clone(), crl.this_update);
        if self.number.is_empty() || other.number.is_empty() {
            return self.this_update > other.this_update;
        }
        rank(self) > rank(other)
    }
}

/// The lists in force: at most one for each issuer (and scope).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrlSet {
    lists: Vec<Crl>,
}

impl CrlSet {
    /// Keeps the newest list of each issuer.
    pub fn newest_of_each_issuer(all: impl IntoIterator<Item = Crl>) -> Self {
        let mut newest: BTreeMap<(Vec<u8>, Vec<u8>), Crl> = BTreeMap::new();
        for crl in all {
            let key = (crl.issuer_der.clone(), crl.scope.clone());
            match newest.get(&key) {
                Some(kept) if !crl.is_newer_than(kept) => {}
                _ => drop(newest.insert(key, crl)),
            }
        }
        Self { lists: newest.into_values().collect() }
    }

    /// The lists.
    pub fn iter(&self) -> impl Iterator<Item = &Crl> {
        self.lists.iter()
    }

    /// Whether there is none: then every certificate's revocation status is unknown.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The lists in DER, for a verifier.
    pub fn der(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.lists.iter().map(|crl| crl.der.clone()).collect()
    }

    /// Whether a list of `issuer_der` is past its `nextUpdate` by more than `grace` at `now` (Unix seconds).
    pub(super) fn is_too_old(&self, issuer_der: &[u8], now: i64, grace: Duration) -> bool {
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        self.lists.iter().any(|crl| crl.issuer_der == issuer_der && now > crl.next_update.saturating_add(grace))
    }
}
