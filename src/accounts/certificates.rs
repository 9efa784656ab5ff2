//! Client certificates that open mailboxes: bound one by one, by subject, or for an APP mailbox by the structure's id.

use std::ops::Bound;

use tokio::sync::Mutex;

use crate::mss::Kind;
use crate::mss::dn::DistinguishedName;
use crate::store::{AccountId, Committed, Credential, CredentialKey, CredentialKind, Versioned};

use super::hints::{HintTable, Hints};
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

/// Under what a certificate's credentials are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Fingerprint(Box<str>),
    Subject(Box<str>),
    Structure(Box<str>),
}

/// Which credentials a certificate may meet. Holders enrol and revoke as they like, so each change is noted by itself; hints, as
/// the credentials decide.
#[derive(Debug, Default)]
pub(super) struct CertificateIndex {
    hints: Hints<Name, CredentialKey>,
    /// Held by who has it read: others wait for that without a thread.
    flight: Mutex<()>,
}

impl CertificateIndex {
    /// A credential was added; it is in the store already.
    pub(super) fn note(&self, key: CredentialKey, kind: &CredentialKind) {
        if let Some(name) = name_of(kind) {
            self.hints.add(name, key);
        }
    }

    /// A credential is gone from the store. Its number is never given again.
    pub(super) fn forget(&self, key: CredentialKey, kind: &CredentialKind) {
        if let Some(name) = name_of(kind) {
            self.hints.remove(&name, key);
        }
    }

    /// A mailbox was closed: all that opened it is gone. Looks at every hint, as seldom as that is.
    pub(super) fn forget_all_of(&self, account: AccountId) {
        self.hints.remove_where(|key| key.account == account);
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
        self.put_credential(id, kind, label).await
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
        let (index, names) = (self.certificates(), names_of(certificate));
        if let Some(found) = index.hints.find(&names) {
            return Ok(accounts_of(&found));
        }
        let _alone = index.flight.lock().await;
        if !index.hints.is_read() {
            let registry = self.clone();
            let reading = tokio::task::spawn_blocking(move || registry.prepare_certificates());
            reading.await.unwrap_or(Err(AccountError::Busy))?;
        }
        Ok(accounts_of(&index.hints.find(&names).unwrap_or_default()))
    }

    /// Whether a mailbox is bound to its structure's certificates, whichever of them.
    ///
    /// # Errors
    /// What the store says.
    pub fn is_any_bound_by_structure(&self) -> Result<bool, AccountError> {
        self.prepare_certificates()?;
        Ok(self.certificates().hints.has(|name| matches!(name, Name::Structure(_))).unwrap_or_default())
    }

    /// Reads every credential once, so that no login has to.
    fn prepare_certificates(&self) -> Result<(), AccountError> {
        self.certificates().hints.read(|table| self.read_credentials(table))
    }

    fn read_credentials(&self, table: &mut HintTable<Name, CredentialKey>) -> Result<(), AccountError> {
        let mut after: Option<CredentialKey> = None;
        loop {
            let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let page = self.store().scan::<Credential>(range, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (key, credential) in page {
                if let Some(name) = name_of(&credential.kind) {
                    table.add(name, key);
                }
            }
        }
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
fn name_of(kind: &CredentialKind) -> Option<Name> {
    match kind {
        CredentialKind::Password { .. } => None,
        CredentialKind::CertificateFingerprint { sha256 } | CredentialKind::Device { sha256, .. } => {
            Some(Name::Fingerprint(sha256.as_str().into()))
        }
        CredentialKind::CertificateSubject { subject } => {
            DistinguishedName::parse_text(subject).ok().map(|subject| subject_name(&subject))
        }
        CredentialKind::CertificateStructure { structure_id } => Some(Name::Structure(structure_id.as_str().into())),
    }
}

/// Under which names a certificate's credentials may stand.
fn names_of(certificate: &CertificateFacts) -> Vec<Name> {
    let units = certificate.subject.values("OU").map(|unit| Name::Structure(unit.trim().into()));
    let others = [Name::Fingerprint(certificate.fingerprint.as_str().into()), subject_name(&certificate.subject)];
    others.into_iter().chain(units).collect()
}

fn subject_name(subject: &DistinguishedName) -> Name {
    Name::Subject(format!("{:?}", subject.normalised()).into())
}

fn accounts_of(credentials: &[CredentialKey]) -> Vec<AccountId> {
    let mut found: Vec<AccountId> = credentials.iter().map(|key| key.account).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(sha256: &str) -> CredentialKind {
        CredentialKind::Device { sha256: sha256.into(), serial: String::new() }
    }

    fn shown(sha256: &str) -> Vec<Name> {
        let subject = DistinguishedName::parse_text("CN=agenda,OU=1-999").unwrap();
        names_of(&CertificateFacts { authority: Authority::Igc, fingerprint: sha256.into(), subject })
    }

    #[test]
    fn a_change_of_one_credential_leaves_all_others_where_they_are() {
        let index = CertificateIndex::default();
        let key = |account, number| CredentialKey { account: AccountId(account), number };
        let found = |sha256: &str| index.hints.find(&shown(sha256)).map(|found| accounts_of(&found));
        index.hints.read(|_| Ok::<_, ()>(())).unwrap();
        index.note(key(1, 1), &CredentialKind::CertificateStructure { structure_id: "1-999".into() });
        index.note(key(2, 1), &CredentialKind::CertificateSubject { subject: "OU=1-999, CN=Agenda".into() });
        index.note(key(3, 1), &device("aa"));
        index.note(key(3, 2), &CredentialKind::Password { hash: "aa".into() });
        let of_structure = found("bb");
        assert_eq!(found("aa"), of_structure.clone().map(|found| [found, vec![AccountId(3)]].concat()));
        index.forget(key(3, 1), &device("aa"));
        assert_eq!(found("aa"), of_structure);
        index.note(key(3, 3), &device("aa"));
        index.forget_all_of(AccountId(1));
        assert!(found("aa").is_some_and(|found| found.contains(&AccountId(3)) && !found.contains(&AccountId(1))));
        assert!(index.hints.is_read(), "nothing is read anew");
    }
}
