//! Pages: some of a view's events, read at once.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use crate::cursor::{Cursor, Sequence};
use crate::entry::{HeldEvent, RawEvent};
use crate::gap::Gap;
use crate::history::{Kind, ReadMax, Steps};
use crate::hub::{Hub, Wait};
use crate::indexing::Indexing;
use crate::reader::{Read, Reader, Rewind, Rewound};
use crate::start::Start;
use crate::view::View;

/// Some of a view's events, read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The events, in order.
    pub events: Vec<HeldEvent>,
    /// The gap there is before them.
    pub gap: Option<Gap>,
    /// Where to go on: right before the view's next event, or at the tail. If that event is lost and the reader was not
    /// told so, it is at the last of the events.
    pub place: Cursor,
}

/// A page on its way, for a server that writes it as its reader takes it.
///
/// Each [step](Paging::poll_step) holds the history's lock for well below a millisecond, however large the
/// history is and whatever the view's patterns match. Between two of them, any time may pass: a page
/// that events are evicted from meanwhile ends before the gap.
#[derive(Debug)]
pub struct Paging {
    reader: Reader,
    /// The look for the latest events, which comes before reading.
    latest: Option<Rewind>,
    /// Events and bytes that may still be read.
    events_left: usize,
    bytes_left: usize,
    /// The place of the last event of the page.
    last: Option<Sequence>,
    gap: Option<Gap>,
    /// Where the page ends, if the reader is not at the tail.
    end: Option<Cursor>,
    /// The events that were read and have not all their indexes yet.
    unindexed: Unindexed,
}

/// The events of a step on their way to their indexes.
#[derive(Debug, Default)]
struct Unindexed {
    events: Vec<RawEvent>,
    /// How many of them have been looked at.
    done: usize,
    /// Whether the page goes on after them.
    goes_on: bool,
    /// There once there are streams.
    indexing: Option<Box<Indexing>>,
}

impl Paging {
    /// Begins to read some of a view's events; see [`Hub::page`].
    #[must_use]
    pub fn new(hub: &Hub, view: &View, start: Start, events_max: usize) -> Self {
        let is_latest = start == Start::Tail;
        let mut reader = Reader::begin(hub, view, start, None);
        reader.read_past_closes();
        Self {
            latest: is_latest.then(|| Rewind::new(reader.after(), events_max)),
            reader,
            events_left: events_max,
            bytes_left: PAGE_BYTES_MAX,
            last: None,
            gap: None,
            end: None,
            unindexed: Unindexed::default(),
        }
    }

