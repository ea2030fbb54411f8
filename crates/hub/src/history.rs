//! History: the recent past, in memory, which every subscriber reads.
//!
//! Events lie encoded in immutable [`Block`]s, in commit order; a topic is a list of sequences. Here
//! are appending ([`History::append`]), reading a view from a place ([`History::read`]), and
//! telling whether a place has lost something ([`History::look_for_loss`]). Eviction is in `evict`, the
//! order of reading in `walk`. No lock, no clock, no waiting: that is the hub's.

mod age_limits;
mod ages;
mod block;
mod cost;
mod count;
mod counts;
mod evict;
mod find_id;
mod freed;
mod group_list;
mod hints;
mod ids;
mod kept;
mod kept_read;
mod ladder;
mod late_losses;
mod look_back;
mod losses;
mod lost;
mod marks;
mod name_order;
mod own_ends;
mod pack;
mod page_limits;
mod partly;
mod patterns;
mod reach;
mod read;
mod readers;
mod resolved;
mod resolving;
mod rule_changes;
mod rules;
mod sequences;
mod sizes;
mod slots;
mod split_table;
mod steps;
#[cfg(test)]
mod tests;
mod told;
mod topic_groups;
mod topic_key;
mod topic_state;
mod topics;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

use self::age_limits::AgeLimits;
pub use self::block::Block;
pub(crate) use self::block::Kind;
pub(crate) use self::block::builder::BlockBuilder;
pub(crate) use self::count::{Patience, Uncounted};
use self::counts::Counts;
pub(crate) use self::find_id::IdSearch;
use self::freed::FreedTopics;
pub use self::group_list::GroupList;
use self::hints::Watched;
pub use self::hints::{Drained, Hint, Meeting, Run};
pub(crate) use self::hints::{HintQueue, HintsMax, Shards};
use self::ids::IdIndex;
pub(crate) use self::kept::{AsOf, Kept, KeptPage, is_matched};
pub(crate) use self::kept_read::{KeptRead, KeptStop};
use self::late_losses::LateLosses;
pub(crate) use self::look_back::{Latest, LookBack};
use self::losses::Losses;
pub(crate) use self::marks::Mark;
pub use self::marks::ShardIndex;
pub(crate) use self::own_ends::OwnEnds;
use self::partly::PartlyEvicted;
pub use self::patterns::GroupKey;
pub(crate) use self::read::{Passed, ReadMax, ReadPosition, Stop};
pub(crate) use self::resolved::{Resolved, Scan, Selection};
use self::rules::Rules;
pub(crate) use self::steps::Steps;
pub(crate) use self::told::Told;
pub use self::topic_key::TopicKey;
pub(crate) use self::topic_state::EvictionStamp;
use self::topics::{Pushed, TopicTable};
use crate::cursor::{Epoch, Sequence};
use crate::grant::Grant;
use crate::journal::{DroppedEntries, Entry};
use crate::retention::Retention;
use crate::topic::Topic;
use crate::view::View;
use crate::watch::WatchList;

/// The events a hub still holds, and the topics it knows.
pub(crate) struct History {
    epoch: Epoch,
    blocks: VecDeque<BlockState>,
    /// How many blocks at the end are not yet packed: small ones, and the last if it has grown.
    loose: usize,
    tail: Sequence,
    topics: TopicTable,
    /// Where publisher-given IDs are.
    ids: IdIndex,
    ages: AgeLimits,
    partly_evicted: PartlyEvicted,
    late_losses: LateLosses,
    /// Bytes that blocks cost.
    bytes: usize,
    /// Bytes that the journal and the state of streams have in memory, which are charged to the history.
    bytes_beside: usize,
    /// Bytes that the entries of the newest block cost beside it, and of those that are joined with it:
    /// above all, new topics.
    newest_beside: usize,
    events: u64,
    published: u64,
    retention: Retention,
    /// True if the journal keeps the entries that memory lets go of.
    keeps: bool,
    /// True if other hubs commit to the same journal, which may be ahead of what history has been fed.
    is_shared: bool,
    /// The newest entry that the journal alone keeps.
    released_through: Sequence,
    losses: Losses,
    /// The topics of which the journal has freed streams.
    freed: FreedTopics,
    /// The newest entries that the journal has dropped, by topic, and the place up to which it knows all of them.
    dropped: Option<(Sequence, Arc<dyn DroppedEntries>)>,
    counts: Counts,
    pub(crate) shards: Shards,
}

struct BlockState {
    block: Arc<Block>,
    /// Entries that some topic still holds.
    live: u32,
}

/// Topics listed at most while the history is locked: well below a millisecond.
const TOPICS_OF_A_LOOK: usize = 1024;

/// An entry in its block.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) block: &'a Arc<Block>,
    pub(crate) index: usize,
}

impl Held<'_> {
    pub(crate) fn sequence(&self) -> Sequence {
        self.block.sequence(self.index)
    }
}

