//! Shared helpers of the tests.

use std::ops::ControlFlow;
use std::task::{Context, Poll, Waker};

use tidings_hub::journal::disk::{Damage, Dumped, Storage, dump};
use tidings_hub::journal::{
    Committing, Content, DiskConfig, DiskJournal, Entry, Feed, Journal, JournalError, Opened,
    Outcome, PageMax, Submission, TopicSet,
};
use tidings_hub::{
    Draft, Event, EventId, EventType, IdempotencyKey, Now, Sequence, Time, Topic, Topics,
};

use crate::disk::SimulatedDisk;

/// Returns a configuration with segments that a few events fill.
pub(crate) fn small() -> DiskConfig {
    DiskConfig::default().with_segment_bytes(2048)
}

pub(crate) fn open(
    storage: impl Storage,
    config: DiskConfig,
) -> Result<(DiskJournal, Opened), JournalError> {
    let journal = DiskJournal::with_storage(storage, config);
    let opened = smol::block_on(journal.open())?;
    Ok((journal, opened))
}

pub(crate) fn at(millis: u64) -> Time {
    Time::from_unix_millis(1_700_000_000_000 + millis)
}

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(crate) fn event(name: &str, data: &str) -> Submission {
    Submission::Event(Draft::new(topic(name), Event::new(data)))
}

/// Submits without waiting for the answer.
pub(crate) fn submit(
    journal: &DiskJournal,
    batch: Vec<Submission>,
    millis: u64,
) -> impl Future<Output = Vec<Outcome>> + use<> {
    let now = Now { time: at(millis), ..Now::read() };
    let committing = journal.append(&mut batch.into_iter(), now);
    async {
        match committing {
            Committing::One(outcome) => vec![outcome],
            Committing::All(outcomes) => outcomes,
            Committing::Waiting(waiting) => waiting.await,
            _ => panic!("another way of committing"),
        }
    }
}

pub(crate) fn append(journal: &DiskJournal, batch: Vec<Submission>, millis: u64) -> Vec<Outcome> {
    smol::block_on(submit(journal, batch, millis))
}

pub(crate) fn committed(outcomes: &[Outcome]) -> Vec<u64> {
    let number = |outcome: &Outcome| match outcome {
        Outcome::Committed(sequence) => sequence.get(),
        other => panic!("{other:?}"),
    };
    outcomes.iter().map(number).collect()
}

/// Returns all entries and all damage of a folder.
pub(crate) fn dumped(storage: &dyn Storage) -> Result<(Vec<Entry>, Vec<Damage>), JournalError> {
    let (mut entries, mut damage) = (Vec::new(), Vec::new());
    dump(storage, &mut |found| {
        match found {
            Dumped::Entry { entry, .. } => entries.push(entry),
            Dumped::Damage(found) => damage.push(found),
            _ => panic!("something else"),
        }
        ControlFlow::Continue(())
    })?;
    Ok((entries, damage))
}

/// Returns all entries of a folder whose journal is open. Files may be removed and replaced while they are read, and then
/// they are read again.
pub(crate) fn dumped_beside(storage: &dyn Storage) -> Vec<Entry> {
    let whole = |_| dumped(storage).ok().filter(|(_, damage)| damage.is_empty());
    (0..1000).find_map(whole).expect("it is not changed all the time").0
}

/// Reads entries of some topics, at most `entries_max`.
pub(crate) fn read(
    journal: &DiskJournal,
    topics: &[Topic],
    after: Sequence,
    entries_max: usize,
) -> Vec<Entry> {
    let max = PageMax::new(entries_max, 1 << 20);
    smol::block_on(journal.read(TopicSet::Topics(topics.into()), after, max)).unwrap().entries
}

/// Finds the earliest event with an ID.
pub(crate) fn find(journal: &DiskJournal, id: &str) -> Option<Sequence> {
    let id = EventId::new(id).unwrap();
    let found = smol::block_on(journal.find(&id, Sequence::ZERO)).unwrap();
    found.map(|entry| entry.sequence)
}

