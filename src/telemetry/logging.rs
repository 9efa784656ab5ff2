//! Sets up `tracing`: readable lines on a terminal, JSON lines otherwise, on standard error.
//!
//! Every connection runs inside a span that carries its id (`serve::listen`), so that the id stands on every line. The level comes
//! from the configuration (`log.level`), and from `CADUCEE_LOG` where that is set; it can be changed by a reload.

use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Environment variable that takes the place of `log.level`.
pub const LEVEL_VARIABLE: &str = "CADUCEE_LOG";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Readable on a terminal, JSON lines otherwise.
    #[default]
    Auto,
    /// For eyes.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none that we know.
    #[error(
        "log.level `{level}`: {source}; expected error, warn, info, debug, trace, or a list such as `info,caducee::serve=debug`"
    )]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A subscriber is installed already.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Changes the level of the running process.
#[derive(Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Takes a new `log.level`, unless `CADUCEE_LOG` is set.
    ///
    /// # Errors
    /// The level is none that we know; the old one stays.
    pub fn set(&self, level: &str) -> Result<(), LoggingError> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|_| LoggingError::AlreadySet)
    }
}

/// Installs the process's subscriber.
///
/// # Errors
/// The level is none that we know, or a subscriber is installed already.
pub fn install(format: Format, level: &str) -> Result<LevelHandle, LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let pretty = match format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => std::io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<_> + Send + Sync> = if pretty {
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| LoggingError::AlreadySet)?;
    Ok(LevelHandle(handle))
}

/// Whether `level` can be understood.
///
/// # Errors
/// Says what was expected.
pub fn check_level(level: &str) -> Result<(), LoggingError> {
    parse(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let from_environment = std::env::var(LEVEL_VARIABLE).ok().filter(|level| !level.is_empty());
    parse(from_environment.as_deref().unwrap_or(level))
}

fn parse(level: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder().parse(level).map_err(|source| LoggingError::Level { level: level.to_owned(), source })
}
