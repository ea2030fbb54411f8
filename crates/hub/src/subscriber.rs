//! Subscribers: cursors that wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tidings_proto::{Decoder, Event, EventId, Item};

use crate::body::Body;
use crate::cursor::{Cursor, Sequence};
use crate::ender::Ender;
use crate::filter::View;
use crate::history::{Held, History, ReadMax};
use crate::hub::Hub;
use crate::reader::{Gap, Read, Reader};
use crate::start::Start;
use crate::time::Time;
use crate::topic::Topic;
use crate::watch::{Due, Watch, WatchList};

/// An async cursor in a hub's history.
///
/// It is a [`Stream`] of what it finds, and the source of a [`Body`]. It has no queue: an
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
    /// For streams that are changed on their way and so made with [`Body::from_stream`].
    #[must_use]
    pub fn into_event(self) -> Event {
        match self {
            Self::Event(delivery) => delivery.event,
            Self::Gap(gap) => gap.to_event(),
        }
    }
}

/// An event as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The event's ID: what a reader who has seen it resumes with.
    pub id: EventId,
    /// Where it stands.
    pub sequence: Sequence,
    /// When it was committed.
    pub time: Time,
    /// Its canonical topic, or the first of its topics that still holds anything.
    pub topic: Topic,
    /// Whether it is for readers whose grant names its topic.
    pub is_private: bool,
    /// Type, data and reconnection time; the ID too.
    pub event: Event,
}

impl Subscriber {
    pub(crate) fn open(hub: &Hub, view: &View, start: Start) -> Self {
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

    /// Waits for what comes next; `None` when the stream is over: its topic was [ended](Hub::end), its
    /// time is up, an [`Ender`] ended it, or the hub drains.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the cursor moves only when something is returned.
    pub async fn next(&mut self) -> Option<Received> {
        poll_fn(|cx| self.poll_received(cx)).await
    }

    /// The event stream of what it finds, as the body of a response.
    #[must_use]
    pub fn into_body(self) -> Body {
        Body::new(self)
    }

    /// Reads on when the streams of its topic are [ended](Hub::end): for a reader that polls, and so
    /// has no stream to end.
    #[must_use]
    pub fn past_ends(mut self) -> Self {
        self.reader.read_past_ends();
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

    /// Whether the stream was [ended](Hub::end) while its reader was away: it should be answered with
    /// status 204, which stops an EventSource.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.reader.is_ended()
    }

    /// Whether the streams of another topic were ended while its reader was away: a topic that stands
    /// for something else the stream belongs to, such as its subject.
    #[must_use]
    pub fn is_ended_by(&self, topic: &Topic) -> bool {
        self.reader.is_ended_by(topic)
    }

    /// What ends its stream from elsewhere.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender::new(Arc::clone(&self.watch))
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
        if self.watch.is_due(Due::TimeOut) || self.watch.is_due(Due::End) {
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
            Read::Ended => Poll::Ready(None),
            Read::Tail if self.watch.is_due(Due::Close) => Poll::Ready(None),
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

/// Some of a view's events, read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Delivery>,
    /// The gap there is before them.
    pub gap: Option<Gap>,
    /// Where to go on: after the last of the events.
    pub place: Cursor,
}

impl Page {
    pub(crate) fn read(hub: &Hub, view: &View, start: Start, events_max: usize) -> Self {
        let latest = start == Start::Tail;
        let mut reader = Reader::open(hub, view, start, None);
        reader.read_past_ends();
        if latest {
            reader.rewind(events_max);
        }
        let mut found = Vec::new();
        let mut gap = None;
        loop {
            let max = ReadMax { bytes: PAGE_BYTES_MAX, entries: events_max };
            let read =
                reader.read_held(max, |history, held| found.extend(Raw::copy(history, held)));
            match read {
                Read::Gap(told) => gap = Some(told),
                // A long walk without a match ends early; a page does not.
                Read::Full if found.is_empty() && events_max > 0 => {}
                Read::Full | Read::Tail | Read::Ended => break,
            }
        }
        let events = found.into_iter().filter_map(Raw::decode).collect();
        Self { events, gap, place: reader.cursor() }
    }
}

/// Bytes of one page at most, unless one event is larger: what a reader polls for at once.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event copied out of history, to be decoded outside its lock.
struct Raw {
    frame: Box<[u8]>,
    id: EventId,
    sequence: Sequence,
    time: Time,
    topic: Topic,
    is_private: bool,
}

impl Raw {
    /// `None` for an entry that no topic holds any more, which no reader finds.
    fn copy(history: &History, held: Held<'_>) -> Option<Self> {
        let Held { block, index } = held;
        Some(Self {
            frame: block.frame(index).into(),
            id: block.id(index, history.epoch()),
            sequence: block.sequence(index),
            time: block.time(index),
            topic: history.topic_of(held)?.clone(),
            is_private: block.is_private(index),
        })
    }

    fn decode(self) -> Option<Delivery> {
        let mut decoder = Decoder::with_limits(crate::unlimited());
        let (mut input, mut retry, mut event) = (&self.frame[..], None, None);
        while let Ok(Some(item)) = decoder.decode(&mut input) {
            match item {
                Item::Retry(time) => retry = Some(time),
                Item::Event(found) => event = found.to_event().ok(),
                _ => {}
            }
        }
        let mut event = event?;
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }
        let Self { id, sequence, time, topic, is_private, .. } = self;
        Some(Delivery { event: event.with_id(id.clone()), id, sequence, time, topic, is_private })
    }
}
