//! Notes beside the entries: what was noted survives every crash.

use crate::disk::{Faults, SimulatedDisk};
use crate::support::{open, small};

const NAME: &str = "revocations";

fn lines(disk: &SimulatedDisk) -> (Vec<String>, usize) {
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let found = journal.notes(NAME).unwrap();
    (found.lines, found.damaged)
}

#[test]
fn what_was_noted_survives_a_crash_at_any_moment() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = SimulatedDisk::default();
        let (journal, _) = open(disk.clone(), small()).unwrap();
        let mut notes = journal.notes(NAME).unwrap().notes;
        // The lines after each operation that was answered, and the number of operations by then.
        let (mut kept, mut answered) = (Vec::new(), vec![(disk.done(), Vec::new())]);
        for number in 0..8 {
            if random.u8(..4) == 0 {
                kept = kept.split_off(kept.len() / 2);
                notes.replace(kept.iter().map(String::as_str)).unwrap();
            } else {
                kept.push(format!("{number} {}", "x".repeat(random.usize(..900))));
                notes.add(kept.last().unwrap()).unwrap();
            }
            answered.push((disk.done(), kept.clone()));
        }
        let crashed_at = random.usize(answered[0].0..=disk.done());
        let (found, _) = lines(&disk.crash(crashed_at, &mut random));
        let before = answered.iter().rposition(|(done, _)| *done <= crashed_at).unwrap();
        // An operation that was under way is done or not.
        let may_be: Vec<_> = answered[before..].iter().take(2).map(|(_, lines)| lines).collect();
        assert!(may_be.contains(&&found), "seed {seed}: {found:?} and not one of {may_be:?}");
    }
}

#[test]
fn a_damaged_line_costs_itself_alone() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let mut notes = journal.notes(NAME).unwrap().notes;
    for line in ["one", "two", "", "drei ü"] {
        notes.add(line).unwrap();
    }
    assert!(notes.add("a\nb").is_err());
    assert_eq!(notes.len(), 4);
    drop((notes, journal));
    let mut files = disk.files();
    let file = files.get_mut(NAME).unwrap();
    let at = file.windows(3).position(|text| text == b"two").unwrap();
    file[at] ^= 1;
    // An incomplete write.
    file.extend_from_slice(b"0000");
    let disk = SimulatedDisk::with_files(files);
    let expected = ["one", "", "drei ü"].map(str::to_owned).to_vec();
    assert_eq!(lines(&disk), (expected.clone(), 1));
    let (journal, _) = open(disk.clone(), small()).unwrap();
    journal.notes(NAME).unwrap().notes.add("four").unwrap();
    drop(journal);
    assert_eq!(lines(&disk).0, [expected, vec!["four".to_owned()]].concat());
}

#[test]
fn a_full_disk_takes_nothing_away_and_a_failed_sync_is_the_end() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let mut notes = journal.notes(NAME).unwrap().notes;
    notes.add("one").unwrap();
    let bytes = disk.files().values().map(Vec::len).sum();
    disk.set_faults(Faults { bytes_max: Some(bytes), ..Faults::default() });
    assert!(notes.add("two").is_err());
    assert!(notes.replace(["x"]).is_err());
    disk.set_faults(Faults::default());
    notes.add("three").unwrap();
    disk.set_faults(Faults { syncs_left: Some(0), ..Faults::default() });
    assert!(notes.add("four").is_err());
    disk.set_faults(Faults::default());
    assert!(notes.add("five").is_err());
    drop((notes, journal));
    let found = lines(&disk).0;
    assert_eq!(found[..2], ["one", "three"]);
}
