//! The pending block: its fields before the blank line, where they lie and where they are kept.

use alloc::vec::Vec;

/// The part of the pending block that this call has found, which is in the input. It goes before what is
/// [`Kept`], except data, which is moved there as soon as there are two lines of it.
#[derive(Default)]
pub(super) struct Found<'i> {
    pub(super) data: Option<&'i [u8]>,
    pub(super) event_type: Option<&'i [u8]>,
    pub(super) id: Option<&'i [u8]>,
    /// Counts against the limit, for the whole block.
    pub(super) bytes: usize,
}

/// The part of the pending block that earlier calls have found.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) has_data: bool,
    pub(super) has_id: bool,
    pub(super) data: Vec<u8>,
    pub(super) event_type: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) bytes: usize,
}

impl Kept {
    pub(super) fn is_clear(&self) -> bool {
        !self.has_data && self.bytes == 0 && !self.has_id
    }

    pub(super) fn keep(&mut self, found: Found<'_>) {
        if let Some(data) = found.data {
            self.push_data(data);
        }
        if let Some(event_type) = found.event_type {
            self.event_type.clear();
            self.event_type.extend_from_slice(event_type);
        }
        if let Some(id) = found.id {
            self.has_id = true;
            self.id.clear();
            self.id.extend_from_slice(id);
        }
        self.bytes = found.bytes;
    }

    pub(super) fn push_data(&mut self, line: &[u8]) {
        #[cfg(test)]
        super::work::copied(line.len());
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(line);
    }

    pub(super) fn clear(&mut self) {
        self.has_data = false;
        self.has_id = false;
        self.bytes = 0;
        recycle(&mut self.data);
        recycle(&mut self.event_type);
        recycle(&mut self.id);
    }
}

/// Empties a buffer for its next use; one that had to grow far is given back.
pub(super) fn recycle(buffer: &mut Vec<u8>) {
    if buffer.capacity() > RECYCLED_BYTES_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

/// Large enough for nearly all events, small enough to keep for each of many quiet streams.
pub(super) const RECYCLED_BYTES_MAX: usize = 64 * 1024;
