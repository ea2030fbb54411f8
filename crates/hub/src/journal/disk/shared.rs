//! The parts of the journal on disk that the shared journal is made of too: records, and answers.

pub(in crate::journal) use super::answer::{Giver, answer};
use super::bytes::{Identity, Salt};
use super::record;
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::{Entry, Outcome, Submission};
use crate::time::Time;

pub(in crate::journal) use super::record::HEADER_BYTES as RECORD_HEADER_BYTES;

/// Answers to be given once nothing is locked.
pub(in crate::journal) type Answered = Vec<(Giver<Vec<Outcome>>, Vec<Outcome>)>;

pub(in crate::journal) fn answer_all(answered: Answered) {
    answered.into_iter().for_each(|(giver, outcomes)| giver.give(outcomes));
}

/// A record that has been decoded.
pub(in crate::journal) struct Record {
    /// The entry and its idempotency key; `None` for a kind that a later program has added.
    pub(in crate::journal) known: Option<(Entry, Option<IdempotencyKey>)>,
    /// Its size.
    pub(in crate::journal) bytes: usize,
}

/// Appends a submission as a record at a place in a message.
pub(in crate::journal) fn encode(
    out: &mut Vec<u8>,
    place: Sequence,
    time: Time,
    submission: &Submission,
) {
    record::encode(out, salt(), place, time, submission);
}

/// Decodes the record at the start of some bytes; `None` if it is damaged or has more in it than is known.
pub(in crate::journal) fn decode(bytes: &[u8], place: Sequence) -> Option<Record> {
    let (decoded, bytes) = record::decode(bytes, salt(), place)?;
    let known = match decoded {
        record::Decoded::Known(record) => Some((record.entry, record.key)),
        record::Decoded::Copied(..) | record::Decoded::Unknown => None,
    };
    Some(Record { known, bytes })
}

/// That of all messages: they have no file that a record could be left over from.
fn salt() -> Salt {
    Salt::new(&Identity(*b"tidings message "), Sequence::ZERO)
}
