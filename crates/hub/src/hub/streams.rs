//! The streams of the hub's topics: told, ended in time, and freed.

use std::future::poll_fn;
use std::mem;

use crate::cursor::{Cursor, Sequence};
use crate::filter::TopicFilter;
use crate::hub::Hub;
use crate::journal::{Committing, Outcome, Submission};
use crate::streams::{Committed, Freed, Older, Producer, StreamClose, StreamTurn};
use crate::time::Time;
use crate::topic::Topic;
use crate::view::View;

/// The state of a topic's latest stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The topic.
    pub topic: Topic,
    /// The place where it begins.
    pub begin: Cursor,
    /// When it began.
    pub began: Time,
    /// When and how it ended, if it has.
    pub end: Option<(Time, StreamClose)>,
    /// How many events it has.
    pub events: u64,
    /// The places of its first and its last event.
    pub places: Option<(Cursor, Cursor)>,
    /// Whether a reader has stopped it, which its producer has answered or not.
    pub is_stopped: bool,
    /// The newest request of the producer that owns it.
    pub producer: Option<Producer>,
}

impl Hub {
    pub(crate) fn has_streams(&self) -> bool {
        self.streams_of_topics().is_used()
    }

    /// The state of the latest streams of the topics that a filter matches, by the names of the topics.
    #[must_use]
    pub fn streams(&self, filter: &TopicFilter) -> Vec<StreamInfo> {
        if !self.has_streams() {
            return Vec::new();
        }
        let state = self.streams_of_topics().lock();
        if let TopicFilter::Exact(topic) = filter {
            let committed = state.streams.committed(topic);
            return committed.map(|it| self.stream_info((topic, it))).into_iter().collect();
        }
        let matching = state.streams.iter().filter(|(topic, _)| filter.matches(topic.as_str()));
        let mut found: Vec<_> = matching.map(|it| self.stream_info(it)).collect();
        drop(state);
        found.sort_unstable_by(|one, other| one.topic.as_str().cmp(other.topic.as_str()));
        found
    }

    fn stream_info(&self, (topic, stream): (&Topic, &Committed)) -> StreamInfo {
        let cursor = |sequence| Cursor { epoch: self.epoch(), sequence };
        StreamInfo {
            topic: topic.clone(),
            begin: cursor(stream.begin),
            began: stream.began,
            end: stream.end.map(|(_, time, close)| (time, close)),
            is_stopped: stream.is_stopped,
            events: stream.events,
            places: stream.held.map(|(first, last)| (cursor(first), cursor(last))),
            producer: stream.producer.clone(),
        }
    }

    /// Returns whether a view is one topic whose stream has ended, and a reader at a place has been sent
    /// all of it.
    #[must_use]
    pub fn is_stream_over(&self, view: &View, place: Sequence) -> bool {
        self.of_only_topic(view, |stream| stream.is_over_at(place)).unwrap_or(false)
    }

    /// The end of the stream of a view's only topic, if a place is at its last event or later.
    #[must_use]
    pub fn stream_end_at(&self, view: &View, place: Sequence) -> Option<StreamClose> {
        let end = |stream: &Committed| stream.end.filter(|_| place >= stream.last());
        self.of_only_topic(view, end)?.map(|(_, _, close)| close)
    }

    /// Looks at the latest stream of a view's only topic, if it is one topic that has a stream.
    fn of_only_topic<T>(&self, view: &View, look: impl FnOnce(&Committed) -> T) -> Option<T> {
        let [TopicFilter::Exact(topic)] = view.filters() else { return None };
        if !self.has_streams() {
            return None;
        }
        self.streams_of_topics().lock().streams.committed(topic).map(look)
    }

    /// Tells that the one who publishes to a stream in this turn has left it. Somebody may go on within the
    /// [grace](crate::StreamOptions::grace) of the stream; then it ends as [aborted](crate::StreamReason::Aborted).
    pub fn leave_stream(&self, topic: &Topic, turn: StreamTurn) {
        if self.streams_of_topics().is_told() {
            return self.tell_left(topic, turn);
        }
        let now = self.clock().uptime();
        self.streams_of_topics().lock().streams.leave(topic, turn, now);
    }

