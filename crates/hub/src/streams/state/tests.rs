use super::super::mark::{EndNotice, Producer, StreamClose, StreamOptions, StreamReason};
use super::*;
use crate::draft::IdempotencyKey;
use crate::time::{Time, millis};

const TOPIC: Topic = Topic::from_static("c/1");

fn producer(id: &str, epoch: u64, seq: u64) -> Option<Producer> {
    Producer::new(id, epoch, seq)
}

fn begin(producer: Option<Producer>) -> Append {
    Append { begin: Some(StreamOptions::default()), producer, ..Append::default() }
}

fn append(producer: Option<Producer>) -> Append {
    Append { producer, ..Append::default() }
}

fn end() -> Append {
    Append { end: Some(EndNotice::Event), ..Append::default() }
}

fn refused(why: StreamRefused) -> Verdict {
    Verdict::Refused(why)
}

/// The answer to a repetition of what is not committed yet.
const UNDER_WAY: Verdict = Verdict::Unsettled(Failure::NotCommitted(NotCommitted::Busy));

fn is_accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accept { .. })
}

#[test]
fn a_stream_takes_events_between_its_beginning_and_its_end() {
    let mut streams = Streams::default();
    assert_eq!(streams.decide(&TOPIC, &end(), 0, 0), refused(StreamRefused::Ended));
    assert!(is_accepted(&streams.decide(&TOPIC, &begin(None), 1, 0)));
    assert!(is_accepted(&streams.decide(&TOPIC, &append(None), 1, 0)));
    let Verdict::Accept { after: Some(StreamMark::End(close, _)), .. } =
        streams.decide(&TOPIC, &end(), 1, 0)
    else {
        panic!("an end is accepted");
    };
    assert_eq!((close.reason, close.events), (StreamReason::Done, 3));
    assert_eq!(streams.decide(&TOPIC, &append(None), 1, 0), refused(StreamRefused::Ended));
    assert_eq!(streams.check_event(&TOPIC), refused(StreamRefused::Ended));
    assert!(is_accepted(&streams.decide(&TOPIC, &begin(None), 0, 0)));
    assert_eq!(streams.check_event(&TOPIC), Verdict::ACCEPT);
}

#[test]
fn a_beginning_aborts_an_open_stream() {
    let mut streams = Streams::default();
    streams.decide(&TOPIC, &begin(None), 2, 0);
    let Verdict::Accept { before, .. } = streams.decide(&TOPIC, &begin(None), 0, 0) else {
        panic!("a beginning is accepted");
    };
    let [StreamMark::End(close, _), StreamMark::Begin(_)] = &*before else { panic!("{before:?}") };
    assert_eq!((close.reason, close.events), (StreamReason::Aborted, 2));
}

#[test]
fn the_first_producer_owns_the_stream_until_a_higher_epoch_takes_over() {
    let mut streams = Streams::default();
    let mut decide = |request: Append| streams.decide(&TOPIC, &request, 1, 0);
    let missing = |expected| refused(StreamRefused::MissingSequence { expected });
    assert_eq!(decide(begin(producer("p", 1, 1))), missing(0));
    assert!(is_accepted(&decide(begin(producer("p", 1, 0)))));
    assert_eq!(decide(append(None)), refused(StreamRefused::Streaming));
    assert_eq!(decide(append(producer("q", 1, 0))), refused(StreamRefused::Streaming));
    assert_eq!(decide(append(producer("p", 1, 2))), missing(1));
    assert!(is_accepted(&decide(append(producer("p", 1, 1)))));
    assert!(is_accepted(&decide(append(producer("q", 2, 0)))));
    let stale = refused(StreamRefused::StaleEpoch { epoch: 2 });
    assert_eq!(decide(append(producer("p", 1, 2))), stale);
    assert!(is_accepted(&decide(append(producer("q", 2, 1)))));
}

