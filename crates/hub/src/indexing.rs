//! Indexes of events within their streams, found by counting the events between two places.
//!
//! The state of a stream has the number of events at some of its places. They are counted towards the next of these
//! places, because the events that come first are evicted first. Marks, events that the reader may not see, and
//! the journal's pages all pass through one reader of the topic, which sees everything.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use crate::cursor::{Cursor, Sequence};
use crate::entry::RawEvent;
use crate::history::{Kind, ReadMax, Steps};
use crate::hub::{Hub, Wait};
use crate::reader::{Read, Reader};
use crate::start::Start;
use crate::streams::{Counted, IndexedAt, Stretch};
use crate::topic::Topic;

/// Entries that are counted before others have their turn.
const COUNTED_AT_ONCE: usize = 1024;
/// Events that are counted for one index: more are between two places in no stream but in one of earlier streams
/// that was read back.
const COUNTED_MAX: usize = 1024 * 1024;
/// Topics whose counts are kept for the events that follow.
const TOPICS_MAX: usize = 16;
/// Every so many events, a place that was found is noted.
const LEARNED_STEP: usize = 64;

/// Tells the indexes of events in the order of history.
pub(crate) struct Indexing {
    hub: Hub,
    counting: Option<(Topic, Counting)>,
    known: HashMap<Topic, Run>,
}

/// Events of a stream, one after the other.
#[derive(Debug, Default)]
struct Run {
    /// The index of the first one.
    first: u64,
    places: Vec<Sequence>,
}

/// Counts the events of a stretch.
#[derive(Debug)]
struct Counting {
    reader: Reader,
    stretch: Stretch,
    places: Vec<Sequence>,
    has_gap: bool,
}

/// The outcome of a look.
enum Look {
    More,
    /// `None` if there are too many events.
    Done(Option<Run>),
}

impl Run {
    fn index_of(&self, place: Sequence) -> Option<u64> {
        let at = self.places.binary_search(&place).ok()?;
        Some(self.first + at as u64)
    }
}

impl Indexing {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, counting: None, known: HashMap::new() }
    }

    /// Gives an event its index; `false` if that takes another look. Pending where the journal has to read.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, event: &mut RawEvent) -> Poll<bool> {
        let (topic, place) = (event.topic().clone(), event.sequence());
        if self.counting.is_none() {
            if let Some(index) = self.known.get(&topic).and_then(|run| run.index_of(place)) {
                event.set_index(index);
                return Poll::Ready(true);
            }
            if self.hub.skips_events(&topic) {
                // Its events cannot be counted, but the newest one is as many as there are.
                let streams = self.hub.streams_of_topics().lock();
                if let Some(index) = streams.streams.index_of(&topic, place) {
                    event.set_index(index);
                }
                return Poll::Ready(true);
            }
            let Some(counting) = self.begin(&topic, place) else { return Poll::Ready(true) };
            self.counting = Some((topic, counting));
        }
        let Some((topic, counting)) = &mut self.counting else { return Poll::Ready(true) };
        let counted = match ready!(counting.poll(&self.hub, topic, cx)) {
            Look::Done(run) => run,
            Look::More => return Poll::Ready(false),
        };
        let Some((topic, Counting { has_gap, .. })) = self.counting.take() else {
            return Poll::Ready(true);
        };
        if let Some(run) = counted.filter(|_| !has_gap) {
            if let Some(index) = run.index_of(place) {
                event.set_index(index);
            }
            if self.known.len() >= TOPICS_MAX {
                self.known.clear();
            }
            self.known.insert(topic, run);
        }
        Poll::Ready(true)
    }

    fn begin(&self, topic: &Topic, place: Sequence) -> Option<Counting> {
        let streams = self.hub.streams_of_topics().lock();
        let stretch = streams.streams.stretch_from(topic, place)?;
        drop(streams);
        Some(Counting::new(&self.hub, topic, stretch))
    }
}

impl Counting {
    fn new(hub: &Hub, topic: &Topic, stretch: Stretch) -> Self {
        let start = Start::from(Cursor { epoch: hub.epoch(), sequence: stretch.after });
        let mut reader = Reader::begin(hub, &topic.clone().into(), start, None);
        reader.read_past_closes();
        Self { reader, stretch, places: Vec::new(), has_gap: false }
    }

