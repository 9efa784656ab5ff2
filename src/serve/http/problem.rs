//! Refusals of the administration API: RFC 9457 problems, each with a stable rule name.
//!
//! [`Problem`] is what handlers return; the rooms' errors become problems in one total function each (`From` impls in
//! [`super::errors`]). What a person may read is in the problem; what only the operator should know goes to the log, under the
//! problem's reference.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::types::{PROBLEM_TYPE, ProblemBody};

/// Why a request was refused. The names are part of the API: programs look at them, documents list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The process at the other end of the socket is none that may administer.
    PeerNotAllowed,
    /// No such path in the API.
    NoSuchEndpoint,
    /// The path is there, not with this method.
    MethodNotAllowed,
    /// A field is missing, malformed or out of bounds.
    BadField,
    /// The body is not the JSON it should be.
    BadJson,
    /// The body has a media type that this endpoint does not take.
    BadMediaType,
    /// The body is larger than this endpoint takes.
    BodyTooLarge,
    /// The body came too slowly.
    BodyTooSlow,
    /// The body ended before its end, or could not be read.
    BodyBroken,
    /// No such domain among the operator's own.
    NoSuchDomain,
    /// The domain is there already.
    DomainExists,
    /// The domain still has mailboxes.
    DomainInUse,
    /// The address's domain is not one of the operator's own.
    DomainNotOwn,
    /// No mailbox has this address.
    NoSuchMailbox,
    /// The address is taken, or was: an address is never given to someone else (MSSanté §5).
    AddressTaken,
    /// The mailbox's state does not allow it.
    WrongState,
    /// The holder's data do not fit the kind of mailbox.
    HolderIncomplete,
    /// The access list has no such entry.
    NoSuchGrant,
    /// No session has this number.
    NoSuchSession,
    /// The password is too weak.
    PasswordTooWeak,
    /// No such client certificate is bound to the mailbox.
    NoSuchCertificate,
    /// The certificate cannot be read, or will not do.
    BadCertificate,
    /// The mailbox has no device with this number.
    NoSuchDevice,
    /// A valid device of the person's in the mailbox is called so.
    DeviceExists,
    /// The mailbox has as many devices as it may.
    TooManyDevices,
    /// The certification request cannot be read, or will not do.
    BadCertificateRequest,
    /// Mailboxes of this kind have nothing of the sort.
    NotForKind,
    /// The mailbox has no second factor.
    NoSuchFactor,
    /// No version of the terms of use is called so, or it is not the one that is asked for.
    NoSuchTerms,
    /// A version of the terms of use is called so already.
    TermsExist,
    /// The text of a version does not read whole.
    TermsDamaged,
    /// More mailboxes would be closed than are without a confirmation.
    ConfirmationNeeded,
    /// Nobody carries notices (`[notices]`).
    NoNotices,
    /// No such folder.
    NoSuchFolder,
    /// The folder's name will not do.
    BadFolderName,
    /// No such message.
    NoSuchMessage,
    /// Nothing is held about this person.
    NoSuchPerson,
    /// What was asked for may stand where the traces do not read.
    TracesUnreadable,
    /// Nothing was counted in this month.
    NothingCounted,
    /// The message is larger than messages may be.
    MessageTooLarge,
    /// The message cannot be taken as it is (empty, with NUL bytes …).
    BadMessage,
    /// The mailbox has no room for it.
    OverQuota,
    /// The folder has no room for more keywords.
    TooManyKeywords,
    /// The mailbox changed under the request too often; try again.
    Busy,
    /// The disk is nearly full: nothing new is taken.
    DiskFull,
    /// The new configuration will not do; the old one stays in force.
    ReloadRefused,
    /// The white list could not be refreshed; the last good one stays in force.
    TrustRefused,
    /// Nothing is published in the national directory.
    DirectoryOff,
    /// The national directory cannot be read.
    DirectoryUnavailable,
    /// There is no copy of the national directory.
    NoDirectoryCopy,
    /// The directory's extraction is of no use.
    ExtractionRefused,
    /// The server cannot do it now (it is stopping, or its store has failed).
    Unavailable,
    /// The server failed; its log says how.
    Internal,
}

