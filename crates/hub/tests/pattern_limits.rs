//! Limits of topics on disk, for readers of patterns.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "crash/disk.rs"]
#[expect(dead_code, reason = "the crash tests also simulate crashes and failures")]
mod disk;

use std::num::NonZeroUsize;
use std::time::Duration;

use tidings_hub::journal::{DiskConfig, DiskJournal};
use tidings_hub::{
    Draft, Event, EventId, Found, Hub, HubConfig, Now, RetentionRule, Start, Subscriber, Topic,
    TopicFilter, TopicLimits, Topics, View,
};

use crate::disk::SimulatedDisk;

/// Topics, each with [`EVENTS`] events.
const TOPICS: u64 = 400;
const EVENTS: u64 = 10;

fn name(number: u64) -> String {
    format!("few/{number}")
}

/// Runs a test on a hub with a rule for the topics, whose memory is small.
fn on<T>(
    disk: &SimulatedDisk,
    limits: &TopicLimits,
    now: Now,
    test: impl AsyncFnOnce(Hub) -> T,
) -> T {
    let config = DiskConfig::default().with_segment_bytes(64 * 1024);
    let journal = DiskJournal::with_storage(disk.clone(), config);
    let mut config = HubConfig::default();
    config.retention.bytes_max = 64 * 1024;
    let few = TopicFilter::pattern("few/*").unwrap();
    let builder = Hub::builder().config(config).at(now).retain(few, limits.clone());
    smol::block_on(async {
        let hub = builder.open(Box::new(journal)).await.unwrap();
        let run = async {
            hub.run().await.unwrap();
            unreachable!("a hub is followed until it is dropped")
        };
        smol::future::or(test(hub.clone()), run).await
    })
}

/// Publishes an event of a topic, whose data is a number.
async fn publish(hub: &Hub, topic: &str, number: u64) -> EventId {
    let draft = Draft::new(Topic::new(topic).unwrap(), Event::new(number.to_string()));
    hub.publish(draft).await.unwrap().id()
}

/// Publishes a round of events to all topics.
async fn publish_round(hub: &Hub, number: u64) -> Vec<EventId> {
    let draft =
        |name: String| Draft::new(Topic::new(name).unwrap(), Event::new(number.to_string()));
    // The last record of a group is counted with the header of the next one.
    let names = (0..TOPICS).map(name).chain(["log".to_owned()]);
    let published = hub.publish_all(names.map(draft).collect()).await.unwrap();
    published[..TOPICS as usize].iter().map(|published| published.id()).collect()
}

/// Publishes all rounds and then to another topic, until memory holds nothing of them; the answer is the IDs of each
/// round.
async fn publish_all(hub: &Hub) -> Vec<Vec<EventId>> {
    let mut ids = Vec::new();
    for number in 0..EVENTS {
        ids.push(publish_round(hub, number).await);
    }
    push_out(hub).await;
    ids
}

async fn push_out(hub: &Hub) {
    let mut live = hub.subscribe(Topic::new("log").unwrap(), Start::Tail);
    for number in 0..1_000 {
        publish(hub, "log", number).await;
        found(&mut live).await;
    }
}

/// The topic and the data of the next event that a subscriber finds, or a gap.
async fn found(subscriber: &mut Subscriber) -> (String, u64) {
    match subscriber.next().await {
        Some(Found::Event(held)) => {
            (held.topic.as_str().to_owned(), held.event.data().parse().unwrap())
        }
        Some(Found::Gap(_)) => ("gap".to_owned(), 0),
        other => panic!("{other:?}"),
    }
}

/// Everything that a subscriber finds up to an event of another topic.
async fn found_until(subscriber: &mut Subscriber, last: &str) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    loop {
        let next = found(subscriber).await;
        if next.0 == last {
            return all;
        }
        all.push(next);
    }
}

fn view() -> View {
    View::new(["few/*", "end"].map(|text| TopicFilter::pattern(text).unwrap()))
}

fn gap() -> (String, u64) {
    ("gap".to_owned(), 0)
}

/// The events of some rounds.
fn rounds(rounds: std::ops::Range<u64>) -> Vec<(String, u64)> {
    rounds.flat_map(|round| (0..TOPICS).map(move |topic| (name(topic), round))).collect()
}

