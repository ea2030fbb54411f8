//! Reading a view from a position, and finding the events that the position has lost.

use tidings_proto::EventId;

use super::topic_state::TopicState;
use super::{EvictionStamp, Held, History, Kind, Resolved, Selection, Steps, TopicKey};
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
    /// Steps of looking, whatever is found; those taken are subtracted.
    pub(crate) steps: Steps,
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

impl History {
    /// Reads what the view has after the place, in rising order, and advances the position.
    pub(crate) fn read<'a>(
        &'a self,
        view: &'a Resolved,
        position: &mut ReadPosition,
        max: &mut ReadMax,
        mut visit: impl FnMut(Held<'a>),
    ) -> Stop {
        if self.is_end_evicted(view, *position) {
            return Stop::Closed;
        }
        match self.look_for_loss(view, position, &mut max.steps) {
            Some(false) => {}
            Some(true) => return Stop::Gap,
            None => return Stop::Full,
        }
        let (mut bytes, mut entries) = (0, 0);
        for step in self.forward(view, position.after) {
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
            if !max.steps.take(step.cost) {
                return Stop::Full;
            }
        }
        position.after = self.tail;
        Stop::Tail
    }

    /// Returns whether the reader has lost an event of its view after the position, and has not been told
    /// so; `None` if that takes more steps. An event that all of its topics have evicted counts even if it
    /// was private: what is evicted is no longer known.
    ///
    /// What has been looked at is not looked at again: nothing is lost by an earlier eviction alone, so
    /// the position counts it as told.
    pub(crate) fn look_for_loss(
        &self,
        view: &Resolved,
        position: &mut ReadPosition,
        steps: &mut Steps,
    ) -> Option<bool> {
        let grant = view.grant();
        let ReadPosition { after, told_at, .. } = *position;
        let is_lost = match view.selection() {
            // Every event that the topic has evicted is lost to a reader of this topic alone.
            Selection::One(key) => {
                self.topics.get(*key).is_some_and(|state| state.past().is_evicted(after, told_at))
            }
            Selection::Many(keys) => {
                let states = || keys.iter().filter_map(|&key| self.topics.get(key));
                states().any(|state| state.past().is_evicted(after, told_at))
                    && (states().any(|state| state.past().is_dead(after, told_at))
                        || self.is_partly_lost(*position, grant, |key| keys.contains(&key)))
            }
            Selection::Scan(view) => {
                (self.topics.forgotten_through() > after && self.topics.forgotten_at() > told_at)
                    || self.is_scan_lost(view, position, grant, steps)?
            }
        };
        if !is_lost {
            position.told_at = self.topics.stamp;
        }
        Some(is_lost)
    }

    /// The part of [`History::look_for_loss`] for views with patterns, which know no topics: it looks at
    /// all that have lost something since the reader looked last.
    fn is_scan_lost(
        &self,
        view: &View,
        position: &mut ReadPosition,
        grant: Option<&Grant>,
        steps: &mut Steps,
    ) -> Option<bool> {
        let ReadPosition { after, told_at, .. } = *position;
        let matches = |state: &TopicState| view.matches(state.name.as_str());
        let mut looked_at = told_at;
        let mut has_steps = true;
        // An event that some topics hold may have been let go of before the latest eviction of its
        // topic, so only a look at everything tells whether it is lost.
        let may_pause = self.partly_evicted.range(after.next()..).next().is_none();
        for (stamp, state) in self.topics.evicted_since(told_at) {
            // Topics of one eviction are looked at together: a stamp cannot tell them apart.
            if may_pause && !has_steps && stamp != looked_at {
                position.told_at = looked_at;
                return None;
            }
            looked_at = stamp;
            has_steps = steps.take(view.filters().len());
            if !state.past().is_evicted(after, told_at) || !matches(state) {
                continue;
            }
            let in_view = |key| self.topics.get(key).is_some_and(matches);
            return Some(
                state.past().is_dead(after, told_at)
                    || self
                        .topics
                        .evicted_since(told_at)
                        .any(|(_, state)| state.past().is_dead(after, told_at) && matches(state))
                    || self.is_partly_lost(*position, grant, in_view),
            );
        }
        Some(false)
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

    /// Moves the position past all lost events, up to the first one held. The answer is that event's ID,
    /// if there is one; `None` if that takes more steps.
    ///
    /// A reader that comes back with this position is told of no loss before it.
    pub(crate) fn pass_lost(
        &self,
        view: &Resolved,
        position: &mut ReadPosition,
        steps: &mut Steps,
    ) -> Option<Option<EventId>> {
        position.told_at = self.topics.stamp;
        if self.is_end_evicted(view, *position) {
            return Some(None);
        }
        for step in self.forward(view, position.after) {
            let sequence = step.held.sequence();
            if step.in_view && step.held.block.kind(step.held.index) == Kind::Event {
                position.after = position.after.max(sequence.before());
                let oldest = step.held.block.id(step.held.index, self.epoch);
                return Some(Some(oldest));
            }
            if step.in_view && ends(view, *position, sequence) {
                return Some(None);
            }
            position.after = sequence;
            if !steps.take(step.cost) {
                return None;
            }
        }
        position.after = self.tail;
        Some(None)
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
