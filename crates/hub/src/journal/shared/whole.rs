//! Requests that are whole: all of their events are entries, or none of them is.

use std::ops::Range;

use crate::draft::IdempotencyKey;
use crate::journal::{Content, Entry};
use crate::streams::{Order, Reader, StreamMark, StreamRefused};

/// The request whose events are being read, and the fate of all of them.
#[derive(Default)]
pub(super) struct Whole {
    /// The places of its events in the message.
    places: Range<u64>,
    fate: Fate,
}

/// The fate of each event.
#[derive(Clone, Copy, Default)]
pub(super) enum Fate {
    /// It is taken as if it came alone.
    #[default]
    Alone,
    /// One of the events depends on messages that were not read.
    Unsure,
    /// One of the events does not belong to the stream of its topic.
    Refused(StreamRefused),
}

impl Whole {
    /// Decides a request if an entry announces one, by the records that follow. Events for which `is_repeated` holds are
    /// not published again, so they need not belong to a stream.
    pub(super) fn announced(
        entry: &Entry,
        following: &[(Entry, Option<IdempotencyKey>)],
        (order, by): (&Order, Reader),
        is_repeated: impl Fn(&IdempotencyKey) -> bool,
    ) -> Option<Self> {
        let Content::Stream(StreamMark::Whole(events)) = entry.content else { return None };
        let first = entry.sequence.get() + 1;
        let places = first..first + u64::from(events);
        let records = || following.iter().take_while(|(it, _)| places.contains(&it.sequence.get()));
        let fate = if records().any(|(entry, _)| order.is_unsure(entry, by)) {
            Fate::Unsure
        } else {
            let mut new = records().filter(|(_, key)| !key.as_ref().is_some_and(&is_repeated));
            let checked = new.try_for_each(|(entry, _)| order.check_event(entry, by));
            checked.map_or_else(Fate::Refused, |()| Fate::Alone)
        };
        Some(Self { places, fate })
    }

    /// The fate of a record.
    pub(super) fn fate(&self, entry: &Entry) -> Fate {
        match self.places.contains(&entry.sequence.get()) {
            true => self.fate,
            false => Fate::Alone,
        }
    }
}
