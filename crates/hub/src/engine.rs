//! The interface for delivery engines: taps, readers, blocks, and the text of streams.
//!
//! **Exempt from semantic versioning.** It exists for the engine of `tidings-server`, which writes to
//! sockets from threads of its own, and follows that engine's needs: with the feature `engine`, pin the
//! exact version of this crate.
//!
//! A [`Tap`] is a bounded, droppable hint of new blocks for one shard.
//! A shard reads history with a cursor for each of its slots. Its tap saves it the look: an entry
//! committed for a topic that one of its slots watches is pushed here, in the same critical section
//! that appends it to history. A tap may lose everything at any time ([`Drained::Dropped`]); then
//! every slot of the shard is behind and reads from its cursor. Losing a tap costs time, never an
//! event.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Waker;

use crate::body::Body;
use crate::cursor::{Cursor, Sequence};
use crate::emitters::Emitter;
pub use crate::emitters::EmitterParts;
pub use crate::entry::{DataPart, RawEvent, RawFields};
pub use crate::history::{
    Block, Drained, GroupKey, GroupList, Hint, Meeting, Run, ShardIndex, TopicKey,
};
use crate::history::{HintQueue, HintsMax, ReadMax, Steps};
pub use crate::hub::TopicListing;
use crate::hub::{Hub, Wait};
pub use crate::lifetime::{drain_delay, lifetime, quiet_max, return_time};
pub use crate::on_end::OnEnd;
pub use crate::page::Paging;
pub use crate::reader::{Read, Reader, ReaderState};
use crate::seen::Seen;
pub use crate::shape::Pings;
use crate::start::Start;
use crate::stream_text::{Client, write_heartbeat};
pub use crate::stream_text::{
    EPOCH, Silence, epoch_value, parting, stream_headers, without_id, write_stream_headers,
};
use crate::subscriber::Subscriber;
use crate::topic::Topic;
use crate::view::View;

/// The limits of one slot's [read](Tap::read).
#[derive(Clone, Copy, Debug)]
pub struct TurnMax {
    /// Bytes; one larger event is still read, alone.
    pub bytes: usize,
    /// Steps: entries looked at, or, for a view with patterns, an entry's topics times the filters.
    pub steps: usize,
}

/// A shard's end of its hints.
pub struct Tap {
    hub: Hub,
    shard: ShardIndex,
    queue: Arc<HintQueue>,
}

impl<K: Eq + Hash + Send + 'static> Emitter<K> {
    /// The parts of the stream, for a server that writes it by other means than a
    /// [`Body`].
    #[must_use]
    pub fn into_parts(self) -> EmitterParts {
        self.parts()
    }
}

impl Subscriber {
    /// Reads on when the streams of its topic are [closed](Hub::close): for a reader that polls, and so
    /// has no stream to close.
    #[must_use]
    pub fn past_closes(mut self) -> Self {
        self.read_past_closes();
        self
    }

    /// Returns whether a gap is to be told before anything else is read.
    #[must_use]
    pub fn has_gap(&mut self) -> bool {
        self.reader().has_gap()
    }

    /// Returns whether the streams of another topic were closed while its reader was away: a topic that stands
    /// for something else to which the stream belongs, such as its subject.
    #[must_use]
    pub fn is_closed_by(&self, topic: &Topic) -> bool {
        self.is_closed_for(topic)
    }
}

impl Body {
    /// Returns the place in history of the large event that is the last piece, until the next one is asked
    /// for. The piece keeps the event in memory even if history has evicted it.
    #[must_use]
    pub fn large_event(&self) -> Option<Sequence> {
        self.last_large()
    }
}

impl Hub {
    /// Returns whether history has the entry at a sequence, so that its memory is in history's budget.
    #[must_use]
    pub fn holds(&self, sequence: Sequence) -> bool {
        self.read().has(sequence)
    }

    /// Maximum bytes of evicted events that are kept for readers which have stopped in them, for each
    /// shard and for all bodies together.
    #[must_use]
    pub fn evicted_bytes_max(&self) -> usize {
        self.config().retention.rests_bytes_max()
    }
}

