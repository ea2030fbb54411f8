//! Reading a view from a position, and finding the events that the position has lost.

use tidings_proto::EventId;

use super::topic_state::TopicState;
use super::{EvictionStamp, Held, History, Kind, Resolved, Selection, TopicKey};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::grant::Grant;
use crate::topic::Topic;
use crate::view::View;

/// The position of a reader in history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadPosition {
    /// Everything of its view up to here has been sent, or told as lost.
    pub(crate) after: Sequence,
    /// Evictions up to here have been told.
    pub(crate) told_at: EvictionStamp,
    /// Ends of the topic's streams up to here are other streams' ends.
    pub(crate) joined: Sequence,
}

/// The limits of one read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadMax {
    /// Bytes of chunks; one larger event is still read, alone.
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

/// Why a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There is nothing more.
    Tail,
    /// The read took as much as it may; there may be more.
    Full,
    /// The topic's streams were closed here.
    Closed,
    /// An event that should have been read has been evicted. Nothing was read;
    /// [`History::pass_lost`] advances the position.
    Gap,
}

/// Entries that one walk passes at most while the lock is held: well below a millisecond.
const WALK_MAX: usize = 8192;

impl History {
    /// Reads what the view has after the place, in rising order, and advances the position.
    pub(crate) fn read<'a>(
        &'a self,
        view: &'a Resolved,
        position: &mut ReadPosition,
        max: ReadMax,
        mut visit: impl FnMut(Held<'a>),
    ) -> Stop {
        if self.is_end_evicted(view, *position) {
            return Stop::Closed;
        }
        if self.is_lost(view, *position) {
            return Stop::Gap;
        }
        let (mut bytes, mut entries) = (0, 0);
        for (walked, step) in self.forward(view, position.after).enumerate() {
            let Held { block, index } = step.held;
            if step.in_view {
                match block.kind(index) {
                    Kind::Event => {
                        let chunk = block.chunk(index).len();
                        if entries == max.entries || (bytes > 0 && bytes + chunk > max.bytes) {
                            return Stop::Full;
                        }
                        (bytes, entries) = (bytes + chunk, entries + 1);
                        visit(step.held);
                    }
                    Kind::Close if ends(view, *position, step.held.sequence()) => {
                        return Stop::Closed;
                    }
                    Kind::Close => {}
                }
            }
            position.after = step.held.sequence();
            if walked == WALK_MAX {
                return Stop::Full;
            }
        }
        position.after = self.tail;
        Stop::Tail
    }

    /// Returns whether the reader has lost an event of its view after the position, and has not been told
    /// so. An event that all of its topics have evicted counts even if it was private: what is evicted
    /// is no longer known.
    pub(crate) fn is_lost(&self, view: &Resolved, position: ReadPosition) -> bool {
        let grant = view.grant();
        let ReadPosition { after, told_at, .. } = position;
        match view.selection() {
            // Every event that the topic has evicted is lost to a reader of this topic alone.
            Selection::One(key) => {
                self.topics.get(*key).is_some_and(|state| state.past().is_evicted(after, told_at))
            }
            Selection::Many(keys) => {
                let states = || keys.iter().filter_map(|&key| self.topics.get(key));
                states().any(|state| state.past().is_evicted(after, told_at))
                    && (states().any(|state| state.past().is_dead(after, told_at))
                        || self.is_partly_lost(position, grant, |key| keys.contains(&key)))
            }
            Selection::Scan(view) => {
                let matches = |state: &TopicState| view.matches(state.name.as_str());
                let states =
                    || self.topics.evicted_after(after, told_at).filter(|state| matches(state));
                (self.topics.forgotten_through() > after && self.topics.forgotten_at() > told_at)
                    || states().any(|state| state.past().is_dead(after, told_at))
                    || (states().next().is_some()
                        && self.is_partly_lost(position, grant, |key| {
                            self.topics.get(key).is_some_and(matches)
                        }))
            }
        }
    }

    /// Returns whether an event after the position is held by a topic, but by none of the view's.
    fn is_partly_lost(
        &self,
        position: ReadPosition,
        grant: Option<&Grant>,
        in_view: impl Fn(TopicKey) -> bool,
    ) -> bool {
        self.partly_evicted.range(position.after.next()..).any(|(&sequence, let_go)| {
            let Held { block, index } = self.held(sequence);
            // Lost to the view when the last of the view's topics has evicted it.
            let lost_at = let_go.iter().filter(|(key, _)| in_view(*key)).map(|(_, at)| *at).max();
            let is_held = |key: &TopicKey| self.topics.get(*key).is_some_and(|s| s.holds(sequence));
            lost_at.is_some_and(|at| at > position.told_at)
                && self.is_allowed(grant, || Held { block, index })
                && !block.topics(index).iter().any(|key| in_view(*key) && is_held(key))
        })
    }

