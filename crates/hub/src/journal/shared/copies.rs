//! Copies: from the messages that were read to a journal in the hub's own folder.

use std::collections::HashMap;
use std::task::Poll;

use super::place::{end_of, message_of, sequence};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::{Content, Copied, CopiedTo, Entry, Lost};
use crate::streams::{StreamMark, StreamState};
use crate::time::Time;
use crate::topic::Topic;

/// The steps that have not been copied yet: one for each message.
pub(super) struct Copies {
    steps: Vec<Copied>,
    /// The entries of the message that is being read, and what cannot be known up to there.
    entries: Vec<(Entry, Option<IdempotencyKey>)>,
    lost: Vec<Lost>,
    /// The newest message of which there is a step.
    through: u64,
    /// How streams stand that the copy is to keep. They are written after the entries of a message, in places that no
    /// entry has.
    streams: HashMap<Topic, StreamState>,
}

/// Streams that wait for a message to be kept with. A hub asks for the others again some seconds later.
const STREAMS_MAX: usize = 4096;
/// Streams that are kept with one message: some hundred kilobytes, well below a segment.
const STREAMS_AT_ONCE: usize = 1024;

impl Copies {
    pub(super) fn new(through: u64) -> Self {
        let (steps, entries, lost, streams) = Default::default();
        Self { steps, entries, lost, through, streams }
    }

    pub(super) fn keep_streams(&mut self, states: Vec<(Topic, StreamState)>) {
        for (topic, state) in states {
            if self.streams.len() < STREAMS_MAX || self.streams.contains_key(&topic) {
                self.streams.insert(topic, state);
            }
        }
    }

    pub(super) fn push(&mut self, entry: Entry, key: Option<IdempotencyKey>) {
        self.entries.push((entry, key));
    }

    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost.push(lost);
    }

    /// Ends the step of a message.
    pub(super) fn end(&mut self, message: u64, time: Time, digest: (u64, u64)) {
        self.add_streams(message, time);
        let after = end_of(message.saturating_sub(1)).max(end_of(self.through));
        let mut step = Copied::new(after, CopiedTo::new(end_of(message), time, digest));
        step.entries = std::mem::take(&mut self.entries);
        step.lost = std::mem::take(&mut self.lost);
        self.steps.push(step);
        self.through = message;
    }

    /// Adds the streams that are to be kept to the entries of a message, as far as it has places for them. Places of a
    /// message of which something is lost may be lost.
    fn add_streams(&mut self, message: u64, time: Time) {
        if self.streams.is_empty() || !self.lost.is_empty() {
            return;
        }
        let last = self.entries.last().map(|(entry, _)| entry.sequence);
        let mut next = last.map_or_else(|| sequence(message, 0), Sequence::next);
        let places = places_from(next).min(STREAMS_AT_ONCE);
        let kept: Vec<_> = self.streams.keys().take(places).cloned().collect();
        for topic in kept {
            let Some(state) = self.streams.remove(&topic) else { continue };
            let told = Content::Stream(StreamMark::Told(Box::new(state)));
            self.entries.push((Entry::new(next, time, topic.into(), told), None));
            next = next.next();
        }
    }

    pub(super) fn poll_take(&mut self) -> Poll<Vec<Copied>> {
        match self.steps.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(std::mem::take(&mut self.steps)),
        }
    }
}

/// The places of a message from one of them on, but for its end.
fn places_from(next: Sequence) -> usize {
    (end_of(message_of(next)).get() - next.get()) as usize
}

/// The place at which a copy stands when it is opened: its newest message.
#[derive(Clone, Copy)]
pub(super) struct Resumed {
    /// Messages up to here are in the copy: they are read once more, for what decides on later ones.
    pub(super) through: u64,
    digest: (u64, u64),
}

impl Resumed {
    pub(super) fn new(copied: &CopiedTo) -> Self {
        Self { through: message_of(copied.through), digest: copied.digest }
    }

    /// The first message of the digest.
    pub(super) fn digest_from(&self) -> u64 {
        self.digest.0
    }

    /// Returns whether the messages have this digest; `None` if they are no longer there.
    pub(super) fn is_same(&self, digest: Option<u64>) -> Option<bool> {
        digest.map(|digest| digest == self.digest.1)
    }
}