/// Returns all entries of a journal's feed from a place to the tail.
pub(crate) fn fed(journal: &DiskJournal, after: Sequence, tail: Sequence) -> Vec<Entry> {
    let mut feed = journal.follow(after);
    let mut entries: Vec<Entry> = Vec::new();
    while feed.through() < tail {
        next(&mut *feed, &mut entries);
    }
    entries
}

pub(crate) fn next(feed: &mut dyn Feed, entries: &mut Vec<Entry>) {
    smol::block_on(std::future::poll_fn(|cx| feed.poll_next(cx, entries))).unwrap();
}

/// Returns whether a feed has no more entries.
pub(crate) fn is_waiting(feed: &mut dyn Feed) -> bool {
    let mut entries = Vec::new();
    let polled = feed.poll_next(&mut Context::from_waker(Waker::noop()), &mut entries);
    matches!(polled, Poll::Pending) && entries.is_empty()
}

/// Spells out an entry without its sequence and time.
pub(crate) fn said(entry: &Entry) -> String {
    match &entry.content {
        Content::Event(event) => format!("{:?} {} {event:?}", entry.topics, entry.private),
        _ => format!("close of {:?}", entry.topics),
    }
}

pub(crate) fn said_by(submission: &Submission) -> String {
    match submission {
        Submission::Event(draft) => {
            format!("{:?} {} {:?}", draft.topics(), draft.is_private(), draft.event())
        }
        Submission::Close(topic) => format!("close of {:?}", Topics::from(topic.clone())),
        _ => panic!("another submission"),
    }
}

/// Makes a random submission, perhaps with the given idempotency key.
pub(crate) fn any(random: &mut fastrand::Rng, key: &str, index: u64) -> Submission {
    let name = |random: &mut fastrand::Rng| topic(&format!("topic/{}", random.u8(..6)));
    if random.u8(..20) == 0 {
        return Submission::Close(name(random));
    }
    let data_bytes = match random.u8(..20) {
        0 => 0,
        1 => random.usize(500..2500),
        _ => random.usize(1..100),
    };
    let data: String = (0..data_bytes).map(|_| random.alphanumeric()).collect();
    let mut event = Event::new(data);
    if random.u8(..4) == 0 {
        event = event.with_id(EventId::new(random.u8(..20).to_string()).unwrap());
    }
    if random.u8(..4) == 0 {
        event = event.with_type(EventType::new("tick").unwrap());
    }
    let names = (0..random.usize(1..4)).map(|_| name(random)).collect::<Vec<_>>();
    let mut draft = Draft::new(Topics::new(names).unwrap(), event);
    draft = draft.with_private(random.bool());
    if random.bool() {
        draft = draft.with_idempotency_key(IdempotencyKey::new(key).unwrap().at(index));
    }
    Submission::Event(draft)
}

/// Runs a test on each seed.
#[expect(clippy::disallowed_methods, reason = "a test's parameters come from its command line")]
pub(crate) fn for_seeds(default: u64, test: impl Fn(&mut fastrand::Rng)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("TIDINGS_CRASH_FIRST_SEED").unwrap_or_default();
    let seeds = number("TIDINGS_CRASH_SEEDS").unwrap_or(default);
    for seed in first..first + seeds {
        let run = || test(&mut fastrand::Rng::with_seed(seed));
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            eprintln!("seed {seed} failed: TIDINGS_CRASH_FIRST_SEED={seed} repeats it");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Makes a folder with some segments, and returns the submissions in the order of their sequences.
pub(crate) fn filled(random: &mut fastrand::Rng, requests: usize) -> (SimulatedDisk, Vec<String>) {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(disk.clone(), small()).unwrap();
    let mut submitted = Vec::new();
    for request in 0..requests {
        let batch = batch(random, request);
        submitted.extend(batch.iter().map(said_by));
        committed(&append(&journal, batch, request as u64));
    }
    drop(journal);
    (disk, submitted)
}

/// Makes the submissions of one request: one, or sometimes several.
pub(crate) fn batch(random: &mut fastrand::Rng, request: usize) -> Vec<Submission> {
    let count = if random.u8(..4) == 0 { random.u64(2..9) } else { 1 };
    let key = request.to_string();
    (0..count).map(|index| any(random, &key, index)).collect()
}
