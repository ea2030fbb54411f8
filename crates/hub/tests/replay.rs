//! Replay from the journal on disk, behind a memory that is small.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "crash/disk.rs"]
#[expect(dead_code, reason = "the crash tests also simulate crashes and failures")]
mod disk;

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use tidings_hub::journal::{DiskConfig, DiskJournal};
use tidings_hub::{
    Draft, Event, EventId, Found, Hub, HubBuilder, HubConfig, Now, Page, Start, Subscriber, Topic,
    TopicFilter, TopicLimits, View,
};

use crate::disk::SimulatedDisk;

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// A configuration whose memory holds some hundred events.
fn small() -> HubConfig {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 64 * 1024;
    config
}

/// Runs a test on a hub on a disk.
fn on<T>(disk: &SimulatedDisk, test: impl AsyncFnOnce(Hub) -> T) -> T {
    on_with(disk, Hub::builder().config(small()), test)
}

fn on_with<T>(disk: &SimulatedDisk, builder: HubBuilder, test: impl AsyncFnOnce(Hub) -> T) -> T {
    let disk_config = DiskConfig::default().with_segment_bytes(64 * 1024);
    on_journal(DiskJournal::with_storage(disk.clone(), disk_config), builder, test)
}

fn on_journal<T>(journal: DiskJournal, builder: HubBuilder, test: impl AsyncFnOnce(Hub) -> T) -> T {
    smol::block_on(async {
        let hub = builder.open(Box::new(journal)).await.unwrap();
        let run = async {
            hub.run().await.unwrap();
            unreachable!("a hub is followed until it is dropped")
        };
        smol::future::or(test(hub.clone()), run).await
    })
}

/// Publishes events of a topic, whose data are their numbers, until the history has them; the answer is their
/// IDs.
async fn publish(hub: &Hub, name: &str, numbers: std::ops::Range<u64>) -> Vec<EventId> {
    let mut ids = Vec::new();
    let mut live = hub.subscribe(topic(name), Start::Tail);
    let last = numbers.end - 1;
    let numbers: Vec<_> = numbers.collect();
    for numbers in numbers.chunks(500) {
        let event = |number: &u64| Draft::new(topic(name), Event::new(number.to_string()));
        let published = hub.publish_all(numbers.iter().map(event).collect()).await.unwrap();
        ids.extend(published.iter().map(|published| published.id()));
    }
    while read(&mut live, 1).await != [last.to_string()] {}
    ids
}

/// The data that a subscriber finds until it has as many, `gap` for a gap.
async fn read(subscriber: &mut Subscriber, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(match subscriber.next().await {
            Some(Found::Event(held)) => held.event.data().to_owned(),
            Some(Found::Gap(_)) => "gap".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    found
}

/// Checks that a subscriber that has read everything finds nothing more.
async fn assert_at_tail(subscriber: &mut Subscriber, hub: &Hub) {
    let tail = hub.subscribe(topic("x"), Start::Tail).cursor().sequence;
    // It may wait for a page before.
    poll_fn(|cx| match Pin::new(&mut *subscriber).poll_next(cx) {
        Poll::Ready(found) => panic!("{found:?}"),
        Poll::Pending if subscriber.cursor().sequence == tail => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

fn numbers(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

fn data(page: &Page) -> Vec<&str> {
    page.events.iter().map(|held| held.event.data()).collect()
}

fn after(id: &EventId) -> Start {
    Start::After(id.as_str().into())
}

#[test]
fn a_replay_longer_than_any_queue_arrives_whole() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        publish(&hub, "a", 0..20_000).await;
        assert!(hub.stats().events_held < 1_000, "memory is small");
        let all = View::from(TopicFilter::pattern("**").unwrap());
        for view in [View::from(topic("a")), all] {
            let mut replayed = hub.subscribe(view, Start::Oldest);
            assert_eq!(read(&mut replayed, 20_000).await, numbers(0..20_000));
            assert_at_tail(&mut replayed, &hub).await;
        }
    });
}

#[test]
fn a_reader_that_is_five_behind_gets_exactly_five() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        let ids = publish(&hub, "a", 0..12_000).await;
        // Behind memory all the same: other topics fill it.
        publish(&hub, "other", 0..2_000).await;
        let place = after(&ids[11_994]);
        let mut back = hub.subscribe(topic("a"), place.clone());
        assert_eq!(read(&mut back, 5).await, numbers(11_995..12_000));
        assert_at_tail(&mut back, &hub).await;
        let page = hub.page(topic("a"), place, 1_000).await;
        assert_eq!(data(&page), numbers(11_995..12_000));
        assert_eq!(page.gap, None);
    });
}

