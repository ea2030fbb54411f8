//! Streams within a topic after a restart.

use std::num::NonZeroUsize;

use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::check;
use tidings_hub::{
    Append, Draft, EndNotice, Event, Found, Hub, HubConfig, IdempotencyKey, Producer, PublishError,
    RetentionRule, Start, StreamOptions, StreamRefused, Topic, TopicFilter, TopicLimits, View,
};

use crate::disk::SimulatedDisk;
use crate::hubs::{append, request, stream, with_followed};
use crate::support::{small, topic};

/// Opens a hub that has few bytes of the newest entries in memory, and does something with it.
pub(crate) fn with_hub<T>(disk: &SimulatedDisk, act: impl AsyncFnOnce(&Hub) -> T) -> T {
    on_journal(&DiskJournal::with_storage(disk.clone(), small()), act)
}

fn on_journal<T>(journal: &DiskJournal, act: impl AsyncFnOnce(&Hub) -> T) -> T {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 4 * 2048;
    on_journal_with(config, journal, act)
}

fn on_journal_with<T>(
    config: HubConfig,
    journal: &DiskJournal,
    act: impl AsyncFnOnce(&Hub) -> T,
) -> T {
    with_followed(Hub::builder().config(config), journal.clone(), act)
}

/// Nobody follows the journal here, so that only its publisher can have brought an event into history.
#[test]
fn what_was_answered_is_there() {
    let disk = SimulatedDisk::default();
    let journal = DiskJournal::with_storage(disk, small());
    smol::block_on(async {
        let hub = Hub::builder().open(Box::new(journal.clone())).await.unwrap();
        let (chat, other) = (topic("chat"), topic("other"));
        let begin = Append { begin: Some(StreamOptions::default()), ..Append::default() };
        append(&hub, &chat, begin, "0").await.unwrap();
        assert_eq!(stream(&hub, &chat).events, 1);
        let end = Append { end: Some(EndNotice::Event), ..Append::default() };
        append(&hub, &chat, end, "1").await.unwrap();
        assert_eq!(stream(&hub, &chat).end.map(|(_, close)| close.events), Some(2));
        let draft = Draft::new(other, Event::new("2"));
        hub.publish(draft.clone()).await.unwrap();
        assert_eq!(hub.stats().published, 3);
        hub.publish_all(vec![draft.clone(), draft]).await.unwrap();
        assert_eq!(hub.stats().published, 5);
    });
}

#[test]
fn a_successor_continues_after_a_restart_and_the_late_append_is_refused() {
    let disk = SimulatedDisk::default();
    let (chat, done) = (topic("chat"), topic("done"));
    let before = with_hub(&disk, async |hub| {
        let whole = Append {
            begin: Some(StreamOptions::default()),
            end: Some(EndNotice::Close),
            ..Append::default()
        };
        append(hub, &done, whole, "all").await.unwrap();
        let begin = Append { begin: Some(StreamOptions::default()), ..request(1, 0) };
        append(hub, &chat, begin, "0").await.unwrap();
        for seq in 1..20 {
            append(hub, &chat, request(1, seq), &"x".repeat(200)).await.unwrap();
        }
        // Memory begins after the streams when the journal is opened again.
        for _ in 0..50 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
        let begun = stream(hub, &chat);
        assert_eq!(begun.events, 20);
        (begun, stream(hub, &done))
    });
    with_hub(&disk, async |hub| {
        let after = (stream(hub, &chat), stream(hub, &done));
        assert_eq!(after, before);
        assert_eq!(after.0.events, 20);
        let late = append(hub, &done, Append::default(), "late").await;
        assert_eq!(late, Err(PublishError::Stream(StreamRefused::Ended)));
        append(hub, &chat, request(2, 0), "on").await.unwrap();
        let late = append(hub, &chat, request(1, 20), "late").await;
        assert_eq!(late, Err(PublishError::Stream(StreamRefused::StaleEpoch { epoch: 2 })));
        assert_eq!(stream(hub, &chat).events, 21);
    });
    // What came after the restart is in memory when the hub is opened once more.
    with_hub(&disk, async |hub| {
        assert_eq!(stream(hub, &chat).events, 21);
        let end = Append { end: Some(EndNotice::Event), ..request(2, 1) };
        append(hub, &chat, end, "end").await.unwrap();
        let ended = stream(hub, &chat);
        assert_eq!(ended.end.map(|(_, close)| close.events), Some(22));
    });
}

