//! Damage to any byte.

use std::collections::BTreeMap;

use tidings_hub::journal::disk::{Damaged, Lost, check};
use tidings_hub::journal::{DiskConfig, Submission};
use tidings_hub::{Draft, Event, EventId, Sequence, Topics};

use crate::disk::SimulatedDisk;
use crate::support::{
    append, dumped, event, fed, find, open, read, said, said_by, sequence, small, topic,
};

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a small journal with several segments, and its submissions.
fn files() -> (Files, Vec<String>) {
    let disk = SimulatedDisk::default();
    let config = DiskConfig::default().with_segment_bytes(600);
    let (journal, _) = open(disk.clone(), config).unwrap();
    let mut submitted = Vec::new();
    for number in (0..40_u64).step_by(2) {
        // Every other pair is a group of two.
        let batches = match number % 4 {
            0 => vec![vec![submission(number)], vec![submission(number + 1)]],
            _ => vec![vec![submission(number), submission(number + 1)]],
        };
        for batch in batches {
            submitted.extend(batch.iter().map(said_by));
            append(&journal, batch, number);
        }
    }
    drop(journal);
    let files = disk.files();
    assert!(files.len() > 4, "{:?}", files.keys());
    (files, submitted)
}

fn submission(number: u64) -> Submission {
    let names = [number % 6, number % 4].map(|name| topic(&format!("topic/{name}")));
    let mut event = Event::new("x".repeat(number as usize % 7));
    if number.is_multiple_of(2) {
        event = event.with_id(EventId::new((number % 20).to_string()).unwrap());
    }
    Submission::Event(Draft::new(Topics::new(names).unwrap(), event))
}

/// Checks that every submission is either held or reported as lost.
#[track_caller]
fn check_told(held: &[(u64, String)], lost: &[Lost], submitted: &[String]) {
    let mut held = held.iter().peekable();
    for (number, said) in (1..).zip(submitted) {
        if held.next_if(|(held, text)| *held == number && text == said).is_none() {
            let is_told =
                lost.iter().any(|lost| (lost.first.get()..=lost.last.get()).contains(&number));
            assert!(is_told, "{number} is missing, and nothing says so");
        }
    }
    assert_eq!(held.next(), None);
}

#[test]
fn damage_to_any_byte_is_told_and_costs_what_it_hit() {
    let (files, submitted) = files();
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 0x10;
            let damaged = SimulatedDisk::with_files(damaged);
            let (entries, damage) = dumped(&damaged).unwrap();
            let is_in_doubt = is_in_doubt(&files, name, at);
            assert!(!damage.is_empty() || is_in_doubt, "{name}, byte {at}: not noticed");
            let lost: Vec<Lost> = damage.iter().filter_map(|found| found.lost).collect();
            let held: Vec<_> =
                entries.iter().map(|entry| (entry.sequence.get(), said(entry))).collect();
            check_told(&held, &lost, &submitted);
            // At most one group, and the groups here are small.
            assert!(
                lost.iter().map(Lost::entries).sum::<u64>() <= 8,
                "{name}, byte {at}: {lost:?}"
            );
        }
    }
}

/// Returns whether a crash could cause the same damage: to the newest trailer, or to the empty group that
/// closing the journal adds.
fn is_in_doubt(files: &Files, name: &str, at: usize) -> bool {
    let mut newest = files.iter().rev().filter(|(name, _)| name.ends_with(".segment"));
    let (last, before) = (newest.next().unwrap(), newest.next().unwrap());
    let is_last_group = *last.0 == name && at >= last.1.len() - 32;
    let is_last_trailer = *before.0 == name && at >= before.1.len() - 80;
    is_last_group || is_last_trailer
}