#[test]
fn a_stream_that_nobody_ends_expires_and_is_forgotten() {
    let mut streams = Streams::default();
    streams.decide(&TOPIC, &begin(None), 0, 0);
    let ttl = millis(StreamOptions::TTL);
    streams.count_event(&TOPIC, 10);
    assert!(streams.take_due(ttl).is_empty());
    let due = streams.take_due(ttl + 10);
    let [(_, StreamMark::End(close, _))] = &*due else { panic!("{due:?}") };
    assert_eq!((close.reason, close.events), (StreamReason::Expired, 1));
    assert!(streams.take_due(2 * ttl + 9).is_empty());
    assert!(streams.get(&TOPIC).is_some());
    assert!(streams.take_due(2 * ttl + 10).is_empty());
    assert!(streams.get(&TOPIC).is_none());
}

fn at(sequence: u64) -> Sequence {
    Sequence::new(sequence).unwrap()
}

fn commit(streams: &mut Streams, sequence: u64, mark: StreamMark) {
    let mut entry = Entry::new(at(sequence), Time::default(), TOPIC.into(), Content::Stream(mark));
    streams.apply(&mut entry, 0);
}

#[test]
fn what_was_not_committed_is_taken_back_once_everything_is_answered() {
    let mut streams = Streams::default();
    streams.decide(&TOPIC, &begin(None), 0, 0);
    let Verdict::Accept { after: Some(end_mark), .. } = streams.decide(&TOPIC, &end(), 0, 0) else {
        panic!("an end is accepted");
    };
    let Verdict::Accept { .. } = streams.decide(&TOPIC, &begin(None), 0, 0) else {
        panic!("a beginning is accepted");
    };
    commit(&mut streams, 1, StreamMark::Begin(StreamOptions::default()));
    let full = Failure::NotCommitted(NotCommitted::Full);
    // The second beginning has failed, and the answers before it are not known yet.
    streams.note_answer(&TOPIC, Err(full));
    assert_eq!(streams.check_event(&TOPIC), Verdict::Unsettled(full));
    assert_eq!(streams.decide(&TOPIC, &begin(None), 0, 0), Verdict::Unsettled(full));
    streams.note_answer(&TOPIC, Ok(at(1)));
    // The answer to the end comes before its entry.
    streams.note_answer(&TOPIC, Ok(at(2)));
    assert_eq!(streams.check_event(&TOPIC), Verdict::Unsettled(full));
    commit(&mut streams, 2, end_mark);
    assert_eq!(streams.check_event(&TOPIC), refused(StreamRefused::Ended));
}

#[test]
fn a_beginning_that_was_not_committed_leaves_no_stream() {
    let mut streams = Streams::default();
    streams.decide(&TOPIC, &begin(producer("p", 0, 0)), 0, 0);
    streams.note_answer(&TOPIC, Err(Failure::Unknown));
    assert_eq!(streams.check_event(&TOPIC), Verdict::ACCEPT);
    assert!(streams.get(&TOPIC).is_none());
}

#[test]
fn a_request_with_the_key_of_the_beginning_or_the_end_is_the_same_once_more() {
    let key = |text: &str| IdempotencyKey::new(text).ok();
    let mut streams = Streams::default();
    let first = Append { key: key("a"), ..begin(None) };
    assert!(is_accepted(&streams.decide(&TOPIC, &first, 0, 0)));
    assert_eq!(streams.decide(&TOPIC, &first, 0, 0), UNDER_WAY);
    commit(&mut streams, 1, StreamMark::Begin(StreamOptions::default()));
    assert_eq!(streams.decide(&TOPIC, &first, 0, 0), Verdict::Repeated);
    let last = Append { key: key("b"), ..end() };
    assert!(is_accepted(&streams.decide(&TOPIC, &last, 0, 0)));
    assert_eq!(streams.decide(&TOPIC, &last, 0, 0), Verdict::Repeated);
    let other = Append { key: key("c"), ..end() };
    assert_eq!(streams.decide(&TOPIC, &other, 0, 0), refused(StreamRefused::Ended));
}