/// A publisher that was not answered before the hub was killed was told that its stream had ended.
#[test]
fn a_beginning_and_an_end_that_are_sent_again_after_a_restart_are_answered_as_before() {
    let disk = SimulatedDisk::default();
    let (open, owned, ended) = (topic("open"), topic("owned"), topic("ended"));
    let key = |key: &str| IdempotencyKey::new(key).ok();
    let begin = |name| Append {
        begin: Some(StreamOptions::default()),
        key: key(name),
        ..Append::default()
    };
    let end = Append { end: Some(EndNotice::Event), key: key("end"), ..Append::default() };
    let by_producer = Append { producer: Producer::new("p", 1, 0), ..begin("owned") };
    let draft = |topic: &Topic| vec![Draft::new(topic.clone(), Event::new("x"))];
    let ask = async |hub: &Hub, topic: &Topic, request: &Append| {
        hub.append(topic.clone(), request, draft(topic)).await.unwrap()
    };
    let ask_all = async |hub: &Hub| {
        let begun = ask(hub, &open, &begin("open")).await;
        let by_producer = ask(hub, &owned, &by_producer).await;
        let last = ask(hub, &ended, &end).await;
        [begun, by_producer, last]
    };
    let first = with_hub(&disk, async |hub| {
        ask(hub, &ended, &begin("ended")).await;
        ask_all(hub).await
    });
    for restart in 0..3 {
        with_hub(&disk, async |hub| {
            let again = ask_all(hub).await;
            for (first, again) in first.iter().zip(&again) {
                assert!(again.is_duplicate);
                let (begin, end) = (again.begin, again.end);
                assert_eq!((begin, end), (first.begin, first.end));
                assert_eq!(again.published[0].sequence, first.published[0].sequence);
            }
            let other = Append { key: key("other"), ..end.clone() };
            let other = hub.append(ended.clone(), &other, Vec::new()).await;
            assert_eq!(other, Err(PublishError::Stream(StreamRefused::Ended)));
            if restart == 0 {
                // Next time, memory begins after the streams.
                for _ in 0..50 {
                    let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
                    hub.publish(other).await.unwrap();
                }
            }
        });
    }
}

/// The response to a reader that starts there: at most so many events.
async fn response(hub: &Hub, topic: &Topic, start: Start, events_max: usize) -> Vec<String> {
    let mut subscriber = hub.subscribe(topic.clone(), start);
    let mut sent = Vec::new();
    while sent.len() < events_max
        && let Some(found) = subscriber.next().await
    {
        assert!(matches!(found, Found::Event(_)), "{found:?}");
        sent.push(found.into_event().data().to_owned());
    }
    sent
}

/// It was sent nothing, again and again: its response ended where the ended stream did.
#[test]
fn a_reader_that_comes_back_after_a_silent_end_goes_on_with_the_next_stream() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    let begin = Append { begin: Some(StreamOptions::default()), ..Append::default() };
    let end = Append { end: Some(EndNotice::Close), ..Append::default() };
    let empty = Append { begin: Some(StreamOptions::default()), ..end.clone() };
    let check = async |hub: &Hub, last: Start| {
        assert_eq!(response(hub, &chat, Start::Oldest, 9).await, ["a", "b"]);
        assert_eq!(response(hub, &chat, last, 1).await, ["c"]);
    };
    let last = with_hub(&disk, async |hub| {
        append(hub, &chat, begin.clone(), "a").await.unwrap();
        append(hub, &chat, end, "b").await.unwrap();
        let ended = stream(hub, &chat);
        let last = Start::from(ended.places.unwrap().1);
        assert_eq!(response(hub, &chat, last.clone(), 9).await, [""; 0], "nothing has begun anew");
        hub.append(chat.clone(), &empty, Vec::new()).await.unwrap();
        let nothing = stream(hub, &chat);
        append(hub, &chat, begin, "c").await.unwrap();
        assert_eq!(stream(hub, &chat).events, 1);
        check(hub, last.clone()).await;
        let asked = Start::from(nothing.begin);
        assert_eq!(response(hub, &chat, asked, 9).await, [""; 0], "it asked for that stream");
        last
    });
    with_hub(&disk, async |hub| {
        // Memory has none of it.
        for _ in 0..50 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
        check(hub, last).await;
        let page = hub.page(chat.clone(), Start::Oldest, 2).await;
        assert_eq!(page.events.len(), 2);
    });
}

