//! Following, reading and finding.

use tidings_hub::journal::disk::{Dumped, dump, new_epoch};
use tidings_hub::journal::{DiskConfig, DiskJournal, Durability, Journal as _, Submission};
use tidings_hub::{Draft, Event, EventId, Found, Hub, Sequence, Start, Topic, Topics};

use crate::disk::SimulatedDisk;
use crate::support::{
    append, at, committed, event, fed, filled, find, is_waiting, next, open, read, said, sequence,
    small, topic,
};

#[test]
fn what_is_committed_comes_out_of_the_feed_once_and_in_order() {
    let (journal, opened) = open(SimulatedDisk::default(), small()).unwrap();
    assert_eq!(opened.durability, Durability::Synced);
    let mut feed = journal.follow(opened.tail);
    assert!(is_waiting(&mut *feed));
    append(&journal, vec![event("a", "1"), event("a", "2")], 0);
    append(&journal, vec![event("a", "3")], 0);
    let mut entries = Vec::new();
    feed.try_next(&mut entries).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.sequence.get()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(is_waiting(&mut *feed));
    append(&journal, vec![event("a", "4")], 0);
    next(&mut *feed, &mut entries);
    assert_eq!(entries.len(), 4);
}

#[test]
fn a_feed_that_nobody_took_from_reads_what_it_missed() {
    let (journal, _) = open(SimulatedDisk::default(), DiskConfig::default()).unwrap();
    let mut feed = journal.follow(sequence(0));
    // More than the journal keeps in memory for the feed.
    for _ in 0..40 {
        append(&journal, vec![event("a", &"x".repeat(1_000_000))], 0);
    }
    let mut entries = Vec::new();
    while entries.len() < 40 {
        next(&mut *feed, &mut entries);
    }
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence.get()).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    append(&journal, vec![event("a", "on")], 0);
    next(&mut *feed, &mut entries);
    assert_eq!(entries.len(), 41);
}

#[test]
fn commit_times_never_go_back_not_even_over_a_restart() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    for millis in [5, 3, 9] {
        append(&journal, vec![event("a", "x")], millis);
    }
    drop(journal);
    let (journal, opened) = open(disk, small()).unwrap();
    append(&journal, vec![event("a", "x")], 1);
    let times: Vec<_> =
        fed(&journal, opened.oldest, sequence(4)).iter().map(|entry| entry.time).collect();
    assert_eq!(times, [at(5), at(5), at(9), at(9)]);
}

#[test]
fn topics_are_read_in_pages_across_segments() {
    let (disk, submitted) = filled(&mut fastrand::Rng::with_seed(3), 120);
    let (journal, _) = open(disk, small()).unwrap();
    let names = ["topic/1", "topic/4"];
    let topics = names.map(topic);
    for entries_max in [1, 2, 7, 1000] {
        let (mut all, mut after) = (Vec::new(), Sequence::ZERO);
        loop {
            let page = read(&journal, &topics, after, entries_max);
            assert!(page.len() <= entries_max);
            let Some(last) = page.last() else { break };
            after = last.sequence;
            all.extend(page);
        }
        let has_one = |text: &&String| names.iter().any(|name| text.contains(&format!("{name:?}")));
        let expected: Vec<_> = submitted.iter().filter(has_one).cloned().collect();
        assert_eq!(all.iter().map(said).collect::<Vec<_>>(), expected);
    }
    let none = read(&journal, &[topic("none")], Sequence::ZERO, 9);
    assert!(none.is_empty());
}

#[test]
fn the_earliest_event_with_an_id_is_found_and_others_are_not() {
    let (journal, _) = open(SimulatedDisk::default(), small()).unwrap();
    let with_id = |id: &str| {
        let event = Event::new("x".repeat(40)).with_id(EventId::new(id).unwrap());
        Submission::Event(Draft::new(topic("a"), event))
    };
    for number in 0..200 {
        append(&journal, vec![with_id(&number.to_string()), with_id("same")], 0);
    }
    let find = |id: &str| find(&journal, id).map(Sequence::get);
    assert_eq!(find("0"), Some(1));
    assert_eq!(find("150"), Some(301));
    assert_eq!(find("same"), Some(2));
    assert_eq!(find("200"), None);
}

#[test]
fn more_topics_than_a_window_of_the_footer_are_found_each() {
    let (journal, _) =
        open(SimulatedDisk::default(), DiskConfig::default().with_segment_bytes(300_000)).unwrap();
    let name = |number: u64| format!("topics/{number}/and/some/more");
    for start in (0..9_000).step_by(100) {
        append(&journal, (start..start + 100).map(|number| event(&name(number), "x")).collect(), 0);
    }
    for number in (0..9_000).step_by(89) {
        let entries = read(&journal, &[topic(&name(number))], Sequence::ZERO, 10);
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence.get()).collect();
        assert_eq!(numbers, [number + 1]);
    }
}