    /// Waits until a reader stops the topic's stream: `true` then, `false` if it ends otherwise or is not open. With
    /// a turn, only the stream of that turn counts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stream_stopped(&self, topic: &Topic, turn: Option<StreamTurn>) -> bool {
        let waiter = self.streams_of_topics().lock().streams.wait_for_stop(topic, turn);
        let waiter = match waiter {
            Ok(waiter) => waiter,
            Err(is_stopped) => return is_stopped,
        };
        poll_fn(|cx| waiter.poll(cx)).await
    }

    /// Ends the streams whose time is over.
    pub(crate) fn end_due_streams(&self) {
        if !self.has_streams() {
            return;
        }
        if self.streams_of_topics().is_told() {
            self.ask_due_ends();
            self.tell_streams();
            return self.free_streams();
        }
        let mut state = self.streams_of_topics().lock();
        state.note_left();
        let now = self.clock().uptime();
        let due = state.streams.take_due(now);
        for (topic, mark) in due {
            let mark = Submission::Stream(topic.clone(), mark);
            let committing = self.submit_only(&mut std::iter::once(mark));
            state.left.push((topic, committing));
        }
        state.note_left();
        drop(state);
        self.tell_streams();
        self.commit_submitted();
        self.free_streams();
    }

    /// Tells streams again if the older part of the journal has grown. The hub's follower does so with each commit, so
    /// it only compares two numbers as a rule.
    pub(crate) fn tell_streams_in_time(&self) {
        let has_older = |through| self.streams_of_topics().has_older(through);
        if self.has_streams() && self.journal().older().is_some_and(has_older) {
            self.tell_streams();
        }
    }

    /// Tells again the streams that the journal would soon drop, if it has moved on. The marks are submitted, and
    /// brought in later; a journal that decides keeps the states in its copy.
    pub(crate) fn tell_streams(&self) {
        if !self.has_streams() {
            return;
        }
        let Some(older) = self.older_part() else { return };
        let times = (self.time(), self.clock().uptime());
        let shared = self.streams_of_topics();
        let has_moved = shared.note_older(older.through);
        let mut state = shared.lock();
        let untold = state.streams.take_untold((older, has_moved), times);
        if untold.is_empty() {
            return;
        }
        if shared.is_told() {
            drop(state);
            return self.journal().keep_streams(untold);
        }
        let topics: Vec<_> = untold.iter().map(|(topic, _)| topic.clone()).collect();
        let marks = untold.into_iter();
        let mut marks = marks.map(|(topic, state)| Submission::Stream(topic, state.into_told()));
        let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::NotCommitted(_));
        let is_taken = match self.submit_only(&mut marks) {
            Committing::One(outcome) => !is_refused(&outcome),
            Committing::All(outcomes) => !outcomes.iter().any(is_refused),
            Committing::Waiting(_) => true,
        };
        if !is_taken {
            state.streams.tell_again(topics.iter());
        }
    }

    /// The older half of what the journal keeps, and of the time for which it does, if it drops that by itself.
    fn older_part(&self) -> Option<Older> {
        let through = self.journal().older()?;
        let age = self.inner.every_age_max().map(|age_max| self.time().saturating_sub(age_max / 2));
        Some(Older { through, before: age.unwrap_or_default() })
    }

    /// Frees what the streams held whose time to live is over, in memory and in the journal alike.
    pub(crate) fn free_streams(&self) {
        let freed = mem::take(&mut self.streams_of_topics().lock().streams.freed);
        if freed.is_empty() {
            return;
        }
        let keeps = self.read().keeps();
        for Freed { topic, last, through } in freed {
            if keeps {
                let mut history = self.write();
                // A journal without room for one more freed topic goes on sending its events. So does memory, then.
                if !self.journal().free(&topic, last, through) {
                    continue;
                }
                history.note_freeing(&topic, last, through);
            }
            // Locked anew for each portion.
            while self.write().evict_topic_through(&topic, through) {}
            if keeps {
                self.write().note_freed(&topic, last, through);
            }
        }
    }
}
