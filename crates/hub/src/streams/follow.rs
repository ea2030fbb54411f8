//! Following: the hub's state of streams that a shared journal decides.

use super::ask::{Ask, SeenStream, StreamState};
use super::committed::Committed;
use super::mark::StreamMark;
use super::of_topic::{Told, TopicStream};
use super::request::StreamTurn;
use super::signal::StopSignal;
use super::state::Streams;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry};
use crate::time::{Time, millis};
use crate::topic::Topic;

/// How long an end is waited for before it is asked for once more, in milliseconds, and a mark that frees a stream.
const ASK_AGAIN_AFTER: u64 = 5_000;

impl Streams {
    /// Applies an entry that the journal has decided, and that is as old as this, in milliseconds.
    pub(crate) fn follow(&mut self, entry: &mut Entry, age: u64, now: u64) {
        let told = match &entry.content {
            Content::Stream(StreamMark::End(close, _)) => Some(close.events),
            _ => None,
        };
        self.apply(entry, now);
        // Counted in the order of all hubs: this one may not have the first events.
        if let (Some(events), Content::Stream(StreamMark::End(close, _))) =
            (told, &mut entry.content)
        {
            close.events = events;
        }
        for topic in entry.topics.as_slice() {
            let Some(stream) = self.topics.get_mut(topic) else { continue };
            if entry.sequence < stream.applied {
                continue;
            }
            if let (Some(events), Some(committed)) = (told, &mut stream.committed) {
                committed.note_events(events);
                committed.events = events;
                if let Some((.., close)) = &mut committed.end {
                    close.events = events;
                }
            }
            let decided = &mut stream.decided;
            decided.events = stream.committed.as_ref().map_or(0, |it| it.events);
            match &entry.content {
                // Neither a close nor a state that is told again shows that the producer is there.
                Content::Close | Content::Stream(StreamMark::Told(_)) => continue,
                Content::Stream(mark @ (StreamMark::Stop | StreamMark::Left)) => {
                    let is_here = stream.signal.as_ref().is_some_and(StopSignal::has_producer);
                    if *mark == StreamMark::Left && is_here {
                        self.still_here.push((topic.clone(), decided.turn));
                    }
                    decided.leave(now);
                    decided.grace_until = decided.grace_until.map(|it| it.saturating_sub(age));
                    self.due_at = self.due_at.min(decided.due_at());
                    continue;
                }
                Content::Stream(mark) => note_turn(&mut decided.turn, mark, entry.sequence),
                // It came when the stream was over for the journal, and belongs to none.
                Content::Event(_) if !decided.is_open => continue,
                Content::Event(_) => {}
            }
            decided.renew(now);
            decided.expires_at = decided.expires_at.saturating_sub(age);
            self.due_at = self.due_at.min(decided.due_at());
        }
    }

    /// Applies a mark that the journal has decided before this process, as [`Streams::restore`] does. Only a stream that
    /// was left or stopped has a grace: the producer may be at another hub.
    pub(crate) fn restore_decided(&mut self, entry: &mut Entry, opened_at: Time, now: u64) {
        self.restore(entry, opened_at, now);
        let Content::Stream(mark) = &entry.content else { return };
        let Some(topic) = entry.topics.as_slice().first() else { return };
        match mark {
            StreamMark::Left | StreamMark::Stop | StreamMark::Told(_) => {}
            _ => self.go_on(topic),
        }
        if let Some(stream) = self.topics.get_mut(topic) {
            note_turn(&mut stream.decided.turn, mark, entry.sequence);
        }
    }

    /// Notes that somebody goes on with a stream, so that no grace runs.
    pub(crate) fn go_on(&mut self, topic: &Topic) {
        if let Some(stream) = self.topics.get_mut(topic) {
            stream.decided.grace_until = None;
        }
    }