#[test]
fn a_journal_with_damage_to_any_byte_opens_and_reads_past_it() {
    let (files, submitted) = files();
    for (name, bytes) in &files {
        // Some bytes only, because each journal is opened and read in four ways.
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 0x10;
            let damaged = SimulatedDisk::with_files(damaged);
            let (journal, opened) = open(damaged.clone(), small()).unwrap();
            assert_eq!(opened.tail.get() as usize, submitted.len(), "{name}, byte {at}");

            let mut appended = submitted.clone();
            appended.push(said_last());
            append(&journal, vec![event("last", "x")], 1_000_000);
            let held = fed(&journal, opened.oldest, opened.tail.next());
            let held: Vec<_> =
                held.iter().map(|entry| (entry.sequence.get(), said(entry))).collect();
            let lost: Vec<Lost> = journal.damage().iter().filter_map(|found| found.lost).collect();
            check_told(&held, &lost, &appended);

            for name in (0..6).map(|number| format!("topic/{number}")) {
                let of_topic = read_all(&journal, &name);
                let has_topic = |text: &&(u64, String)| text.1.contains(&format!("{name:?}"));
                let expected: Vec<_> = held.iter().filter(has_topic).map(|(n, _)| *n).collect();
                assert_eq!(of_topic, expected, "{name} after damage to byte {at}");
            }
            for id in (0..20).map(|number: u8| number.to_string()) {
                let has_id =
                    |text: &&(u64, String)| text.1.contains(&format!("id: Some(EventId({id:?}))"));
                let expected = held.iter().find(has_id).map(|(number, _)| sequence(*number));
                let found = find(&journal, &id);
                assert_eq!(found, expected, "{name}, byte {at}");
            }
            drop(journal);
            // The losses are still reported afterwards.
            let (_, again) = dumped(&damaged).unwrap();
            let again: Vec<Lost> = again.iter().filter_map(|found| found.lost).collect();
            assert_eq!(again.len(), lost.len(), "{again:?}, {lost:?}");
        }
    }
}

fn said_last() -> String {
    said_by(&event("last", "x"))
}

fn read_all(journal: &tidings_hub::journal::DiskJournal, name: &str) -> Vec<u64> {
    let topics = [topic(name)];
    let (mut all, mut after) = (Vec::new(), Sequence::ZERO);
    loop {
        let entries = read(journal, &topics, after, 3);
        let Some(last) = entries.last() else { return all };
        after = last.sequence;
        all.extend(entries.iter().map(|entry| entry.sequence.get()));
    }
}

#[test]
fn a_segment_that_is_cut_off_anywhere_costs_its_end() {
    let (files, submitted) = files();
    let names: Vec<&String> = files.keys().filter(|name| name.ends_with(".segment")).collect();
    for name in &names[..names.len() - 1] {
        for size in 0..files[*name].len() {
            let mut cut = files.clone();
            cut.get_mut(*name).unwrap().truncate(size);
            let cut = SimulatedDisk::with_files(cut);
            let (entries, damage) = dumped(&cut).unwrap();
            let lost: Vec<Lost> = damage.iter().filter_map(|found| found.lost).collect();
            let held: Vec<_> =
                entries.iter().map(|entry| (entry.sequence.get(), said(entry))).collect();
            check_told(&held, &lost, &submitted);
            if size % 29 == 0 {
                let (journal, opened) = open(cut.clone(), small()).unwrap();
                assert_eq!(opened.tail.get() as usize, submitted.len());
                assert_eq!(fed(&journal, opened.oldest, opened.tail).len(), held.len());
            }
        }
    }
}

#[test]
fn a_segment_that_is_gone_is_told() {
    let (files, submitted) = files();
    let names: Vec<String> =
        files.keys().filter(|name| name.ends_with(".segment")).cloned().collect();
    for name in &names[1..names.len() - 1] {
        let mut without = files.clone();
        without.remove(name);
        let disk = SimulatedDisk::with_files(without);
        let (entries, damage) = dumped(&disk).unwrap();
        assert_eq!(damage.len(), 1);
        assert_eq!((damage[0].what, &damage[0].file), (Damaged::Missing, name));
        let lost = damage[0].lost.unwrap();
        assert_eq!(entries.len() + lost.entries() as usize, submitted.len());
        assert!(damage[0].to_string().starts_with(&format!("{name} is missing: entr")));
        let (journal, opened) = open(disk, small()).unwrap();
        assert_eq!(journal.damage(), damage);
        assert_eq!(opened.tail.get() as usize, submitted.len());
    }
}

#[test]
fn a_sound_folder_is_told_to_be_sound() {
    let (files, submitted) = files();
    let checked = check(&SimulatedDisk::with_files(files)).unwrap();
    assert_eq!(checked.damage, []);
    assert_eq!((checked.torn_bytes, checked.entries), (0, submitted.len() as u64));
    assert_eq!(checked.tail.get(), submitted.len() as u64);
}
