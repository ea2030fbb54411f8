#![no_main]
//! A journal whose files have been cut, mixed and written over, and groups with any content and the
//! right checksums: opening it never panics, and what it holds then it keeps.

#[path = "../../crates/hub/tests/crash/disk.rs"]
#[expect(dead_code, reason = "the tests also simulate crashes and failures")]
mod disk;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use disk::SimulatedDisk;
use libfuzzer_sys::fuzz_target;
use tidings_hub::journal::disk::{Dumped, check, dump};
use tidings_hub::journal::{
    Committing, DiskConfig, DiskJournal, Entry, Journal as _, Outcome, PageMax, Submission,
    TopicSet,
};
use tidings_hub::{Draft, Event, EventId, IdempotencyKey, Now, Sequence, Time, Topic};

#[derive(Arbitrary, Debug)]
enum Change {
    Flip {
        file: u8,
        at: u16,
        bits: u8,
    },
    Cut {
        file: u8,
        at: u16,
    },
    Insert {
        file: u8,
        at: u16,
        bytes: Vec<u8>,
    },
    Copy {
        from: u8,
        to: u8,
    },
    Remove {
        file: u8,
    },
    /// A group at the end of the newest segment.
    Group {
        count: u8,
        skipped: u8,
        synced: u8,
        records: Vec<Vec<u8>>,
    },
}

type Files = BTreeMap<String, Vec<u8>>;

fn config() -> DiskConfig {
    DiskConfig::default().with_segment_bytes(1024)
}

fn open(disk: &SimulatedDisk) -> Option<(DiskJournal, Sequence, Sequence)> {
    let journal = DiskJournal::with_storage(disk.clone(), config());
    let opened = smol::block_on(journal.open()).ok()?;
    Some((journal, opened.oldest, opened.tail))
}

fn append(journal: &DiskJournal, submission: Submission) -> Vec<Outcome> {
    let now = Now { time: Time::from_unix_millis(1), ..Now::read() };
    match journal.append(&mut std::iter::once(submission), now) {
        Committing::Waiting(outcomes) => smol::block_on(outcomes),
        other => panic!("{other:?}"),
    }
}

fn dumped(disk: &SimulatedDisk) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    dump(disk, &mut |found| {
        if let Dumped::Entry { entry, .. } = found {
            entries.push(entry);
        }
        ControlFlow::Continue(())
    })
    .ok()?;
    Some(entries)
}

/// Three segments and a half.
static FILES: LazyLock<Files> = LazyLock::new(|| {
    let disk = SimulatedDisk::default();
    let (journal, ..) = open(&disk).expect("an empty folder opens");
    for number in 0..24 {
        let topic = Topic::new(format!("topic/{}", number % 3)).expect("a topic");
        let id = EventId::new(number.to_string()).expect("an ID");
        let key = IdempotencyKey::new("key").expect("a key").at(number);
        let draft = Draft::new(topic, Event::new("x".repeat(60)).with_id(id));
        append(&journal, Submission::Event(draft.with_idempotency_key(key)));
    }
    drop(journal);
    disk.files()
});

