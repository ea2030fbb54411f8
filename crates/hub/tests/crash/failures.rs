//! Disks that fail, and folders that cannot be opened.

use std::error::Error as _;

use tidings_hub::journal::disk::{Folder, check};
use tidings_hub::journal::{
    DiskConfig, DiskJournal, Evict, Journal as _, NotCommitted, Outcome, PageMax, Submission,
    TopicSet,
};
use tidings_hub::{Draft, Event, IdempotencyKey};

use crate::disk::{Faults, SimulatedDisk};
use crate::support::{append, committed, dumped, event, fed, open, sequence, small, topic};

const FULL: Outcome = Outcome::NotCommitted(NotCommitted::Full);

#[test]
fn a_full_disk_refuses_whole_and_takes_what_comes_when_there_is_room() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let keyed = |key: u64| {
        let key = IdempotencyKey::new(&key.to_string()).unwrap();
        let draft = Draft::new(topic("a"), Event::new("x".repeat(100)));
        Submission::Event(draft.with_idempotency_key(key))
    };
    let mut acknowledged = 0;
    for bytes_max in (1000..9000).step_by(371) {
        disk.set_faults(Faults { bytes_max: Some(bytes_max), ..Faults::default() });
        loop {
            match append(&journal, vec![keyed(acknowledged)], 0)[..] {
                [Outcome::Committed(sequence)] => {
                    acknowledged += 1;
                    assert_eq!(sequence.get(), acknowledged);
                }
                [FULL] => break,
                ref other => panic!("{other:?}"),
            }
        }
        assert_eq!(journal.failure(), None);
        // A batch that does not fit leaves nothing behind.
        let three = (0..3).map(|index| keyed(acknowledged + index)).collect();
        assert_eq!(append(&journal, three, 0), [FULL; 3]);
        let (entries, damage) = dumped(&disk).unwrap();
        assert_eq!((entries.len() as u64, damage), (acknowledged, vec![]));
    }
    assert!(acknowledged > 30, "{acknowledged}");
    disk.set_faults(Faults::default());
    assert_eq!(committed(&append(&journal, vec![keyed(acknowledged)], 0)), [acknowledged + 1]);
    drop(journal);
    let checked = check(&disk).unwrap();
    assert_eq!((checked.entries, checked.damage), (acknowledged + 1, vec![]));
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = SimulatedDisk::default();
    let (journal, opened) = open(disk.clone(), small()).unwrap();
    append(&journal, vec![event("a", "1")], 0);
    disk.set_faults(Faults { syncs_left: Some(0), ..Faults::default() });
    assert_eq!(append(&journal, vec![event("a", "2")], 0), [Outcome::Unknown]);
    disk.set_faults(Faults::default());
    let stopped = Outcome::NotCommitted(NotCommitted::Stopped);
    assert_eq!(append(&journal, vec![event("a", "3")], 0), [stopped]);
    assert_eq!(journal.failure().as_deref(), Some("no sync works"));
    // Reading continues, and only committed entries are delivered.
    let entries = fed(&journal, opened.oldest, sequence(1));
    assert_eq!(entries.len(), 1);
    drop(journal);
    let (journal, opened) = open(disk, small()).unwrap();
    assert!(opened.tail <= sequence(2));
    assert_eq!(committed(&append(&journal, vec![event("a", "4")], 0)), [opened.tail.get() + 1]);
}

#[test]
fn a_failed_write_is_the_end_of_writing() {
    for writes in 0..40 {
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        disk.set_faults(Faults { writes_left: Some(writes), ..Faults::default() });
        let mut acknowledged = 0;
        while let [Outcome::Committed(_)] =
            append(&journal, vec![event("a", &"x".repeat(300))], 0)[..]
        {
            acknowledged += 1;
        }
        assert_eq!(journal.failure().as_deref(), Some("no write works"));
        drop(journal);
        disk.set_faults(Faults::default());
        let (_journal, opened) = open(disk, small()).unwrap();
        assert!(opened.tail >= sequence(acknowledged));
    }
}

#[test]
fn a_read_only_folder_is_refused_with_a_sentence() {
    let disk = SimulatedDisk::default();
    disk.set_faults(Faults { is_read_only: true, ..Faults::default() });
    let error = open(disk, small()).unwrap_err();
    assert_eq!(error.to_string(), "the journal's folder cannot be read or written");
    assert_eq!(error.source().unwrap().to_string(), "read-only filesystem or storage medium");
}

/// A temporary folder in the real file system.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("tidings-journal-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_folder_has_one_journal_at_a_time() {
    let scratch = Scratch::new("lock");
    let folder = Folder::new(&scratch.0);
    let (journal, _) = open(folder.clone(), DiskConfig::default()).unwrap();
    append(&journal, vec![event("a", "1")], 0);
    let error = open(folder.clone(), DiskConfig::default()).unwrap_err();
    assert_eq!(error.to_string(), "the journal's folder is in use by another process");
    drop(journal);
    let (_journal, opened) = open(folder, DiskConfig::default()).unwrap();
    assert_eq!(opened.tail, sequence(1));
}

