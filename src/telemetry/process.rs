//! The process's own figures, read from `/proc/self` at each scrape, under Prometheus's customary names.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Ticks of `/proc/self/stat` in a second: `USER_HZ`, 100 on every Linux that matters (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessFigures {
    /// Resident memory, in bytes.
    resident: i64,
    /// Open file descriptors.
    descriptors: i64,
    /// Threads.
    threads: i64,
    /// Processor time, user and system, in seconds.
    cpu_seconds: f64,
}

impl ProcessFigures {
    /// Reads `/proc/self`; what cannot be read counts as 0.
    fn now() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64);
        Self { descriptors, ..Self::from_texts(&read("status"), &read("stat")) }
    }

    /// Picks the figures out of the texts of `status` and `stat`.
    fn from_texts(status: &str, stat: &str) -> Self {
        let field = |name: &str| -> i64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        // The second field is the command in brackets and may hold anything: count from its end.
        let after_command = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks =
            after_command.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>();
        Self {
            resident: field("VmRSS:") * 1024,
            descriptors: 0,
            threads: field("Threads:"),
            cpu_seconds: ticks / TICKS_PER_SECOND,
        }
    }
}

/// Writes [`ProcessFigures`] at each scrape.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = ProcessFigures::now();
        let gauges = [
            ("process_resident_memory", "Resident memory", Some(Unit::Bytes), now.resident),
            ("process_open_fds", "Open file descriptors", None, now.descriptors),
            ("process_threads", "Threads", None, now.threads),
        ];
        for (name, help, unit, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        let cpu = ConstCounter::new(now.cpu_seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            "Processor time",
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_whatever_the_command_is_called() {
        let status = "Name:\tcaducee\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1000 0 0";
        let figures = ProcessFigures::from_texts(status, stat);
        assert_eq!(figures, ProcessFigures { resident: 12_345 * 1024, descriptors: 0, threads: 7, cpu_seconds: 3.0 });
    }

    #[test]
    fn this_process_has_memory_descriptors_and_threads() {
        let figures = ProcessFigures::now();
        assert!(figures.resident > 0 && figures.descriptors > 2 && figures.threads > 0);
    }
}
