//! The format of a message: a header, and the records of its entries.
//!
//! | bytes | field |
//! | ----- | ----- |
//! | 4 | `TdgS` |
//! | 1 | version of the format, 1 |
//! | 1 | bytes of the header, from the generation up to the records; later programs may add fields |
//! | 2 | zero |
//! | 4 | CRC-32 of everything else |
//! | 8 | generation |
//! | 8 | writer |
//! | 8 | number of the group, from 1; 0 without entries |
//! | 8 | newest message that the writer had read |
//! | 8 | first message of the digest |
//! | 8 | digest of the messages from there up to the newest one that the writer had read |
//! | 4 | number of records |
//!
//! Numbers are little-endian. The records are those of the journal on disk, numbered from 0.

use super::place::ENTRIES_MAX;
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::disk::shared as record;
use crate::journal::{Entry, Submission};
use crate::time::Time;

/// The newest version of messages that is read. Newer ones stop the log.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"TdgS";
/// The bytes before the checksum, and with it.
const CHECKSUM_AT: usize = 8;
const FIXED_BYTES: usize = CHECKSUM_AT + 4;
const HEADER_BYTES: usize = 6 * 8 + 4;
/// Bytes of a message without records.
pub(super) const EMPTY_BYTES: usize = FIXED_BYTES + HEADER_BYTES;

/// A message of a hub, as the store has it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// The fields of its header.
    pub(super) header: Header,
    /// Its entries, and their idempotency keys. The sequence is the place in the message; records of unknown
    /// kinds are left out.
    pub(super) records: Vec<(Entry, Option<IdempotencyKey>)>,
    /// The number of its records.
    pub(super) count: usize,
}

impl Message {
    /// Which past of the store its writer had opened.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Its entries. The sequence of each is its place in the message.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.records.iter().map(|(entry, _)| entry)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) generation: u64,
    pub(super) writer: u64,
    pub(super) group: u64,
    pub(super) read_through: u64,
    pub(super) digest_from: u64,
    pub(super) digest: u64,
}

/// The meaning of some bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Decoded {
    /// They are a message.
    Message(Box<Message>),
    /// They are not a hub's.
    Foreign,
    /// They are a hub's message, and damaged.
    Damaged,
    /// They are a message of a newer version, or have a record that only a newer version can read.
    Newer(u8),
}

/// Appends a record.
pub(super) fn put_record(out: &mut Vec<u8>, place: usize, time: Time, submission: &Submission) {
    record::encode(out, Sequence::new(place as u64).unwrap_or_default(), time, submission);
}

/// Encodes a message of records.
pub(super) fn encode(header: &Header, count: usize, records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(EMPTY_BYTES + records.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, HEADER_BYTES as u8, 0, 0]);
    out.extend_from_slice(&[0; 4]);
    let Header { generation, writer, group, read_through, digest_from, digest } = *header;
    for number in [generation, writer, group, read_through, digest_from, digest] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&(count as u32).to_le_bytes());
    out.extend_from_slice(records);
    let sum = checksum(&out);
    out[CHECKSUM_AT..FIXED_BYTES].copy_from_slice(&sum.to_le_bytes());
    out
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[FIXED_BYTES..]);
    hasher.finalize()
}

impl Decoded {
    /// Decodes bytes that the store has.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let Some(fixed) = bytes.get(..FIXED_BYTES).filter(|fixed| fixed[..4] == MAGIC) else {
            return Self::Foreign;
        };
        let (version, header_bytes) = (fixed[4], usize::from(fixed[5]));
        if fixed[CHECKSUM_AT..] != checksum(bytes).to_le_bytes() {
            return Self::Damaged;
        }
        if version > VERSION {
            return Self::Newer(version);
        }
        let Some((header, records)) = bytes[FIXED_BYTES..].split_at_checked(header_bytes) else {
            return Self::Damaged;
        };
        let Some((header, count)) = take_header(header) else { return Self::Damaged };
        match take_records(records, count) {
            // The checksum holds, so it is no damage: a newer program writes records with more in them.
            None => Self::Newer(version),
            Some(records) => Self::Message(Box::new(Message { header, records, count })),
        }
    }
}

fn take_header(bytes: &[u8]) -> Option<(Header, usize)> {
    let (numbers, rest) = bytes.split_at_checked(6 * 8)?;
    let number = |at: usize| Some(u64::from_le_bytes(*numbers[8 * at..].first_chunk()?));
    let header = Header {
        generation: number(0)?,
        writer: number(1)?,
        group: number(2)?,
        read_through: number(3)?,
        digest_from: number(4)?,
        digest: number(5)?,
    };
    let count = usize::try_from(u32::from_le_bytes(*rest.first_chunk()?)).ok()?;
    (count <= ENTRIES_MAX).then_some((header, count))
}

fn take_records(mut bytes: &[u8], count: usize) -> Option<Vec<(Entry, Option<IdempotencyKey>)>> {
    let mut records = Vec::with_capacity(count.min(bytes.len() / record::RECORD_HEADER_BYTES));
    for place in 0..count {
        let place = Sequence::new(place as u64)?;
        let record = record::decode(bytes, place)?;
        bytes = &bytes[record.bytes..];
        records.extend(record.known);
    }
    bytes.is_empty().then_some(records)
}
