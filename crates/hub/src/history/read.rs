//! Reading a view from a position in memory.

use tidings_proto::EventId;

use super::own_ends::{OwnEnds, is_ended_by_ends};
use super::reach::Reach;
use super::topic_state::TopicState;
use super::{EvictionStamp, Held, History, Kind, Resolved, Selection, Steps, TopicKey};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::topic::Topic;
use crate::view::View;

/// The position of a reader in history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadPosition {
    /// Everything of its view up to here has been sent, or told as lost.
    pub(crate) after: Sequence,
    /// Evictions up to here have been told.
    pub(crate) told_at: EvictionStamp,
    /// The ends that end the response to it.
    pub(crate) ends: OwnEnds,
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
    /// The journal alone keeps the entries that come next. Nothing was read.
    Behind,
}

/// The outcome of passing lost events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// The next event that is held, if there is one.
    To(Option<EventId>),
    /// It takes more steps.
    Looking,
    /// The journal alone keeps the entries that come next.
    Behind,
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
        let reach = self.reach_after(view, position.after, &mut max.steps);
        match self.look_in(&reach, view.grant(), position, &mut max.steps) {
            Some(false) => {}
            Some(true) => return Stop::Gap,
            None => return Stop::Full,
        }
        if self.keeps && self.is_behind_in(&reach, position.after) {
            return Stop::Behind;
        }
        let is_conflating = self.topics.rules().is_conflating();
        let (mut bytes, mut entries) = (0, 0);
        for step in self.forward(&reach, view.grant(), position.after) {
            let Held { block, index } = step.held;
            if step.in_view {
                match block.kind(index) {
                    Kind::Event if is_conflating && self.is_conflated(view, step.held) => {}
                    kind @ (Kind::Event | Kind::End) => {
                        let chunk = block.chunk(index).len();
                        if entries == max.entries || (bytes > 0 && bytes + chunk > max.bytes) {
                            return Stop::Full;
                        }
                        (bytes, entries) = (bytes + chunk, entries + 1);
                        visit(step.held);
                        position.ends.enter();
                        if kind == Kind::End && is_ended_by_ends(view, position.ends) {
                            position.after = step.held.sequence();
                            return Stop::Closed;
                        }
                    }
                    Kind::Close if ends(view, *position, step.held.sequence()) => {
                        return Stop::Closed;
                    }
                    Kind::SilentEnd
                        if self.is_silent_end(view, position.ends, step.held.sequence()) =>
                    {
                        return Stop::Closed;
                    }
                    Kind::Close | Kind::Mark | Kind::SilentEnd => {}
                }
            }
            position.after = step.held.sequence();
            if !max.steps.take(step.cost) {
                return Stop::Full;
            }
        }
        // A place past the tail waits for the feed.
        position.after = position.after.max(self.tail);
        Stop::Tail
    }

    /// Returns whether a reader skips an event because it is behind: each topic by which its view has the
    /// event asks for that and has a newer event, which the reader is sent.
    fn is_conflated(&self, view: &Resolved, held: Held<'_>) -> bool {
        let sequence = held.sequence();
        let is_newer = |state: &TopicState| {
            let (newest, limits) =
                (state.past().newest_event, self.topics.rules().limits(state.past().rule()));
            (limits.conflate || limits.latest_only)
                && newest > sequence
                && state.holds(newest)
                && self.is_allowed(view.grant(), || self.held(newest))
        };
        let mut topics = held.block.topics(held.index).iter();
        // A topic that is not known any more has let go of the event, so that it is no reason to skip it.
        topics.all(|&key| {
            let state = self.topics.get(key);
            let is_selected = match view.selection() {
                Selection::One(only) => *only == key,
                Selection::Many(keys) => keys.contains(&key),
                Selection::Scan(scan) => {
                    state.is_some_and(|state| scan.view.matches(state.name.as_str()))
                }
            };
            !is_selected || state.is_some_and(is_newer)
        })
    }

    /// Returns whether readers of a topic may not be sent all of its events, and are told of no gap.
    pub(crate) fn skips_events(&self, topic: &Topic) -> bool {
        let rules = self.topics.rules();
        let limits = rules.limits(rules.find(topic.as_str()));
        limits.latest_only || limits.conflate
    }

    /// Returns whether the view may have entries after a place that the history no longer holds.
    pub(crate) fn is_behind(&self, view: &Resolved, after: Sequence) -> bool {
        self.is_behind_in(&Reach::of(view), after)
    }

    /// Returns whether the topics of a view may have entries after a place that the history no longer holds.
    pub(super) fn is_behind_in(&self, reach: &Reach<'_>, after: Sequence) -> bool {
        let is_behind = |&key: &TopicKey| self.topics.released_through(key) > after;
        match reach {
            Reach::One(key) => is_behind(key),
            Reach::Several(keys) => keys.iter().any(is_behind),
            Reach::Found(keys) => {
                self.topics.unknown_released() > after || keys.iter().any(is_behind)
            }
            Reach::All(_) => self.released_through > after,
        }
    }

    /// Moves the position past all lost events, up to the first one held.
    ///
    /// A reader that comes back with this position is told of no loss before it.
    pub(crate) fn pass_lost(
        &self,
        view: &Resolved,
        position: &mut ReadPosition,
        steps: &mut Steps,
    ) -> Passed {
        position.told_at = self.topics.stamp;
        if self.is_end_evicted(view, *position) {
            return Passed::To(None);
        }
        let reach = self.reach_after(view, position.after, steps);
        if self.keeps && self.is_behind_in(&reach, position.after) {
            return Passed::Behind;
        }
        for step in self.forward(&reach, view.grant(), position.after) {
            let sequence = step.held.sequence();
            let kind = step.held.block.kind(step.held.index);
            if step.in_view && matches!(kind, Kind::Event | Kind::End) {
                position.after = position.after.max(sequence.before());
                let oldest = step.held.block.id(step.held.index, self.epoch);
                return Passed::To(Some(oldest));
            }
            let is_end = match kind {
                Kind::Close => ends(view, *position, sequence),
                Kind::SilentEnd => self.is_silent_end(view, position.ends, sequence),
                Kind::Event | Kind::End | Kind::Mark => false,
            };
            if step.in_view && is_end {
                return Passed::To(None);
            }
            position.after = sequence;
            if !steps.take(step.cost) {
                return Passed::Looking;
            }
        }
        position.after = position.after.max(self.tail);
        Passed::To(None)
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
            Selection::Scan(scan) => scan.view.clone(),
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
            Selection::Scan(scan) => scan.view.matches(topic.as_str()),
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
pub(super) fn ends(view: &Resolved, position: ReadPosition, sequence: Sequence) -> bool {
    matches!(view.selection(), Selection::One(_)) && is_behind_end(position, sequence)
}

fn is_behind_end(position: ReadPosition, sequence: Sequence) -> bool {
    sequence > position.after && position.ends.has_close(sequence)
}