    /// The requests to end the streams whose time is over, and to free ended ones. All of them are repeated until the
    /// journal has decided them.
    pub(crate) fn ask_due(&mut self, now: u64) -> Vec<(Topic, Ask)> {
        let mut due = Vec::new();
        if now < self.due_at {
            return due;
        }
        let mut due_at = u64::MAX;
        self.retain(|topic, stream| {
            let ended = stream.ended();
            let TopicStream { decided, applied, .. } = stream;
            let is_expired = now >= decided.expires_at;
            let is_left = decided.grace_until.is_some_and(|until| now >= until);
            let begin = Sequence::new(decided.turn.begun).unwrap_or_default();
            let seen = SeenStream { begin, last: *applied };
            let ask = match ended {
                _ if decided.is_open && (is_expired || is_left) => {
                    Ask::End { seen, is_expired: !is_left }
                }
                Some((last, end)) if is_expired => Ask::Free { seen, last, end },
                // Of such a stream it is not known how it ended.
                None if is_expired => return false,
                _ => {
                    due_at = due_at.min(decided.due_at());
                    return true;
                }
            };
            due.push((topic.clone(), ask));
            let again = now.saturating_add(ASK_AGAIN_AFTER);
            match is_left && decided.is_open {
                true => decided.grace_until = Some(again),
                false => decided.expires_at = again,
            }
            due_at = due_at.min(decided.due_at());
            true
        });
        self.due_at = due_at;
        due
    }

    /// Takes the streams that were left although their producers are at this hub: others had thought it gone.
    pub(crate) fn take_still_here(&mut self) -> Vec<(Topic, StreamTurn)> {
        std::mem::take(&mut self.still_here)
    }

    /// The states of all streams, for a journal that has read their marks before this process.
    pub(crate) fn states(&self) -> Vec<(Topic, StreamState)> {
        self.topics.iter().filter_map(|(topic, it)| Some((topic.clone(), it.state()?))).collect()
    }

    /// Adds a stream whose beginning this hub cannot read, as other hubs tell of it, or brings one up to date of which
    /// the hub has lost entries. Returns whether it was news.
    pub(crate) fn tell(
        &mut self,
        (topic, state): (Topic, StreamState),
        time: Time,
        now: u64,
    ) -> bool {
        let Some(dates) = state.dates else { return false };
        let is_wanted = match self.topics.get(&topic) {
            Some(known) => known.applied < state.last,
            None => self.has_room(),
        };
        if !is_wanted {
            return false;
        }
        let committed = Committed::told(&state, dates);
        let mut decided = state.decided;
        let left = match decided.expires_at > dates.began.unix_millis() {
            true => decided.expires_at.saturating_sub(time.unix_millis()),
            // A hub that has read the stream back from its folder does not know.
            false => millis(decided.options.ttl),
        };
        decided.expires_at = now.saturating_add(left);
        let is_left = state.has_left && decided.is_open;
        decided.grace_until = is_left.then(|| now.saturating_add(millis(decided.options.grace)));
        self.due_at = self.due_at.min(decided.due_at());
        let told = Told { as_of: state.last, events: decided.events, ..Told::default() };
        let mut stream = TopicStream::new(decided);
        (stream.committed, stream.applied) = (Some(committed), state.last);
        if self.is_kept {
            // Nothing in the hub's own journal tells it yet.
            stream.told = Some(Box::new(told));
            self.untold = <(Sequence, Time)>::default();
        }
        if let Some(known) = self.topics.remove(&topic) {
            stream.succeed(known, &mut self.woken);
        }
        self.topics.insert(topic.clone(), stream);
        self.change(&topic, |_| ());
        true
    }

    /// Returns whether a topic has a stream, or there is room for one.
    pub(crate) fn has_room_for(&mut self, topic: &Topic) -> bool {
        self.topics.contains_key(topic) || self.has_room()
    }
}

/// Notes the turn that a mark starts. Its place is the turn's number, by which all hubs know it.
fn note_turn(turn: &mut StreamTurn, mark: &StreamMark, place: Sequence) {
    let number = place.get();
    match mark {
        StreamMark::Begin(options) => {
            let epoch = options.producer.as_ref().map_or(0, |producer| producer.epoch);
            *turn = StreamTurn { begun: number, turn: number, epoch };
        }
        StreamMark::Append(producer) => (turn.turn, turn.epoch) = (number, producer.epoch),
        _ => {}
    }
}
