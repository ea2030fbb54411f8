//! The part of a topic's streams that is committed: the latest one, and those before it.

use std::mem;

use super::ask::{StreamDates, StreamState};
use super::mark::{EndNotice, Producer, StreamClose, StreamOptions};
use super::places::{Counted, Places};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::time::Time;

/// The part of a stream's state that readers see.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) options: StreamOptions,
    pub(crate) producer: Option<Producer>,
    pub(crate) begin: Sequence,
    pub(crate) began: Time,
    pub(crate) end: Option<(Sequence, Time, StreamClose)>,
    /// The idempotency key of the request that ended it.
    pub(super) end_key: Option<IdempotencyKey>,
    pub(crate) is_stopped: bool,
    pub(crate) events: u64,
    /// The first and the last event.
    pub(crate) held: Option<(Sequence, Sequence)>,
    pub(super) places: Places,
}

/// A stream of a topic that has another one after it.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    begin: Sequence,
    last_event: Sequence,
    /// The place of its end, and all of its events.
    end: Counted,
    places: Places,
}

/// Events of a stream that lie between two places: an index is found by counting them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The place where the stream begins.
    pub(crate) begin: Sequence,
    pub(crate) after: Sequence,
    pub(crate) through: Counted,
}

impl Committed {
    pub(super) fn begin(options: &StreamOptions, (begin, began): (Sequence, Time)) -> Self {
        Self {
            options: options.clone(),
            producer: options.producer.clone(),
            begin,
            began,
            end: None,
            end_key: None,
            is_stopped: false,
            events: 0,
            held: None,
            places: Places::default(),
        }
    }

    /// The stream as other hubs tell of it.
    pub(super) fn told(state: &StreamState, dates: StreamDates) -> Self {
        let decided = &state.decided;
        let mut told = Self::begin(&decided.options, (dates.begin, dates.began));
        told.producer.clone_from(&decided.producer);
        told.end = state.end.zip(dates.ended).map(|(end, (time, close))| (end, time, close));
        told.is_stopped = decided.is_stopped;
        told.end_key.clone_from(&decided.end_key);
        (told.events, told.held) = (decided.events, state.held);
        told
    }

    /// Keeps the places of the stream as it was known before some of its events were lost.
    pub(super) fn keep_places(&mut self, before: Self) {
        let last = Counted { place: before.last(), events: before.events };
        self.places = before.places;
        if last.events > 0 {
            self.places.learn(&[last]);
        }
    }

    /// Returns whether a reader at a place has been sent everything.
    pub(crate) fn is_over_at(&self, place: Sequence) -> bool {
        self.end.is_some_and(|(end, _, close)| {
            place >= if close.notice == EndNotice::Event { end } else { self.last() }
        })
    }

    /// The last event, or the beginning.
    pub(crate) fn last(&self) -> Sequence {
        self.held.map_or(self.begin, |(_, last)| last)
    }

    /// Counts an event. Returns whether that took memory.
    pub(super) fn count(&mut self, sequence: Sequence) -> bool {
        let before = self.places.heap_bytes();
        count(sequence, &mut self.events, &mut self.held, &mut self.places);
        self.places.heap_bytes() != before
    }

    /// Notes the number of events that the end says. Those that come first may not be there to be counted.
    pub(super) fn note_events(&mut self, events: u64) {
        if let Some(uncounted) = events.checked_sub(self.events) {
            self.places.shift(uncounted);
            self.events = events;
        }
    }

    /// Takes in the events that were counted anew. There are others before them if the end says so, or what was told.
    pub(super) fn take_counted(&mut self, mut counted: Recount, told: u64) {
        let said = self.end.map_or(0, |(_, _, close)| close.events);
        let uncounted = told.saturating_sub(counted.told).max(said.saturating_sub(counted.events));
        counted.places.shift(uncounted);
        (self.events, self.places) = (counted.events + uncounted, counted.places);
        self.held = match (self.held, counted.held) {
            (Some((first, last)), Some((oldest, newest))) => {
                Some((first.min(oldest), last.max(newest)))
            }
            (known, counted) => known.or(counted),
        };
    }