#[test]
fn other_topics_do_not_use_up_a_topics_history() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        let ids = publish(&hub, "quiet", 0..10).await;
        publish(&hub, "loud", 0..12_000).await;
        let mut replayed = hub.subscribe(topic("quiet"), Start::Oldest);
        assert_eq!(read(&mut replayed, 10).await, numbers(0..10));
        assert_at_tail(&mut replayed, &hub).await;
        // As JSON: the latest, everything, and what is after a place, page by page.
        let latest = hub.page(topic("quiet"), Start::Tail, 3).await;
        assert_eq!(data(&latest), ["7", "8", "9"]);
        let all = hub.page(topic("quiet"), Start::Oldest, 100).await;
        assert_eq!((all.events.len(), &all.gap), (10, &None));
        let mut place = after(&ids[1]);
        for expected in [["2", "3", "4"], ["5", "6", "7"]] {
            let page = hub.page(topic("quiet"), place, 3).await;
            assert_eq!(data(&page), expected);
            place = page.place.into();
        }
        // The latest of several topics, and of a pattern, which are the loud one's.
        let several = View::new([topic("quiet").into(), topic("none").into()]);
        assert_eq!(data(&hub.page(several, Start::Tail, 4).await), ["6", "7", "8", "9"]);
        let all = View::from(TopicFilter::pattern("*").unwrap());
        assert_eq!(data(&hub.page(all, Start::Tail, 2).await), ["11998", "11999"]);
    });
}

#[test]
fn the_latest_events_of_a_pattern_are_found_beneath_memory() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        publish(&hub, "a/1", 0..700).await;
        publish(&hub, "b/1", 0..3_000).await;
        let view = View::from(TopicFilter::pattern("a/*").unwrap());
        let latest = hub.page(view, Start::Tail, 600).await;
        assert_eq!((latest.events.len(), data(&latest)[0]), (600, "100"));
    });
}

#[test]
fn a_wait_for_the_next_event_begins_behind_memory() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        let ids = publish(&hub, "quiet", 0..2).await;
        publish(&hub, "loud", 0..12_000).await;
        // As reading as JSON with `wait` does: a page, which is empty, and a subscriber after it.
        let page = hub.page(topic("quiet"), after(&ids[1]), 10).await;
        assert_eq!((data(&page), &page.gap), (vec![], &None));
        let mut waiting = hub.subscribe(topic("quiet"), page.place.into());
        let (found, _) =
            smol::future::zip(read(&mut waiting, 1), publish(&hub, "quiet", 2..3)).await;
        assert_eq!(found, ["2"]);
    });
}

#[test]
fn resuming_right_after_a_restart_gets_what_was_missed() {
    let disk = SimulatedDisk::default();
    let ids = on(&disk, async |hub| publish(&hub, "a", 0..3_000).await);
    for place in [2_999_usize, 2_998, 2_000, 0] {
        on(&disk, async |hub| {
            // Before anything is published.
            let mut back = hub.subscribe(topic("a"), after(&ids[place]));
            assert_eq!(back.started_after(), Some(&ids[place]));
            let missed = numbers(place as u64 + 1..3_000);
            assert_eq!(read(&mut back, missed.len()).await, missed);
            assert_at_tail(&mut back, &hub).await;
        });
    }
}

#[test]
fn an_unknown_id_is_a_told_gap_and_then_everything() {
    let disk = SimulatedDisk::default();
    on(&disk, async |hub| {
        publish(&hub, "a", 0..3_000).await;
        for id in ["nowhere", "urn:uuid:10000000-0000-8001-9000-000000000005"] {
            let mut lost = hub.subscribe(topic("a"), Start::After(id.into()));
            assert_eq!(lost.started_after(), None);
            let found = read(&mut lost, 3_001).await;
            assert_eq!((&*found[0], &found[1..]), ("gap", &numbers(0..3_000)[..]));
        }
    });
}

/// A journal that keeps little.
fn little(disk: &SimulatedDisk) -> DiskJournal {
    let config = DiskConfig::default().with_segment_bytes(16 * 1024).with_bytes_max(128 * 1024);
    DiskJournal::with_storage(disk.clone(), config)
}

