//! The footer of a sealed segment: an index that a lookup reads a few blocks of.

use std::io;
use std::ops::Range;

use super::blocks::{Packed, damaged};
use super::bytes::{Identity, Input};
use super::damage::Lost;
use super::index::Placed;
use super::storage::StorageFile;
use super::trailer::{Sections, Trailer, element};
use crate::cursor::Sequence;
use crate::topic::Topic;

/// The footer of a segment whose file is open.
///
/// Every method fails with [`io::ErrorKind::InvalidData`] if a block that it reads is damaged.
pub(super) struct Footer<'a> {
    packed: Packed<'a>,
    trailer: Trailer,
    sections: Sections,
    base: Sequence,
}

/// Elements at which a binary search ends and reads the rest: a block or two.
const READ_AHEAD: u64 = 512;

impl<'a> Footer<'a> {
    pub(super) fn new(file: &'a dyn StorageFile, trailer: Trailer, base: Sequence) -> Self {
        let packed = Packed {
            file,
            at: trailer.footer_at,
            data_bytes: trailer.counts.data_bytes(),
            salt: trailer.salt,
        };
        Self { packed, trailer, sections: trailer.counts.sections(), base }
    }

    /// Verifies all blocks.
    pub(super) fn check(&self) -> io::Result<()> {
        self.packed.read(0..self.packed.data_bytes).map(drop)
    }

    /// Reads some elements of a section.
    fn elements(&self, section: &Range<u64>, bytes: u64, of: Range<u64>) -> io::Result<Vec<u8>> {
        let range = section.start + of.start * bytes..section.start + of.end * bytes;
        if range.end > section.end {
            return Err(damaged());
        }
        self.packed.read(range)
    }

    /// Finds the first record after a sequence.
    pub(super) fn position_after(&self, after: Sequence) -> io::Result<u32> {
        let count = u64::from(self.trailer.counts.records);
        let Some(delta) = (after.get() + 1).checked_sub(self.base.get()) else { return Ok(0) };
        let is_dense = self.trailer.last.get() + 1 == self.base.get() + count;
        if is_dense || delta > u64::from(u32::MAX) {
            return Ok(delta.min(count) as u32);
        }
        let at = self.partition_point(&self.sections.records, element::RECORD, |record| {
            record.u32().is_some_and(|other| u64::from(other) < delta)
        })?;
        Ok(at as u32)
    }

    /// Reads the positions of up to `max` records from `from`, and an upper bound of the last one's end.
    pub(super) fn records(&self, from: u32, max: usize) -> io::Result<(Vec<Placed>, u32)> {
        let count = u64::from(self.trailer.counts.records);
        let from = u64::from(from).min(count);
        let until = from.saturating_add(max as u64).min(count);
        // One more record: it begins where the last one ends.
        let read = from..(until + 1).min(count);
        let bytes = self.elements(&self.sections.records, element::RECORD, read)?;
        let mut input = Input(&bytes);
        let mut placed = Vec::with_capacity(max.min(bytes.len() / 8 + 1));
        while let (Some(delta), Some(at)) = (input.u32(), input.u32()) {
            placed.push(Placed { delta, at });
        }
        let end = match until < count {
            true => placed.pop().ok_or_else(damaged)?.at,
            false => self.trailer.footer_at as u32,
        };
        Ok((placed, end))
    }

    /// Appends the numbers of up to `max` records of a topic from `from`.
    pub(super) fn records_of(
        &self,
        identity: &Identity,
        topic: &Topic,
        (from, max): (u32, usize),
        out: &mut Vec<u32>,
    ) -> io::Result<()> {
        let Some(postings) = self.postings(identity.hash(topic.as_str()), topic)? else {
            return Ok(());
        };
        let of_topic = Range {
            start: self.sections.postings.start + postings.start * element::POSTING,
            end: self.sections.postings.start + postings.end * element::POSTING,
        };
        let start = postings.start
            + self.partition_point(&of_topic, element::POSTING, |posting| {
                posting.u32().is_some_and(|record| record < from)
            })?;
        let read = start..start.saturating_add(max as u64).min(postings.end);
        let bytes = self.elements(&self.sections.postings, element::POSTING, read)?;
        let mut input = Input(&bytes);
        out.extend(std::iter::from_fn(|| input.u32()));
        Ok(())
    }

    /// Passes the name of each topic and the numbers of its records to `visit`.
    pub(super) fn each_topic(&self, visit: &mut dyn FnMut(&str, &[u32])) -> io::Result<()> {
        let topics = self.packed.read(self.sections.topics.clone())?;
        let names = self.packed.read(self.sections.names.clone())?;
        let postings = self.packed.read(self.sections.postings.clone())?;
        let postings: Vec<u32> = {
            let mut input = Input(&postings);
            std::iter::from_fn(|| input.u32()).collect()
        };
        let place = |topic: &[u8]| {
            let mut input = Input(topic);
            input.u64()?;
            Some((input.u32()? as usize, input.u32()? as usize))
        };
        let mut topics = topics.chunks_exact(element::TOPIC as usize).peekable();
        while let Some(topic) = topics.next() {
            let (name_at, start) = place(topic).ok_or_else(damaged)?;
            let end = match topics.peek() {
                Some(next) => place(next).ok_or_else(damaged)?.1,
                None => postings.len(),
            };
            let len = names.get(name_at..name_at + 2).ok_or_else(damaged)?;
            let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
            let name = names.get(name_at + 2..name_at + 2 + len).ok_or_else(damaged)?;
            let name = std::str::from_utf8(name).map_err(|_| damaged())?;
            visit(name, postings.get(start..end).ok_or_else(damaged)?);
        }
        Ok(())
    }

