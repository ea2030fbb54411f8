//! The trailer of a sealed segment: the last bytes of its file, which describe the footer before them.

use std::ops::Range;

use super::blocks::packed_bytes;
use super::bytes::{Found, Input, Preamble, Salt};
use crate::cursor::Sequence;
use crate::time::Time;

const PREAMBLE: Preamble = Preamble { magic: *b"TIDINGSE" };

/// The description of a sealed segment, kept in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trailer {
    pub(super) salt: Salt,
    /// The position of the footer, where the records end.
    pub(super) footer_at: u64,
    /// The newest sequence, or the place before the segment.
    pub(super) last: Sequence,
    /// The commit times of the first and the last record.
    pub(super) times: (Time, Time),
    pub(super) counts: Counts,
}

/// The number of elements in each section of a footer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) records: u32,
    pub(super) topics: u32,
    pub(super) name_bytes: u32,
    pub(super) postings: u32,
    pub(super) ids: u32,
    pub(super) key_bytes: u32,
    pub(super) lost: u32,
}

/// The ranges of the sections in a footer's data.
pub(super) struct Sections {
    pub(super) records: Range<u64>,
    pub(super) topics: Range<u64>,
    pub(super) names: Range<u64>,
    pub(super) postings: Range<u64>,
    pub(super) ids: Range<u64>,
    pub(super) keys: Range<u64>,
    pub(super) lost: Range<u64>,
}

/// Size of an element of each section.
pub(super) mod element {
    pub(in super::super) const RECORD: u64 = 8;
    pub(in super::super) const TOPIC: u64 = 16;
    pub(in super::super) const POSTING: u64 = 4;
    pub(in super::super) const ID: u64 = 12;
    pub(in super::super) const LOST: u64 = 16;
}

impl Counts {
    pub(super) fn sections(&self) -> Sections {
        let mut end = 0;
        let mut next = |count: u32, bytes: u64| {
            let start = end;
            end += u64::from(count) * bytes;
            start..end
        };
        Sections {
            records: next(self.records, element::RECORD),
            topics: next(self.topics, element::TOPIC),
            names: next(self.name_bytes, 1),
            postings: next(self.postings, element::POSTING),
            ids: next(self.ids, element::ID),
            keys: next(self.key_bytes, 1),
            lost: next(self.lost, element::LOST),
        }
    }

    pub(super) fn data_bytes(&self) -> u64 {
        self.sections().lost.end
    }
}

impl Trailer {
    pub(super) const BYTES: usize = Preamble::BYTES + 64;

    /// Returns the size of the segment's file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.footer_at + packed_bytes(self.counts.data_bytes()) + Self::BYTES as u64
    }

    /// Returns whether records have been left out of the segment, which starts with a sequence.
    pub(super) fn is_cleaned(&self, base: Sequence) -> bool {
        let sequences = (self.last.get() + 1).saturating_sub(base.get());
        self.counts.lost == 0 && u64::from(self.counts.records) < sequences
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = PREAMBLE.begin();
        let wide = [
            self.footer_at,
            self.last.get(),
            self.times.0.unix_millis(),
            self.times.1.unix_millis(),
        ];
        let counts = &self.counts;
        let narrow = [
            counts.records,
            counts.topics,
            counts.name_bytes,
            counts.postings,
            counts.ids,
            counts.key_bytes,
            counts.lost,
            self.salt.checksum(0, &[]),
        ];
        wide.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        narrow.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        Preamble::close(bytes)
    }

    /// Decodes the trailer of a segment's file of a given size. `None` if it is not sound.
    pub(super) fn decode(bytes: &[u8], salt: Salt, file_bytes: u64) -> Option<Self> {
        if PREAMBLE.find(bytes) != Found::Sound {
            return None;
        }
        let mut input = Input(&bytes[Preamble::BYTES..]);
        let (footer_at, last) = (input.u64()?, input.sequence()?);
        let times = (Time::from_unix_millis(input.u64()?), Time::from_unix_millis(input.u64()?));
        let counts = Counts {
            records: input.u32()?,
            topics: input.u32()?,
            name_bytes: input.u32()?,
            postings: input.u32()?,
            ids: input.u32()?,
            key_bytes: input.u32()?,
            lost: input.u32()?,
        };
        let is_of_segment = input.u32()? == salt.checksum(0, &[]) && footer_at <= file_bytes;
        let trailer = Self { salt, footer_at, last, times, counts };
        (is_of_segment && trailer.file_bytes() == file_bytes).then_some(trailer)
    }
}