    /// Moves the position past all lost events, up to the first one held. The answer is that event's ID.
    ///
    /// A reader that comes back with this position is told of no loss before it.
    pub(crate) fn pass_lost(
        &self,
        view: &Resolved,
        position: &mut ReadPosition,
    ) -> Option<EventId> {
        position.told_at = self.topics.stamp;
        if self.is_end_evicted(view, *position) {
            return None;
        }
        for (walked, step) in self.forward(view, position.after).enumerate() {
            let sequence = step.held.sequence();
            if step.in_view && step.held.block.kind(step.held.index) == Kind::Event {
                position.after = position.after.max(sequence.before());
                let oldest = step.held.block.id(step.held.index, self.epoch);
                return Some(oldest);
            }
            if step.in_view && ends(view, *position, sequence) {
                return None;
            }
            position.after = sequence;
            if walked == WALK_MAX {
                return None;
            }
        }
        position.after = self.tail;
        None
    }

    /// The place from which a read yields the view's latest events, `events` at most.
    pub(crate) fn before_latest(&self, view: &Resolved, events: usize) -> Sequence {
        let mut after = self.tail;
        let mut found = 0;
        for step in self.backward(view, self.tail).take(WALK_MAX) {
            if step.in_view && step.held.block.kind(step.held.index) == Kind::Event {
                if found == events {
                    break;
                }
                found += 1;
                after = step.held.sequence().before();
            }
        }
        after
    }

    /// The ID of the view's last event up to a place, if it is held.
    pub(crate) fn last_id(&self, view: &Resolved, through: Sequence) -> Option<EventId> {
        self.backward(view, through)
            .take(WALK_MAX)
            .find(|step| step.in_view && step.held.block.kind(step.held.index) == Kind::Event)
            .map(|step| step.held.block.id(step.held.index, self.epoch))
    }

    /// The topic that readers see for an entry: the first that is still known.
    pub(crate) fn topic_of(&self, held: Held<'_>) -> Option<&Topic> {
        let topics = held.block.topics(held.index);
        topics.iter().find_map(|&key| self.topics.get(key)).map(|state| &state.name)
    }

    /// Returns whether the stream at the position has been closed.
    pub(crate) fn is_closed(&self, view: &Resolved, position: ReadPosition) -> bool {
        let Selection::One(key) = view.selection() else { return false };
        self.topics.get(*key).is_some_and(|state| ends(view, position, state.past().ended_through))
    }

    /// Returns whether the topic's streams that stood at the place have been ended.
    pub(crate) fn is_topic_ended(&self, topic: &Topic, position: ReadPosition) -> bool {
        let state = self.topics.find(topic).and_then(|key| self.topics.get(key));
        state.is_some_and(|state| is_behind_end(position, state.past().ended_through))
    }

    /// A resolved view by the names of its topics.
    pub(crate) fn view_of(&self, view: &Resolved) -> View {
        match view.selection() {
            Selection::Scan(view) => View::clone(view),
            Selection::One(_) | Selection::Many(_) => {
                let states = view.keys().iter().filter_map(|&key| self.topics.get(key));
                View::new(states.map(|state| TopicFilter::Exact(state.name.clone())))
                    .with_grant(view.grant().cloned().unwrap_or_default())
            }
        }
    }

    /// Returns whether events of the topic are in the view.
    pub(crate) fn is_in_view(&self, topic: &Topic, view: &Resolved) -> bool {
        match view.selection() {
            Selection::Scan(view) => view.matches(topic.as_str()),
            Selection::One(_) | Selection::Many(_) => {
                let key = self.topics.find(topic);
                key.is_some_and(|key| view.keys().contains(&key))
            }
        }
    }

    /// Returns whether the entry that ends this stream is itself no longer held.
    fn is_end_evicted(&self, view: &Resolved, position: ReadPosition) -> bool {
        let Selection::One(key) = view.selection() else { return false };
        self.topics.get(*key).is_some_and(|state| ends(view, position, state.past().evicted_end))
    }
}

/// Returns whether an end of a topic's streams at `sequence` ends the stream at the position.
fn ends(view: &Resolved, position: ReadPosition, sequence: Sequence) -> bool {
    matches!(view.selection(), Selection::One(_)) && is_behind_end(position, sequence)
}

fn is_behind_end(position: ReadPosition, sequence: Sequence) -> bool {
    sequence > position.after && sequence > position.joined
}