    /// Reads on to the end of the stretch.
    fn poll(&mut self, hub: &Hub, topic: &Topic, cx: &mut Context<'_>) -> Poll<Look> {
        let Self { reader, stretch, places, has_gap } = self;
        let through = stretch.through;
        let (bytes, steps) = (usize::MAX, Steps::default());
        let mut max = ReadMax { bytes, entries: COUNTED_AT_ONCE, steps };
        let read = reader.read_seen(&mut max, Wait::Task(cx.waker()), |seen| {
            let place = seen.block().sequence(seen.index());
            if seen.block().kind(seen.index()) == Kind::Event && place <= through.place {
                places.push(place);
            }
        });
        match read {
            Read::Waiting => return Poll::Pending,
            Read::Gap(_) => {
                *has_gap = true;
                places.clear();
            }
            // The last event is about to be in history: streams are told of it first.
            Read::Tail if reader.after() < through.place => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        if reader.after() < through.place && places.len() < COUNTED_MAX {
            return Poll::Ready(Look::More);
        }
        let places = std::mem::take(places);
        let first = through.events.checked_sub(places.len() as u64);
        let Some(first) = first.filter(|_| reader.after() >= through.place) else {
            return Poll::Ready(Look::Done(None));
        };
        if places.len() > 2 * LEARNED_STEP {
            let found: Vec<_> = (first + 1..)
                .zip(&places)
                .step_by(LEARNED_STEP)
                .map(|(events, &place)| Counted { place, events })
                .collect();
            hub.streams_of_topics().lock().streams.learn(topic, stretch.begin, &found);
        }
        Poll::Ready(Look::Done(Some(Run { first, places })))
    }
}

impl Hub {
    /// The place before the event with an index in the topic's latest stream, or in the one that begins at a place; a
    /// negative index counts from the end. Where the event is no longer held, it is the beginning of the stream, so
    /// that its reader is told of the gap. An index beyond the end is that of the next event. `None` if there is
    /// no such stream, or it is not remembered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn stream_place(
        &self,
        topic: &Topic,
        begin: Option<Cursor>,
        index: i64,
    ) -> Option<Cursor> {
        let epoch = self.epoch();
        if !self.has_streams() || begin.is_some_and(|begin| begin.epoch != epoch) {
            return None;
        }
        let begin = begin.map(|begin| begin.sequence);
        let at = self.streams_of_topics().lock().streams.at_index(topic, begin, index)?;
        let (index, stretch) = match at {
            IndexedAt::After(sequence) => return Some(Cursor { epoch, sequence }),
            IndexedAt::Within(index, stretch) => (index, stretch),
        };
        let start = Cursor { epoch, sequence: stretch.begin };
        if self.skips_events(topic) {
            return Some(start);
        }
        let mut counting = Counting::new(self, topic, stretch);
        let counted = loop {
            if let Look::Done(run) = poll_fn(|cx| counting.poll(self, topic, cx)).await {
                break run;
            }
        };
        let place = counted.and_then(|run| {
            let at = usize::try_from(index.checked_sub(run.first)?).ok()?;
            run.places.get(at).copied()
        });
        Some(place.map_or(start, |place| Cursor { epoch, sequence: place.before() }))
    }

    /// Returns whether readers of a topic are not sent all that was published to it, and are told of no gap: then
    /// its events cannot be counted by reading them.
    fn skips_events(&self, topic: &Topic) -> bool {
        self.read().skips_events(topic)
    }
}