/// Checks that readers are held to a limit by which topics keep their newest three events.
fn check_three(limits: &TopicLimits) {
    let disk = SimulatedDisk::default();
    let now = Now::read();
    let ids = on(&disk, limits, now, async |hub| {
        let ids = publish_all(&hub).await;
        publish(&hub, "end", 0).await;
        push_out(&hub).await;
        check_readers(&hub, &ids).await;
        ids
    });
    // Also after a restart.
    on(&disk, limits, now, async |hub| check_readers(&hub, &ids).await);
}

async fn check_readers(hub: &Hub, ids: &[Vec<EventId>]) {
    let after = |id: &EventId| Start::After(id.as_str().into());
    let kept = rounds(EVENTS - 3..EVENTS);
    let mut all = hub.subscribe(view(), Start::Oldest);
    assert_eq!(found_until(&mut all, "end").await, kept, "no gap");
    let mut late = hub.subscribe(view(), after(&ids[2][17]));
    let found = found_until(&mut late, "end").await;
    assert_eq!(found, [vec![gap()], kept.clone()].concat(), "told once");
    let last_lost = ids[EVENTS as usize - 4].last().unwrap();
    let mut in_time = hub.subscribe(view(), after(last_lost));
    assert_eq!(found_until(&mut in_time, "end").await, kept, "no gap");
    let mut unknown = hub.subscribe(view(), Start::After("nowhere".into()));
    let found = found_until(&mut unknown, "end").await;
    assert_eq!(found, [vec![gap()], kept.clone()].concat(), "told once");
    let page = hub.page(view(), Start::Oldest, usize::MAX).await;
    assert_eq!(page.events.len(), kept.len() + 1);
}

#[test]
fn readers_of_patterns_are_held_to_a_limit_on_events_and_told_of_a_gap_once() {
    check_three(&TopicLimits::default().with_events_max(NonZeroUsize::new(3).unwrap()));
}

#[test]
fn readers_of_patterns_are_held_to_a_limit_on_bytes_and_told_of_a_gap_once() {
    // An event on disk counts with a little more than its 71 to 73 bytes in memory.
    check_three(&TopicLimits::default().with_bytes_max(NonZeroUsize::new(270).unwrap()));
}

#[test]
fn readers_of_patterns_are_held_to_a_limit_on_age_and_told_of_a_gap_once() {
    let disk = SimulatedDisk::default();
    let limits = TopicLimits::default().with_age_max(Duration::from_secs(60));
    let start = Now::read();
    let ids = on(&disk, &limits, start, async |hub| {
        let mut ids = Vec::new();
        for number in 0..EVENTS {
            hub.tick(start + Duration::from_secs(10 * number));
            ids.push(publish_round(&hub, number).await);
        }
        // Three rounds are at most 60 s old now.
        hub.tick(start + Duration::from_secs(10 * EVENTS + 21));
        push_out(&hub).await;
        publish(&hub, "end", 0).await;
        push_out(&hub).await;
        check_readers(&hub, &ids).await;
        ids
    });
    on(&disk, &limits, start + Duration::from_secs(10 * EVENTS + 21), async |hub| {
        check_readers(&hub, &ids).await;
    });
}

#[test]
fn a_stricter_limit_reaches_the_disk_at_once() {
    let disk = SimulatedDisk::default();
    let now = Now::read();
    on(&disk, &TopicLimits::default(), now, async |hub| {
        let ids = publish_all(&hub).await;
        publish(&hub, "end", 0).await;
        push_out(&hub).await;
        let mut all = hub.subscribe(view(), Start::Oldest);
        assert_eq!(found_until(&mut all, "end").await, rounds(0..EVENTS));
        let three = TopicLimits::default().with_events_max(NonZeroUsize::new(3).unwrap());
        let few = TopicFilter::pattern("few/*").unwrap();
        let mut retention = hub.config().retention.clone();
        retention.rules = vec![RetentionRule::new(few, three)];
        hub.limit_topics(&retention);
        check_readers(&hub, &ids).await;
        let topic = Topic::new(name(5)).unwrap();
        let mut exact = hub.subscribe(topic, Start::After(ids[0][5].as_str().into()));
        let kept = (EVENTS - 3..EVENTS).map(|round| (name(5), round));
        for expected in std::iter::once(gap()).chain(kept) {
            assert_eq!(found(&mut exact).await, expected);
        }
    });
}

