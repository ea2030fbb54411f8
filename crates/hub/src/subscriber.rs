//! Subscribers: cursors that wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tidings_proto::{Event, EventId};

use crate::closer::Closer;
use crate::cursor::Cursor;
use crate::entry::{Delivery, Raw};
use crate::gap::Gap;
use crate::history::ReadMax;
use crate::hub::Hub;
use crate::reader::{Read, Reader};
use crate::start::Start;
use crate::topic::Topic;
use crate::view::View;
use crate::watch::{Due, Watch, WatchList};

/// An async cursor in a hub's history.
///
/// It is a [`Stream`] of what it finds, and the source of a [`Body`](crate::Body). It has no queue: an
/// event is read from history when it is asked for, so that a slow subscriber costs no more memory
/// than a fast one, and is told of a [`Gap`] if history moves on without it.
#[derive(Debug)]
pub struct Subscriber {
    reader: Reader,
    watch: Arc<Watch>,
    listed: Listed,
}

/// Where a subscriber's watch is listed, and at which places.
#[derive(Debug)]
enum Listed {
    Topic(Arc<WatchList>, u32),
    // Boxed, so that those with one topic, nearly all, pay for no more than that.
    Topics(Box<Box<[OneOfMany]>>),
    Scans(u32),
}

type OneOfMany = (Arc<WatchList>, u32);

/// What a subscriber finds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// The next event.
    Event(Delivery),
    /// Events that should have come next are no longer held; what follows is what is.
    Gap(Gap),
}

impl Received {
    /// What a reader is sent: the event, or the event that [tells the gap](Gap::to_event). Each has the
    /// ID that its reader resumes with.
    ///
    /// For streams that are changed on their way and so made with [`Body::from_stream`](crate::Body::from_stream).
    #[must_use]
    pub fn into_event(self) -> Event {
        match self {
            Self::Event(delivery) => delivery.event,
            Self::Gap(gap) => gap.to_event(),
        }
    }
}

impl Hub {
    /// Subscribes to a view: a topic, a filter, or several ([`View::new`]). The subscriber reads from its
    /// start by itself; nothing is queued for it.
    ///
    /// From this call on nothing published is missed, whenever the subscriber is first polled.
    #[must_use]
    pub fn subscribe(&self, view: impl Into<View>, start: Start) -> Subscriber {
        Subscriber::open(self, &view.into(), start)
    }
}

impl Subscriber {
    fn open(hub: &Hub, view: &View, start: Start) -> Self {
        let reader = Reader::open(hub, view, start, None);
        let is_scan = reader.has_pattern();
        let watch = hub.watch(is_scan.then(|| view.clone()));
        let listed = if is_scan {
            Listed::Scans(hub.scans().add(&watch))
        } else {
            let mut history = hub.write();
            let mut list = |&key| {
                let list = history.watchers(key)?;
                let place = list.add(&watch);
                Some((list, place))
            };
            match reader.topics() {
                [key] if let Some((list, place)) = list(key) => Listed::Topic(list, place),
                keys => Listed::Topics(Box::new(keys.iter().filter_map(list).collect())),
            }
        };
        Self { reader, watch, listed }
    }

    /// Waits for what comes next; `None` when the stream is over: its topic was [ended](Hub::close), its
    /// time is up, an [`Closer`] ended it, or the hub drains.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the cursor moves only when something is returned.
    pub async fn next(&mut self) -> Option<Received> {
        poll_fn(|cx| self.poll_received(cx)).await
    }

    /// Reads on when the streams of its topic are [ended](Hub::close): for a reader that polls, and so
    /// has no stream to end.
    #[must_use]
    pub fn past_closes(mut self) -> Self {
        self.reader.read_past_closes();
        self
    }

    /// The cursor: everything of the view up to here has been returned, or told as lost.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }

    /// The last event before the first one to be read that the subscriber may know of: what the
    /// response header `Last-Event-ID` says, or `earliest` where there is none.
    #[must_use]
    pub fn started_after(&self) -> Option<&EventId> {
        self.reader.started_after()
    }

    /// Whether the stream was [ended](Hub::close) while its reader was away: it should be answered with
    /// status 204, which stops an EventSource.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.is_closed()
    }

    /// Whether the streams of another topic were ended while its reader was away: a topic that stands
    /// for something else the stream belongs to, such as its subject.
    #[must_use]
    pub fn is_closed_by(&self, topic: &Topic) -> bool {
        self.reader.is_closed_by(topic)
    }

    /// What ends its stream from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer::new(Arc::clone(&self.watch))
    }

    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    pub(crate) fn hub(&self) -> &Hub {
        self.reader.hub()
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        const ONE: ReadMax = ReadMax { bytes: usize::MAX, entries: 1 };
        // Before any look, so that what comes after it still wakes.
        self.watch.register(cx.waker());
        if self.watch.is_due(Due::TimeOut) || self.watch.is_due(Due::Close) {
            return Poll::Ready(None);
        }
        let mut found = None;
        let read = self.reader.read_held(ONE, |history, held| found = Raw::copy(history, held));
        if let Some(found) = found {
            self.reader.hub().count_delivered(1);
            return Poll::Ready(found.decode().map(Received::Event));
        }
        match read {
            Read::Gap(gap) => Poll::Ready(Some(Received::Gap(gap))),
            Read::Closed => Poll::Ready(None),
            Read::Tail if self.watch.is_due(Due::Drain) => Poll::Ready(None),
            Read::Tail => Poll::Pending,
            // A long walk without a match: go on, but let others run in between.
            Read::Full => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Stream for Subscriber {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        self.poll_received(cx)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let hub = self.reader.hub();
        hub.everybody().forget(&self.watch);
        match &self.listed {
            Listed::Topic(list, place) => list.remove(*place),
            Listed::Topics(lists) => lists.iter().for_each(|(list, place)| list.remove(*place)),
            Listed::Scans(place) => hub.scans().remove(*place),
        }
    }
}
