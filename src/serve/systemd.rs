//! The service manager: sockets passed at start, and what we tell it (sd_notify(3), systemd.socket(5)).
//!
//! Without a manager (no `NOTIFY_SOCKET`, no `LISTEN_FDS`) everything here does nothing.

use crate::config::Config;
use crate::telemetry::Door;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Why a passed socket cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// It is not a listening TCP socket.
    #[error("passed socket {number} ({name}): not a listening TCP socket: {source}")]
    NotTcp {
        /// Its place, from 0.
        number: usize,
        /// Its name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is for none of our doors.
    #[error(
        "passed socket {number} ({name}) on {address}: for no door; expected FileDescriptorName=smtp, imap, imaps, \
         submission, submissions or portal, or a port of a door's listen or listen_tls"
    )]
    NoDoor {
        /// Its place, from 0.
        number: usize,
        /// Its name.
        name: String,
        /// What it listens on.
        address: SocketAddr,
    },
}

/// Takes the sockets that systemd passed. Each belongs to the door that its name says (`FileDescriptorName=`), or, as
/// all sockets of one unit share a name, to the door that its port is configured for.
///
/// # Errors
/// A socket is not TCP, or belongs to no door: a mistake of the units that must not go unseen.
pub fn passed_sockets(config: &Config) -> Result<Vec<(Door, TcpListener)>, PassedSocketError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut passed = ListenFd::from_env();
    let mut found = Vec::new();
    for number in 0..passed.len() {
        let name = names.get(number).copied().unwrap_or_default().to_owned();
        let not_tcp = |source| PassedSocketError::NotTcp { number, name: name.clone(), source };
        let Some(listener) = passed.take_tcp_listener(number).map_err(not_tcp)? else { continue };
        let address = listener.local_addr().map_err(not_tcp)?;
        let door = door_of(&name, address.port(), config);
        found.push((door.ok_or(PassedSocketError::NoDoor { number, name, address })?, listener));
    }
    Ok(found)
}

fn door_of(name: &str, port: u16, config: &Config) -> Option<Door> {
    let by_port = |list: &[SocketAddr]| list.iter().any(|address| address.port() == port);
    match name {
        "smtp" => Some(Door::Smtp),
        "imap" => Some(Door::Imap),
        "imaps" => Some(Door::Imaps),
        "submission" => Some(Door::Submission),
        "submissions" => Some(Door::Submissions),
        "portal" => Some(Door::Portal),
        _ if by_port(&config.smtp.listen) => Some(Door::Smtp),
        _ if by_port(&config.imap.listen) => Some(Door::Imap),
        _ if by_port(&config.imap.listen_tls) => Some(Door::Imaps),
        _ if by_port(&config.submission.listen) => Some(Door::Submission),
        _ if by_port(&config.submission.listen_tls) => Some(Door::Submissions),
        _ if by_port(&config.portal.listen) => Some(Door::Portal),
        _ => None,
    }
}

/// Tells the manager that all doors are open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells the manager that a reload has begun; [`ready`] ends it. (`Type=notify-reload` asks for the time.)
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// Tells the manager that the server stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Feeds the watchdog.
pub fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the manager wants the watchdog fed, if at all.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
