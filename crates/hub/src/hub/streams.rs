//! The streams of the hub's topics: told, ended in time, and read back when the hub is opened.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;

use crate::cursor::{Cursor, Sequence};
use crate::filter::TopicFilter;
use crate::hub::Hub;
use crate::journal::{Content, Entry, JournalError, PageMax, Submission, TopicSet};
use crate::streams::{Committed, Freed, Producer, Recount, StreamClose, StreamMark, StreamTurn};
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

/// The most that is read back at once: entries, and bytes.
const PAGE: (usize, usize) = (1024, 1024 * 1024);

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
            return self.ask_due_ends();
        }
        let mut state = self.streams_of_topics().lock();
        state.note_left();
        let due = state.streams.take_due(self.clock().uptime());
        for (topic, mark) in due {
            let mark = Submission::Stream(topic.clone(), mark);
            let committing = self.submit_only(&mut std::iter::once(mark));
            state.left.push((topic, committing));
        }
        state.note_left();
        drop(state);
        self.commit_submitted();
        self.free_streams();
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
                // What the journal goes on telling, memory tells as well.
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

impl Hub {
    /// Reads back the streams that began before the newest entries, which history is filled with.
    pub(crate) async fn restore_streams(&self) -> Result<(), JournalError> {
        let from = self.read().tail();
        let (opened_at, now) = (self.time(), self.clock().uptime());
        let max = PageMax::new(PAGE.0, PAGE.1);
        let (mut after, mut topics) = (Sequence::ZERO, Vec::new());
        while after < from {
            let page = self.journal().marks(after, max).await?;
            for mut entry in page.entries {
                let Content::Stream(mark) = &entry.content else { continue };
                if entry.sequence > from {
                    break;
                }
                if let StreamMark::Begin(_) = mark {
                    topics.extend(entry.topics.as_slice().first().cloned());
                }
                let shared = self.streams_of_topics();
                let streams = &mut shared.lock_to_use().streams;
                match shared.is_told() {
                    true => streams.restore_decided(&mut entry, opened_at, now),
                    false => streams.restore(&mut entry, opened_at, now),
                }
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        topics.sort_unstable_by(|one: &Topic, other| one.as_str().cmp(other.as_str()));
        topics.dedup();
        for topic in topics {
            self.recount(&topic, from).await?;
        }
        Ok(())
    }

    /// Counts the events of a stream whose marks alone were read back.
    async fn recount(&self, topic: &Topic, from: Sequence) -> Result<(), JournalError> {
        let shared = self.streams_of_topics();
        let now = self.clock().uptime();
        let range = shared.lock().streams.range_to_count(topic, now);
        let Some((begin, end)) = range else { return Ok(()) };
        let mut counted = Recount::default();
        let range = (begin, end.unwrap_or(from));
        self.read_events(topic, range, |sequence| counted.count(sequence)).await?;
        shared.lock().streams.take_counted(topic, counted);
        Ok(())
    }

    /// Reads the events of a topic that the journal keeps, after a place and up to another one.
    async fn read_events(
        &self,
        topic: &Topic,
        (mut after, through): (Sequence, Sequence),
        mut visit: impl FnMut(Sequence),
    ) -> Result<(), JournalError> {
        let topics = TopicSet::Topics(Arc::new([topic.clone()]));
        let is_event = |entry: &Entry| matches!(entry.content, Content::Event(_));
        while after < through {
            let page =
                self.journal().read(topics.clone(), after, PageMax::new(PAGE.0, PAGE.1)).await?;
            let entries = page.entries.iter().take_while(|entry| entry.sequence <= through);
            entries.filter(|entry| is_event(entry)).for_each(|entry| visit(entry.sequence));
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(())
    }
}
