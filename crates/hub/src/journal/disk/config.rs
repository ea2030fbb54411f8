//! The configuration of a disk journal.

/// How a disk journal keeps its files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiskConfig {
    /// Maximum size of the segments in bytes, 10 GiB by default. The oldest segments are removed as a
    /// whole, so the folder takes at most this size plus two segments.
    pub bytes_max: u64,
    /// Size in bytes at which a segment is full, 16 MiB by default. Segments are removed as a whole, and
    /// the newest one is read completely when the journal is opened.
    pub segment_bytes: u64,
    /// Maximum size in bytes of submissions that wait to be written, 64 MiB by default: some seconds of
    /// work for a slow disk. Further submissions are refused.
    pub queue_bytes_max: usize,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { bytes_max: 10 << 30, segment_bytes: 16 << 20, queue_bytes_max: 64 << 20 }
    }
}

impl DiskConfig {
    /// Sets the maximum size of the segments.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sets the size at which a segment is full, at most 1 GiB.
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = segment_bytes.min(SEGMENT_BYTES_MAX);
        self
    }
}

/// Positions in a segment, including the end of its last record, must fit a `u32`.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
