//! What travels about the trust space. The rules of [`super::super::types`] hold: instants are RFC 3339 texts in UTC,
//! requests with unknown fields are refused, answers are read tolerantly.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::mss::dn::{AttributeDifference, DnError};
use crate::mss::{Decision, DistinguishedName, Domain, TrustSpace, explain};

/// How the white list and the CRLs stand: `GET /v1/trust`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustStatus {
    /// The white list.
    pub white_list: WhiteListStatus,
    /// The CRLs of the operators' authorities, and of the mailbox doors' where they differ.
    pub crls: Vec<CrlSource>,
    /// What an operator should look at, in words; empty when all is well.
    pub alarms: Vec<String>,
}

/// How the white list stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhiteListStatus {
    /// The file or address that it comes from.
    pub source: String,
    /// The list in force, if there is one.
    #[serde(default)]
    pub in_force: Option<ListInForce>,
    /// When the source was last asked.
    #[serde(default)]
    pub last_attempt_at: Option<String>,
    /// When it last gave a good list, the same one or a new one.
    #[serde(default)]
    pub last_success_at: Option<String>,
    /// How it went the last time: `taken`, `unchanged`, or the stable name of what was wrong.
    #[serde(default)]
    pub last_result: Option<String>,
    /// What was wrong the last time, in words.
    #[serde(default)]
    pub problem: Option<String>,
    /// When it will be asked again.
    #[serde(default)]
    pub next_attempt_at: Option<String>,
}

/// The white list in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListInForce {
    /// When it was generated.
    pub generated_at: String,
    /// How many entries it has.
    pub entries: u64,
    /// How many distinct domains.
    pub domains: u64,
    /// How many distinct certificate subjects.
    pub peers: u64,
    /// How many entries could not be read, and so authorise nobody.
    pub unreadable: u64,
    /// Whether it is the last good copy from disk, not confirmed by the source since the start.
    pub from_cache: bool,
    /// Whether it is older than `trust.max_age`.
    pub stale: bool,
}

/// How one source of CRLs stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlSource {
    /// `operators` or `mailboxes`: whose certificates it is about.
    pub side: String,
    /// The file or address.
    pub source: String,
    /// The lists that it gave.
    pub lists: Vec<CrlInForce>,
    /// When it last gave good lists.
    #[serde(default)]
    pub last_success_at: Option<String>,
    /// How it went the last time: `taken`, `unchanged`, or the stable name of what was wrong.
    #[serde(default)]
    pub last_result: Option<String>,
    /// What was wrong the last time, in words.
    #[serde(default)]
    pub problem: Option<String>,
}

/// One CRL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlInForce {
    /// Its issuer.
    pub issuer: String,
    /// When it was made.
    pub this_update: String,
    /// When its successor was promised for.
    pub next_update: String,
    /// How many certificates it revokes.
    pub revoked: u64,
    /// Whether it is past `next_update`.
    pub stale: bool,
}

/// A refresh to be made now: `POST /v1/trust/refresh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshOrder {
    /// Take the list even if it lost more entries than `trust.max_shrink` allows.
    pub accept_shrink: bool,
}

/// What a refresh did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// `taken` or `unchanged`.
    pub white_list: String,
    /// How many sources of CRLs failed; what they gave before stays in force.
    pub failed_crl_sources: u64,
    /// How everything stands now.
    pub status: TrustStatus,
}

/// Which entries are asked for: `GET /v1/trust/entries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EntryQuery {
    /// Only those of this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Only those that have this text, in any case, in the domain's name, the certificate's subject or the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// How many to leave out at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many to give at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Entries of the white list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// When the list was generated.
    pub generated_at: String,
    /// How many entries fit the question, given here or not.
    pub total: u64,
    /// The entries, in the list's order.
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The domain.
    pub domain: String,
    /// The subject of the certificate that may speak for it.
    pub dn: String,
    /// What the list says of it.
    pub description: String,
    /// Whom to ask about the operator.
    pub responsible: String,
    /// Whom to ask for help.
    pub support: String,
    /// When the entry was last changed.
    #[serde(default)]
    pub updated_at: Option<String>,
}

