//! The metrics of a journal.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::Histogram;

#[cfg(feature = "nats")]
use crate::nats::NatsJournal;

/// The journal's numbers, read when the metrics are requested.
#[derive(Debug)]
pub(super) struct JournalNumbers(pub(super) DiskJournal);

impl Collector for JournalNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(journal) = self;
        of_folder(&mut encoder, journal)?;
        let failed = ConstGauge::new(i64::from(journal.failure().is_some()));
        let (help, kind) = ("Whether the journal has stopped writing", failed.metric_type());
        failed.encode(encoder.encode_descriptor("journal_failed", help, None, kind)?)
    }
}

/// Encodes the numbers of a journal's folder.
fn of_folder(encoder: &mut DescriptorEncoder<'_>, journal: &DiskJournal) -> Result<(), fmt::Error> {
    let stats = journal.stats();
    let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let gauges = [
        ("journal", "Size of the journal's segments", Some(Unit::Bytes), stats.bytes as i64),
        ("journal_segments", "Segments of the journal", None, int(stats.segments)),
        ("journal_entries", "Entries in the journal", None, stats.entries as i64),
        ("journal_damage", "Damage found in the journal", None, int(journal.damage().len())),
    ];
    for (name, help, unit, value) in gauges {
        let gauge = ConstGauge::new(value);
        let kind = gauge.metric_type();
        gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)?;
    }
    let refused = ConstCounter::new(stats.refused);
    let (help, kind) = ("Commits refused because the disk was full", refused.metric_type());
    refused.encode(encoder.encode_descriptor("journal_refused", help, None, kind)?)?;
    let help = "Time to write and sync the events of one commit";
    let seconds = (&stats.commit_seconds, Some(Unit::Seconds));
    histogram(encoder, ("journal_commit", help), seconds)?;
    let help = "Entries of one commit";
    histogram(encoder, ("journal_commit_entries", help), (&stats.commit_entries, None))
}

/// The numbers of a journal on NATS.
#[cfg(feature = "nats")]
#[derive(Debug)]
pub(super) struct StreamNumbers(pub(super) NatsJournal);

#[cfg(feature = "nats")]
impl Collector for StreamNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(journal) = self;
        let stats = journal.stats();
        let failed = i64::from(journal.stopped().is_some());
        let (events, milliseconds) = (stats.lag_events as i64, stats.lag.as_millis() as i64);
        let gauges = [
            ("journal_failed", "Whether the journal has stopped writing", failed),
            ("stream_away", "Whether NATS does not answer", i64::from(stats.is_away)),
            ("stream_newest", "Newest message of the stream that is known", stats.newest as i64),
            ("stream_read", "Newest message of the stream that was read", stats.read as i64),
            ("stream_lag_events", "Events of the stream not read yet, estimated", events),
            ("stream_lag_milliseconds", "How late the hub reads the stream", milliseconds),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        let counters = [
            ("stream_sent", "Messages sent to the stream, repetitions included", stats.sent),
            ("stream_consumers", "Consumers made to follow the stream", stats.consumers),
            (
                "stream_passed_over",
                "Messages of the stream that could not be read",
                stats.passed_over,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        match journal.copy() {
            Some(copy) => of_folder(&mut encoder, copy),
            None => Ok(()),
        }
    }
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    (values, unit): (&Histogram, Option<Unit>),
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(values.sum, values.count, &values.buckets, None)
}