#[test]
fn a_reader_of_a_quiet_topic_has_lost_nothing_when_other_topics_are_dropped() {
    let disk = SimulatedDisk::default();
    let small = || Hub::builder().config(small());
    let ids = on_journal(little(&disk), small(), async |hub| {
        let ids = publish(&hub, "quiet", 0..2).await;
        publish(&hub, "busy", 0..6_000).await;
        ids
    });
    // Also after a restart.
    on_journal(little(&disk), small(), async |hub| {
        let quiet = || View::from(topic("quiet"));
        let several = || View::new([topic("quiet").into(), topic("unknown").into()]);
        let mut at_its_end = [quiet(), several()].map(|view| hub.subscribe(view, after(&ids[1])));
        let mut before = [quiet(), several()].map(|view| hub.subscribe(view, after(&ids[0])));
        for subscriber in &mut before {
            assert_eq!(read(subscriber, 1).await, ["gap"]);
        }
        publish(&hub, "busy", 0..3_000).await;
        publish(&hub, "quiet", 2..3).await;
        for subscriber in at_its_end.iter_mut().chain(&mut before) {
            assert_eq!(read(subscriber, 1).await, ["2"]);
        }
    });
}

#[test]
fn what_the_disk_has_dropped_is_a_told_gap() {
    let disk = SimulatedDisk::default();
    let journal = little(&disk);
    on_journal(journal.clone(), Hub::builder().config(small()), async |hub| {
        let ids = publish(&hub, "a", 0..6_000).await;
        let oldest = journal.oldest().get();
        assert!(oldest > 1_000);
        let mut back = hub.subscribe(topic("a"), after(&ids[5]));
        let found = read(&mut back, 2).await;
        assert_eq!(found, ["gap".to_owned(), oldest.to_string()]);
        let mut held = hub.subscribe(topic("a"), after(&ids[oldest as usize + 10]));
        assert_eq!(read(&mut held, 1).await, [(oldest + 11).to_string()]);
        let mut all = hub.subscribe(topic("a"), Start::Oldest);
        assert_eq!(read(&mut all, 1).await, [oldest.to_string()]);
    });
}

#[test]
fn a_limit_on_a_topics_events_is_exact_on_disk() {
    let disk = SimulatedDisk::default();
    let limited = || {
        let mut config = small();
        config.retention.topic_events_max = NonZeroUsize::new(50);
        Hub::builder().config(config)
    };
    let ids = on_with(&disk, limited(), async |hub| {
        let ids = publish(&hub, "a", 0..200).await;
        publish(&hub, "few", 0..10).await;
        publish(&hub, "other", 0..20).await;
        for number in 0..3_000 {
            publish(&hub, &format!("others/{number}"), 0..1).await;
        }
        ids
    });
    on_with(&disk, limited(), async |hub| {
        let mut all = hub.subscribe(topic("a"), Start::Oldest);
        assert_eq!(read(&mut all, 50).await, numbers(150..200), "no gap");
        assert_at_tail(&mut all, &hub).await;
        let mut late = hub.subscribe(topic("a"), after(&ids[100]));
        assert_eq!(read(&mut late, 2).await, ["gap", "150"]);
        let mut in_time = hub.subscribe(topic("a"), after(&ids[149]));
        assert_eq!(read(&mut in_time, 1).await, ["150"]);
        assert_eq!(hub.page(topic("a"), Start::Tail, 100).await.events.len(), 50);
        let several = View::new([topic("a").into(), topic("few").into()]);
        let mut several = hub.subscribe(several, Start::Oldest);
        let expected = [numbers(150..200), numbers(0..10)].concat();
        assert_eq!(read(&mut several, 60).await, expected);
        // It moves on with the topic, also for a reader that is in the midst of it.
        let mut behind = hub.subscribe(topic("a"), after(&ids[149]));
        publish(&hub, "a", 200..203).await;
        assert_eq!(read(&mut behind, 2).await, ["gap", "153"]);
        let mut moved = hub.subscribe(topic("a"), Start::Oldest);
        assert_eq!(read(&mut moved, 50).await, numbers(153..203));
        let mut lost = hub.subscribe(topic("a"), Start::After("nowhere".into()));
        assert_eq!(read(&mut lost, 2).await, ["gap", "153"]);
    });
}

/// Makes hubs with rules of topics.
fn ruled(rules: &[(&str, TopicLimits)], now: Now) -> HubBuilder {
    let builder = Hub::builder().config(small()).at(now);
    rules.iter().fold(builder, |builder, (pattern, limits)| {
        builder.retain(TopicFilter::pattern(pattern).unwrap(), limits.clone())
    })
}

