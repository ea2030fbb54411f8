//! The newest records that were removed with their segments, by topic, but for those of which readers are sent nothing.
//!
//! A reader whose place is before the oldest record has lost something only if a record of its topic was
//! removed after that place. The table is kept in a file, so that this is known after a restart as well.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::bytes::{Found, Identity, Input, Preamble};
use super::fetch::fetch;
use super::index::NO_EVENTS;
use super::record::Decoded;
use super::segment::{Segment, Selection};
use super::storage::{Access, Storage, StorageFile};
use crate::cursor::Sequence;
use crate::journal::{Content, DroppedEntries};
use crate::streams::{EndNotice, StreamMark};
use crate::topic::Topic;

/// The name of the file.
pub(super) const NAME: &str = "dropped";
/// The name under which a new file is written before it replaces the old one.
const NAME_NEW: &str = "dropped.new";
const PREAMBLE: Preamble = Preamble { magic: *b"TIDINGSD" };
/// Bytes before the topics.
const HEAD_BYTES: usize = Preamble::BYTES + 32;
/// Bytes of a topic.
const TOPIC_BYTES: usize = 16;
/// Maximum number of topics: 4 MiB of memory and of disk. The topics whose records were removed longest ago are
/// forgotten first.
const TOPICS_MAX: usize = 256 * 1024;

/// The newest removed record of each topic.
#[derive(Clone)]
pub(super) struct Dropped {
    identity: Identity,
    /// Everything removed up to here is in the table.
    through: Sequence,
    /// The newest removed record of a topic that is not in the table, at most.
    forgotten_through: Sequence,
    /// Hashes of topics and sequences, in order.
    topics: Vec<(u64, Sequence)>,
}

impl Dropped {
    /// Reads the table of a journal whose oldest record is after `oldest`. What it does not know may have been
    /// removed from any topic.
    pub(super) fn read(storage: &dyn Storage, identity: Identity, oldest: Sequence) -> Self {
        let none = Self {
            identity,
            through: Sequence::ZERO,
            forgotten_through: Sequence::ZERO,
            topics: Vec::new(),
        };
        let found = read_file(storage).ok().flatten().and_then(|bytes| none.decode(&bytes));
        let mut table = found.unwrap_or(none);
        if table.through < oldest {
            (table.through, table.forgotten_through) = (oldest, oldest);
        }
        table
    }

    /// Adds the records of a segment that is about to be removed; the next segment begins after `end`.
    pub(super) fn add(&mut self, segment: &Segment, storage: &dyn Storage, end: Sequence) {
        let added = segment.open(storage).and_then(|file| self.topics_of(segment, &*file));
        match added {
            Ok(added) if segment.last() == end => self.merge(added),
            // Records of unknown topics are gone as well.
            _ => self.forgotten_through = end,
        }
        self.through = end;
    }

    fn topics_of(
        &self,
        segment: &Segment,
        file: &dyn StorageFile,
    ) -> io::Result<Vec<(u64, Sequence)>> {
        if !segment.lost(file)?.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        let silent = silent_records(segment, file, &self.identity)?;
        let mut last = Vec::new();
        segment.each_topic(file, &mut |name, records| {
            let told = records.iter().rev().find(|record| !silent.contains(record));
            last.extend(told.map(|&record| (record, self.identity.hash(name))));
        })?;
        last.sort_unstable();
        let numbers: Vec<u32> = last.iter().map(|(record, _)| *record).collect();
        let sequences = segment.sequences(file, &numbers)?;
        Ok(last.into_iter().map(|(_, hash)| hash).zip(sequences).collect())
    }

    fn merge(&mut self, added: Vec<(u64, Sequence)>) {
        self.topics.extend(added);
        // The newest of each topic comes first.
        self.topics.sort_unstable_by_key(|&(hash, sequence)| (hash, std::cmp::Reverse(sequence)));
        self.topics.dedup_by_key(|(hash, _)| *hash);
        if let Some(excess) = self.topics.len().checked_sub(TOPICS_MAX + 1) {
            let mut sequences: Vec<_> = self.topics.iter().map(|(_, sequence)| *sequence).collect();
            let (_, &mut forgotten, _) = sequences.select_nth_unstable(excess);
            self.forgotten_through = self.forgotten_through.max(forgotten);
            self.topics.retain(|(_, sequence)| *sequence > forgotten);
        }
    }

