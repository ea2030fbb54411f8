//! Idempotency keys across restarts.

use tidings_hub::journal::{Journal, Outcome, Submission};
use tidings_hub::{Draft, Event, IdempotencyKey};

use crate::disk::SimulatedDisk;
use crate::support::{append, committed, event, open, sequence, small, topic};

fn keyed(key: &str, index: u64) -> Submission {
    let key = IdempotencyKey::new(key).unwrap().at(index);
    Submission::Event(Draft::new(topic("a"), Event::new("x")).with_idempotency_key(key))
}

#[test]
fn a_repetition_after_a_restart_is_answered_like_the_first() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    assert_eq!(committed(&append(&journal, vec![keyed("a", 0), keyed("a", 1)], 0)), [1, 2]);
    // Enough entries that the first ones are in a sealed segment.
    for number in 0..200 {
        append(&journal, vec![event("b", &format!("{number:030}"))], 0);
    }
    assert_eq!(committed(&append(&journal, vec![keyed("a", 2), keyed("b", 0)], 0)), [203, 204]);
    drop(journal);

    for _ in 0..2 {
        let (journal, opened) = open(disk.clone(), small()).unwrap();
        let again = (0..3).map(|index| keyed("a", index)).chain([keyed("b", 0)]).collect();
        let expected = [1, 2, 203, 204].map(|number| Outcome::Duplicate(sequence(number)));
        assert_eq!(append(&journal, again, 1), expected);
        assert_eq!(opened.tail, sequence(204));
    }
}

#[test]
fn a_repetition_ten_minutes_after_the_last_event_is_published() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    append(&journal, vec![keyed("a", 0)], 0);
    append(&journal, vec![event("b", "later")], 600_001);
    drop(journal);
    let (journal, _) = open(disk, small()).unwrap();
    append(&journal, vec![keyed("b", 0)], 600_001);
    assert_eq!(committed(&append(&journal, vec![keyed("a", 0)], 600_001)), [4]);
}

#[test]
fn a_repetition_within_one_batch_is_a_duplicate() {
    let (journal, _) = open(SimulatedDisk::default(), small()).unwrap();
    let outcomes = append(&journal, vec![keyed("a", 0), keyed("a", 0), event("a", "y")], 0);
    let (first, second) = (sequence(1), sequence(2));
    let expected =
        [Outcome::Committed(first), Outcome::Duplicate(first), Outcome::Committed(second)];
    assert_eq!(outcomes, expected);
}

/// The history is charged for the keys, which would exceed its budget otherwise: 100,000 keys take 45 MB.
#[test]
fn the_memory_of_keys_is_told_before_and_after_a_restart() {
    const KEYS: usize = 1000;
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    append(&journal, vec![event("a", "x")], 0);
    assert_eq!(Journal::bytes(&journal), 0);
    let key = |number: usize| keyed(&format!("{number}{}", "k".repeat(200)), 0);
    append(&journal, (0..KEYS).map(key).collect(), 0);
    let bytes = Journal::bytes(&journal);
    assert!((KEYS * 300..KEYS * 1000).contains(&bytes), "{bytes} bytes");
    drop(journal);

    let (journal, _) = open(disk, small()).unwrap();
    let recovered = Journal::bytes(&journal);
    assert!((KEYS * 300..KEYS * 1000).contains(&recovered), "{recovered} bytes");
}
