//! Streams within topics on a journal that several hubs share: what one hub does holds at all of them.

use std::pin::pin;
use std::time::Duration;

use tidings_hub::journal::shared::CameBy;
use tidings_hub::journal::{Content, Entry, NotCommitted};
use tidings_hub::{
    Append, Cursor, Draft, EndNotice, Epoch, Event, Found, Hub, IdempotencyKey, Producer,
    PublishError, Sequence, Start, StreamMark, StreamOptions, StreamReason, StreamRefused, Topic,
};

use tidings_testkit::stepped_journal::SteppedJournal;

use crate::cluster::{Cluster, TOPIC, begin, by, drafts, end, events, poll_once, refused};
use crate::store::at;

/// The events of all topics that a hub has.
fn texts(hub: &Hub) -> Vec<String> {
    events(hub, Start::Oldest).0.into_iter().map(|(_, data)| data).collect()
}

#[test]
fn of_two_beginnings_at_once_the_later_one_aborts_the_first() {
    let mut cluster = Cluster::new(2);
    let one = cluster.hub(0).append(TOPIC, &begin(), drafts(&["one"]));
    let two = cluster.hub(1).append(TOPIC, &begin(), drafts(&["two"]));
    let one = cluster.done(one).unwrap();
    let two = cluster.done(two).unwrap();
    assert_eq!(cluster.info().unwrap().begin, two.begin.unwrap());
    assert_eq!(cluster.info().unwrap().events, 1);
    let late = Append { stream: one.stream, ..Append::default() };
    assert_eq!(cluster.append(0, &late, &["late"]), refused(StreamRefused::Ended));
    let next = Append { stream: two.stream, ..Append::default() };
    cluster.append(0, &next, &["next"]).unwrap();
    cluster.append(0, &end(), &["last"]).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 3)));
    let aborted = r#"{"reason":"aborted","events":1,"topic":"chat/1"}"#;
    assert_eq!(cluster.texts(), ["one", aborted, "two", "next", "last"]);
}

#[test]
fn what_was_answered_is_there() {
    let mut cluster = Cluster::new(1);
    let hub = cluster.hub(0);
    let whole = Append { begin: begin().begin, ..end() };
    let mut asked = hub.append(TOPIC, &whole, drafts(&["all"]));
    let mut published = hub.publish(Draft::new(Topic::from_static("other"), Event::new("x")));
    cluster.write(0);
    assert!(poll_once(pin!(&mut asked)).is_none() && poll_once(pin!(&mut published)).is_none());
    // Read from the store, and the hub has not followed yet.
    cluster.read_only(0);
    poll_once(pin!(&mut asked)).unwrap().unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 1)));
    poll_once(pin!(&mut published)).unwrap().unwrap();
    assert_eq!(hub.stats().published, 2);
}

#[test]
fn a_request_that_was_decided_by_an_old_state_is_decided_by_the_order() {
    let mut cluster = Cluster::new(2);
    cluster.append(0, &Append { begin: begin().begin, ..by("p", 1, 0) }, &[]).unwrap();
    // Both hubs would take the one that comes to them.
    let (old, new) = (by("p", 1, 1), by("q", 2, 0));
    let new = cluster.hub(1).append(TOPIC, &new, drafts(&["new"]));
    let old = cluster.hub(0).append(TOPIC, &old, drafts(&["old"]));
    cluster.write(1);
    assert!(cluster.done(new).is_ok());
    assert_eq!(cluster.done(old), refused(StreamRefused::StaleEpoch { epoch: 2 }));
    // An event that was on its way when the stream ended.
    let late = cluster.hub(0).append(TOPIC, &by("q", 2, 2), drafts(&["late"]));
    let ended = cluster.hub(1).append(TOPIC, &Append { end: end().end, ..by("q", 2, 1) }, vec![]);
    cluster.write(1);
    assert!(cluster.done(ended).is_ok());
    assert_eq!(cluster.done(late), refused(StreamRefused::Ended));
    let plain = cluster.hub(0).publish(drafts(&["plain"]).remove(0));
    assert_eq!(cluster.done(plain), refused(StreamRefused::Ended));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 1)));
    assert_eq!(cluster.texts(), ["new"]);
}