#[test]
fn a_request_of_a_producer_is_a_duplicate_once_it_is_committed() {
    let mut streams = Streams::default();
    let first = begin(producer("p", 1, 0));
    assert!(is_accepted(&streams.decide(&TOPIC, &first, 1, 0)));
    assert_eq!(streams.decide(&TOPIC, &first, 1, 0), UNDER_WAY);
    let options = StreamOptions { producer: producer("p", 1, 0), ..StreamOptions::default() };
    commit(&mut streams, 1, StreamMark::Begin(options));
    // Its events may be committed after its mark.
    assert_eq!(streams.decide(&TOPIC, &first, 1, 0), UNDER_WAY);
    streams.note_answer(&TOPIC, Ok(at(1)));
    assert_eq!(streams.decide(&TOPIC, &first, 1, 0), Verdict::Duplicate);
    let next = append(producer("p", 1, 1));
    assert!(is_accepted(&streams.decide(&TOPIC, &next, 1, 0)));
    assert_eq!(streams.decide(&TOPIC, &first, 1, 0), UNDER_WAY);
    let last = append(producer("p", 1, 2));
    assert!(is_accepted(&streams.decide(&TOPIC, &last, 1, 0)));
    let mark = |seq| StreamMark::Append(producer("p", 1, seq).unwrap());
    commit(&mut streams, 2, mark(1));
    assert_eq!(streams.decide(&TOPIC, &first, 1, 0), Verdict::Duplicate);
    assert_eq!(streams.decide(&TOPIC, &next, 1, 0), UNDER_WAY);
    streams.note_answer(&TOPIC, Ok(at(2)));
    streams.note_answer(&TOPIC, Err(Failure::NotCommitted(NotCommitted::Full)));
    // The last one was not committed: it is to be sent again.
    assert_eq!(streams.decide(&TOPIC, &next, 1, 0), Verdict::Duplicate);
    assert!(is_accepted(&streams.decide(&TOPIC, &last, 1, 0)));
}

#[test]
fn marks_of_another_node_decide_as_those_of_this_one() {
    let mut streams = Streams::default();
    let owned = StreamOptions { producer: producer("p", 3, 0), ..StreamOptions::default() };
    commit(&mut streams, 1, StreamMark::Begin(owned));
    let stale = refused(StreamRefused::StaleEpoch { epoch: 3 });
    assert_eq!(streams.decide(&TOPIC, &append(producer("q", 2, 0)), 1, 0), stale);
    assert_eq!(streams.check_event(&TOPIC), refused(StreamRefused::Streaming));
    let close = StreamClose { reason: StreamReason::Done, events: 0, notice: EndNotice::Event };
    commit(&mut streams, 2, StreamMark::End(close, None));
    assert_eq!(streams.check_event(&TOPIC), refused(StreamRefused::Ended));
}

/// A request at random. Few values, so that they often meet.
fn any_request(rng: &mut fastrand::Rng) -> (Append, u64) {
    let producer = match rng.u8(..3) {
        0 => producer(["p", "q"][rng.usize(..2)], rng.u64(..3), rng.u64(..3)),
        _ => None,
    };
    let end = rng.bool().then_some(EndNotice::Event).filter(|_| rng.bool());
    let begin = (rng.u8(..4) == 0).then(StreamOptions::default);
    (Append { begin, end, producer, ..Append::default() }, rng.u64(..3))
}

/// Applies what a request adds to a journal, and keeps it.
fn commit_all(streams: &mut Streams, entries: &mut Vec<Entry>, contents: Vec<Content>) {
    for content in contents {
        let next = at(entries.len() as u64 + 1);
        let mut entry = Entry::new(next, Time::default(), TOPIC.into(), content);
        streams.apply(&mut entry, 0);
        entries.push(entry);
    }
    streams.note_answer(&TOPIC, Ok(at(entries.len().max(1) as u64)));
}

