//! Restoring the streams of an earlier process from their entries.

use super::ask::StreamState;
use super::committed::Recount;
use super::mark::{EndNotice, StreamMark};
use super::of_topic::TopicStream;
use super::state::Streams;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry};
use crate::time::{Time, millis};
use crate::topic::Topic;

impl Streams {
    /// Begins to count the events of a stream that was read back: those after its beginning, up to the place that is
    /// returned. Entries after `from` are read later. `None` if it is about to be freed.
    pub(crate) fn begin_recount(
        &self,
        topic: &Topic,
        (from, now): (Sequence, u64),
    ) -> Option<(Sequence, Recount, Sequence)> {
        let stream = self.get(topic)?;
        let committed = stream.committed.as_ref()?;
        // To free it, the place of its last event is needed if its readers were not told its end.
        let is_over = stream.decided.expires_at <= now
            && committed.end.is_some_and(|(.., close)| close.notice == EndNotice::Event);
        // Of a stream that was told as of a later place, what was read until then is known.
        let known = from.max(stream.applied);
        let through = committed.end.map_or(known, |(end, ..)| end);
        let as_of = stream.told.as_ref().map_or(Sequence::ZERO, |told| told.as_of);
        let recount = Recount::new(through, as_of);
        (!is_over).then(|| (committed.begin, recount, through.max(as_of)))
    }

    /// Takes in the events of a stream that was read back. Returns whether the newest of them came after all marks that
    /// were read: then the time to live counts from it.
    pub(crate) fn take_counted(
        &mut self,
        topic: &Topic,
        counted: Recount,
        (opened_at, now): (Time, u64),
    ) -> bool {
        let Some(stream) = self.topics.get_mut(topic) else { return false };
        let Some(committed) = &mut stream.committed else { return false };
        let newest = counted.newest();
        committed.take_counted(counted, stream.told.as_ref().map_or(0, |told| told.events));
        stream.decided.events = committed.events;
        let after_marks = newest.filter(|(place, _)| *place > stream.applied);
        if let Some((place, time)) = after_marks {
            stream.applied = place;
            let decided = &mut stream.decided;
            let age = millis(opened_at.since(time));
            let left = millis(decided.options.ttl).saturating_sub(age);
            decided.expires_at = now.saturating_add(left);
        }
        stream.charge(&mut self.heap_bytes);
        after_marks.is_some()
    }

    /// Applies an entry of an earlier process, of which nothing was decided in this one; `opened_at` is
    /// the wall clock's time when the journal was opened. A grace begins anew: nobody is connected.
    pub(crate) fn restore(&mut self, entry: &mut Entry, opened_at: Time, now: u64) {
        if let Content::Stream(StreamMark::Told(_)) = &entry.content {
            // It is no sign of life.
            return self.apply(entry, now);
        }
        if let Content::Stream(StreamMark::End(close, _)) = &entry.content
            && let Some(topic) = entry.topics.as_slice().first()
            && let Some(committed) = self.committed_mut(topic)
        {
            committed.note_events(close.events);
        }
        self.apply(entry, now);
        let age = millis(opened_at.since(entry.time));
        for topic in entry.topics.as_slice() {
            let Some(TopicStream { decided, committed, .. }) = self.topics.get_mut(topic) else {
                continue;
            };
            decided.events = committed.as_ref().map_or(0, |it| it.events);
            decided.renew(now);
            // The time to live counts from the latest entry.
            decided.expires_at = decided.expires_at.saturating_sub(age);
            let grace = now.saturating_add(millis(decided.options.grace));
            decided.grace_until = Some(grace).filter(|_| decided.is_open);
            self.due_at = self.due_at.min(decided.due_at());
        }
    }

    /// Takes a stream that was told again when the journal is opened. Entries before it may be lost where hubs share the
    /// journal, also if its beginning was read. Returns whether it was news, so that the marks since then are still
    /// to be applied.
    pub(crate) fn restore_told(
        &mut self,
        topic: &Topic,
        (state, place, at): (&StreamState, Sequence, Time),
        (opened_at, now): (Time, u64),
        is_shared: bool,
    ) -> bool {
        let is_new = (is_shared || !self.topics.contains_key(topic))
            && self.tell((topic.clone(), state.clone()), opened_at, now);
        if let Some(stream) = self.topics.get_mut(topic) {
            stream.note_told(state, place, at);
            self.untold = (self.untold.0.min(place), self.untold.1.min(at));
        }
        is_new
    }

    /// Returns whether an entry of a topic is in the state of its stream.
    pub(crate) fn has_applied(&self, topic: &Topic, entry: Sequence) -> bool {
        self.topics.get(topic).is_some_and(|stream| entry <= stream.applied)
    }
}
