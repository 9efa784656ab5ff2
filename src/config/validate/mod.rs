//! Contradictions and missing keys: what serde cannot see because it takes two keys, or a meaning, to see it.

mod logins;
mod sending;

use super::fronts::Front;
use super::source::{Problem, Source};
use super::{Config, devices, directory, human, indicators, is_address, lifecycle, notices, quotas, traces};
use crate::mss::{Address, Domain};
use crate::telemetry::logging::check_level;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Largest message that `limits.message` may allow, in bytes: memory and log segments are dimensioned for it.
const LARGEST_MESSAGE: u64 = 64 << 20;

/// Longest path of a Unix socket on Linux (`sun_path`, less its final NUL).
const LONGEST_SOCKET_PATH: usize = 107;

/// Everything that is wrong with `config`, placed by `source`.
pub(super) fn problems(config: &Config, source: &Source<'_>) -> Vec<Problem> {
    let mut found = Found { source, problems: Vec::new() };
    required(config, &mut found);
    tls(config, &mut found);
    trust(config, &mut found);
    citizens(config, &mut found);
    doors(config, &mut found);
    logins::portal(config, &mut found);
    logins::fronts(config, &mut found);
    shares(config, &mut found);
    limits(config, &mut found);
    durations(config, &mut found);
    sending::queue(config, &mut found);
    sending::relay(config, &mut found);
    logins::psc(config, &mut found);
    devices::problems(&config.devices, &config.codes, &mut found);
    directory::problems(&config.directory, &mut found);
    notices::problems(&config.notices, &mut found);
    indicators::problems(&config.indicators, &mut found);
    traces::problems(&config.traces, &config.store.path, &mut found);
    lifecycle::problems(&config.lifecycle, &config.terms, &mut found);
    quotas::problems(&config.quotas, &config.limits, &mut found);
    found.problems
}

/// Collects problems.
pub(super) struct Found<'s, 't> {
    source: &'s Source<'t>,
    problems: Vec<Problem>,
}

impl Found<'_, '_> {
    /// Notes a problem of `key` unless `fine`.
    pub(super) fn check(&mut self, fine: bool, key: &str, message: impl FnOnce() -> String) {
        if !fine {
            self.problems.push(self.source.problem(key, message()));
        }
    }
}

fn required(config: &Config, found: &mut Found<'_, '_>) {
    let empty = |path: &Path| path.as_os_str().is_empty();
    let missing = [
        (config.server.name.is_empty(), "server.name", "our host name, as in \"mx.example.mssante.fr\""),
        (empty(&config.tls.certificate), "tls.certificate", "a PEM file with our certificate and its intermediates"),
        (empty(&config.tls.key), "tls.key", "a PEM file with the certificate's private key"),
        (config.tls.anchors.is_empty(), "tls.anchors", "PEM files of the authorities that peers must chain to"),
        (
            config.tls.crls.is_empty(),
            "tls.crls",
            "files or addresses of these authorities' CRLs (a peer whose revocation status is unknown is refused)",
        ),
        (config.trust.source.is_empty(), "trust.source", "the https address or file of the white list"),
        (config.trust.anchors.is_empty(), "trust.anchors", "PEM files of the authorities of the list's signer"),
        (config.trust.signer_cn.is_empty(), "trust.signer_cn", "the common name of the list's signer"),
        (config.seal.master_key.is_empty(), "seal.master_key", "a file, or \"credential:NAME\""),
        (empty(&config.store.path), "store.path", "a directory"),
        (empty(&config.trust.cache), "trust.cache", "a directory"),
        (empty(&config.admin.socket), "admin.socket", "the path of a Unix socket"),
    ];
    for (is_missing, key, expected) in missing {
        found.check(!is_missing, key, || format!("required; expected {expected}"));
    }
    let name = &config.server.name;
    found.check(name.is_empty() || is_host_name(name), "server.name", || {
        format!("`{name}` is not a host name; expected letters, digits and `-` between dots")
    });
    if let Err(error) = check_level(&config.log.level) {
        found.check(false, "log.level", || error.to_string());
    }
    let socket = config.admin.socket.as_os_str().len();
    found.check(socket <= LONGEST_SOCKET_PATH, "admin.socket", || {
        format!("{socket} bytes long; expected at most {LONGEST_SOCKET_PATH} (a limit of Unix sockets)")
    });
}

