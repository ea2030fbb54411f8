//! Reading: from the store's messages to entries.

use std::collections::{HashMap, VecDeque};

use super::copies::Resumed;
use super::feed::Fed;
use super::message::{Decoded, Header, Message};
use super::opening::{SharedConfig, Stopped, Stored};
use super::place::{end_of, hash, sequence};
use super::whole::{Fate, Whole};
use super::window::{WINDOW, Window};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::keys::Keys;
use crate::journal::{NotCommitted, Outcome};
use crate::streams::{Order, Reader, StreamState, Taken};
use crate::time::Time;
use crate::topic::Topic;

/// Messages that a hub with a copy of its own reads again: those that the next messages depend on, and those that
/// these depend on.
const READ_AGAIN: u64 = 2 * WINDOW + 256;

/// The position in the store, and everything that decides on the next message. It depends on the messages
/// that were read alone, so that every hub decides alike.
pub(super) struct Reading {
    window: Window,
    /// The newest generation of a message, at least that of this hub.
    generation: u64,
    own_generation: u64,
    /// The newest message when the journal was opened.
    opened_at: u64,
    keys: Keys,
    order: Order,
    writers: Writers,
    passed_over: u64,
    /// Messages that were read, and the records that they had.
    counts: (u64, u64),
    /// Where the hub's own copy stood when it was opened.
    resumed: Option<Resumed>,
}

/// The fate of a group of this hub.
pub(super) struct Own {
    pub(super) group: u64,
    /// One for each of its records.
    pub(super) outcomes: Vec<Outcome>,
}

impl Reading {
    /// Reads on after the hub's own copy, whose idempotency keys it goes on with.
    pub(super) fn new(config: &SharedConfig, keys: Keys) -> Self {
        let resumed = config.copied.as_ref().map(Resumed::new);
        let before = match &resumed {
            // Messages that decide on the next ones are read again, as far as they are still there.
            Some(resumed) if resumed.through > config.oldest => {
                resumed.through.saturating_sub(READ_AGAIN).max(config.oldest)
            }
            Some(resumed) => resumed.through,
            None => config.oldest,
        };
        Self {
            window: Window::new(before),
            generation: 0,
            own_generation: config.generation,
            opened_at: config.tail,
            keys,
            order: Order::default(),
            writers: Writers::default(),
            passed_over: 0,
            counts: (0, 0),
            resumed,
        }
    }

    pub(super) fn through(&self) -> u64 {
        self.window.through()
    }

    pub(super) fn opened_at(&self) -> u64 {
        self.opened_at
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.max(self.own_generation)
    }

    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    pub(super) fn counts(&self) -> (u64, u64) {
        self.counts
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.order.bytes()
    }

    /// Where the event of a key was committed, if that is remembered.
    pub(super) fn find_key(&self, key: &IdempotencyKey) -> Option<Sequence> {
        self.keys.find(key)
    }

