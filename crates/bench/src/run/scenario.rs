//! The scenarios, step by step.

use std::time::Duration;

use super::error::RunError;
use super::load::{Goal, Load};
use crate::config::Scenario;
use crate::measure::clock::nanos;
use crate::report::Report;
use crate::subscribe::source::Purpose;

/// Runs a scenario, and records in `report` what only this scenario measures.
pub(crate) fn run(
    load: &mut Load,
    scenario: &Scenario,
    report: &mut Report,
) -> Result<(), RunError> {
    match *scenario {
        Scenario::Idle { subscribers, hold } => idle(load, subscribers, hold, report),
        Scenario::FanOut { subscribers, events, under_way } => {
            fan_out(load, subscribers, events.into(), under_way.into(), report)
        }
        Scenario::Churn { connections, under_way } => {
            churn(load, connections.into(), under_way as usize, report)
        }
        Scenario::Replay { events, subscribers, .. } => replay(load, events, subscribers, report),
        Scenario::Slow { subscribers, stalled, events, rate } => {
            slow(load, [subscribers, stalled, events, rate], report)
        }
        Scenario::Publish { pipelined, events, ref batch, .. } => {
            let batch = batch.as_ref().map_or(1, |batch| batch.events);
            publish(load, events.into(), pipelined as usize, batch.into(), report)
        }
    }
}

/// Opens streams and holds them.
fn idle(load: &mut Load, count: u32, hold: Duration, report: &mut Report) -> Result<(), RunError> {
    open(load, count, report)?;
    load.goal(Goal { what: "streams held", all: 0, done: |load| load.sources.open() as u64 });
    load.begin()?;
    let until = load.clock.now() + nanos(hold);
    load.hold(until)?;
    load.end()?;
    load.meter.connected()?;
    Ok(())
}

/// Opens streams that are read, and records how long that took.
fn open(load: &mut Load, count: u32, report: &mut Report) -> Result<(), RunError> {
    let began = load.clock.now();
    let opened = load.open(Purpose::Follow, count);
    report.connected(load.sources.counts().opened, load.clock.now() - began);
    opened
}

/// Publishes events, `under_way` at a time, until every subscriber has received all of them.
fn fan_out(
    load: &mut Load,
    subscribers: u32,
    events: u64,
    under_way: u64,
    report: &mut Report,
) -> Result<(), RunError> {
    open(load, subscribers, report)?;
    load.meter.connected()?;
    load.goal(Goal {
        what: "deliveries",
        all: events_of(load, subscribers, events),
        done: |load| load.ledger.delivered(),
    });
    load.begin()?;
    let published = publish_all(load, events, under_way);
    report.latency(&load.ledger.take_latencies());
    published?;
    load.end()
}

/// Returns how many deliveries `events` make. Topics differ by at most one subscriber.
fn events_of(load: &Load, subscribers: u32, events: u64) -> u64 {
    events * u64::from(subscribers) / u64::from(load.sources.topics().count())
}

fn publish_all(load: &mut Load, events: u64, under_way: u64) -> Result<(), RunError> {
    while load.ledger.events() < events {
        while load.ledger.events() < events && load.under_way() < under_way {
            load.publish(load.clock.now());
        }
        load.turn(u64::MAX)?;
        load.check_open()?;
    }
    load.settle()
}

/// Opens streams and closes them when the head of the response has arrived.
fn churn(
    load: &mut Load,
    connections: u64,
    under_way: usize,
    report: &mut Report,
) -> Result<(), RunError> {
    load.goal(Goal {
        what: "streams opened and closed",
        all: connections,
        done: |load| load.sources.counts().finished,
    });
    load.begin()?;
    let mut ran = Ok(());
    while ran.is_ok() {
        let counts = load.sources.counts();
        if counts.started < connections && load.sources.opening() < under_way {
            ran = load.start(Purpose::Touch, 0);
        } else if counts.started == connections && load.sources.opening() == 0 {
            break;
        } else {
            ran = load.turn(u64::MAX);
        }
    }
    load.end()?;
    let counts = load.sources.counts();
    report.churned(counts.opened, counts.finished);
    report.latency(&load.sources.take_latencies());
    ran
}

