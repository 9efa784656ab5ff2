//! The sandbox's white list: its operators, the peers that tests play, and invented neighbours, so that the list looks
//! like one.

use super::cast::{self, Operator};
use super::layout::{Layout, write_whole};
use super::pki::{Pki, Subject};
use super::{SandboxError, trust_list};
use crate::mss::whitelist::Entry;
use crate::mss::{DistinguishedName, Domain};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Domains of operators that do not exist: listed, and served by nobody.
const NEIGHBOURS: [(&str, Subject); 3] = [
    ("chu-exemple.mssante.example", NEIGHBOUR),
    ("infirmerie-protestante.mssante.example", NEIGHBOUR),
    ("biologie-exemple.mssante.example", LABORATORY),
];

const NEIGHBOUR: Subject = Subject {
    cn: "smtp.voisin.mssante.example",
    structure: "399000000100041",
    organisation: "VOISIN TEST,  HÔPITAUX",
    department: "Haute-Loire (43)",
};

const LABORATORY: Subject = Subject {
    cn: "mss.biologie-exemple.mssante.example",
    structure: "399000000100042",
    organisation: "BIOLOGIE \"EXEMPLE\" TEST",
    department: "Val-d'Oise (95)",
};

/// Writes the list, generated and signed now.
///
/// # Errors
/// The signer's key or certificate cannot be read, or the file cannot be written.
pub(super) fn write(layout: &Layout, pki: &Pki, operators: &[Operator], now: SystemTime) -> Result<(), SandboxError> {
    let generated_at = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64;
    let files = pki.identity("liste");
    let unreadable = |path: &std::path::Path| SandboxError::Certificate { path: path.to_owned() };
    let key = PrivatePkcs8KeyDer::from_pem_file(&files.key).map_err(|_| unreadable(&files.key))?;
    let certificate = CertificateDer::from_pem_file(&files.cert).map_err(|_| unreadable(&files.cert))?;
    let entries = entries(pki, operators)?;
    let unsigned = trust_list::write(generated_at, &entries);
    let signed = trust_list::sign(unsigned.as_bytes(), key.secret_pkcs8_der(), &[certificate.to_vec()])?;
    write_whole(&layout.white_list(), &signed, 0o644)
}

fn entries(pki: &Pki, operators: &[Operator]) -> Result<Vec<Entry>, SandboxError> {
    let mut entries = Vec::new();
    for operator in operators {
        entries.push(entry(operator.domain, operator.name, &operator.subject)?);
    }
    for peer in cast::peers() {
        let leaf = pki.leaf(peer.certificate);
        let subject = leaf.ok_or_else(|| SandboxError::NoKey { name: peer.certificate.to_owned() })?.subject();
        for domain in peer.domains {
            entries.push(entry(domain, peer.name, subject)?);
        }
    }
    for (domain, subject) in &NEIGHBOURS {
        entries.push(entry(domain, "Domaine inventé", subject)?);
    }
    Ok(entries)
}

fn entry(domain: &str, description: &str, subject: &Subject) -> Result<Entry, SandboxError> {
    let listed = subject.listed();
    let dn = DistinguishedName::parse_text(&listed).map_err(|error| SandboxError::Cast(error.to_string()))?;
    Ok(Entry {
        domain: Domain::parse(domain).map_err(|error| SandboxError::Cast(error.to_string()))?,
        description: description.to_owned(),
        dn: Arc::new(dn),
        responsible: format!("01 99 00 00 00, responsable@{domain}"),
        support: format!("01 99 00 00 01, support@{domain}"),
        // 2026-01-02T03:04:05Z: the entries do not change, only the list's own date does.
        updated_at: Some(1_767_323_045),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mss::whitelist::{SignerPolicy, WhiteList, verify_and_parse};

    /// The list as a server reads it, and the PKI that it speaks about.
    fn listed() -> (WhiteList, Pki, std::path::PathBuf) {
        let dir = std::env::temp_dir().join(format!("caducee-list-{}", std::process::id()));
        let layout = Layout::take(&dir).unwrap();
        let now = SystemTime::now();
        let pki = Pki::open(&layout, cast::leaves(), now).unwrap();
        write(&layout, &pki, &cast::operators(), now).unwrap();
        let anchors = CertificateDer::pem_file_iter(pki.anchors()).unwrap();
        let policy = SignerPolicy {
            anchors: anchors.map(|der| der.unwrap().to_vec()).collect(),
            signer_cn: cast::LIST_SIGNER_CN.to_owned(),
            ..SignerPolicy::default()
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let list = verify_and_parse(&std::fs::read(layout.white_list()).unwrap(), &policy, now).unwrap();
        (list, pki, dir)
    }

    #[test]
    fn the_list_lets_each_operator_speak_for_its_own_domains_and_no_bad_certificate_for_any() {
        let (list, pki, dir) = listed();
        let subject = |name: &str| {
            let der = CertificateDer::from_pem_file(pki.identity(name).cert).unwrap();
            DistinguishedName::from_der(&der).unwrap()
        };
        let speaks = |name: &str, domain: &str| list.speaks_for(&subject(name), &Domain::parse(domain).unwrap());
        let (a, b) = ("aura.mssante.example", "nouvelle-aquitaine.mssante.example");
        assert!(speaks("a", a) && !speaks("a", b));
        assert!(speaks("b", b) && !speaks("b", a));
        assert!(speaks("operateur-c", "test.operateur-c.mssante.example"));
        // These are refused for what their certificate is; their subject is the listed one.
        for name in ["expired", "revoked", "not_yet_valid", "foreign", "no_client_auth"] {
            assert!(speaks(name, b), "{name}");
        }
        assert!(!speaks("same_cn_other_dn", b) && !speaks("not_listed", b));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