fuzz_target!(|changes: Vec<Change>| {
    let mut files = FILES.clone();
    changes.iter().take(8).for_each(|change| apply(change, &mut files));
    let disk = SimulatedDisk::with_files(files);
    let checked = check(&disk);
    let before = dumped(&disk);
    assert_eq!(checked.is_ok(), before.is_some());
    let Some((journal, oldest, tail)) = open(&disk) else { return };

    let draft = Draft::new(Topic::new("a").expect("a topic"), Event::new("x"));
    assert_eq!(append(&journal, Submission::Event(draft)), [Outcome::Committed(tail.next())]);
    let mut feed = journal.follow(oldest);
    let mut fed: Vec<Entry> = Vec::new();
    while fed.last().is_none_or(|last| last.sequence <= tail) {
        let polled = smol::block_on(std::future::poll_fn(|cx| feed.poll_next(cx, &mut fed)));
        polled.expect("it reads past damage");
    }
    assert!(fed.is_sorted_by(|a, b| a.sequence < b.sequence));
    let topics: Vec<Topic> =
        (0..3).map(|n| Topic::new(format!("topic/{n}")).expect("a topic")).collect();
    let (topics, max) = (TopicSet::Topics(topics.into()), PageMax::new(100, 1 << 20));
    smol::block_on(journal.read(topics, Sequence::ZERO, max)).expect("it reads past damage");
    let id = EventId::new("7").expect("an ID");
    smol::block_on(journal.find(&id, Sequence::ZERO)).expect("it reads past damage");
    drop((journal, feed));

    // Opened again it is the same, and nothing is repaired twice.
    let after = dumped(&disk).expect("it has been opened");
    assert_eq!(after.len(), fed.len());
    let (journal, _, again) = open(&disk).expect("it has been opened");
    assert_eq!((again, journal.cut_bytes()), (tail.next(), 0));
});

fn apply(change: &Change, files: &mut Files) {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = |file: u8| names.get(usize::from(file) % names.len().max(1)).cloned();
    let mut change_file = |file: u8, at: u16, change: &dyn Fn(&mut Vec<u8>, usize)| {
        if let Some(bytes) = name(file).and_then(|name| files.get_mut(&name)) {
            let at = usize::from(at) % (bytes.len() + 1);
            change(bytes, at);
        }
    };
    match change {
        Change::Flip { file, at, bits } => change_file(*file, *at, &|bytes, at| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }),
        Change::Cut { file, at } => change_file(*file, *at, &|bytes, at| bytes.truncate(at)),
        Change::Insert { file, at, bytes } => change_file(*file, *at, &|file, at| {
            file.splice(at..at, bytes.iter().copied());
        }),
        Change::Copy { from, to } => {
            let bytes = name(*from).and_then(|name| files.get(&name)).cloned();
            if let (Some(bytes), Some(to)) = (bytes, name(*to)) {
                files.insert(to, bytes);
            }
        }
        Change::Remove { file } => drop(name(*file).map(|name| files.remove(&name))),
        Change::Group { count, skipped, synced, records } => {
            let newest = names.iter().rfind(|name| name.ends_with(".segment"));
            let identity = files.get("journal").and_then(|head| head.get(16..32)).map(Vec::from);
            if let (Some(name), Some(identity)) = (newest, identity)
                && let Some(file) = files.get_mut(name)
            {
                let base: u64 = name[..20].parse().expect("twenty digits");
                let salt = checksum(0, &[&identity, &base.to_le_bytes()]);
                let first = base + 24 + u64::from(*skipped);
                let numbers = (u32::from(*count), first, first.saturating_sub(u64::from(*synced)));
                put_group(file, salt, numbers, records);
            }
        }
    }
}

/// Appends a group as `docs/journal.md` draws it.
fn put_group(file: &mut Vec<u8>, salt: u32, numbers: (u32, u64, u64), records: &[Vec<u8>]) {
    let (count, first, synced) = numbers;
    let mut body = Vec::new();
    for (sequence, record) in (first..).zip(records) {
        let mut summed = (record.len() as u32).to_le_bytes().to_vec();
        summed.extend_from_slice(record);
        body.extend_from_slice(&checksum(salt, &[&sequence.to_le_bytes(), &summed]).to_le_bytes());
        body.extend_from_slice(&summed);
    }
    let mut header = (body.len() as u32).to_le_bytes().to_vec();
    header.extend_from_slice(&count.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&synced.to_le_bytes());
    let sum = checksum(salt, &[&(file.len() as u64).to_le_bytes(), &header]);
    file.extend_from_slice(b"TGrp");
    file.extend_from_slice(&sum.to_le_bytes());
    file.extend_from_slice(&header);
    file.extend_from_slice(&body);
}

fn checksum(start: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
