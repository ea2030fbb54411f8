//! The numbered events that a reader expects.

use std::collections::HashMap;

/// The next number of each topic, and what differed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: HashMap<u64, u64>,
    pub(crate) read: u64,
    pub(crate) gaps: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

impl Ledger {
    /// Takes an event. Those of other clients only count as read.
    pub(crate) fn event(&mut self, event_type: &str, data: &str) {
        if event_type == "gap" {
            // What is missing has been told.
            self.gaps += 1;
            self.forget();
            return;
        }
        self.read += 1;
        let Some((topic, number)) = numbered(data) else { return };
        if let Some(expected) = self.next.insert(topic, number + 1) {
            self.lost += number.saturating_sub(expected);
            if number < expected {
                self.doubled += 1;
                self.next.insert(topic, expected);
            }
        }
    }

    /// Expects nothing: the next event of each topic may have any number.
    pub(crate) fn forget(&mut self) {
        self.next.clear();
    }
}

/// Returns the topic and the number of an event of the publisher.
fn numbered(data: &str) -> Option<(u64, u64)> {
    let mut words = data.strip_prefix("soak ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn ledger(events: &[(&str, &str)]) -> (u64, u64) {
        let mut ledger = Ledger::default();
        for (event_type, data) in events {
            ledger.event(event_type, data);
        }
        (ledger.lost, ledger.doubled)
    }

    #[test]
    fn what_is_skipped_is_lost_unless_a_gap_was_told() {
        assert_eq!(ledger(&[("message", "soak 1 7 ."), ("message", "soak 1 8 ")]), (0, 0));
        assert_eq!(ledger(&[("message", "soak 1 7 ."), ("message", "soak 1 10 ")]), (2, 0));
        assert_eq!(ledger(&[("message", "soak 1 7 ."), ("message", "soak 2 10 ")]), (0, 0));
        let told = [("message", "soak 1 7 ."), ("gap", "{}"), ("message", "soak 1 10 ")];
        assert_eq!(ledger(&told), (0, 0));
    }

    #[test]
    fn what_comes_again_is_doubled() {
        let again = [("message", "soak 1 7 "), ("message", "soak 1 7 "), ("message", "soak 1 8 ")];
        assert_eq!(ledger(&again), (0, 1));
    }
}
