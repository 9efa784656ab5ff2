//! What the tests of the trust space share.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use caducee::mss::whitelist::{Entry, SignerPolicy};
use caducee::mss::{Domain, dn::DistinguishedName};
use caducee::sandbox::trust_list;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A moment at which every list of the tests exists (2026-12-02, Unix seconds).
pub(crate) const NOW: i64 = 1_796_169_600;

/// The folder of the committed small list.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/trust")
}

/// The small list that xmlsec1 signed (`tests/data/trust/make`).
pub(crate) fn small_list() -> Vec<u8> {
    std::fs::read(data().join("list.xml")).unwrap()
}

/// The certificates of a PEM file of the small list, in DER.
pub(crate) fn small_anchor(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(data().join(name)).unwrap().to_vec()
}

/// The policy that the small list is judged by.
pub(crate) fn small_policy() -> SignerPolicy {
    SignerPolicy {
        anchors: vec![small_anchor("root.pem"), small_anchor("issuer.pem")],
        signer_cn: "liste.mssante.example".into(),
        crls: Vec::new(),
    }
}

/// The real list, beside the repository or where `CADUCEE_REAL_LIST` says. Tests say "skipped" when it is absent.
pub(crate) fn real_list() -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/listeblanche-2025-02-28.xml");
    let path = std::env::var_os("CADUCEE_REAL_LIST").map_or_else(beside, PathBuf::from);
    let list = std::fs::read(path).ok();
    if list.is_none() {
        println!("skipped: there is no real white list beside this repository");
    }
    list
}

/// The certificate in the list's `KeyInfo`, in DER. The real signer's issuer is not at hand, so tests pin the signer.
pub(crate) fn embedded_certificate(list: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(list).unwrap();
    let (_, rest) = text.split_once("<X509Certificate>").unwrap();
    let (base64, _) = rest.split_once("</X509Certificate>").unwrap();
    let base64: String = base64.replace("&#13;", "").split_whitespace().collect();
    STANDARD.decode(base64).unwrap()
}

/// The policy that the real list is judged by.
pub(crate) fn real_policy(list: &[u8]) -> SignerPolicy {
    SignerPolicy { anchors: vec![embedded_certificate(list)], signer_cn: "alb.mssante.fr".into(), crls: Vec::new() }
}

/// A certificate authority or a signer with its key.
pub(crate) struct Holder {
    /// The certificate in DER.
    pub(crate) der: Vec<u8>,
    /// What it was made of, to issue others.
    pub(crate) params: CertificateParams,
    /// Its key.
    pub(crate) key: KeyPair,
}

impl Holder {
    /// A certificate of this name, issued by `issuer` or by itself; `shape` changes what is unusual about it.
    pub(crate) fn new(cn: &str, issuer: Option<&Holder>, shape: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CountryName, "FR");
        params.distinguished_name.push(DnType::OrganizationName, "AGENCE INVENTEE");
        params.distinguished_name.push(DnType::CommonName, cn);
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2125, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = issuer.is_some();
        shape(&mut params);
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, &issuer.issuer()).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        Self { der: certificate.der().to_vec(), params, key }
    }

    /// The same, as a certificate authority.
    pub(crate) fn authority(cn: &str, issuer: Option<&Holder>) -> Self {
        Self::new(cn, issuer, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        })
    }

    /// What issues certificates and CRLs in its name.
    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Signs a list with this key.
    pub(crate) fn sign(&self, unsigned: &str) -> Vec<u8> {
        self.sign_with(unsigned, &[])
    }

    /// Signs a list with this key, with more certificates behind its own.
    pub(crate) fn sign_with(&self, unsigned: &str, others: &[&Holder]) -> Vec<u8> {
        let mut chain = vec![self.der.clone()];
        chain.extend(others.iter().map(|other| other.der.clone()));
        trust_list::sign(unsigned.as_bytes(), &self.key.serialize_der(), &chain).unwrap()
    }
}

/// The common name of the [`Agency`]'s signer.
pub(crate) const SIGNER_CN: &str = "alb.mssante.example";

/// An agency of our own, made once for a run of the tests.
pub(crate) struct Agency {
    pub(crate) root: Holder,
    pub(crate) issuer: Holder,
    pub(crate) signer: Holder,
}

impl Agency {
    /// What operators pin of it.
    pub(crate) fn policy(&self) -> SignerPolicy {
        SignerPolicy {
            anchors: vec![self.root.der.clone(), self.issuer.der.clone()],
            signer_cn: SIGNER_CN.into(),
            crls: Vec::new(),
        }
    }
}

/// The agency of the tests.
pub(crate) static AGENCY: LazyLock<Agency> = LazyLock::new(|| {
    let root = Holder::authority("AC RACINE INVENTEE", None);
    let issuer = Holder::authority("AC INVENTEE ORGANISATIONS", Some(&root));
    let signer = Holder::new(SIGNER_CN, Some(&issuer), |_| {});
    Agency { root, issuer, signer }
});

/// An entry that says little.
pub(crate) fn entry(domain: &str, dn: &str) -> Entry {
    Entry {
        domain: Domain::parse(domain).unwrap(),
        description: format!("Domaine de messagerie {domain}"),
        dn: DistinguishedName::parse_text(dn).unwrap().into(),
        responsible: "04 00 00 00 00, contact@example.org".into(),
        support: "04 00 00 00 00, support@example.org".into(),
        updated_at: Some(NOW - 86_400),
    }
}

/// An unsigned list of `count` domains of some operators.
pub(crate) fn unsigned_list(generated_at: i64, count: usize) -> String {
    let entries: Vec<Entry> = (0..count)
        .map(|n| {
            entry(
                &format!("d{n}.mssante.example"),
                &format!("CN=mss{}.example,OU=1{:08},O=OPERATEUR É {},ST=Rhône (69),C=FR", n % 300, n % 300, n % 300),
            )
        })
        .collect();
    trust_list::write(generated_at, &entries)
}
