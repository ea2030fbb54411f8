//! A shard: slots, what they are sent, and when they end.
//!
//! ```text
//!            adopt                 cursor at the tail
//!   (new) ─────────▶ BEHIND, ready ───────────────────▶ LIVE
//!                     │  ▲      ▲                        │ run that does not follow its
//!     socket is full  │  │      └────────────────────────┘ cursor, dropped tap, pattern
//!                     ▼  │ writable
//!                    BEHIND, blocked
//! ```
//!
//! A live slot is sent the runs that its tap brings, gathered once for all slots of a topic (a
//! [`Sweep`]). A slot that is behind reads from its cursor, as much as fits one write at a time, in a
//! queue with the others. A slot whose socket is full is forgotten until the kernel says that it is
//! writable. Generic over the socket, without a thread, a clock or a poll of its own: those are in
//! `thread`.

mod pass;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use slab::Slab;
use tidings_hub::tap::{Drained, Hint, Read, Tap, TopicKey};

use super::gathered::Gathered;
use super::slot::{Adopted, Reason, Slot, State};
use super::socket::{Socket, write_some};
use super::sweep::{Sweep, Sweeps};

/// What a shard goes by.
#[derive(Clone, Debug)]
pub(crate) struct ShardConfig {
    /// Silence after which a heartbeat is sent at the latest.
    pub(crate) heartbeat_interval: Duration,
    /// How long a stream lasts at most.
    pub(crate) stream_age_max: Option<Duration>,
    /// How long a socket may take nothing.
    pub(crate) stall_timeout: Duration,
    /// The reconnection time that streams announce when they are drained; a random part is added.
    pub(crate) reconnection_time: Duration,
}

/// One thread's subscribers.
#[derive(Debug)]
pub(crate) struct Shard<S, P> {
    config: ShardConfig,
    slots: Slab<Slot<S, P>>,
    /// Slots with exactly one exact topic, by topic.
    single: HashMap<TopicKey, Vec<u32>>,
    /// Slots with several topics or patterns: told that there is something, they read.
    others: Vec<u32>,
    ready: VecDeque<u32>,
    sweeps: Sweeps,
    hints: Vec<Hint>,
    gathered: Gathered,
    now: u64,
    /// How far the pass over all slots has come; `None` between passes.
    pass: Option<usize>,
    next_pass: u64,
    is_closing: bool,
    /// Sockets of streams that have ended, and until when they wait for their clients.
    lingering: Vec<(S, u64)>,
    left: Vec<Reason>,
    delivered: u64,
}

/// Bytes read from history for one write.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Bytes after a request that are read and thrown away; more is not a mistake but an attempt.
const DISCARDED_BYTES_MAX: u16 = 1024;

impl<S: Socket, P> Shard<S, P> {
    pub(crate) fn new(config: ShardConfig) -> Self {
        Self {
            config,
            slots: Slab::new(),
            single: HashMap::new(),
            others: Vec::new(),
            ready: VecDeque::new(),
            sweeps: Sweeps::default(),
            hints: Vec::new(),
            gathered: Gathered::default(),
            now: 0,
            pass: None,
            next_pass: 0,
            is_closing: false,
            lingering: Vec::new(),
            left: Vec::new(),
            delivered: 0,
        }
    }

