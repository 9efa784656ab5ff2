//! A test PKI shaped like IGC-Santé: a root, an intermediate for organisations, RSA certificates for operators, for an
//! application and for the white list's signer, and the certificates that a receiver must refuse.
//!
//! Private keys are made once, in parallel, and kept; they are what takes time (RSA-2048: about 0.1 s each). The two
//! authorities' certificates are kept too, because people import the root into Thunderbird. Leaf certificates are made
//! again when they are older than [`RENEW_AFTER`], so that the one that is not valid yet stays so; revocation lists at
//! every start.
//!
//! Every name says TEST: nothing here can be mistaken for a certificate of the real IGC-Santé.

mod keys;
mod profile;

pub use profile::{Leaf, Subject, Usage};

use super::SandboxError;
use super::layout::{Layout, write_whole};
use profile::{Validity, days};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Leaf certificates older than this are made again at the next start. Shorter than every offset in [`profile`] that
/// has to stay on its side of now.
const RENEW_AFTER: Duration = Duration::from_secs(180 * 86_400);
/// Until when a revocation list may be used. The sandbox writes new ones while it runs (see [`Pki::write_crls`]).
const CRL_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// The password of every PKCS#12 file: such a file has to have one, and here it protects nothing.
pub const P12_PASSWORD: &str = "sandbox";

/// What `pki/pki.json` remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memory {
    /// Changes when certificates made by an older program would not do.
    version: u32,
    /// Part of the authorities' names, so that two sandboxes' roots can be told apart in a certificate manager.
    tag: String,
    /// When the leaf certificates were made (Unix seconds).
    leaves_made_at: u64,
}

const VERSION: u32 = 1;

/// Where the certificate chain (leaf first, then the intermediate) and the key of somebody are, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain.
    pub cert: PathBuf,
    /// The private key, PKCS#8.
    pub key: PathBuf,
}

/// The whole PKI, on disk and ready for use.
pub struct Pki {
    dir: PathBuf,
    intermediate: Authority,
    root: Authority,
    leaves: Vec<Leaf>,
}

struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

impl Pki {
    /// Opens the PKI of `layout`, making what is missing or too old. `leaves` are the certificates wanted.
    pub fn open(layout: &Layout, leaves: Vec<Leaf>, now: SystemTime) -> Result<Self, SandboxError> {
        let dir = layout.path("pki");
        let mut names: Vec<&str> = vec!["root", "intermediate", "foreign-root"];
        names.extend(leaves.iter().map(|leaf| leaf.key_name()));
        let remembered = remembered(&dir);
        let mut keys = keys::load_or_make(&dir, &names)?;
        let memory = remembered.clone().unwrap_or_else(|| Memory { version: VERSION, tag: tag(), leaves_made_at: 0 });
        let mut authority = |name: &str, cn: &str, depth: BasicConstraints| {
            let params = authority_params(&format!("{cn} ({})", memory.tag), depth, now);
            keys.take(name).map(|key| Authority { params, key })
        };
        let root = authority("root", "AC RACINE TEST ELEMENTAIRE", BasicConstraints::Unconstrained)?;
        let intermediate =
            authority("intermediate", "AC TEST ELEMENTAIRE ORGANISATIONS", BasicConstraints::Constrained(0))?;
        let foreign = authority("foreign-root", "AC TEST ETRANGERE", BasicConstraints::Unconstrained)?;
        let pki = Self { dir, intermediate, root, leaves };
        if remembered.is_none() {
            pki.write_authorities(&foreign)?;
        }
        let made = UNIX_EPOCH + Duration::from_secs(memory.leaves_made_at);
        if now.duration_since(made).is_ok_and(|age| age > RENEW_AFTER) || pki.leaf_missing() {
            pki.write_leaves(&foreign, &keys, now)?;
            let memory = Memory { leaves_made_at: unix(now), ..memory };
            let text = serde_json::to_vec_pretty(&memory).map_err(SandboxError::internal("pki.json"))?;
            write_whole(&pki.dir.join("pki.json"), &text, 0o600)?;
        }
        pki.write_crls(now)?;
        Ok(pki)
    }