/// An array was published in part if one of its topics had a stream that had ended, though its publisher was told that
/// nothing was.
#[test]
fn events_of_one_request_are_refused_together_if_one_does_not_belong_to_its_stream() {
    let mut cluster = Cluster::new(2);
    cluster.append(0, &begin(), &["one"]).unwrap();
    let other = |data: &str| Draft::new(Topic::from_static("chat/2"), Event::new(data));
    // They are on their way when the stream ends.
    let draft = |data: &str| drafts(&[data]).remove(0);
    let together = cluster.hub(0).publish_all(vec![other("a"), draft("b"), other("c")]);
    let apart = cluster.hub(0).publish_in_order(vec![other("d"), draft("e"), other("f")]);
    let after = cluster.hub(0).publish(other("after"));
    let ended = cluster.hub(1).append(TOPIC, &end(), vec![]);
    cluster.write(1);
    assert!(cluster.done(ended).is_ok());
    assert_eq!(cluster.done(together), refused(StreamRefused::Ended));
    assert_eq!(cluster.done(apart), refused(StreamRefused::Ended));
    cluster.done(after).unwrap();
    // A hub that starts when the beginning is gone comes to the same.
    cluster.store.messages.pop_first();
    cluster.open();
    for node in [0, 1] {
        assert_eq!(texts(&cluster.hub(node)), ["one", "d", "f", "after"]);
    }
    assert_eq!(texts(&cluster.hub(2)), ["d", "f", "after"]);
}

#[test]
fn a_request_that_is_repeated_at_another_hub_is_done_once() {
    let mut cluster = Cluster::new(2);
    let key = |text| IdempotencyKey::new(text).ok();
    let first = Append { key: key("k"), ..begin() };
    let begun = cluster.append(0, &first, &["one"]).unwrap();
    let again = cluster.append(1, &first, &["one"]).unwrap();
    assert!(again.is_duplicate);
    assert_eq!((again.begin, again.stream), (begun.begin, begun.stream));
    let last = Append { key: key("l"), ..end() };
    let ended = cluster.append(1, &last, &[]).unwrap();
    let again = cluster.append(0, &last, &[]).unwrap();
    assert_eq!((again.end, again.is_duplicate), (ended.end, true));
    // By two hubs at once, and by a producer's number.
    let owned = Append { begin: begin().begin, ..by("p", 0, 0) };
    let one = cluster.hub(0).append(TOPIC, &owned, drafts(&["two"]));
    let two = cluster.hub(1).append(TOPIC, &owned, drafts(&["two"]));
    let (one, two) = (cluster.done(one).unwrap(), cluster.done(two).unwrap());
    assert_eq!((one.is_duplicate, two.is_duplicate), (false, true));
    assert_eq!(cluster.texts(), ["one", "two"]);
}

#[test]
fn a_stop_reaches_the_producer_at_another_hub() {
    let mut cluster = Cluster::new(2);
    let begun = cluster.append(0, &begin(), &["one"]).unwrap();
    let (topic, producer) = (TOPIC, cluster.hub(0));
    let mut told = pin!(producer.stream_stopped(&topic, begun.stream));
    let polling = cluster.hub(1);
    let mut polled = pin!(polling.stream_stopped(&topic, None));
    assert_eq!(poll_once(told.as_mut()), None);
    assert_eq!(poll_once(polled.as_mut()), None);
    let stopper = cluster.hub(1);
    cluster.done(stopper.stop_stream(&TOPIC, begun.begin)).unwrap();
    assert_eq!(poll_once(told), Some(true));
    assert_eq!(poll_once(polled), Some(true));
    let next = Append { stream: begun.stream, ..Append::default() };
    assert_eq!(cluster.append(0, &next, &["late"]), refused(StreamRefused::Stopped));
    cluster.append(0, &Append { end: end().end, ..next }, &[]).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Stopped, 1)));
    // There is nothing left to stop.
    cluster.done(stopper.stop_stream(&TOPIC, None)).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Stopped, 1)));
}