    /// Moves the shard's time on.
    pub(crate) fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(millis(now));
    }

    /// The reasons for which slots were removed since the last call.
    pub(crate) fn take_left(&mut self) -> Vec<Reason> {
        std::mem::take(&mut self.left)
    }

    /// Events delivered since the last call.
    pub(crate) fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.delivered)
    }

    /// Removes a slot whose socket cannot be waited for.
    pub(crate) fn abandon(&mut self, key: usize) {
        drop(self.remove(key, Reason::Broken));
    }

    pub(crate) fn socket(&mut self, key: usize) -> Option<&mut S> {
        self.slots.get_mut(key).map(|slot| &mut slot.socket)
    }

    /// Adds a slot: the one function that does. It starts behind.
    pub(crate) fn add(&mut self, adopted: Adopted<S, P>) -> usize {
        let Adopted { socket, mut reader, client, framing, mut head, discarded, place } = adopted;
        let mut preamble = Vec::new();
        reader.write_preamble(client, &mut preamble);
        framing.frame(&preamble, &mut head);
        let ends_at = match self.config.stream_age_max {
            Some(age_max) => {
                let age_max = millis(age_max);
                self.now + age_max - fastrand::u64(0..=age_max / 10)
            }
            None => u64::MAX,
        };
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        let list = match reader.topics() {
            [topic] => self.single.entry(*topic).or_default(),
            _ => &mut self.others,
        };
        list.push(key as u32);
        entry.insert(Slot {
            socket,
            list_at: (list.len() - 1) as u32,
            reader,
            rest: head.into(),
            client,
            framing,
            state: State::Open,
            is_behind: true,
            is_writable: true,
            is_queued: false,
            discarded,
            sent_at: self.now,
            ends_at: if self.is_closing { self.now } else { ends_at },
            _place: place,
        });
        self.enqueue(key);
        key
    }

    /// Removes a slot: the one function that does.
    fn remove(&mut self, key: usize, reason: Reason) -> Option<Slot<S, P>> {
        let slot = self.slots.try_remove(key)?;
        let at = slot.list_at as usize;
        let topic = match slot.reader.topics() {
            [topic] => Some(*topic),
            _ => None,
        };
        let list = match topic {
            Some(topic) => self.single.get_mut(&topic),
            None => Some(&mut self.others),
        };
        if let Some(list) = list {
            list.swap_remove(at);
            if let Some(&moved) = list.get(at) {
                self.slots[moved as usize].list_at = at as u32;
            } else if list.is_empty()
                && let Some(topic) = topic
            {
                self.single.remove(&topic);
            }
        }
        self.left.push(reason);
        Some(slot)
    }

    fn enqueue(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        slot.is_behind = true;
        if slot.is_writable && !slot.is_queued {
            slot.is_queued = true;
            self.ready.push_back(key as u32);
        }
    }

    /// The kernel says that the socket takes bytes again.
    pub(crate) fn handle_writable(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if !slot.is_writable {
            slot.is_writable = true;
            slot.sent_at = self.now;
            self.enqueue(key);
        }
    }

    /// The kernel says that the peer has sent something, or will send nothing more.
    pub(crate) fn handle_readable(&mut self, key: usize) {
        let mut buffer = [0; 512];
        while let Some(slot) = self.slots.get_mut(key) {
            let reason = match slot.socket.read(&mut buffer) {
                Ok(0) => Reason::Left,
                Ok(n) => {
                    slot.discarded = slot.discarded.saturating_add(n as u16);
                    if slot.discarded <= DISCARDED_BYTES_MAX {
                        continue;
                    }
                    Reason::Talked
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => Reason::Broken,
            };
            let state = slot.state;
            return drop(self.remove(key, slot_reason(state, reason)));
        }
    }

    /// Takes in what the tap holds and does some of what is to be done, about `writes` writes; `true`
    /// if there is more.
    pub(crate) fn turn(&mut self, tap: &Tap, mut writes: usize) -> bool {
        self.take_hints(tap);
        while writes > 0 && !(self.sweeps.is_empty() && self.ready.is_empty()) {
            // Sweeps and readers take turns, so that neither waits for all of the other.
            let slice = (writes / 2).max(1);
            writes -= self.sweep(slice).min(writes);
            writes -= self.read(slice).min(writes);
        }
        self.pass();
        self.pass.is_some() || !self.sweeps.is_empty() || !self.ready.is_empty()
    }

    fn take_hints(&mut self, tap: &Tap) {
        let mut hints = std::mem::take(&mut self.hints);
        if tap.drain(&mut hints) == Drained::Dropped {
            self.sweeps.clear();
            let live = self.slots.iter().filter(|(_, slot)| !slot.is_behind);
            let live: Vec<_> = live.map(|(key, _)| key).collect();
            live.into_iter().for_each(|key| self.enqueue(key));
        }
        for hint in &hints {
            for (at, run) in hint.runs().iter().enumerate() {
                if self.single.contains_key(&run.topic()) {
                    self.sweeps.add(hint, at);
                }
            }
        }
        if !hints.is_empty() {
            self.rouse_others(&hints);
        }
        hints.clear();
        self.hints = hints;
    }

    /// Tells the slots with several topics or patterns that there is something.
    fn rouse_others(&mut self, hints: &[Hint]) {
        for at in 0..self.others.len() {
            let key = self.others[at] as usize;
            let slot = &self.slots[key];
            let runs = || hints.iter().flat_map(|hint| hint.runs());
            let concerns = slot.reader.has_pattern()
                || runs().any(|run| slot.reader.topics().contains(&run.topic()));
            if concerns && !slot.is_behind {
                self.enqueue(key);
            }
        }
    }

    /// Does a slice of the sweep whose turn it is; the answer is the number of slots visited.
    fn sweep(&mut self, slice: usize) -> usize {
        let Some(mut sweep) = self.sweeps.take() else { return 0 };
        let mut visited = 0;
        while visited < slice {
            // From the end: a slot that is removed is replaced by one that has been visited.
            let Some(list) = self.single.get(&sweep.topic) else { return visited };
            let next = sweep.next.map_or(list.len(), |next| next.min(list.len()));
            let Some(at) = next.checked_sub(1) else { return visited };
            let key = list[at] as usize;
            sweep.next = Some(at);
            self.offer(key, &mut sweep);
            visited += 1;
        }
        self.sweeps.put_back(sweep);
        visited
    }

    /// Sends a sweep's events to a slot that stands just before them.
    fn offer(&mut self, key: usize, sweep: &mut Sweep) {
        let slot = &mut self.slots[key];
        let after = slot.reader.after();
        if slot.is_behind || sweep.last().is_some_and(|last| last <= after) {
            return;
        }
        let follows = sweep.previous <= after
            && sweep.first().is_some_and(|first| after < first)
            && !sweep.is_special;
        if !follows {
            return self.enqueue(key);
        }
        let gathered = sweep.gathered(slot.framing);
        match deliver(slot, gathered, self.now) {
            Ok(delivered) => self.delivered += delivered,
            Err(_) => drop(self.remove(key, Reason::Broken)),
        }
    }

    /// Lets slots that are behind read; the answer is the number of those that did.
    fn read(&mut self, slice: usize) -> usize {
        for visited in 0..slice {
            let Some(key) = self.ready.pop_front() else { return visited };
            self.catch_up(key as usize);
        }
        slice
    }

    /// Writes a slot's rest and then, once, what comes next for it.
    fn catch_up(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.is_queued) else { return };
        slot.is_queued = false;
        let (written, state) = (slot.write_rest(self.now), slot.state);
        match written {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return drop(self.remove(key, slot_reason(state, Reason::Broken))),
        }
        match state {
            State::Open => {}
            State::Ending(reason) => return self.finish(key, reason),
        }
        let (gathered, framing) = (&mut self.gathered, slot.framing);
        gathered.clear();
        let before = slot.reader.after();
        let read =
            slot.reader.read(READ_BYTES_MAX, |block, index| gathered.push(block, index, framing));
        let at = slot.reader.after();
        if !gathered.is_empty() {
            slot.reader.stand_after(before);
            match deliver(slot, gathered, self.now) {
                Ok(delivered) => self.delivered += delivered,
                Err(_) => return drop(self.remove(key, Reason::Broken)),
            }
            if !slot.is_writable {
                return;
            }
            slot.reader.stand_after(at);
        }
        match read {
            Read::Tail => slot.is_behind = false,
            Read::Full => self.enqueue(key),
            Read::Ended => self.end(key, Reason::Completed),
            Read::Gap(gap) => {
                slot.put_first(|_, text| gap.write(text));
                self.enqueue(key);
            }
        }
    }
}

