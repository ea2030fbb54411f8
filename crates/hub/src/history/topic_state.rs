//! The state of one topic.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::TopicKey;
use super::marks::Marks;
use super::rules::RuleNumber;
use super::sequences::Sequences;
use super::sizes::Sizes;
use super::topic_groups::KnownGroups;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry};
use crate::retention::TopicLimits;
use crate::topic::Topic;
use crate::watch::WatchList;

/// A count of evictions, so that a reader is told of each gap once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvictionStamp(u64);

impl EvictionStamp {
    /// No eviction is later.
    pub(crate) const MAX: Self = Self(u64::MAX);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The state of one topic. It is small, because every reader may have a topic of its own.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// The entries held.
    pub(super) entries: Sequences,
    /// The entries that it no longer holds. Topics that lost nothing of their own share one.
    pub(super) past: Arc<Past>,
    pub(super) watchers: Option<Arc<WatchList>>,
    pub(super) marks: Marks,
    pub(super) groups: KnownGroups,
    /// Readers that name the topic; while there are any it is not forgotten.
    pub(super) holders: u32,
    /// Tells the topic from earlier ones in the same slot.
    pub(super) version: NonZeroU32,
}

/// The entries that a topic holds, as far as it must know them when its rule changes.
pub(super) struct HeldByRule {
    /// The newest event.
    pub(super) newest_event: Sequence,
    /// The sizes of the entries, if a limit is about them.
    pub(super) sizes: Option<Sizes>,
}

/// The entries that a topic no longer holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// The newest event that the topic has evicted, whether or not other topics still hold it.
    pub(super) evicted_through: Sequence,
    pub(super) evicted_at: EvictionStamp,
    /// The newest of its events that no topic holds any more.
    pub(super) dead_through: Sequence,
    pub(super) dead_at: EvictionStamp,
    /// The newest entry that ended the topic's streams, held or not.
    pub(super) ended_through: Sequence,
    /// The newest of those entries that is no longer held.
    pub(super) evicted_end: Sequence,
    /// The newest entry of any kind that is no longer held.
    pub(super) let_go_through: Sequence,
    /// The newest entry of any kind that was let go of and that the journal keeps.
    pub(super) released_through: Sequence,
    /// The newest event there ever was, of a topic with a rule.
    pub(super) newest_event: Sequence,
    /// How many entries that are no events are held: those that ended the topic's streams, and marks.
    pub(super) ends_held: u32,
    /// The topic's rule. It stands here because a topic with a rule has lost something sooner or later.
    rule: Option<RuleNumber>,
    /// The sizes of the entries held, where a limit is about them.
    sizes: Option<Box<Sizes>>,
}

impl Past {
    /// Bytes that one costs.
    pub(super) const BYTES: usize = size_of::<Self>() + 2 * size_of::<usize>();

    /// The past of a topic with a rule that becomes known: so far, that of unknown topics.
    pub(super) fn with_rule(&self, rule: Option<RuleNumber>, released_through: Sequence) -> Self {
        Self { rule, released_through, ..self.clone() }
    }

    /// Returns whether the topic itself has lost or ended something, holds a mark, or has a rule.
    pub(super) fn is_own(&self) -> bool {
        self.rule.is_some()
            || self.ends_held != 0
            || self.let_go_through.max(self.ended_through) != Sequence::ZERO
    }

    pub(super) fn rule(&self) -> Option<RuleNumber> {
        self.rule
    }

    /// Changes the topic's rule.
    pub(super) fn set_rule(&mut self, rule: Option<RuleNumber>, held: HeldByRule) {
        self.rule = rule;
        self.newest_event = self.newest_event.max(held.newest_event);
        self.sizes = held.sizes.map(Box::new);
    }

    /// Notes a new entry of a topic that has a rule.
    pub(super) fn note_new(&mut self, entry: &Entry, limits: &TopicLimits) {
        if let Content::Event(_) = &entry.content {
            self.newest_event = entry.sequence;
        }
        if limits.bytes_max.is_some() {
            self.sizes.get_or_insert_default().push(entry);
        }
    }

    pub(super) fn forget_oldest_size(&mut self) {
        if let Some(sizes) = &mut self.sizes {
            sizes.pop();
        }
    }

    /// The size of the entries held, as a limit counts it.
    pub(super) fn size(&self) -> usize {
        self.sizes.as_ref().map_or(0, |sizes| sizes.sum())
    }

    /// The size of the entries held but for the oldest so many.
    pub(super) fn size_from(&self, at: usize) -> usize {
        self.sizes.as_ref().map_or(0, |sizes| sizes.sum_from(at))
    }

    /// Bytes allocated beside the past itself.
    fn heap_bytes(&self) -> usize {
        self.sizes.as_ref().map_or(0, |sizes| sizes.bytes())
    }

    /// Returns whether an event after a place has been let go of, since a stamp.
    pub(super) fn is_evicted(&self, after: Sequence, told_at: EvictionStamp) -> bool {
        self.evicted_through > after && self.evicted_at > told_at
    }

    /// Returns whether an event after a place is held by no topic any more, since a stamp.
    pub(super) fn is_dead(&self, after: Sequence, told_at: EvictionStamp) -> bool {
        self.dead_through > after && self.dead_at > told_at
    }
}

impl TopicState {
    /// Creates the state of a topic that may have been known before: `past` is the loss of forgotten
    /// topics.
    pub(super) fn new(key: TopicKey, name: Topic, past: Arc<Past>) -> Self {
        Self {
            name,
            entries: Sequences::new(),
            past,
            watchers: None,
            marks: Marks::default(),
            groups: KnownGroups::default(),
            holders: 0,
            version: key.version,
        }
    }

    /// How many events it holds: its entries but for the ends among them.
    pub(super) fn events(&self) -> usize {
        self.entries.len() - self.past.ends_held as usize
    }

    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// Returns whether the entry at `sequence`, one of this topic's, is still held for it.
    pub(super) fn holds(&self, sequence: Sequence) -> bool {
        self.entries.first().is_some_and(|oldest| oldest <= sequence)
    }

    /// The newest entry there ever was.
    pub(super) fn newest(&self) -> Sequence {
        self.entries.last().unwrap_or(self.past.let_go_through)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders == 0 && self.entries.is_empty()
    }

    /// Bytes charged to the history: none for a topic that has never been published to, which is its
    /// reader's.
    pub(super) fn bytes(&self) -> usize {
        // Its slot by name, in tables that are at least 7/16 full.
        const INDEX_BYTES: usize = 2 * (size_of::<u32>() + 1);
        if self.newest() == Sequence::ZERO {
            return 0;
        }
        let past = if self.past.is_own() { Past::BYTES + self.past.heap_bytes() } else { 0 };
        // The slot is as large as what is in it.
        size_of::<Self>() + INDEX_BYTES + past + self.name.heap_bytes() + self.entries.heap_bytes()
    }
}