impl Rule {
    /// Every rule, for the table in the documentation and the test that holds it.
    pub const ALL: &'static [Self] = &[
        Self::PeerNotAllowed,
        Self::NoSuchEndpoint,
        Self::MethodNotAllowed,
        Self::BadField,
        Self::BadJson,
        Self::BadMediaType,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BodyBroken,
        Self::NoSuchDomain,
        Self::DomainExists,
        Self::DomainInUse,
        Self::DomainNotOwn,
        Self::NoSuchMailbox,
        Self::AddressTaken,
        Self::WrongState,
        Self::HolderIncomplete,
        Self::NoSuchGrant,
        Self::NoSuchSession,
        Self::PasswordTooWeak,
        Self::NoSuchCertificate,
        Self::BadCertificate,
        Self::NoSuchDevice,
        Self::DeviceExists,
        Self::TooManyDevices,
        Self::BadCertificateRequest,
        Self::NotForKind,
        Self::NoSuchFactor,
        Self::NoSuchTerms,
        Self::TermsExist,
        Self::TermsDamaged,
        Self::ConfirmationNeeded,
        Self::NoNotices,
        Self::NoSuchFolder,
        Self::BadFolderName,
        Self::NoSuchMessage,
        Self::NoSuchPerson,
        Self::TracesUnreadable,
        Self::NothingCounted,
        Self::MessageTooLarge,
        Self::BadMessage,
        Self::OverQuota,
        Self::TooManyKeywords,
        Self::Busy,
        Self::DiskFull,
        Self::ReloadRefused,
        Self::TrustRefused,
        Self::DirectoryOff,
        Self::DirectoryUnavailable,
        Self::NoDirectoryCopy,
        Self::ExtractionRefused,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Name, HTTP status and title: the one table.
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::PeerNotAllowed => ("peer-not-allowed", S::FORBIDDEN, "This user may not administer the server"),
            Self::NoSuchEndpoint => ("no-such-endpoint", S::NOT_FOUND, "No such endpoint"),
            Self::MethodNotAllowed => ("method-not-allowed", S::METHOD_NOT_ALLOWED, "Method not allowed here"),
            Self::BadField => ("bad-field", S::UNPROCESSABLE_ENTITY, "A field cannot be accepted"),
            Self::BadJson => ("bad-json", S::BAD_REQUEST, "The body is not the JSON that is expected"),
            Self::BadMediaType => ("bad-media-type", S::UNSUPPORTED_MEDIA_TYPE, "The body has the wrong media type"),
            Self::BodyTooLarge => ("body-too-large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::BodyTooSlow => ("body-too-slow", S::REQUEST_TIMEOUT, "The body came too slowly"),
            Self::BodyBroken => ("body-broken", S::BAD_REQUEST, "The body ended early"),
            Self::NoSuchDomain => ("no-such-domain", S::NOT_FOUND, "No such domain"),
            Self::DomainExists => ("domain-exists", S::CONFLICT, "The domain is there already"),
            Self::DomainInUse => ("domain-in-use", S::CONFLICT, "The domain still has mailboxes"),
            Self::DomainNotOwn => ("domain-not-own", S::UNPROCESSABLE_ENTITY, "The domain is not one of ours"),
            Self::NoSuchMailbox => ("no-such-mailbox", S::NOT_FOUND, "No such mailbox"),
            Self::AddressTaken => ("address-taken", S::CONFLICT, "The address is taken"),
            Self::WrongState => ("wrong-state", S::CONFLICT, "The mailbox's state does not allow it"),
            Self::HolderIncomplete => {
                ("holder-incomplete", S::UNPROCESSABLE_ENTITY, "The holder's data do not fit the kind")
            }
            Self::NoSuchGrant => ("no-such-grant", S::NOT_FOUND, "No such entry on the access list"),
            Self::NoSuchSession => ("no-such-session", S::NOT_FOUND, "No such session"),
            Self::PasswordTooWeak => ("password-too-weak", S::UNPROCESSABLE_ENTITY, "The password is too weak"),
            Self::NoSuchCertificate => ("no-such-certificate", S::NOT_FOUND, "No such certificate"),
            Self::BadCertificate => ("bad-certificate", S::UNPROCESSABLE_ENTITY, "The certificate cannot be accepted"),
            Self::NoSuchDevice => ("no-such-device", S::NOT_FOUND, "No such device"),
            Self::DeviceExists => ("device-exists", S::CONFLICT, "A device is called so already"),
            Self::TooManyDevices => ("too-many-devices", S::CONFLICT, "The mailbox has all the devices it may"),
            Self::BadCertificateRequest => {
                ("bad-certificate-request", S::UNPROCESSABLE_ENTITY, "The certification request cannot be accepted")
            }
            Self::NotForKind => ("not-for-kind", S::CONFLICT, "Not for mailboxes of this kind"),
            Self::NoSuchFactor => ("no-such-factor", S::NOT_FOUND, "No second factor"),
            Self::NoSuchTerms => ("no-such-terms", S::NOT_FOUND, "No such terms of use"),
            Self::TermsExist => ("terms-exist", S::CONFLICT, "These terms of use are there already"),
            Self::TermsDamaged => {
                ("terms-damaged", S::INTERNAL_SERVER_ERROR, "The text of these terms of use is damaged")
            }
            Self::ConfirmationNeeded => ("confirmation-needed", S::CONFLICT, "So much needs a confirmation"),
            Self::NoNotices => ("no-notices", S::CONFLICT, "Nobody carries notices"),
            Self::NoSuchFolder => ("no-such-folder", S::NOT_FOUND, "No such folder"),
            Self::BadFolderName => ("bad-folder-name", S::UNPROCESSABLE_ENTITY, "The folder's name cannot be accepted"),
            Self::NoSuchMessage => ("no-such-message", S::NOT_FOUND, "No such message"),
            Self::NoSuchPerson => ("no-such-person", S::NOT_FOUND, "Nothing is held about this person"),
            Self::TracesUnreadable => ("traces-unreadable", S::SERVICE_UNAVAILABLE, "Some of the traces do not read"),
            Self::NothingCounted => ("nothing-counted", S::NOT_FOUND, "Nothing was counted in this month"),
            Self::MessageTooLarge => ("message-too-large", S::PAYLOAD_TOO_LARGE, "The message is too large"),
            Self::BadMessage => ("bad-message", S::UNPROCESSABLE_ENTITY, "The message cannot be accepted"),
            Self::OverQuota => ("over-quota", S::INSUFFICIENT_STORAGE, "The mailbox is full"),
            Self::TooManyKeywords => {
                ("too-many-keywords", S::UNPROCESSABLE_ENTITY, "The folder has no room for more keywords")
            }
            Self::Busy => ("busy", S::SERVICE_UNAVAILABLE, "Try again in a moment"),
            Self::DiskFull => ("disk-full", S::INSUFFICIENT_STORAGE, "The disk is nearly full"),
            Self::ReloadRefused => ("reload-refused", S::UNPROCESSABLE_ENTITY, "The new configuration is refused"),
            Self::TrustRefused => ("trust-refused", S::BAD_GATEWAY, "The white list could not be refreshed"),
            Self::DirectoryOff => ("directory-off", S::CONFLICT, "Nothing is published in the directory"),
            Self::DirectoryUnavailable => ("directory-unavailable", S::BAD_GATEWAY, "The directory cannot be read"),
            Self::NoDirectoryCopy => ("no-directory-copy", S::CONFLICT, "There is no copy of the directory"),
            Self::ExtractionRefused => {
                ("extraction-refused", S::UNPROCESSABLE_ENTITY, "The directory's extraction is refused")
            }
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "The server cannot do it now"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }

