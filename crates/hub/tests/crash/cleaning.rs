//! Topics that hold their newest event alone do not fill the disk.

use tidings_hub::journal::disk::check;
use tidings_hub::journal::{Content, DiskJournal, Entry, Journal as _, Outcome, Submission};
use tidings_hub::{
    Draft, Event, IdempotencyKey, RetentionRule, Sequence, TopicFilter, TopicLimits,
};

use crate::disk::SimulatedDisk;
use crate::support::{
    append, committed, dumped, event, fed, for_seeds, open, read, sequence, small, topic,
};

/// Topics that hold their newest event alone.
const LATEST: [&str; 5] = ["now/a", "now/b", "now/c", "now/d", "now/e"];

fn retain(journal: &DiskJournal) {
    let filter = TopicFilter::pattern("now/*").unwrap();
    journal.retain(&[RetentionRule::new(filter, TopicLimits::default().latest_only())]);
}

/// Everything that was committed, and how many operations on the disk were done by then.
#[derive(Default)]
struct Published {
    events: Vec<(u64, String, String)>,
    acknowledged: Vec<(usize, u64)>,
    /// Whether some events go to a topic that keeps all.
    is_logging: bool,
}

impl Published {
    /// Publishes twenty events, nearly all of them to a topic that holds its newest event alone.
    fn publish(&mut self, journal: &DiskJournal, disk: &SimulatedDisk, random: &mut fastrand::Rng) {
        let mut batch = Vec::new();
        let mut named = Vec::new();
        for _ in 0..20 {
            let name = match random.usize(0..40) {
                0 if self.is_logging => "log",
                other => LATEST[other % LATEST.len()],
            };
            let data = random.u64(..).to_string();
            batch.push(event(name, &data));
            named.push((name.to_owned(), data));
        }
        if random.usize(0..10) == 0 {
            // An end of streams supersedes nothing.
            batch.push(Submission::Close(topic(LATEST[random.usize(0..LATEST.len())])));
        }
        let sequences = committed(&append(journal, batch, self.events.len() as u64));
        let last = sequences[sequences.len() - 1];
        let events = sequences.into_iter().zip(named);
        self.events.extend(events.map(|(sequence, (name, data))| (sequence, name, data)));
        self.acknowledged.push((disk.done(), last));
    }

    /// Publishes until cleaning has caught up, as it does beside the publishers.
    fn publish_until_clean(
        &mut self,
        journal: &DiskJournal,
        disk: &SimulatedDisk,
        random: &mut fastrand::Rng,
    ) {
        self.is_logging = false;
        let written = self.events.len();
        while journal.stats().segments > 16 {
            self.publish(journal, disk, random);
            assert!(self.events.len() < written + 2_000_000, "it is never cleaned");
        }
    }

    /// Checks entries that were read up to a place: those of the log are all there, and the newest of each
    /// other topic.
    fn check(&self, entries: &[Entry], through: u64) {
        let found: Vec<(u64, String)> = entries
            .iter()
            .filter_map(|entry| match &entry.content {
                Content::Event(event) => Some((entry.sequence.get(), event.data().to_owned())),
                _ => None,
            })
            .collect();
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, and once");
        let known = self.events.iter().filter(|(sequence, ..)| *sequence <= through);
        let mut newest = std::collections::HashMap::new();
        for (sequence, name, data) in known {
            let is_there = || found.binary_search(&(*sequence, data.clone())).is_ok();
            if name == "log" {
                assert!(is_there(), "{sequence} of the log is gone");
            } else {
                newest.insert(name.as_str(), (*sequence, data.clone()));
            }
        }
        for (name, (sequence, data)) in newest {
            let is_newer = |(found, _): &(u64, String)| *found >= sequence;
            let of_topic = self.events.iter().filter(|(_, other, _)| other == name);
            let mut newer =
                of_topic.filter(|(s, _, d)| found.binary_search(&(*s, d.clone())).is_ok());
            assert!(
                newer.any(|(s, _, d)| is_newer(&(*s, d.clone()))),
                "{sequence}, the newest of {name}, is gone: {data}"
            );
        }
    }
}

