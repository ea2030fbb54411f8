//! Telling streams again: a journal that drops its oldest entries drops the beginnings of streams with them.
//!
//! Before that, the state of such a stream is committed once more, as a mark. A hub that opens the journal takes it
//! from there if the beginning is gone, and applies the marks that came after it.
//!
//! Streams are looked through whenever a segment has come to be in the older half of the journal, as soon as the hub
//! follows what was committed then. So however fast entries come, a mark has many segments' time to be written: the
//! other half of the journal is written before anything of that segment is dropped. If the journal has no room for the
//! marks just then, they are submitted once more with the next segment.

use super::ask::{StreamDates, StreamState};
use super::mark::StreamMark;
use super::of_topic::{TopicStream, settle};
use super::state::Streams;
use crate::cursor::Sequence;
use crate::time::{Time, millis};
use crate::topic::Topic;

/// A part of the journal that will be dropped before the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Older {
    /// Entries up to here are in it.
    pub(crate) through: Sequence,
    /// So are entries that were committed before this time.
    pub(crate) before: Time,
}

/// Streams that are told at once: publishers wait for some milliseconds while they are submitted.
const TOLD_MAX: usize = 4096;
/// Time between two looks through the streams, in milliseconds.
const LOOK_AGAIN_AFTER: u64 = 1_000;
/// How long a mark is waited for before it is submitted once more, in milliseconds.
const TELL_AGAIN_AFTER: u64 = 5_000;

impl Streams {
    /// The streams that are to be told again: their state is in the older part of the journal alone, or they have
    /// grown by much since. They are looked through once a second, and whenever the older part has grown.
    pub(crate) fn take_untold(
        &mut self,
        (older, has_moved): (Older, bool),
        (wall, now): (Time, u64),
    ) -> Vec<(Topic, StreamState)> {
        let mut untold = Vec::new();
        let is_old = |(place, at): (Sequence, Time)| place <= older.through || at < older.before;
        let is_due = self.has_grown || is_old(self.untold);
        if !self.is_kept || !is_due || !(has_moved || now >= self.look_at) {
            return untold;
        }
        self.look_at = now.saturating_add(LOOK_AGAIN_AFTER);
        self.has_grown = false;
        self.untold = (Sequence::MAX, Time::from_unix_millis(u64::MAX));
        for (topic, stream) in &mut self.topics {
            let (Some(committed), Some(told)) =
                (&stream.committed, stream.told.as_deref().copied())
            else {
                continue;
            };
            let has_grown = told.is_old_at(committed.events);
            self.has_grown |= has_grown;
            self.untold = (self.untold.0.min(told.place), self.untold.1.min(told.at));
            let is_under_way =
                told.submitted_at > 0 && now < told.submitted_at.saturating_add(TELL_AGAIN_AFTER);
            if (has_grown || is_old((told.place, told.at)))
                && !is_under_way
                && untold.len() < TOLD_MAX
                && let Some(state) = stream.state_to_tell(wall, now)
                && let Some(told) = &mut stream.told
            {
                told.submitted_at = now.max(1);
                untold.push((topic.clone(), state));
            }
        }
        untold
    }

    /// Notes that the journal has not taken the marks of these topics.
    pub(crate) fn tell_again<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>) {
        for topic in topics {
            let stream = self.topics.get_mut(topic);
            if let Some(told) = stream.and_then(|stream| stream.told.as_mut()) {
                told.submitted_at = 0;
            }
        }
    }
}

impl StreamState {
    /// The mark that tells it to the next process of a hub that decides by itself.
    pub(crate) fn into_told(mut self) -> StreamMark {
        // Turns are of this process.
        (self.decided.turn.begun, self.decided.turn.turn) = (0, 0);
        // A grace begins anew when the journal is opened: nobody is connected.
        self.has_left = true;
        StreamMark::Told(Box::new(self))
    }
}

impl TopicStream {
    /// The state of the stream as of its newest entry. Requests that are under way come after it: their entries are
    /// applied to it when the journal is opened.
    fn state_to_tell(&self, wall: Time, now: u64) -> Option<StreamState> {
        let committed = self.committed.as_ref()?;
        let mut state = self.state()?;
        let left = self.decided.expires_at.saturating_sub(now);
        let decided = &mut state.decided;
        if self.under_way > 0 || self.applied < self.answered || self.failed.is_some() {
            settle(decided, committed);
            decided.turn.epoch = committed.producer.as_ref().map_or(0, |producer| producer.epoch);
        }
        decided.expires_at = wall.unix_millis().saturating_add(left);
        decided.grace_until = None;
        decided.events = committed.events;
        Some(state)
    }

    /// The state of the stream as its marks tell it.
    pub(super) fn state(&self) -> Option<StreamState> {
        let committed = self.committed.as_ref()?;
        let mut decided = self.decided.clone();
        let end = committed.end.map(|(end, time, _)| (end, time));
        let ended = end.map_or(Time::default(), |(_, time)| time).unix_millis();
        decided.expires_at = ended.saturating_add(millis(decided.options.ttl));
        Some(StreamState {
            has_left: decided.grace_until.is_some(),
            decided,
            writer: StreamState::UNKNOWN,
            last: self.applied,
            held: committed.held,
            end: end.map(|(end, _)| end),
            dates: Some(StreamDates {
                begin: committed.begin,
                began: committed.began,
                ended: committed.end.map(|(_, time, close)| (time, close)),
            }),
        })
    }
}
