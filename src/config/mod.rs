//! One TOML file → typed, validated settings.
//!
//! Three rules:
//! 1. Every limit and every path of the server is a key here; every key has a unit, a default and a comment in
//!    `conf/caducee.toml`, which a test compares with these structs.
//! 2. Unknown keys and contradictions are errors. All of them are told at once, with file, line, key, and what was
//!    expected.
//! 3. No file but the configuration itself is opened here: what the paths lead to is the business of `serve`, and of
//!    `caducee check`.
//!
//! Text → [`source`] (a tree that knows its lines) → [`sections`] (serde) → [`validate`] (contradictions) → [`Config`].
//! Relative paths are relative to the configuration file's directory.

mod changes;
pub mod compaction;
pub mod devices;
pub mod directory;
pub mod fronts;
pub mod human;
pub mod indicators;
pub mod lifecycle;
pub mod notices;
pub mod portal;
pub mod psc;
pub mod quotas;
pub mod sections;
pub mod sending;
mod source;
pub mod traces;
mod validate;

pub use changes::{Changes, changes, needs_restart};
pub use source::Problem;

use serde::{Deserialize, Serialize};
use source::Source;
use std::path::{Path, PathBuf};

/// The whole configuration. One field a section of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who we are and how we stop.
    pub server: sections::Server,
    /// Where mail lives.
    pub store: sections::Store,
    /// The key that seals mailboxes.
    pub seal: sections::Seal,
    /// Our certificate, and whom we believe.
    pub tls: sections::Tls,
    /// The white list.
    pub trust: sections::Trust,
    /// The door of other operators.
    pub smtp: sections::Smtp,
    /// The door of mail clients.
    pub imap: sections::Imap,
    /// The door of those who send.
    pub submission: sending::Submission,
    /// The holders' page.
    pub portal: portal::Portal,
    /// How people and software log in.
    pub logins: fronts::Logins,
    /// Further listeners, with ways of logging in of their own.
    pub fronts: Vec<fronts::Front>,
    /// By which names and ports we are reached.
    pub published: fronts::Published,
    /// How long and how often a message is tried.
    pub queue: sending::Queue,
    /// How other operators' servers are found and spoken to.
    pub relay: sending::Relay,
    /// Mail with patients.
    pub citizens: sending::Citizens,
    /// What is kept to follow a message by.
    pub trail: sending::Trail,
    /// Who did what, when: where that is kept, and how long.
    pub traces: traces::Traces,
    /// What bounds a message.
    pub limits: sections::Limits,
    /// Mailboxes and passwords.
    pub accounts: sections::Accounts,
    /// What mailboxes may hold.
    pub quotas: quotas::Quotas,
    /// Pro Santé Connect.
    pub psc: psc::Psc,
    /// Enrolled workstations and phones.
    pub devices: devices::Devices,
    /// Codes that holders show beside their password.
    pub codes: devices::Codes,
    /// The national directory.
    pub directory: directory::Directory,
    /// What holders are told outside of the trust space.
    pub notices: notices::Notices,
    /// The monthly figures.
    pub indicators: indicators::Indicators,
    /// What becomes of mailboxes with time.
    pub lifecycle: lifecycle::Lifecycle,
    /// The terms of use.
    pub terms: lifecycle::Terms,
    /// The administration API.
    pub admin: sections::Admin,
    /// Metrics and health.
    pub metrics: sections::Metrics,
    /// What is told, and how.
    pub log: sections::Log,
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file has these problems, one or more.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

