//! A restart forgets no stream, although the journal has dropped its beginning.

use std::time::Duration;

use tidings_hub::journal::{Content, DiskConfig, DiskJournal};
use tidings_hub::{
    Append, Draft, EndNotice, Event, Found, Hub, HubConfig, Now, PublishError, RetentionRule,
    Start, StreamOptions, StreamReason, StreamRefused, TopicFilter, TopicLimits,
};

use crate::disk::SimulatedDisk;
use crate::hubs::{append, request, stream, with_followed};
use crate::support::{dumped_beside, small, topic};

fn config() -> DiskConfig {
    small().with_bytes_max(16 * 2048)
}

fn on_disk<T>(
    (disk, rules): (&SimulatedDisk, &[RetentionRule]),
    now: Now,
    act: impl AsyncFnOnce(&Hub) -> T,
) -> T {
    let journal = DiskJournal::with_storage(disk.clone(), config());
    let mut config = HubConfig::default();
    config.retention.bytes_max = 4 * 2048;
    config.retention.rules = rules.to_vec();
    with_followed(Hub::builder().config(config).at(now), journal, act)
}

/// Publishes more than the journal keeps, while time goes on.
async fn fill(hub: &Hub, now: Now) {
    for second in 0..40 {
        hub.tick(now + Duration::from_secs(2 * second));
        for _ in 0..10 {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
    }
}

/// Publishes more than the journal keeps, while no time passes.
async fn burst(hub: &Hub) {
    for _ in 0..400 {
        let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
        hub.publish(other).await.unwrap();
    }
}

fn is_on_disk(disk: &SimulatedDisk, data: &str) -> bool {
    dumped_beside(disk)
        .iter()
        .any(|entry| matches!(&entry.content, Content::Event(event) if event.data() == data))
}

#[test]
fn an_open_stream_whose_beginning_is_dropped_is_known_after_a_restart() {
    let (disk, now, chat) = (SimulatedDisk::default(), Now::read(), topic("chat"));
    let known = on_disk((&disk, &[]), now, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(3, 0) };
        append(hub, &chat, begin, "first").await.unwrap();
        append(hub, &chat, request(3, 1), "second").await.unwrap();
        fill(hub, now).await;
        assert!(!is_on_disk(&disk, "second"), "it is dropped");
        append(hub, &chat, request(3, 2), "third").await.unwrap();
        stream(hub, &chat)
    });
    assert_eq!(known.events, 3);
    let places = known.places.unwrap();
    on_disk((&disk, &[]), now, async |hub| {
        assert_eq!(stream(hub, &chat), known);
        let stale = append(hub, &chat, request(2, 0), "stale").await.unwrap_err();
        let why = StreamRefused::StaleEpoch { epoch: 3 };
        assert!(matches!(stale, PublishError::Stream(found) if found == why), "{stale:?}");
        let repeated = hub.append(chat.clone(), &request(3, 2), Vec::new()).await.unwrap();
        assert!(repeated.is_duplicate);
        append(hub, &chat, request(3, 3), "fourth").await.unwrap();
        fill(hub, now).await;
        let end = Append { end: Some(EndNotice::Event), ..request(4, 0) };
        hub.append(chat.clone(), &end, Vec::new()).await.unwrap();
        fill(hub, now + Duration::from_secs(100)).await;
        // The whole stream is dropped.
        assert!(!is_on_disk(&disk, "fourth"));
    });
    on_disk((&disk, &[]), now + Duration::from_secs(200), async |hub| {
        let ended = stream(hub, &chat);
        assert_eq!((ended.begin, ended.events), (known.begin, 4));
        assert_eq!(ended.end.unwrap().1.events, 4);
        assert_eq!(ended.places.unwrap().0, places.0);
        let late = Draft::new(chat.clone(), Event::new("late"));
        assert!(matches!(hub.publish(late).await, Err(PublishError::Stream(StreamRefused::Ended))));
        let view = chat.clone().into();
        assert!(hub.stream_end_at(&view, ended.places.unwrap().1.sequence).is_some());
        let mut reader = hub.subscribe(chat.clone(), Start::from(ended.begin));
        assert!(matches!(reader.next().await, Some(Found::Gap(_))));
    });
}