fn tls(config: &Config, found: &mut Found<'_, '_>) {
    let tls = &config.tls;
    found.check(tls.crl_grace >= tls.crl_refresh, "tls.crl_grace", || {
        format!(
            "{} is shorter than tls.crl_refresh ({}); expected at least that, or peers are refused between two readings",
            human::show_duration(tls.crl_grace),
            human::show_duration(tls.crl_refresh)
        )
    });
    let mailbox = &tls.mailbox;
    let (certificate, key) = (mailbox.certificate.as_os_str().is_empty(), mailbox.key.as_os_str().is_empty());
    found.check(!key || certificate, "tls.mailbox.certificate", || {
        "given without tls.mailbox.key; expected both or neither".into()
    });
    found.check(!certificate || key, "tls.mailbox.key", || {
        "given without tls.mailbox.certificate; expected both or neither".into()
    });
    found.check(mailbox.anchors.is_empty() == mailbox.crls.is_empty(), "tls.mailbox.anchors", || {
        "tls.mailbox.anchors and tls.mailbox.crls go together; expected both or neither".into()
    });
}

fn trust(config: &Config, found: &mut Found<'_, '_>) {
    let trust = &config.trust;
    found.check(!trust.source.starts_with("http://"), "trust.source", || {
        "a plain http:// address; expected https:// or a file".into()
    });
    let unknown = |source: &String| source.contains("://") && !is_address(source);
    for (key, sources) in [("tls.crls", &config.tls.crls), ("tls.mailbox.crls", &config.tls.mailbox.crls)] {
        for source in sources.iter().filter(|s| unknown(s)) {
            found.check(false, key, || format!("`{source}`; expected a file, http:// or https://"));
        }
    }
    found.check(!unknown(&trust.source), "trust.source", || format!("`{}`; expected https:// or a file", trust.source));
    found.check((1..=100).contains(&trust.max_shrink), "trust.max_shrink", || {
        format!("{} percent; expected 1 to 100", trust.max_shrink)
    });
    found.check(trust.max_age >= trust.refresh, "trust.max_age", || {
        format!(
            "{} is shorter than trust.refresh ({}); expected at least that, or the alarm never ends",
            human::show_duration(trust.max_age),
            human::show_duration(trust.refresh)
        )
    });
    for pattern in &trust.test_addresses.local_parts {
        let inner = pattern.strip_prefix('*').unwrap_or(pattern);
        let inner = inner.strip_suffix('*').unwrap_or(inner);
        found.check(!inner.is_empty() && !inner.contains(['*', '@']), "trust.test_addresses.local_parts", || {
            format!("`{pattern}`; expected a local part, with `*` at most at its start and end, and not `*` alone")
        });
    }
}

/// MSSanté §8. That none of them is an own domain is asked where domains are added, and at the start, with the store; the
/// postmaster's is one in any case.
fn citizens(config: &Config, found: &mut Found<'_, '_>) {
    for text in &config.citizens.domains {
        let problem = Domain::parse(text).err();
        found.check(problem.is_none(), "citizens.domains", || {
            let problem = problem.map(|problem| problem.to_string()).unwrap_or_default();
            format!("`{text}`: {problem}; expected a domain, as patient.mssante.fr")
        });
    }
    let postmaster = Address::parse(&config.smtp.postmaster).ok();
    let is_citizen = postmaster.is_some_and(|address| config.citizens.bound_for(&address).is_some());
    found.check(!is_citizen, "smtp.postmaster", || {
        format!("`{}` is in a domain of citizens.domains; expected one of yours", config.smtp.postmaster)
    });
}

fn doors(config: &Config, found: &mut Found<'_, '_>) {
    let doors = [
        ("smtp.listen", &config.smtp.listen),
        ("imap.listen", &config.imap.listen),
        ("imap.listen_tls", &config.imap.listen_tls),
        ("submission.listen", &config.submission.listen),
        ("submission.listen_tls", &config.submission.listen_tls),
        ("portal.listen", &config.portal.listen),
        ("published.autoconfig_listen", &config.published.autoconfig_listen),
        ("metrics.listen", &config.metrics.listen),
    ];
    let further = config.fronts.iter().flat_map(Front::addresses).flat_map(|(_, list)| list).map(|a| ("fronts", *a));
    let of_doors = doors.iter().flat_map(|(key, list)| list.iter().map(|a| (*key, *a)));
    let all: Vec<(&str, SocketAddr)> = of_doors.chain(further).collect();
    for (n, (key, address)) in all.iter().enumerate() {
        for (other_key, other) in &all[..n] {
            found.check(!overlap(*address, *other), key, || {
                format!("{address} is also taken by {other_key} ({other}); expected one door on an address and port")
            });
        }
    }
    for address in config.metrics.listen.iter().filter(|a| !a.ip().is_loopback()) {
        found.check(false, "metrics.listen", || format!("{address} is not loopback; expected 127.0.0.1 or [::1]"));
    }
    let some_door = doors[..5].iter().any(|(_, list)| !list.is_empty());
    found.check(some_door, "smtp.listen", || {
        "no door is open; expected an address in smtp.listen, or in listen or listen_tls of imap or submission".into()
    });

    let postmaster = &config.smtp.postmaster;
    let is_mailbox = postmaster.is_empty() || Address::parse(postmaster).is_ok();
    found.check(is_mailbox, "smtp.postmaster", || {
        format!("`{postmaster}` is no mail address; expected one of yours, or \"\"")
    });
}