/// A page of the latest events was looked for without end where a stream had ended silently.
#[test]
fn the_latest_events_are_found_before_an_end_in_the_journal() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    with_hub(&disk, async |hub| {
        for notice in [EndNotice::Event, EndNotice::Close] {
            let begin = Some(StreamOptions::default());
            let whole = Append { begin, end: Some(notice), ..Append::default() };
            append(hub, &chat, whole, "all").await.unwrap();
        }
        for _ in 0..50 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
        let page = hub.page(chat.clone(), Start::Tail, 10).await;
        assert_eq!(page.events.len(), 2);
    });
}

#[test]
fn an_index_leads_to_its_event_in_the_journal_and_after_a_restart() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    let check = async |hub: &Hub| {
        for index in [0, 1, 63, 64, 199, 299, -1, -300] {
            let place = hub.stream_place(&chat, None, index).await.unwrap();
            let page = hub.page(chat.clone(), Start::from(place), 1).await;
            assert!(page.gap.is_none());
            let number = if index < 0 { 300 + index } else { index };
            assert!(page.events[0].event.data().starts_with(&format!("{number} ")), "{index}");
        }
        let end = hub.stream_place(&chat, None, 300).await.unwrap();
        assert_eq!(end, stream(hub, &chat).places.unwrap().1);
    };
    with_hub(&disk, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(1, 0) };
        hub.append(chat.clone(), &begin, Vec::new()).await.unwrap();
        for seq in 1..=300 {
            let data = format!("{} {}", seq - 1, "x".repeat(100));
            append(hub, &chat, request(1, seq), &data).await.unwrap();
        }
        assert_eq!(stream(hub, &chat).events, 300);
        check(hub).await;
    });
    with_hub(&disk, async |hub| check(hub).await);
}

#[test]
fn an_end_in_the_journal_names_its_topic_to_readers_of_several_alone() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    with_hub(&disk, async |hub| {
        let begin = Some(StreamOptions::default());
        let whole = Append { begin, end: Some(EndNotice::Event), ..Append::default() };
        append(hub, &chat, whole, "all").await.unwrap();
        // Memory has none of it.
        for _ in 0..50 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
        let own = r#"{"reason":"done","events":1}"#;
        assert_eq!(response(hub, &chat, Start::Oldest, 9).await, ["all", own]);
        let several = View::new([chat.clone(), topic("b")].map(TopicFilter::from));
        let mut reader = hub.subscribe(several, Start::Oldest);
        for data in ["all", r#"{"reason":"done","events":1,"topic":"chat"}"#] {
            assert_eq!(reader.next().await.unwrap().into_event().data(), data);
        }
    });
}

#[test]
fn a_check_of_a_journal_finds_nothing_wrong_with_marks() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    with_hub(&disk, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(1, 0) };
        append(hub, &chat, begin, "0").await.unwrap();
        append(hub, &chat, request(2, 0), "1").await.unwrap();
        hub.stop_stream(&chat, None).await.unwrap();
        let end = Append { end: Some(EndNotice::Close), ..request(2, 1) };
        hub.append(chat.clone(), &end, Vec::new()).await.unwrap();
    });
    let checked = check(&disk).unwrap();
    assert_eq!((checked.damage, checked.torn_bytes), (Vec::new(), 0));
    // The beginning and its event, the other producer and its event, the stop, that producer's next request, and the end.
    assert_eq!(checked.entries, 7);
}