#[test]
fn a_journal_is_opened_once() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk, small()).unwrap();
    let error = smol::block_on(journal.open()).unwrap_err();
    assert_eq!(error.to_string(), "the journal has been opened already");
}

#[test]
fn a_journal_that_is_not_open_commits_nothing() {
    let journal = DiskJournal::with_storage(SimulatedDisk::default(), small());
    assert_eq!(journal.damage(), []);
    let max = PageMax::new(1, 1);
    let read = smol::block_on(journal.read(TopicSet::All, sequence(0), max)).unwrap_err();
    assert_eq!(read.to_string(), "the journal is closed");
}

#[test]
fn what_is_no_journal_is_refused_with_a_sentence() {
    let segment = |number: u64| format!("{number:020}.segment");
    let refused = |files: Vec<(String, Vec<u8>)>| {
        let disk = SimulatedDisk::with_files(files);
        let checked = check(&disk).unwrap_err().to_string();
        let files = disk.files();
        assert_eq!(open(disk.clone(), small()).unwrap_err().to_string(), checked);
        assert_eq!(disk.files(), files, "it was changed");
        checked
    };
    let alien = b"something else, which is long enough to be a journal".to_vec();
    assert_eq!(
        refused(vec![("journal".into(), alien.clone())]),
        "journal is not the head of a journal"
    );
    assert_eq!(
        refused(vec![(segment(1), alien.clone())]),
        "journal is missing, and no segment says which journal it is of"
    );

    let filled = |data: &str| {
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        append(&journal, vec![event("a", data)], 0);
        drop(journal);
        disk.files()
    };
    let (ours, theirs) = (filled("ours"), filled("theirs"));
    let mut mixed = ours.clone();
    mixed.insert(segment(2), theirs[&segment(1)].clone());
    assert_eq!(
        refused(mixed.into_iter().collect()),
        format!("{} is a segment of another journal", segment(2))
    );
    let mut renamed = ours.clone();
    renamed.insert(segment(2), ours[&segment(1)].clone());
    assert_eq!(
        refused(renamed.into_iter().collect()),
        format!("{} does not start with the entry of its name", segment(2))
    );
    let mut beside = ours;
    beside.insert(segment(2), alien);
    let disk = SimulatedDisk::with_files(beside);
    assert_eq!(
        open(disk, small()).unwrap_err().to_string(),
        format!("{} is not a segment of a journal", segment(2))
    );
}

#[test]
fn a_newer_version_is_refused_with_a_sentence_and_left_alone() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    append(&journal, vec![event("a", "1")], 0);
    drop(journal);
    for (name, size) in [("journal", 40), ("00000000000000000001.segment", 48)] {
        let mut files = disk.files();
        let bytes = files.get_mut(name).unwrap();
        bytes[8] = 5;
        let sum = checksum(&[&bytes[..12], &bytes[16..size]].concat());
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        let newer = SimulatedDisk::with_files(files.clone());
        assert_eq!(
            open(newer.clone(), small()).unwrap_err().to_string(),
            format!("{name} is of version 5; this program knows version 4 and older")
        );
        assert_eq!(newer.files(), files);
    }
}

/// The CRC-32 of zip, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let next = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |s, _| next(s)))
}

#[test]
fn segments_are_removed_whole_from_the_oldest_when_they_take_too_much() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small().with_bytes_max(10_000)).unwrap();
    for number in 0..500 {
        append(&journal, vec![event("a", &"x".repeat(100))], number);
        let bytes: usize = disk.files().values().map(Vec::len).sum();
        assert!(bytes <= 10_000 + 2 * 3_000, "{bytes}");
    }
    let oldest = journal.oldest();
    assert!(oldest > sequence(400));
    assert_eq!(fed(&journal, oldest, sequence(500)).len() as u64, 500 - oldest.get());
    // A feed from an older place begins at the oldest entry.
    assert_eq!(fed(&journal, sequence(0), sequence(500)).len() as u64, 500 - oldest.get());
    drop(journal);
    let (journal, opened) = open(disk, small()).unwrap();
    assert_eq!((opened.oldest, opened.tail), (oldest, sequence(500)));
    assert_eq!(journal.damage(), []);
}

#[test]
fn what_the_hub_lets_go_of_is_removed_as_far_as_segments_reach() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    for number in 0..100 {
        append(&journal, vec![event("a", &"x".repeat(100))], number);
    }
    smol::block_on(journal.evict(Evict::Through(sequence(50)))).unwrap();
    assert!(journal.oldest() > sequence(20) && journal.oldest() <= sequence(50));
    smol::block_on(journal.evict(Evict::Through(sequence(1000)))).unwrap();
    assert!(journal.oldest() < sequence(100), "the segment that is written to stays");
    assert_eq!(committed(&append(&journal, vec![event("a", "on")], 100)), [101]);
}
