//! A reader of a body that takes one byte at a time, and is cut off anywhere.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use tidings_hub::Body;
use tidings_testkit::model::{Expectation, Reference, Schedule, Text};
use tidings_testkit::waker::Flag;

pub(crate) struct Bytewise {
    body: Body,
    pub(crate) text: Text,
    flag: Arc<Flag>,
    waker: Waker,
    pending: bool,
}

impl Bytewise {
    pub(crate) fn new(body: Body, expected: Expectation) -> Self {
        let (flag, waker) = Flag::new();
        Self { body, text: Text::new(expected), flag, waker, pending: false }
    }

    /// Takes what is due now into the reader's buffer; `false` if there is nothing more.
    pub(crate) fn take_piece(&mut self, schedule: &mut Schedule) -> bool {
        if self.text.expected.ended {
            return false;
        }
        self.flag.take();
        self.text.expected.look(&schedule.reference);
        let mut cx = Context::from_waker(&self.waker);
        let polled = Pin::new(&mut self.body).poll_next(&mut cx);
        let is_woken =
            polled.is_pending() && (self.flag.take() || schedule.drive() && self.flag.take());
        let Schedule { reference, counts, .. } = schedule;
        match polled {
            // It is to be polled again.
            Poll::Pending if is_woken => {
                self.pending = false;
                true
            }
            Poll::Pending => {
                self.pending = true;
                self.text.expected.at_tail(reference);
                false
            }
            Poll::Ready(None) => {
                self.text.expected.end_seen(reference);
                counts.add("ends", 1);
                false
            }
            Poll::Ready(Some(piece)) => {
                self.pending = false;
                self.text.send(&piece, reference, counts);
                true
            }
        }
    }

    /// Checks that a reader which waits and has something to read was woken.
    pub(crate) fn check_woken(&mut self, reference: &Reference) {
        if self.pending {
            let woken = self.flag.take();
            let expected = &self.text.expected;
            assert!(woken || !expected.has_more(reference), "asleep at an event: {expected:?}");
            self.pending &= !woken;
        }
    }
}