/// May this certificate speak for this domain? `POST /v1/trust/explain/certificate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuestion {
    /// The domain.
    pub domain: String,
    /// The certificate, in PEM.
    pub certificate: String,
}

/// May A write to B? `POST /v1/trust/explain/exchange`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeQuestion {
    /// The sender's address; empty or `<>` for a null sender.
    pub from: String,
    /// The recipient's address.
    pub to: String,
}

/// What a rule answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it may pass.
    pub accepted: bool,
    /// The rule that decides.
    pub rule: String,
    /// The SMTP code of the refusal.
    #[serde(default)]
    pub smtp: Option<u16>,
    /// Its enhanced code.
    #[serde(default)]
    pub enhanced: Option<String>,
    /// Its reason.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Why a certificate may or may not speak for a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// The domain.
    pub domain: String,
    /// The certificate's subject.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// From when it is valid.
    pub valid_from: String,
    /// Until when it is valid.
    pub valid_until: String,
    /// What else stands in its way; chain, revocation and usage are judged in the TLS handshake, not here.
    #[serde(default)]
    pub cautions: Vec<String>,
    /// What its holder would be answered to a `MAIL FROM` of the domain.
    pub answer: Answer,
    /// The names listed for the domain, the most similar first; else the listed one with the certificate's CN.
    pub listed: Vec<ListedName>,
}

/// A listed name held against the certificate's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedName {
    /// The name, as the list writes it.
    pub dn: String,
    /// In which attributes they differ; empty when it is the certificate's.
    pub differences: Vec<Difference>,
}

/// An attribute in which two names differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `CN`, `OU`, `O` …
    pub attribute: String,
    /// What the certificate has.
    #[serde(default)]
    pub certificate: Option<String>,
    /// What the white list has.
    #[serde(default)]
    pub white_list: Option<String>,
}

/// Why A may or may not write to B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeAnswer {
    /// What the sender is taken for, in words.
    pub from: String,
    /// What the recipient is taken for.
    pub to: String,
    /// Between a mailbox of ours and a citizen: `not-started`, `open` or `closed`, as the mailbox left it (MSSanté §8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The answer.
    pub answer: Answer,
}

impl From<&Decision> for Answer {
    fn from(decision: &Decision) -> Self {
        let refusal = decision.refusal();
        Self {
            accepted: decision.is_accepted(),
            rule: decision.rule().name().to_owned(),
            smtp: refusal.map(|refusal| refusal.smtp),
            enhanced: refusal.map(|refusal| refusal.enhanced.to_owned()),
            reason: refusal.map(|refusal| refusal.reason.clone()),
        }
    }
}

impl CertificateAnswer {
    /// The answer about a certificate in PEM. `now` is Unix seconds.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn new(space: &TrustSpace, pem: &str, domain: &Domain, now: i64) -> Result<Self, DnError> {
        let unreadable = |problem: &dyn std::fmt::Display| DnError::Certificate(problem.to_string());
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| DnError::Certificate("there is no certificate in PEM".into()))?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|problem| unreadable(&problem))?;
        let subject = DistinguishedName::from_x509(certificate.subject())?;
        let explanation = explain::certificate(space, &subject, domain, now);
        let listed = explanation.listed.iter().map(|listed| ListedName {
            dn: listed.name.to_string(),
            differences: listed.differences.iter().map(Difference::from).collect(),
        });
        let validity = certificate.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let caution = match () {
            () if now < from => Some("The certificate is not valid yet: a TLS handshake with it fails."),
            () if now > until => Some("The certificate has expired: a TLS handshake with it fails."),
            () => None,
        };
        Ok(Self {
            domain: domain.to_string(),
            subject: subject.to_string(),
            issuer: DistinguishedName::from_x509(certificate.issuer())?.to_string(),
            valid_from: date(from),
            valid_until: date(until),
            cautions: caution.into_iter().map(str::to_owned).collect(),
            answer: Answer::from(&explanation.decision),
            listed: listed.collect(),
        })
    }
}

/// RFC 3339.
pub(super) fn date(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

impl From<&AttributeDifference> for Difference {
    fn from(difference: &AttributeDifference) -> Self {
        Self {
            attribute: difference.attribute.clone(),
            certificate: difference.left.clone(),
            white_list: difference.right.clone(),
        }
    }
}
