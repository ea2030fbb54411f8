//! Writes that a crash has cut off or left with a hole: of each request there is all or nothing.

use std::collections::BTreeMap;

use tidings_hub::journal::disk::{Damaged, check};
use tidings_hub::journal::{DiskConfig, DiskJournal, NotCommitted, Outcome, Submission};
use tidings_hub::{Cursor, Draft, Event, Found, Start};

use crate::disk::{Faults, SimulatedDisk};
use crate::streams::with_hub;
use crate::support::{append, committed, dumped, event, fed, open, sequence, small, submit, topic};

/// The size of what was written: zeros at the end of a file are room.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

fn name() -> String {
    format!("{:020}.segment", 1)
}

fn events(numbers: std::ops::RangeInclusive<u64>) -> Vec<Submission> {
    numbers.map(|number| event("a", &number.to_string())).collect()
}

/// The files of a journal while it is open, after entries 1 to 3 and what `write` adds, and the size of the segment
/// before that. Closing it would prove that everything was synced.
fn written(write: impl FnOnce(&SimulatedDisk, &DiskJournal)) -> (BTreeMap<String, Vec<u8>>, usize) {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    for number in 1..=3 {
        append(&journal, events(number..=number), 0);
    }
    let before = used(&disk.files()[&name()]);
    write(&disk, &journal);
    (disk.files(), before)
}

/// Opens journals whose file was cut off at each byte, with room after it and without, and returns how many entries
/// each of them has.
fn counts(files: &BTreeMap<String, Vec<u8>>, sizes: std::ops::Range<usize>) -> Vec<u64> {
    let mut counts = Vec::new();
    for (size, has_room) in sizes.flat_map(|size| [(size, true), (size, false)]) {
        let mut torn = files.clone();
        let bytes = torn.get_mut(&name()).unwrap();
        match has_room {
            true => bytes[size..].fill(0),
            false => bytes.truncate(size),
        }
        let torn = SimulatedDisk::with_files(torn);
        let (entries, damage) = dumped(&torn).unwrap();
        assert_eq!(damage, []);
        let (journal, opened) = open(torn.clone(), small()).unwrap();
        assert_eq!(journal.damage(), []);
        assert_eq!(opened.tail.get(), entries.len() as u64);
        counts.push(opened.tail.get());
        // The journal continues after the last whole request.
        let next = opened.tail.get() + 1;
        assert_eq!(committed(&append(&journal, events(0..=0), 0)), [next]);
        drop(journal);
        let (entries, damage) = dumped(&torn).unwrap();
        assert_eq!((entries.len() as u64, damage), (next, vec![]));
        assert_eq!(check(&torn).unwrap().torn_bytes, 0);
    }
    counts
}

#[test]
fn a_tail_that_is_torn_at_any_byte_is_cut() {
    let (files, _) = written(|disk, journal| {
        let syncing = disk.hold_syncs();
        let done = disk.done();
        let first = submit(journal, events(4..=4), 0);
        while disk.done() == done {
            std::thread::yield_now();
        }
        // These are written together, because the writer is busy.
        let others: Vec<_> =
            (5..=7).map(|number| submit(journal, events(number..=number), 0)).collect();
        drop(syncing);
        smol::block_on(first);
        others.into_iter().for_each(|other| drop(smol::block_on(other)));
    });
    let end = used(&files[&name()]);
    // The last group has three records, each of which takes more than 18 bytes.
    let counts = counts(&files, end - 3 * 18..end);
    assert!(counts.is_sorted());
    assert_eq!((counts.first(), counts.last()), (Some(&4), Some(&6)));
}

#[test]
fn a_request_that_is_torn_at_any_byte_leaves_nothing() {
    let (files, before) = written(|_, journal| {
        append(journal, events(4..=6), 0);
    });
    let counts = counts(&files, before..used(&files[&name()]));
    assert!(counts.iter().all(|count| *count == 3), "{counts:?}");
}

/// The files of a journal whose last request, of entries 4 to 6, is damaged in the first of them.
fn with_hole() -> BTreeMap<String, Vec<u8>> {
    let (files, before) = written(|_, journal| {
        append(journal, events(4..=6), 0);
    });
    let bytes = &files[&name()];
    // The header of the group is 32 bytes, and that of the first record 8.
    let first_data = (before..).find(|at| bytes[at + 40..].starts_with(&[1, 0])).unwrap() + 40;
    let mut damaged = files.clone();
    damaged.get_mut(&name()).unwrap()[first_data + 2] ^= 1;
    damaged
}

