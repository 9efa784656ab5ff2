//! A verified peer, read once from its certificate.

use super::CertificateProblem;
pub use crate::accounts::Authority;
use crate::mss::dn::DistinguishedName;
use crate::mss::text::hex;
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Who a verified certificate says the peer is. Only made from a chain that was verified against anchors, validity and
/// revocation; parsed once, so that nobody after this reads DER again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Who issued it.
    pub authority: Authority,
    /// The subject, to be compared with the white list (MSSanté §3) or a credential.
    pub subject: DistinguishedName,
    /// The issuer, for traces.
    pub issuer: DistinguishedName,
    /// SHA-256 of the leaf's DER, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Serial number, in lower-case hexadecimal, as CRLs and traces name it.
    pub serial: String,
    /// End of validity, in Unix seconds.
    pub not_after: i64,
    /// The chain as it was shown, leaf first, in DER.
    pub chain: Vec<CertificateDer<'static>>,
}

impl PeerIdentity {
    /// Reads a chain that has been verified.
    ///
    /// # Errors
    /// The chain is empty, or its leaf or subject cannot be read.
    pub(super) fn of_verified(chain: &[CertificateDer<'_>], authority: Authority) -> Result<Self, CertificateProblem> {
        let leaf = chain.first().ok_or(CertificateProblem::Missing)?;
        let unreadable = |error: &dyn std::fmt::Display| CertificateProblem::Unreadable(error.to_string());
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|e| unreadable(&e))?;
        Ok(Self {
            authority,
            subject: DistinguishedName::from_x509(parsed.subject()).map_err(|e| unreadable(&e))?,
            issuer: DistinguishedName::from_x509(parsed.issuer()).map_err(|e| unreadable(&e))?,
            fingerprint: fingerprint(leaf),
            serial: hex(parsed.raw_serial()),
            not_after: parsed.validity().not_after.timestamp(),
            chain: chain.iter().map(|c| c.clone().into_owned()).collect(),
        })
    }

    /// The leaf, in DER.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf.as_ref())
    }
}

/// SHA-256 of a certificate's DER, in lower-case hexadecimal: how credentials name a certificate.
pub fn fingerprint(der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, der).as_ref())
}
