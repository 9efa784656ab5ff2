//! The contexts, built together and swapped together.

use super::crl::CrlSet;
use super::material::{Identity, Material, TlsError};
use super::sessions::BoundedSessions;
use super::verify::{DeviceVerifier, OperatorServer, PeerVerifier, UnjudgedClient, check_policies};
use super::{Authority, CertificateProblem, PeerIdentity};
use crate::config::fronts::ClientCertificates;
use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The TLS contexts in force. Read one per handshake; a reload swaps all of them, open connections keep theirs.
#[derive(Debug)]
pub struct Contexts {
    set: ArcSwap<Set>,
    /// Counts the sets that were in force.
    epoch: AtomicU64,
    /// What the contexts in force are made of: files and lists change at different times.
    parts: Mutex<Parts>,
}

#[derive(Clone, Debug)]
struct Parts {
    material: Arc<Material>,
    revocation: Revocation,
    devices: Arc<RootCertStore>,
}

/// Contexts that belong together: made of the same files and lists.
#[derive(Debug)]
struct Set {
    inbound: Arc<ServerConfig>,
    mailbox: ByWish,
    outbound: Arc<ClientConfig>,
    operators: Arc<PeerVerifier>,
    mailbox_clients: PeerVerifier,
    /// `None` until there is a device authority.
    devices: Option<DeviceVerifier>,
    policies: Vec<String>,
    crl_grace: Duration,
}

/// The mailbox doors' contexts, by what a front wants of its clients.
#[derive(Debug)]
struct ByWish {
    never: Arc<ServerConfig>,
    ask: Arc<ServerConfig>,
    require: Arc<ServerConfig>,
}

/// The CRLs that the two sides are verified with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// Of the authorities of other operators.
    pub operators: CrlSet,
    /// Of the authorities of applications' client certificates.
    pub mailboxes: CrlSet,
    /// How long past `nextUpdate` a list still serves for logins. (For other operators `mss::admission` says it, with
    /// a temporary reply in place of a broken handshake.)
    pub grace: Duration,
}

impl Contexts {
    /// Builds the contexts.
    ///
    /// # Errors
    /// Certificate and key do not match, or anchors or CRLs cannot be used.
    pub fn new(material: Material, revocation: Revocation) -> Result<Self, TlsError> {
        let parts = Parts { material: Arc::new(material), revocation, devices: Arc::new(RootCertStore::empty()) };
        let set = ArcSwap::from_pointee(Set::new(&parts)?);
        Ok(Self { set, epoch: AtomicU64::new(0), parts: Mutex::new(parts) })
    }

    /// Puts contexts of new files in force, with the lists at hand; on an error the old ones stay.
    ///
    /// # Errors
    /// As [`Contexts::new`].
    pub fn replace_material(&self, material: Material) -> Result<(), TlsError> {
        self.change(|parts| parts.material = Arc::new(material))
    }

    /// Puts contexts with new lists in force; on an error the old ones stay. Nothing happens when they are the same.
    ///
    /// # Errors
    /// As [`Contexts::new`].
    pub fn replace_revocation(&self, revocation: Revocation) -> Result<(), TlsError> {
        if self.parts().revocation == revocation {
            return Ok(());
        }
        self.change(|parts| parts.revocation = revocation)
    }