impl Tap {
    /// Opens a tap for a shard: `hints_max` blocks, or blocks of a sixteenth of the history's bytes, may
    /// wait in it before it overflows, and `waker` is woken, with no lock held, when a block is pushed.
    #[must_use]
    pub fn open(hub: &Hub, hints_max: usize, waker: Waker) -> Self {
        let bytes = hub.config().retention.hints_bytes_max();
        let queue = Arc::new(HintQueue::new(HintsMax { hints: hints_max, bytes }, waker));
        let shard = hub.write().shards.add(Arc::clone(&queue));
        Self { hub: hub.clone(), shard, queue }
    }

    /// Subscribes for one of the shard's slots: sets the watch marks and reads the tail in one
    /// critical section, so that nothing falls between. The slot starts *behind*, always.
    #[must_use]
    pub fn subscribe(&self, view: &View, start: Start) -> Reader {
        Reader::open(&self.hub, view, start, Some(self.shard))
    }

    /// Reads on for one of the shard's slots, as [`Reader::read`] does; `after` is its cursor. It looks at
    /// no more than `max` allows, and says how much it looked at.
    ///
    /// After [`Read::Waiting`], [`Tap::drain`] hands over the slot's number, `slot`, when the slot can go
    /// on.
    pub fn read(
        &self,
        slot: u32,
        (state, after): (&mut ReaderState, &mut Sequence),
        max: TurnMax,
        mut visit: impl FnMut(&Arc<Block>, usize),
    ) -> (Read, usize) {
        let TurnMax { bytes, steps } = max;
        let mut max = ReadMax { bytes, entries: usize::MAX, steps: Steps::new(steps) };
        let wait = Wait::Slot(&self.queue, slot);
        let visit = |seen: Seen<'_>| visit(seen.block(), seen.index());
        let read = state.read(&self.hub, after, (&mut max, wait), visit);
        if max.steps.is_over() {
            self.hub.count_cut_look();
        }
        (read, max.steps.taken())
    }

    /// Writes a heartbeat for a slot at the tail: a comment and, for an EventSource that reads several
    /// topics, a fresh place. Without it, evictions from other topics would become a gap for this
    /// reader.
    pub fn write_heartbeat(
        &self,
        state: &ReaderState,
        after: Sequence,
        (client, silence): (Client, Silence),
        out: &mut Vec<u8>,
    ) {
        let has_place = state.only_topic().is_none() && !state.is_unsettled();
        let place = has_place.then(|| Cursor { epoch: self.hub.epoch(), sequence: after });
        write_heartbeat(place, client, silence, out);
    }

    /// The view that a slot reads, by the names of its topics, for lists of subscribers.
    #[must_use]
    pub fn view_of(&self, state: &ReaderState) -> View {
        self.hub.read().view_of(state.resolved())
    }

    /// The name of a topic, if it is known.
    #[must_use]
    pub fn topic(&self, key: TopicKey) -> Option<Topic> {
        self.hub.read().name_of(key).cloned()
    }

    /// Returns whether a slot's view includes the topic's events.
    #[must_use]
    pub fn reads(&self, state: &ReaderState, topic: &Topic) -> bool {
        self.hub.read().is_in_view(topic, state.resolved())
    }

    /// Releases a slot's topics and the shard's marks on them.
    pub fn release(&self, state: ReaderState) {
        state.release(&self.hub, Some(self.shard));
    }

    /// Moves the hints since the last drain to `hints`, and to `slots` the numbers of slots that waited for
    /// the journal and can go on. A number may belong to another slot by now.
    pub fn drain(&self, hints: &mut Vec<Hint>, slots: &mut Vec<u32>) -> Drained {
        self.queue.drain(hints, slots)
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Counts events that the shard has handed to its subscribers.
    pub fn count_delivered(&self, events: u64) {
        self.hub.count_delivered(events);
    }

    /// Drops all hints, as an overflow does.
    pub fn overflow(&self) {
        self.queue.overflow();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.hub.write().shards.remove(self.shard);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("shard", &self.shard).finish_non_exhaustive()
    }
}
