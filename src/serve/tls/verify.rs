//! Who is believed: the checks on top of rustls-webpki's, and the two verifiers of the doors.

use super::CertificateProblem;
use super::crl::CrlSet;
use super::problem::problem_of;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

/// Longest chain that is looked at: leaf, two levels of authorities, and some misplaced ones. Path building over more
/// certificates costs what a peer should not be able to ask for.
const LONGEST_CHAIN: usize = 8;

/// What a certificate must be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Client,
    Server,
}

/// Verifies clients' chains: anchors, validity, revocation (webpki), then what webpki leaves to us.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
    crls: CrlSet,
}

impl PeerVerifier {
    /// A verifier with these anchors and lists.
    ///
    /// # Errors
    /// There is no anchor, or a list is of a kind that webpki does not read.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        crls: &CrlSet,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        // Unknown status is refused and the whole chain checked: webpki's defaults, deliberately kept. Expiry of the
        // lists is ours (`CrlSet::is_too_old`), because of the grace.
        let webpki = WebPkiClientVerifier::builder_with_provider(roots, provider).with_crls(crls.der()).build()?;
        Ok(Self { webpki, crls: crls.clone() })
    }

    /// Verifies a chain at `now`.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), CertificateProblem> {
        let (leaf, rest) = chain.split_first().ok_or(CertificateProblem::Missing)?;
        self.verify_parts(leaf, rest, now).map_err(|error| problem_of(&error))
    }

    /// Refuses when a list of the chain's issuers is past its `nextUpdate` by more than `grace`.
    pub(super) fn check_lists_age(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        grace: Duration,
    ) -> Result<(), CertificateProblem> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        for der in chain {
            let (_, certificate) =
                X509Certificate::from_der(der).map_err(|e| CertificateProblem::Unreadable(e.to_string()))?;
            if self.crls.is_too_old(certificate.issuer().as_raw(), now, grace) {
                return Err(CertificateProblem::RevocationUnknown);
            }
        }
        Ok(())
    }

    fn verify_parts(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        check_length(rest)?;
        self.webpki.verify_client_cert(leaf, rest, now)?;
        // Without any list webpki does not check revocation at all.
        if self.crls.is_empty() {
            return Err(CertificateProblem::RevocationUnknown.into());
        }
        check_usage(leaf, Purpose::Client)
    }
}

/// Verifies enrolled workstations' certificates: the operator's own device authority, validity, purpose. There is no CRL: a
/// device is revoked by taking its credential away, which is looked for at each login.
#[derive(Debug)]
pub(super) struct DeviceVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
}

impl DeviceVerifier {
    /// A verifier with these device authorities.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        Ok(Self { webpki: WebPkiClientVerifier::builder_with_provider(roots, provider).build()? })
    }

    /// Verifies a chain at `now`.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), CertificateProblem> {
        let (leaf, rest) = chain.split_first().ok_or(CertificateProblem::Missing)?;
        check_length(rest)
            .and_then(|()| self.webpki.verify_client_cert(leaf, rest, now).map(drop))
            .and_then(|()| check_usage(leaf, Purpose::Client))
            .map_err(|error| problem_of(&error))
    }
}

/// Whether a certificate was issued under one of the `wanted` policies (RFC 5280 §4.2.1.4), OIDs as dotted text.
pub(super) fn check_policies(leaf: &CertificateDer<'_>, wanted: &[String]) -> Result<(), CertificateProblem> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|e| CertificateProblem::Unreadable(e.to_string()))?;
    let is_wanted = leaf.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::CertificatePolicies(policies) => {
            policies.iter().any(|policy| wanted.contains(&policy.policy_id.to_id_string()))
        }
        _ => false,
    });
    is_wanted.then_some(()).ok_or(CertificateProblem::WrongPolicy)
}

/// The operators' door: a client certificate is required, and verified within the handshake.
impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify_parts(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// The mailbox doors: a client certificate may be shown (or must be), and its chain is not judged here but at login
/// ([`PeerVerifier::verify`]), so that one who comes with a password is not turned away for a stale certificate that
/// the mail program happens to hold. That the client holds the private key *is* checked here (RFC 8446 §4.4.3 leaves
/// no choice), because only the handshake can.
#[derive(Debug)]
pub(super) struct UnjudgedClient {
    required: bool,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl UnjudgedClient {
    /// Hints at these authorities, so that mail programs choose the right certificate or none.
    pub(super) fn new(required: bool, hints: Vec<DistinguishedName>, provider: &CryptoProvider) -> Self {
        Self { required, hints, algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for UnjudgedClient {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Our side towards other operators' servers: the same care as for clients. The name asked for is not compared: an
/// operator's server is believed for the domains that the white list gives its subject, whatever the MX is called
/// (MSSanté §3), which the caller checks on the [`super::PeerIdentity`] before any `MAIL`.
#[derive(Debug)]
pub(super) struct OperatorServer {
    webpki: Arc<WebPkiServerVerifier>,
    crls: CrlSet,
}

impl OperatorServer {
    /// A verifier with these anchors and lists.
    ///
    /// # Errors
    /// There is no anchor, or a list is of a kind that webpki does not read.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        crls: &CrlSet,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider).with_crls(crls.der()).build()?;
        Ok(Self { webpki, crls: crls.clone() })
    }

    /// Verifies a chain at `now`, whatever it is called.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), CertificateProblem> {
        let (leaf, rest) = chain.split_first().ok_or(CertificateProblem::Missing)?;
        let anyone = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        self.verify_server_cert(leaf, rest, &anyone, &[], now).map(drop).map_err(|error| problem_of(&error))
    }
}

impl ServerCertVerifier for OperatorServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_length(intermediates)?;
        match self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(_) => {}
            // The name is the last thing that webpki's verifier looks at: all else is in order. A test holds it so.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(error) => return Err(error),
        }
        if self.crls.is_empty() {
            return Err(CertificateProblem::RevocationUnknown.into());
        }
        check_usage(end_entity, Purpose::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn check_length(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.len() >= LONGEST_CHAIN {
        return Err(CertificateProblem::Other(format!("more than {LONGEST_CHAIN} certificates in the chain")).into());
    }
    Ok(())
}

/// The leaf must say what it is for. webpki checks the extended key usage only where the extension is present, and the
/// key usage not at all.
fn check_usage(leaf: &CertificateDer<'_>, purpose: Purpose) -> Result<(), Error> {
    let unreadable = |error: &dyn std::fmt::Display| Error::from(CertificateProblem::Unreadable(error.to_string()));
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|e| unreadable(&e))?;
    let extended = leaf.extended_key_usage().map_err(|e| unreadable(&e))?;
    let right_purpose = extended.is_some_and(|usage| match purpose {
        Purpose::Client => usage.value.client_auth,
        Purpose::Server => usage.value.server_auth,
    });
    // RFC 5280 §4.2.1.3: with a key usage, signing a handshake takes digitalSignature.
    let signs = leaf.key_usage().map_err(|e| unreadable(&e))?.is_none_or(|usage| usage.value.digital_signature());
    if right_purpose && signs { Ok(()) } else { Err(CertificateProblem::WrongUsage.into()) }
}
