//! The report as text: faults first, then one line for each measurement.

use std::fmt::Write as _;

use super::{Report, WorkDone};
use crate::measure::latency::Percentiles;
use crate::measure::meter::ServerUsage;
use crate::words::{counted, grouped};

/// The width of the labels.
const LABEL: usize = 17;
/// Below this, CPU time is hardly more than the kernel's tick.
const CPU_SECONDS_MIN: f64 = 0.1;

impl Report {
    /// Returns the report as lines of text.
    pub fn text(&self) -> String {
        let mut out = format!("{}  {}\n{}\n\n", self.scenario, self.url, self.asked());
        self.wrong(&mut out);
        self.rates(&mut out);
        let is_per_stream = self.scenario == "churn" || self.scenario == "replay";
        let of = if is_per_stream { "time per stream" } else { "latency" };
        line(&mut out, of, self.latency_ms.map(percentiles));
        line(&mut out, "without stalled", self.without_stalled.map(percentiles));
        line(&mut out, "beside stalled", self.with_stalled.map(percentiles));
        if let Some(server) = &self.server {
            self.server(&mut out, server);
        }
        let load = self.load_cpu_seconds.map(|cpu| {
            let busy =
                self.seconds.map(|seconds| format!(", {:.0} % of a core", cpu / seconds * 100.0));
            format!("{cpu:.2} s{}", busy.unwrap_or_default())
        });
        line(&mut out, "load's own CPU", load);
        out
    }

    /// Returns the options of the run in words.
    fn asked(&self) -> String {
        let mut parts = Vec::new();
        let mut part = |count: Option<u32>, one: &str, many: &str| {
            parts.extend(count.map(|count| counted(count.into(), one, many)));
        };
        part(self.subscribers, "subscriber", "subscribers");
        part(self.stalled, "stalled reader", "stalled readers");
        part(self.connections, "connection", "connections");
        part(self.topics, "topic", "topics");
        part(self.events, "event", "events");
        part(self.rate, "event per second", "events per second");
        part(self.under_way, "under way", "under way");
        part(self.pipelined, "request pipelined", "requests pipelined");
        part(self.batch.filter(|batch| *batch > 1), "event per request", "events per request");
        parts.extend(self.bytes.map(|bytes| counted(bytes as u64, "byte each", "bytes each")));
        parts.join(", ")
    }

    fn wrong(&self, out: &mut String) {
        let faults = self.faults.in_words();
        let is_checked = self.deliveries.is_some_and(|count| count > 0);
        match (faults.is_empty(), is_checked) {
            (false, _) => line(out, "FAULTS", Some(faults.join(", "))),
            (true, true) => line(out, "faults", Some("none".to_owned())),
            (true, false) => {}
        }
        for (cause, count) in &self.refused {
            line(out, "FAILED", Some(format!("{} × {}", grouped(*count), cause)));
        }
        for (cause, count) in &self.ended {
            line(out, "streams ended", Some(format!("{} × {}", grouped(*count), cause)));
        }
        if let Some(first) = &self.first_other {
            let others = counted(self.other_events, "event", "events");
            let first = first.replace('\n', " ");
            line(out, "foreign events", Some(format!("{others}, the first: {first}")));
        }
    }

    fn rates(&self, out: &mut String) {
        let opened = self
            .connected
            .zip(self.connect_seconds)
            .map(|(count, seconds)| format!("{} opened in {}", grouped(count), time(seconds)));
        line(out, "connections", opened);
        // The measured part never began, so there are no rates.
        let Some(seconds) = self.seconds else { return };
        let rate = |count: u64, per_second: Option<f64>| {
            let per_second =
                per_second.map(|rate| format!(": {} /s", grouped(rate.round() as u64)));
            format!("{} in {}{}", grouped(count), time(seconds), per_second.unwrap_or_default())
        };
        let deliveries = self.deliveries.map(|count| rate(count, self.deliveries_per_second));
        line(out, "deliveries", deliveries);
        match self.done {
            WorkDone::Events(count) => {
                line(out, "events", Some(rate(count, self.events_per_second)))
            }
            WorkDone::Connections(count) => {
                line(out, "opened, closed", Some(rate(count, self.connections_per_second)));
            }
            WorkDone::Nothing if self.deliveries.is_none() => {
                line(out, "held", Some(time(seconds)))
            }
            WorkDone::Nothing => {}
        }
    }