    /// The root certificate, PEM: what one trusts.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// Root and intermediate in one PEM file: what a server's trust anchors are set to.
    pub fn anchors(&self) -> PathBuf {
        self.dir.join("anchors.pem")
    }

    /// The revocation lists of intermediate and root in one PEM file.
    pub fn crl(&self) -> PathBuf {
        self.dir.join("crl.pem")
    }

    /// The files of the leaf called `name`.
    pub fn identity(&self, name: &str) -> Identity {
        Identity { cert: self.dir.join(format!("{name}.pem")), key: self.dir.join(format!("{name}.key")) }
    }

    /// The PKCS#12 file of the leaf called `name`; it exists for leaves that ask for one.
    pub fn p12(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.p12"))
    }

    /// The leaf called `name`.
    pub fn leaf(&self, name: &str) -> Option<&Leaf> {
        self.leaves.iter().find(|leaf| leaf.name == name)
    }

    /// Signs new revocation lists, good for seven days.
    pub fn write_crls(&self, now: SystemTime) -> Result<(), SandboxError> {
        let revoked: Vec<SerialNumber> = self
            .leaves
            .iter()
            .filter(|leaf| leaf.revoked)
            .map(|leaf| keys::serial_of(&self.identity(leaf.name).cert))
            .collect::<Result<_, _>>()?;
        let crl = |authority: &Authority, revoked: &[SerialNumber]| {
            let params = CertificateRevocationListParams {
                this_update: (now - days(1)).into(),
                next_update: (now + CRL_LIFE).into(),
                // RFC 5280 §5.2.3: the number only ever rises; so do Unix seconds.
                crl_number: SerialNumber::from(unix(now)),
                issuing_distribution_point: None,
                revoked_certs: revoked.iter().map(|serial| revoked_cert(serial, now)).collect(),
                key_identifier_method: authority.params.key_identifier_method.clone(),
            };
            params.signed_by(&authority.issuer()).and_then(|crl| crl.pem()).map_err(SandboxError::pki("a CRL"))
        };
        let both = crl(&self.intermediate, &revoked)? + &crl(&self.root, &[])?;
        write_whole(&self.crl(), both.as_bytes(), 0o644)
    }

    fn leaf_missing(&self) -> bool {
        self.leaves.iter().any(|leaf| !self.identity(leaf.name).cert.exists())
    }

    /// Writes what people import and servers trust; the keys they belong to are on disk already.
    fn write_authorities(&self, foreign: &Authority) -> Result<(), SandboxError> {
        let failed = SandboxError::pki("an authority");
        let root = self.root.params.self_signed(&self.root.key).map_err(&failed)?.pem();
        let intermediate =
            self.intermediate.params.signed_by(&self.intermediate.key, &self.root.issuer()).map_err(&failed)?.pem();
        let foreign = foreign.params.self_signed(&foreign.key).map_err(&failed)?.pem();
        write_whole(&self.root(), root.as_bytes(), 0o644)?;
        write_whole(&self.dir.join("intermediate.pem"), intermediate.as_bytes(), 0o644)?;
        write_whole(&self.anchors(), (root + &intermediate).as_bytes(), 0o644)?;
        write_whole(&self.dir.join("foreign-root.pem"), foreign.as_bytes(), 0o644)
    }

