//! From the configuration to a client and a job.

use std::path::PathBuf;

use rustls::RootCertStore;

use super::client::FhirClient;
use super::job::{DirectoryJob, Settings};
use super::publish::Publisher;
use super::refresh::{CopyJob, CopySettings};
use crate::accounts::https::{self, Bounds, Https};
use crate::config::Config;
use crate::config::directory::Directory;
use crate::jobs::cache::CachedFile;
use crate::jobs::fetch::{FetchError, Fetcher, Source};
use crate::serve::tls::{TlsError, read_certificates, read_key};
use crate::telemetry::Metrics;
use crate::wire::sasl::Secret;

/// Reads the API key from where the configuration says; the error is for the log.
pub type KeyReader = Box<dyn Fn() -> Result<Option<Secret>, String> + Send + Sync>;

/// Why nothing can be published at all.
#[derive(Debug, thiserror::Error)]
pub enum DirectorySetupError {
    /// The API key cannot be had.
    #[error("{0}")]
    Key(String),
    /// Certificates, keys.
    #[error("directory: {0}")]
    Tls(#[from] TlsError),
    /// No certificate of a file can be an authority's.
    #[error("directory.anchors: {0}: no certificate in it can be an authority's")]
    Anchors(PathBuf),
    /// The certificate and its key are of no use.
    #[error("directory.client_certificate: {0}")]
    Identity(#[from] rustls::Error),
    /// Where the extraction comes from is no address.
    #[error("directory.extraction: {0}")]
    Extraction(#[from] FetchError),
}

impl DirectoryJob {
    /// A job for the directory of `[directory]`; `None` where it is off. Reads the key and the files that are named.
    ///
    /// # Errors
    /// [`DirectorySetupError`].
    pub fn open(
        config: &Directory,
        read_key: KeyReader,
        metrics: Metrics,
    ) -> Result<Option<Self>, DirectorySetupError> {
        if !config.is_on() {
            return Ok(None);
        }
        let write = if config.write_url.is_empty() { &config.url } else { &config.write_url };
        let client = FhirClient::new(&config.url, write, https(config)?, config.rate, metrics.clone());
        client.put_key(read_key().map_err(DirectorySetupError::Key)?.as_ref());
        let publisher = Publisher { client, patch_by: config.patch_by, type_as: config.type_as };
        let settings = Settings {
            first_retry: config.first_retry,
            longest_retry: config.longest_retry,
            refused_pause: config.refused_pause,
            late: config.late,
        };
        Ok(Some(Self::new(publisher, settings, read_key, metrics)))
    }
}

impl CopyJob {
    /// A job for the extraction of `[directory]`; `None` where it is off. Reads the authorities that are named.
    ///
    /// # Errors
    /// [`DirectorySetupError`].
    pub fn open(config: &Config, metrics: Metrics) -> Result<Option<Self>, DirectorySetupError> {
        let Directory { extraction, extraction_refresh, extraction_timeout, extraction_max, .. } = &config.directory;
        if extraction.is_empty() {
            return Ok(None);
        }
        let source = Source::parse(extraction)?;
        let authorities = match source {
            Source::File(_) => RootCertStore::empty(),
            Source::Web(_) => anchors(&config.directory.anchors)?,
        };
        let settings = CopySettings {
            source,
            fetcher: Fetcher::new(authorities, *extraction_timeout, *extraction_max)?,
            refresh: *extraction_refresh,
            max_size: *extraction_max,
            cache: CachedFile::new(&config.trust.cache, "extraction.zip"),
        };
        Ok(Some(Self::new(settings, metrics)))
    }
}

/// Reads the authorities of the directory's certificate.
///
/// # Errors
/// A file cannot be read, or has nothing to believe in.
pub fn anchors(paths: &[PathBuf]) -> Result<RootCertStore, DirectorySetupError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        // The system's file holds more than a hundred of all kinds: one that the library cannot take is passed over.
        let (taken, _) = roots.add_parsable_certificates(read_certificates(path)?);
        if taken == 0 {
            return Err(DirectorySetupError::Anchors(path.clone()));
        }
    }
    Ok(roots)
}

fn https(config: &Directory) -> Result<Https, DirectorySetupError> {
    let identity = match config.client_certificate.as_os_str().is_empty() {
        true => None,
        false => Some((read_certificates(&config.client_certificate)?, read_key(&config.client_key)?)),
    };
    let bounds = Bounds {
        connect: config.connect_timeout,
        whole: config.timeout,
        answer: usize::try_from(config.max_answer).unwrap_or(usize::MAX),
    };
    Ok(Https::new(https::tls(anchors(&config.anchors)?, identity)?, bounds))
}
