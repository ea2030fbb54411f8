//! Finding the events that a position has lost.
//!
//! Each eviction has a stamp. A reader knows the stamp up to which it was told, so it looks at later evictions alone.

use std::iter;

use super::late_losses::LateLoss;
use super::reach::Reach;
use super::read::ReadPosition;
use super::topic_state::TopicState;
use super::{EvictionStamp, History, Resolved, Steps, TopicKey};
use crate::cursor::Sequence;
use crate::grant::Grant;
use crate::view::View;

impl History {
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

    /// Returns whether the reader has lost an event of its view after the position, and has not been told
    /// so; `None` if that takes more steps. An event that all of its topics have evicted counts even if it
    /// was private: what is evicted is no longer known.
    ///
    /// An eviction that has been looked at is not looked at again: nothing is lost by an earlier eviction alone, so
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

    pub(super) fn look_in(
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
        // Events that the journal alone keeps are looked at as they are read: other topics of the view may still have them.
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