#[test]
fn an_event_of_many_topics_and_one_larger_than_a_segment_come_back() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let topics = Topics::new((0..100).map(|n| Topic::new(n.to_string()).unwrap())).unwrap();
    let many = Submission::Event(Draft::new(topics, Event::new("many")));
    let large = event("large", &"x".repeat(100_000));
    append(&journal, vec![many, large, event("a", "after")], 0);
    let read = |name: &str| {
        let entries = read(&journal, &[topic(name)], Sequence::ZERO, 9);
        entries.iter().map(|entry| entry.sequence.get()).collect::<Vec<_>>()
    };
    assert_eq!((read("99"), read("large"), read("a")), (vec![1], vec![2], vec![3]));
    drop(journal);
    let (journal, opened) = open(disk, small()).unwrap();
    assert_eq!(fed(&journal, opened.oldest, opened.tail).len(), 3);
}

#[test]
fn a_dump_stops_when_it_is_told_to() {
    let (disk, _) = filled(&mut fastrand::Rng::with_seed(1), 50);
    let mut count = 0;
    dump(&disk, &mut |found| {
        assert!(matches!(found, Dumped::Entry { .. }));
        count += 1;
        if count == 5 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    })
    .unwrap();
    assert_eq!(count, 5);
}

#[test]
fn a_new_epoch_keeps_the_events() {
    let (disk, submitted) = filled(&mut fastrand::Rng::with_seed(1), 10);
    let (journal, before) = open(disk.clone(), small()).unwrap();
    assert_eq!(
        new_epoch(&disk).unwrap_err().to_string(),
        "the journal's folder is in use by another process"
    );
    drop(journal);
    let epoch = new_epoch(&disk).unwrap();
    let (_journal, after) = open(disk, small()).unwrap();
    assert_ne!(before.epoch, after.epoch);
    assert_eq!((after.epoch, after.tail.get()), (epoch, submitted.len() as u64));
    let none = new_epoch(&SimulatedDisk::default()).unwrap_err();
    assert_eq!(none.to_string(), "the journal's folder holds no journal");
}

#[test]
fn a_hub_on_a_journal_has_its_events_after_a_restart() {
    let disk = SimulatedDisk::default();
    let news = topic("news");
    let mut place = None;
    for round in 0..3_u64 {
        let journal = DiskJournal::with_storage(disk.clone(), small());
        smol::block_on(async {
            let hub = Hub::builder().open(Box::new(journal)).await.unwrap();
            // Opening the journal has brought in what it had.
            let page = hub.page(news.clone(), Start::Oldest, 10).await;
            assert_eq!(page.events.len() as u64, round);
            let published = async {
                let mut live = hub.subscribe(news.clone(), Start::Tail);
                let draft = Draft::new(news.clone(), Event::new(round.to_string()));
                let published = hub.publish(draft).await.unwrap();
                assert!(matches!(live.next().await, Some(Found::Event(_))));
                published.id()
            };
            let id = smol::future::or(published, async {
                hub.run().await.unwrap();
                unreachable!("a hub is followed until it is dropped")
            })
            .await;
            if let Some(place) = place.replace(id) {
                let page = hub.page(news.clone(), Start::resume(Some(place.as_str())), 10).await;
                assert_eq!((page.events.len(), page.gap), (1, None));
            }
        });
    }
    let (journal, _) = open(disk, small()).unwrap();
    assert_eq!(committed(&append(&journal, vec![event("news", "on")], 0)), [4]);
}

#[test]
fn finding_an_id_or_the_newest_of_a_topic_reads_blocks_of_indexes_whatever_the_size() {
    const SEGMENT_BYTES: u64 = 512 * 1024;
    let disk = SimulatedDisk::default();
    let config = DiskConfig::default().with_segment_bytes(SEGMENT_BYTES);
    let (journal, _) = open(disk.clone(), config).unwrap();
    let with_id = |number: u64| {
        let id = EventId::new(format!("id-{number}")).unwrap();
        let event = Event::new("x".repeat(100)).with_id(id);
        Submission::Event(Draft::new(topic(&format!("topic/{}", number % 1000)), event))
    };
    for first in (0..20_000).step_by(100) {
        append(&journal, (first..first + 100).map(with_id).collect(), first);
    }
    let segments = journal.stats().segments;
    assert!(segments > 5, "{segments}");
    // A few blocks of each index, and the records that are found.
    let few = segments * 5 * 4096;
    assert!(few < journal.bytes() as usize / 10);
    disk.take_read();
    for (id, found) in [("id-10000", Some(sequence(10_001))), ("no-id", None)] {
        assert_eq!(find(&journal, id), found);
        let read = disk.take_read();
        assert!(read <= few, "{read} bytes were read to find {id}");
    }
    let newest = read(&journal, &[topic("topic/7")], sequence(15_000), 100);
    assert_eq!(
        newest.iter().map(|entry| entry.sequence.get()).collect::<Vec<_>>(),
        [15_008, 16_008, 17_008, 18_008, 19_008]
    );
    let read = disk.take_read();
    assert!(read <= few, "{read} bytes were read for five entries");
}