impl Config {
    /// Reads and validates a file; relative paths are made absolute from its directory.
    ///
    /// # Errors
    /// The file is unreadable, or has problems: all of them are told.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let directory = std::path::absolute(path).map_err(unreadable)?;
        let config = Self::parse(path, &text).map_err(ConfigError::Problems)?;
        Ok(config.with_paths_from(directory.parent().unwrap_or(Path::new("/"))))
    }

    /// Reads a file for `caducee check`: its problems, and as much of the configuration as could be read, so that what it
    /// names can be looked at too.
    ///
    /// # Errors
    /// The file is unreadable.
    pub fn examine(path: &Path) -> Result<Examined, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let directory = std::path::absolute(path).map_err(unreadable)?;
        let (config, problems) = Self::read(path, &text);
        let config = config.with_paths_from(directory.parent().unwrap_or(Path::new("/")));
        Ok(Examined { config, problems, file: path.to_owned(), text })
    }

    /// Parses and validates `text`, the content of `file` (named in problems, not opened); paths stay as written.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let (config, problems) = Self::read(file, text);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// What can be read of `text`, and all that is wrong with it.
    fn read(file: &Path, text: &str) -> (Self, Vec<Problem>) {
        let source = match Source::parse(file, text) {
            Ok(source) => source,
            Err(problems) => return (Self::default(), problems),
        };
        let (config, mut problems) = source.read();
        let unread: Vec<String> = problems.iter().map(|p| p.key.clone()).collect();
        // A value that could not be read is told once, not again as a missing one.
        problems.extend(validate::problems(&config, &source).into_iter().filter(|p| !unread.contains(&p.key)));
        problems.sort_by_key(|p| p.line.unwrap_or(usize::MAX));
        (config, problems)
    }

    /// Makes relative paths start from `directory`.
    fn with_paths_from(mut self, directory: &Path) -> Self {
        let anchor = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() {
                *path = directory.join(&path);
            }
        };
        let anchor_text = |text: &mut String| {
            if !text.is_empty() && !text.contains("://") && !text.starts_with("credential:") {
                *text = directory.join(&text).to_string_lossy().into_owned();
            }
        };
        let (tls, trust) = (&mut self.tls, &mut self.trust);
        for path in [&mut self.store.path, &mut self.admin.socket, &mut trust.cache, &mut tls.certificate, &mut tls.key]
        {
            anchor(path);
        }
        anchor(&mut self.traces.path);
        anchor(&mut tls.mailbox.certificate);
        anchor(&mut tls.mailbox.key);
        let psc = &mut self.psc;
        anchor(&mut psc.client_certificate);
        anchor(&mut psc.client_key);
        anchor_text(&mut psc.client_secret);
        let lists = [&mut tls.anchors, &mut tls.mailbox.anchors, &mut trust.anchors, &mut trust.https_anchors];
        psc.anchors.iter_mut().for_each(anchor);
        lists.into_iter().flatten().for_each(anchor);
        tls.crls.iter_mut().chain(&mut tls.mailbox.crls).for_each(anchor_text);
        anchor_text(&mut trust.source);
        anchor_text(&mut self.seal.master_key);
        let directory = &mut self.directory;
        anchor(&mut directory.client_certificate);
        anchor(&mut directory.client_key);
        directory.anchors.iter_mut().for_each(anchor);
        anchor_text(&mut directory.api_key);
        anchor_text(&mut directory.extraction);
        self.notices.anchors.iter_mut().for_each(anchor);
        anchor_text(&mut self.notices.password);
        self
    }
}

/// A configuration file as `caducee check` sees it.
#[derive(Debug)]
pub struct Examined {
    /// What could be read of it, paths absolute; defaults for the rest.
    pub config: Config,
    /// What is wrong with the file itself.
    pub problems: Vec<Problem>,
    file: PathBuf,
    text: String,
}

impl Examined {
    /// A problem of what `key` names, at the key's line.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        match Source::parse(&self.file, &self.text) {
            Ok(source) => source.problem(key, message),
            Err(_) => Problem { file: self.file.clone(), line: None, key: key.to_owned(), message: message.into() },
        }
    }

    /// Whether a problem of `key`, or of its section as a whole, has been told.
    pub fn is_wrong(&self, key: &str) -> bool {
        self.problems.iter().any(|p| p.key == key || key.starts_with(&format!("{}.", p.key)) || p.key.is_empty())
    }
}

/// Whether a source (`trust.source`, `tls.crls`) is fetched from the network rather than read from a file.
pub fn is_address(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}
