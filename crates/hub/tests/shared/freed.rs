//! Streams whose time to live is over are freed alike at all hubs, also at those that come later.

use std::time::Duration;

use tidings_hub::journal::DiskConfig;
use tidings_hub::{
    Append, Draft, EndNotice, Event, EventId, Hub, Page, Sequence, Start, StreamOptions, Topic,
    TopicFilter,
};

use crate::cluster::{Cluster, Folder, TOPIC, begin, events};
use crate::disk::SimulatedDisk;

/// Longer than the time to live of the streams.
const DAY: Duration = Duration::from_secs(25 * 60 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// The places of readers of a stream.
struct Places {
    before: Start,
    inside: Start,
    last: Start,
    end: Start,
}

fn publish_stream(cluster: &mut Cluster, notice: EndNotice) -> Places {
    let other = Draft::new(Topic::from_static("chat/2"), Event::new("other"));
    let other = cluster.hub(0).publish(other);
    let before = cluster.done(other).unwrap();
    let begun = cluster.append(0, &begin(), &["a", "b"]).unwrap();
    let end = Append { end: Some(notice), ..Append::default() };
    let ended = cluster.append(1, &end, &["c"]).unwrap();
    let place = |id: &EventId| Start::After(id.as_str().into());
    Places {
        before: place(&before.id()),
        inside: place(&begun.published[0].id()),
        last: place(&ended.published[0].id()),
        end: Start::from(ended.end.unwrap()),
    }
}

/// The message with the newest entry of each hub.
fn newest(cluster: &Cluster) -> Vec<u64> {
    let place = |hub: &Hub| hub.subscribe(TOPIC, Start::Tail).cursor().sequence;
    cluster.nodes.iter().map(|node| place(&node.hub).get() >> 14).collect()
}

type Read = (Vec<(Sequence, String)>, usize);

/// The events and the gaps that readers from these places are sent, which all hubs must agree on.
fn read(cluster: &Cluster, starts: &[&Start]) -> Vec<Read> {
    let read = |node: &crate::cluster::Node| -> Vec<Read> {
        starts.iter().map(|&start| events(&node.hub, start.clone())).collect()
    };
    let first = read(&cluster.nodes[0]);
    for node in &cluster.nodes {
        assert_eq!(read(node), first);
    }
    first
}

#[test]
fn one_mark_frees_a_stream_at_all_hubs_and_at_those_that_come_later() {
    for notice in [EndNotice::Event, EndNotice::Close] {
        let mut cluster = Cluster::new(3);
        let Places { before, inside, last, end } = publish_stream(&mut cluster, notice);
        let committed = cluster.store.newest;
        cluster.pass(DAY);
        assert_eq!(cluster.store.newest, committed + 3, "all of them have asked");
        assert_eq!(newest(&cluster), [committed + 1; 3], "the first one counts");
        cluster.pass(SECOND);
        cluster.open();
        assert_eq!(cluster.info(), None);
        let starts = [&Start::Oldest, &before, &inside, &last, &end];
        let texts = |(found, gaps): Read| {
            (found.into_iter().map(|(_, data)| data).collect::<Vec<_>>(), gaps)
        };
        let read: Vec<_> = read(&cluster, &starts).into_iter().map(texts).collect();
        let at_last = usize::from(notice == EndNotice::Event);
        let nothing = |gaps| (Vec::new(), gaps);
        let only_other = (vec!["other".to_owned()], 0);
        assert_eq!(read, [only_other, nothing(1), nothing(1), nothing(at_last), nothing(0)]);
        // Nothing is left to ask for.
        cluster.pass(DAY);
        assert_eq!(cluster.store.newest, committed + 3);
        // The topic takes events as before its first stream, however early the store's clock says it is.
        let published = cluster.hub(2).publish(Draft::new(TOPIC, Event::new("next")));
        cluster.done(published).unwrap();
        assert_eq!(cluster.texts(), ["other", "next"]);
    }
}

#[test]
fn a_stream_that_began_first_keeps_what_was_before_it() {
    let mut cluster = Cluster::new(3);
    publish_stream(&mut cluster, EndNotice::Close);
    // Two of them ask for the stream to be freed, and the third one begins another one before.
    cluster.now = cluster.now + DAY;
    for node in [0, 2] {
        cluster.hub(node).tick(cluster.now);
    }
    let mut options = StreamOptions::default();
    options.ttl = 2 * DAY;
    let begin = Append { begin: Some(options), ..Append::default() };
    let next = cluster.hub(1).append(TOPIC, &begin, Vec::new());
    cluster.write(1);
    cluster.done(next).unwrap();
    cluster.pass(SECOND);
    cluster.open();
    assert_eq!(cluster.texts(), ["other", "a", "b", "c"]);
    assert_eq!(cluster.info().unwrap().end, None);
    // They go with the latest one.
    let end = Append { end: Some(EndNotice::Close), ..Append::default() };
    cluster.append(3, &end, &["d"]).unwrap();
    cluster.pass(2 * DAY);
    cluster.pass(SECOND);
    assert_eq!(cluster.texts(), ["other"]);
}

/// The store's clock said first that the stream was over.
#[test]
fn events_after_a_stream_that_is_over_are_not_freed_with_it() {
    let mut cluster = Cluster::new(2);
    let mut options = StreamOptions::default();
    options.ttl = Duration::from_millis(1);
    let whole = Append { begin: Some(options), end: Some(EndNotice::Event), ..Append::default() };
    cluster.append(0, &whole, &["a"]).unwrap();
    for data in ["b", "c", "d"] {
        let other = Draft::new(Topic::from_static("other"), Event::new(data));
        let published = cluster.hub(0).publish(other);
        cluster.done(published).unwrap();
    }
    let published = cluster.hub(1).publish(Draft::new(TOPIC, Event::new("e")));
    cluster.done(published).unwrap();
    cluster.pass(SECOND);
    cluster.pass(SECOND);
    cluster.open();
    assert_eq!(cluster.texts(), ["e"]);
    assert_eq!(cluster.info(), None);
}

/// A hub with a folder has marks of the stream on disk alone, and those in memory have them no more.
#[test]
fn pages_and_heads_are_alike_at_hubs_in_memory_and_in_folders() {
    const MEMORY_BYTES: usize = 1 << 20;
    let folder = || Folder {
        disk: SimulatedDisk::default(),
        config: DiskConfig::default(),
        memory_bytes: MEMORY_BYTES,
    };
    for notice in [EndNotice::Event, EndNotice::Close] {
        let mut cluster = Cluster::new(1);
        cluster.open_in(&folder());
        let Places { before, inside, last, end } = publish_stream(&mut cluster, notice);
        for data in ["later", "last"] {
            let other = Draft::new(Topic::from_static("chat/2"), Event::new(data));
            let published = cluster.hub(0).publish(other);
            cluster.done(published).unwrap();
        }
        cluster.pass(DAY);
        cluster.pass(SECOND);
        cluster.open();
        cluster.open_in(&folder());
        let published = cluster.hub(0).publish(Draft::new(TOPIC, Event::new("next")));
        cluster.done(published).unwrap();
        let starts = [Start::Oldest, before, inside, last, end];
        let all = TopicFilter::pattern("chat/*").unwrap();
        let views = [all, TOPIC.into()];
        for (view, start) in views.iter().flat_map(|view| starts.iter().map(move |it| (view, it))) {
            let read: Vec<_> =
                (0..4).map(|node| read_at(&mut cluster, node, view, start)).collect();
            for node in &read {
                assert_eq!(node, &read[0], "{view:?} {start:?}");
            }
        }
        // A reader that began at the oldest event is told no gap.
        let (_, pages) = read_at(&mut cluster, 1, &views[0], &Start::Oldest);
        assert!(pages.iter().all(|page| page.gap.is_none()));
    }
}

/// The event before a reader's first one, and pages of one event.
fn read_at(
    cluster: &mut Cluster,
    node: usize,
    view: &TopicFilter,
    start: &Start,
) -> (Option<EventId>, Vec<Page>) {
    let hub = cluster.hub(node);
    let head = hub.subscribe(view.clone(), start.clone()).started_after().cloned();
    let (mut start, mut pages) = (start.clone(), Vec::new());
    loop {
        let page = cluster.wait(node, hub.page(view.clone(), start, 1));
        start = Start::from(page.place);
        pages.push(page);
        if pages.last().is_some_and(|page| page.events.is_empty()) {
            return (head, pages);
        }
    }
}