#[test]
fn a_machine_that_was_restored_from_the_entries_decides_as_the_one_that_made_them() {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        let (mut streams, mut entries) = (Streams::default(), Vec::new());
        for _ in 0..rng.usize(1..12) {
            let (request, events) = any_request(&mut rng);
            if rng.u8(..8) == 0
                && let Some(mark) = streams.stop(&TOPIC, None, 0)
            {
                commit_all(&mut streams, &mut entries, vec![Content::Stream(mark)]);
            }
            let Verdict::Accept { before, after } = streams.decide(&TOPIC, &request, events, 0)
            else {
                continue;
            };
            if streams.get(&TOPIC).is_none() {
                continue;
            }
            let mut contents: Vec<_> = before.into_iter().map(Content::Stream).collect();
            let event = || Content::Event(tidings_proto::Event::new("x"));
            contents.extend((0..events).map(|_| event()));
            contents.extend(after.map(Content::Stream));
            commit_all(&mut streams, &mut entries, contents);
        }
        let mut restored = Streams::default();
        for entry in &mut entries.clone() {
            restored.restore(entry, Time::default(), 0);
        }
        let shown =
            |streams: &Streams| streams.iter().next().map(|(_, stream)| format!("{stream:?}"));
        assert_eq!(shown(&restored), shown(&streams), "seed {seed}");
        for _ in 0..20 {
            let (request, events) = any_request(&mut rng);
            let request = Append { begin: None, end: None, ..request };
            assert_eq!(restored.check_event(&TOPIC), streams.check_event(&TOPIC), "seed {seed}");
            let decided = streams.decide(&TOPIC, &request, events, 0);
            assert_eq!(restored.decide(&TOPIC, &request, events, 0), decided, "seed {seed}");
        }
    }
}

#[test]
fn too_many_streams_are_forgotten_if_they_have_ended_and_refused_if_not() {
    let mut streams = Streams { topics_max: 4, ..Streams::default() };
    let topic = |number: u64| Topic::new(format!("c/{number}")).unwrap();
    let whole = Append { end: Some(EndNotice::Event), ..begin(None) };
    for number in 0..4 {
        streams.decide(&topic(number), &whole, 0, number);
        streams.note_answer(&topic(number), Ok(at(1)));
    }
    assert!(is_accepted(&streams.decide(&topic(4), &begin(None), 0, 4)));
    let held = |streams: &Streams| {
        (0..9).filter(|&number| streams.get(&topic(number)).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(held(&streams), [2, 3, 4]);
    for number in 5..8 {
        assert!(is_accepted(&streams.decide(&topic(number), &begin(None), 0, number)));
    }
    let full = Verdict::Unsettled(Failure::NotCommitted(NotCommitted::Full));
    assert_eq!(streams.decide(&topic(8), &begin(None), 0, 8), full);
    // A topic that has a stream needs no more room.
    assert!(is_accepted(&streams.decide(&topic(7), &begin(None), 0, 8)));
}

#[test]
fn bytes_are_what_the_streams_take_and_their_limit_lets_go_of_ended_ones() {
    let mut streams = Streams::default();
    streams.limit(0);
    let topic = |number: u64| Topic::new(format!("c/{number}")).unwrap();
    let whole = Append { end: Some(EndNotice::Event), ..begin(producer(&"p".repeat(128), 0, 0)) };
    for number in 0..20_000 {
        assert!(is_accepted(&streams.decide(&topic(number), &whole, 0, number)), "{number}");
        let close = StreamClose { reason: StreamReason::Done, events: 0, notice: EndNotice::Event };
        let marks = [StreamMark::Begin(StreamOptions::default()), StreamMark::End(close, None)];
        for (place, mark) in (2 * number + 1..).zip(marks) {
            let (topic, content) = (topic(number).into(), Content::Stream(mark));
            let mut entry = Entry::new(at(place), Time::default(), topic, content);
            streams.apply(&mut entry, number);
        }
        streams.note_answer(&topic(number), Ok(at(2 * number + 2)));
        assert!(streams.bytes() <= BYTES_MIN + 1024, "{number} {}", streams.bytes());
    }
    assert!(streams.iter().count() > 100);
    let charged = streams.topics.values().map(|stream| stream.charged).sum::<usize>();
    assert_eq!(streams.heap_bytes, charged);
    streams.take_due(u64::MAX);
    streams.take_due(u64::MAX);
    assert_eq!((streams.heap_bytes, streams.topics.capacity()), (0, 0));
}