#[test]
fn a_stop_is_told_at_once_after_the_beginning_was_answered() {
    let mut cluster = Cluster::new(2);
    let hub = cluster.hub(0);
    let mut beginning = pin!(hub.append(TOPIC, &begin(), Vec::new()));
    cluster.write(0);
    cluster.read_only(0);
    let begun = poll_once(beginning.as_mut()).unwrap().unwrap();
    let topic = TOPIC;
    let mut told = pin!(hub.stream_stopped(&topic, begun.stream));
    assert_eq!(poll_once(told.as_mut()), None);
    cluster.settle();
    assert_eq!(poll_once(told.as_mut()), None);
    let stopper = cluster.hub(1);
    cluster.done(stopper.stop_stream(&TOPIC, begun.begin)).unwrap();
    assert_eq!(poll_once(told), Some(true));
}

#[test]
fn a_grace_is_counted_once_and_by_the_hubs_that_are_left() {
    let mut cluster = Cluster::new(3);
    let begun = cluster.append(0, &begin(), &["one"]).unwrap();
    cluster.hub(0).leave_stream(&TOPIC, begun.stream.unwrap());
    cluster.settle();
    cluster.pass(StreamOptions::GRACE / 2);
    // Somebody goes on, at another hub; all know.
    let on = cluster.append(1, &Append::default(), &[]).unwrap();
    cluster.pass(StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None);
    cluster.hub(1).leave_stream(&TOPIC, on.stream.unwrap());
    cluster.settle();
    drop(cluster.nodes.remove(1));
    cluster.pass(StreamOptions::GRACE - Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), None);
    let messages = cluster.store.newest;
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Aborted, 1)));
    assert_eq!(cluster.store.newest, messages + 2, "both ask");
    let aborted = r#"{"reason":"aborted","events":1,"topic":"chat/1"}"#;
    assert_eq!(cluster.texts(), ["one", aborted]);
}

#[test]
fn the_streams_of_a_hub_that_is_gone_are_left() {
    let mut cluster = Cluster::new(3);
    cluster.append(0, &begin(), &["one"]).unwrap();
    drop(cluster.nodes.remove(0));
    for node in &cluster.nodes {
        node.log.leave_streams(|by| by == CameBy::Writer(1), cluster.now);
    }
    cluster.settle();
    let entries = cluster.store.newest;
    for node in &cluster.nodes {
        node.log.leave_streams(|by| by == CameBy::Writer(1), cluster.now);
    }
    cluster.settle();
    assert_eq!(cluster.store.newest, entries, "once is enough");
    cluster.pass(StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), Some((StreamReason::Aborted, 1)));
}

#[test]
fn a_producer_that_is_still_here_goes_on_when_its_hub_was_thought_gone() {
    let mut cluster = Cluster::new(2);
    let begun = cluster.append(0, &begin(), &["one"]).unwrap();
    let (topic, producer) = (TOPIC, cluster.hub(0));
    let mut told = pin!(producer.stream_stopped(&topic, begun.stream));
    assert_eq!(poll_once(told.as_mut()), None);
    cluster.nodes[1].log.leave_streams(|by| by == CameBy::Writer(1), cluster.now);
    cluster.settle();
    cluster.pass(Duration::from_secs(1));
    cluster.pass(2 * StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None);
    assert_eq!(poll_once(told), None);
}

#[test]
fn a_stream_expires_once_by_the_events_of_all_hubs() {
    let mut cluster = Cluster::new(2);
    cluster.append(0, &begin(), &[]).unwrap();
    cluster.pass(StreamOptions::TTL / 2);
    let event = cluster.hub(1).publish(drafts(&["one"]).remove(0));
    cluster.done(event).unwrap();
    cluster.pass(StreamOptions::TTL - Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), None);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Expired, 1)));
}

#[test]
fn a_hub_that_starts_leaves_the_streams_of_others_alone() {
    let mut cluster = Cluster::new(1);
    let begun = cluster.append(0, &begin(), &["one"]).unwrap();
    cluster.open();
    cluster.pass(2 * StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None);
    let next = Append { stream: begun.stream, ..Append::default() };
    cluster.append(1, &next, &["two"]).unwrap();
    cluster.append(0, &end(), &[]).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 2)));
}

