//! Appending the steps of a copy.

use super::Appender;
use crate::cursor::Sequence;
use crate::draft::Draft;
use crate::journal::copied::Copied;
use crate::journal::disk::feed::Written;
use crate::journal::disk::storage::Failure;
use crate::journal::{Content, Entry, Submission};

impl Appender {
    /// Returns whether a place is too far from the first one of the segment to be in it.
    pub(in crate::journal::disk) fn is_far(&self, through: Sequence) -> bool {
        through.get().saturating_sub(self.segment.base.get()) > u64::from(u32::MAX)
    }

    /// Makes the next segment begin after a place.
    pub(in crate::journal::disk) fn begin_after(&mut self, after: Sequence) {
        self.tail = self.tail.max(after);
    }

    /// Adds a step to the portion. What the copy has already is left out.
    pub(in crate::journal::disk) fn push_copied(&mut self, step: Copied) {
        let Copied { entries, lost, end, .. } = step;
        if end.through <= self.tail.max(self.portion.newest()) {
            return;
        }
        for (entry, key) in entries {
            self.time = self.time.max(entry.time);
            let sequence = entry.sequence;
            let submission = into_submission(entry, key);
            self.portion.push_at(sequence, submission, self.time);
        }
        self.time = self.time.max(end.time);
        self.portion.push_end(&end, lost, self.time);
    }

    /// Writes the portion, and returns what has been written; `None` if it is empty.
    ///
    /// # Errors
    ///
    /// [`Failure`]. After [`Failure::Refused`] the portion is still to be written.
    pub(in crate::journal::disk) fn commit_copied(&mut self) -> Result<Option<Written>, Failure> {
        if self.portion.is_empty() {
            return Ok(None);
        }
        self.write()?;
        self.end = self.portion.end();
        self.segment.add(self.end, |index| self.portion.add_to(index));
        let through = self.portion.newest();
        let (entries, lost) = (self.portion.take_entries(), self.portion.take_lost());
        self.tail = through;
        self.catalog.set_tail(through);
        self.restart_portion();
        Ok(Some(Written { entries, lost, through }))
    }
}

fn into_submission(entry: Entry, key: Option<crate::draft::IdempotencyKey>) -> Submission {
    let Entry { topics, private, via, content, .. } = entry;
    let canonical = topics.as_slice().first().cloned();
    match (content, canonical) {
        (Content::Close, Some(topic)) => Submission::Close(topic),
        (Content::Stream(mark), Some(topic)) => Submission::Stream(topic, mark),
        (Content::Event(event), _) => Submission::Event(Draft {
            is_repeat: false,
            is_apart: false,
            topics,
            private,
            event,
            idempotency: key,
            via,
        }),
        (Content::Close | Content::Stream(_), None) => unreachable!("an entry has a topic"),
    }
}
