//! Crashes at any moment.

use tidings_hub::journal::disk::{Damage, Damaged, check};

use crate::disk::SimulatedDisk;
use crate::support::{
    append, batch, committed, dumped, event, fed, for_seeds, open, said, said_by, sequence, small,
    submit,
};

/// A run of publishers: the submissions, and when they were acknowledged.
struct Run {
    disk: SimulatedDisk,
    submitted: Vec<String>,
    /// The number of submissions of each request.
    requests: Vec<usize>,
    /// Counts of operations on the disk, with the number of events acknowledged by then.
    acknowledged: Vec<(usize, usize)>,
}

fn run(random: &mut fastrand::Rng, requests: usize) -> Run {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let (submitted, sizes, acknowledged) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = Run { disk, submitted, requests: sizes, acknowledged };
    let mut request = 0;
    while request < requests {
        // Some requests are submitted while others wait.
        let mut waiting = Vec::new();
        for _ in 0..random.usize(1..4) {
            let batch = batch(random, request);
            run.submitted.extend(batch.iter().map(said_by));
            run.requests.push(batch.len());
            waiting.push(submit(&journal, batch, request as u64));
            request += 1;
        }
        let mut last = 0;
        for answer in waiting {
            last = committed(&smol::block_on(answer)).into_iter().fold(last, u64::max);
        }
        run.acknowledged.push((run.disk.done(), last as usize));
    }
    drop(journal);
    run
}

/// Checks the image of a crash after `done` operations, and returns its next sequence.
fn check_image(run: &Run, done: usize, image: &SimulatedDisk) -> u64 {
    let (entries, damage) = dumped(image).unwrap();
    let acknowledged = run.acknowledged.iter().take_while(|(at, _)| *at <= done).last();
    let acknowledged = acknowledged.map_or(0, |(_, count)| *count as u64);
    let mut expected = 1;
    for entry in &entries {
        let number = entry.sequence.get();
        assert!(number >= expected, "{number} comes after {expected}");
        for missing in expected..number {
            assert!(missing > acknowledged, "{missing} was acknowledged and is gone");
            assert!(told(&damage, missing), "{missing} is missing, and nothing says so");
        }
        assert_eq!(said(entry), run.submitted[number as usize - 1]);
        expected = number + 1;
    }
    assert!(expected > acknowledged, "{acknowledged} were acknowledged, {expected} is next");
    let mut first = 1;
    for count in run.requests.iter().map(|count| *count as u64) {
        let of_request = first..first + count;
        let held = entries.iter().filter(|entry| of_request.contains(&entry.sequence.get()));
        let held = held.count() as u64;
        assert!(held == 0 || held == count, "{held} of the request {of_request:?}");
        first += count;
    }
    // A crash never damages records that were synced.
    for found in damage {
        assert_eq!(found.what, Damaged::Unsynced, "{found}, after {done}");
        // The last request may have a hole.
        expected = expected.max(found.lost.map_or(0, |lost| lost.last.get() + 1));
    }
    expected
}

fn told(damage: &[Damage], number: u64) -> bool {
    damage
        .iter()
        .filter_map(|found| found.lost)
        .any(|lost| (lost.first..=lost.last).contains(&sequence(number)))
}

#[test]
fn after_a_crash_at_any_moment_what_was_acknowledged_is_there() {
    for_seeds(6, |random| {
        let run = run(random, 30);
        for done in 0..=run.disk.done() {
            for _ in 0..3 {
                check_image(&run, done, &run.disk.crash(done, random));
            }
        }
    });
}

#[test]
fn a_journal_goes_on_after_a_crash_and_crashes_again() {
    for_seeds(6, |random| {
        let mut run = run(random, 12);
        for round in 1..9 {
            let done = random.usize(..=run.disk.done());
            let image = run.disk.crash(done, random);
            let next = check_image(&run, done, &image) as usize;
            let (journal, opened) = open(image.clone(), small()).unwrap();
            assert!((opened.tail.get() as usize) < next);
            let held = fed(&journal, opened.oldest, opened.tail);
            assert!(
                held.iter().all(|entry| {
                    said(entry) == run.submitted[entry.sequence.get() as usize - 1]
                })
            );

            // Submissions that are neither acknowledged nor recovered are gone.
            run.submitted.truncate(opened.tail.get() as usize);
            run.requests = vec![1; run.submitted.len()];
            run.acknowledged = vec![(0, 0)];
            run.disk = image;
            for request in 0..6 {
                let batch = batch(random, round * 1000 + request);
                run.submitted.extend(batch.iter().map(said_by));
                run.requests.push(batch.len());
                let numbers = committed(&append(&journal, batch, request as u64));
                run.acknowledged.push((run.disk.done(), *numbers.last().unwrap() as usize));
            }
            drop(journal);
            // The losses of this crash would be mistaken for losses of the next one.
            let (entries, damage) = dumped(&run.disk).unwrap();
            if !damage.is_empty() {
                break;
            }
            assert_eq!(entries.len(), run.submitted.len());
        }
    });
}

#[test]
fn a_journal_that_is_closed_and_opened_again_goes_on_where_it_was() {
    for_seeds(3, |random| {
        let disk = SimulatedDisk::default();
        let (mut submitted, mut epoch) = (Vec::new(), None);
        for request in 0..20 {
            let (journal, opened) = open(disk.clone(), small()).unwrap();
            assert_eq!(*epoch.get_or_insert(opened.epoch), opened.epoch);
            assert_eq!(opened.tail.get() as usize, submitted.len());
            assert_eq!((journal.cut_bytes(), journal.damage()), (0, vec![]));
            let held = fed(&journal, opened.oldest, opened.tail);
            assert_eq!(held.iter().map(said).collect::<Vec<_>>(), submitted);
            let batch = batch(random, request);
            submitted.extend(batch.iter().map(said_by));
            committed(&append(&journal, batch, 0));
        }
        let checked = check(&disk).unwrap();
        assert_eq!((checked.entries as usize, checked.torn_bytes), (submitted.len(), 0));
        assert_eq!(checked.damage, []);
    });
}

/// The size of what was written: zeros at the end of a file are room.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn records_replace_room_that_is_no_incomplete_write_and_goes_with_the_end() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let name = format!("{:020}.segment", 1);
    let size = || disk.files()[&name].len();
    append(&journal, vec![event("a", "1")], 0);
    let with_room = size();
    assert_eq!(with_room, 2048, "to the end of a segment");
    for number in 2..=9 {
        append(&journal, vec![event("a", &number.to_string())], 0);
        assert_eq!(size(), with_room, "a sync need not change it");
    }
    let copy = SimulatedDisk::with_files(disk.files());
    let checked = check(&copy).unwrap();
    assert_eq!((checked.entries, checked.torn_bytes, checked.damage), (9, 0, vec![]));
    let (copied, opened) = open(copy, small()).unwrap();
    assert_eq!((opened.tail, copied.cut_bytes()), (sequence(9), 0));
    drop(journal);
    // A number at the end has some zeros of its own.
    assert!(size() < used(&disk.files()[&name]) + 8);
}
