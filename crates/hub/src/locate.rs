//! Locating: looking up the place of a start before a response is made with it.

use std::future::poll_fn;
use std::task::Poll;

use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::hub::{Hub, Wait};
use crate::origin::{Located, Origin, wanted};
use crate::reader::{Read, Reader};
use crate::start::{LocatedId, Start};
use crate::view::View;

impl Hub {
    /// Looks up the last event ID of a start, for a view, in the journal if need be. The start that it
    /// yields is settled: a response made with it has the right head.
    ///
    /// It waits only on a journal that keeps its entries: for an ID that a publisher gave, for an event that
    /// this hub has not been fed yet, or for what follows the place in a view of one topic that is behind
    /// memory, because that may be a [close](Hub::close). A subscriber that is made without this call looks up
    /// its ID by itself, and learns of a close behind memory when it reads.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the look, and loses nothing.
    pub async fn locate(&self, view: &View, start: Start) -> Start {
        if !matches!(start, Start::After(_)) {
            return start;
        }
        let start = self.locate_id(view, start).await;
        if let [TopicFilter::Exact(_)] = view.filters() {
            self.meet_close(view, &start).await;
        }
        start
    }

    async fn locate_id(&self, view: &View, start: Start) -> Start {
        let origin = Origin::find(self, view, start.clone());
        let (_, located) = origin.locate(&self.read());
        let Located::Asked { id, spelled } = located else { return start };
        let locating = self.begin_locating(wanted(id.clone(), view, spelled));
        let place = poll_fn(|cx| match locating.place(Wait::Task(cx.waker())) {
            Some(place) => Poll::Ready(place),
            None => Poll::Pending,
        });
        let place = match place.await {
            Some(place) if spelled.is_none() => self.unless_lost(view, &id, place).await,
            place => place,
        };
        Start::Located(LocatedId { id, place })
    }

    /// The place of an event with an ID that a publisher gave, unless the event is no longer sent to readers. Other
    /// hubs on the same journal, which have it in memory alone, have forgotten it then, and all answer alike.
    async fn unless_lost(&self, view: &View, id: &str, place: Sequence) -> Option<Sequence> {
        if !self.journal().is_shared() || !self.read().keeps() {
            return Some(place);
        }
        let before = LocatedId { id: id.into(), place: Some(place.before()) };
        let mut reader = Reader::begin(self, view, Start::Located(before), None);
        let mut first = None;
        poll_fn(|cx| {
            loop {
                let read = reader.read_or_wait(1, Wait::Task(cx.waker()), |block, index| {
                    first.get_or_insert(block.sequence(index));
                });
                match read {
                    Read::Full | Read::Gap(_) if first.is_none() => {}
                    Read::Waiting if first.is_none() && !self.reads().is_failing() => {
                        return Poll::Pending;
                    }
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
        // A journal that cannot be read says nothing.
        (first == Some(place) || self.reads().is_failing()).then_some(place)
    }

    /// Reads the page that follows a place behind memory, which the subscriber needs next and shares. A
    /// reader whose stream was closed has read everything before the close, so the page has it if there is one.
    async fn meet_close(&self, view: &View, start: &Start) {
        let mut reader = Reader::begin(self, view, start.clone(), None);
        if !reader.is_behind() || reader.is_unsettled() {
            return;
        }
        poll_fn(|cx| match reader.read_or_wait(usize::MAX, Wait::Task(cx.waker()), |_, _| ()) {
            // The response is not to wait for a journal that cannot be read.
            Read::Waiting if !self.reads().is_failing() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }
}
