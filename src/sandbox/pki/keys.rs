//! Private keys: made in parallel, kept; and the two other forms in which certificates are needed.

use crate::sandbox::SandboxError;
use crate::sandbox::layout::write_whole;
use p12_keystore::{Certificate as P12Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{Certificate, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

/// The keys, by name.
pub(super) struct Keys(BTreeMap<String, KeyPair>);

impl Keys {
    pub(super) fn get(&self, name: &str) -> Result<&KeyPair, SandboxError> {
        self.0.get(name).ok_or_else(|| SandboxError::NoKey { name: name.to_owned() })
    }

    pub(super) fn take(&mut self, name: &str) -> Result<KeyPair, SandboxError> {
        self.0.remove(name).ok_or_else(|| SandboxError::NoKey { name: name.to_owned() })
    }
}

/// Reads `DIR/NAME.key` for each name; makes those that are missing, on all processors at once.
///
/// RSA, because IGC-Santé's certificates are; 2048 bits for the authorities too (theirs have 4096), because a first
/// start has five seconds and these keys protect nothing.
pub(super) fn load_or_make(dir: &Path, names: &[&str]) -> Result<Keys, SandboxError> {
    let mut wanted: Vec<&str> = names.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let left = Mutex::new(wanted);
    let done = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let work = || -> Result<(), SandboxError> {
        while let Some(name) = left.lock().unwrap_or_else(|e| e.into_inner()).pop() {
            let key = load_or_make_one(dir, name)?;
            done.lock().unwrap_or_else(|e| e.into_inner()).insert(name.to_owned(), key);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(SandboxError::Random)))
    })?;
    Ok(Keys(done.into_inner().unwrap_or_else(|e| e.into_inner())))
}

fn load_or_make_one(dir: &Path, name: &str) -> Result<KeyPair, SandboxError> {
    let path = dir.join(format!("{name}.key"));
    if let Ok(pem) = std::fs::read_to_string(&path) {
        return KeyPair::from_pem(&pem).map_err(SandboxError::pki(name));
    }
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(SandboxError::pki(name))?;
    write_whole(&path, key.serialize_pem().as_bytes(), 0o600)?;
    Ok(key)
}

/// The serial number of the first certificate in a PEM file.
pub(super) fn serial_of(path: &Path) -> Result<SerialNumber, SandboxError> {
    let unreadable = || SandboxError::Certificate { path: path.to_owned() };
    let der = CertificateDer::from_pem_file(path).map_err(|_| unreadable())?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|_| unreadable())?;
    Ok(SerialNumber::from(certificate.raw_serial().to_vec()))
}

/// A PKCS#12 file with the key, its certificate, the intermediate and the root (RFC 7292; PBES2 with AES-256 and a
/// SHA-256 MAC, which OpenSSL 3, Java and Thunderbird read).
pub(super) fn pkcs12(
    name: &str,
    key: &KeyPair,
    leaf: &Certificate,
    intermediate: &str,
    root: &Path,
    password: &str,
) -> Result<Vec<u8>, SandboxError> {
    let failed = |what: &'static str| {
        move |error: p12_keystore::error::Error| SandboxError::Pkcs12 { name: name.to_owned(), what, error }
    };
    let unreadable = || SandboxError::Certificate { path: root.to_owned() };
    let intermediate = CertificateDer::from_pem_slice(intermediate.as_bytes()).map_err(|_| unreadable())?;
    let root_der = CertificateDer::from_pem_file(root).map_err(|_| unreadable())?;
    let mut certificates = Vec::new();
    for der in [leaf.der(), &intermediate, &root_der] {
        certificates.push(P12Certificate::from_der(der).map_err(failed("the chain"))?);
    }
    let private = PrivateKey::from_der(key.serialized_der()).map_err(failed("the key"))?;
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(name, private, certificates)));
    store.writer(password).write().map_err(failed("the file"))
}
