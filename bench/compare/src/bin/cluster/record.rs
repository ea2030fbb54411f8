//! The record: a page of tables.

use std::fmt::Write as _;

use tidings_bench_compare::host::Host;
use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::publishing::wire::DATA_BYTES;
use tidings_bench_compare::stats::{Middle, show};

use crate::args::Amounts;
use crate::cold::Joined;
use crate::fan_out::Fanned;
use crate::servers::Setting;
use crate::{FANNED, HUB_CORE, LOAD_CORE, best_rate};

/// One load on one server.
pub(crate) struct PublishRow {
    pub(crate) setting: Setting,
    pub(crate) server: &'static str,
    pub(crate) load: &'static str,
    pub(crate) published: Published,
}

impl PublishRow {
    pub(crate) fn line(&self) -> String {
        let Self { setting, server, load, published } = self;
        let rate = show(Some(published.rate()), 0);
        let [p50, p99] = [0.5, 0.99].map(|part| published.millis(part));
        format!("| {} | {server} | {load} | {rate} | {p50:.2} | {p99:.2} |", setting.name())
    }
}

/// The latencies of NATS core, and from one hub to another.
pub(crate) struct LatencyRow {
    pub(crate) setting: Setting,
    pub(crate) core: Published,
    pub(crate) hubs: Published,
}

impl LatencyRow {
    pub(crate) fn line(&self) -> String {
        let [p50, p99] = [0.5, 0.99].map(|part| self.hubs.millis(part));
        let [core50, core99] = [0.5, 0.99].map(|part| self.core.millis(part));
        let name = self.setting.name();
        format!(
            "| {name} | {p50:.2} | {p99:.2} | {core50:.2} | {core99:.2} | {:.2} |",
            self.above()
        )
    }

    fn above(&self) -> f64 {
        self.hubs.millis(0.5) - self.core.millis(0.5)
    }
}

/// Deliveries by some hubs, in one turn.
pub(crate) struct FannedRow {
    pub(crate) server: &'static str,
    pub(crate) fanned: Fanned,
}

pub(crate) struct Record {
    pub(crate) command: String,
    pub(crate) host: Host,
    pub(crate) nats: String,
    pub(crate) amounts: Amounts,
    pub(crate) published: Vec<PublishRow>,
    pub(crate) latencies: Vec<LatencyRow>,
    pub(crate) fanned: Vec<FannedRow>,
    pub(crate) joined: Vec<Joined>,
}

impl Record {
    pub(crate) fn page(&self) -> String {
        let Host { date, processor, cores, memory_gib, kernel, load_average, rustc, tidings } =
            &self.host;
        let mut text = format!(
            "# Several hubs on NATS JetStream\n\n```\n{}\n```\n\n\
             {date}. {cores} cores of {processor}, {memory_gib} GiB, {kernel}; load average {load_average} when it began. \
             {rustc}. Tidings at {tidings}. {}.\n\n\
             Hubs, the servers of NATS and the load share all cores, so a rate is what the machine does in all, and each hub \
             reads every event. An event has {DATA_BYTES} bytes of data. R1 is a stream on one server of NATS, R3 on three; \
             without *sync_interval always*, a message is acknowledged before it is synced.\n",
            self.command, self.nats,
        );
        self.targets(&mut text);
        self.publishing(&mut text);
        self.latency(&mut text);
        self.fan_out(&mut text);
        self.cold(&mut text);
        text
    }

