//! The record: a page of tables.

use std::fmt::Write as _;

use tidings_bench_compare::host::Host;

use crate::full::{Full, READERS};
use crate::load::Published;
use crate::wire::DATA_BYTES;

/// One server under one load.
pub(crate) struct Row {
    pub(crate) load: &'static str,
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
             | replay from the beginning to {READERS} readers, events/s in all | {:.0} |\n",
            full.held,
            full.filling.rate(),
            full.filling.millis(0.99),
            full.started_in.as_secs_f64(),
            full.empty.rate(),
            full.full.rate(),
            full.replayed
        );
    }
}