fn all(journal: &DiskJournal, tail: Sequence) -> Vec<Entry> {
    fed(journal, Sequence::ZERO, tail)
}

#[test]
fn a_topic_that_holds_its_newest_event_alone_takes_little_room_however_often_it_is_published_to() {
    for_seeds(2, |random| {
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        retain(&journal);
        let mut published = Published { is_logging: true, ..Published::default() };
        for _ in 0..200 {
            published.publish(&journal, &disk, random);
        }
        published.publish_until_clean(&journal, &disk, random);
        let tail = sequence(published.acknowledged[published.acknowledged.len() - 1].1);
        published.check(&all(&journal, tail), tail.get());
        let of_log = read(&journal, &[topic("log")], Sequence::ZERO, usize::MAX);
        let logged = published.events.iter().filter(|(_, name, _)| name == "log");
        let logged: Vec<u64> = logged.map(|(sequence, ..)| *sequence).collect();
        assert!(
            of_log
                .iter()
                .map(|entry| entry.sequence.get())
                .eq(logged.iter().copied().take(of_log.len()))
        );
        assert_eq!(journal.damage(), []);
        drop(journal);
        let checked = check(&disk).unwrap();
        assert_eq!((checked.damage, checked.torn_bytes), (vec![], 0));
        // The same after a restart, and it goes on.
        let (journal, opened) = open(disk.clone(), small()).unwrap();
        assert_eq!(opened.tail, tail);
        retain(&journal);
        published.check(&all(&journal, tail), tail.get());
        assert_eq!(journal.damage(), []);
        for _ in 0..200 {
            published.publish(&journal, &disk, random);
        }
        published.publish_until_clean(&journal, &disk, random);
    });
}

#[test]
fn a_key_is_recognized_although_its_event_was_left_out() {
    for_seeds(1, |random| {
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        retain(&journal);
        let key = IdempotencyKey::new("once").unwrap().at(0);
        let draft = Draft::new(topic(LATEST[0]), Event::new("first")).with_idempotency_key(key);
        let keyed = || vec![Submission::Event(draft.clone())];
        append(&journal, keyed(), 0);
        let mut published = Published::default();
        for _ in 0..100 {
            published.publish(&journal, &disk, random);
        }
        published.publish_until_clean(&journal, &disk, random);
        let oldest = read(&journal, &LATEST.map(topic), Sequence::ZERO, 1);
        assert!(oldest[0].sequence > sequence(1), "its event is left out");
        drop(journal);
        let (journal, _) = open(disk, small()).unwrap();
        assert_eq!(append(&journal, keyed(), 1), [Outcome::Duplicate(sequence(1))]);
    });
}

#[test]
fn a_crash_during_a_cleaning_loses_nothing() {
    for_seeds(3, |random| {
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        retain(&journal);
        let mut published = Published { is_logging: true, ..Published::default() };
        for _ in 0..60 {
            published.publish(&journal, &disk, random);
        }
        published.publish_until_clean(&journal, &disk, random);
        let kept = journal.stats().entries;
        assert!(kept < published.events.len() as u64, "{kept} entries: it was never cleaned");
        drop(journal);
        let done = disk.done();
        for _ in 0..60 {
            let at = random.usize(1..=done);
            let image = disk.crash(at, random);
            let acknowledged = published.acknowledged.iter().take_while(|(done, _)| *done <= at);
            let through = acknowledged.last().map_or(0, |(_, last)| *last);
            let (entries, _) = dumped(&image).unwrap();
            published.check(&entries, through);
            let (journal, opened) = open(image.clone(), small()).unwrap();
            assert!(opened.tail.get() >= through);
            if opened.tail > Sequence::ZERO {
                published.check(&all(&journal, opened.tail), through);
            }
            assert_eq!(journal.damage(), [], "after {at} of {done} operations");
            drop(journal);
            assert_eq!(check(&image).unwrap().damage, []);
        }
    });
}
