//! The state of a server at a moment.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use tidings_bench_compare::host::field;

/// A state of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The time since the load began.
    pub(crate) at: Duration,
    /// Resident memory that is not a file's, in MB.
    pub(crate) memory: f64,
    pub(crate) descriptors: usize,
    pub(crate) metrics: Metrics,
}

/// The metrics that a table shows. All but the counters go up and down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) subscribers: f64,
    pub(crate) topics: f64,
    pub(crate) history_bytes: f64,
    /// A counter.
    pub(crate) published: f64,
    /// A counter.
    pub(crate) delivered: f64,
    /// A counter.
    pub(crate) gaps: f64,
}

impl Sample {
    /// Reads what the system knows of a process.
    pub(crate) fn of_process(process: u32, at: Duration, metrics: Metrics) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let memory = field(&status, "RssAnon").unwrap_or_default();
        let kib = memory.split(' ').next().and_then(|number| number.parse::<f64>().ok());
        let kib = kib.ok_or_else(|| io::Error::other("the status has no RssAnon"))?;
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self { at, memory: kib * 1_024.0 / 1e6, descriptors, metrics })
    }

    /// Returns one line for the terminal.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:5} s  {:.2} MB, {} descriptors, {} subscribers, {} topics, {} events published",
            self.at.as_secs(),
            self.memory,
            self.descriptors,
            self.metrics.subscribers,
            self.metrics.topics,
            self.metrics.published
        )
    }
}

impl Metrics {
    /// Reads the text of `/metrics`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let samples: HashMap<&str, f64> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains('{'))
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let metric = |name: &str| {
            samples.get(name).copied().ok_or_else(|| format!("/metrics has no {name}"))
        };
        Ok(Self {
            subscribers: metric("tidings_subscribers")?,
            topics: metric("tidings_topics")?,
            history_bytes: metric("tidings_history_bytes")?,
            published: metric("tidings_events_published_total")?,
            delivered: metric("tidings_events_delivered_total")?,
            gaps: metric("tidings_gaps_total")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    const TEXT: &str = "# HELP tidings_topics Topics\ntidings_refused_total{problem=\"x\"} 9\n\
        tidings_subscribers 1\ntidings_topics 2\ntidings_history_bytes 3\n\
        tidings_events_published_total 4\ntidings_events_delivered_total 5\ntidings_gaps_total 6\n";

    #[test]
    fn metrics_are_found_by_their_names() {
        let metrics = Metrics::parse(TEXT).expect("every metric is there");
        assert!((metrics.topics - 2.0).abs() < 1e-9);
        assert!((metrics.gaps - 6.0).abs() < 1e-9);
        let missing = Metrics::parse("tidings_topics 2\n").expect_err("the others are not");
        assert_eq!(missing, "/metrics has no tidings_subscribers");
    }
}