    /// Finds the range of a topic's postings.
    fn postings(&self, hash: u64, topic: &Topic) -> io::Result<Option<Range<u64>>> {
        let topics = &self.sections.topics;
        let count = u64::from(self.trailer.counts.topics);
        let mut at = self.lower_bound(topics, element::TOPIC, hash)?;
        while at < count {
            let bytes = self.elements(topics, element::TOPIC, at..(at + 2).min(count))?;
            let mut input = Input(&bytes);
            let found = (input.u64(), input.u32(), input.u32());
            let (Some(other), Some(name_at), Some(start)) = found else { return Err(damaged()) };
            if other != hash {
                break;
            }
            if self.name(name_at)? == topic.as_str().as_bytes() {
                let end = match input.take(12) {
                    Some(_) => input.u32().ok_or_else(damaged)?,
                    None => self.trailer.counts.postings,
                };
                return Ok(Some(start.into()..end.into()));
            }
            at += 1;
        }
        Ok(None)
    }

    fn name(&self, at: u32) -> io::Result<Vec<u8>> {
        let names = &self.sections.names;
        let at = u64::from(at);
        let len = self.elements(names, 1, at..at + 2)?;
        let len = u16::from_le_bytes(len.try_into().map_err(|_| damaged())?);
        self.elements(names, 1, at + 2..at + 2 + u64::from(len))
    }

    /// Reads the numbers of the records whose ID has a hash, in order.
    pub(super) fn records_with_id(&self, hash: u64) -> io::Result<Vec<u32>> {
        let count = u64::from(self.trailer.counts.ids);
        let mut records = Vec::new();
        if count == 0 {
            return Ok(records);
        }
        let mut at = self.lower_bound(&self.sections.ids, element::ID, hash)?;
        while at < count {
            let read = at..(at + READ_AHEAD).min(count);
            at = read.end;
            let bytes = self.elements(&self.sections.ids, element::ID, read)?;
            let mut input = Input(&bytes);
            while let (Some(other), Some(record)) = (input.u64(), input.u32()) {
                if other != hash {
                    return Ok(records);
                }
                records.push(record);
            }
        }
        Ok(records)
    }

    /// Reads the spans of idempotency keys.
    pub(super) fn keys(&self) -> io::Result<Vec<u8>> {
        self.packed.read(self.sections.keys.clone())
    }

    /// Reads the losses known when the segment was sealed.
    pub(super) fn lost(&self) -> io::Result<Vec<Lost>> {
        let bytes = self.packed.read(self.sections.lost.clone())?;
        let mut input = Input(&bytes);
        let mut lost = Vec::new();
        while let (Some(first), Some(last)) = (input.sequence(), input.sequence()) {
            lost.push(Lost { first, last });
        }
        Ok(lost)
    }

    /// Finds the first element with a hash of at least `hash`, in a section sorted by hash.
    ///
    /// Hashes are distributed evenly, so the position can be estimated: usually one read of a few blocks
    /// is enough.
    fn lower_bound(&self, section: &Range<u64>, bytes: u64, hash: u64) -> io::Result<u64> {
        let count = (section.end - section.start) / bytes;
        let expected = ((u128::from(hash) * u128::from(count)) >> 64) as u64;
        let slack = count.isqrt() + 16;
        let range = expected.saturating_sub(slack)..(expected + slack).min(count);
        let read = self.elements(section, bytes, range.clone())?;
        let is_below = |element: &[u8]| Input(element).u64().is_some_and(|other| other < hash);
        let below = read.chunks_exact(bytes as usize).take_while(|element| is_below(element));
        let at = range.start + below.count() as u64;
        let is_certain = (at > range.start || at == 0) && (at < range.end || at == count);
        if is_certain {
            return Ok(at);
        }
        self.partition_point(section, bytes, |element| {
            element.u64().is_some_and(|other| other < hash)
        })
    }

    /// Counts the elements at the start of a section for which `is_before` holds.
    fn partition_point(
        &self,
        section: &Range<u64>,
        bytes: u64,
        is_before: impl Fn(&mut Input<'_>) -> bool,
    ) -> io::Result<u64> {
        let (mut low, mut high) = (0, (section.end - section.start) / bytes);
        while high - low > READ_AHEAD {
            let middle = low + (high - low) / 2;
            let element = self.elements(section, bytes, middle..middle + 1)?;
            match is_before(&mut Input(&element)) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let rest = self.elements(section, bytes, low..high)?;
        let before = rest.chunks_exact(bytes as usize);
        Ok(low + before.take_while(|element| is_before(&mut Input(element))).count() as u64)
    }
}
