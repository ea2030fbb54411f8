//! The shape of a stream: how its reader is told of a gap, and what breaks a silence.

use std::time::Duration;

use crate::time::millis;

/// The part of a stream beside its events that a reader can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamShape {
    /// How its reader is told of a gap.
    pub gap: GapShape,
    /// The silence after which at the latest a visible event of type `ping` is sent. Without it, comments
    /// alone break a silence.
    pub ping: Option<Duration>,
}

/// How the reader of a stream is told of a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GapShape {
    /// By an event of type `gap`, after which the stream goes on.
    #[default]
    Event,
    /// By the end of the stream, and by status 410 when the reader comes back: for clients that take
    /// every event for one of the publisher's.
    Close,
}

/// The silences of a stream that has pings, in whatever unit its time has.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    interval: u64,
    /// When something visible was last sent.
    heard_at: u64,
    /// When a comment was last sent.
    commented_at: u64,
}

/// The event that browsers see: without an ID, so that it is no place.
pub(crate) const PING: &[u8] = b"event: ping\ndata:\n\n";

impl StreamShape {
    /// The usual shape: gaps are events, and comments break a silence.
    #[must_use]
    pub fn new(gap: GapShape, ping: Option<Duration>) -> Self {
        Self { gap, ping }
    }

    /// Tenths of a second between pings, as a [`Watch`](crate::watch::Watch) keeps them; 0 is none.
    pub(crate) fn ping_tenths(&self) -> u16 {
        let tenths = self.ping.map(|ping| (millis(ping) / 100).max(1));
        tenths.map_or(0, |tenths| u16::try_from(tenths).unwrap_or(u16::MAX))
    }
}

impl Pings {
    /// The pings of a stream that begins now.
    #[must_use]
    pub fn new(interval: u64, now: u64) -> Self {
        Self { interval, heard_at: now, commented_at: now }
    }

    /// The silence after which something is sent at the latest.
    #[cfg(feature = "engine")]
    #[must_use]
    pub fn silence(&self, heartbeat: u64) -> u64 {
        self.interval.min(heartbeat)
    }

    /// Decides what breaks a silence: returns `true` for a ping, and `false` for a comment. A comment is
    /// enough if the next silence is over before a ping is late.
    pub fn is_due(&mut self, now: u64, heartbeat: u64, sent_at: u64) -> bool {
        // A comment is written a moment after the decision.
        let is_comment = sent_at.saturating_sub(self.commented_at) <= heartbeat / 10;
        if sent_at > self.commented_at && !is_comment {
            self.heard_at = sent_at;
        }
        let is_due = now.saturating_sub(self.heard_at) + heartbeat > self.interval;
        if is_due {
            self.heard_at = now;
        }
        self.commented_at = now;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of pings among the times at which a silence is broken.
    #[track_caller]
    fn check(interval: u64, silences: &[u64], pings: &[u64]) {
        let mut kept = Pings::new(interval, 0);
        let mut sent_at = 0;
        let mut found = Vec::new();
        for &now in silences {
            if kept.is_due(now, 15, sent_at) {
                found.push(now);
            }
            sent_at = now;
        }
        assert_eq!(found, pings);
    }

    #[test]
    fn every_silence_is_broken_by_a_ping_if_pings_are_as_frequent_as_heartbeats() {
        check(10, &[8, 16, 24], &[8, 16, 24]);
        check(15, &[12, 24, 36], &[12, 24, 36]);
    }

    #[test]
    fn comments_come_between_pings_that_are_rarer_than_heartbeats() {
        check(20, &[10, 20, 30], &[10, 20, 30]);
        check(60, &[12, 24, 36, 48, 60, 72, 84, 96], &[48, 96]);
    }

    #[test]
    fn an_event_puts_a_ping_off() {
        let mut kept = Pings::new(60, 0);
        assert!(!kept.is_due(12, 15, 0));
        // An event at 40.
        assert!(!kept.is_due(52, 15, 40));
        assert!(!kept.is_due(64, 15, 52));
        assert!(!kept.is_due(76, 15, 64));
        assert!(kept.is_due(88, 15, 76));
    }

    #[test]
    fn a_watch_keeps_tenths_of_a_second() {
        for (ping, tenths) in
            [(None, 0), (Some(1000), 10), (Some(50), 1), (Some(3_600_000), 36_000)]
        {
            let ping = ping.map(Duration::from_millis);
            assert_eq!(StreamShape::new(GapShape::Event, ping).ping_tenths(), tenths);
        }
    }
}