    /// The streams of topics, as of everything that was read.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    pub(super) fn restore_streams(&mut self, states: Vec<(Topic, StreamState)>) {
        self.order.restore(states);
    }

    pub(super) fn take_streams(&mut self) -> Vec<(Topic, StreamState)> {
        self.order.take_found()
    }

    /// The position of a writer that has read what this hub has read.
    pub(super) fn header(&self, writer: u64, group: u64) -> Header {
        let (digest_from, digest) = self.window.digest();
        Header {
            generation: self.own_generation,
            writer,
            group,
            read_through: self.through(),
            digest_from,
            digest,
        }
    }

    /// Notes that the store has no message any more up to a place.
    pub(super) fn skip_through(&mut self, place: u64, fed: &mut Fed) {
        if place > self.through() {
            let known = self.resumed.map_or(0, |resumed| resumed.through);
            let first = self.through().max(known) + 1;
            self.window.restart(place);
            if first <= place {
                fed.lose(first, place);
                fed.pass(place, Time::default(), self.window.digest());
            }
        }
    }

    /// Returns whether a message is in the hub's own copy.
    fn is_copied(&self, place: u64) -> bool {
        self.resumed.is_some_and(|resumed| place <= resumed.through)
    }

    /// Reads a message. Returns the fate of this hub's group if it has one.
    pub(super) fn read(
        &mut self,
        stored: Stored<'_>,
        own_writer: u64,
        fed: &mut Fed,
    ) -> Result<Option<Own>, Stopped> {
        let place = stored.place;
        let seen = hash(place ^ stored.time.unix_millis() << 20, stored.bytes);
        if place <= self.through() {
            return match self.window.hash_of(place) {
                Some(known) if known != seen => Err(self.changed("a message is not what it was")),
                _ => Ok(None),
            };
        }
        if place > self.through() + 1 {
            self.skip_through(place - 1, fed);
        }
        let is_copied = self.is_copied(place);
        let mut own = None;
        let mut keys = Vec::new();
        self.counts.0 += 1;
        match Decoded::of(stored.bytes) {
            Decoded::Foreign => self.passed_over += 1,
            Decoded::Damaged => {
                self.passed_over += 1;
                if !is_copied {
                    fed.lose(place, place);
                }
            }
            Decoded::Newer(version) => return Err(Stopped::Newer { place, version }),
            Decoded::Message(message) => {
                self.counts.1 += message.count as u64;
                let verdict = self.judge(place, &message)?;
                let outcomes = self.take(stored, &message, verdict, &mut keys, fed);
                if message.header.writer == own_writer && message.header.group > 0 {
                    own = outcomes.map(|outcomes| Own { group: message.header.group, outcomes });
                }
            }
        }
        self.window.push(seen, keys);
        if !is_copied {
            fed.pass(place, stored.time, self.window.digest());
        } else if self.is_of_another_past(place) {
            return Err(self.changed("the folder is a copy of other messages"));
        }
        Ok(own)
    }

    /// Returns whether the newest messages of the hub's own copy are not those of the store.
    fn is_of_another_past(&self, place: u64) -> bool {
        let Some(resumed) = self.resumed.filter(|resumed| resumed.through == place) else {
            return false;
        };
        let digest = self.window.digest_between(resumed.digest_from(), place);
        resumed.is_same(digest) == Some(false)
    }

    /// Decides whether a message counts.
    fn judge(&mut self, place: u64, message: &Message) -> Result<Verdict, Stopped> {
        let header = &message.header;
        let is_new = place > self.opened_at;
        if header.generation > self.own_generation {
            self.generation = self.generation.max(header.generation);
            return Err(self.changed("a hub has raised its generation"));
        }
        let has_read_own = self.generation >= self.own_generation;
        if place >= self.opened_at && header.generation < self.own_generation && !has_read_own {
            // The newest message was of this generation when the journal was opened.
            return Err(self.changed("the messages that began its generation are gone"));
        }
        if header.generation < self.generation
            || (is_new && header.generation < self.own_generation)
        {
            // Of a hub that has not noticed yet. Its publishers were not answered.
            return Ok(Verdict::Stale);
        }
        let digest = self.window.digest_between(header.digest_from, header.read_through);
        // What was there when the journal was opened is the past of this generation, however it came about.
        if is_new && digest.is_some_and(|digest| digest != header.digest) {
            return Err(self.changed("another hub has read other messages"));
        }
        self.generation = header.generation;
        if header.group > 0 && !self.writers.is_next(header.writer, header.group) {
            return Ok(Verdict::Repeated);
        }
        if header.read_through + WINDOW < place {
            return Ok(Verdict::Late);
        }
        if !self.window.has_after(header.read_through) {
            return Ok(Verdict::Unsure);
        }
        Ok(Verdict::Counts)
    }

    /// Takes the entries of a message, and returns the outcome of each record; `None` if the message was read
    /// before.
    fn take(
        &mut self,
        stored: Stored<'_>,
        message: &Message,
        verdict: Verdict,
        keys: &mut Vec<(IdempotencyKey, Sequence)>,
        fed: &mut Fed,
    ) -> Option<Vec<Outcome>> {
        let refused = |why| Some(vec![Outcome::NotCommitted(why); message.count]);
        match verdict {
            Verdict::Counts | Verdict::Unsure => {}
            Verdict::Repeated => return None,
            Verdict::Late => return refused(NotCommitted::Unreachable),
            Verdict::Stale => return refused(NotCommitted::Stopped),
        }
        // A record of an unknown kind has its place, and nobody waits for it.
        let mut outcomes = vec![Outcome::Unknown; message.count];
        let read = end_of(message.header.read_through);
        let time = stored.time.unix_millis();
        let by = Reader { message: stored.place, time, writer: message.header.writer, read };
        self.order.begin_message(stored.place.saturating_sub(WINDOW));
        // Earlier messages, which this hub has not read, may have used a key, or begun a stream.
        let is_unsure = verdict == Verdict::Unsure;
        let mut whole = Whole::default();
        for (index, (entry, key)) in message.records.iter().enumerate() {
            let following = &message.records[index + 1..];
            let is_repeated = |key: &IdempotencyKey| self.first_use(key, keys, read).is_some();
            let decides = (&self.order, by);
            if let Some(announced) = Whole::announced(entry, following, decides, is_repeated) {
                whole = announced;
                continue;
            }
            let fate = whole.fate(entry);
            let at = entry.sequence.get() as usize;
            let sequence = sequence(stored.place, at);
            if is_unsure || matches!(fate, Fate::Unsure) || self.order.is_unsure(entry, by) {
                self.order.lose(entry, stored.place);
                if let Some(key) = key {
                    keys.push((key.clone(), sequence));
                    self.remember(key, sequence, stored);
                }
                if !self.is_copied(stored.place) {
                    fed.lose_one(sequence);
                }
                continue;
            }
            if let Some(first) = key.as_ref().and_then(|key| self.first_use(key, keys, read)) {
                self.order.skip();
                outcomes[at] = Outcome::Duplicate(first);
                continue;
            }
            if let Fate::Refused(why) = fate {
                outcomes[at] = Outcome::Refused(why);
                continue;
            }
            let mut entry = entry.clone();
            (entry.sequence, entry.time) = (sequence, stored.time);
            let entry = match self.order.take(entry, by) {
                Taken::Void(outcome) => {
                    outcomes[at] = outcome;
                    continue;
                }
                Taken::Told(entry) => {
                    outcomes[at] = Outcome::Void;
                    if !self.is_copied(stored.place) {
                        fed.push_to_copy(entry);
                    }
                    continue;
                }
                Taken::Entry(entry, outcome) => {
                    outcomes[at] = outcome;
                    entry
                }
            };
            if let Some(key) = key {
                keys.push((key.clone(), sequence));
                self.remember(key, sequence, stored);
            }
            if !self.is_copied(stored.place) {
                fed.push(entry, key.as_ref());
            }
        }
        Some(outcomes)
    }

    /// Remembers a key, unless the hub's own copy has it.
    fn remember(&mut self, key: &IdempotencyKey, sequence: Sequence, stored: Stored<'_>) {
        if !self.is_copied(stored.place) {
            self.keys.remember(key, sequence, stored.time);
        }
    }

    /// The first use of a key, if it is in the latest messages that the writer had not read, or in this one.
    fn first_use(
        &self,
        key: &IdempotencyKey,
        keys: &[(IdempotencyKey, Sequence)],
        read: Sequence,
    ) -> Option<Sequence> {
        let in_message = || keys.iter().find(|(other, _)| other == key).map(|(_, first)| *first);
        // A use that the writer had read does not count, and must not hide a second use within the message: a hub
        // that never had the first one comes to the same.
        self.window.first_use(key).filter(|first| *first > read).or_else(in_message)
    }

    fn changed(&self, why: &'static str) -> Stopped {
        Stopped::PastChanged { why, generation: self.generation() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Counts,
    /// It counts, but what of it does depends on messages that this hub has not read.
    Unsure,
    /// Its writer had not read enough.
    Late,
    /// Its writer has opened an older generation.
    Stale,
    /// The store has it twice.
    Repeated,
}

/// The newest group of each writer.
#[derive(Default)]
struct Writers {
    newest: HashMap<u64, u64>,
    /// In the order in which they were first seen.
    order: VecDeque<u64>,
}

/// Writers that are remembered: every start of a hub is one.
const WRITERS_MAX: usize = 4096;

impl Writers {
    /// Notes a group. Returns whether it is newer than all others of its writer.
    fn is_next(&mut self, writer: u64, group: u64) -> bool {
        if let Some(newest) = self.newest.get_mut(&writer) {
            let is_newer = group > *newest;
            *newest = group.max(*newest);
            return is_newer;
        }
        self.newest.insert(writer, group);
        self.order.push_back(writer);
        if self.order.len() > WRITERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.newest.remove(&oldest);
        }
        true
    }
}
