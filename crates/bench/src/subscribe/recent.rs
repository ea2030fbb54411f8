//! A cache of event texts that were decoded recently.
//!
//! A server sends the same text to every subscriber of a topic. If a subscriber stands between two
//! events and receives the very bytes that were another subscriber's next event, they are this
//! subscriber's next event too. Comparing bytes costs a fraction of decoding them. All other bytes
//! are decoded.

use crate::check::data::Stamp;

/// Recent events with their texts.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    slots: Box<[RecentEvent]>,
}

#[derive(Clone, Debug, Default)]
struct RecentEvent {
    stamp: Option<Stamp>,
    text: Vec<u8>,
}

/// More events than are usually under way. Together they fit into the processor's L2 cache.
const SLOTS: usize = 256;
/// For longer texts, decoding costs little more than comparing.
const TEXT_BYTES_MAX: usize = 1024;

impl RecentEvents {
    pub(crate) fn new() -> Self {
        Self { slots: vec![RecentEvent::default(); SLOTS].into_boxed_slice() }
    }

    /// Removes an event of the topic from `input` if `input` starts with the text of that event.
    #[inline]
    pub(crate) fn strip(&self, topic: u32, number: u32, input: &mut &[u8]) -> Option<Stamp> {
        let slot = &self.slots[place(topic, number)];
        let stamp = slot.stamp.filter(|stamp| (stamp.topic, stamp.number) == (topic, number))?;
        *input = input.strip_prefix(slot.text.as_slice())?;
        Some(stamp)
    }

    /// Keeps text that starts and ends between two events and decodes to exactly this event.
    pub(crate) fn keep(&mut self, stamp: Stamp, text: &[u8]) {
        let slot = &mut self.slots[place(stamp.topic, stamp.number)];
        if slot.stamp == Some(stamp) || text.len() > TEXT_BYTES_MAX {
            return;
        }
        slot.stamp = Some(stamp);
        slot.text.clear();
        slot.text.extend_from_slice(text);
    }
}

#[inline]
fn place(topic: u32, number: u32) -> usize {
    (topic.wrapping_mul(31).wrapping_add(number)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { topic: 1, number: 2, sent: 3 };

    #[test]
    fn only_the_very_text_of_the_very_event_is_taken() {
        let mut recent = RecentEvents::new();
        recent.keep(STAMP, b"data: a\n\n");
        for (topic, number, text, taken) in [
            (1, 2, "data: a\n\n", true),
            (1, 2, "data: a\n\ndata: b", true),
            (1, 2, "data: a\n", false),
            (1, 2, "data: b\n\n", false),
            (1, 3, "data: a\n\n", false),
            (2, 2, "data: a\n\n", false),
            (1, 2 + SLOTS as u32, "data: a\n\n", false),
        ] {
            let mut input = text.as_bytes();
            let stamp = recent.strip(topic, number, &mut input);
            assert_eq!(stamp, taken.then_some(STAMP), "{topic} {number} {text:?}");
            assert_eq!(text.len() - input.len(), if taken { 9 } else { 0 });
        }
    }

    #[test]
    fn the_first_text_of_an_event_stays_and_a_long_one_is_not_kept() {
        let mut recent = RecentEvents::new();
        recent.keep(STAMP, &[b'x'; TEXT_BYTES_MAX + 1]);
        assert_eq!(recent.strip(1, 2, &mut [b'x'; TEXT_BYTES_MAX + 1].as_slice()), None);
        recent.keep(STAMP, b"id: 1\ndata: a\n\n");
        recent.keep(STAMP, b"id: 2\ndata: a\n\n");
        assert_eq!(recent.strip(1, 2, &mut b"id: 1\ndata: a\n\n".as_slice()), Some(STAMP));
    }
}