#[test]
fn a_hub_that_has_only_the_end_of_the_store_decides_like_the_others() {
    let mut cluster = Cluster::new(1);
    cluster.append(0, &Append { begin: begin().begin, ..by("p", 1, 0) }, &["0"]).unwrap();
    cluster.append(0, &by("p", 1, 1), &["1"]).unwrap();
    let before = cluster.store.newest;
    cluster.append(0, &by("p", 1, 2), &["2"]).unwrap();
    cluster.append(0, &by("p", 1, 3), &["3"]).unwrap();
    cluster.store.messages.retain(|place, _| *place > before);
    cluster.open();
    assert!(cluster.append(1, &by("p", 1, 3), &["3"]).unwrap().is_duplicate);
    assert_eq!(
        cluster.append(1, &by("p", 0, 4), &[]),
        refused(StreamRefused::StaleEpoch { epoch: 1 })
    );
    let plain = cluster.hub(1).publish(drafts(&["plain"]).remove(0));
    assert_eq!(cluster.done(plain), refused(StreamRefused::Streaming));
    let last = Append { end: Some(EndNotice::Event), ..by("p", 1, 4) };
    let ended = cluster.append(1, &last, &["4"]).unwrap();
    let told = r#"{"reason":"done","events":5}"#;
    let sequence = ended.published[0].sequence;
    let place = |hub: &Hub| Start::from(Cursor { epoch: hub.epoch(), sequence });
    for hub in [cluster.hub(0), cluster.hub(1)] {
        let mut reader = hub.subscribe(TOPIC, place(&hub));
        let Some(Some(Found::Event(event))) = poll_once(pin!(reader.next())) else {
            panic!("an end is told");
        };
        assert_eq!(event.event.data(), told);
    }
}

#[test]
fn a_hub_that_has_the_marks_from_elsewhere_knows_whose_a_stream_is() {
    let mut cluster = Cluster::new(1);
    let owned = Append { begin: begin().begin, ..by("p", 1, 0) };
    let begun = cluster.append(0, &owned, &[]).unwrap().begin.unwrap();
    let other = Draft::new(Topic::new("other").unwrap(), Event::new("after it"));
    let published = cluster.hub(0).publish(other);
    cluster.done(published).unwrap();
    cluster.store.messages.retain(|place, _| *place > 1);
    let mut options = StreamOptions::default();
    options.producer = owned.producer;
    let mark = StreamMark::Begin(options);
    let mark = Entry::new(begun.sequence, at(1), TOPIC.into(), Content::Stream(mark));
    cluster.open_with_marks(vec![mark]);
    let stranger = refused(StreamRefused::Streaming);
    assert_eq!(cluster.append(1, &by("q", 1, 0), &["stranger"]), stranger);
    cluster.append(1, &by("p", 1, 1), &["1"]).unwrap();
    assert_eq!(cluster.append(0, &by("q", 1, 0), &["stranger"]), stranger);
    assert!(cluster.append(0, &by("p", 1, 1), &["1"]).unwrap().is_duplicate);
    assert_eq!(cluster.texts(), ["1"]);
}

/// It took the stream for one that begins nowhere: a stop of the stream by its ID, and its end after the grace, were
/// void.
#[test]
fn a_stream_whose_marks_are_from_elsewhere_is_stopped_by_its_id_and_ends() {
    let mut cluster = Cluster::new(1);
    let begun = cluster.append(0, &begin(), &[]).unwrap().begin.unwrap();
    let other = Draft::new(Topic::new("other").unwrap(), Event::new("after it"));
    let published = cluster.hub(0).publish(other);
    cluster.done(published).unwrap();
    cluster.store.messages.retain(|place, _| *place > 1);
    let mut marks = marks_of(&[&begin()]);
    (marks[0].sequence, marks[0].time) = (begun.sequence, at(1));
    cluster.open_with_marks(marks);
    drop(cluster.nodes.remove(0));
    let hub = cluster.hub(0);
    cluster.done(hub.stop_stream(&TOPIC, Some(begun))).unwrap();
    assert!(cluster.info().unwrap().is_stopped);
    cluster.pass(StreamOptions::GRACE + Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Stopped, 0)));
}

/// The marks of requests to a stream, as a journal keeps them.
fn marks_of(requests: &[&Append]) -> Vec<Entry> {
    let journal = SteppedJournal::new(Epoch::random(), 100).reading_promptly();
    let hub = smol::block_on(Hub::builder().open(Box::new(journal.clone()))).unwrap();
    for request in requests {
        smol::block_on(hub.append(TOPIC, request, Vec::new())).unwrap();
    }
    journal.entries_after(Sequence::ZERO)
}

