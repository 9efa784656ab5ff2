//! `caducee mailbox certificate`: the client certificates that open a mailbox.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use hyper::Method;

use crate::cli::client::{Client, ClientError, path};
use crate::cli::output::{Output, table};
use crate::serve::http::types::{Certificate, Certificates, NewCertificate};

/// What can be done with a mailbox's certificates.
#[derive(Debug, Subcommand)]
pub(super) enum CertificateVerb {
    /// Lets a client certificate open a mailbox
    Bind(BindArguments),
    /// Lists the certificates that open a mailbox
    List {
        /// The mailbox's address
        address: String,
    },
    /// Takes a certificate away from a mailbox
    Unbind {
        /// The mailbox's address
        address: String,
        /// The binding's number, as list shows it
        id: u64,
    },
}

/// Which certificate.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["file", "fingerprint", "subject", "structure"]))]
pub(super) struct BindArguments {
    /// The mailbox's address
    address: String,
    /// The certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With --file: bind the subject, which outlives a renewal, in place of the one certificate
    #[arg(long, requires = "file")]
    by_subject: bool,
    /// The SHA-256 fingerprint of the certificate
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// The subject, as CN=…,OU=…,O=…,C=FR
    #[arg(long, value_name = "DN")]
    subject: Option<String>,
    /// Every certificate whose OU is the mailbox's own structure id (APP only)
    #[arg(long)]
    structure: bool,
    /// A word to remember it by
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

impl BindArguments {
    fn request(self) -> Result<(String, NewCertificate), ClientError> {
        let pem = self.file.map(|file| {
            std::fs::read_to_string(&file)
                .map_err(|problem| ClientError::Local(format!("cannot read {}: {problem}", file.display())))
        });
        let request = NewCertificate {
            pem: pem.transpose()?,
            by_subject: self.by_subject,
            fingerprint: self.fingerprint,
            subject: self.subject,
            structure: self.structure,
            label: self.label,
        };
        Ok((self.address, request))
    }
}

impl CertificateVerb {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<(), ClientError> {
        match self {
            Self::Bind(arguments) => {
                let (address, request) = arguments.request()?;
                let way = path(&["mailboxes", &address, "certificates"]);
                let bound: Certificate = client.send(Method::POST, &way, &request).await?;
                output.result(&bound, |bound| format!("Bound as number {}: {}", bound.id, what(bound)));
            }
            Self::List { address } => {
                let bound: Certificates = client.get(&path(&["mailboxes", &address, "certificates"])).await?;
                output.result(&bound, |bound| listing(&bound.certificates));
            }
            Self::Unbind { address, id } => {
                let way = path(&["mailboxes", &address, "certificates", &id.to_string()]);
                client.order(Method::DELETE, &way).await?;
                output
                    .result(&serde_json::json!({ "unbound": id }), |_| format!("Number {id} opens {address} no more."));
            }
        }
        Ok(())
    }
}

fn what(certificate: &Certificate) -> String {
    let of = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
    of("fingerprint", &certificate.fingerprint)
        .or_else(|| of("subject", &certificate.subject))
        .or_else(|| of("structure", &certificate.structure_id))
        .unwrap_or_default()
}

fn listing(certificates: &[Certificate]) -> String {
    if certificates.is_empty() {
        return "No certificate opens this mailbox.".into();
    }
    let row = |certificate: &Certificate| {
        [
            certificate.id.to_string(),
            what(certificate),
            certificate.label.clone().unwrap_or_default(),
            certificate.created_at.clone().unwrap_or_default(),
        ]
    };
    table(["number", "opens by", "label", "since"], certificates.iter().map(row))
}
