//! What opens a mailbox: its password and its client certificates.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::Administration;
use super::acting::Acting;
use super::errors::{of_account, sentence};
use super::extract::{Json, Path};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{Certificate, Certificates, NewCertificate, PasswordAnswer, PasswordChoice, PasswordRequest};
use crate::accounts::By;
use crate::accounts::{AccountError, CertificateBinding, Registry, generated_password};
use crate::mss::dn::DistinguishedName;
use crate::mss::text::hex;
use crate::store::{AccountId, Credential, CredentialKey, CredentialKind};

/// The longest label.
const LABEL: usize = 200;

/// `PUT /v1/mailboxes/{address}/password`.
pub(super) async fn set_password(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(request): Json<PasswordRequest>,
) -> Result<axum::Json<PasswordAnswer>, Problem> {
    let account = administration.account(&address)?;
    let (password, made) = chosen(request.password);
    let registry = &administration.registry;
    registry.change_password(account.id, &password, "", By::Administrator).await.map_err(of_account)?;
    tracing::info!(account = %account.id, generated = made, "password set");
    let password = made.then(|| password.to_string());
    Ok(axum::Json(PasswordAnswer { password }))
}

/// `DELETE /v1/mailboxes/{address}/password`.
pub(super) async fn remove_password(
    Acting(administration): Acting,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    let account = administration.account(&address)?;
    let registry = &administration.registry;
    if registry.remove_password(account.id, By::Administrator).await.map_err(of_account)? {
        tracing::info!(account = %account.id, "password removed");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a password may be set at all, before anything is done for it.
pub(super) fn check(registry: &Registry, password: &PasswordChoice) -> Result<(), Problem> {
    match password {
        PasswordChoice::Generate => Ok(()),
        PasswordChoice::Set(password) => registry.accepts_password(password).map_err(of_account),
    }
}

/// The password, and whether it was made here.
fn chosen(password: PasswordChoice) -> (Zeroizing<String>, bool) {
    match password {
        PasswordChoice::Generate => (generated_password(), true),
        PasswordChoice::Set(password) => (Zeroizing::new(password), false),
    }
}

/// Sets a new mailbox's password; gives it back if it was made here.
pub(super) async fn set(
    registry: &Registry,
    account: AccountId,
    password: PasswordChoice,
) -> Result<Option<String>, Problem> {
    let (password, made) = chosen(password);
    registry.set_password(account, &password, "").await.map_err(of_account)?;
    Ok(made.then(|| password.to_string()))
}

/// `GET /v1/mailboxes/{address}/certificates`.
pub(super) async fn certificates(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
) -> Result<axum::Json<Certificates>, Problem> {
    let account = administration.account(&address)?;
    let credentials = administration.registry.credentials(account.id).map_err(of_account)?;
    let certificates = credentials.into_iter().filter_map(|(key, credential)| shown(key, credential.record));
    Ok(axum::Json(Certificates { certificates: certificates.collect() }))
}

/// `POST /v1/mailboxes/{address}/certificates`.
pub(super) async fn bind(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(new): Json<NewCertificate>,
) -> Result<Response, Problem> {
    let account = administration.account(&address)?;
    let label = new.label.clone().unwrap_or_default();
    if label.chars().count() > LABEL || label.chars().any(char::is_control) {
        return Err(Problem::field("label", format!("At most {LABEL} characters, no control characters.")));
    }
    let binding = binding(new)?;
    let registry = &administration.registry;
    let before = registry.credentials(account.id).map_err(of_account)?;
    registry.bind_certificate(account.id, binding, &label).await.map_err(of_account)?;
    let after = registry.credentials(account.id).map_err(of_account)?;
    let new = after.into_iter().rev().find(|(key, _)| before.iter().all(|(old, _)| old != key));
    let bound = new.and_then(|(key, credential)| shown(key, credential.record)).ok_or_else(|| {
        Problem::new(Rule::Busy, "Someone else changed the certificates at the same moment; list them.")
    })?;
    tracing::info!(account = %account.id, number = bound.id, "certificate bound");
    Ok((StatusCode::CREATED, axum::Json(bound)).into_response())
}

/// `DELETE /v1/mailboxes/{address}/certificates/{id}`.
pub(super) async fn unbind(
    Acting(administration): Acting,
    Path((address, number)): Path<(String, u32)>,
) -> Result<StatusCode, Problem> {
    let account = administration.account(&address)?;
    let registry = &administration.registry;
    let key = CredentialKey { account: account.id, number };
    let credentials = registry.credentials(account.id).map_err(of_account)?;
    // A password's number is none of a certificate's.
    let found = credentials.into_iter().find(|(each, _)| *each == key);
    if found.and_then(|(key, credential)| shown(key, credential.record)).is_none() {
        return Err(of_account(AccountError::NoCredential));
    }
    registry.remove_credential(key).await.map_err(of_account)?;
    tracing::info!(account = %account.id, number, "certificate unbound");
    Ok(StatusCode::NO_CONTENT)
}

/// The binding that a request asks for: exactly one way to say it.
fn binding(new: NewCertificate) -> Result<CertificateBinding, Problem> {
    let NewCertificate { pem, fingerprint, subject, structure, by_subject, label: _ } = new;
    if by_subject && pem.is_none() {
        return Err(Problem::field("by_subject", "Only with pem; else name the subject."));
    }
    match (pem, fingerprint, subject, structure) {
        (Some(pem), None, None, false) => of_pem(&pem, by_subject),
        (None, Some(fingerprint), None, false) => Ok(CertificateBinding::Fingerprint(fingerprint)),
        (None, None, Some(subject), false) => DistinguishedName::parse_text(&subject)
            .map(CertificateBinding::Subject)
            .map_err(|problem| Problem::new(Rule::BadCertificate, sentence(&problem)).at("subject")),
        (None, None, None, true) => Ok(CertificateBinding::Structure),
        _ => Err(Problem::field("pem", "Give exactly one of pem, fingerprint, subject and structure.")),
    }
}

fn of_pem(pem: &str, by_subject: bool) -> Result<CertificateBinding, Problem> {
    let bad = |text: String| Problem::new(Rule::BadCertificate, text).at("pem");
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificate = match found.next() {
        Some(Ok(certificate)) => certificate,
        Some(Err(problem)) => return Err(bad(sentence(&problem))),
        None => return Err(bad("There is no certificate in it.".into())),
    };
    // Read in either case: what is bound must be a certificate.
    let subject = DistinguishedName::from_der(&certificate).map_err(|problem| bad(sentence(&problem)))?;
    if by_subject {
        return Ok(CertificateBinding::Subject(subject));
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
    Ok(CertificateBinding::Fingerprint(hex(digest.as_ref())))
}

/// A credential as the API shows it; none of a password.
fn shown(key: CredentialKey, credential: Credential) -> Option<Certificate> {
    let mut certificate = Certificate {
        id: u64::from(key.number),
        fingerprint: None,
        subject: None,
        structure_id: None,
        label: Some(credential.label).filter(|label| !label.is_empty()),
        created_at: Some(date(credential.created_at)),
    };
    match credential.kind {
        CredentialKind::Password { .. } | CredentialKind::Device { .. } => return None,
        CredentialKind::CertificateFingerprint { sha256 } => certificate.fingerprint = Some(sha256),
        CredentialKind::CertificateSubject { subject } => certificate.subject = Some(subject),
        CredentialKind::CertificateStructure { structure_id } => certificate.structure_id = Some(structure_id),
    }
    Some(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_way_to_name_a_certificate() {
        let both = NewCertificate { fingerprint: Some("00".into()), structure: true, ..NewCertificate::default() };
        assert_eq!(binding(both).unwrap_err().rule(), Rule::BadField);
        assert_eq!(binding(NewCertificate::default()).unwrap_err().rule(), Rule::BadField);
        let pem = NewCertificate { pem: Some("no PEM".into()), ..NewCertificate::default() };
        assert_eq!(binding(pem).unwrap_err().rule(), Rule::BadCertificate);
    }
}
