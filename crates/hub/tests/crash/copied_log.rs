//! A hub's part in a shared journal whose messages it copies to a folder: after each crash it goes on as if nothing
//! had happened.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use tidings_hub::journal::shared::{SharedConfig, SharedLog, Stopped, Stored, WINDOW, end_of};
use tidings_hub::journal::{
    Committing, CopyOf, DiskConfig, DiskJournal, Entry, Feed, Journal, Outcome, PageMax,
    Submission, TopicSet,
};
use tidings_hub::{Draft, Epoch, Event, IdempotencyKey, Now, Sequence};

use crate::disk::SimulatedDisk;
use crate::support::{at, for_seeds, topic};

const GENERATION: u64 = 7;

/// A store, and a hub that writes to it.
struct Store {
    messages: BTreeMap<u64, Vec<u8>>,
    writer: SharedLog,
    feed: Box<dyn Feed>,
    /// Everything that the writer's hub was fed.
    entries: Vec<Entry>,
}

impl Store {
    fn new() -> Self {
        let writer = SharedLog::new(SharedConfig::new(1, GENERATION, (0, 0)));
        let feed = writer.follow();
        Self { messages: BTreeMap::new(), writer, feed, entries: Vec::new() }
    }

    fn newest(&self) -> u64 {
        self.messages.keys().next_back().copied().unwrap_or(0)
    }

    fn oldest(&self) -> u64 {
        self.messages.keys().next().map_or(0, |first| first - 1)
    }

    /// Puts events into the store, as one message.
    fn publish(&mut self, batch: Vec<Submission>) {
        let now = Now::read();
        drop(self.writer.append(&mut batch.into_iter(), now));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(group) = self.writer.poll_group(&mut cx, now.instant) else { return };
        let place = self.newest() + 1;
        self.writer.acknowledged(group.number, place);
        self.writer.read(stored(place, &group.message)).unwrap();
        self.messages.insert(place, group.message);
        while let Poll::Ready(Ok(())) = self.feed.poll_next(&mut cx, &mut self.entries) {}
    }
}

fn stored(place: u64, bytes: &[u8]) -> Stored<'_> {
    Stored { place, time: at(place), bytes }
}

fn keyed(data: &str, key: Option<&str>) -> Submission {
    let mut draft = Draft::new(topic("a"), Event::new(data));
    if let Some(key) = key {
        draft = draft.with_idempotency_key(IdempotencyKey::new(key).unwrap());
    }
    Submission::Event(draft)
}

/// A hub with a folder.
struct Copying {
    journal: DiskJournal,
    log: SharedLog,
}

impl Copying {
    fn open(disk: &SimulatedDisk, store: &Store, writer: u64) -> Self {
        let places = (store.oldest(), store.newest());
        let copy = CopyOf::new(Epoch::new(7).unwrap(), end_of(places.0));
        let config = DiskConfig::default().with_segment_bytes(8192);
        let journal = DiskJournal::copy_of(disk.clone(), config, copy);
        smol::block_on(journal.open()).unwrap();
        let log = SharedLog::resume(SharedConfig::new(writer, GENERATION, places), &journal);
        Self { journal, log }
    }