#[test]
fn a_hub_that_has_the_marks_from_elsewhere_knows_their_keys() {
    let mut cluster = Cluster::new(1);
    let key = |text| IdempotencyKey::new(text).ok();
    let (first, last) = (Append { key: key("k"), ..begin() }, Append { key: key("l"), ..end() });
    let begun = cluster.append(0, &first, &[]).unwrap();
    let ended = cluster.append(0, &last, &[]).unwrap();
    let other = Draft::new(Topic::new("other").unwrap(), Event::new("after it"));
    let published = cluster.hub(0).publish(other);
    cluster.done(published).unwrap();
    cluster.store.messages.retain(|place, _| *place > 2);
    let mut marks = marks_of(&[&first, &last]);
    marks[0].sequence = begun.begin.unwrap().sequence;
    marks[1].sequence = ended.end.unwrap().sequence;
    marks.iter_mut().for_each(|mark| mark.time = at(1));
    cluster.open_with_marks(marks);
    let again = cluster.append(1, &last, &[]).unwrap();
    assert_eq!((again.end, again.is_duplicate), (ended.end, true));
    let again = cluster.append(1, &first, &[]).unwrap();
    assert_eq!((again.begin, again.is_duplicate), (begun.begin, true));
    // Those that were there before take the other one's word.
    let again = cluster.append(0, &last, &[]).unwrap();
    assert_eq!((again.end, again.is_duplicate), (ended.end, true));
}

#[test]
fn a_request_is_in_one_message_or_refused() {
    let mut cluster = Cluster::new(1);
    let large = "x".repeat(200 * 1024);
    let asked = cluster.append(0, &begin(), &[&large, &large, &large]);
    assert_eq!(asked, Err(PublishError::NotCommitted(NotCommitted::TooLarge)));
    let begun = cluster.append(0, &begin(), &[&large, &large]).unwrap();
    assert_eq!(begun.published.len(), 2);
}

/// It listed no such stream, although it decided on its requests like the others.
#[test]
fn a_hub_that_starts_when_a_beginning_is_gone_lists_the_stream_like_the_others() {
    let mut cluster = Cluster::new(2);
    cluster.append(0, &Append { begin: begin().begin, ..by("p", 1, 0) }, &["0"]).unwrap();
    cluster.append(1, &by("p", 1, 1), &["1"]).unwrap();
    let tell = |cluster: &mut Cluster, node: usize, through: u64| {
        let before = cluster.store.newest;
        cluster.nodes[node].log.tell_streams(through, cluster.now);
        cluster.settle();
        cluster.store.newest - before
    };
    assert_eq!(tell(&mut cluster, 0, 0), 0, "the beginning is there");
    let aged = cluster.store.newest;
    assert_eq!(tell(&mut cluster, 0, aged), 1);
    assert_eq!(tell(&mut cluster, 1, aged), 0, "another hub has told it");
    cluster.append(1, &by("p", 1, 2), &["2"]).unwrap();
    cluster.store.messages.retain(|place, _| *place > aged);
    cluster.open();
    let info = cluster.info().expect("every hub knows it");
    assert_eq!((info.events, info.producer), (3, Producer::new("p", 1, 2)));
    cluster.append(2, &by("p", 1, 3), &["3"]).unwrap();
    assert_eq!(cluster.info().unwrap().events, 4);

    // Those that were told tell others, also of the end.
    cluster.append(2, &Append { end: Some(EndNotice::Event), ..by("p", 1, 4) }, &[]).unwrap();
    let aged = cluster.store.newest;
    assert_eq!(tell(&mut cluster, 2, aged), 1);
    cluster.store.messages.retain(|place, _| *place > aged);
    cluster.open();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 4)));
    cluster.append(3, &begin(), &["of the next one"]).unwrap();
    assert_eq!(cluster.info().unwrap().events, 1);
    assert_eq!(tell(&mut cluster, 3, aged), 0, "the next one has begun after that");
}