#[test]
fn a_superseded_event_is_not_sent_from_disk_and_is_no_gap() {
    let disk = SimulatedDisk::default();
    let rules = [("now/*", TopicLimits::default().latest_only())];
    let all = || View::from(TopicFilter::pattern("**").unwrap());
    let latest = || View::from(TopicFilter::pattern("now/*").unwrap());
    let check = async |hub: &Hub, ids: &[EventId]| {
        for view in [topic("now/a").into(), latest()] {
            let mut after_a_loss = hub.subscribe(view, after(&ids[10]));
            assert_eq!(read(&mut after_a_loss, 1).await, ["199"], "no gap");
        }
        let mut every = hub.subscribe(latest(), Start::Oldest);
        assert_eq!(read(&mut every, 2).await, ["199", "9"]);
        assert_at_tail(&mut every, hub).await;
        let page = hub.page(latest(), Start::Tail, 10).await;
        assert_eq!(data(&page), ["199", "9"]);
        let mut all = hub.subscribe(all(), Start::Oldest);
        let expected = [vec!["199".to_owned(), "9".to_owned()], numbers(0..3_000)].concat();
        assert_eq!(read(&mut all, 3_002).await, expected);
    };
    let ids = on_with(&disk, ruled(&rules, Now::read()), async |hub| {
        let ids = publish(&hub, "now/a", 0..200).await;
        publish(&hub, "now/b", 0..10).await;
        publish(&hub, "log", 0..3_000).await;
        check(&hub, &ids).await;
        ids
    });
    on_with(&disk, ruled(&rules, Now::read()), async |hub| {
        check(&hub, &ids).await;
        // Pages that were read before know nothing of a newer event.
        publish(&hub, "now/a", 200..201).await;
        publish(&hub, "log", 3_000..6_000).await;
        let mut every = hub.subscribe(latest(), Start::Oldest);
        assert_eq!(read(&mut every, 2).await, ["9", "200"]);
        assert_at_tail(&mut every, &hub).await;
    });
}

/// A fault that was: the memory of topics beyond their limits took too much, and each that was forgotten
/// counted as a loss in all other topics.
#[test]
fn topics_with_limits_that_memory_forgets_cost_other_topics_nothing() {
    let disk = SimulatedDisk::default();
    let some = NonZeroUsize::new(3).unwrap();
    let rules = [
        ("few/*", TopicLimits::default().with_events_max(some)),
        ("now", TopicLimits::default().latest_only()),
    ];
    on_with(&disk, ruled(&rules, Now::read()), async |hub| {
        let quiet = publish(&hub, "quiet", 0..10).await;
        publish(&hub, "now", 0..10).await;
        let mut few = Vec::new();
        for number in 0..1_000 {
            few.push(publish(&hub, &format!("few/{number}"), 0..5).await);
        }
        publish(&hub, "log", 0..1_000).await;
        let mut behind = hub.subscribe(topic("quiet"), after(&quiet[3]));
        assert_eq!(read(&mut behind, 6).await, numbers(4..10), "no gap");
        let mut now = hub.subscribe(topic("now"), after(&quiet[3]));
        assert_eq!(read(&mut now, 1).await, ["9"], "no gap");
        for number in [0, 500, 999] {
            let name = format!("few/{number}");
            let mut late = hub.subscribe(topic(&name), after(&few[number][0]));
            assert_eq!(read(&mut late, 4).await, ["gap", "2", "3", "4"], "{name}");
            let mut in_time = hub.subscribe(topic(&name), after(&few[number][1]));
            assert_eq!(read(&mut in_time, 3).await, ["2", "3", "4"], "{name}");
            let mut all = hub.subscribe(topic(&name), Start::Oldest);
            assert_eq!(read(&mut all, 3).await, ["2", "3", "4"], "{name}: no gap");
        }
    });
}

#[test]
fn readers_skip_what_is_not_the_newest_on_disk_where_topics_ask_for_that() {
    let disk = SimulatedDisk::default();
    let rules = [("tick", TopicLimits::default().conflated())];
    on_with(&disk, ruled(&rules, Now::read()), async |hub| {
        // A reader that keeps up is sent every event.
        let mut live = hub.subscribe(topic("tick"), Start::Tail);
        let mut ids = Vec::new();
        for number in 0..200 {
            let draft = Draft::new(topic("tick"), Event::new(number.to_string()));
            ids.push(hub.publish(draft).await.unwrap().id());
            assert_eq!(read(&mut live, 1).await, [number.to_string()]);
        }
        publish(&hub, "log", 0..3_000).await;
        for start in [Start::Oldest, after(&ids[7])] {
            let mut behind = hub.subscribe(topic("tick"), start);
            assert_eq!(read(&mut behind, 1).await, ["199"], "no gap");
            assert_at_tail(&mut behind, &hub).await;
        }
        assert_eq!(data(&hub.page(topic("tick"), Start::Oldest, 100).await), ["199"]);
    });
    // The events are still there.
    on(&disk, async |hub| {
        let mut all = hub.subscribe(topic("tick"), Start::Oldest);
        assert_eq!(read(&mut all, 200).await, numbers(0..200));
    });
}

