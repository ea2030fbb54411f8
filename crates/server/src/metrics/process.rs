//! The process's own numbers, under the names that Prometheus's client libraries give them.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks per second in `/proc`, which Linux fixes at 100 for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The numbers that `/proc` has; none where there is no such folder.
#[derive(Debug)]
pub(super) struct ProcessNumbers {
    /// Seconds since 1970. It does not change.
    started: Option<f64>,
}

/// The numbers of the moment.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Seconds since the machine was started.
    started_after: f64,
    virtual_bytes: i64,
}

impl ProcessNumbers {
    pub(super) fn new() -> Self {
        let booted = || -> Option<f64> {
            let stat = fs::read_to_string("/proc/stat").ok()?;
            stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
        };
        let started = || Some(booted()? + Stat::read()?.started_after);
        Self { started: started() }
    }

    fn gauges(&self, stat: &Stat) -> [(&'static str, &'static str, Option<f64>); 5] {
        [
            ("resident_memory_bytes", "Resident memory", resident_bytes().map(|n| n as f64)),
            ("virtual_memory_bytes", "Virtual memory", Some(stat.virtual_bytes as f64)),
            ("start_time_seconds", "Start, in seconds since 1970", self.started),
            ("open_fds", "Open descriptors", open_descriptors().map(|n| n as f64)),
            ("max_fds", "Limit on descriptors", descriptors_max().map(|n| n as f64)),
        ]
    }
}

impl Collector for ProcessNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(stat) = Stat::read() else { return Ok(()) };
        let cpu = ConstCounter::new(stat.cpu_seconds);
        let help = "User and system CPU time in seconds";
        let kind = cpu.metric_type();
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?)?;
        for (name, help, value) in self.gauges(&stat) {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let (name, kind) = (format!("process_{name}"), gauge.metric_type());
            gauge.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
        }
        Ok(())
    }
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Reads the fields after the program's name, which may have blanks and parentheses itself
    /// (proc_pid_stat(5)).
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // Counted from one in the manual, where the name is the second.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            started_after: field(22)? / TICKS_PER_SECOND,
            virtual_bytes: field(23)? as i64,
        })
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kibibytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The size of the folder of descriptors, which Linux 6.2 and later report as their number. Listing
/// them would take time for each, while others wait.
fn open_descriptors() -> Option<u64> {
    fs::metadata("/proc/self/fd").ok().map(|folder| folder.len()).filter(|&count| count > 0)
}

fn descriptors_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    limit.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_after_any_name() {
        let rest = "S 1 2 3 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1048576 300";
        let stat = Stat::parse(&format!("42 (a) b (c) {rest}")).unwrap();
        let expected = Stat { cpu_seconds: 3.0, started_after: 123.45, virtual_bytes: 1_048_576 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("42 (a"), None);
        assert_eq!(Stat::parse("42 (a) S 1"), None);
    }
}
