//! The state of the streams of all topics: decides whether a request belongs to its topic's stream.
//!
//! A pure machine: requests are decided in the order in which they are submitted, and entries are applied
//! in the order in which they are committed. It reads no clock and waits for nothing.
//!
//! ```text
//!            begin            end, or a begin (aborted), a grace (aborted), a ttl (expired)
//! no stream ───────▶ open ──────────────────────────────────────────────────▶ ended ──ttl──▶ no stream
//!                     ▲                                                         │
//!                     └──────────────────────── begin ──────────────────────────┘
//! ```

use std::collections::HashMap;
use std::task::Waker;

use super::committed::Committed;
use super::decided::Decided;
use super::deciding::{Declined, Turns, decide};
use super::failure::Failure;
use super::mark::{Producer, StreamMark};
use super::of_topic::{Freed, Told, TopicStream};
use super::request::{Append, StreamRefused, StreamTurn};
use super::signal::{StopWaiter, Waiting};
use crate::cursor::Sequence;
use crate::journal::{Content, Entry, NotCommitted};
use crate::time::Time;
use crate::topic::Topic;

/// The streams of all topics that have one.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(super) topics: HashMap<Topic, TopicStream>,
    /// Beyond so many topics, ended streams are forgotten early, and without any, beginnings are refused.
    topics_max: usize,
    /// The same for the bytes of all of them.
    bytes_max: usize,
    /// Bytes that they have allocated, but for the table.
    pub(super) heap_bytes: usize,
    /// No stream has something due before this time.
    pub(super) due_at: u64,
    /// The number of the latest turn.
    turns: u64,
    /// Wakers of those who wait for a stop that has come.
    pub(crate) woken: Vec<Waker>,
    /// Streams that were left for a hub that was away, though their producers are here.
    pub(super) still_here: Vec<(Topic, StreamTurn)>,
    /// Whether a journal keeps the entries, so that freeing what a stream held is an entry of its own.
    pub(super) is_kept: bool,
    /// Streams whose time to live is over: what they held is to be freed.
    pub(crate) freed: Vec<Freed>,
    /// No stream was told last before this place, and before this time.
    pub(super) untold: (Sequence, Time),
    /// Whether a stream has grown by much since it was told last, or there are more to tell.
    pub(super) has_grown: bool,
    /// Streams are looked through for those to tell again no earlier than this.
    pub(super) look_at: u64,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to the stream: these marks go before its events, and that one after them.
    Accept {
        before: Vec<StreamMark>,
        after: Option<StreamMark>,
    },
    /// The producer has sent it before.
    Duplicate,
    /// It was accepted before, under the same idempotency key.
    Repeated,
    Refused(StreamRefused),
    /// A request before it was not committed, and it is not known yet how the stream stands.
    Unsettled(Failure),
}

/// About a gigabyte of memory, if the budget is that large.
const TOPICS_MAX: usize = 1_000_000;
/// A slot of the table, which is at least 7/16 full.
const SLOT_BYTES: usize = (size_of::<(Topic, TopicStream)>() + 1) * 16 / 7;
/// Some hundreds of streams, however small the budget is.
const BYTES_MIN: usize = 512 * 1024;

impl Default for Streams {
    fn default() -> Self {
        Self {
            topics: HashMap::new(),
            topics_max: TOPICS_MAX,
            bytes_max: usize::MAX,
            heap_bytes: 0,
            due_at: 0,
            turns: 0,
            woken: Vec::new(),
            still_here: Vec::new(),
            is_kept: false,
            freed: Vec::new(),
            untold: (Sequence::MAX, Time::from_unix_millis(u64::MAX)),
            has_grown: false,
            look_at: 0,
        }
    }
}

impl Verdict {
    const ACCEPT: Self = Self::Accept { before: Vec::new(), after: None };
}

impl Streams {
    pub(crate) fn get(&self, topic: &Topic) -> Option<&TopicStream> {
        self.topics.get(topic)
    }