#[test]
fn rules_on_events_bytes_and_age_hold_on_disk_and_after_a_restart() {
    const HOUR: Duration = Duration::from_secs(3600);
    let disk = SimulatedDisk::default();
    let some = |max| NonZeroUsize::new(max).unwrap();
    let rules = [
        ("few", TopicLimits::default().with_events_max(some(7))),
        // An event of three bytes counts with 72 bytes, and with at most 32 more on disk.
        ("small", TopicLimits::default().with_bytes_max(some(5_000))),
        ("young", TopicLimits::default().with_age_max(24 * HOUR)),
    ];
    let start = Now::read();
    let old = on_with(&disk, ruled(&rules, start), async |hub| {
        publish(&hub, "few", 100..200).await;
        publish(&hub, "small", 100..200).await;
        let old = publish(&hub, "young", 100..200).await;
        publish(&hub, "log", 0..3_000).await;
        old
    });
    let later = start + 20 * HOUR;
    on_with(&disk, ruled(&rules, later), async |hub| {
        let mut young = hub.subscribe(topic("young"), after(&old[3]));
        assert_eq!(read(&mut young, 1).await, ["104"]);
        publish(&hub, "young", 200..300).await;
        publish(&hub, "log", 3_000..6_000).await;
    });
    on_with(&disk, ruled(&rules, start + 30 * HOUR), async |hub| {
        let mut few = hub.subscribe(topic("few"), Start::Oldest);
        assert_eq!(read(&mut few, 7).await, numbers(193..200), "no gap");
        let small = hub.page(topic("small"), Start::Oldest, 1_000).await;
        assert!((48..=69).contains(&small.events.len()), "{}", small.events.len());
        assert_eq!((small.gap.is_none(), data(&small).last()), (true, Some(&"199")));
        let mut young = hub.subscribe(topic("young"), Start::Oldest);
        assert_eq!(read(&mut young, 100).await, numbers(200..300), "no gap");
        let mut late = hub.subscribe(topic("young"), after(&old[3]));
        assert_eq!(read(&mut late, 2).await, ["gap", "200"]);
        // It moves on as time goes by.
        hub.tick(start + 50 * HOUR);
        let mut late = hub.subscribe(topic("young"), after(&old[99]));
        publish(&hub, "young", 300..301).await;
        assert_eq!(read(&mut late, 2).await, ["gap", "300"]);
        let mut log = hub.subscribe(topic("log"), Start::Oldest);
        assert_eq!(read(&mut log, 6_000).await, numbers(0..6_000), "it has no limit");
    });
}

#[test]
fn a_limit_on_the_age_of_events_holds_on_disk() {
    let disk = SimulatedDisk::default();
    const HOUR: Duration = Duration::from_secs(3600);
    let aged = |now| {
        let mut config = small();
        config.retention.age_max = Some(24 * HOUR);
        Hub::builder().config(config).at(now)
    };
    let start = Now::read();
    let old = on_with(&disk, aged(start), async |hub| publish(&hub, "a", 0..3_000).await);
    let later = start + 20 * HOUR;
    let new = on_with(&disk, aged(later), async |hub| publish(&hub, "a", 3_000..6_000).await);
    on_with(&disk, aged(start + 30 * HOUR), async |hub| {
        let mut late = hub.subscribe(topic("a"), after(&old[5]));
        assert_eq!(read(&mut late, 2).await, ["gap", "3000"]);
        let mut all = hub.subscribe(topic("a"), Start::Oldest);
        assert_eq!(read(&mut all, 3_000).await, numbers(3_000..6_000), "no gap");
        let mut in_time = hub.subscribe(topic("a"), after(&new[0]));
        assert_eq!(read(&mut in_time, 1).await, ["3001"]);
        // While it runs, and in pages that were read before.
        hub.tick(start + 45 * HOUR);
        let mut none = hub.subscribe(topic("a"), after(&new[0]));
        assert_eq!(read(&mut none, 1).await, ["gap"]);
        publish(&hub, "a", 6_000..6_001).await;
        assert_eq!(read(&mut none, 1).await, ["6000"]);
    });
}