    /// Looks at some of history and adds the events found, about `bytes_max` bytes at most, or one larger
    /// event, with their indexes; `false` if the page is complete. Pending where the journal has to read.
    pub fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        found: &mut Vec<RawEvent>,
    ) -> Poll<bool> {
        if self.unindexed.events.is_empty() {
            let mut read = Vec::new();
            let goes_on = ready!(self.poll_read(cx, bytes_max, &mut read));
            if read.is_empty() || !self.reader.hub().has_streams() {
                found.append(&mut read);
                return Poll::Ready(goes_on);
            }
            let Unindexed { events, done, goes_on: after, .. } = &mut self.unindexed;
            (*events, *done, *after) = (read, 0, goes_on);
        }
        let Unindexed { events, done, goes_on, indexing } = &mut self.unindexed;
        let hub = self.reader.hub();
        let indexing = indexing.get_or_insert_with(|| Box::new(Indexing::new(hub.clone())));
        while let Some(event) = events.get_mut(*done) {
            if !ready!(indexing.poll(cx, event)) {
                return Poll::Ready(true);
            }
            *done += 1;
        }
        found.append(events);
        Poll::Ready(*goes_on)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        found: &mut Vec<RawEvent>,
    ) -> Poll<bool> {
        let wait = Wait::Task(cx.waker());
        if let Some(latest) = &mut self.latest {
            match self.reader.rewind(latest, wait) {
                Rewound::Done => self.latest = None,
                Rewound::More => {
                    self.reader.hub().count_cut_look();
                    return Poll::Ready(true);
                }
                Rewound::Waiting => return Poll::Pending,
            }
        }
        if self.end.is_some() {
            return Poll::Ready(false);
        }
        let bytes = bytes_max.min(self.bytes_left);
        // Also the event after the page is looked for. How far a read goes on over what is no longer held depends on where
        // the hub keeps it, and a reader that goes on before that would be told a gap.
        let entries = self.events_left.saturating_add(1);
        let mut max = ReadMax { bytes, entries, steps: Steps::default() };
        let epoch = self.reader.hub().epoch();
        let Self { reader, events_left, bytes_left, last, end, .. } = self;
        let read = reader.read_seen(&mut max, Wait::Task(cx.waker()), |seen| {
            // A page has events alone; whether the stream has ended is its state.
            if seen.block().kind(seen.index()) != Kind::Event {
                return;
            }
            let bytes = seen.block().chunk(seen.index()).len();
            let sequence = seen.block().sequence(seen.index());
            let is_full = *events_left == 0 || last.is_some() && bytes > *bytes_left;
            if is_full || end.is_some() {
                end.get_or_insert(Cursor { epoch, sequence: sequence.before() });
                return;
            }
            found.extend(RawEvent::copy(seen, epoch));
            *events_left -= 1;
            *bytes_left = bytes_left.saturating_sub(bytes);
            *last = Some(sequence);
        });
        if max.steps.is_over() {
            self.reader.hub().count_cut_look();
        }
        Poll::Ready(match read {
            Read::Waiting => return Poll::Pending,
            Read::Gap(gap) => self.meet(gap),
            Read::Full => self.end.is_none(),
            Read::Tail | Read::Closed => false,
        })
    }

    /// Ends the page before one of the events found, which is left for the next page.
    pub fn end_before(&mut self, event: &RawEvent) {
        let sequence = event.sequence().before();
        self.end = Some(Cursor { sequence, ..self.reader.cursor() });
    }

    /// The gap before the events, if there is one.
    #[must_use]
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// Where to go on, once the page is complete: right before the view's next event, or at the tail.
    #[must_use]
    pub fn place(&self) -> Cursor {
        self.end.unwrap_or_else(|| self.reader.cursor())
    }

    /// Handles a gap: it belongs to the page if it comes first; after events, it is left for the next page.
    /// Returns whether the page goes on.
    fn meet(&mut self, gap: Gap) -> bool {
        if let Some(sequence) = self.last {
            self.end = Some(Cursor { sequence, ..gap.place });
            return false;
        }
        // Of two in a row, the place asked for is that of the first.
        let asked = self.gap.take().map_or(gap.asked, |first| first.asked);
        self.gap = Some(Gap { asked, ..gap });
        true
    }
}

