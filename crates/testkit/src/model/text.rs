//! The text of one event stream, checked as it is sent and as it is taken.

use std::collections::VecDeque;

use serde_json::Value;
use tidings_hub::{Cursor, View};
use tidings_proto::{Decoder, Item};

use super::Counts;
use super::expectation::Expectation;
use super::reference::Reference;

/// Two decoders of one stream. Text is checked when the hub sends it, so the quick decoder gets it at
/// once. The slow decoder stands for the reader: it takes one byte at a time, and must find the same.
#[derive(Debug)]
pub struct Text {
    /// The expectations of the stream's reader.
    pub expected: Expectation,
    quick: Decoder,
    slow: Decoder,
    /// Items that the quick decoder has found and the slow one has not yet.
    found: VecDeque<Found>,
    /// Bytes sent and not yet taken.
    sent: VecDeque<u8>,
    /// The ID of the last block that the slow decoder has had whole.
    last_id: String,
}

/// An [`Item`] of one's own.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Event { event_type: String, data: String, id: String },
    Place(String),
    Other,
}

impl Found {
    fn new(item: Item<'_>) -> Self {
        match item {
            Item::Event(event) => Self::Event {
                event_type: event.event_type.to_owned(),
                data: event.data.to_owned(),
                id: event.last_event_id.to_owned(),
            },
            Item::Id(id) => Self::Place(id.to_owned()),
            _ => Self::Other,
        }
    }
}

impl Text {
    /// Creates the text of a stream of which nothing has been sent.
    #[must_use]
    pub fn new(expected: Expectation) -> Self {
        Self {
            expected,
            quick: Decoder::new(),
            slow: Decoder::new(),
            found: VecDeque::new(),
            sent: VecDeque::new(),
            last_id: String::new(),
        }
    }

    /// Checks text that is sent now.
    ///
    /// # Panics
    ///
    /// If it is not what the reader is due.
    pub fn send(&mut self, text: &[u8], reference: &Reference, counts: &mut Counts) {
        let mut input = text;
        while let Some(item) = self.quick.decode(&mut input).unwrap() {
            let found = Found::new(item);
            match &found {
                Found::Event { event_type, data, id } if event_type == "gap" => {
                    let told: Value = serde_json::from_str(data).unwrap();
                    let place = Cursor::parse(id).expect("a place is a cursor");
                    let asked = told["asked"].as_str().unwrap();
                    self.expected.gap(reference, asked, told["oldest"].as_str(), place);
                    counts.add("gaps", 1);
                }
                Found::Event { data, id, .. } => {
                    let sequence = reference.sequence_of(id, data);
                    self.expected.event(reference, sequence, id, data);
                    let merged = self.expected.filters_matching(&reference.events[&sequence]) > 1;
                    counts.add("merged filters", u64::from(merged));
                }
                Found::Place(id) => {
                    let place = Cursor::parse(id).expect("a place is a cursor");
                    self.expected.place(reference, place);
                    counts.add("places without an event", 1);
                }
                Found::Other => {}
            }
            self.found.push_back(found);
        }
        self.sent.extend(text);
    }

    /// Lets the reader take so many of the bytes sent, one at a time.
    ///
    /// # Panics
    ///
    /// If it finds anything else in them than was sent.
    pub fn take(&mut self, bytes_max: usize) {
        for _ in 0..bytes_max {
            let Some(byte) = self.sent.pop_front() else { break };
            let mut input = &[byte][..];
            while let Some(item) = self.slow.decode(&mut input).unwrap() {
                let found = Found::new(item);
                if let Found::Event { id, .. } | Found::Place(id) = &found {
                    self.last_id.clone_from(id);
                }
                assert_eq!(Some(found), self.found.pop_front(), "byte by byte differs");
            }
        }
        if self.sent.is_empty() {
            assert!(self.found.is_empty(), "a piece ends within an event: {:?}", self.found);
        }
    }

    /// Returns whether the reader has the start of an event and not its end.
    #[must_use]
    pub fn is_within_an_event(&self) -> bool {
        !self.found.is_empty()
    }

    /// The last event ID with which the reader comes back, if it was given one, and its view.
    ///
    /// # Panics
    ///
    /// If the ID is not that of the last whole block.
    #[must_use]
    pub fn leave(self) -> Option<(String, View)> {
        let id = self.slow.last_event_id();
        assert_eq!(id, self.last_id, "the place is not that of the last whole block");
        (!id.is_empty()).then(|| (id.to_owned(), self.expected.view))
    }
}