/// It may have been acknowledged, and then damaged: its sequences are not used again.
#[test]
fn a_request_with_a_hole_is_told_as_lost() {
    let disk = SimulatedDisk::with_files(with_hole());
    let lost = |disk: &SimulatedDisk| {
        let (entries, damage) = dumped(disk).unwrap();
        let lost: Vec<_> = damage.iter().map(|found| (found.what, found.lost.unwrap())).collect();
        let [(what, lost)] = lost[..] else { panic!("{lost:?}") };
        (what, (lost.first.get(), lost.last.get()), entries.len())
    };
    assert_eq!(lost(&disk), (Damaged::Unsynced, (4, 6), 3));
    let (journal, opened) = open(disk.clone(), small()).unwrap();
    assert_eq!(opened.tail, sequence(6));
    assert_eq!(committed(&append(&journal, events(7..=7), 0)), [7]);
    let held = fed(&journal, opened.oldest, sequence(7));
    assert_eq!(held.iter().map(|entry| entry.sequence.get()).collect::<Vec<_>>(), [1, 2, 3, 7]);
    drop(journal);
    // It is the same loss when it is found again.
    assert_eq!(lost(&disk), (Damaged::Records, (4, 6), 4));
}

/// The loss is the newest of the journal, with no entry after it.
#[test]
fn readers_are_told_of_a_request_with_a_hole_and_go_on_after_it() {
    let disk = SimulatedDisk::with_files(with_hole());
    with_hub(&disk, async |hub| {
        let place = |sequence| Start::from(Cursor { epoch: hub.epoch(), sequence });
        let mut behind = hub.subscribe(topic("a"), place(sequence(3)));
        let found = behind.next().await;
        assert!(matches!(found, Some(Found::Gap(_))), "{found:?}");
        // It was sent all three before they were damaged.
        let mut after = hub.subscribe(topic("a"), place(sequence(6)));
        let published = hub.publish(Draft::new(topic("a"), Event::new("7"))).await.unwrap();
        assert_eq!(published.sequence, sequence(7));
        for reader in [&mut behind, &mut after] {
            assert_eq!(reader.next().await.unwrap().into_event().data(), "7");
        }
    });
}

#[test]
fn a_request_larger_than_a_segment_is_committed_whole_or_not_at_all() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    append(&journal, events(1..=1), 0);
    let many: Vec<_> = (0..100).map(|_| event("a", &"x".repeat(100))).collect();
    disk.set_faults(Faults { bytes_max: Some(6000), ..Faults::default() });
    let full = Outcome::NotCommitted(NotCommitted::Full);
    assert_eq!(append(&journal, many.clone(), 0), [full; 100]);
    let (entries, damage) = dumped(&disk).unwrap();
    assert_eq!((entries.len(), damage), (1, vec![]));
    disk.set_faults(Faults::default());
    let numbers = committed(&append(&journal, many, 0));
    assert_eq!(numbers, (2..=101).collect::<Vec<_>>());
    drop(journal);
    let checked = check(&disk).unwrap();
    assert_eq!((checked.entries, checked.damage, checked.torn_bytes), (101, vec![], 0));
}

/// Sealing a segment cuts its room off. Where that came between two looks of a dump at the file, the dump failed.
#[test]
fn a_journal_in_use_that_cuts_a_file_off_is_read_all_the_same() {
    let (files, _) = written(|_, _| ());
    let end = used(&files[&name()]);
    assert!(end < files[&name()].len(), "it has room");
    for calls in 0..12 {
        let disk = SimulatedDisk::with_files(files.clone());
        disk.set_faults(Faults { cut: Some((calls, end)), ..Faults::default() });
        let (entries, damage) = dumped(&disk).unwrap();
        assert_eq!((entries.len(), damage), (3, vec![]), "after {calls} calls");
    }
}

/// The default portion and segment: a crash during the write leaves a part of a large request in the file.
#[test]
fn a_large_request_is_in_one_write() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), DiskConfig::default()).unwrap();
    append(&journal, events(1..=1), 0);
    let done = disk.done();
    let many: Vec<_> = (0..300).map(|_| event("a", &"x".repeat(10_000))).collect();
    committed(&append(&journal, many, 0));
    let finished = disk.done();
    drop(journal);
    let mut random = fastrand::Rng::with_seed(7);
    for at in done..=finished {
        for _ in 0..5 {
            let (entries, _) = dumped(&disk.crash(at, &mut random)).unwrap();
            assert!(matches!(entries.len(), 1 | 301), "{} entries", entries.len());
        }
    }
}