    fn write_leaves(&self, foreign: &Authority, keys: &keys::Keys, now: SystemTime) -> Result<(), SandboxError> {
        let intermediate = self.dir.join("intermediate.pem");
        let intermediate = std::fs::read_to_string(&intermediate).map_err(SandboxError::file(&intermediate))?;
        for leaf in &self.leaves {
            let key = keys.get(leaf.key_name())?;
            let params = leaf.params(now)?;
            let certificate = match leaf.validity {
                Validity::SelfSigned => params.self_signed(key),
                Validity::Foreign => params.signed_by(key, &foreign.issuer()),
                _ => params.signed_by(key, &self.intermediate.issuer()),
            };
            let certificate = certificate.map_err(SandboxError::pki(leaf.name))?;
            let files = self.identity(leaf.name);
            let chain = match leaf.validity {
                Validity::SelfSigned | Validity::Foreign => certificate.pem(),
                _ => certificate.pem() + &intermediate,
            };
            write_whole(&files.cert, chain.as_bytes(), 0o644)?;
            if leaf.key_name() != leaf.name {
                write_whole(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
            }
            if leaf.p12 {
                self.write_p12(leaf, key, &certificate, &intermediate)?;
            }
        }
        Ok(())
    }

    fn write_p12(
        &self,
        leaf: &Leaf,
        key: &KeyPair,
        certificate: &Certificate,
        intermediate: &str,
    ) -> Result<(), SandboxError> {
        let bytes = keys::pkcs12(leaf.name, key, certificate, intermediate, &self.root(), P12_PASSWORD)?;
        write_whole(&self.p12(leaf.name), &bytes, 0o600)
    }
}

/// The authorities' profile. Valid from a day ago (clocks differ) and for ten years.
fn authority_params(cn: &str, depth: BasicConstraints, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    *name = rcgen::DistinguishedName::new();
    name.push(DnType::CountryName, "FR");
    name.push(DnType::OrganizationName, "TEST CADUCEE");
    name.push(DnType::OrganizationalUnitName, "0002 999900001");
    name.push(DnType::CommonName, cn);
    params.is_ca = IsCa::Ca(depth);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - days(1)).into();
    params.not_after = (now + days(3650)).into();
    params
}

fn revoked_cert(serial: &SerialNumber, now: SystemTime) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: serial.clone(),
        revocation_time: (now - days(1)).into(),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    }
}

/// What an earlier start left, if all of it is usable by this program.
fn remembered(dir: &std::path::Path) -> Option<Memory> {
    let memory: Memory = serde_json::from_slice(&std::fs::read(dir.join("pki.json")).ok()?).ok()?;
    let files = ["root.pem", "root.key", "intermediate.pem", "intermediate.key", "anchors.pem", "foreign-root.key"];
    let whole = files.iter().all(|file| dir.join(file).exists());
    (memory.version == VERSION && whole).then_some(memory)
}

/// Four hexadecimal digits that tell this sandbox from another one.
fn tag() -> String {
    let mut bytes = [0u8; 2];
    // A failing random source leaves zeros: the tag only serves people's eyes.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    format!("{:02X}{:02X}", bytes[0], bytes[1])
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast;

    /// What has to survive, and what has to be made again: people import the root, and `not_yet_valid` must stay so.
    #[test]
    fn a_second_opening_keeps_authorities_and_young_leaves_and_renews_old_ones() {
        let dir = std::env::temp_dir().join(format!("caducee-pki-{}", std::process::id()));
        let layout = Layout::take(&dir).expect("a scratch directory");
        let now = SystemTime::now();
        let read = |pki: &Pki, name: &str| std::fs::read(pki.identity(name).cert).expect("a certificate");
        let first = Pki::open(&layout, cast::leaves(), now).expect("a PKI");
        let (root, leaf) = (read(&first, "root"), read(&first, "a"));
        let second = Pki::open(&layout, cast::leaves(), now + days(1)).expect("the same PKI");
        assert_eq!((read(&second, "root"), read(&second, "a")), (root.clone(), leaf.clone()));
        let third = Pki::open(&layout, cast::leaves(), now + days(200)).expect("the same PKI");
        assert_eq!(read(&third, "root"), root);
        assert_ne!(read(&third, "a"), leaf);
        drop(layout);
        if std::env::var_os("CADUCEE_KEEP").is_none() {
            std::fs::remove_dir_all(&dir).expect("a scratch directory can be removed");
        }
    }
}
