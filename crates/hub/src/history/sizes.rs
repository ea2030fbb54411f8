//! The sizes of a topic's entries, as a limit on bytes counts them.

use std::collections::VecDeque;

use crate::journal::{Content, Entry};
use crate::topic::Topic;

/// The sizes of the entries that a topic holds, from the oldest to the newest.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    sizes: VecDeque<u32>,
    sum: usize,
}

/// Bytes that an event is counted with beside its text: about what its place in history takes.
pub(crate) const ENTRY_BYTES: usize = 64;
/// Below this, a list's spare room is not worth giving back.
const SPARE_MIN: usize = 64;

impl Sizes {
    pub(super) fn push(&mut self, entry: &Entry) {
        self.push_size(size_of_entry(entry));
    }

    pub(super) fn push_size(&mut self, size: u32) {
        self.sum += size as usize;
        self.sizes.push_back(size);
    }

    /// Forgets the oldest.
    pub(super) fn pop(&mut self) {
        self.sum -= self.sizes.pop_front().unwrap_or_default() as usize;
        if self.sizes.capacity() > SPARE_MIN && self.sizes.len() * 4 < self.sizes.capacity() {
            self.sizes.shrink_to(self.sizes.len() * 2);
        }
    }

    pub(super) fn sum(&self) -> usize {
        self.sum
    }

    /// The sum without the oldest so many.
    pub(super) fn sum_from(&self, at: usize) -> usize {
        self.sizes.range(at.min(self.sizes.len())..).map(|size| *size as usize).sum()
    }

    /// Bytes that it costs.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.sizes.capacity() * size_of::<u32>()
    }
}

/// The size of an entry, as a limit on bytes counts it. Limits are about events alone.
pub(super) fn size_of_entry(entry: &Entry) -> u32 {
    let Content::Event(event) = &entry.content else { return 0 };
    let id = event.id().map_or(0, |id| id.as_str().len());
    let event_type = Some(event.event_type()).filter(|it| !it.is_message());
    let text = event.data().len() + id + event_type.map_or(0, |it| it.as_str().len());
    let names = entry.topics.as_slice().iter().map(Topic::as_str).map(str::len).sum::<usize>();
    u32::try_from(ENTRY_BYTES + text + names).unwrap_or(u32::MAX)
}
