//! A reader of an event stream's text that takes one byte at a time, and is cut off anywhere.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use serde_json::Value;
use tidings_hub::{Body, Cursor, View};
use tidings_proto::{Decoder, Item};
use tidings_testkit::waker::Flag;

use crate::Counts;
use crate::reference::{Expectation, Reference};

/// Two decoders of one stream. What the hub may send is checked when it sends it, so a quick one is
/// fed each piece at once; the slow one stands for the reader, and must find the same byte by byte.
pub(crate) struct Bytewise {
    body: Body,
    expected: Expectation,
    flag: Arc<Flag>,
    waker: Waker,
    pending: bool,
    quick: Decoder,
    slow: Decoder,
    /// What the quick one has found and the slow one has not yet.
    found: VecDeque<Found>,
    /// Sent, and not yet taken.
    sent: VecDeque<u8>,
    /// The ID of the last block that the slow one has had whole.
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

impl Bytewise {
    pub(crate) fn new(body: Body, expected: Expectation) -> Self {
        let (flag, waker) = Flag::new();
        Self {
            body,
            expected,
            flag,
            waker,
            pending: false,
            quick: Decoder::new(),
            slow: Decoder::new(),
            found: VecDeque::new(),
            sent: VecDeque::new(),
            last_id: String::new(),
        }
    }

    /// Takes what is due now into the reader's buffer; `false` if there is nothing more.
    pub(crate) fn take_piece(&mut self, reference: &Reference, counts: &mut Counts) -> bool {
        if self.expected.ended {
            return false;
        }
        self.flag.take();
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.body).poll_next(&mut cx) {
            Poll::Pending if self.flag.take() => true,
            Poll::Pending => {
                self.pending = true;
                self.expected.at_tail(reference);
                false
            }
            Poll::Ready(None) => {
                self.expected.end_seen(reference);
                counts.add("ends", 1);
                false
            }
            Poll::Ready(Some(piece)) => {
                self.pending = false;
                self.check_piece(&piece, reference, counts);
                self.sent.extend(piece);
                true
            }
        }
    }

    fn check_piece(&mut self, mut piece: &[u8], reference: &Reference, counts: &mut Counts) {
        while let Some(item) = self.quick.decode(&mut piece).unwrap() {
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
    }

    /// Takes so many bytes from the buffer, one at a time.
    pub(crate) fn take_bytes(&mut self, bytes_max: usize) {
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

    /// Whoever waits and has something to read must have been woken.
    pub(crate) fn check_woken(&mut self, reference: &Reference) {
        if self.pending {
            let woken = self.flag.take();
            assert!(woken || !self.expected.has_more(reference), "asleep at an event");
            self.pending &= !woken;
        }
    }

    /// Whether the reader has the start of an event and not its end.
    pub(crate) fn is_within_an_event(&self) -> bool {
        !self.found.is_empty()
    }

    /// The place the reader comes back with, if it was given one.
    pub(crate) fn leave(self) -> Option<(String, View)> {
        let id = self.slow.last_event_id();
        assert_eq!(id, self.last_id, "the place is not that of the last whole block");
        (!id.is_empty()).then(|| (id.to_owned(), self.expected.view))
    }
}
