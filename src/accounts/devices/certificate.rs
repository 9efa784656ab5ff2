//! What a device gets: its certificate's profile, requests (PKCS#10), and the file that carries key and certificate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use aws_lc_rs::{digest, rand};
use p12_keystore::{Certificate as P12Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm};
use p12_keystore::{PrivateKey, PrivateKeyChain};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::{DeviceError, Pkcs12Form};
use crate::mss::Address;

/// The longest common name (X.520, ub-common-name); the alternative name has the whole address.
const COMMON_NAME: usize = 64;

/// Our clock and a device's differ by so much at most, for what concerns a certificate's beginning.
const CLOCKS_DIFFER: i64 = 3_600;

/// The largest request that is read.
const REQUEST: usize = 16 << 10;

/// A point in time as certificates have it.
pub(super) fn instant(unix: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or_default())
}

/// A serial number: 127 random bits, positive and not zero (RFC 5280 §4.1.2.2).
pub(super) fn random_serial() -> SerialNumber {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the operating system's random generator answers");
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from(bytes.to_vec())
}

/// A device's certificate: client authentication for one mailbox, and nothing else. No `OU`: there an application's
/// certificate has its structure's id (MSSanté §4).
pub(super) fn profile(
    address: &Address,
    authority: &str,
    now: i64,
    expires_at: i64,
) -> Result<CertificateParams, DeviceError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, authority);
    name.push(DnType::CommonName, address.to_string().chars().take(COMMON_NAME).collect::<String>());
    params.distinguished_name = name;
    let whole = address.to_string();
    // RFC 5280 §4.2.1.6: an rfc822Name is ASCII.
    if whole.is_ascii() {
        params.subject_alt_names = vec![SanType::Rfc822Name(whole.try_into().map_err(DeviceError::crypto)?)];
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(random_serial());
    params.not_before = instant(now - CLOCKS_DIFFER).into();
    params.not_after = instant(expires_at).into();
    Ok(params)
}

/// A public key out of a request.
#[derive(Debug)]
pub(super) struct RequestedKey {
    der: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.der
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// Reads a certification request (RFC 2986), PEM or DER. Only the key is taken from it, and only if the request proves that
/// its sender has the private half.
pub(super) fn read_request(bytes: &[u8]) -> Result<RequestedKey, DeviceError> {
    if bytes.len() > REQUEST {
        return Err(DeviceError::BadRequest("it is too long"));
    }
    let is_pem = bytes.trim_ascii_start().starts_with(b"-----");
    let der = if is_pem {
        CertificateSigningRequestDer::from_pem_slice(bytes)
            .map_err(|_| DeviceError::BadRequest("there is no certification request (PKCS#10) in this PEM text"))?
    } else {
        CertificateSigningRequestDer::from(bytes)
    };
    let (_, request) = X509CertificationRequest::from_der(&der)
        .map_err(|_| DeviceError::BadRequest("it is no certification request (PKCS#10)"))?;
    let key = &request.certification_request_info.subject_pki;
    let (algorithm, verification) = algorithms(key, &request.signature_algorithm.algorithm)?;
    UnparsedPublicKey::new(verification, &key.subject_public_key.data)
        .verify(request.certification_request_info.raw, &request.signature_value.data)
        .map_err(|_| DeviceError::BadRequest("its signature is not that of its key, or the key is too short"))?;
    Ok(RequestedKey { der: key.subject_public_key.data.to_vec(), algorithm })
}

type Verification = &'static dyn signature::VerificationAlgorithm;

/// The kinds of key that TLS takes here: RSA of 2048 bits or more, P-256, P-384; with the algorithm of the request's
/// signature.
fn algorithms(
    key: &x509_parser::x509::SubjectPublicKeyInfo<'_>,
    signed: &x509_parser::der_parser::oid::Oid<'_>,
) -> Result<(&'static SignatureAlgorithm, Verification), DeviceError> {
    let refused = DeviceError::BadRequest("the key is of a kind that is not taken: RSA, P-256 or P-384, with SHA-2");
    let kind = &key.algorithm.algorithm;
    if *kind == oid::OID_PKCS1_RSAENCRYPTION {
        let verification: Verification = match signed {
            signed if *signed == oid::OID_PKCS1_SHA256WITHRSA => &signature::RSA_PKCS1_2048_8192_SHA256,
            signed if *signed == oid::OID_PKCS1_SHA384WITHRSA => &signature::RSA_PKCS1_2048_8192_SHA384,
            signed if *signed == oid::OID_PKCS1_SHA512WITHRSA => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ => return Err(refused),
        };
        return Ok((&rcgen::PKCS_RSA_SHA256, verification));
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let Some(curve) = curve.filter(|_| *kind == oid::OID_KEY_TYPE_EC_PUBLIC_KEY) else { return Err(refused) };
    let (is_256, is_384) = (curve == oid::OID_EC_P256, curve == oid::OID_NIST_EC_P384);
    let (sha_256, sha_384) = (*signed == oid::OID_SIG_ECDSA_WITH_SHA256, *signed == oid::OID_SIG_ECDSA_WITH_SHA384);
    match (is_256, is_384, sha_256, sha_384) {
        (true, _, true, _) => Ok((&rcgen::PKCS_ECDSA_P256_SHA256, &signature::ECDSA_P256_SHA256_ASN1)),
        (true, _, _, true) => Ok((&rcgen::PKCS_ECDSA_P256_SHA256, &signature::ECDSA_P256_SHA384_ASN1)),
        (_, true, true, _) => Ok((&rcgen::PKCS_ECDSA_P384_SHA384, &signature::ECDSA_P384_SHA256_ASN1)),
        (_, true, _, true) => Ok((&rcgen::PKCS_ECDSA_P384_SHA384, &signature::ECDSA_P384_SHA384_ASN1)),
        _ => Err(refused),
    }
}

/// A PKCS#12 file (RFC 7292) with the key, its certificate and the authority's, under the name that certificate managers show.
pub(super) fn pkcs12(
    shown_as: &str,
    key: &KeyPair,
    chain: [&CertificateDer<'_>; 2],
    form: Pkcs12Form,
    password: &str,
) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
    let certificates = chain.map(|der| P12Certificate::from_der(der).map_err(DeviceError::crypto));
    let certificates = certificates.into_iter().collect::<Result<Vec<_>, _>>()?;
    let private = PrivateKey::from_der(key.serialized_der()).map_err(DeviceError::crypto)?;
    // A friendly name is a BMPString: what lies beyond the basic plane (an emoji, say) is left out.
    let shown_as: String = shown_as.chars().filter(|c| u32::from(*c) <= 0xffff).collect();
    let id = digest::digest(&digest::SHA256, chain[0]).as_ref()[..8].to_vec();
    let mut store = KeyStore::new();
    store.add_entry(&shown_as, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id, private, certificates)));
    let writer = store.writer(password);
    let writer = match form {
        Pkcs12Form::Modern => writer,
        // The password has 99 random bits: the old ciphers have nothing to add to it or take from it.
        Pkcs12Form::Compatible => writer
            .encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc)
            .mac_algorithm(MacAlgorithm::HmacSha1),
    };
    writer.write().map(Zeroizing::new).map_err(DeviceError::crypto)
}

/// A certificate as PEM.
pub(super) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // RFC 7468 §2: lines of 64 characters; base64 is ASCII.
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}