/// States were repeated once a second, which a burst could outrun.
#[test]
fn a_burst_between_two_ticks_drops_no_beginning_untold() {
    let (disk, now, chat) = (SimulatedDisk::default(), Now::read(), topic("chat"));
    let known = on_disk((&disk, &[]), now, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(3, 0) };
        append(hub, &chat, begin, "first").await.unwrap();
        hub.tick(now + Duration::from_secs(1));
        burst(hub).await;
        assert!(!is_on_disk(&disk, "first"), "it is dropped");
        stream(hub, &chat)
    });
    on_disk((&disk, &[]), now, async |hub| {
        assert_eq!(stream(hub, &chat), known);
        append(hub, &chat, request(3, 1), "second").await.unwrap();
    });
}

/// Its state was never repeated, because it was never as its requests had left it.
#[test]
fn a_stream_with_a_request_under_way_is_told_again() {
    let (disk, now, chat) = (SimulatedDisk::default(), Now::read(), topic("chat"));
    let known = on_disk((&disk, &[]), now, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..request(3, 0) };
        append(hub, &chat, begin, "first").await.unwrap();
        let next = |seq| {
            let draft = Draft::new(chat.clone(), Event::new("x".repeat(200)));
            hub.append(chat.clone(), &request(3, seq), vec![draft])
        };
        let mut under_way = next(1);
        for seq in 2..400 {
            let after = next(seq);
            under_way.await.unwrap();
            hub.tick(now + Duration::from_secs(seq));
            under_way = after;
        }
        under_way.await.unwrap();
        assert!(!is_on_disk(&disk, "first"), "it is dropped");
        stream(hub, &chat)
    });
    assert_eq!(known.events, 400);
    on_disk((&disk, &[]), now, async |hub| {
        assert_eq!(stream(hub, &chat), known);
        let repeated = hub.append(chat.clone(), &request(3, 399), Vec::new()).await.unwrap();
        assert!(repeated.is_duplicate);
        append(hub, &chat, request(3, 400), "last").await.unwrap();
    });
}

#[test]
fn the_superseded_events_of_an_open_stream_are_counted_after_a_restart() {
    let (disk, now, job) = (SimulatedDisk::default(), Now::read(), topic("job"));
    let limits = TopicLimits::default().latest_only();
    let rules = [RetentionRule::new(TopicFilter::from(job.clone()), limits)];
    let publish = async |hub: &Hub, from: usize| {
        for number in from..from + 400 {
            hub.tick(now + Duration::from_secs(number as u64));
            let event = Event::new(format!("{number:0>100}"));
            hub.publish(Draft::new(job.clone(), event)).await.unwrap();
        }
    };
    on_disk((&disk, &rules), now, async |hub| {
        let begin = Append { begin: Some(StreamOptions::default()), ..Append::default() };
        hub.append(job.clone(), &begin, Vec::new()).await.unwrap();
        publish(hub, 0).await;
        assert_eq!(stream(hub, &job).events, 400);
    });
    assert!(!is_on_disk(&disk, &format!("{:0>100}", 0)), "it is cleaned or dropped");
    for round in 1..4 {
        let then = now + Duration::from_secs(400 * round as u64);
        on_disk((&disk, &rules), then, async |hub| {
            assert_eq!(stream(hub, &job).events, round as u64 * 400);
            publish(hub, round * 400).await;
            assert_eq!(stream(hub, &job).events, (round as u64 + 1) * 400);
        });
    }
}

/// Only marks were looked at, so the stream ended as many hours after its beginning as it may live.
#[test]
fn the_time_to_live_counts_from_the_newest_event_also_after_a_restart() {
    let (disk, now, chat) = (SimulatedDisk::default(), Now::read(), topic("chat"));
    let hours = |hours: u32| now + hours * Duration::from_secs(3600);
    let others = async |hub: &Hub, count: usize| {
        for _ in 0..count {
            let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
            hub.publish(other).await.unwrap();
        }
    };
    let mut options = StreamOptions::default();
    options.grace = 100 * Duration::from_secs(3600);
    on_disk((&disk, &[]), now, async |hub| {
        let begin = Append { begin: Some(options.clone()), ..Append::default() };
        hub.append(chat.clone(), &begin, Vec::new()).await.unwrap();
        hub.tick(hours(20));
        hub.publish(Draft::new(chat.clone(), Event::new("late"))).await.unwrap();
        // Memory lets go of it, and the journal does not.
        others(hub, 60).await;
    });
    assert!(is_on_disk(&disk, "late"));
    on_disk((&disk, &[]), hours(21), async |hub| {
        let over = hours(20) + StreamOptions::TTL;
        hub.tick(hours(43));
        others(hub, 1).await;
        assert_eq!(stream(hub, &chat).end, None);
        hub.tick(over);
        others(hub, 1).await;
        let (_, close) = stream(hub, &chat).end.unwrap();
        assert_eq!(close.reason, StreamReason::Expired);
    });
}