/// The readers to wake after an append, once the lock is released.
#[derive(Default)]
pub(crate) struct Appended {
    pub(crate) watchers: SmallVec<[Arc<WatchList>; 1]>,
    /// Wakers of the shards.
    pub(crate) taps: SmallVec<[Waker; 2]>,
    /// True if a loss may concern every reader.
    pub(crate) concerns_all: bool,
}

impl Appended {
    /// Notes a list; one may be noted twice.
    fn watched_by(&mut self, watchers: &Arc<WatchList>) {
        // Events of one topic often come together.
        if !self.watchers.last().is_some_and(|last| Arc::ptr_eq(last, watchers)) {
            self.watchers.push(Arc::clone(watchers));
        }
    }
}

impl History {
    /// Creates the history of a journal, which is followed from `tail` on.
    pub(crate) fn new(epoch: Epoch, tail: Sequence, retention: Retention) -> Self {
        let rules = Rules::new(&retention);
        Self {
            epoch,
            blocks: VecDeque::new(),
            loose: 0,
            tail,
            ages: AgeLimits::new(&rules),
            topics: TopicTable::new(tail, rules),
            ids: IdIndex::default(),
            partly_evicted: PartlyEvicted::default(),
            late_losses: LateLosses::default(),
            bytes: 0,
            bytes_beside: 0,
            newest_beside: 0,
            events: 0,
            published: 0,
            retention,
            keeps: false,
            is_shared: false,
            released_through: tail,
            losses: Losses::default(),
            freed: FreedTopics::default(),
            dropped: None,
            counts: Counts::default(),
            shards: Shards::default(),
        }
    }

    /// Notes the past that the journal keeps: `oldest` is the place before its oldest entry, and `keeps`
    /// says whether entries can be read from it.
    pub(crate) fn with_past(
        mut self,
        oldest: Sequence,
        keeps: bool,
        dropped: Option<Arc<dyn DroppedEntries>>,
    ) -> Self {
        self.keeps = keeps;
        self.drop_through(oldest, dropped);
        self
    }

    /// Notes whether other hubs commit to the same journal.
    pub(crate) fn shared(mut self, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self
    }

    /// Returns whether the journal may have what history does not have.
    pub(crate) fn is_asked(&self) -> bool {
        self.keeps || self.is_shared
    }

    /// Returns whether the journal keeps the entries that memory lets go of.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// The place up to which nothing can be read.
    pub(crate) fn floor(&self) -> Sequence {
        self.losses.floor()
    }

    /// The newest entry that the journal alone keeps: everything after it that can be read is held.
    pub(crate) fn released_through(&self) -> Sequence {
        self.released_through
    }

    /// Returns whether the history holds everything that can be read.
    pub(crate) fn is_whole(&self) -> bool {
        !self.keeps || self.released_through <= self.floor()
    }

    /// Notes committed entries that can no longer be read, up to `last`.
    pub(crate) fn lose(&mut self, last: Sequence) {
        self.topics.begin_eviction();
        self.losses.damage(last, self.topics.stamp);
        self.topics.finish_eviction();
    }

    /// Notes that the entries that the feed would have handed over next, up to `last`, are lost. Shards
    /// look for the loss; the caller wakes the other readers.
    pub(crate) fn lose_next(&mut self, last: Sequence, appended: &mut Appended) {
        self.lose(last);
        self.shards.overflow(&mut appended.taps);
        appended.concerns_all = true;
    }

    /// Moves the tail past entries that are lost, after those that were handed over with the loss.
    pub(crate) fn pass_lost_next(&mut self, last: Sequence) {
        self.tail = self.tail.max(last);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest entry there ever was.
    pub(crate) fn tail(&self) -> Sequence {
        self.tail
    }

    /// The cost of everything held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
            + self.topics.bytes()
            + self.ids.bytes()
            + self.ages.bytes()
            + self.partly_evicted.bytes()
            + self.late_losses.bytes()
            + self.freed.bytes()
            + self.bytes_beside
    }

    /// The part of the cost that entries have beside their blocks when they are appended.
    fn entries_beside(&self) -> usize {
        self.topics.bytes() + self.ids.bytes()
    }

    /// Counts evictions; see [`ReadPosition::told_at`].
    pub(crate) fn stamp(&self) -> EvictionStamp {
        self.topics.stamp
    }

    /// How many events are held.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Makes the events appended so far count as published before the start.
    pub(crate) fn count_published_from_here(&mut self) {
        self.published = 0;
    }

    /// How many events have been appended.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Some of the topics that hold events: name, events, newest entry. `from` is a number among all
    /// topics, from which at most [`TOPICS_OF_A_LOOK`] are looked at; the answer is where to go on.
    pub(crate) fn topics_held(
        &self,
        from: usize,
        mut visit: impl FnMut(&Topic, usize, Sequence),
    ) -> Option<usize> {
        let (states, next) = self.topics.some(from, TOPICS_OF_A_LOOK);
        for (_, state) in states.filter(|(_, state)| state.events() > 0) {
            visit(&state.name, state.events(), state.newest());
        }
        next
    }

