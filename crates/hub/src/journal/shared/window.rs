//! The latest messages that were read: their idempotency keys, and digests of them.

use std::collections::{HashMap, VecDeque};

use super::place::end_of;
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;

/// The number of messages that a writer may be behind. At a thousand messages a second it is four seconds.
pub const WINDOW: u64 = 4096;
/// The number of messages of a digest.
const DIGEST_MESSAGES: u64 = 256;

/// The latest messages, without a hole between them.
pub(super) struct Window {
    /// The message before the first one.
    before: u64,
    /// One for each message.
    messages: VecDeque<Seen>,
    keys: HashMap<IdempotencyKey, Sequence>,
}

struct Seen {
    /// The hash of the message.
    hash: u64,
    /// The wrapping sum of the hashes of all messages up to and including this one.
    sum: u64,
    /// The keys that were first used in it.
    keys: Vec<IdempotencyKey>,
}

impl Window {
    pub(super) fn new(before: u64) -> Self {
        Self { before, messages: VecDeque::new(), keys: HashMap::new() }
    }

    /// The newest message.
    pub(super) fn through(&self) -> u64 {
        self.before + self.messages.len() as u64
    }

    /// Forgets everything. The next message is after `before`.
    pub(super) fn restart(&mut self, before: u64) {
        *self = Self::new(before);
    }

    /// Returns whether all messages after one are in the window.
    pub(super) fn has_after(&self, message: u64) -> bool {
        message >= self.before
    }

    /// The hash of a message, if it is in the window.
    pub(super) fn hash_of(&self, message: u64) -> Option<u64> {
        self.at(message).map(|seen| seen.hash)
    }

    /// The digest of the newest messages: the first of them, and the digest.
    pub(super) fn digest(&self) -> (u64, u64) {
        let through = self.through();
        let from = (through + 1).saturating_sub(DIGEST_MESSAGES).max(self.before + 1);
        (from, self.digest_between(from, through).unwrap_or_default())
    }

    /// The digest of some messages, both ends included; `None` if they are not all in the window. That of no
    /// messages is zero.
    pub(super) fn digest_between(&self, from: u64, through: u64) -> Option<u64> {
        if from > through {
            return Some(0);
        }
        let (first, last) = (self.at(from)?, self.at(through)?);
        Some(last.sum.wrapping_sub(first.sum).wrapping_add(first.hash))
    }

    /// The first use of a key, if it is in the window.
    pub(super) fn first_use(&self, key: &IdempotencyKey) -> Option<Sequence> {
        self.keys.get(key).copied()
    }

    /// Adds the message after the newest one, and the keys that were first used in it.
    pub(super) fn push(&mut self, hash: u64, keys: Vec<(IdempotencyKey, Sequence)>) {
        let sum = self.messages.back().map_or(0, |last| last.sum).wrapping_add(hash);
        let used = keys.iter().map(|(key, _)| key.clone()).collect();
        self.keys.extend(keys);
        self.messages.push_back(Seen { hash, sum, keys: used });
        if self.messages.len() as u64 > WINDOW + DIGEST_MESSAGES
            && let Some(oldest) = self.messages.pop_front()
        {
            self.before += 1;
            let before = self.before;
            for key in oldest.keys {
                // A later message may have used it again, because its writer had forgotten it.
                if self.keys.get(&key).is_some_and(|first| *first <= end_of(before)) {
                    self.keys.remove(&key);
                }
            }
        }
    }

    fn at(&self, message: u64) -> Option<&Seen> {
        let index = message.checked_sub(self.before + 1)?;
        self.messages.get(usize::try_from(index).ok()?)
    }
}
