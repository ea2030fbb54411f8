//! Journals written by earlier versions of the program.

use std::time::Duration;

use tidings_hub::journal::disk::check;
use tidings_hub::journal::{Outcome, Submission};
use tidings_hub::{Draft, Event, EventId, EventType, IdempotencyKey, Topics};

use crate::disk::SimulatedDisk;
use crate::support::{
    append, at, dumped, fed, find, open, read, said, said_by, sequence, small, topic,
};

/// The submissions in the journals of `fixtures`, in segments of 1,024 bytes. Each was committed a
/// millisecond after the one before it.
fn submissions() -> Vec<Submission> {
    let topics = Topics::new(["orders/7", "orders/7/lines", "grüße"].map(topic)).unwrap();
    let full = Event::new("{\"state\":\"packed\"}\nsecond line")
        .with_id(EventId::new("order-7").unwrap())
        .with_type(EventType::new("order").unwrap())
        .with_retry(Duration::from_millis(2500));
    let key = IdempotencyKey::new("5f0c").unwrap();
    let mut submissions = vec![
        Submission::Event(Draft::new(topic("news"), Event::new("first"))),
        Submission::Event(
            Draft::new(topics, full).with_private(true).with_idempotency_key(key.at(3)),
        ),
        Submission::Close(topic("orders/7")),
        Submission::Event(Draft::new(topic("news"), Event::new(""))),
    ];
    submissions.extend((0..40).map(|number: u64| {
        let event = Event::new(format!("event {number} of many"));
        let event = event.with_id(EventId::new(number.to_string()).unwrap());
        let draft = Draft::new(topic(&format!("many/{}", number % 5)), event);
        Submission::Event(
            draft.with_idempotency_key(IdempotencyKey::new("many").unwrap().at(number)),
        )
    }));
    submissions
}

macro_rules! files {
    ($folder:literal: $($name:literal),*) => {
        [$((
            $name.to_owned(),
            include_bytes!(concat!("fixtures/", $folder, "/", $name)).to_vec(),
        )),*]
    };
}

/// The journal that version 1 wrote and closed.
fn version_1() -> SimulatedDisk {
    SimulatedDisk::with_files(files!(
        "v1": "journal",
        "00000000000000000001.segment",
        "00000000000000000014.segment",
        "00000000000000000027.segment",
        "00000000000000000040.segment"
    ))
}

/// A journal of the same submissions with segments of version 4: the last 40 are requests of 5.
fn version_4() -> SimulatedDisk {
    SimulatedDisk::with_files(files!(
        "v4": "journal",
        "00000000000000000001.segment",
        "00000000000000000020.segment",
        "00000000000000000040.segment"
    ))
}

/// The journal of version 1 after events 45 to 71, from which superseded events of `many/*` were left out.
fn version_2() -> SimulatedDisk {
    SimulatedDisk::with_files(files!(
        "v2": "journal",
        "00000000000000000001.segment",
        "00000000000000000071.segment"
    ))
}

#[test]
fn a_journal_of_version_2_is_read_as_it_was_written_and_continued() {
    let disk = version_2();
    let checked = check(&disk).unwrap();
    assert_eq!((checked.segments, checked.entries, checked.torn_bytes), (2, 9, 0));
    assert_eq!(checked.damage, []);
    let (journal, opened) = open(disk.clone(), small()).unwrap();
    assert_eq!((opened.oldest, opened.tail), (sequence(0), sequence(71)));
    let entries = fed(&journal, opened.oldest, opened.tail);
    let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence.get()).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 43, 44, 69, 70, 71]);
    let submissions = submissions();
    for (entry, submission) in entries[..4].iter().zip(&submissions) {
        assert_eq!(said(entry), said_by(submission));
    }
    assert_eq!(said(&entries[5]), said_by(&submissions[43]));
    assert_eq!((find(&journal, "39"), find(&journal, "0")), (Some(sequence(44)), None));
    let many = read(&journal, &[topic("many/3"), topic("many/0")], sequence(0), 9);
    assert_eq!(many.iter().map(|entry| entry.sequence.get()).collect::<Vec<_>>(), [43, 69]);
    // The keys of events that were left out are known.
    let outcomes = append(&journal, submissions[4..].to_vec(), 72);
    let expected: Vec<_> = (5..=44).map(|n| Outcome::Duplicate(sequence(n))).collect();
    assert_eq!(outcomes, expected);
    append(&journal, submissions[..1].to_vec(), 72);
    assert_eq!(fed(&journal, opened.oldest, sequence(72)).len(), 10);
    drop(journal);
    assert_eq!(check(&disk).unwrap().damage, []);
}

