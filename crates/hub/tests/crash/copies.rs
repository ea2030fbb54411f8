//! Copies of another store: entries with sequences of their own, which a crash may cut off, and nothing else.

use tidings_hub::journal::{
    Content, Copied, CopiedTo, CopyOf, DiskConfig, DiskJournal, Entry, Journal, JournalError, Lost,
    Opened, PageMax, TopicSet,
};
use tidings_hub::{Epoch, Event, EventId, IdempotencyKey, Sequence};

use crate::disk::{Faults, SimulatedDisk};
use crate::support::{
    append, at, dumped, event, fed, find, for_seeds, open, sequence, small, topic,
};

const ENTRIES_MAX: u64 = 1 << 14;

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

/// The end of a message, as of hubs that share a store.
fn end(message: u64) -> Sequence {
    if message == 0 { Sequence::ZERO } else { sequence(message * ENTRIES_MAX + ENTRIES_MAX - 1) }
}

fn open_copy(
    disk: &SimulatedDisk,
    copy: CopyOf,
    config: DiskConfig,
) -> Result<(DiskJournal, Opened), JournalError> {
    let journal = DiskJournal::copy_of(disk.clone(), config, copy);
    let opened = smol::block_on(journal.open())?;
    Ok((journal, opened))
}

fn copy(journal: &DiskJournal, steps: &[Copied]) {
    smol::block_on(journal.copy(steps.to_vec())).unwrap();
}

/// A message with some entries; places between them are left out.
fn step(random: &mut fastrand::Rng, message: u64) -> Copied {
    let time = at(message * 10);
    let digest = (message, message.wrapping_mul(31));
    let mut step = Copied::new(end(message - 1), CopiedTo::new(end(message), time, digest));
    let mut place = 0;
    for number in 0..random.u64(..5) {
        place += random.u64(1..4);
        let bytes = if random.u8(..10) == 0 { 1500 } else { random.usize(..80) };
        let mut event = Event::new(format!("{message}.{number} {}", "x".repeat(bytes)));
        if random.bool() {
            event = event.with_id(EventId::new(format!("{message}.{number}")).unwrap());
        }
        let key = random.bool().then(|| IdempotencyKey::new(&format!("{message}")).unwrap());
        let content = if random.u8(..9) == 0 { Content::Close } else { Content::Event(event) };
        let place = sequence(message * ENTRIES_MAX + place);
        let name = topic(&format!("topic/{}", random.u8(..4)));
        step.entries.push((Entry::new(place, time, name.into(), content), key));
    }
    step
}

fn steps(random: &mut fastrand::Rng, count: u64) -> Vec<Copied> {
    let mut message = random.u64(1..5);
    let mut steps = Vec::new();
    for _ in 0..count {
        let mut step = step(random, message);
        if random.u8(..12) == 0 {
            // The store has lost some messages, perhaps so many that they need a segment of their own.
            let skipped = if random.bool() { 3 } else { 1 << 20 };
            let before = message;
            message += skipped;
            step = self::step(random, message);
            step.lost.push(Lost::new(end(before - 1).next(), end(message - 1)));
        }
        message += 1;
        steps.push(step);
    }
    steps
}

fn text(entry: &Entry) -> String {
    format!("{} {:?} {:?} {:?}", entry.sequence, entry.time, entry.topics, entry.content)
}

fn texts(steps: &[Copied]) -> Vec<String> {
    steps.iter().flat_map(|step| &step.entries).map(|(entry, _)| text(entry)).collect()
}

#[track_caller]
fn check(journal: &DiskJournal, steps: &[Copied]) -> Vec<Lost> {
    let ((found, lost), expected) = (held(journal), texts(steps));
    let same = found.iter().zip(&expected).take_while(|(one, other)| one == other).count();
    let next = (found.get(same), expected.get(same));
    assert_eq!((next, found.len()), ((None, None), expected.len()), "{same} are the same");
    lost
}

/// Everything that can be read, by pages.
fn held(journal: &DiskJournal) -> (Vec<String>, Vec<Lost>) {
    let (mut found, mut lost, mut after) = (Vec::new(), Vec::new(), journal.oldest());
    loop {
        let page = journal.read(TopicSet::All, after, PageMax::new(7, 1 << 20));
        let page = smol::block_on(page).unwrap();
        found.extend(page.entries.iter().map(text));
        lost.extend(page.lost);
        if page.through <= after {
            return (found, lost);
        }
        after = page.through;
    }
}

#[test]
fn a_copy_that_crashed_at_any_moment_has_whole_steps_and_goes_on_with_the_next_one() {
    for_seeds(6, |random| {
        let of = CopyOf::new(epoch(7), Sequence::ZERO);
        let disk = SimulatedDisk::default();
        let all = steps(random, 60);
        let (journal, _) = open_copy(&disk, of, small()).unwrap();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (next, after) = rest.split_at(random.usize(1..=rest.len().min(5)));
            copy(&journal, next);
            rest = after;
        }
        check(&journal, &all);
        drop(journal);
        for _ in 0..60 {
            let image = disk.crash(random.usize(..=disk.done()), random);
            let (journal, opened) = open_copy(&image, of, small()).unwrap();
            assert_eq!((opened.epoch, journal.damage()), (epoch(7), Vec::new()));
            let copied = journal.copied_to();
            let count = copied.map_or(0, |copied| {
                let at = all.iter().position(|step| step.end == copied);
                at.expect("it ends with a step") + 1
            });
            let lost = check(&journal, &all[..count]);
            let told =
                |it: &&Lost| lost.iter().any(|lost| lost.first <= it.first && it.last <= lost.last);
            assert!(all[..count].iter().flat_map(|step| &step.lost).all(|it| told(&it)));
            // What it has already is left out.
            copy(&journal, &all[count.saturating_sub(3)..]);
            check(&journal, &all);
            drop(journal);
            let (journal, opened) = open_copy(&image, of, small()).unwrap();
            assert_eq!(journal.copied_to(), all.last().map(|step| step.end));
            assert_eq!(opened.tail, all.last().unwrap().end.through);
            check(&journal, &all);
            drop(journal);
            let entries = dumped(&image).unwrap().0;
            assert_eq!(entries.iter().map(text).collect::<Vec<_>>(), texts(&all));
        }
    });
}

