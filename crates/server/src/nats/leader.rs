//! The leader of the stream: only what it says of the stream is believed.
//!
//! A server that has a replica and sees no leader answers for the stream itself, with what it has. Beside an election,
//! that is one which was cut off from the others, or could not write and takes nothing any more, while the others go
//! on with newer messages. A hub that is connected to such a server turns to another one.

use std::time::Duration;

use tokio::time::Instant;

/// An election takes about a second.
const WITHOUT_LEADER_MAX: Duration = Duration::from_secs(2);
/// The longest time between two changes of the server, where no server sees a leader.
const CHANGE_EVERY_MAX: Duration = Duration::from_secs(60);

/// The time since which the hub's server sees no leader, and when the hub turns to another one.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    /// When no leader was seen first, and how long that is put up with.
    without: Option<(Instant, Duration)>,
}

impl Leadership {
    /// Notes whether the server sees a leader. Returns whether it is time to turn to another server.
    pub(super) fn handle(&mut self, has_leader: bool, now: Instant) -> bool {
        if has_leader {
            self.without = None;
            return false;
        }
        let (since, wait) = self.without.get_or_insert((now, WITHOUT_LEADER_MAX));
        let is_due = now.saturating_duration_since(*since) >= *wait;
        if is_due {
            (*since, *wait) = (now, (*wait * 2).min(CHANGE_EVERY_MAX));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_server_is_turned_to_after_two_seconds_without_a_leader_and_ever_more_seldom() {
        let (start, mut leadership) = (Instant::now(), Leadership::default());
        let mut changes = Vec::new();
        for second in 0..=190 {
            if leadership.handle(false, start + Duration::from_secs(second)) {
                changes.push(second);
            }
        }
        assert_eq!(changes, [2, 6, 14, 30, 62, 122, 182]);
    }

    #[test]
    fn a_leader_that_is_seen_begins_the_wait_anew() {
        let (start, mut leadership) = (Instant::now(), Leadership::default());
        let seconds = |seconds| start + Duration::from_secs(seconds);
        for (second, has_leader, is_due) in [
            (0, false, false),
            (1, true, false),
            (2, false, false),
            (3, false, false),
            (4, false, true),
        ] {
            assert_eq!(leadership.handle(has_leader, seconds(second)), is_due, "{second}");
        }
        assert!(!leadership.handle(true, seconds(5)));
        assert!(!leadership.handle(false, seconds(6)));
        assert!(leadership.handle(false, seconds(8)), "the waits are short again");
    }
}