    fn targets(&self, text: &mut String) {
        text.push_str("\n| target | measured | |\n| --- | ---: | --- |\n");
        let mut row = |target: &str, measured: Option<(String, bool)>| {
            let (measured, is_met) = measured.unwrap_or(("–".to_owned(), false));
            let verdict = if is_met { "met" } else { "missed" };
            let _ = writeln!(text, "| {target} | {measured} | {verdict} |");
        };
        let best = best_rate(&self.published);
        row(
            "at least 60,000 events/s through three hubs",
            best.map(|rate| (show(Some(rate), 0), rate >= 60_000.0)),
        );
        let above = self.latencies.iter().map(LatencyRow::above).max_by(f64::total_cmp);
        row(
            "from one hub to another, p50 at most 2 ms above NATS core, in each setting",
            above.map(|above| (format!("{above:.2} ms"), above <= 2.0)),
        );
        // A tick of CPU time, and the noise of two runs.
        row(
            "no more CPU time per delivery by three hubs than by one (within a twentieth)",
            self.micros_each("one hub")
                .zip(self.micros_each("three hubs"))
                .map(|(one, three)| (format!("{:.3} ×", three / one), three <= 1.05 * one)),
        );
    }

    /// The median of the server's turns.
    fn micros_each(&self, server: &str) -> Option<f64> {
        let turns = self.fanned.iter().filter(|row| row.server == server);
        Some(Middle::of(turns.map(|row| row.fanned.micros_each()))?.median)
    }

    fn publishing(&self, text: &mut String) {
        text.push_str(
            "\n## Publishing\n\n\
             A connection sends the next events when its last ones are acknowledged; latencies are those of whole batches. \
             *NATS alone* is the same data published by the client library that hubs use, one event for each message. Through \
             hubs, a message carries what waited while the last one was under way.\n\n\
             | stream | through | load | events/s | p50, ms | p99, ms |\n| --- | --- | --- | ---: | ---: | ---: |\n",
        );
        for row in &self.published {
            text.push_str(&row.line());
            text.push('\n');
        }
    }

    fn latency(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## From one hub to another\n\n\
             {} events, each published at one of three hubs by HTTP when a reader at another hub has the last one, and the time \
             between. Beside it, as many messages of NATS core between two clients: without a stream, HTTP or a disk.\n\n\
             | stream | p50, ms | p99, ms | NATS core p50, ms | NATS core p99, ms | p50 above, ms |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |\n",
            self.amounts.timed
        );
        for row in &self.latencies {
            text.push_str(&row.line());
            text.push('\n');
        }
    }

    fn fan_out(&self, text: &mut String) {
        let Amounts { readers, turns, fanned, .. } = self.amounts;
        let _ = write!(
            text,
            "\n## Fan-out\n\n\
             {fanned} events to {readers} readers in all, as many at each hub, each event when all readers have the last one; \
             medians of {turns} turns. Hubs share core {HUB_CORE}, NATS and the load core {LOAD_CORE}. CPU time is that of all hubs \
             together, publishing and reading the stream included.\n\n\
             | servers | CPU time per delivery, µs |\n| --- | ---: |\n",
        );
        for (server, ..) in FANNED {
            if let Some(micros) = self.micros_each(server) {
                let _ = writeln!(text, "| {server} | {micros:.2} |");
            }
        }
    }

    fn cold(&self, text: &mut String) {
        text.push_str(
            "\n## A hub that joins\n\n\
             From the start of its process until it is ready for readers, without a folder of its own. Others have published to \
             the stream in groups of many events, or one event at a time.\n\n\
             | stream | events | messages | seconds | events/s | messages/s |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |\n",
        );
        let start = self.joined.first().map_or(0.0, |empty| empty.took.as_secs_f64());
        for Joined { what, events, messages, took } in &self.joined {
            let reading = took.as_secs_f64() - start;
            let rate = |count: u64| (reading > 0.0).then(|| count as f64 / reading);
            let [events_each, messages_each] = [*events, *messages].map(|it| show(rate(it), 0));
            let _ = writeln!(
                text,
                "| {what} | {} | {} | {:.2} | {events_each} | {messages_each} |",
                show(Some(*events as f64), 0),
                show(Some(*messages as f64), 0),
                took.as_secs_f64(),
            );
        }
        text.push_str("\nRates are of the time beyond that of an empty stream.\n");
    }
}
