//! Client certificates that open mailboxes: bound one by one, by subject, or for an APP mailbox by the structure's id.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::mss::Kind;
use crate::mss::dn::DistinguishedName;
use crate::store::{AccountId, Committed, Credential, CredentialKey, CredentialKind, Versioned};

use super::{Account, AccountError, Registry};

/// Credentials read at a time while the index is built.
const PAGE: usize = 1_000;

/// Whose authority issued a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One of the trust space (IGC-Santé): an operator's or an application's certificate.
    Igc,
    /// The operator's own device authority: an enrolled workstation's.
    Device,
}

/// What a door knows of a client certificate that it has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Who issued it: our own device authority vouches for no subject, and no other one for a workstation.
    pub authority: Authority,
    /// SHA-256 of its DER, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Its subject.
    pub subject: DistinguishedName,
}

/// How a certificate is bound to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateBinding {
    /// This one certificate: SHA-256 of its DER in hexadecimal; colons and case do not count.
    Fingerprint(String),
    /// Every certificate with this subject.
    Subject(DistinguishedName),
    /// Every certificate whose `OU` is the mailbox's structure id (MSSanté §4: APP only).
    Structure,
}

/// Which accounts a certificate may open. Bindings change by an administrator's hand, a handful a day, so the index is
/// built whole from the store at the first use after a change. Its entries are hints: the credentials decide.
#[derive(Debug, Default)]
pub(super) struct CertificateIndex {
    /// Rises with each change of a binding.
    generation: AtomicU64,
    built: Mutex<Option<(u64, Arc<Index>)>>,
}

type Index = HashMap<String, Vec<AccountId>>;

impl CertificateIndex {
    /// A binding was added or taken away.
    pub(super) fn outdate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn current(&self) -> Option<Arc<Index>> {
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, index) = built.as_ref()?;
        (*generation == self.generation.load(Ordering::Acquire)).then(|| index.clone())
    }
}

impl Registry {
    /// Binds a certificate to a mailbox.
    ///
    /// # Errors
    /// [`AccountError::BadBinding`], [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn bind_certificate(
        &self,
        id: AccountId,
        binding: CertificateBinding,
        label: &str,
    ) -> Result<Committed, AccountError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let kind = credential_kind(&account, binding)?;
        let committed = self.put_credential(id, kind, label, None).await?;
        self.certificates().outdate();
        Ok(committed)
    }

    /// The account's credential that the certificate meets, if any.
    pub(super) fn certificate_credential(
        &self,
        account: &Account,
        certificate: &CertificateFacts,
    ) -> Result<Option<(CredentialKey, Versioned<Credential>)>, AccountError> {
        let now = crate::mail::now();
        let meets = |(_, credential): &(CredentialKey, Versioned<Credential>)| {
            credential.expires_at.is_none_or(|end| now < end) && is_met(&credential.kind, account, certificate)
        };
        Ok(self.credentials(account.id)?.into_iter().find(meets))
    }

    /// The account's enrolled workstation that shows this certificate, if any.
    pub(super) fn device_credential(
        &self,
        account: &Account,
        certificate: &CertificateFacts,
    ) -> Result<Option<(CredentialKey, Versioned<Credential>)>, AccountError> {
        let now = crate::mail::now();
        let is_it = |(_, credential): &(CredentialKey, Versioned<Credential>)| {
            let is_device = matches!(credential.kind, CredentialKind::Device { .. });
            let is_valid = credential.expires_at.is_none_or(|end| now < end);
            is_device && is_valid && is_met(&credential.kind, account, certificate)
        };
        Ok(self.credentials(account.id)?.into_iter().find(is_it))
    }

    /// Accounts that may have a credential for the certificate.
    pub(super) async fn accounts_bound_to(
        &self,
        certificate: &CertificateFacts,
    ) -> Result<Vec<AccountId>, AccountError> {
        let keys = keys_of(certificate);
        if let Some(index) = self.certificates().current() {
            return Ok(look_up(&index, &keys));
        }
        let generation = self.certificates().generation.load(Ordering::Acquire);
        let registry = self.clone();
        let built = tokio::task::spawn_blocking(move || registry.build_index()).await;
        let index = Arc::new(built.unwrap_or(Err(AccountError::Busy))?);
        let found = look_up(&index, &keys);
        *self.certificates().built.lock().unwrap_or_else(PoisonError::into_inner) = Some((generation, index));
        Ok(found)
    }

    fn build_index(&self) -> Result<Index, AccountError> {
        let mut index = Index::new();
        let mut after: Option<CredentialKey> = None;
        loop {
            let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let page = self.store().scan::<Credential>(range, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (key, credential) in page {
                if let Some(name) = key_of(&credential.kind) {
                    index.entry(name).or_default().push(key.account);
                }
            }
        }
        Ok(index)
    }
}

