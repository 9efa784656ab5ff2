//! `[directory]`: the national directory that mailboxes are published in (MSSanté §5, §9).

use super::human;
use super::sections::{HOUR, MINUTE};
use super::validate::Found;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The certification authorities that Debian's `ca-certificates` keeps.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// `[directory]`: where and how mailboxes are published. Without an address it is off, and nothing waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// The FHIR base that is read, https; empty: off.
    pub url: String,
    /// The FHIR base that is written to; empty: the same.
    pub write_url: String,
    /// The API key: a file, or `credential:NAME` for a systemd credential; empty: the client certificate says who we are.
    pub api_key: String,
    /// PEM file: the certificate that we show there (mutual TLS), leaf first; empty: none.
    pub client_certificate: PathBuf,
    /// PEM file: its private key.
    pub client_key: PathBuf,
    /// PEM files: the authorities of the directory's own certificate.
    pub anchors: Vec<PathBuf>,
    /// From when on a mailbox is published.
    pub publish_from: PublishFrom,
    /// Test mailboxes are published too: for a test platform's directory.
    pub test_mailboxes: bool,
    /// How a patch says which resource it is for.
    pub patch_by: PatchBy,
    /// How a mailbox's kind is written.
    pub type_as: TypeAs,
    /// Most requests a second.
    pub rate: u32,
    /// Longest wait for a connection, TLS included.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// Longest time for one request.
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// Largest answer taken, in bytes.
    #[serde(with = "human::size")]
    pub max_answer: u64,
    /// Wait before the second try of a mailbox; it doubles with each further one.
    #[serde(with = "human::duration")]
    pub first_retry: Duration,
    /// The longest such wait.
    #[serde(with = "human::duration")]
    pub longest_retry: Duration,
    /// After a refusal of our own key or certificate nothing is asked for so long, or until `caducee directory resume`.
    #[serde(with = "human::duration")]
    pub refused_pause: Duration,
    /// An alarm is raised when a mailbox has waited so long.
    #[serde(with = "human::duration")]
    pub late: Duration,
    /// The public extraction that a copy is held of to look people up: a file, or an https address; empty: none.
    pub extraction: String,
    /// Time between two looks whether there is a new one.
    #[serde(with = "human::duration")]
    pub extraction_refresh: Duration,
    /// Longest time for getting it.
    #[serde(with = "human::duration")]
    pub extraction_timeout: Duration,
    /// The largest one taken, as it travels, in bytes.
    #[serde(with = "human::size")]
    pub extraction_max: u64,
}

/// From when on a mailbox is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishFrom {
    /// The terms of use were accepted (MSSanté §5).
    #[default]
    Acceptance,
    /// It was created.
    Creation,
}

/// How a patch says which resource it is for (FHIR R4 §3.1.0.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchBy {
    /// By the professional's or structure's identifier (conditional patch).
    #[default]
    Identifier,
    /// By the resource's own id, which was read before.
    Id,
}

/// How a mailbox's kind is written: the draft shows both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TypeAs {
    /// `valueCodeableConcept`, with the code's system.
    #[default]
    CodeableConcept,
    /// `valueCode`.
    Code,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            url: String::new(),
            write_url: String::new(),
            api_key: String::new(),
            client_certificate: PathBuf::new(),
            client_key: PathBuf::new(),
            anchors: vec![SYSTEM_AUTHORITIES.into()],
            publish_from: PublishFrom::default(),
            test_mailboxes: false,
            patch_by: PatchBy::default(),
            type_as: TypeAs::default(),
            rate: 17,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            max_answer: 8 << 20,
            first_retry: MINUTE,
            longest_retry: 2 * HOUR,
            refused_pause: HOUR,
            late: 24 * HOUR,
            extraction: String::new(),
            extraction_refresh: 24 * HOUR,
            extraction_timeout: 5 * MINUTE,
            extraction_max: 128 << 20,
        }
    }
}

impl Directory {
    /// Whether mailboxes are published.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

/// What is wrong with the section.
pub(super) fn problems(directory: &Directory, found: &mut Found<'_, '_>) {
    let empty = |path: &Path| path.as_os_str().is_empty();
    let pair = empty(&directory.client_certificate) == empty(&directory.client_key);
    found.check(pair, "directory.client_certificate", || {
        "directory.client_certificate and directory.client_key go together; expected both or neither".into()
    });
    bounds(directory, found);
    for (key, url) in [("directory.url", &directory.url), ("directory.write_url", &directory.write_url)] {
        found.check(url.is_empty() || is_base(url), key, || {
            format!("`{url}`; expected an https:// address without a query, as in https://gateway.example/fhir/v2")
        });
    }
    found.check(directory.is_on() || directory.write_url.is_empty(), "directory.url", || {
        "required with directory.write_url: what is written is read first".into()
    });
    let extraction = &directory.extraction;
    found.check(!extraction.starts_with("http://"), "directory.extraction", || {
        format!("`{extraction}`; expected a file or an https:// address")
    });
    if directory.is_on() {
        let is_known = !directory.api_key.is_empty() || !empty(&directory.client_certificate);
        found.check(is_known, "directory.api_key", || {
            "required with directory.url; expected a file or \"credential:NAME\", or directory.client_certificate"
                .into()
        });
        found.check(!directory.anchors.is_empty(), "directory.anchors", || {
            "required with directory.url; expected PEM files of the authorities of its certificate".into()
        });
    }
}

fn bounds(directory: &Directory, found: &mut Found<'_, '_>) {
    const SECOND: Duration = Duration::from_secs(1);
    let times = [
        ("directory.connect_timeout", directory.connect_timeout, SECOND, MINUTE),
        ("directory.timeout", directory.timeout, SECOND, 5 * MINUTE),
        ("directory.first_retry", directory.first_retry, SECOND, HOUR),
        ("directory.longest_retry", directory.longest_retry, directory.first_retry.max(SECOND), 24 * HOUR),
        ("directory.refused_pause", directory.refused_pause, SECOND, 24 * HOUR),
        ("directory.late", directory.late, MINUTE, 48 * HOUR),
        ("directory.extraction_refresh", directory.extraction_refresh, MINUTE, 7 * 24 * HOUR),
        ("directory.extraction_timeout", directory.extraction_timeout, SECOND, HOUR),
    ];
    for (key, value, least, most) in times {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
    found.check((1..=1000).contains(&directory.rate), "directory.rate", || {
        format!("{}; expected 1 to 1000", directory.rate)
    });
    let sizes = [
        ("directory.max_answer", directory.max_answer, 64 << 10, 64 << 20),
        ("directory.extraction_max", directory.extraction_max, 64 << 10, 1 << 30),
    ];
    for (key, value, least, most) in sizes {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_size);
            format!("{value}; expected {least} to {most}")
        });
    }
}

/// Keys do not travel in plain text.
fn is_base(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', ' ']) && rest.is_ascii()
    })
}
