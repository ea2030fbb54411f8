//! Statistics of the journal.

use crate::disk::{Faults, SimulatedDisk};
use crate::support::{append, event, open, small};

#[test]
fn commits_segments_and_refusals_are_counted() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let mut published = 0;
    for number in 0..40 {
        let batch: Vec<_> = (0..=number % 3).map(|_| event("a", &"x".repeat(100))).collect();
        published += append(&journal, batch, 0).len() as u64;
    }
    let stats = journal.stats();
    assert_eq!(stats.entries, published);
    assert_eq!(stats.bytes, journal.bytes());
    assert!(stats.segments > 2, "{stats:?}");
    assert_eq!((stats.commit_seconds.count, stats.commit_entries.count), (40, 40));
    assert_eq!(stats.commit_entries.sum, stats.entries as f64);
    let counted: u64 = stats.commit_entries.buckets.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, 40);
    assert_eq!(stats.refused, 0);
    disk.set_faults(Faults { bytes_max: Some(1), ..Faults::default() });
    // More than the room that is left in the segment.
    append(&journal, vec![event("a", &"x".repeat(3000))], 0);
    assert_eq!(journal.stats().refused, 1);
}