#[test]
fn the_feed_has_what_is_copied_and_what_is_lost_and_ids_are_found() {
    for_seeds(4, |random| {
        let disk = SimulatedDisk::default();
        let of = CopyOf::new(epoch(7), Sequence::ZERO);
        let (journal, _) = open_copy(&disk, of, small()).unwrap();
        let all = steps(random, 30);
        let mut feed = journal.follow(Sequence::ZERO);
        let (mut entries, mut lost) = (Vec::new(), Vec::new());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for step in &all {
            copy(&journal, std::slice::from_ref(step));
            while feed.poll_next(&mut cx, &mut entries).is_ready() {
                lost.extend(feed.take_lost());
            }
            assert_eq!(feed.through(), step.end.through);
        }
        assert_eq!(entries.iter().map(text).collect::<Vec<_>>(), texts(&all));
        let expected: Vec<_> = all.iter().flat_map(|step| step.lost.clone()).collect();
        assert_eq!(lost, expected);
        for (entry, _) in all.iter().flat_map(|step| &step.entries) {
            if let Content::Event(event) = &entry.content
                && let Some(id) = event.id()
            {
                assert_eq!(find(&journal, id.as_str()), Some(entry.sequence));
            }
        }
        // From files, as well.
        let tail = entries.last().map_or(Sequence::ZERO, |last| last.sequence);
        assert_eq!(fed(&journal, Sequence::ZERO, tail).len(), entries.len());
    });
}

#[test]
fn a_copy_of_another_past_or_one_that_is_too_old_is_begun_anew() {
    let mut random = fastrand::Rng::with_seed(1);
    let disk = SimulatedDisk::default();
    let all: Vec<_> = (1..30).map(|message| step(&mut random, message)).collect();
    let (journal, _) = open_copy(&disk, CopyOf::new(epoch(7), Sequence::ZERO), small()).unwrap();
    copy(&journal, &all);
    drop(journal);
    let (journal, opened) = open_copy(&disk, CopyOf::new(epoch(7), end(29)), small()).unwrap();
    assert_eq!((journal.begun_anew(), opened.oldest), (None, Sequence::ZERO));
    drop(journal);
    // What follows its newest entry is gone.
    let (journal, opened) = open_copy(&disk, CopyOf::new(epoch(7), end(30)), small()).unwrap();
    assert!(journal.begun_anew().is_some());
    assert_eq!((opened.oldest, opened.tail, journal.copied_to()), (end(30), end(30), None));
    let next = step(&mut random, 31);
    copy(&journal, std::slice::from_ref(&next));
    drop(journal);
    let (journal, opened) = open_copy(&disk, CopyOf::new(epoch(8), end(3)), small()).unwrap();
    assert!(journal.begun_anew().is_some());
    assert_eq!((opened.epoch, opened.oldest, opened.tail), (epoch(8), end(3), end(3)));
    assert_eq!(held(&journal).0, [""; 0]);
}

#[test]
fn a_copy_and_the_journal_of_a_hub_of_its_own_are_not_taken_for_each_other() {
    let (own, other) = (SimulatedDisk::default(), SimulatedDisk::default());
    let of = CopyOf::new(epoch(7), Sequence::ZERO);
    let (journal, _) = open(own.clone(), small()).unwrap();
    append(&journal, vec![event("a", "kept")], 0);
    drop(journal);
    let refused = open_copy(&own, of, small()).unwrap_err().to_string();
    assert!(refused.contains("has the events of a hub of its own"), "{refused}");
    assert_eq!(dumped(&own).unwrap().0.len(), 1, "nothing is touched");
    drop(open_copy(&other, of, small()).unwrap());
    let refused = open(other.clone(), small()).unwrap_err().to_string();
    assert!(refused.contains("is a copy of a stream"), "{refused}");
    let (journal, _) = open_copy(&other, of, small()).unwrap();
    let outcome = append(&journal, vec![event("a", "not from the store")], 0);
    assert!(format!("{outcome:?}").contains("NotCommitted"), "{outcome:?}");
}

#[test]
fn the_oldest_of_a_copy_make_room_on_a_full_disk() {
    let mut random = fastrand::Rng::with_seed(2);
    let disk = SimulatedDisk::default();
    let (journal, _) = open_copy(&disk, CopyOf::new(epoch(7), Sequence::ZERO), small()).unwrap();
    disk.set_faults(Faults { bytes_max: Some(30_000), ..Faults::default() });
    let all: Vec<_> = (1..400).map(|message| step(&mut random, message)).collect();
    all.chunks(3).for_each(|steps| copy(&journal, steps));
    assert!(journal.stats().refused > 0, "the disk was full");
    let found = held(&journal).0;
    let expected = texts(&all);
    assert!(!found.is_empty() && found.len() < expected.len());
    assert_eq!(found, expected[expected.len() - found.len()..]);
    assert_eq!(journal.failure(), None);
}
