//! The feed: from the messages that were read to the hub.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::copies::Copies;
use super::place::end_of;
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::disk::shared::Answered;
use crate::journal::{Content, Copied, Entry, Lost};
use crate::streams::StreamState;
use crate::time::Time;
use crate::topic::Topic;

/// The entries that were read and that the hub has not taken.
pub(super) struct Fed {
    entries: Vec<Entry>,
    lost: Vec<Lost>,
    bytes: usize,
    /// The newest message that was read, and the newest one whose entries were taken.
    through: u64,
    taken_through: u64,
    wakers: Vec<Waker>,
    /// The steps to be copied, instead of entries that are handed to the hub.
    copies: Option<Box<Copies>>,
    /// Answers to publishers whose entries are not copied yet, after the messages that have them. There are no more
    /// than entries to be copied.
    uncopied: VecDeque<(u64, Answered)>,
}

/// Bytes of entries at which no more is read until the hub has taken them.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Losses that the hub has not taken. Beyond them, the last one is widened.
const LOST_MAX: usize = 1024;

impl Fed {
    pub(super) fn new(through: u64) -> Self {
        let (entries, lost, wakers, uncopied) = Default::default();
        let (bytes, taken_through, copies) = (0, through, None);
        Self { entries, lost, bytes, through, taken_through, wakers, copies, uncopied }
    }

    /// The entries of a hub that copies them first.
    pub(super) fn to_be_copied(through: u64) -> Self {
        Self { copies: Some(Box::new(Copies::new(through))), ..Self::new(through) }
    }

    pub(super) fn push(&mut self, entry: Entry, key: Option<&IdempotencyKey>) {
        self.bytes += bytes_of(&entry);
        match &mut self.copies {
            Some(copies) => copies.push(entry, key.cloned()),
            None => self.entries.push(entry),
        }
    }

    /// Adds an entry that is for the copy alone, if there is one.
    pub(super) fn push_to_copy(&mut self, entry: Entry) {
        if let Some(copies) = &mut self.copies {
            self.bytes += bytes_of(&entry);
            copies.push(entry, None);
        }
    }

    /// Has the copy keep how streams stand, with the next message. Without a copy, nothing is kept.
    pub(super) fn keep_streams(&mut self, states: Vec<(Topic, StreamState)>) {
        if let Some(copies) = &mut self.copies {
            copies.keep_streams(states);
        }
    }

    /// Notes that everything up to a message was read, which the store took at a time.
    pub(super) fn pass(&mut self, message: u64, time: Time, digest: (u64, u64)) {
        self.through = message;
        if let Some(copies) = &mut self.copies {
            copies.end(message, time, digest);
        }
    }

    /// Notes messages, both ends included, whose entries cannot be known.
    pub(super) fn lose(&mut self, first: u64, last: u64) {
        self.note(Lost::new(end_of(first - 1).next(), end_of(last)));
    }

    pub(super) fn lose_one(&mut self, sequence: Sequence) {
        self.note(Lost::new(sequence, sequence));
    }

    fn note(&mut self, lost: Lost) {
        if let Some(copies) = &mut self.copies {
            return copies.lose(lost);
        }
        let is_full = self.lost.len() >= LOST_MAX;
        match self.lost.last_mut() {
            Some(last) if is_full || last.last.next() == lost.first => {
                last.last = lost.last;
            }
            _ => self.lost.push(lost),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX
    }

    pub(super) fn taken_through(&self) -> u64 {
        self.taken_through
    }

    pub(super) fn await_taken(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|other| other.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Moves everything to a list, and returns whether there was something, and the wakers of those who wait
    /// for that.
    pub(super) fn take(&mut self, entries: &mut Vec<Entry>) -> (bool, Vec<Waker>) {
        let has_some = !self.entries.is_empty() || !self.lost.is_empty();
        let mut wakers = Vec::new();
        if self.taken_through < self.through {
            self.taken_through = self.through;
            wakers = self.take_wakers();
        }
        entries.append(&mut self.entries);
        self.bytes = 0;
        (has_some, wakers)
    }

    /// Takes the steps that are to be copied.
    pub(super) fn poll_copies(&mut self) -> Poll<Vec<Copied>> {
        let Some(copies) = &mut self.copies else { return Poll::Pending };
        let polled = copies.poll_take();
        if polled.is_ready() {
            self.bytes = 0;
        }
        polled
    }

    /// Notes that everything up to a message can be read from the copy. Publishers are answered then.
    pub(super) fn note_copied(&mut self, message: u64, answered: &mut Answered) {
        self.taken_through = self.taken_through.max(message);
        while let Some((_, answers)) = self.uncopied.pop_front_if(|(at, _)| *at <= message) {
            answered.extend(answers);
        }
    }

    /// Keeps answers back until the hub has what was read, or can read it: a publisher that was answered finds
    /// its events.
    pub(super) fn keep_back(&mut self, answered: &mut Answered) {
        if self.copies.is_some() && !answered.is_empty() {
            self.uncopied.push_back((self.through, std::mem::take(answered)));
        }
    }

    /// Gives the answers that were kept back: nothing is copied from now on.
    pub(super) fn stop(&mut self, answered: &mut Answered) {
        answered.extend(self.uncopied.drain(..).flat_map(|(_, answers)| answers));
    }

    pub(super) fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }
}

/// Estimates the memory an entry takes.
fn bytes_of(entry: &Entry) -> usize {
    let data = match &entry.content {
        Content::Event(event) => event.data().len(),
        _ => 0,
    };
    size_of::<Entry>() + data
}