fn credential_kind(account: &Account, binding: CertificateBinding) -> Result<CredentialKind, AccountError> {
    match binding {
        CertificateBinding::Fingerprint(text) => {
            let sha256: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(AccountError::BadBinding("a fingerprint is 64 hexadecimal digits (SHA-256)"));
            }
            Ok(CredentialKind::CertificateFingerprint { sha256 })
        }
        CertificateBinding::Subject(subject) => Ok(CredentialKind::CertificateSubject { subject: subject.to_string() }),
        CertificateBinding::Structure => {
            let structure = account.data.holder.structure_id.clone();
            match (account.kind, structure) {
                (Kind::App, Some(structure_id)) => Ok(CredentialKind::CertificateStructure { structure_id }),
                _ => Err(AccountError::BadBinding(
                    "only an APP mailbox is opened by its structure's certificates (MSSanté §4)",
                )),
            }
        }
    }
}

/// Whether the certificate is what the credential asks for, and of the authority that may say so.
fn is_met(kind: &CredentialKind, account: &Account, certificate: &CertificateFacts) -> bool {
    let needed = match kind {
        CredentialKind::Device { .. } => Authority::Device,
        _ => Authority::Igc,
    };
    if certificate.authority != needed {
        return false;
    }
    match kind {
        CredentialKind::Password { .. } => false,
        CredentialKind::CertificateFingerprint { sha256 } | CredentialKind::Device { sha256, .. } => {
            *sha256 == certificate.fingerprint
        }
        CredentialKind::CertificateSubject { subject } => {
            DistinguishedName::parse_text(subject).is_ok_and(|subject| subject.matches(&certificate.subject))
        }
        CredentialKind::CertificateStructure { structure_id } => {
            // The structure must still be the mailbox's: its holder may have been changed since.
            account.kind == Kind::App
                && account.data.holder.structure_id.as_deref() == Some(structure_id.as_str())
                && certificate.subject.values("OU").any(|unit| unit.trim() == structure_id)
        }
    }
}

/// Under which name a credential stands in the index.
fn key_of(kind: &CredentialKind) -> Option<String> {
    match kind {
        CredentialKind::Password { .. } => None,
        CredentialKind::CertificateFingerprint { sha256 } | CredentialKind::Device { sha256, .. } => {
            Some(format!("fingerprint {sha256}"))
        }
        CredentialKind::CertificateSubject { subject } => {
            DistinguishedName::parse_text(subject).ok().map(|subject| subject_key(&subject))
        }
        CredentialKind::CertificateStructure { structure_id } => Some(format!("structure {structure_id}")),
    }
}

/// Under which names a certificate's credentials may stand.
fn keys_of(certificate: &CertificateFacts) -> Vec<String> {
    let units = certificate.subject.values("OU").map(|unit| format!("structure {}", unit.trim()));
    let others = [format!("fingerprint {}", certificate.fingerprint), subject_key(&certificate.subject)];
    others.into_iter().chain(units).collect()
}

fn subject_key(subject: &DistinguishedName) -> String {
    format!("subject {:?}", subject.normalised())
}

fn look_up(index: &Index, keys: &[String]) -> Vec<AccountId> {
    let mut found: Vec<AccountId> = keys.iter().filter_map(|key| index.get(key)).flatten().copied().collect();
    found.sort_unstable();
    found.dedup();
    found
}
