//! Who may sign a white list.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::WhiteListError;
use crate::mss::DistinguishedName;
use crate::mss::dn::normalise_value;

/// Whom we let sign the white list (MSSanté §2): issuer and common name are pinned, not the certificate, which is
/// replaced every few years.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignerPolicy {
    /// The issuer certificates in DER: the intermediate authority, the root, or both. An intermediate that stands here is
    /// trusted as it is. A signer's own certificate may stand here too, and then pins that signer.
    pub anchors: Vec<Vec<u8>>,
    /// The common name of the signer, such as `alb.mssante.fr`.
    pub signer_cn: String,
    /// Revocation lists in DER. A signer that one of them, from the signer's issuer, names is refused; a list that is
    /// missing or out of date refuses nobody, since an unreadable CRL must not take the trust space away.
    pub crls: Vec<Vec<u8>>,
}

impl SignerPolicy {
    /// Judges the signer's certificate (the first one; the others may link it to an anchor) at a time in Unix seconds.
    ///
    /// The time is the list's own `DateDeGeneration`: a list stays good after its signer's certificate has ended, or
    /// nobody could start from the last good copy. A thief of an ended key can only make lists older than the current one,
    /// which the refresh refuses.
    pub(super) fn judge(&self, certificates: &[Vec<u8>], at: i64) -> Result<(), WhiteListError> {
        let (leaf, others) = certificates.split_first().ok_or_else(|| untrusted("no certificate"))?;
        let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|error| untrusted(error.to_string()))?;
        if !rest.is_empty() {
            return Err(untrusted("there is something behind the certificate"));
        }
        self.judge_name(leaf)?;
        judge_key(&parsed)?;
        let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if !(from..=until).contains(&at) {
            return Err(untrusted("the certificate was not valid when the list was generated"));
        }
        if self.anchors.contains(leaf) {
            return Ok(());
        }
        self.judge_chain(leaf, others, at)
    }

    fn judge_name(&self, leaf: &[u8]) -> Result<(), WhiteListError> {
        let name = DistinguishedName::from_der(leaf).map_err(|error| untrusted(error.to_string()))?;
        let names: Vec<_> = name.values("CN").collect();
        match names[..] {
            [cn] if normalise_value(cn) == normalise_value(&self.signer_cn) => Ok(()),
            _ => Err(untrusted(format!("it is {name}, expected is the common name {}", self.signer_cn))),
        }
    }

    fn judge_chain(&self, leaf: &[u8], others: &[Vec<u8>], at: i64) -> Result<(), WhiteListError> {
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|error| untrusted(error.to_string()))?;
        let anchors: Vec<_> = self.anchors.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let anchors: Vec<_> = anchors.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
        let others: Vec<_> = others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let crls: Vec<CertRevocationList<'_>> = self
            .crls
            .iter()
            .map(|der| CertificateRevocationListDer::from(der.as_slice()))
            .filter_map(|der| BorrowedCertRevocationList::from_der(&der).ok()?.to_owned().ok())
            .map(CertRevocationList::Owned)
            .collect();
        let crls: Vec<&CertRevocationList<'_>> = crls.iter().collect();
        // Err only when there are no lists.
        let revocation = RevocationOptionsBuilder::new(&crls)
            .ok()
            .map(|builder| builder.with_status_policy(UnknownStatusPolicy::Allow).build());
        let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &others, at, AnyUsage, revocation, None)
            .map(|_| ())
            .map_err(|error| untrusted(format!("the certificate does not chain to a pinned issuer: {error:?}")))
    }
}

/// RSA of at least 2048 bits, for signing, and no authority's.
fn judge_key(certificate: &X509Certificate<'_>) -> Result<(), WhiteListError> {
    use x509_parser::public_key::PublicKey;
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() >= 2048 => {}
        _ => return Err(untrusted("its key is not RSA of at least 2048 bits")),
    }
    match certificate.key_usage() {
        Ok(Some(usage)) if !usage.value.digital_signature() && !usage.value.non_repudiation() => {
            Err(untrusted("its key usage does not allow signatures"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(untrusted(error.to_string())),
    }
}

/// The signer's certificate is one for mail protection today; nothing says that it must be, so the name is what counts.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn untrusted(problem: impl Into<String>) -> WhiteListError {
    WhiteListError::Signer(problem.into())
}