    /// Limits the bytes that the streams take.
    pub(crate) fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max.max(BYTES_MIN);
    }

    /// Bytes that the streams take at most.
    pub(crate) fn bytes(&self) -> usize {
        self.topics.len() * SLOT_BYTES + self.heap_bytes
    }

    /// Returns whether one more topic is beyond a limit.
    fn is_full(&self) -> bool {
        self.topics.len() >= self.topics_max || self.bytes() + SLOT_BYTES > self.bytes_max
    }

    /// Lets go of the streams that are not to be kept, and of the room that they took.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&Topic, &mut TopicStream) -> bool) {
        let Self { topics, heap_bytes, .. } = self;
        topics.retain(|topic, stream| {
            let is_kept = is_kept(topic, stream);
            if !is_kept {
                *heap_bytes -= stream.charged;
            }
            is_kept
        });
        if topics.len() < topics.capacity() / 4 {
            topics.shrink_to(2 * topics.len());
        }
    }

    /// Changes something that takes memory.
    pub(super) fn change(&mut self, topic: &Topic, change: impl FnOnce(&mut TopicStream)) {
        if let Some(stream) = self.topics.get_mut(topic) {
            change(stream);
            stream.charge(&mut self.heap_bytes);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Topic, &Committed)> {
        self.topics.iter().filter_map(|(topic, stream)| Some((topic, stream.committed.as_ref()?)))
    }

    /// A topic's latest stream, as far as it is committed.
    pub(crate) fn committed(&self, topic: &Topic) -> Option<&Committed> {
        self.get(topic)?.committed.as_ref()
    }

    pub(crate) fn committed_mut(&mut self, topic: &Topic) -> Option<&mut Committed> {
        self.topics.get_mut(topic)?.committed.as_mut()
    }

    /// Returns whether events of no producer belong to a topic: [`Verdict::Accept`] if they do.
    pub(crate) fn check_event(&self, topic: &Topic) -> Verdict {
        let Some(stream) = self.topics.get(topic) else { return Verdict::ACCEPT };
        if let Some(failure) = stream.failed {
            return Verdict::Unsettled(failure);
        }
        stream.decided.check_event().map_or_else(Verdict::Refused, |()| Verdict::ACCEPT)
    }

    /// Counts an event that [belongs](Streams::check_event) to a topic.
    pub(crate) fn count_event(&mut self, topic: &Topic, now: u64) {
        if let Some(stream) = self.topics.get_mut(topic) {
            stream.decided.events += 1;
            stream.decided.renew(now);
        }
    }

    /// A number that tells the topic's latest stream from others, if it has one.
    pub(crate) fn number(&self, topic: &Topic) -> Option<u64> {
        Some(self.topics.get(topic)?.decided.turn.begun)
    }

    /// Takes so many events back that were counted for a stream, and were in it before.
    pub(crate) fn take_back(&mut self, topic: &Topic, number: u64, events: u64) {
        if let Some(TopicStream { decided, .. }) = self.topics.get_mut(topic)
            && decided.turn.begun == number
        {
            decided.events = decided.events.saturating_sub(events);
        }
    }

    /// Returns whether there is room for one more topic. If not, the quarter of the streams that have ended and
    /// would be forgotten first is forgotten.
    pub(super) fn has_room(&mut self) -> bool {
        if !self.is_full() {
            return true;
        }
        let is_idle = |it: &TopicStream| !it.decided.is_open && it.under_way == 0;
        let ended = self.topics.values().filter(|stream| is_idle(stream));
        let mut dates: Vec<_> = ended.map(|stream| stream.decided.expires_at).collect();
        if !dates.is_empty() {
            let quarter = dates.len() / 4;
            let (_, &mut last, _) = dates.select_nth_unstable(quarter);
            self.retain(|_, it| !is_idle(it) || it.decided.expires_at > last);
        }
        !self.is_full()
    }

    /// Decides a request for a topic, with so many events.
    pub(crate) fn decide(
        &mut self,
        topic: &Topic,
        request: &Append,
        events: u64,
        now: u64,
    ) -> Verdict {
        if request.begin.is_some() && !self.topics.contains_key(topic) && !self.has_room() {
            return Verdict::Unsettled(Failure::NotCommitted(NotCommitted::Full));
        }
        let found = self.topics.get_mut(topic);
        if let Some(failure) = found.as_ref().and_then(|stream| stream.failed) {
            return Verdict::Unsettled(failure);
        }
        let next = self.turns + 1;
        let turns = Turns { begun: next, turn: next };
        let found = found.map(|stream| &mut stream.decided);
        let mut accepted = match decide(found, (request, events), turns, now) {
            Ok(accepted) => accepted,
            Err(Declined::Duplicate | Declined::Repeated) if !self.is_answered(topic, request) => {
                return Verdict::Unsettled(Failure::NotCommitted(NotCommitted::Busy));
            }
            Err(Declined::Duplicate) => return Verdict::Duplicate,
            Err(Declined::Repeated) => return Verdict::Repeated,
            Err(Declined::Refused(why)) => return Verdict::Refused(why),
        };
        self.turns = next;
        if let Some(begun) = accepted.begun.take() {
            match self.topics.get_mut(topic) {
                Some(stream) => stream.decided = begun,
                None => drop(self.topics.insert(topic.clone(), TopicStream::new(begun))),
            }
            self.change(topic, |stream| stream.beginning += 1);
        }
        if accepted.is_in_stream
            && let Some(stream) = self.topics.get_mut(topic)
        {
            stream.under_way += 1;
            self.due_at = self.due_at.min(stream.decided.expires_at);
        }
        Verdict::Accept { before: accepted.before, after: accepted.after }
    }

    /// Returns whether a request that was accepted before has been committed: only then may its repetition be
    /// answered.
    fn is_answered(&self, topic: &Topic, request: &Append) -> bool {
        let Some(stream) = self.topics.get(topic).filter(|stream| stream.under_way > 0) else {
            return true;
        };
        let newest = stream.committed.as_ref().and_then(|committed| committed.producer.as_ref());
        let place = |producer: &Producer| (producer.epoch, producer.seq);
        let is_in = |producer| newest.is_some_and(|newest| place(newest) > place(producer));
        let is_begun = request.begin.is_none() || stream.beginning == 0;
        is_begun && request.producer.as_ref().is_none_or(is_in)
    }

    /// The turn that the newest request for a topic has started or gone on with.
    pub(crate) fn turn(&self, topic: &Topic) -> Option<StreamTurn> {
        let decided = &self.topics.get(topic)?.decided;
        decided.is_open.then_some(decided.turn)
    }

    /// Starts the grace of a stream that is still in this turn.
    pub(crate) fn leave(&mut self, topic: &Topic, turn: StreamTurn, now: u64) {
        let Some(TopicStream { decided, .. }) = self.topics.get_mut(topic) else { return };
        if decided.is_open && decided.turn == turn {
            decided.leave(now);
            self.due_at = self.due_at.min(decided.due_at());
        }
    }

    /// Stops a topic's stream, if it is the one that began there: the mark is under way from here on.
    /// `None` if there is nothing left to stop.
    pub(crate) fn stop(
        &mut self,
        topic: &Topic,
        begin: Option<Sequence>,
        now: u64,
    ) -> Option<StreamMark> {
        let stream = self.topics.get_mut(topic)?;
        let committed_begin = stream.committed.as_ref().map(|committed| committed.begin);
        let decided = &mut stream.decided;
        let is_meant = begin.is_none() || begin == committed_begin;
        if !is_meant || !decided.is_open || decided.is_stopped || stream.failed.is_some() {
            return None;
        }
        decided.is_stopped = true;
        decided.leave(now);
        self.due_at = self.due_at.min(decided.due_at());
        stream.under_way += 1;
        Some(StreamMark::Stop)
    }

    /// Waits for a stop of a topic's open stream. The error says whether it was stopped before. With a turn, only
    /// the stream of that turn counts.
    pub(crate) fn wait_for_stop(
        &mut self,
        topic: &Topic,
        turn: Option<StreamTurn>,
    ) -> Result<StopWaiter, bool> {
        let stream = self.topics.get_mut(topic).ok_or(false)?;
        let whose = if turn.is_some() { Waiting::Producer } else { Waiting::Other };
        if turn.is_some_and(|turn| turn.begun != stream.decided.turn.begun) {
            return Err(false);
        }
        let is_stopped = stream.committed.as_ref().is_some_and(|committed| committed.is_stopped);
        if !stream.decided.is_open || is_stopped {
            return Err(is_stopped);
        }
        Ok(stream.signal.get_or_insert_default().wait(whose))
    }

    /// Notes the answer to a request that was [accepted](Verdict::Accept) for a topic: the newest of its
    /// entries, or why they were not committed.
    pub(crate) fn note_answer(&mut self, topic: &Topic, answer: Result<Sequence, Failure>) {
        let Some(stream) = self.topics.get_mut(topic) else { return };
        stream.under_way = stream.under_way.saturating_sub(1);
        match answer {
            Ok(sequence) => stream.answered = stream.answered.max(sequence),
            Err(failure) => stream.failed = Some(failure),
        }
        if !stream.settle()
            && let Some(removed) = self.topics.remove(topic)
        {
            self.heap_bytes -= removed.charged;
        }
    }

    /// Applies a committed entry. The end gets the number of events that were committed.
    pub(crate) fn apply(&mut self, entry: &mut Entry, now: u64) {
        if let Content::Stream(StreamMark::Begin(options)) = &entry.content
            && let Some(topic) = entry.topics.as_slice().first()
            && !self.topics.contains_key(topic)
        {
            // Another node has decided it.
            let decided = Decided::begin(options.clone(), now);
            self.due_at = self.due_at.min(decided.expires_at);
            self.topics.insert(topic.clone(), TopicStream::new(decided));
        }
        if let Content::Stream(StreamMark::Freed { last, end }) = entry.content
            && let Some(topic) = entry.topics.as_slice().first()
        {
            return self.note_freed(topic, (last, end), entry.sequence);
        }
        if let Content::Stream(StreamMark::Begin(_)) = &entry.content {
            self.untold = (self.untold.0.min(entry.sequence), self.untold.1.min(entry.time));
        }
        for topic in entry.topics.as_slice() {
            let Some(stream) = self.topics.get_mut(topic) else { continue };
            if let Content::Stream(StreamMark::Told(state)) = &entry.content {
                // It changes nothing, and other hubs have no such entry.
                stream.note_told(state, entry.sequence, entry.time);
                stream.charge(&mut self.heap_bytes);
                continue;
            }
            if entry.sequence <= stream.applied {
                // The stream was told of with this entry in it.
                continue;
            }
            stream.applied = entry.sequence;
            match (&mut entry.content, &mut stream.committed) {
                (Content::Stream(StreamMark::Begin(options)), committed) => {
                    let begun = Committed::begin(options, (entry.sequence, entry.time));
                    if let Some(before) = committed.replace(begun) {
                        stream.keep_earlier(before, entry.sequence);
                    }
                    let told = || Box::new(Told::begin(entry.sequence, entry.time));
                    stream.told = self.is_kept.then(told);
                    stream.beginning = stream.beginning.saturating_sub(1);
                    stream.signal(false, &mut self.woken);
                }
                (Content::Stream(StreamMark::Stop), Some(committed)) => {
                    committed.is_stopped = true;
                    stream.signal(true, &mut self.woken);
                }
                (Content::Stream(StreamMark::Append(producer)), Some(committed)) => {
                    committed.producer = Some(producer.clone());
                }
                (Content::Stream(StreamMark::End(close, key)), Some(committed)) => {
                    committed.end_key.clone_from(key);
                    close.events = committed.events;
                    committed.end = Some((entry.sequence, entry.time, *close));
                    stream.signal(false, &mut self.woken);
                }
                (Content::Event(_), Some(committed)) if committed.end.is_none() => {
                    let has_grown = committed.count(entry.sequence);
                    self.has_grown |=
                        stream.told.as_ref().is_some_and(|told| told.is_old_at(committed.events));
                    if stream.failed.is_none() && !has_grown {
                        continue;
                    }
                }
                _ => continue,
            }
            stream.settle();
            stream.charge(&mut self.heap_bytes);
        }
    }
}

#[cfg(test)]
mod tests;
