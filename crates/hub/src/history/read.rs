//! Reading a view from a position, and finding the events that the position has lost.

use std::iter;

use tidings_proto::EventId;

use super::late_losses::LateLoss;
use super::own_ends::{OwnEnds, is_ended_by_ends};
use super::reach::Reach;
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

    /// Returns whether something after the position may have been lost since the reader looked for losses.
    pub(crate) fn has_lost_more(&self, view: &Resolved, position: &ReadPosition) -> bool {
        let reach = Reach::of(view);
        let is_dropped = |after| self.is_dropped(&reach, after);
        self.losses.is_lost(position.after, position.told_at, is_dropped)
    }

    /// Returns whether a view may have lost an entry after a place that is before the floor.
    fn is_dropped(&self, reach: &Reach<'_>, after: Sequence) -> bool {
        let keys = match reach {
            Reach::One(key) => std::slice::from_ref(key),
            Reach::Several(keys) => keys,
            Reach::Found(_) | Reach::All(_) => return self.is_behind_in(reach, after),
        };
        // Above what the journal has dropped, entries may be too old.
        let floor = self.floor();
        let known = self.dropped.as_ref().filter(|(through, _)| *through >= floor);
        keys.iter().any(|&key| match (known, self.topics.get(key)) {
            (Some((_, dropped)), Some(state)) => dropped.newest(&state.name) > after,
            _ => self.topics.released_through(key) > after,
        })
    }

    /// Returns whether the view may have entries after a place that the history no longer holds.
    pub(crate) fn is_behind(&self, view: &Resolved, after: Sequence) -> bool {
        self.is_behind_in(&Reach::of(view), after)
    }

    /// Returns whether the topics of a view may have entries after a place that the history no longer holds.
    fn is_behind_in(&self, reach: &Reach<'_>, after: Sequence) -> bool {
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
        let reach = self.reach_after(view, position.after, steps);
        self.look_in(&reach, view.grant(), position, steps)
    }

    fn look_in(
        &self,
        reach: &Reach<'_>,
        grant: Option<&Grant>,
        position: &mut ReadPosition,
        steps: &mut Steps,
    ) -> Option<bool> {
        let ReadPosition { after, told_at, .. } = *position;
        // First, because a look that pauses counts the evictions that it has looked at as told.
        if self.losses.is_lost(after, told_at, |after| self.is_dropped(reach, after)) {
            return Some(true);
        }
        // What the journal alone keeps is looked at as it is read: other topics of the view may still have it.
        let is_of_one = matches!(reach, Reach::One(_));
        if self.keeps && !is_of_one && self.is_behind_in(reach, after) {
            return Some(false);
        }
        let is_forgotten =
            || self.topics.forgotten_through() > after && self.topics.forgotten_at() > told_at;
        let is_lost = match reach {
            // Every event that the topic has evicted is lost to a reader of this topic alone.
            Reach::One(key) => {
                self.topics.get(*key).is_some_and(|state| state.past().is_evicted(after, told_at))
            }
            Reach::Several(keys) => self.is_lost_among(keys, position, grant, steps)?,
            Reach::Found(keys) => {
                is_forgotten() || self.is_lost_among(keys, position, grant, steps)?
            }
            Reach::All(view) => {
                is_forgotten() || self.is_scan_lost(view, position, grant, steps)?
            }
        };
        if !is_lost {
            position.told_at = self.topics.stamp;
        }
        Some(is_lost)
    }

    /// The part of [`History::look_for_loss`] for views of several topics.
    fn is_lost_among(
        &self,
        keys: &[TopicKey],
        position: &mut ReadPosition,
        grant: Option<&Grant>,
        steps: &mut Steps,
    ) -> Option<bool> {
        let ReadPosition { after, told_at, .. } = *position;
        let states = || keys.iter().filter_map(|&key| self.topics.get(key));
        let is_evicted = states().any(|state| state.past().is_evicted(after, told_at));
        if !is_evicted && !self.late_losses.is_any_since(told_at) {
            return Some(false);
        }
        if states().any(|state| state.past().is_dead(after, told_at)) {
            return Some(true);
        }
        self.is_partly_lost(keys, position, grant, steps)
    }

    /// The part of [`History::look_for_loss`] for events that other topics still hold or held longer, in a view
    /// of several topics.
    fn is_partly_lost(
        &self,
        keys: &[TopicKey],
        position: &mut ReadPosition,
        grant: Option<&Grant>,
        steps: &mut Steps,
    ) -> Option<bool> {
        let ReadPosition { after, told_at, .. } = *position;
        let in_view = |key| (keys.contains(&key), keys.len());
        look_through(position, steps, self.partly_since(after, told_at), |partly, steps| {
            steps.take(keys.len());
            partly.sequence() > after && self.is_lost_partly(partly, grant, steps, in_view)
        })
    }

    /// The evictions since a stamp that leave or left an event to other topics, in their order. They may be of
    /// events before the place; if all are, there may be none.
    fn partly_since(
        &self,
        after: Sequence,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = (EvictionStamp, Partly)> {
        let has_evicted = self.partly_evicted.is_after(after);
        let evicted = has_evicted.then(|| self.partly_evicted.since(told_at)).into_iter().flatten();
        let evicted = evicted.map(|(at, (sequence, key))| (at, Partly::Evicted(sequence, key)));
        let late = self.late_losses.since(told_at).map(|(at, loss)| (at, Partly::Late(loss)));
        merge(evicted, late)
    }

    /// Returns whether such an eviction is a loss of the view. `in_view` is that of
    /// [`History::is_held_in_view`].
    fn is_lost_partly(
        &self,
        partly: Partly,
        grant: Option<&Grant>,
        steps: &mut Steps,
        in_view: impl Fn(TopicKey) -> (bool, usize),
    ) -> bool {
        match partly {
            Partly::Evicted(sequence, key) => {
                in_view(key).0 && !self.is_held_in_view(sequence, grant, steps, in_view)
            }
            Partly::Late(loss) => {
                in_view(loss.evicted_from).0
                    && in_view(loss.superseded_in).0
                    && !(self.late_losses.is_held(loss)
                        && self.is_held_in_view(loss.sequence, grant, steps, in_view))
            }
        }
    }

    /// The part of [`History::look_for_loss`] for views whose patterns match too many topics to go through:
    /// it looks at all topics that have lost something since the reader looked last.
    fn is_scan_lost(
        &self,
        view: &View,
        position: &mut ReadPosition,
        grant: Option<&Grant>,
        steps: &mut Steps,
    ) -> Option<bool> {
        let ReadPosition { after, told_at, .. } = *position;
        let cost = view.filters().len();
        let matches = |state: &TopicState| view.matches(state.name.as_str());
        let in_view = |key| (self.topics.get(key).is_some_and(matches), cost);
        let dead = self.topics.dead_since(told_at).map(|(at, state)| (at, Eviction::Whole(state)));
        let partly = self.partly_since(after, told_at);
        let partly = partly.map(|(at, partly)| (at, Eviction::Partly(partly)));
        look_through(position, steps, merge(dead, partly), |eviction, steps| {
            steps.take(cost);
            match eviction {
                Eviction::Whole(state) => state.past().is_dead(after, told_at) && matches(state),
                Eviction::Partly(partly) => {
                    partly.sequence() > after && self.is_lost_partly(partly, grant, steps, in_view)
                }
            }
        })
    }

    /// Returns whether the view has lost nothing although one of its topics has evicted an event: another
    /// of its topics holds the event, or its grant does not allow it. `in_view` returns whether a topic is
    /// in the view, and the steps that this takes.
    fn is_held_in_view(
        &self,
        sequence: Sequence,
        grant: Option<&Grant>,
        steps: &mut Steps,
        in_view: impl Fn(TopicKey) -> (bool, usize),
    ) -> bool {
        let held = self.held(sequence);
        let is_held = |&key: &TopicKey| {
            let (in_view, cost) = in_view(key);
            steps.take(cost);
            in_view && self.topics.get(key).is_some_and(|state| state.holds(sequence))
        };
        held.block.topics(held.index).iter().any(is_held) || !self.is_allowed(grant, || held)
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

/// An eviction by which a reader may have lost something.
enum Eviction<'a> {
    /// The latest of the topic's events that no topic holds any more.
    Whole(&'a TopicState),
    /// One event that other topics hold or held longer.
    Partly(Partly),
}

/// An eviction that leaves or left an event to other topics.
#[derive(Clone, Copy)]
enum Partly {
    /// The topic has evicted the event, and another one holds it.
    Evicted(Sequence, TopicKey),
    Late(LateLoss),
}

impl Partly {
    fn sequence(self) -> Sequence {
        match self {
            Self::Evicted(sequence, _) => sequence,
            Self::Late(loss) => loss.sequence,
        }
    }
}

/// Looks through evictions since the position was told of them, in their order, until one is a loss;
/// `None` if that takes more steps. What has been looked at then counts as told.
fn look_through<T>(
    position: &mut ReadPosition,
    steps: &mut Steps,
    evictions: impl Iterator<Item = (EvictionStamp, T)>,
    mut is_loss: impl FnMut(T, &mut Steps) -> bool,
) -> Option<bool> {
    let mut looked_at = position.told_at;
    for (stamp, eviction) in evictions {
        // Those of one stamp are looked at together: it cannot tell them apart.
        if steps.is_over() && stamp != looked_at && looked_at != position.told_at {
            position.told_at = looked_at;
            return None;
        }
        looked_at = stamp;
        if is_loss(eviction, steps) {
            return Some(true);
        }
    }
    Some(false)
}

/// Merges two lists of evictions that are in order.
fn merge<T>(
    first: impl Iterator<Item = (EvictionStamp, T)>,
    second: impl Iterator<Item = (EvictionStamp, T)>,
) -> impl Iterator<Item = (EvictionStamp, T)> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some((one, _)), Some((other, _))) if other < one => second.next(),
        (Some(_), _) => first.next(),
        (None, _) => second.next(),
    })
}