    /// Puts the operator's own device authorities in force: certificates that they issued open mailboxes too, as far as the
    /// registry has a credential for them.
    ///
    /// # Errors
    /// One of them cannot be an authority's.
    pub fn replace_device_authorities(&self, authorities: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone().into_owned()).map_err(TlsError::Settings)?;
        }
        self.change(|parts| parts.devices = Arc::new(roots))
    }

    /// Makes new contexts of the parts as `change` leaves them, and puts both in force or neither.
    fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<(), TlsError> {
        let mut parts = self.parts();
        let mut changed = parts.clone();
        change(&mut changed);
        self.put(Set::new(&changed)?);
        *parts = changed;
        Ok(())
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, set: Set) {
        self.set.store(Arc::new(set));
        // After the set: who reads the new number gets the new set.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever contexts of other files or lists come into force: what was verified before may be refused now.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The files that the contexts in force are made of.
    pub fn material(&self) -> Arc<Material> {
        Arc::clone(&self.parts().material)
    }

    /// For the operators' door: a client certificate is required, and verified within the handshake; behind a resumed one
    /// ask [`Contexts::verify_operator`].
    pub fn inbound(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.set.load().inbound)
    }

    /// For the mailbox doors: a client certificate is not asked for, may be shown or must be, as the front has it; it is judged
    /// at login by [`Contexts::verify_client`].
    pub fn mailbox(&self, wanted: ClientCertificates) -> Arc<ServerConfig> {
        let set = self.set.load();
        Arc::clone(match wanted {
            ClientCertificates::Never => &set.mailbox.never,
            ClientCertificates::Ask => &set.mailbox.ask,
            ClientCertificates::Require => &set.mailbox.require,
        })
    }

    /// For our own connections to other operators: shows our certificate, verifies theirs but for its name.
    pub fn outbound(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.set.load().outbound)
    }

    /// Judges the chain of an operator's session again, for one that was resumed: with the lists now in force, at the time
    /// that it is now, as the handshake would have. (The white list is asked at each `MAIL`.)
    ///
    /// # Errors
    /// What is wrong with the chain by now.
    pub fn verify_operator(&self, chain: &[CertificateDer<'_>]) -> Result<(), CertificateProblem> {
        self.set.load().operators.verify(chain, UnixTime::now())
    }

    /// Judges the chain that a client of a mailbox door showed: at each login, with the lists now in force, so that a
    /// resumed TLS session gets no further than a new one.
    ///
    /// # Errors
    /// What is wrong with the chain; [`CertificateProblem::Missing`] when none was shown.
    pub fn verify_client(&self, chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, CertificateProblem> {
        let set = self.set.load();
        let now = UnixTime::now();
        match (set.mailbox_clients.verify(chain, now), &set.devices) {
            (Ok(()), _) => {
                set.mailbox_clients.check_lists_age(chain, now, set.crl_grace)?;
                check_policies(&chain[0], &set.policies)?;
                PeerIdentity::of_verified(chain, Authority::Igc)
            }
            (Err(CertificateProblem::UnknownIssuer), Some(devices)) => {
                devices.verify(chain, now)?;
                PeerIdentity::of_verified(chain, Authority::Device)
            }
            (Err(problem), _) => Err(problem),
        }
    }
}

impl Set {
    fn new(Parts { material, revocation, devices }: &Parts) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let Material { operators, mailboxes, .. } = material.as_ref();
        let peers =
            Arc::new(PeerVerifier::new(Arc::clone(&operators.roots), &revocation.operators, Arc::clone(&provider))?);
        let mailbox_clients =
            PeerVerifier::new(Arc::clone(&mailboxes.roots), &revocation.mailboxes, Arc::clone(&provider))?;
        let servers = OperatorServer::new(Arc::clone(&operators.roots), &revocation.operators, Arc::clone(&provider))?;
        let hints = [mailboxes.roots.subjects(), devices.subjects()].concat();
        let asking = |required| -> Result<_, TlsError> {
            let unjudged = UnjudgedClient::new(required, hints.clone(), &provider);
            Ok(Arc::new(server(&provider, Arc::new(unjudged), &mailboxes.identity)?))
        };
        let never = server(&provider, WebPkiClientVerifier::no_client_auth(), &mailboxes.identity)?;
        let devices = match devices.is_empty() {
            true => None,
            false => Some(DeviceVerifier::new(Arc::clone(devices), Arc::clone(&provider))?),
        };
        Ok(Self {
            inbound: Arc::new(resuming_for(
                material.resumption,
                server(&provider, Arc::<PeerVerifier>::clone(&peers), &operators.identity)?,
            )),
            mailbox: ByWish { never: Arc::new(never), ask: asking(false)?, require: asking(true)? },
            outbound: Arc::new(client(&provider, servers, &operators.identity)?),
            operators: peers,
            mailbox_clients,
            devices,
            policies: material.policies.clone(),
            crl_grace: revocation.grace,
        })
    }
}

/// Whether a certificate and key belong together and can serve.
///
/// # Errors
/// They do not match, or the key is of an unknown kind.
pub fn check_identity(identity: &Identity) -> Result<(), TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Settings)?
        .with_no_client_auth();
    let (chain, key) = (identity.chain.clone(), identity.private_key.clone_key());
    builder.with_single_cert(chain, key).map(drop).map_err(|error| identity.mismatch(error))
}

/// Judges our own chain as other operators will: as a client's and as a server's.
///
/// # Errors
/// The anchors or lists do not make a verifier.
pub fn check_own_chain(
    identity: &Identity,
    roots: RootCertStore,
    crls: &CrlSet,
) -> Result<Result<(), CertificateProblem>, TlsError> {
    let (provider, roots) = (Arc::new(provider()), Arc::new(roots));
    let client = PeerVerifier::new(Arc::clone(&roots), crls, Arc::clone(&provider))?;
    let server = OperatorServer::new(roots, crls, provider)?;
    let now = UnixTime::now();
    Ok(client.verify(&identity.chain, now).and_then(|()| server.verify(&identity.chain, now)))
}

/// aws-lc-rs with its suites spelled out: ECDHE with AES-GCM or ChaCha20 only, on TLS 1.2 too (MSSanté §3).
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    CryptoProvider {
        cipher_suites: vec![
            TLS13_AES_256_GCM_SHA384,
            TLS13_AES_128_GCM_SHA256,
            TLS13_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    identity: &Identity,
) -> Result<ServerConfig, TlsError> {
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain.clone(), identity.private_key.clone_key())
        .map_err(|error| identity.mismatch(error))
}

/// A resumed session does not run the verifier again: on the door where the verifier decides, sessions are kept for a
/// bounded time, and [`Contexts::verify_operator`] is asked behind each resumed handshake.
fn resuming_for(longest: Duration, mut config: ServerConfig) -> ServerConfig {
    if longest.is_zero() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.session_storage = Arc::new(BoundedSessions::new(longest));
    }
    config
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: OperatorServer,
    identity: &Identity,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain.clone(), identity.private_key.clone_key())
        .map_err(|error| identity.mismatch(error))?;
    config.resumption = Resumption::disabled();
    Ok(config)
}