    fn server(&self, out: &mut String, server: &ServerUsage) {
        let cpu = server.cpu_seconds.map(|cpu| {
            let mut text = format!("{cpu:.2} s");
            for (each, of) in [
                (server.cpu_us_per_delivery, "delivery"),
                (server.cpu_us_per_event, "event"),
                (server.cpu_us_per_connection, "connection"),
            ] {
                if let Some(each) = each.filter(|_| cpu >= CPU_SECONDS_MIN) {
                    let _ = write!(text, ", {} µs per {of}", significant(each));
                }
            }
            text
        });
        line(out, "server's CPU", cpu);
        let ServerUsage { rss_before, rss_connected, rss_peak, rss_after, .. } = *server;
        let rss = moments(&[
            (Some(rss_before), "before"),
            (rss_connected, "connected"),
            (server.rss_without_stalled, "without stalled"),
            (server.rss_with_stalled, "beside stalled"),
            (Some(rss_peak), "peak"),
            (rss_after, "after"),
        ]);
        line(out, "server's memory", Some(rss));
        let each = server.rss_per_subscriber.map(|bytes| format!("{bytes} bytes per subscriber"));
        line(out, "", each);
        let ServerUsage { tcp_memory_before, tcp_memory_connected, tcp_memory_peak, .. } = *server;
        let tcp = moments(&[
            (Some(tcp_memory_before), "before"),
            (tcp_memory_connected, "connected"),
            (server.tcp_memory_without_stalled, "without stalled"),
            (server.tcp_memory_with_stalled, "beside stalled"),
            (Some(tcp_memory_peak), "peak"),
        ]);
        line(out, "machine's TCP", Some(tcp));
    }
}

/// Lists sizes with the moments at which they were sampled.
fn moments(sizes: &[(Option<u64>, &str)]) -> String {
    let looked_at = sizes.iter().filter_map(|(bytes, when)| Some((size((*bytes)?), when)));
    looked_at.map(|(size, when)| format!("{size} {when}")).collect::<Vec<_>>().join(", ")
}

fn line(out: &mut String, label: &str, value: Option<String>) {
    if let Some(value) = value {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{label:<LABEL$}{value}");
    }
}

fn percentiles(told: Percentiles) -> String {
    let Percentiles { p50, p90, p99, p999, max } = told;
    let millis = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)];
    millis.map(|(name, millis)| format!("{name} {} ms", significant(millis))).join(", ")
}

/// Writes a number with three significant digits.
fn significant(number: f64) -> String {
    let places = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{number:.places$}")
}