    /// Writes the table, and returns its file, which is to be synced. The next sync of the folder makes it replace the
    /// old one. If it is lost, everything removed counts as removed from all topics.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(super) fn write(&self, storage: &dyn Storage) -> io::Result<Arc<dyn StorageFile>> {
        let mut bytes = PREAMBLE.begin();
        bytes.extend_from_slice(&self.identity.0);
        bytes.extend_from_slice(&self.through.get().to_le_bytes());
        bytes.extend_from_slice(&self.forgotten_through.get().to_le_bytes());
        for (hash, sequence) in &self.topics {
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.extend_from_slice(&sequence.get().to_le_bytes());
        }
        let file = storage.open(NAME_NEW, Access::Create)?;
        file.write_all_at(&Preamble::close(bytes), 0)?;
        storage.rename(NAME_NEW, NAME)?;
        Ok(file)
    }

    fn decode(&self, bytes: &[u8]) -> Option<Self> {
        if PREAMBLE.find(bytes) != Found::Sound {
            return None;
        }
        let mut input = Input(bytes.get(Preamble::BYTES..)?);
        let identity = Identity(input.take(16)?.try_into().ok()?);
        let (through, forgotten_through) = (input.sequence()?, input.sequence()?);
        let mut topics = Vec::with_capacity((bytes.len() - HEAD_BYTES) / TOPIC_BYTES);
        while let (Some(hash), Some(sequence)) = (input.u64(), input.sequence()) {
            topics.push((hash, sequence));
        }
        let is_ours = identity.0 == self.identity.0 && topics.is_sorted_by_key(|(hash, _)| *hash);
        is_ours.then_some(Self { identity, through, forgotten_through, topics })
    }
}

impl DroppedEntries for Dropped {
    fn newest(&self, topic: &Topic) -> Sequence {
        let hash = self.identity.hash(topic.as_str());
        match self.topics.binary_search_by_key(&hash, |(hash, _)| *hash) {
            Ok(at) => self.topics[at].1.max(self.forgotten_through),
            Err(_) => self.forgotten_through,
        }
    }
}

/// The numbers of a segment's records of which readers are sent nothing: ends of topics' streams, and marks of streams
/// but for ends that are told.
fn silent_records(
    segment: &Segment,
    file: &dyn StorageFile,
    identity: &Identity,
) -> io::Result<HashSet<u32>> {
    let mut marks = Vec::new();
    segment.each_topic(file, &mut |name, records| {
        if name == NO_EVENTS.as_str() {
            marks.extend_from_slice(records);
        }
    })?;
    let mut silent = HashSet::new();
    if marks.is_empty() {
        return Ok(silent);
    }
    let selection = Selection::Topics(&[NO_EVENTS]);
    let located = segment.locate(file, identity, selection, (Sequence::ZERO, usize::MAX))?;
    let mut numbers = marks.into_iter();
    fetch(file, segment.salt, &located, &mut |_, decoded| {
        let number = numbers.next();
        let Some(Decoded::Known(record)) = decoded else { return true };
        let is_silent = match &record.entry.content {
            Content::Close => true,
            Content::Stream(StreamMark::End(close, _)) => close.notice != EndNotice::Event,
            Content::Stream(_) => true,
            Content::Event(_) => false,
        };
        if is_silent {
            silent.extend(number);
        }
        true
    })?;
    Ok(silent)
}

fn read_file(storage: &dyn Storage) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(NAME, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
    if !(HEAD_BYTES..=HEAD_BYTES + TOPICS_MAX * TOPIC_BYTES).contains(&size) {
        return Ok(None);
    }
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_whose_records_were_removed_longest_ago_are_forgotten_first() {
        let sequence = |number| Sequence::new(number).unwrap();
        let mut table = Dropped {
            identity: Identity::random(),
            through: Sequence::ZERO,
            forgotten_through: Sequence::ZERO,
            topics: Vec::new(),
        };
        let name = |number: u64| Topic::new(format!("topic/{number}")).unwrap();
        let hash = |table: &Dropped, number| table.identity.hash(name(number).as_str());
        let last = TOPICS_MAX as u64 + 10;
        for half in [1..=last / 2, last / 2 + 1..=last] {
            let added = half.map(|number| (hash(&table, number), sequence(number))).collect();
            table.merge(added);
        }
        assert_eq!(table.topics.len(), TOPICS_MAX);
        assert_eq!(table.newest(&name(1)), sequence(10));
        assert_eq!(table.newest(&name(last + 1)), sequence(10));
        assert_eq!(table.newest(&name(11)), sequence(11));
        table.merge(vec![(hash(&table, 11), sequence(last + 1))]);
        assert_eq!(table.newest(&name(11)), sequence(last + 1));
    }
}