/// What one origin may have of a door's connections.
fn shares(config: &Config, found: &mut Found<'_, '_>) {
    let (smtp, imap, submission) = (&config.smtp, &config.imap, &config.submission);
    let counts = [
        (
            "smtp.max_connections_per_address",
            smtp.max_connections_per_address,
            "smtp.max_connections",
            smtp.max_connections,
        ),
        ("smtp.max_connections_per_peer", smtp.max_connections_per_peer, "smtp.max_connections", smtp.max_connections),
        (
            "imap.max_connections_per_address",
            imap.max_connections_per_address,
            "imap.max_connections",
            imap.max_connections,
        ),
        (
            "imap.max_connections_per_account",
            imap.max_connections_per_account,
            "imap.max_connections",
            imap.max_connections,
        ),
        (
            "submission.max_connections_per_address",
            submission.max_connections_per_address,
            "submission.max_connections",
            submission.max_connections,
        ),
        (
            "submission.max_connections_per_account",
            submission.max_connections_per_account,
            "submission.max_connections",
            submission.max_connections,
        ),
    ];
    for (key, part, whole_key, whole) in counts {
        found.check((1..=whole).contains(&part), key, || format!("{part}; expected 1 to {whole} ({whole_key})"));
    }
}

fn limits(config: &Config, found: &mut Found<'_, '_>) {
    let (limits, store, accounts) = (&config.limits, &config.store, &config.accounts);
    let sizes = [
        ("limits.message", limits.message, 64 << 10, LARGEST_MESSAGE),
        // RFC 5321 §4.5.3.1.4: 512 octets at least, more with extensions' parameters.
        ("limits.command_line", limits.command_line, 1024, 64 << 10),
        // RFC 5321 §4.5.3.1.6: 1000 octets at least.
        ("limits.text_line", limits.text_line, 1000, 1 << 20),
        ("limits.header", limits.header, 4 << 10, limits.message.min(4 << 20)),
        ("imap.max_line", config.imap.max_line, 8 << 10, 1 << 20),
        ("imap.max_literals", config.imap.max_literals, 8 << 10, 16 << 20),
        ("store.cache", store.cache, 1 << 20, 1 << 40),
        ("store.segment", store.segment, 1 << 20, 1 << 30),
        ("store.checkpoint_bytes", store.checkpoint_bytes, 1 << 20, 16 << 30),
        ("store.compaction.rate", store.compaction.rate, 1 << 20, 16 << 30),
        ("accounts.quota", accounts.quota, limits.message, 1 << 50),
        ("accounts.password_memory", accounts.password_memory, 8 << 20, 1 << 30),
        ("trust.max_size", config.trust.max_size, 1 << 20, 1 << 30),
        ("citizens.max_message", config.citizens.max_message, 64 << 10, LARGEST_MESSAGE),
    ];
    for (key, value, least, most) in sizes {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_size);
            format!("{value}; expected {least} to {most}")
        });
    }
    let counts = [
        // RFC 5321 §4.5.3.1.8: 100 recipients at least.
        ("limits.recipients", u64::from(limits.recipients), 100, 10_000),
        ("limits.mime_depth", u64::from(limits.mime_depth), 4, 200),
        ("limits.mime_parts", u64::from(limits.mime_parts), 10, 100_000),
        ("smtp.max_errors", u64::from(config.smtp.max_errors), 1, 10_000),
        ("smtp.max_transactions", u64::from(config.smtp.max_transactions), 1, 1_000_000),
        // RFC 5321 §6.3: a large threshold, normally at least 100; a closed space of direct hops needs less.
        ("smtp.max_received", u64::from(config.smtp.max_received), 10, 1000),
        ("imap.max_errors", u64::from(config.imap.max_errors), 1, 10_000),
        ("imap.max_login_failures", u64::from(config.imap.max_login_failures), 1, 100),
        ("submission.max_errors", u64::from(config.submission.max_errors), 1, 10_000),
        ("submission.max_login_failures", u64::from(config.submission.max_login_failures), 1, 100),
        ("submission.max_transactions", u64::from(config.submission.max_transactions), 1, 1_000_000),
        ("submission.max_connections", config.submission.max_connections as u64, 1, 1_000_000),
        // Below a tenth the log would be written over and over for what it gives.
        ("store.compaction.dead_percent", u64::from(store.compaction.dead_percent), 10, 95),
        ("accounts.max_folders", u64::from(accounts.max_folders), 20, 100_000),
        ("accounts.password_passes", u64::from(accounts.password_passes), 1, 1000),
        ("accounts.password_lanes", u64::from(accounts.password_lanes), 1, 64),
        ("accounts.password_tries", u64::from(accounts.password_tries), 1, 1000),
        ("accounts.password_free_tries", u64::from(accounts.password_free_tries), 0, 1000),
        ("accounts.password_checks", accounts.password_checks as u64, 1, 1000),
        ("smtp.max_connections", config.smtp.max_connections as u64, 1, 1_000_000),
        ("imap.max_connections", config.imap.max_connections as u64, 1, 1_000_000),
        ("server.workers", config.server.workers as u64, 0, 1024),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
}

