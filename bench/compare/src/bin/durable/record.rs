//! The record: a page of tables.

use std::fmt::Write as _;

use tidings_bench_compare::host::Host;

use crate::behind::{self, Behind};
use crate::full::{FEW, Full, READERS};
use crate::resume::BEHIND;
use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::publishing::wire::DATA_BYTES;

/// One server under one load.
pub(crate) struct Row {
    pub(crate) load: String,
    pub(crate) server: &'static str,
    pub(crate) published: Published,
}

pub(crate) struct Record {
    pub(crate) command: String,
    pub(crate) host: Host,
    pub(crate) versions: [String; 2],
    pub(crate) rows: Vec<Row>,
    pub(crate) full: Full,
}

impl Row {
    /// Returns the row of the table.
    pub(crate) fn line(&self) -> String {
        let Self { load, server, published } = self;
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| published.millis(part));
        format!("| {load} | {server} | {:.0} | {p50:.2} | {p99:.2} | {most:.1} |", published.rate())
    }
}

impl Record {
    pub(crate) fn page(&self) -> String {
        let Host { date, processor, cores, memory_gib, kernel, load_average, rustc, tidings } =
            &self.host;
        let mut text = format!(
            "# Durable publishing: Tidings beside its peers\n\n```\n{}\n```\n\n\
             {date}. {cores} cores of {processor}, {memory_gib} GiB, {kernel}; load average {load_average} when it began. \
             {rustc}. Tidings at {tidings}.\n{}; {}.\n\n\
             Every event is synced to disk before it is acknowledged. Servers run on core 0, the load on core 1, data on the same \
             disk. An event has {DATA_BYTES} bytes of data. A connection sends the next events when its last ones are \
             acknowledged; latencies are those of whole batches. *Append and fdatasync* writes as many events at once as the \
             connections have under way, syncs, and does nothing else: what the disk can do.\n\n\
             | load | server | events/s | p50, ms | p99, ms | most, ms |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
            self.command, self.versions[0], self.versions[1],
        );
        for row in &self.rows {
            text += &row.line();
            text.push('\n');
        }
        self.full(&mut text);
        text
    }

    fn full(&self, text: &mut String) {
        let full = &self.full;
        let _ = write!(
            text,
            "\n## With {} events held\n\n\
             | figure | value |\n| --- | ---: |\n\
             | filling, 16 connections, 500 events at a time each, events/s | {:.0} |\n\
             | p99 of a batch while filling, ms | {:.1} |\n\
             | start until the first connection is accepted, s | {:.2} |\n\
             | publish rate with an empty journal, 64 connections, events/s | {:.0} |\n\
             | the same with the events held, events/s | {:.0} |\n\
             | replay from the beginning to {READERS} readers, events/s in all | {:.0} |\n\
             | a reader {BEHIND} behind gets exactly {BEHIND}, {FEW} events held, most of 20, ms | {:.1} |\n\
             | the same with the events held, ms | {:.1} |\n",
            full.held,
            full.filling.rate(),
            full.filling.millis(0.99),
            full.started_in.as_secs_f64(),
            full.empty.rate(),
            full.full.rate(),
            full.replayed,
            full.resumed[0].as_secs_f64() * 1e3,
            full.resumed[1].as_secs_f64() * 1e3,
        );
        self.behind(text);
    }

    fn behind(&self, text: &mut String) {
        let Behind { alone, beside, bytes_read, memory_before, memory_most } = &self.full.behind;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let _ = write!(
            text,
            "\n## Beside {} readers from the beginning\n\n\
             An event is published every few milliseconds, and a live reader reads it; the time from one to the other. The other readers are a \
             process of lower priority on the core of the load, so that the server decides what the live reader waits for.\n\n\
             | figure | value |\n| --- | ---: |\n\
             | live reader alone, p50, p99, ms | {:.2}, {:.2} |\n\
             | live reader beside them, p50, p99, ms | {:.2}, {:.2} |\n\
             | read by them, MB/s in all | {:.0} |\n\
             | resident memory before, MB | {:.0} |\n\
             | most resident memory while they read, MB | {:.0} |\n",
            behind::READERS,
            alone.millis(0.5),
            alone.millis(0.99),
            beside.millis(0.5),
            beside.millis(0.99),
            bytes_read / 1e6,
            megabytes(*memory_before),
            megabytes(*memory_most),
        );
    }
}