#[test]
fn a_loss_to_damage_in_a_cleaned_segment_is_told() {
    const NAME: &str = "00000000000000000001.segment";
    let whole = version_2();
    let entries: Vec<_> = dumped(&whole).unwrap().0.iter().map(|e| (e.sequence, said(e))).collect();
    let files = whole.files();
    for at in 0..files[NAME].len() {
        let mut files = files.clone();
        if let Some(bytes) = files.get_mut(NAME) {
            bytes[at] ^= 0x10;
        }
        let (checked, damage) = dumped(&SimulatedDisk::with_files(files.clone())).unwrap();
        let (journal, opened) = open(SimulatedDisk::with_files(files), small()).unwrap();
        assert_eq!(opened.tail, sequence(71), "byte {at}");
        let read = fed(&journal, opened.oldest, opened.tail);
        for found in [checked, read] {
            let found: Vec<_> = found.iter().map(|e| (e.sequence, said(e))).collect();
            assert!(found.iter().all(|entry| entries.contains(entry)), "byte {at}: {found:?}");
            // The empty group at the end is needed only if the footer is damaged.
            let is_told =
                found.len() == entries.len() || damage.iter().any(|damage| damage.lost.is_some());
            assert!(is_told, "byte {at}: {damage:?}");
        }
    }
}

#[track_caller]
fn check_read(disk: &SimulatedDisk, segments: usize, time: impl Fn(u64) -> u64) {
    let checked = check(disk).unwrap();
    assert_eq!((checked.segments, checked.entries, checked.torn_bytes), (segments, 44, 0));
    assert_eq!(checked.damage, []);
    let (entries, _) = dumped(disk).unwrap();
    for (number, (entry, submission)) in (0..).zip(entries.iter().zip(submissions())) {
        assert_eq!(said(entry), said_by(&submission));
        assert_eq!((entry.sequence, entry.time), (sequence(number + 1), at(time(number))));
    }
}

#[test]
fn journals_of_versions_1_and_4_are_read_as_they_were_written() {
    check_read(&version_1(), 4, |number| number);
    // The events of a request are committed together.
    check_read(&version_4(), 3, |number| number.min(4 + number.saturating_sub(4) / 5 * 5));
}

#[test]
fn journals_of_versions_1_and_4_are_continued() {
    check_continued(&version_1(), 0x0a19_6c78_0412_1a20);
    check_continued(&version_4(), 0x005d_7660_7c6a_730d);
}

#[track_caller]
fn check_continued(disk: &SimulatedDisk, epoch: u64) {
    let (journal, opened) = open(disk.clone(), small()).unwrap();
    assert_eq!((opened.epoch.get(), opened.tail), (epoch, sequence(44)));
    let find = |id: &str| find(&journal, id);
    assert_eq!((find("order-7"), find("39")), (Some(sequence(2)), Some(sequence(44))));
    let read = read(&journal, &[topic("grüße")], sequence(0), 9);
    assert_eq!(read.len(), 1);
    // Its idempotency keys are known, and nothing is published twice.
    let outcomes = append(&journal, submissions().split_off(4), 44);
    let expected: Vec<_> = (5..=44).map(|n| Outcome::Duplicate(sequence(n))).collect();
    assert_eq!(outcomes, expected);
    append(&journal, submissions(), 44);
    assert_eq!(fed(&journal, opened.oldest, sequence(47)).len(), 47);
    drop(journal);
    assert_eq!(check(disk).unwrap().damage, []);
    // Programs that know version 1 alone must not read the records that were added.
    let files = disk.files();
    let (_, newest) = files.iter().rfind(|(name, _)| name.ends_with(".segment")).unwrap();
    assert_eq!(newest[8], 4);
}
