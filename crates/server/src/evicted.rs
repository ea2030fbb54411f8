//! Events that history has evicted and that live on because their readers have stopped in them. Their
//! memory is outside the history's budget, so it has a limit of its own: beyond it, the streams that have
//! stopped in the oldest of them are closed.

use std::collections::BTreeMap;

use tidings_hub::Sequence;

/// The evicted events in which streams have stopped, as a pass over all streams has found them.
#[derive(Debug)]
pub(crate) struct EvictedRests<S> {
    events: BTreeMap<Sequence, Kept<S>>,
}

/// An event that lives on, and the streams that have stopped in it.
#[derive(Debug)]
struct Kept<S> {
    bytes: usize,
    streams: Vec<S>,
}

impl<S> Default for EvictedRests<S> {
    fn default() -> Self {
        Self { events: BTreeMap::new() }
    }
}

impl<S> EvictedRests<S> {
    /// Adds a stream that has stopped in the event at a sequence, which takes so many bytes.
    pub(crate) fn add(&mut self, event: Sequence, bytes: usize, stream: S) {
        let kept = self.events.entry(event).or_insert(Kept { bytes, streams: Vec::new() });
        kept.streams.push(stream);
    }

    /// Takes the streams to close, so that the events of the others have at most `bytes_max` bytes.
    pub(crate) fn take_beyond(&mut self, bytes_max: usize) -> Vec<S> {
        let events = std::mem::take(&mut self.events);
        let mut bytes: usize = events.values().map(|kept| kept.bytes).sum();
        let mut beyond = Vec::new();
        for kept in events.into_values() {
            if bytes <= bytes_max {
                break;
            }
            bytes -= kept.bytes;
            beyond.extend(kept.streams);
        }
        beyond
    }
}
