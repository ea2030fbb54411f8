//! How long streams last, how long they stay silent, and when their readers come back.
//!
//! Whatever many streams have in common would make them act at the same moment, so each of these rules
//! has a random part. Bodies and the shards of an engine follow them alike.

use std::time::Duration;

/// Spread over which the readers of drained streams come back.
const RETURN_SPREAD: Duration = Duration::from_secs(3);

/// How long a stream lasts: `age_max` less up to a tenth, so that streams that were opened together do
/// not end together, and no longer than `timeout`. `None` if neither limits it.
#[must_use]
pub fn lifetime(age_max: Option<Duration>, timeout: Option<Duration>) -> Option<Duration> {
    let age_max = age_max.map(|age_max| age_max - age_max.mul_f64(fastrand::f64() / 10.0));
    age_max.into_iter().chain(timeout).min()
}

/// When a stream ends in a drain that takes so long: a random part of it.
#[must_use]
pub fn drain_delay(over: Duration) -> Duration {
    over.mul_f64(fastrand::f64())
}

/// The reconnection time that a drained stream announces: up to 3 s above the usual, so that the
/// readers of a restarted server come back spread as well.
#[must_use]
pub fn return_time(reconnection_time: Duration) -> Duration {
    reconnection_time.saturating_add(RETURN_SPREAD.mul_f64(fastrand::f64()))
}

/// The silence after which a stream that last sent something at `sent_at` is due for a heartbeat:
/// between half and four fifths of the interval, in whatever unit that has.
///
/// Streams that were opened together, or had an event together, would be due together, and again
/// every time after: thousands of writes at once. So the silence is drawn for each stream and each
/// time, from what a stream has anyway: a number of its own, and when it last sent something. The last
/// fifth of the interval is left to those who look only now and then.
#[must_use]
pub fn quiet_max(interval: u64, stream: u64, sent_at: u64) -> u64 {
    let spread = interval * 3 / 10;
    interval / 2 + ((u128::from(mix(stream, sent_at)) * u128::from(spread)) >> 64) as u64
}

/// A number that looks random and is the same each time: the finish of SplitMix64, whose constants
/// these are.
fn mix(stream: u64, sent_at: u64) -> u64 {
    let mut z = stream.rotate_left(32) ^ sent_at;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_were_silent_together_are_due_spread() {
        const STREAMS: u64 = 10_000;
        for sent_at in [0, 1, 15_000] {
            // Places in a slab, and addresses, are multiples of something.
            for step in [1, 64, 4096] {
                let mut due = [0; 15];
                for stream in 0..STREAMS {
                    due[quiet_max(15_000, stream * step, sent_at) as usize / 1000] += 1;
                }
                assert_eq!(due[..7].iter().sum::<u64>(), 0);
                assert!(due[8..12].iter().all(|count| (2000..2500).contains(count)), "{due:?}");
                assert_eq!(due[12..].iter().sum::<u64>(), 0);
            }
        }
    }

    #[test]
    fn an_interval_of_nothing_is_always_over() {
        assert_eq!(quiet_max(0, 1, 1), 0);
        assert_eq!(quiet_max(1, 1, 1), 0);
    }
}