/// Publishes events, then opens streams that read all of them from the start.
fn replay(
    load: &mut Load,
    events: u32,
    subscribers: u32,
    report: &mut Report,
) -> Result<(), RunError> {
    load.goal(Goal {
        what: "events published before",
        all: events.into(),
        done: |load| load.publishers.answered(),
    });
    while load.ledger.events() < u64::from(events) || load.publishers.is_pending() {
        while load.ledger.events() < u64::from(events) && load.publishers.pending(0) < PUBLISHING {
            load.publish(load.clock.now());
        }
        load.turn(u64::MAX)?;
    }
    // Refused events cannot be replayed, and the result would be misleading.
    load.check_refusals(1)?;
    load.ledger.replay(subscribers);
    load.goal(Goal {
        what: "deliveries",
        all: u64::from(events) * u64::from(subscribers),
        done: |load| load.ledger.delivered(),
    });
    load.begin()?;
    let began = load.clock.now();
    let read = load.open(Purpose::ReadTo(events), subscribers);
    let read = read.and_then(|()| {
        while load.sources.open() > 0 {
            load.turn(u64::MAX)?;
        }
        Ok(())
    });
    load.end()?;
    report.connected(load.sources.counts().opened, load.clock.now() - began);
    report.latency(&load.sources.take_latencies());
    read
}

/// The number of publishes under way before a replay: fast, and easy for any server.
const PUBLISHING: usize = 64;

/// Publishes at a steady rate, first without and then beside readers that never read.
fn slow(
    load: &mut Load,
    [subscribers, stalled, events, rate]: [u32; 4],
    report: &mut Report,
) -> Result<(), RunError> {
    open(load, subscribers, report)?;
    load.meter.connected()?;
    let goal = |what| Goal { what, all: events.into(), done: |load| load.ledger.events() };
    load.goal(goal("events published, without stalled readers"));
    load.begin()?;
    let paced = pace(load, events, rate);
    report.without_stalled = load.ledger.take_latencies().percentiles();
    load.meter.without_stalled()?;
    paced?;
    load.end()?;
    load.open(Purpose::Stall, stalled)?;
    load.goal(Goal {
        all: 2 * u64::from(events),
        ..goal("events published, beside stalled readers")
    });
    load.begin()?;
    let paced = pace(load, events, rate);
    report.with_stalled = load.ledger.take_latencies().percentiles();
    load.meter.with_stalled()?;
    paced?;
    load.end()
}

/// Publishes `events` events at `rate` per second, whether earlier ones have arrived or not. Each
/// event counts as sent when it is due.
fn pace(load: &mut Load, events: u32, rate: u32) -> Result<(), RunError> {
    let began = load.clock.now();
    for event in 0..u64::from(events) {
        let due = began + event * nanos(Duration::from_secs(1)) / u64::from(rate);
        // At least one turn even when it is late: otherwise nothing would be read.
        load.turn(due)?;
        while load.clock.now() < due {
            load.turn(due)?;
        }
        load.check_open()?;
        load.publish(due);
    }
    load.settle()
}

/// Publishes without any subscriber.
fn publish(
    load: &mut Load,
    events: u64,
    pipelined: usize,
    batch: u64,
    report: &mut Report,
) -> Result<(), RunError> {
    load.goal(Goal {
        what: "events published",
        all: events,
        done: |load| load.publishers.answered(),
    });
    load.begin()?;
    let mut ran = Ok(());
    while ran.is_ok() && (load.ledger.events() < events || load.publishers.is_pending()) {
        for index in 0..load.publishers.count() {
            while load.ledger.events() < events && load.publishers.pending(index) < pipelined {
                let now = load.clock.now();
                let together = batch.min(events - load.ledger.events());
                let stamps = (0..together).map(|_| load.ledger.publish(now)).collect();
                load.publishers.publish(index, stamps);
            }
        }
        ran = load.turn(u64::MAX);
    }
    load.end()?;
    report.published(load.publishers.answered() - load.publishers.refused_events());
    report.latency(&load.publishers.take_latencies());
    ran
}
