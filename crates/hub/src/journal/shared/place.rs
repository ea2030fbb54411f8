//! Places: sequences and the epoch of entries, as the store's messages make them.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::cursor::{Epoch, Sequence};

/// The number of entries that one message may have: 14 bits of a sequence are the place in a message, of which
/// the last one is the message's end, and 44 the message's place in the store, enough for 500 years at a
/// thousand messages a second.
pub const ENTRIES_MAX: usize = (1 << PLACE_BITS) - 1;
const PLACE_BITS: u32 = 14;

/// The sequence of an entry: the place of its message in the store, and its place in the message.
pub(super) fn sequence(message: u64, place: usize) -> Sequence {
    Sequence::new(message << PLACE_BITS | place as u64).unwrap_or(Sequence::MAX)
}

/// The place after every entry of a message, and before every entry of the next one.
#[must_use]
pub fn end_of(message: u64) -> Sequence {
    if message == 0 { Sequence::ZERO } else { sequence(message, ENTRIES_MAX) }
}

/// The message of an entry, or the one that ends at a place.
#[must_use]
pub fn message_of(sequence: Sequence) -> u64 {
    sequence.get() >> PLACE_BITS
}

/// The epoch of a store's messages: a hash of what identifies the store, and of its generation.
#[must_use]
pub fn epoch(identity: &str, generation: u64) -> Epoch {
    let hash = hash(generation, identity.as_bytes());
    Epoch::new(hash >> 4).unwrap_or_else(|| Epoch::new(1).expect("one is an epoch"))
}

/// Hashes some bytes.
pub(super) fn hash(key: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, 0x5464_6753);
    hasher.write(bytes);
    hasher.finish()
}
