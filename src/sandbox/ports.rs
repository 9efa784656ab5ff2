//! Which ports the two operators listen on.

use super::SandboxError;
use std::net::{Ipv4Addr, TcpListener};

/// The default of `--base-port`: below the range that Linux hands out to outgoing connections (32768 and up), and such that the
/// well-known port stays readable: 10025 is SMTP, 10143 IMAP, 10993 IMAP over TLS, 10587 and 10465 submission, 10443 HTTPS; the
/// second operator has 11025 …
pub const DEFAULT_BASE: u16 = 10_000;
/// From the first operator's ports to the second's.
const STRIDE: u16 = 1000;
/// What each operator listens on: SMTP, IMAP, IMAP over TLS, metrics, submission, submission over TLS, HTTPS; IMAP and
/// submission of the front of applications; HTTP.
const SERVED: [u16; 10] = [25, 143, 993, 912, 587, 465, 443, 144, 588, 80];
/// What the sandbox itself listens on, once: the Pro Santé Connect look-alike, the relay of ordinary mail, the look-alike of
/// the national directory.
const COMMON: [u16; 3] = [844, 825, 845];
/// Where free ports are looked for: not where the system takes the ports of outgoing connections from.
const FREE_FROM: u16 = 15_000;
const FREE_UNTIL: u16 = 32_000;

/// The ports of one operator on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// Other operators' door.
    pub smtp: u16,
    /// IMAP with STARTTLS.
    pub imap: u16,
    /// IMAP over TLS.
    pub imaps: u16,
    /// Metrics and health.
    pub metrics: u16,
    /// Submission with STARTTLS.
    pub submission: u16,
    /// Submission over TLS.
    pub submissions: u16,
    /// Portal and autoconfiguration.
    pub https: u16,
    /// IMAP with STARTTLS, for applications: a certificate is required.
    pub authcli_imap: u16,
    /// Submission with STARTTLS, likewise.
    pub authcli_submission: u16,
    /// Autoconfiguration over plain HTTP.
    pub http: u16,
}

/// All ports of a sandbox.
#[derive(Debug, Clone)]
pub(super) struct AllPorts {
    /// By operator.
    pub operators: Vec<Ports>,
    /// The Pro Santé Connect look-alike.
    pub psc: u16,
    /// The relay of ordinary mail.
    pub courriel: u16,
    /// The look-alike of the national directory.
    pub directory: u16,
}

impl Ports {
    fn of(ports: [u16; SERVED.len()]) -> Ports {
        let [smtp, imap, imaps, metrics, submission, submissions, https, authcli_imap, authcli_submission, http] =
            ports;
        Ports { smtp, imap, imaps, metrics, submission, submissions, https, authcli_imap, authcli_submission, http }
    }
}

/// The ports of operator `index` from a base port, or free ones for base 0.
///
/// # Errors
/// A port that is taken, by its number; or a base so high that there are no such ports.
pub(super) fn choose(base: u16, operators: u16) -> Result<AllPorts, SandboxError> {
    if base == 0 {
        return free(operators);
    }
    let top = operators.saturating_sub(1).saturating_mul(STRIDE).saturating_add(993);
    if base.checked_add(top).is_none() {
        return Err(SandboxError::BasePort { base, max: u16::MAX - top });
    }
    let is_free = |port| {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        bound.map(drop).map_err(|error| SandboxError::Port { port, error })
    };
    let of_operator = |index| {
        let ports = SERVED.map(|port| base + index * STRIDE + port);
        ports.into_iter().try_for_each(is_free).map(|()| Ports::of(ports))
    };
    let operators = (0..operators).map(of_operator).collect::<Result<_, _>>()?;
    let [psc, courriel, directory] = COMMON.map(|port| base + port);
    [psc, courriel, directory].into_iter().try_for_each(is_free)?;
    Ok(AllPorts { operators, psc, courriel, directory })
}

/// Ports that are free at this moment, from a random place on, so that sandboxes that start together do not meet.
fn free(operators: u16) -> Result<AllPorts, SandboxError> {
    let mut seed = [0u8; 2];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| SandboxError::Random)?;
    let span = FREE_UNTIL - FREE_FROM;
    let start = u16::from_be_bytes(seed) % span;
    let candidates = (0..span).map(|n| FREE_FROM + (start + n) % span);
    let wanted = usize::from(operators) * SERVED.len() + COMMON.len();
    let found: Vec<u16> =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).take(wanted).collect();
    let (sets, rest) = found.as_chunks::<{ SERVED.len() }>();
    let ports: Vec<Ports> = sets.iter().map(|set| Ports::of(*set)).collect();
    match rest {
        [psc, courriel, directory] if ports.len() == usize::from(operators) => {
            Ok(AllPorts { operators: ports, psc: *psc, courriel: *courriel, directory: *directory })
        }
        _ => Err(SandboxError::NoFreePorts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_port_leaves_room_for_both_operators() {
        assert!(matches!(choose(65_000, 2), Err(SandboxError::BasePort { max: 63_542, .. })));
    }

    #[test]
    fn free_ports_are_all_different() {
        let ports = choose(0, 2).unwrap();
        let of_operator = |p: &Ports| {
            [
                p.smtp,
                p.imap,
                p.imaps,
                p.metrics,
                p.submission,
                p.submissions,
                p.https,
                p.authcli_imap,
                p.authcli_submission,
                p.http,
            ]
        };
        let common = [ports.psc, ports.courriel, ports.directory];
        let mut all: Vec<u16> = ports.operators.iter().flat_map(of_operator).chain(common).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 23);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = choose(port - 25, 1);
        assert!(matches!(refused, Err(SandboxError::Port { port: p, .. }) if p == port), "{refused:?}");
    }
}
