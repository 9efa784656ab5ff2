//! What a leaf certificate says: the shapes of IGC-Santé's organisation certificates, and each way of being wrong.

use crate::sandbox::SandboxError;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, SerialNumber};
use std::time::{Duration, SystemTime};

/// A certificate's subject, in IGC-Santé's order: `C`, `ST`, `O`, `OU` (the structure's identifier), `CN`.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The host name of an operator, or an application's label.
    pub cn: &'static str,
    /// `1` + FINESS or `3` + SIRET.
    pub structure: &'static str,
    /// The structure's name.
    pub organisation: &'static str,
    /// `Département (NN)`.
    pub department: &'static str,
}

impl Subject {
    /// As the white list spells it: most specific attribute first.
    pub fn listed(&self) -> String {
        let Self { cn, structure, organisation, department } = self;
        format!("CN={cn},OU={structure},O={organisation},ST={department},C=FR")
    }
}

/// What the certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// serverAuth and clientAuth: an operator's.
    Operator,
    /// clientAuth: an application's ("ORG AUTH_CLI").
    Client,
    /// serverAuth alone: no use as a client.
    Server,
    /// No extended-key-usage extension at all, which a careless verifier takes for "anything".
    Unsaid,
    /// emailProtection, digital signature: the white list's signer.
    Signer,
}

/// When the certificate is valid, and whose signature it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// From yesterday, for three years, like IGC-Santé's.
    Now,
    /// Ended yesterday.
    Expired,
    /// Starts in a year.
    NotYet,
    /// Valid now and issued by somebody whom nobody here trusts.
    Foreign,
    /// Valid now and signed by its own key.
    SelfSigned,
}

/// One certificate to be made.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The file's name without extension.
    pub name: &'static str,
    subject: Subject,
    hosts: Vec<&'static str>,
    usage: Usage,
    pub(super) validity: Validity,
    pub(super) revoked: bool,
    pub(super) p12: bool,
    shared_key: Option<&'static str>,
}

impl Leaf {
    /// A good certificate.
    pub fn new(name: &'static str, subject: Subject, usage: Usage) -> Self {
        let validity = Validity::Now;
        Self { name, subject, hosts: Vec::new(), usage, validity, revoked: false, p12: false, shared_key: None }
    }

    /// Host names beside the subject's `CN`; loopback is always among the names of a certificate with serverAuth.
    pub fn hosts(mut self, hosts: &[&'static str]) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Writes a PKCS#12 file too.
    pub fn with_p12(mut self) -> Self {
        self.p12 = true;
        self
    }

    /// Uses the key called `name` in place of one of its own: making RSA keys is what a first start waits for.
    pub fn sharing_key(mut self, name: &'static str) -> Self {
        self.shared_key = Some(name);
        self
    }

    /// Revoked by its issuer yesterday.
    pub fn revoked(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// No longer valid since yesterday.
    pub fn expired(mut self) -> Self {
        self.validity = Validity::Expired;
        self
    }

    /// Not valid for another year.
    pub fn not_yet_valid(mut self) -> Self {
        self.validity = Validity::NotYet;
        self
    }

    /// Issued by an authority that is no anchor here.
    pub fn foreign(mut self) -> Self {
        self.validity = Validity::Foreign;
        self
    }

    /// Issued by nobody.
    pub fn self_signed(mut self) -> Self {
        self.validity = Validity::SelfSigned;
        self
    }

    /// The certificate's subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) fn key_name(&self) -> &'static str {
        self.shared_key.unwrap_or(self.name)
    }

    pub(super) fn params(&self, now: SystemTime) -> Result<CertificateParams, SandboxError> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial()?);
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::CountryName, "FR");
        name.push(DnType::StateOrProvinceName, self.subject.department);
        name.push(DnType::OrganizationName, self.subject.organisation);
        name.push(DnType::OrganizationalUnitName, self.subject.structure);
        name.push(DnType::CommonName, self.subject.cn);
        params.subject_alt_names = self.alternative_names()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = match self.usage {
            Usage::Signer => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment],
            _ => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment],
        };
        params.extended_key_usages = match self.usage {
            Usage::Operator => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Signer => vec![ExtendedKeyUsagePurpose::EmailProtection],
            Usage::Unsaid => Vec::new(),
        };
        let (from, until) = match self.validity {
            Validity::Expired => (now - days(730), now - days(1)),
            Validity::NotYet => (now + days(365), now + days(3 * 365)),
            Validity::Now | Validity::Foreign | Validity::SelfSigned => (now - days(1), now + days(3 * 365)),
        };
        params.not_before = from.into();
        params.not_after = until.into();
        Ok(params)
    }

    fn alternative_names(&self) -> Result<Vec<SanType>, SandboxError> {
        if matches!(self.usage, Usage::Client | Usage::Signer) {
            return Ok(Vec::new());
        }
        let mut names = vec![self.subject.cn];
        names.extend(&self.hosts);
        names.extend(["localhost", "127.0.0.1", "::1"]);
        let with_names = CertificateParams::new(names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        Ok(with_names.map_err(SandboxError::pki(self.name))?.subject_alt_names)
    }
}

/// `n` days.
pub(super) fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Random, because a certificate manager that has seen another sandbox refuses an issuer that repeats its numbers.
fn serial() -> Result<SerialNumber, SandboxError> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SandboxError::Random)?;
    // RFC 5280 §4.1.2.2: positive, and not zero.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from(bytes.to_vec()))
}