impl<S: Socket, P> Slot<S, P> {
    /// Puts a text that is no event of history before whatever comes next. The slot has no rest.
    fn put_first(&mut self, write: impl FnOnce(&Self, &mut Vec<u8>)) {
        let (mut text, mut framed) = (Vec::new(), Vec::new());
        write(self, &mut text);
        self.framing.frame(&text, &mut framed);
        self.rest = framed.into();
    }

    /// Writes what must go first; `false` if the socket took only some of it.
    fn write_rest(&mut self, now: u64) -> std::io::Result<bool> {
        if self.rest.is_empty() {
            return Ok(true);
        }
        let written = write_some(&mut self.socket, &self.rest)?;
        if written > 0 {
            self.sent_at = now;
        }
        self.rest = self.rest[written..].into();
        self.is_writable = self.rest.is_empty();
        Ok(self.is_writable)
    }
}

/// Writes gathered events, which follow the slot's cursor, and moves the cursor past those that were
/// at least begun; the answer is how many.
fn deliver<S: Socket, P>(
    slot: &mut Slot<S, P>,
    gathered: &Gathered,
    now: u64,
) -> std::io::Result<u64> {
    let written = write_some(&mut slot.socket, gathered.bytes())?;
    if written > 0 {
        slot.sent_at = now;
    }
    if written == gathered.bytes().len() {
        if let Some(last) = gathered.last() {
            slot.reader.advance(last);
        }
        return Ok(gathered.len() as u64);
    }
    let cut = gathered.cut(written);
    if let Some(sequence) = cut.sequence {
        slot.reader.advance(sequence);
    }
    slot.rest = cut.rest.into();
    slot.is_behind = true;
    slot.is_writable = false;
    Ok(cut.begun)
}

/// Why a slot is gone: what ended it, if its end has begun.
fn slot_reason(state: State, otherwise: Reason) -> Reason {
    match state {
        State::Open => otherwise,
        State::Ending(reason) => reason,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}
