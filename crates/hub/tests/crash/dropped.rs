//! The newest removed entries of topics: known after a restart, and never too old after a crash or damage.

use std::collections::BTreeMap;

use tidings_hub::Sequence;
use tidings_hub::journal::{DiskConfig, DiskJournal, Evict, Journal as _};

use crate::disk::SimulatedDisk;
use crate::support::{append, event, open, small, topic};

/// A configuration that keeps a few segments.
fn few() -> DiskConfig {
    small().with_bytes_max(10_000)
}

/// The topics of the entries, from the first one on.
type Names = Vec<String>;

/// Publishes to a topic once, and then to others.
fn publish(journal: &DiskJournal, random: &mut fastrand::Rng) -> Names {
    let mut names = vec!["quiet".to_owned()];
    names.extend((0..200).map(|_| format!("topic/{}", random.u32(..20).pow(2) / 20)));
    for (number, name) in (0..).zip(&names) {
        append(journal, vec![event(name, &"x".repeat(100))], number);
    }
    names
}

/// The newest entries up to a place, by topic.
fn newest(names: &Names, through: Sequence) -> BTreeMap<&str, Sequence> {
    let numbered = (1..=through.get()).zip(names);
    numbered.map(|(number, name)| (&**name, Sequence::new(number).unwrap())).collect()
}

#[test]
fn the_newest_removed_entries_of_topics_are_known_also_after_a_restart() {
    let disk = SimulatedDisk::default();
    let (mut journal, _) = open(disk.clone(), few()).unwrap();
    let names = publish(&journal, &mut fastrand::Rng::with_seed(1));
    for _ in 0..2 {
        let oldest = journal.oldest();
        assert!(oldest.get() > 100, "{oldest:?}");
        let dropped = journal.dropped().unwrap();
        for (name, newest) in newest(&names, oldest) {
            assert_eq!(dropped.newest(&topic(name)), newest, "{name}");
        }
        assert_eq!(dropped.newest(&topic("unknown")), Sequence::ZERO);
        drop(journal);
        journal = open(disk.clone(), few()).unwrap().0;
    }
}

#[test]
fn after_a_crash_no_removed_entry_is_forgotten() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), few()).unwrap();
        let names = publish(&journal, &mut random);
        drop(journal);
        let crashed = disk.crash(random.usize(..=disk.done()), &mut random);
        let Ok((journal, _)) = open(crashed, few()) else { panic!("seed {seed}") };
        let dropped = journal.dropped().unwrap();
        for (name, newest) in newest(&names, journal.oldest()) {
            assert!(dropped.newest(&topic(name)) >= newest, "seed {seed}: {name}");
        }
    }
}

#[test]
fn segments_that_are_removed_together_are_noted_once() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let names = publish(&journal, &mut fastrand::Rng::with_seed(1));
    let segments = journal.stats().segments;
    smol::block_on(journal.evict(Evict::Through(Sequence::MAX))).unwrap();
    assert!(segments > 4 && journal.stats().segments <= 2, "{segments}");
    assert_eq!(disk.created("dropped.new"), 1);
    let dropped = journal.dropped().unwrap();
    for (name, newest) in newest(&names, journal.oldest()) {
        assert_eq!(dropped.newest(&topic(name)), newest, "{name}");
    }
}

#[test]
fn without_a_sound_file_an_entry_of_any_topic_may_have_been_removed() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), few()).unwrap();
    publish(&journal, &mut fastrand::Rng::with_seed(1));
    let oldest = journal.oldest();
    drop(journal);
    let files = disk.files();
    let mut damaged = vec![None];
    damaged.extend((0..files["dropped"].len()).map(|at| {
        let mut bytes = files["dropped"].clone();
        bytes[at] ^= 1;
        Some(bytes)
    }));
    for bytes in damaged {
        let mut files = files.clone();
        files.remove("dropped");
        files.extend(bytes.map(|bytes| ("dropped".to_owned(), bytes)));
        let (journal, _) = open(SimulatedDisk::with_files(files), few()).unwrap();
        assert_eq!(journal.damage(), []);
        assert_eq!(journal.dropped().unwrap().newest(&topic("unknown")), oldest);
    }
}
