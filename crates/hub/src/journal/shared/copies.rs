//! Copies: from the messages that were read to a journal in the hub's own folder.

use std::task::Poll;

use super::place::{end_of, message_of};
use crate::draft::IdempotencyKey;
use crate::journal::{Copied, CopiedTo, Entry, Lost};
use crate::time::Time;

/// The steps that have not been copied yet: one for each message.
pub(super) struct Copies {
    steps: Vec<Copied>,
    /// The entries of the message that is being read, and what cannot be known up to there.
    entries: Vec<(Entry, Option<IdempotencyKey>)>,
    lost: Vec<Lost>,
    /// The newest message of which there is a step.
    through: u64,
}

impl Copies {
    pub(super) fn new(through: u64) -> Self {
        let (steps, entries, lost) = Default::default();
        Self { steps, entries, lost, through }
    }

    pub(super) fn push(&mut self, entry: Entry, key: Option<IdempotencyKey>) {
        self.entries.push((entry, key));
    }

    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost.push(lost);
    }

    /// Ends the step of a message.
    pub(super) fn end(&mut self, message: u64, time: Time, digest: (u64, u64)) {
        let after = end_of(message.saturating_sub(1)).max(end_of(self.through));
        let mut step = Copied::new(after, CopiedTo::new(end_of(message), time, digest));
        step.entries = std::mem::take(&mut self.entries);
        step.lost = std::mem::take(&mut self.lost);
        self.steps.push(step);
        self.through = message;
    }

    pub(super) fn poll_take(&mut self) -> Poll<Vec<Copied>> {
        match self.steps.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(std::mem::take(&mut self.steps)),
        }
    }
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