#[test]
fn what_a_hub_remembers_of_streams_is_charged() {
    let mut cluster = Cluster::new(1);
    let before = cluster.nodes[0].log.bytes();
    let producer = "p".repeat(100);
    cluster.append(0, &Append { begin: begin().begin, ..by(&producer, 1, 0) }, &[]).unwrap();
    let owned = cluster.nodes[0].log.bytes() - before;
    assert!(owned > 100 + TOPIC.as_str().len(), "{owned}");
    cluster.append(0, &Append { end: Some(EndNotice::Event), ..by(&producer, 1, 1) }, &[]).unwrap();
    cluster.append(0, &begin(), &[]).unwrap();
    let freed = owned.saturating_sub(cluster.nodes[0].log.bytes() - before);
    assert!(freed >= 100, "{freed} of {owned}");
}

/// Lets a request be done at the first node, while the second one is away.
fn alone(cluster: &mut Cluster, request: &Append, events: &[&str]) {
    let asked = cluster.hub(0).append(TOPIC, request, drafts(events));
    let mut asked = pin!(asked);
    for _ in 0..3 {
        if let Some(done) = poll_once(asked.as_mut()) {
            return drop(done.unwrap());
        }
        cluster.write(0);
        cluster.read(0);
    }
    panic!("it is not done");
}

/// It listed a stream as it had been before, and went on to ask for its end.
#[test]
fn a_hub_that_has_lost_entries_of_a_stream_lists_it_like_the_others() {
    let owned = |seq| by("p", 1, seq);
    let begin = |seq| Append { begin: begin().begin, ..owned(seq) };
    let end = |seq| Append { end: Some(EndNotice::Event), ..owned(seq) };
    // Requests that the second hub misses.
    let cases: [&[(Append, &[&str])]; 4] = [
        &[(owned(1), &["1", "2"]), (owned(2), &["3"])],
        &[(owned(1), &["1"]), (end(2), &[])],
        &[(owned(1), &["1"]), (begin(2), &["of another"])],
        &[(end(1), &[]), (begin(2), &[]), (owned(3), &["of another"]), (end(4), &[])],
    ];
    for missed in cases {
        let mut cluster = Cluster::new(2);
        cluster.append(0, &begin(0), &["0"]).unwrap();
        let (hub, topic) = (cluster.hub(1), TOPIC);
        let mut waiting = pin!(hub.stream_stopped(&topic, None));
        assert_eq!(poll_once(waiting.as_mut()), None);
        for (request, events) in missed {
            alone(&mut cluster, request, events);
        }
        let aged = cluster.store.newest;
        cluster.nodes[0].log.tell_streams(aged, cluster.now);
        cluster.write(0);
        cluster.store.messages.retain(|place, _| *place > aged);
        cluster.settle();
        let known = cluster.info().unwrap();
        let is_the_first = known.begin.sequence.get() < 2 << 14;
        let is_open = is_the_first && known.end.is_none();
        assert_eq!(poll_once(waiting), if is_open { None } else { Some(false) });
        if known.end.is_none() {
            let seq = known.producer.unwrap().seq;
            cluster.append(1, &owned(seq + 1), &["next"]).unwrap();
            assert_eq!(cluster.info().unwrap().events, known.events + 1);
        }
    }
}

#[test]
fn a_stop_that_a_hub_has_lost_is_told_when_the_producer_goes_on() {
    let mut cluster = Cluster::new(2);
    let begun = cluster.append(0, &begin(), &["0"]).unwrap();
    let (hub, topic) = (cluster.hub(1), TOPIC);
    let mut waiting = pin!(hub.stream_stopped(&topic, None));
    assert_eq!(poll_once(waiting.as_mut()), None);
    let stopper = cluster.hub(0);
    let mut stopping = pin!(stopper.stop_stream(&topic, begun.begin));
    assert!(poll_once(stopping.as_mut()).is_none());
    cluster.write(0);
    cluster.read(0);
    poll_once(stopping).unwrap().unwrap();
    let aged = cluster.store.newest;
    cluster.store.messages.retain(|place, _| *place > aged);
    // Its state goes before it.
    let late = cluster.append(0, &Append::default(), &["late"]);
    assert_eq!(late, refused(StreamRefused::Stopped));
    cluster.settle();
    assert!(cluster.info().unwrap().is_stopped);
    assert_eq!(poll_once(waiting), Some(true));
}