    /// The stream as one that has another one after it, which begins at a place.
    pub(super) fn before(&mut self, next: Sequence) -> Earlier {
        let place = self.end.map_or(next, |(end, ..)| end);
        let end = Counted { place, events: self.events };
        let (begin, last_event) = (self.begin, self.last());
        Earlier { begin, last_event, end, places: mem::take(&mut self.places) }
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        let last = Counted { place: self.last(), events: self.events };
        Extent { begin: self.begin, last_event: last.place, last, places: &self.places }
    }

    /// Bytes that it has allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        let producer =
            |producer: &Option<Producer>| producer.as_ref().map_or(0, |it| it.id().len());
        producer(&self.producer) + producer(&self.options.producer) + self.places.heap_bytes()
    }
}

/// The events of a stream, counted anew.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    through: Sequence,
    as_of: Sequence,
    /// Events that were told as well.
    told: u64,
    events: u64,
    held: Option<(Sequence, Sequence)>,
    /// When the last of them was committed.
    newest_at: Time,
    places: Places,
}

impl Recount {
    /// Begins to count events up to a place, and apart from that those that were told as of another place.
    pub(super) fn new(through: Sequence, as_of: Sequence) -> Self {
        Self { through, as_of, ..Self::default() }
    }

    /// Counts an event.
    pub(crate) fn count(&mut self, sequence: Sequence, time: Time) {
        self.told += u64::from(sequence <= self.as_of);
        if sequence <= self.through {
            count(sequence, &mut self.events, &mut self.held, &mut self.places);
            self.newest_at = time;
        }
    }

    /// The place of the newest event that was counted, and when it was committed.
    pub(super) fn newest(&self) -> Option<(Sequence, Time)> {
        self.held.map(|(_, last)| (last, self.newest_at))
    }
}

fn count(
    sequence: Sequence,
    events: &mut u64,
    held: &mut Option<(Sequence, Sequence)>,
    places: &mut Places,
) {
    *events += 1;
    let first = held.map_or(sequence, |(first, _)| first);
    *held = Some((first, sequence));
    places.note(Counted { place: sequence, events: *events });
}

impl Earlier {
    pub(super) fn extent(&self) -> Extent<'_> {
        let Self { begin, last_event, end, places } = self;
        Extent { begin: *begin, last_event: *last_event, last: *end, places }
    }

    pub(super) fn places_mut(&mut self) -> &mut Places {
        &mut self.places
    }

    /// Bytes that it has allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.places.heap_bytes()
    }
}

/// The places that a stream reaches from and to.
#[derive(Clone, Copy)]
pub(super) struct Extent<'a> {
    pub(super) begin: Sequence,
    last_event: Sequence,
    /// Its last event, or a place after it.
    last: Counted,
    places: &'a Places,
}

impl Extent<'_> {
    /// The events from one of them on, up to a place where they are counted.
    pub(super) fn from(self, event: Sequence) -> Option<Stretch> {
        let through = self.places.at_or_after(event).unwrap_or(self.last);
        let is_within = event > self.begin && event <= through.place;
        is_within.then(|| Stretch { begin: self.begin, after: event.before(), through })
    }

    /// The index of an event whose place is known: it is the last one, or there is a place there.
    pub(super) fn index_of(self, event: Sequence) -> Option<u64> {
        let counted = match event == self.last_event {
            true => Some(self.last.events),
            false => {
                let noted = self.places.at_or_after(event);
                noted.filter(|counted| counted.place == event).map(|counted| counted.events)
            }
        };
        counted?.checked_sub(1)
    }

    /// Where the event with an index is, which is just after the last one at most; a negative index counts from
    /// the end.
    pub(super) fn at(self, index: i64) -> IndexedAt {
        let index = match u64::try_from(index) {
            Ok(index) => index,
            Err(_) => self.last.events.saturating_sub(index.unsigned_abs()),
        };
        if index == 0 {
            return IndexedAt::After(self.begin);
        }
        if index >= self.last.events {
            return IndexedAt::After(self.last.place);
        }
        let (before, through) = self.places.around(index);
        let after = before.map_or(self.begin, |before| before.place);
        let through = through.unwrap_or(self.last);
        IndexedAt::Within(index, Stretch { begin: self.begin, after, through })
    }
}

/// Where the event with an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexedAt {
    /// It is the next one after a place.
    After(Sequence),
    /// To be counted in a stretch.
    Within(u64, Stretch),
}
