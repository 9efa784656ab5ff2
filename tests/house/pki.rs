//! A small PKI made in memory for each test: a root, an intermediate, and leaves with whatever is wrong with them.

use crate::support::ScratchDir;
use caducee::config::sections;
use caducee::mss::whitelist::Entry;
use caducee::mss::{DistinguishedName, Domain};
use caducee::sandbox::trust_list;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub const DAY: Duration = Duration::from_secs(86_400);

/// An authority.
pub struct Authority {
    pub pem: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A list of these serials, valid from a day ago until `until`.
    pub fn crl(&self, number: u64, revoked: &[u64], until: SystemTime) -> String {
        let params = CertificateRevocationListParams {
            this_update: (SystemTime::now().min(until) - DAY).into(),
            next_update: until.into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(|serial| revocation(*serial)).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer()).and_then(|crl| crl.pem()).expect("a CRL")
    }
}

fn revocation(serial: u64) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: (SystemTime::now() - DAY).into(),
        reason_code: None,
        invalidity_date: None,
    }
}

/// What a leaf is like.
pub struct Leaf {
    pub name: &'static str,
    pub serial: u64,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub key_usages: Vec<KeyUsagePurpose>,
    pub from: SystemTime,
    pub until: SystemTime,
    /// The content of a certificatePolicies extension, in DER.
    pub policies: Option<Vec<u8>>,
}

impl Leaf {
    /// One with which nothing is wrong.
    pub fn good(name: &'static str, serial: u64) -> Self {
        Self {
            name,
            serial,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            key_usages: vec![KeyUsagePurpose::DigitalSignature],
            from: SystemTime::now() - DAY,
            until: SystemTime::now() + 90 * DAY,
            policies: None,
        }
    }
}

/// Chain and key, on disk.
#[derive(Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A whole PKI and the directory that holds its files.
pub struct Pki {
    pub directory: ScratchDir,
    pub root: Authority,
    pub intermediate: Authority,
}

impl Pki {
    pub fn new() -> Self {
        Self::of("TEST")
    }

    /// With authorities called so.
    pub fn of(whose: &str) -> Self {
        let root = authority(&format!("AC RACINE {whose}"), None);
        let intermediate = authority(&format!("AC ORGANISATIONS {whose}"), Some(&root));
        let pki = Self { directory: ScratchDir::new(), root, intermediate };
        pki.write("root.pem", &pki.root.pem);
        pki.write_crls(1, &[]);
        pki
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Writes `crl.pem`: the intermediate's list with these serials, and the root's.
    pub fn write_crls(&self, number: u64, revoked: &[u64]) -> PathBuf {
        let until = SystemTime::now() + 7 * DAY;
        self.write("crl.pem", &(self.intermediate.crl(number, revoked, until) + &self.root.crl(number, &[], until)))
    }

    /// Makes a leaf under the intermediate.
    pub fn leaf(&self, leaf: &Leaf) -> Files {
        self.leaf_of(&self.intermediate, leaf)
    }

    /// Makes a leaf under any authority; the chain holds the leaf and that authority.
    pub fn leaf_of(&self, authority: &Authority, leaf: &Leaf) -> Files {
        let mut params = CertificateParams::new(vec![format!("{}.example", leaf.name)]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, format!("{}.example", leaf.name));
        params.distinguished_name.push(DnType::OrganizationName, "HOPITAL DE TEST");
        params.distinguished_name.push(DnType::CountryName, "FR");
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.extended_key_usages.clone_from(&leaf.usages);
        params.key_usages.clone_from(&leaf.key_usages);
        let policies = leaf.policies.iter();
        params.custom_extensions =
            policies.map(|der| CustomExtension::from_oid_content(&[2, 5, 29, 32], der.clone())).collect();
        params.not_before = leaf.from.into();
        params.not_after = leaf.until.into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority.issuer()).expect("a certificate");
        let chain = certificate.pem() + &authority.pem;
        Files {
            certificate: self.write(&format!("{}.pem", leaf.name), &chain),
            key: self.write(&format!("{}.key", leaf.name), &key.serialize_pem()),
        }
    }

    /// Writes `liste.xml`: a signed white list, made at `made_at`, that gives `domain` to the holder of `files`.
    pub fn write_list(&self, made_at: SystemTime, domain: &str, files: &Files) {
        let leaf = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
        let entry = Entry {
            domain: Domain::parse(domain).expect("a domain"),
            description: "essai".into(),
            dn: Arc::new(DistinguishedName::from_der(&leaf).expect("a name")),
            responsible: "responsable@example.org".into(),
            support: "support@example.org".into(),
            updated_at: None,
        };
        let (key, signer) = self.list_signer();
        let generated_at = made_at.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs() as i64;
        let list = trust_list::write(generated_at, [&entry]);
        let signed = trust_list::sign(list.as_bytes(), &key.serialize_der(), &[signer]).expect("signed");
        self.write("liste.xml", &String::from_utf8(signed).expect("XML"));
    }

    /// A signer of lists, as the agency has one: RSA, under the intermediate.
    fn list_signer(&self) -> (KeyPair, Vec<u8>) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "alb.mssante.fr");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = (SystemTime::now() - 60 * DAY).into();
        params.not_after = (SystemTime::now() + 60 * DAY).into();
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let certificate = params.signed_by(&key, &self.intermediate.issuer()).expect("a certificate");
        (key, certificate.der().to_vec())
    }

    /// `[tls]` with this server certificate, and `crl.pem`.
    pub fn settings(&self, server: &Files) -> sections::Tls {
        sections::Tls {
            certificate: server.certificate.clone(),
            key: server.key.clone(),
            anchors: vec![self.path("root.pem")],
            crls: vec![text(&self.path("crl.pem"))],
            ..sections::Tls::default()
        }
    }
}

pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn authority(name: &str, parent: Option<&Authority>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::CountryName, "FR");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (SystemTime::now() - 30 * DAY).into();
    params.not_after = (SystemTime::now() + 3650 * DAY).into();
    let key = KeyPair::generate().expect("a key");
    let certificate = match parent {
        None => params.self_signed(&key),
        Some(parent) => params.signed_by(&key, &parent.issuer()),
    };
    Authority { pem: certificate.expect("a certificate").pem(), params, key }
}
