//! Subscribers: cursors that wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tidings_proto::{Event, EventId};

use crate::closer::Closer;
use crate::cursor::Cursor;
use crate::entry::{HeldEvent, RawEvent};
use crate::gap::Gap;
use crate::history::{Block, ReadMax, Steps};
use crate::hub::{Hub, Wait};
use crate::reader::{Read, Reader};
use crate::start::Start;
use crate::topic::Topic;
use crate::view::View;
use crate::watch::{Due, Watch, WatchList};

/// An async cursor in a hub's history.
///
/// It is a [`Stream`] of what it finds, and the source of a [`Body`](crate::Body). It has no queue: an
/// event is read from history when the stream is polled, so a slow subscriber costs no more memory than a
/// fast one, and is told of a [`Gap`] if history moves on without it.
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
    Several(Box<Box<[OneOfSeveral]>>),
}

type OneOfSeveral = (Arc<WatchList>, u32);

/// Something that a subscriber finds in history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// The next event.
    Event(HeldEvent),
    /// Events that should have come next are no longer held. The events that are held follow.
    Gap(Gap),
}

impl Found {
    /// The event that a reader is sent: the one that was found, or the one that [tells the
    /// gap](Gap::to_event). It has the ID with which its reader resumes.
    ///
    /// For streams that are changed on their way, and so made with
    /// [`Body::from_stream`](crate::Body::from_stream).
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
        let watch = hub.watch();
        let resolved = reader.resolved();
        let mut history = hub.write();
        let add = |list: Arc<WatchList>| {
            let place = list.add(&watch);
            (list, place)
        };
        let mut lists = resolved.keys().iter().filter_map(|&key| history.watchers(key)).map(add);
        let listed = match resolved.only_topic() {
            Some(_) if let Some((list, place)) = lists.next() => Listed::Topic(list, place),
            _ => {
                let mut lists: Vec<_> = lists.collect();
                let groups = resolved.groups().iter();
                lists.extend(groups.filter_map(|&key| history.group_watchers(key)).map(add));
                Listed::Several(Box::new(lists.into()))
            }
        };
        drop(history);
        Self { reader, watch, listed }
    }

    /// Waits for the next event or gap. `None` means that the stream has ended: it was closed by
    /// [`Hub::close`] or a [`Closer`], it has reached its maximum age, or the hub drains.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the cursor moves only when something is returned.
    pub async fn next(&mut self) -> Option<Found> {
        poll_fn(|cx| self.poll_received(cx)).await
    }

    /// The cursor: all events of the view up to here have been returned, or told as lost.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }

    /// The ID of the view's last event before the first one to be read; `None` if there is none. The
    /// response header `Last-Event-ID` names it, or `earliest`.
    #[must_use]
    pub fn started_after(&self) -> Option<&EventId> {
        self.reader.started_after()
    }

    /// Returns whether the stream was [closed](Hub::close) while its reader was away. The response should then
    /// have status 204, which stops an EventSource.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.is_closed()
    }

    /// A handle that closes the stream from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer::new(Arc::clone(&self.watch))
    }

    pub(crate) fn read_past_closes(&mut self) {
        self.reader.read_past_closes();
    }

    pub(crate) fn is_closed_for(&self, topic: &Topic) -> bool {
        self.reader.is_closed_by(topic)
    }

    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Reads as [`Reader::read`] does. The subscriber is woken when the journal has what comes next.
    pub(crate) fn read(&mut self, bytes_max: usize, visit: impl FnMut(&Arc<Block>, usize)) -> Read {
        self.reader.read_or_wait(bytes_max, Wait::Watch(&self.watch), visit)
    }

    pub(crate) fn hub(&self) -> &Hub {
        self.reader.hub()
    }

    /// Returns whether it reads exactly one topic.
    pub(crate) fn is_of_one(&self) -> bool {
        self.reader.resolved().only_topic().is_some()
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<Found>> {
        let mut one = ReadMax { bytes: usize::MAX, entries: 1, steps: Steps::default() };
        // Before any look, so that what comes after it still wakes.
        self.watch.register(cx.waker());
        if self.watch.is_due(Due::TimeOut) || self.watch.is_due(Due::Close) {
            return Poll::Ready(None);
        }
        let (mut found, epoch) = (None, self.reader.hub().epoch());
        let wait = Wait::Watch(&self.watch);
        let copy = if self.is_of_one() { RawEvent::copy_for_one } else { RawEvent::copy };
        let read = self.reader.read_seen(&mut one, wait, |seen| found = copy(seen, epoch));
        if let Some(found) = found {
            if read == Read::Closed {
                // This is the end of the topic's stream: nothing comes after it.
                self.watch.mark_due(Due::Close);
            }
            self.reader.hub().count_delivered(1);
            return Poll::Ready(found.decode().map(Found::Event));
        }
        match read {
            Read::Gap(gap) => Poll::Ready(Some(Found::Gap(gap))),
            Read::Closed => Poll::Ready(None),
            // Its place resumes elsewhere, whether or not the journal can be read.
            Read::Tail | Read::Waiting if self.watch.is_due(Due::Drain) => Poll::Ready(None),
            Read::Tail | Read::Waiting => Poll::Pending,
            // A long walk without a match: go on, but let others run in between.
            Read::Full => {
                self.reader.hub().count_cut_look();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Stream for Subscriber {
    type Item = Found;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Found>> {
        self.poll_received(cx)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let hub = self.reader.hub();
        hub.everybody().forget(&self.watch);
        match &self.listed {
            Listed::Topic(list, place) => list.remove(*place),
            Listed::Several(lists) => lists.iter().for_each(|(list, place)| list.remove(*place)),
        }
    }
}
