//! Mail that leaves: the queue's times, routes.

use super::Found;
use crate::config::sending::{Queue, host_and_port};
use crate::config::{Config, human};
use crate::mss::Domain;
use std::time::Duration;

pub(super) fn queue(config: &Config, found: &mut Found<'_, '_>) {
    let queue = &config.queue;
    for (key, message) in Times::of(queue).contradictions() {
        found.check(false, &format!("queue.{key}"), || message);
    }
    let notice = (Duration::from_secs(1)..queue.lifetime).contains(&queue.delay_notice);
    found.check(notice, "queue.delay_notice", || {
        let [notice, lifetime] = [queue.delay_notice, queue.lifetime].map(human::show_duration);
        format!("{notice}; expected 1s or more, and less than queue.lifetime ({lifetime})")
    });
    let turns = Duration::from_secs(3_600)..=Duration::from_secs(30 * 86_400);
    found.check(turns.contains(&queue.turn_key_every), "queue.turn_key_every", || {
        format!("{}; expected 1h to 30d", human::show_duration(queue.turn_key_every))
    });
    let counts = [
        ("queue.at_once", queue.at_once, 1, 100_000),
        ("queue.largest_window", queue.largest_window, 1, 10_000),
        ("queue.first_window", queue.first_window, 1, queue.largest_window.max(1)),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
}

/// The times that some destination's mail is tried by.
struct Times {
    first_retry: Duration,
    longest_retry: Duration,
    lifetime: Duration,
}

impl Times {
    fn of(queue: &Queue) -> Self {
        Self { first_retry: queue.first_retry, longest_retry: queue.longest_retry, lifetime: queue.lifetime }
    }

    /// Which of them contradict each other: the key, and what was expected.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        const SECOND: Duration = Duration::from_secs(1);
        const DAY: Duration = Duration::from_secs(86_400);
        let all = [
            ("first_retry", self.first_retry, SECOND, DAY, ""),
            ("longest_retry", self.longest_retry, self.first_retry.max(SECOND), 7 * DAY, " (first_retry is the least)"),
            // What is given up while it waits for its first try was accepted for nothing.
            (
                "lifetime",
                self.lifetime,
                self.longest_retry.saturating_mul(2),
                30 * DAY,
                " (twice longest_retry is the least)",
            ),
        ];
        let wrong = all.into_iter().filter(|(_, value, least, most, _)| !(*least..=*most).contains(value));
        let told = wrong.map(|(key, value, least, most, why)| {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            (key, format!("{value}; expected {least} to {most}{why}"))
        });
        told.collect()
    }
}

pub(super) fn relay(config: &Config, found: &mut Found<'_, '_>) {
    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    let relay = &config.relay;
    let all = [
        ("relay.dns_timeout", relay.dns_timeout, SECOND, HOUR),
        ("relay.connect_timeout", relay.connect_timeout, SECOND, HOUR),
        ("relay.command_timeout", relay.command_timeout, SECOND, HOUR),
        ("relay.data_timeout", relay.data_timeout, SECOND, HOUR),
        ("relay.block_timeout", relay.block_timeout, SECOND, HOUR),
        // RFC 5321 §4.5.3.2.6: a short one doubles messages.
        ("relay.final_timeout", relay.final_timeout, SECOND, HOUR),
        ("relay.message_timeout", relay.message_timeout, SECOND, HOUR),
        ("relay.keep_session", relay.keep_session, Duration::ZERO, HOUR),
    ];
    for (key, value, least, most) in all {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
    let counts = [
        ("relay.port", u64::from(relay.port), 1, 65_535),
        ("relay.max_messages", u64::from(relay.max_messages), 1, 1_000_000),
        ("relay.max_sessions_per_host", relay.max_sessions_per_host as u64, 1, 10_000),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
    routes(config, found);
}

fn routes(config: &Config, found: &mut Found<'_, '_>) {
    const KEY: &str = "relay.routes";
    let mut seen = std::collections::HashSet::new();
    for route in &config.relay.routes {
        found.check(!route.domains.is_empty(), KEY, || "a route without domains; expected names, or \"*\"".into());
        for domain in &route.domains {
            let is_domain = domain == "*" || Domain::parse(domain).is_ok();
            found.check(is_domain, KEY, || format!("`{domain}`; expected a domain, or \"*\" for all others"));
            let is_first = seen.insert(domain.to_ascii_lowercase());
            found.check(is_first, KEY, || format!("`{domain}` in two routes; expected it in one"));
        }
        let Times { first_retry, longest_retry, lifetime } = Times::of(&config.queue);
        let times = Times {
            first_retry: route.first_retry.unwrap_or(first_retry),
            longest_retry: route.longest_retry.unwrap_or(longest_retry),
            lifetime: route.lifetime.unwrap_or(lifetime),
        };
        // The queue's own are told of at its keys.
        let has_times = route.first_retry.or(route.longest_retry).or(route.lifetime).is_some();
        for (key, message) in times.contradictions().into_iter().filter(|_| has_times) {
            let names = route.domains.join(", ");
            found.check(false, KEY, || format!("{key} of {names}: {message}"));
        }
        for host in &route.hosts {
            let is_host = host_and_port(host, config.relay.port).is_some();
            found.check(is_host, KEY, || format!("`{host}`; expected a host name or address, with `:port` or without"));
        }
    }
}