/// Bytes of one page at most, unless one event is larger: what a reader polls for at once.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Hub {
    /// Reads some of a view's events at once, in order: after a start, or the latest for
    /// [`Start::Tail`]; `events_max` and about 8 MiB at most, one event at least if there is one.
    ///
    /// [`Page::place`] is where to go on, by another page or by subscribing after it. A view with patterns
    /// may have to look at all of history, on the caller's thread; publishers do not wait for it. The future
    /// waits only for a journal that keeps its entries.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn page<V: Into<View>>(
        &self,
        view: V,
        start: Start,
        events_max: usize,
    ) -> impl Future<Output = Page> + Send + use<V> {
        /// Bytes copied while publishers wait.
        const STEP_BYTES: usize = 64 * 1024;
        let (hub, view) = (self.clone(), view.into());
        async move {
            let mut paging = Paging::new(&hub, &view, start, events_max);
            let mut found = Vec::new();
            while poll_fn(|cx| paging.poll_step(cx, STEP_BYTES, &mut found)).await {}
            let events = found.into_iter().filter_map(RawEvent::decode).collect();
            Page { events, place: paging.place(), gap: paging.gap }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use tidings_proto::Event;

    use super::*;
    use crate::draft::Draft;
    use crate::filter::TopicFilter;
    use crate::hub::HubConfig;
    use crate::retention::Retention;
    use crate::topic::Topic;

    const TOPIC: Topic = Topic::from_static("a");

    /// A hub whose topics hold so many events.
    fn hub(events_max: usize) -> Hub {
        let topic_events_max = std::num::NonZeroUsize::new(events_max);
        let retention = Retention { topic_events_max, ..Retention::default() };
        Hub::new(HubConfig { retention, ..HubConfig::default() })
    }

    fn publish(hub: &Hub, data: &str) {
        drop(hub.publish(Draft::new(TOPIC, Event::new(data))));
    }

    fn page(hub: &Hub, start: Start, events_max: usize) -> Page {
        page_of(hub, TOPIC.into(), start, events_max)
    }

    /// A page of a hub in memory, whose journal never has to read.
    fn page_of(hub: &Hub, view: View, start: Start, events_max: usize) -> Page {
        let mut page = pin!(hub.page(view, start, events_max));
        match page.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(page) => page,
            Poll::Pending => unreachable!("memory is read at once"),
        }
    }

    fn step(paging: &mut Paging, bytes_max: usize, found: &mut Vec<RawEvent>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        paging.poll_step(&mut cx, bytes_max, found) == Poll::Ready(true)
    }

    fn data(found: Vec<RawEvent>) -> Vec<String> {
        let events = found.into_iter().filter_map(RawEvent::decode);
        events.map(|held| held.event.data().to_owned()).collect()
    }

    /// All events from a start on, page by page, and the gaps that were told.
    fn rest(hub: &Hub, mut start: Start) -> (Vec<String>, usize) {
        let (mut all, mut gaps) = (Vec::new(), 0);
        loop {
            let page = page(hub, start, 2);
            gaps += usize::from(page.gap.is_some());
            if page.events.is_empty() {
                return (all, gaps);
            }
            all.extend(page.events.iter().map(|held| held.event.data().to_owned()));
            start = Start::from(page.place);
        }
    }

    #[test]
    fn a_page_that_events_are_evicted_from_ends_before_the_gap() {
        let hub = hub(4);
        (0..4).for_each(|n| publish(&hub, &n.to_string()));
        let mut paging = Paging::new(&hub, &TOPIC.into(), Start::Oldest, 100);
        let mut found = Vec::new();
        assert!(step(&mut paging, 1, &mut found));
        (4..8).for_each(|n| publish(&hub, &n.to_string()));
        while step(&mut paging, 1, &mut found) {}
        assert_eq!(data(found), ["0"]);
        assert_eq!(paging.gap(), None);
        let (later, gaps) = rest(&hub, Start::from(paging.place()));
        assert_eq!((later.join(""), gaps), ("4567".to_owned(), 1));
    }

    #[test]
    fn a_gap_before_the_first_event_is_the_pages_whatever_is_evicted_meanwhile() {
        let hub = hub(2);
        (0..4).for_each(|n| publish(&hub, &n.to_string()));
        let mut paging = Paging::new(&hub, &TOPIC.into(), Start::resume(Some("nonsense")), 100);
        let mut found = Vec::new();
        assert!(step(&mut paging, 1, &mut found));
        assert!(found.is_empty());
        (4..8).for_each(|n| publish(&hub, &n.to_string()));
        while step(&mut paging, 1, &mut found) {}
        let gap = paging.gap().unwrap();
        assert_eq!(&*gap.asked, "nonsense");
        assert_eq!(gap.oldest.as_ref(), Some(found[0].id()));
        assert_eq!(data(found), ["6", "7"]);
    }

    #[test]
    fn a_page_is_the_same_in_whatever_steps_it_is_read() {
        let hub = hub(1000);
        (0..50).for_each(|n| publish(&hub, &"x".repeat(n * 10)));
        for events_max in [1, 7, 100] {
            let page = page(&hub, Start::Oldest, events_max);
            for bytes_max in [1, 100, 10_000] {
                let mut paging = Paging::new(&hub, &TOPIC.into(), Start::Oldest, events_max);
                let mut found = Vec::new();
                while step(&mut paging, bytes_max, &mut found) {}
                assert_eq!(paging.place(), page.place);
                let events: Vec<_> = found.into_iter().filter_map(RawEvent::decode).collect();
                assert_eq!(events, page.events);
            }
        }
    }

    /// Also where the event that comes after the page was lost before the first page.
    #[test]
    fn pages_from_the_oldest_event_on_tell_no_gap() {
        let topics = [TOPIC, Topic::from_static("b")];
        let several = View::new(topics.iter().cloned().map(TopicFilter::Exact));
        let pattern = View::from(TopicFilter::pattern("**").unwrap());
        for view in [several, pattern] {
            let hub = hub(2);
            for (topic, data) in [(0, "0"), (1, "lost"), (0, "1"), (1, "2"), (1, "3")] {
                drop(hub.publish(Draft::new(topics[topic].clone(), Event::new(data))));
            }
            let mut start = Start::Oldest;
            for expected in ["0", "1", "2", "3", ""] {
                let page = page_of(&hub, view.clone(), start, 1);
                assert_eq!(page.gap, None, "before {expected}");
                let data: String = page.events.iter().map(|held| held.event.data()).collect();
                assert_eq!(data, expected);
                start = Start::from(page.place);
            }
        }
    }

    #[test]
    fn a_page_has_its_bytes_at_most_or_one_larger_event() {
        let hub = Hub::new(HubConfig { event_bytes_max: 1 << 30, ..HubConfig::default() });
        let part = PAGE_BYTES_MAX / 4;
        for len in [PAGE_BYTES_MAX + 1, part, part, part, part, part] {
            publish(&hub, &"x".repeat(len));
        }
        let mut start = Start::Oldest;
        for expected in [1, 3, 2] {
            let page = page(&hub, start, 100);
            assert_eq!(page.events.len(), expected);
            start = Start::from(page.place);
        }
    }

    #[test]
    fn an_event_that_is_left_comes_on_the_next_page() {
        let hub = hub(10);
        (0..3).for_each(|n| publish(&hub, &n.to_string()));
        let mut paging = Paging::new(&hub, &TOPIC.into(), Start::Oldest, 100);
        let mut found = Vec::new();
        while step(&mut paging, 1000, &mut found) {}
        paging.end_before(&found[1]);
        assert_eq!(rest(&hub, Start::from(paging.place())).0, ["1", "2"]);
    }

    /// The events of other topics are looked at in portions, each of which is counted.
    #[test]
    fn looks_that_let_others_have_their_turn_are_counted() {
        let hub = Hub::default();
        for number in 0..20_000 {
            let topic = Topic::new(format!("other/{}", number % 2000)).unwrap();
            drop(hub.publish(Draft::new(topic, Event::new("x"))));
        }
        // A pattern that begins with a wildcard has to ask all topics, which are too many.
        let view = || View::from(TopicFilter::pattern("*/a/**").unwrap());
        let mut found = Vec::new();
        for start in [Start::Oldest, Start::resume(Some("nonsense"))] {
            let before = hub.stats().looks_cut;
            let mut paging = Paging::new(&hub, &view(), start, 100);
            let mut looks = 1;
            while step(&mut paging, 1000, &mut found) {
                looks += 1;
            }
            let cut = hub.stats().looks_cut - before;
            assert!(looks >= 3 && cut >= 2, "{looks} {cut}");
        }
        assert!(found.is_empty());
    }
}