fn durations(config: &Config, found: &mut Found<'_, '_>) {
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    let (smtp, imap, submission) = (&config.smtp, &config.imap, &config.submission);
    let all = [
        ("server.drain", config.server.drain, Duration::ZERO, DAY / 24),
        ("store.checkpoint", config.store.checkpoint, SECOND, DAY),
        ("store.compaction.every", config.store.compaction.every, SECOND, DAY),
        ("store.compaction.settle", config.store.compaction.settle, Duration::ZERO, 30 * DAY),
        ("tls.crl_refresh", config.tls.crl_refresh, SECOND, 7 * DAY),
        ("tls.crl_grace", config.tls.crl_grace, Duration::ZERO, 30 * DAY),
        ("tls.handshake_timeout", config.tls.handshake_timeout, SECOND, DAY / 24),
        ("trust.refresh", config.trust.refresh, SECOND, 7 * DAY),
        ("trust.max_age", config.trust.max_age, SECOND, 365 * DAY),
        ("trust.fetch_timeout", config.trust.fetch_timeout, SECOND, DAY / 24),
        ("smtp.command_timeout", smtp.command_timeout, SECOND, DAY),
        ("smtp.data_timeout", smtp.data_timeout, SECOND, DAY),
        ("smtp.message_timeout", smtp.message_timeout, smtp.data_timeout.max(SECOND), DAY),
        ("smtp.plaintext_timeout", smtp.plaintext_timeout, SECOND, DAY),
        ("smtp.session_timeout", smtp.session_timeout, smtp.command_timeout.max(SECOND), 7 * DAY),
        ("submission.login_timeout", submission.login_timeout, SECOND, DAY),
        ("submission.command_timeout", submission.command_timeout, SECOND, DAY),
        ("submission.data_timeout", submission.data_timeout, SECOND, DAY),
        ("submission.message_timeout", submission.message_timeout, submission.data_timeout.max(SECOND), DAY),
        ("submission.session_timeout", submission.session_timeout, submission.command_timeout.max(SECOND), 7 * DAY),
        // RFC 4865 §4: nine digits of seconds are more than that.
        ("submission.max_future_release", submission.max_future_release, Duration::ZERO, 365 * DAY),
        (
            "accounts.password_first_delay",
            config.accounts.password_first_delay,
            Duration::from_millis(1),
            config.accounts.password_longest_delay,
        ),
        ("accounts.password_longest_delay", config.accounts.password_longest_delay, SECOND, DAY / 24),
        ("imap.login_timeout", imap.login_timeout, SECOND, DAY),
        ("imap.idle_timeout", imap.idle_timeout, SECOND, 7 * DAY),
        ("imap.max_idle", imap.max_idle, SECOND, 7 * DAY),
        ("imap.session_timeout", imap.session_timeout, imap.idle_timeout.max(SECOND), 30 * DAY),
        ("imap.stall_timeout", imap.stall_timeout, SECOND, DAY),
        // Others' reports find a message as long as it is on its way.
        ("trail.keep", config.trail.keep, config.queue.lifetime.max(DAY), 36_500 * DAY),
    ];
    for (key, value, least, most) in all {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
}

/// Whether two doors would ask for the same port of the same address. Port 0 is any free port: never the same.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_family && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

/// Whether `name` is a host name (RFC 1123 §2.1).
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