impl fmt::Debug for Indexing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexing").field("counting", &self.counting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::task::Waker;

    use tidings_proto::Event;

    use super::*;
    use crate::draft::Draft;
    use crate::hub::HubConfig;
    use crate::page::Paging;
    use crate::streams::{Append, EndNotice, Producer, StreamOptions};

    const TOPIC: Topic = Topic::from_static("c/1");

    /// Appends so many events to the stream, by requests that have marks of their own.
    fn append(hub: &Hub, request: &Append, events: usize) {
        let draft = |n: usize| Draft::new(TOPIC, Event::new("x")).with_private(n.is_multiple_of(3));
        let drafts = (0..events).map(draft).collect();
        smol::block_on(hub.append(TOPIC, request, drafts)).unwrap();
    }

    /// A producer with a higher epoch than the one before publishes a whole stream.
    fn publish_stream(hub: &Hub, requests: u64, events: usize) {
        let epoch = hub.stats().published;
        let request =
            |seq| Append { producer: Producer::new("p", epoch, seq), ..Append::default() };
        let begin = Some(StreamOptions::default());
        append(hub, &Append { begin, ..request(0) }, events);
        for seq in 1..requests {
            append(hub, &request(seq), events);
        }
        append(hub, &Append { end: Some(EndNotice::Event), ..request(requests) }, 0);
    }

    /// The indexes of all events that are held.
    fn indexes(hub: &Hub, bytes_max: usize) -> Vec<Option<u64>> {
        let mut paging = Paging::new(hub, &TOPIC.into(), Start::Oldest, usize::MAX);
        let (mut cx, mut found) = (Context::from_waker(Waker::noop()), Vec::new());
        while paging.poll_step(&mut cx, bytes_max, &mut found) != Poll::Ready(false) {}
        found.iter().map(RawEvent::index).collect()
    }

    fn hub(events_max: Option<usize>) -> Hub {
        let mut config = HubConfig::default();
        config.retention.topic_events_max = events_max.and_then(NonZeroUsize::new);
        Hub::new(config)
    }

    #[test]
    fn each_event_has_its_index_within_its_own_stream() {
        let hub = hub(None);
        drop(hub.publish(Draft::new(TOPIC, Event::new("of no stream"))));
        publish_stream(&hub, 3, 1);
        publish_stream(&hub, 400, 2);
        let expected = [None].into_iter().chain((0..3).map(Some)).chain((0..800).map(Some));
        let expected: Vec<_> = expected.collect();
        for bytes_max in [1, 1000, 1_000_000] {
            assert_eq!(indexes(&hub, bytes_max), expected);
        }
    }

    #[test]
    fn an_index_stays_when_the_beginning_is_evicted() {
        let hub = hub(Some(500));
        publish_stream(&hub, 1, 100);
        publish_stream(&hub, 500, 2);
        let indexes = indexes(&hub, 1000);
        assert_eq!(indexes, (500..1000).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_leads_to_its_event() {
        let hub = hub(Some(900));
        publish_stream(&hub, 150, 2);
        let earlier = hub.streams(&TOPIC.into()).remove(0).begin;
        publish_stream(&hub, 350, 2);
        let latest = hub.streams(&TOPIC.into()).remove(0).begin;
        let place = |begin, index| smol::block_on(hub.stream_place(&TOPIC, begin, index));
        let next = |begin, index| {
            let start = Start::from(place(begin, index).unwrap());
            let page = smol::block_on(hub.page(TOPIC, start, 1));
            let sequence = page.events.first()?.sequence.before();
            let start = Start::from(Cursor { epoch: hub.epoch(), sequence });
            let mut paging = Paging::new(&hub, &TOPIC.into(), start, 1);
            let (mut cx, mut found) = (Context::from_waker(Waker::noop()), Vec::new());
            while paging.poll_step(&mut cx, 1, &mut found) != Poll::Ready(false) {}
            found.first()?.index()
        };
        for index in [0, 1, 63, 64, 65, 500, 699] {
            assert_eq!(next(None, index), Some(index as u64));
            assert_eq!(next(Some(latest), index - 700), Some(index as u64));
        }
        assert_eq!(next(None, 700), None);
        assert_eq!(next(None, -1000), Some(0));
        // The first events of the earlier stream are evicted: its reader starts with what is left.
        let first = indexes(&hub, 1000)[0].unwrap();
        assert_eq!(first, 100);
        for (index, found) in [(0, first), (first as i64 + 1, first + 1), (250, 250), (-1, 299)] {
            assert_eq!(next(Some(earlier), index), Some(found));
        }
        assert_eq!(place(Some(earlier), 40), Some(earlier));
        assert_eq!(place(Some(Cursor { sequence: earlier.sequence.next(), ..earlier }), 0), None);
    }

    #[test]
    fn the_newest_event_of_a_topic_that_holds_it_alone_has_its_index() {
        let mut config = HubConfig::default();
        let limits = crate::retention::TopicLimits::default().latest_only();
        config.retention.rules = vec![crate::retention::RetentionRule::new(TOPIC.into(), limits)];
        let hub = Hub::new(config);
        publish_stream(&hub, 3, 1);
        assert_eq!(indexes(&hub, 1000), [Some(2)]);
        publish_stream(&hub, 1, 200);
        assert_eq!(indexes(&hub, 1000), [Some(199)]);
        publish_stream(&hub, 1, 0);
        assert_eq!(indexes(&hub, 1000), [Some(199)], "it is of the stream before");
    }
}
