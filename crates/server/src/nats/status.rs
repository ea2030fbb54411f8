//! Numbers of the journal on NATS.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidings_hub::{Now, Time};

use super::aging::Aging;

/// Numbers for operators.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) is_away: AtomicBool,
    /// Whether the stream could not be opened yet.
    pub(super) is_opening: AtomicBool,
    /// The newest message of the stream, as it was last heard of.
    pub(super) newest: AtomicU64,
    pub(super) consumers: AtomicU64,
    /// The latest message that was read.
    read: Mutex<Option<Read>>,
    pub(super) sent: AtomicU64,
    pub(super) aging: Mutex<Aging>,
    /// The newest message that the stream will drop before long, or has dropped.
    pub(super) aged: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    place: u64,
    /// How long after it was stored.
    delay: Duration,
    at: Instant,
}

impl Status {
    /// Notes that a message was read, which the stream has since a time.
    pub(super) fn note_read(&self, (place, stored, bytes): (u64, Time, usize), now: Now) {
        self.aging.lock().note(place, stored, bytes);
        let delay = now.time.unix_millis().saturating_sub(stored.unix_millis());
        let delay = Duration::from_millis(delay);
        *self.read.lock() = Some(Read { place, delay, at: now.instant });
    }

    /// How late the hub reads: nothing if it has read the newest message that is known.
    pub(super) fn lag(&self, read: u64, now: Instant) -> Duration {
        let latest = *self.read.lock();
        match latest {
            Some(latest) if latest.place < self.newest.load(Ordering::Relaxed) => {
                latest.delay + now.saturating_duration_since(latest.at)
            }
            _ if read < self.newest.load(Ordering::Relaxed) => Duration::from_millis(1),
            _ => Duration::ZERO,
        }
    }

    /// Notes a message that is in the stream.
    pub(super) fn note_newest(&self, newest: u64) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }
}

/// The state of a [`NatsJournal`](super::NatsJournal), for metrics.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NatsStats {
    /// Whether the stream could not be opened yet, so that there is only the hub's own copy.
    pub is_opening: bool,
    /// Whether NATS does not answer.
    pub is_away: bool,
    /// The newest message of the stream, as far as it is known.
    pub newest: u64,
    /// The newest message that was read.
    pub read: u64,
    /// Events that were not read yet, as far as it is known: as many for each message as those before had.
    pub lag_events: u64,
    /// How late the hub reads.
    pub lag: Duration,
    /// Messages that this hub has sent, repetitions included.
    pub sent: u64,
    /// Consumers that were made, one at the start and one after each failure.
    pub consumers: u64,
    /// Messages that were passed over because they are no hub's, or damaged.
    pub passed_over: u64,
}

/// The number of messages that a hub may be behind and still be ready: less than a second of a busy stream.
const BEHIND_MAX: u64 = 1_000;

impl NatsStats {
    /// Returns whether the hub is so far behind that its readers would be better served by another one: it has not
    /// seen the stream yet, or has many messages to read. While NATS is away, all hubs are where they are.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_opening || !self.is_away && self.newest.saturating_sub(self.read) > BEHIND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_behind_beyond_a_bound_while_nats_answers() {
        let stats =
            |is_away, newest| NatsStats { is_away, newest, read: 10, ..NatsStats::default() };
        for (is_away, newest, is_behind) in
            [(false, 10, false), (false, 1_010, false), (false, 1_011, true), (true, 5_000, false)]
        {
            assert_eq!(stats(is_away, newest).is_behind(), is_behind, "{is_away} {newest}");
        }
        assert!(NatsStats { is_opening: true, ..stats(true, 10) }.is_behind());
    }
}