    /// Appends a run: the encoded form of `entries`, which a journal has committed. The builder's
    /// remaining content is of no use afterwards.
    ///
    /// Its events are held, listed and offered to the taps of the shards that watch their topics.
    pub(crate) fn append(
        &mut self,
        entries: &[Entry],
        builder: &mut BlockBuilder,
        appended: &mut Appended,
    ) {
        let before = self.entries_beside();
        let mut watched: SmallVec<[Watched; 1]> = SmallVec::new();
        let mut keys: SmallVec<[TopicKey; 4]> = SmallVec::new();
        for (index, entry) in entries.iter().enumerate() {
            keys.clear();
            for topic in entry.topics.as_slice() {
                let pushed = self.topics.push(topic, entry);
                keys.push(pushed.key);
                if let Some(watchers) = &pushed.state.watchers {
                    appended.watched_by(watchers);
                }
                let mut entry = Watched::new(&pushed, index, entry);
                let Pushed { groups, .. } = pushed;
                for group in groups.iter().filter_map(|&group| self.topics.group(group)) {
                    if let Some(watchers) = &group.watchers {
                        appended.watched_by(watchers);
                    }
                    entry.watch_by_pattern(&group.marks, &groups);
                }
                if entry.is_watched() {
                    watched.push(entry);
                }
            }
            builder.set_topics(index, &keys);
            self.note(entry, &keys);
        }

        let at = self.push_run(builder);
        self.newest_beside += self.entries_beside().saturating_sub(before);
        let Some(back) = self.blocks.back() else { return };
        self.tail = back.block.last();
        let is_marked = |topic, groups: &[GroupKey], shard| {
            self.topics.get(topic).is_some_and(|state| state.marks.has(shard))
                || groups
                    .iter()
                    .any(|&key| self.topics.group(key).is_some_and(|group| group.marks.has(shard)))
        };
        self.shards.offer(&back.block, at, &mut watched, is_marked, &mut appended.taps);
        self.enforce(at);
    }

    /// Notes when the entries from `first` on are appended, in milliseconds of the hub's steady clock.
    pub(crate) fn note_time(&mut self, first: Sequence, time: i64) {
        self.ages.note(first, time);
    }

    /// Charges what the journal and the state of streams have in memory to the history.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.bytes_beside = bytes;
    }

    /// Records an entry's ID, or the end that it stands for.
    fn note(&mut self, entry: &Entry, keys: &[TopicKey]) {
        match &entry.content {
            crate::journal::Content::Event(event) => {
                self.events += 1;
                self.published += 1;
                if let Some(id) = event.id() {
                    self.ids.insert(id.as_str(), keys, entry.sequence);
                }
            }
            crate::journal::Content::Close => {
                for &key in keys {
                    self.topics.note_end(key, entry.sequence);
                }
            }
            crate::journal::Content::Stream(_) => {
                for &key in keys {
                    self.topics.note_mark(key);
                }
            }
        }
    }

    /// Where the first entry after a place is: block and index, or just past the last block.
    fn position_after(&self, after: Sequence) -> (usize, usize) {
        let block = self.blocks.partition_point(|state| state.block.last() <= after);
        let index = self.blocks.get(block).map_or(0, |state| state.block.index_at(after.next()));
        (block, index)
    }

    /// Returns whether a block has the entry at a sequence, whether or not a topic lists it.
    #[cfg(feature = "engine")]
    pub(crate) fn has(&self, sequence: Sequence) -> bool {
        let (at, index) = self.position_after(sequence.before());
        self.blocks.get(at).is_some_and(|state| {
            index < state.block.len() && state.block.sequence(index) == sequence
        })
    }

    /// The entry at a sequence that some topic lists.
    fn held(&self, sequence: Sequence) -> Held<'_> {
        let (block, index) = self.position_after(sequence.before());
        Held { block: &self.blocks[block].block, index }
    }

    /// Returns whether a grant allows an entry. All reading asks here: live, replay, pages, gaps and
    /// places given by an ID. `None` allows everything, without looking up the entry.
    fn is_allowed<'a>(&self, grant: Option<&Grant>, held: impl FnOnce() -> Held<'a>) -> bool {
        grant.is_none_or(|grant| {
            let Held { block, index } = held();
            let states = block.topics(index).iter().filter_map(|&key| self.topics.get(key));
            grant.allows(states.map(|state| state.name.as_str()), block.is_private(index))
        })
    }

    /// Returns whether one of an entry's topics matches a view with patterns and still holds the entry.
    fn scan_matches(&self, view: &View, held: Held<'_>) -> bool {
        held.block.topics(held.index).iter().any(|&key| {
            self.topics.get(key).is_some_and(|state| {
                state.holds(held.sequence()) && view.matches(state.name.as_str())
            })
        })
    }
}