#[test]
fn a_loss_after_a_gap_was_told_is_told_again_and_others_are_not() {
    let disk = SimulatedDisk::default();
    let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(3).unwrap());
    let now = Now::read();
    on(&disk, &limits, now, async |hub| {
        publish_all(&hub).await;
        let mut late = hub.subscribe(view(), Start::After("nowhere".into()));
        assert_eq!(found(&mut late).await, gap());
        // The reader stands before the oldest event that is kept.
        let first = found(&mut late).await;
        assert_eq!(first, (name(0), EVENTS - 3));
        publish(&hub, &name(TOPICS - 1), EVENTS).await;
        publish(&hub, "end", 0).await;
        push_out(&hub).await;
        let mut expected = rounds(EVENTS - 3..EVENTS);
        expected.remove(0);
        let lost = expected.iter().position(|it| *it == (name(TOPICS - 1), EVENTS - 3)).unwrap();
        expected[lost] = gap();
        expected.push((name(TOPICS - 1), EVENTS));
        assert_eq!(found_until(&mut late, "end").await, expected);
    });
}

/// The readers knew of one topic's losses. They were told of them again once that topic let go of an event that another
/// topic of theirs still had.
#[test]
fn a_reader_of_several_topics_is_told_of_a_loss_once() {
    let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(3).unwrap());
    let several =
        || View::new([name(0), name(1), "end".into()].map(|it| Topic::new(it).unwrap().into()));
    on(&SimulatedDisk::default(), &limits, Now::read(), async |hub| {
        publish(&hub, &name(1), 0).await;
        for number in 1..8 {
            publish(&hub, &name(0), number).await;
        }
        let both = Topics::new([name(0), name(1)].map(|it| Topic::new(it).unwrap())).unwrap();
        hub.publish(Draft::new(both, Event::new("8"))).await.unwrap();
        publish(&hub, &name(0), 9).await;
        publish(&hub, &name(0), 10).await;
        push_out(&hub).await;
        let mut readers = [view(), several()].map(|view| hub.subscribe(view, Start::Oldest));
        for reader in &mut readers {
            assert_eq!(found(reader).await, (name(1), 0));
        }
        publish(&hub, &name(0), 11).await;
        publish(&hub, "end", 0).await;
        push_out(&hub).await;
        for reader in &mut readers {
            let kept = (8..12).map(|number| (name(0), number)).collect::<Vec<_>>();
            assert_eq!(found_until(reader, "end").await, kept);
        }
    });
}

#[test]
fn ends_of_a_topics_streams_count_for_no_limit_on_disk() {
    let number = |number| NonZeroUsize::new(number).unwrap();
    for limits in [
        TopicLimits::default().with_events_max(number(3)),
        // Three records of about 100 bytes, with the headers of their groups.
        TopicLimits::default().with_bytes_max(number(350)),
    ] {
        let (disk, now) = (SimulatedDisk::default(), Now::read());
        let check = async |hub: &Hub| {
            let one = Topic::new(name(0)).unwrap();
            let exact = View::new([one, Topic::new("end").unwrap()].map(TopicFilter::Exact));
            for view in [view(), exact] {
                let mut all = hub.subscribe(view, Start::Oldest);
                let kept = (7..10).map(|number| (name(0), number)).collect::<Vec<_>>();
                assert_eq!(found_until(&mut all, "end").await, kept, "{limits:?}");
            }
        };
        on(&disk, &limits, now, async |hub| {
            for number in 0..10 {
                publish(&hub, &name(0), number).await;
                hub.close(Topic::new(name(0)).unwrap()).await.unwrap();
            }
            publish(&hub, "end", 0).await;
            push_out(&hub).await;
            check(&hub).await;
        });
        on(&disk, &limits, now, async |hub| check(&hub).await);
    }
}