/// The number of the request survived a crash without its events, and so its repetition was answered as a duplicate.
#[test]
fn a_request_of_a_producer_that_is_torn_is_published_when_it_is_repeated() {
    let disk = SimulatedDisk::default();
    let chat = topic("chat");
    let last = Append { end: Some(EndNotice::Event), ..request(1, 1) };
    let drafts = || ["a", "b"].map(|data| Draft::new(chat.clone(), Event::new(data))).into();
    let used = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let name = format!("{:020}.segment", 1);
    let (before, files) = with_hub(&disk, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(1, 0) };
        append(hub, &chat, begin, "0").await.unwrap();
        let before = used(&disk.files()[&name]);
        hub.append(chat.clone(), &last, drafts()).await.unwrap();
        (before, disk.files())
    });
    for size in before..used(&files[&name]) {
        let mut torn = files.clone();
        torn.get_mut(&name).unwrap()[size..].fill(0);
        with_hub(&SimulatedDisk::with_files(torn), async |hub| {
            assert_eq!(stream(hub, &chat).events, 1);
            let appended = hub.append(chat.clone(), &last, drafts()).await.unwrap();
            assert!(!appended.is_duplicate);
            let ended = stream(hub, &chat);
            assert_eq!(ended.end.map(|(_, close)| close.events), Some(3));
        });
    }
}

/// The beginning alone was removed, and counted as an event that was lost.
#[test]
fn a_reader_that_waited_before_a_beginning_has_lost_nothing_when_that_is_removed() {
    let disk = SimulatedDisk::default();
    let (chat, busy) = (topic("chat"), topic("busy"));
    let journal = DiskJournal::with_storage(disk.clone(), small().with_bytes_max(8 * 2048));
    let check = async |hub: &Hub, before: Start, is_lost: bool| {
        for view in
            [View::from(chat.clone()), View::new([chat.clone(), topic("b")].map(Into::into))]
        {
            let mut reader = hub.subscribe(view, before.clone());
            let found = reader.next().await.unwrap();
            assert_eq!(matches!(found, Found::Gap(_)), is_lost, "{found:?}");
        }
    };
    let fill = async |hub: &Hub| {
        for _ in 0..200 {
            let other = Draft::new(busy.clone(), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
    };
    let before = on_journal(&journal, async |hub| {
        let first = Draft::new(topic("before"), Event::new("x"));
        let published = hub.publish(first).await.unwrap();
        let before = Start::After(published.id().as_str().into());
        let begin = Append { begin: Some(StreamOptions::default()), ..request(1, 0) };
        hub.append(chat.clone(), &begin, Vec::new()).await.unwrap();
        fill(hub).await;
        append(hub, &chat, request(1, 1), "the first").await.unwrap();
        check(hub, before.clone(), false).await;
        before
    });
    drop(journal);
    let journal = DiskJournal::with_storage(disk, small().with_bytes_max(8 * 2048));
    on_journal(&journal, async |hub| {
        check(hub, before.clone(), false).await;
        fill(hub).await;
        append(hub, &chat, request(1, 2), "the second").await.unwrap();
        check(hub, before, true).await;
    });
}

/// Each request of a producer has a mark, so that a topic held half as many events as its limit says.
#[test]
fn a_limit_on_events_counts_no_marks_in_memory_and_on_disk() {
    let journal = DiskJournal::with_storage(SimulatedDisk::default(), small());
    let mut config = HubConfig::default();
    config.retention.bytes_max = 4 * 2048;
    let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(3).unwrap());
    let rule = RetentionRule::new(TopicFilter::pattern("chat/*").unwrap(), limits);
    config.retention.rules = vec![rule];
    on_journal_with(config, &journal, async |hub| {
        let chat = topic("chat/1");
        for seq in 0..6 {
            let begin = (seq == 0).then(StreamOptions::default);
            let request = Append { begin, ..request(1, seq) };
            append(hub, &chat, request, &seq.to_string()).await.unwrap();
        }
        hub.append(chat.clone(), &request(1, 6), Vec::new()).await.unwrap();
        let held = ["3", "4", "5"];
        assert_eq!(response(hub, &chat, Start::Oldest, 3).await, held);
        // Memory has none of them afterwards.
        for _ in 0..100 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
        assert_eq!(response(hub, &chat, Start::Oldest, 3).await, held);
        let pattern = View::from(TopicFilter::pattern("chat/*").unwrap());
        let mut reader = hub.subscribe(pattern, Start::Oldest);
        for event in held {
            assert_eq!(reader.next().await.unwrap().into_event().data(), event);
        }
    });
}