    /// Reads up to so many messages, some of them again, and copies them.
    fn read(&self, store: &Store, messages: usize) -> Result<(), Stopped> {
        for (place, bytes) in store.messages.range(self.log.through()..).take(messages) {
            if *place > 0 {
                self.log.read(stored(*place, bytes))?;
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(steps) = self.log.poll_copies(&mut cx) {
            let steps = steps.unwrap();
            let through = steps.last().unwrap().end.through;
            smol::block_on(self.journal.copy(steps)).unwrap();
            self.log.note_copied(through);
        }
        Ok(())
    }

    fn held(&self) -> Vec<Entry> {
        let (mut entries, mut after) = (Vec::new(), self.journal.oldest());
        loop {
            let page = self.journal.read(TopicSet::All, after, PageMax::new(100, 1 << 20));
            let page = smol::block_on(page).unwrap();
            assert_eq!(page.lost, []);
            entries.extend(page.entries);
            if page.through <= after {
                return entries;
            }
            after = page.through;
        }
    }
}

fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| format!("{} {:?} {:?}", entry.sequence, entry.time, entry.content);
    entries.iter().map(text).collect()
}

#[test]
fn a_hub_that_crashes_again_and_again_has_what_others_have() {
    for_seeds(12, |random| {
        let mut store = Store::new();
        let mut disk = SimulatedDisk::default();
        let mut hub = Copying::open(&disk, &store, 2);
        for step in 0..150_u64 {
            match random.u8(..10) {
                0..4 => {
                    let batch = (0..random.u64(1..5)).map(|number| {
                        let key = random.bool().then(|| format!("key {}", random.u8(..30)));
                        keyed(&format!("{step}.{number}"), key.as_deref())
                    });
                    store.publish(batch.collect());
                }
                4 => {
                    let (place, bytes) = (store.newest() + 1, b"of somebody else".to_vec());
                    store.writer.read(stored(place, &bytes)).unwrap();
                    store.messages.insert(place, bytes);
                }
                5 => {
                    drop(hub);
                    hub = Copying::open(&disk, &store, 3 + step);
                }
                6 => {
                    let image = disk.crash(random.usize(..=disk.done()), random);
                    disk = image;
                    hub = Copying::open(&disk, &store, 3 + step);
                }
                _ => hub.read(&store, random.usize(1..12)).unwrap(),
            }
        }
        while hub.log.through() < store.newest() {
            hub.read(&store, 50).unwrap();
        }
        hub.read(&store, 1).unwrap();
        assert_eq!(texts(&hub.held()), texts(&store.entries));
        // Keys of events that only the folder has told it of are known, too.
        store.publish(vec![keyed("of a key", Some("the key"))]);
        hub.read(&store, 9).unwrap();
        drop(hub);
        let hub = Copying::open(&disk, &store, 1_000);
        let again =
            hub.log.append(&mut std::iter::once(keyed("again", Some("the key"))), Now::read());
        let Committing::All(outcomes) = again else { panic!("it is known at once") };
        assert!(matches!(outcomes[..], [Outcome::Duplicate(_)]), "{outcomes:?}");
    });
}

#[test]
fn a_hub_that_comes_back_reads_the_latest_messages_again_and_feeds_what_is_new() {
    let mut store = Store::new();
    let disk = SimulatedDisk::default();
    for number in 0..2 * WINDOW + 400 {
        store.publish(vec![keyed(&format!("{number}"), Some(&format!("key {number}")))]);
    }
    let hub = Copying::open(&disk, &store, 2);
    hub.read(&store, usize::MAX).unwrap();
    let copied = hub.log.through();
    drop(hub);
    for number in 0..5 {
        store.publish(vec![keyed(&format!("new {number}"), Some(&format!("new key {number}")))]);
    }
    let hub = Copying::open(&disk, &store, 3);
    assert_eq!(hub.log.through(), copied - 2 * WINDOW - 256);
    hub.read(&store, usize::MAX).unwrap();
    assert_eq!(hub.log.through(), copied + 5);
    assert_eq!(texts(&hub.held()), texts(&store.entries));
}

#[test]
fn an_answer_waits_until_its_event_is_copied() {
    let mut store = Store::new();
    let disk = SimulatedDisk::default();
    let hub = Copying::open(&disk, &store, 2);
    let mut cx = Context::from_waker(Waker::noop());
    let publish = |store: &mut Store| {
        let now = Now::read();
        let Committing::Waiting(answer) =
            hub.log.append(&mut std::iter::once(keyed("own", None)), now)
        else {
            panic!("nothing is known at once")
        };
        let Poll::Ready(group) =
            hub.log.poll_group(&mut Context::from_waker(Waker::noop()), now.instant)
        else {
            panic!("there is something to send")
        };
        let place = store.newest() + 1;
        hub.log.acknowledged(group.number, place);
        store.messages.insert(place, group.message.clone());
        hub.log.read(stored(place, &group.message)).unwrap();
        answer
    };
    let mut answer = publish(&mut store);
    assert!(answer.as_mut().poll(&mut cx).is_pending());
    hub.read(&store, 9).unwrap();
    let Poll::Ready(outcomes) = answer.as_mut().poll(&mut cx) else { panic!("it is copied") };
    let [Outcome::Committed(sequence)] = outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(hub.held().last().map(|entry| entry.sequence), Some(sequence));
    // It is committed in the store, whatever becomes of the copy.
    let mut answer = publish(&mut store);
    assert!(answer.as_mut().poll(&mut cx).is_pending());
    hub.log.stop(Stopped::Failed("the folder cannot be written".into()));
    let Poll::Ready(outcomes) = answer.as_mut().poll(&mut cx) else { panic!("nothing is copied") };
    assert!(matches!(outcomes[..], [Outcome::Committed(_)]), "{outcomes:?}");
}

#[test]
fn a_hub_whose_folder_has_another_past_than_the_store_stops() {
    let mut store = Store::new();
    let disk = SimulatedDisk::default();
    for number in 0..9 {
        store.publish(vec![keyed(&format!("{number}"), None)]);
    }
    let hub = Copying::open(&disk, &store, 2);
    hub.read(&store, 20).unwrap();
    drop(hub);
    // The store was put back from a copy, and another event came in the place of one that was lost.
    let mut other = Store::new();
    for number in 0..9 {
        other.publish(vec![keyed(if number == 8 { "another" } else { "the same" }, None)]);
    }
    let last = store.newest();
    let changed = other.messages[&last].clone();
    store.messages.insert(last, changed);
    let hub = Copying::open(&disk, &store, 3);
    let stopped = hub.read(&store, 20).unwrap_err();
    let why = "the past of the store has changed: the folder is a copy of other messages";
    assert_eq!(stopped.to_string(), why);
    assert_eq!(hub.held().last().map(|entry| entry.sequence > Sequence::ZERO), Some(true));
}
