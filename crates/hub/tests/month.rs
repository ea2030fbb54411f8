//! A month of publishing to topics with rules, in stepped time: neither memory nor disk grows.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "crash/disk.rs"]
#[expect(dead_code, reason = "the crash tests also simulate crashes and failures")]
mod disk;

use std::num::NonZeroUsize;
use std::time::Duration;

use tidings_hub::journal::{DiskConfig, DiskJournal};
use tidings_hub::{
    Draft, Event, Hub, HubBuilder, HubConfig, Now, Start, Topic, TopicFilter, TopicLimits, View,
};

use crate::disk::SimulatedDisk;

const HOUR: Duration = Duration::from_secs(3600);
const DAYS: usize = 30;
/// Events of each topic in an hour.
const EVENTS: usize = 12;
const TOPICS: [&str; 8] =
    ["count/a", "count/b", "bytes/a", "bytes/b", "age/a", "age/b", "latest/a", "latest/b"];
const COUNT: usize = 50;
const BYTES: usize = 20_000;
const AGE: Duration = Duration::from_secs(24 * 3600);
/// Size of an event's data.
const DATA: usize = 100;

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn builder(now: Now, memory: usize) -> HubBuilder {
    let mut config = HubConfig::default();
    config.retention.bytes_max = memory;
    let some = |max| NonZeroUsize::new(max).unwrap();
    let rules = [
        ("count/*", TopicLimits::default().with_events_max(some(COUNT))),
        ("bytes/*", TopicLimits::default().with_bytes_max(some(BYTES))),
        ("age/*", TopicLimits::default().with_age_max(AGE)),
        ("latest/*", TopicLimits::default().latest_only()),
    ];
    rules.into_iter().fold(Hub::builder().config(config).at(now), |builder, (pattern, limits)| {
        builder.retain(TopicFilter::pattern(pattern).unwrap(), limits)
    })
}

/// Publishes what comes in an hour, in an order that mixes all topics.
async fn publish_an_hour(hub: &Hub, hour: usize) {
    let data = format!("{hour:0>DATA$}");
    let drafts = (0..EVENTS).flat_map(|_| TOPICS.map(topic));
    let drafts = drafts.map(|topic| Draft::new(topic, Event::new(data.as_str()))).collect();
    hub.publish_all(drafts).await.unwrap();
}

/// Waits until the history has been fed everything that was published.
async fn settle(hub: &Hub) {
    let mut live = hub.subscribe(topic("settled"), Start::Tail);
    hub.publish(Draft::new(topic("settled"), Event::new("x"))).await.unwrap();
    assert!(live.next().await.is_some());
}

/// Checks that each topic holds what its rule says, after many hours.
async fn check_topics(hub: &Hub) {
    settle(hub).await;
    for name in TOPICS {
        let page = hub.page(topic(name), Start::Oldest, 10_000).await;
        let events = page.events.len();
        assert_eq!(page.gap, None, "{name}");
        let (least, most) = match name.split_once('/').unwrap().0 {
            "count" => (COUNT, COUNT),
            // On disk, an event counts with up to 32 bytes more.
            "bytes" => (BYTES / (64 + DATA + name.len() + 32), BYTES / (64 + DATA + name.len())),
            "age" => (24 * EVENTS, 25 * EVENTS),
            _ => (1, 1),
        };
        assert!((least..=most).contains(&events), "{name} has {events} events");
    }
}

#[test]
fn a_month_of_rules_in_memory_takes_no_more_than_a_few_days_of_it() {
    smol::block_on(async {
        let start = Now::read();
        let hub = builder(start, 256 << 20).build();
        let mut most = [0; DAYS];
        for hour in 0..DAYS * 24 {
            hub.tick(start + HOUR * hour as u32);
            publish_an_hour(&hub, hour).await;
            most[hour / 24] = most[hour / 24].max(hub.stats().history_bytes);
        }
        check_topics(&hub).await;
        let (early, late) = (most[3..10].iter().max().unwrap(), most[20..].iter().max().unwrap());
        assert!(late * 10 <= early * 11, "{most:?}");
        assert!(*late < 1 << 20, "{most:?}");
    });
}

/// Runs a test on a hub on a disk.
async fn on(
    disk: &SimulatedDisk,
    (config, now): (DiskConfig, Now),
    test: impl AsyncFnOnce(&Hub, &DiskJournal),
) {
    let journal = DiskJournal::with_storage(disk.clone(), config);
    let hub = builder(now, 64 << 10).open(Box::new(journal.clone())).await.unwrap();
    let run = async {
        hub.run().await.unwrap();
        unreachable!("a hub is followed until it is dropped")
    };
    smol::future::or(test(&hub, &journal), run).await;
}

#[test]
fn a_month_of_rules_on_disk_stays_within_its_bounds_and_is_exact_after_a_restart() {
    const SEGMENT: u64 = 32 << 10;
    const DISK: u64 = 1 << 20;
    let config = || DiskConfig::default().with_segment_bytes(SEGMENT).with_bytes_max(DISK);
    let (disk, start) = (SimulatedDisk::default(), Now::read());
    let hours = DAYS * 24;
    let at = |hour: usize| start + HOUR * hour as u32;
    smol::block_on(async {
        on(&disk, (config(), start), async |hub, journal| {
            for hour in 0..hours {
                hub.tick(at(hour));
                publish_an_hour(hub, hour).await;
                let stats = hub.stats();
                assert!(journal.bytes() <= DISK + 2 * SEGMENT, "{} at {hour}", journal.bytes());
                assert!(stats.history_bytes <= (64 << 10) + (32 << 10), "{stats:?} at {hour}");
            }
            check_topics(hub).await;
        })
        .await;
        on(&disk, (config(), at(hours - 1)), async |hub, _| {
            hub.tick(at(hours - 1));
            check_topics(hub).await;
            let latest = View::from(TopicFilter::pattern("latest/*").unwrap());
            let page = hub.page(latest, Start::Oldest, 100).await;
            assert_eq!((page.events.len(), page.gap), (2, None));
        })
        .await;
    });
}

#[test]
fn a_month_of_newest_events_takes_a_few_segments() {
    const SEGMENT: u64 = 8 << 10;
    let config = || DiskConfig::default().with_segment_bytes(SEGMENT);
    let (disk, start) = (SimulatedDisk::default(), Now::read());
    smol::block_on(async {
        on(&disk, (config(), start), async |hub, journal| {
            let latest = ["latest/a", "latest/b", "latest/c"];
            let publish = async |hour: usize| {
                hub.tick(start + HOUR * hour as u32);
                let data = format!("{hour:0>DATA$}");
                let drafts = latest.map(|name| Draft::new(topic(name), Event::new(data.as_str())));
                hub.publish_all(drafts.into()).await.unwrap();
            };
            let mut hour = 0;
            while hour < DAYS * 24 || journal.stats().segments > 16 {
                publish(hour).await;
                hour += 1;
                // Cleaning goes on beside publishers, and has its time.
                assert!(hour < 1_000_000, "{:?}", journal.stats());
            }
            assert!(journal.bytes() < 32 * SEGMENT, "{}", journal.bytes());
            settle(hub).await;
            for name in latest {
                let page = hub.page(topic(name), Start::Oldest, 100).await;
                let data: Vec<_> = page.events.iter().map(|held| held.event.data()).collect();
                assert_eq!(data, [format!("{:0>DATA$}", hour - 1)]);
            }
        })
        .await;
    });
}