fn time(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{} s", significant(seconds)),
        _ => format!("{} ms", significant(seconds * 1e3)),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{} GB", significant(bytes as f64 / 1e9)),
        1_000_000.. => format!("{} MB", significant(bytes as f64 / 1e6)),
        1.. => format!("{} KB", significant(bytes as f64 / 1e3)),
        0 => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::faults::Faults;

    const LATENCY: Percentiles =
        Percentiles { p50: 0.0123, p90: 1.234, p99: 12.34, p999: 123.4, max: 1234.5 };

    fn fan_out() -> Report {
        Report {
            scenario: "fan-out",
            url: "http://a/{topic}".to_owned(),
            subscribers: Some(1_000),
            topics: Some(1),
            events: Some(1_000),
            bytes: Some(100),
            under_way: Some(64),
            connected: Some(1_000),
            connect_seconds: Some(0.05),
            seconds: Some(2.0),
            deliveries: Some(1_000_000),
            deliveries_per_second: Some(500_000.0),
            events_per_second: Some(500.0),
            latency_ms: Some(LATENCY),
            done: WorkDone::Events(1_000),
            load_cpu_seconds: Some(0.25),
            ..Report::default()
        }
    }

    #[test]
    fn a_run_without_faults_is_a_line_for_each_thing() {
        let mut report = fan_out();
        report.server = Some(ServerUsage {
            rss_before: 7_900_000,
            rss_connected: Some(8_300_000),
            rss_peak: 12_345_678,
            rss_after: Some(8_000_000),
            pss_connected: Some(8_200_000),
            cpu_seconds: Some(0.31),
            cpu_us_per_delivery: Some(0.31),
            cpu_us_per_event: Some(310.0),
            rss_per_subscriber: Some(400),
            tcp_memory_peak: 4_096,
            ..ServerUsage::default()
        });
        let expected = "\
fan-out  http://a/{topic}
1,000 subscribers, 1 topic, 1,000 events, 64 under way, 100 bytes each

faults           none
connections      1,000 opened in 50.0 ms
deliveries       1,000,000 in 2.00 s: 500,000 /s
events           1,000 in 2.00 s: 500 /s
latency          p50 0.012 ms, p90 1.23 ms, p99 12.3 ms, p99.9 123 ms, max 1234 ms
server's CPU     0.31 s, 0.310 µs per delivery, 310 µs per event
server's memory  7.90 MB before, 8.30 MB connected, 12.3 MB peak, 8.00 MB after
                 400 bytes per subscriber
machine's TCP    none before, 4.10 KB peak
load's own CPU   0.25 s, 12 % of a core
";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn what_is_wrong_comes_first_with_its_reasons() {
        let mut report = fan_out();
        report.faults = Faults { lost: 1_200, closed: 2, ..Faults::default() };
        report.refused = BTreeMap::from([("refused with 503".to_owned(), 3)]);
        report.ended = BTreeMap::from([("ended by the server".to_owned(), 2)]);
        report.other_events = 1;
        report.first_other = Some("gap: a\nb".to_owned());
        let text = report.text();
        let lines: Vec<&str> = text.lines().skip(3).take(4).collect();
        let expected = [
            "FAULTS           1,200 lost, 2 streams closed",
            "FAILED           3 × refused with 503",
            "streams ended    2 × ended by the server",
            "foreign events   1 event, the first: gap: a b",
        ];
        assert_eq!(lines, expected);
        assert_eq!(
            report.verdict().unwrap().to_string(),
            "1,200 lost, 2 streams closed, 3 connections or publishes failed"
        );
    }

    #[test]
    fn a_run_that_came_nowhere_tells_of_nothing_but_that() {
        let failed = Report {
            seconds: None,
            deliveries: Some(0),
            deliveries_per_second: None,
            events_per_second: None,
            latency_ms: None,
            load_cpu_seconds: None,
            connected: Some(0),
            refused: BTreeMap::from([("cannot connect: reset".to_owned(), 100)]),
            ..fan_out()
        };
        let text = failed.text();
        let lines: Vec<&str> = text.lines().skip(3).collect();
        let expected = [
            "FAILED           100 × cannot connect: reset",
            "connections      0 opened in 50.0 ms",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_has_what_applies_in_its_order_and_nothing_else() {
        let expected = "{\"scenario\":\"fan-out\",\"url\":\"http://a/{topic}\",\
            \"subscribers\":1000,\"topics\":1,\"events\":1000,\"bytes\":100,\"under_way\":64,\
            \"connected\":1000,\"connect_seconds\":0.05,\"seconds\":2.0,\"deliveries\":1000000,\
            \"deliveries_per_second\":500000.0,\"events_per_second\":500.0,\
            \"latency_ms\":{\"p50\":0.0123,\"p90\":1.234,\"p99\":12.34,\"p999\":123.4,\"max\":1234.5},\
            \"faults\":{\"lost\":0,\"doubled\":0,\"out_of_order\":0,\"misdelivered\":0,\
            \"corrupt\":0,\"closed\":0},\"load_cpu_seconds\":0.25}\n";
        assert_eq!(fan_out().json(), expected);
    }
}