    /// The stable kebab-case name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// What it is, in words that never change.
    pub fn title(self) -> &'static str {
        self.row().2
    }
}

/// A refusal on its way to the peer: what it may know, and what only the log gets.
#[derive(Debug)]
pub struct Problem {
    rule: Rule,
    detail: String,
    field: Option<String>,
    private: Option<String>,
}

impl Problem {
    /// A refusal by `rule`; `detail` is shown to the peer.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), field: None, private: None }
    }

    /// A field that will not do.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Rule::BadField, detail).at(field)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn because(mut self, private: impl std::fmt::Display) -> Self {
        self.private = Some(private.to_string());
        self
    }

    /// The rule that refuses.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// As it goes over the wire, under `reference`.
    pub fn body(&self, reference: &str) -> ProblemBody {
        ProblemBody {
            kind: format!("/problems/{}", self.rule.name()),
            title: self.rule.title().to_owned(),
            status: self.rule.status().as_u16(),
            detail: self.detail.clone(),
            rule: self.rule.name().to_owned(),
            field: self.field.clone(),
            reference: reference.to_owned(),
        }
    }

    /// Tells the log what happened, under `reference`: failures of ours loudly, refusals quietly.
    pub fn log(&self, reference: &str) {
        let (rule, cause) = (self.rule.name(), self.private.as_deref().unwrap_or_default());
        if self.rule.status().is_server_error() {
            tracing::error!(reference, rule, cause, "administration request failed");
        } else {
            tracing::info!(reference, rule, cause, "administration request refused");
        }
    }
}

impl IntoResponse for Problem {
    /// The reference is added by the layer around all handlers, which finds the problem in the response's extensions.
    fn into_response(self) -> Response {
        let mut response = response_of(&self.body(""));
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// A response that carries `body`.
pub(super) fn response_of(body: &ProblemBody) -> Response {
    let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(PROBLEM_TYPE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }

    #[test]
    fn what_only_the_log_may_know_stays_out_of_the_answer() {
        let problem = Problem::new(Rule::Internal, "The server failed.").because("sled: /var/lib/x is gone");
        let text = serde_json::to_string(&problem.body("a1")).unwrap();
        assert!(!text.contains("sled"));
        assert!(text.contains(r#""reference":"a1""#));
    }

    #[test]
    fn a_problem_names_rule_and_field() {
        let body = Problem::field("holder.last_name", "is empty").body("r");
        assert_eq!((body.kind.as_str(), body.status), ("/problems/bad-field", 422));
        assert_eq!(body.field.as_deref(), Some("holder.last_name"));
    }
}
