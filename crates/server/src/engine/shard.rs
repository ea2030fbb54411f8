//! A shard: its slots, the events that they are sent, and their ends.
//!
//! ```text
//!            adopt                 cursor at the tail
//!   (new) ─────────▶ BEHIND, ready ───────────────────▶ LIVE
//!                     │  ▲  │  ▲  ▲                      │ run that does not follow its
//!     socket is full  │  │  │  │  └──────────────────────┘ cursor, dropped tap
//!                     │  │  │  │ page, by the tap
//!                     │  │  └──┴▶ BEHIND, waiting for its page
//!                     ▼  │ writable
//!                    BEHIND, blocked
//! ```
//!
//! A live slot is sent the runs that its tap brings, gathered once for all slots of a topic (a
//! [`Sweep`](super::sweep::Sweep)). A slot that is behind reads from its cursor, one write at a
//! time, in a queue with the others. A slot whose socket is full is left alone until the kernel
//! reports it writable. Generic over the socket, without a thread, a clock or a poll of its own:
//! those are in `thread`.

mod pass;
pub(super) mod roster;
mod send;
mod tell;

use self::send::{deliver, framed, write_rest};

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidings_hub::engine::{Hint, OnEnd, Pings, Read, Tap, TurnMax, lifetime, without_id};
use tidings_hub::{GapShape, HubConfig, Sequence, StreamEnd};
use tidings_proto::encode;

use super::gathered::Gathered;
use super::lists::Lists;
use super::reason::Reason;
use super::slot::{
    Adopted, Checked, Cold, Extras, Hot, Permit, Room, Slots, Standing, Subscription, Tick,
};
use super::socket::Socket;
use super::stream_spec::StreamSpec;
use super::sweep::Sweeps;
use crate::auth::access::is_closed;
use crate::config::ServerConfig;
use crate::evicted::EvictedRests;

/// The configuration of a shard.
#[derive(Clone, Debug)]
pub(crate) struct ShardConfig {
    /// Heartbeat interval: a heartbeat is sent after this much silence at the latest.
    pub(crate) heartbeat_interval: Duration,
    /// The maximum age of a stream.
    pub(crate) stream_age_max: Option<Duration>,
    /// The time after which a socket that accepts no bytes is closed.
    pub(crate) stall_timeout: Duration,
    /// The reconnection time that streams announce when they are drained; a random part is added.
    pub(crate) reconnection_time: Duration,
}

impl ShardConfig {
    pub(crate) fn new(server: &ServerConfig, hub: &HubConfig) -> Self {
        Self {
            heartbeat_interval: hub.heartbeat_interval,
            stream_age_max: hub.stream_age_max,
            stall_timeout: server.stall_timeout,
            reconnection_time: hub.reconnection_time,
        }
    }
}

/// One thread's subscribers.
#[derive(Debug)]
pub(crate) struct Shard<S, P: Permit> {
    config: ShardConfig,
    tap: Arc<Tap>,
    slots: Slots<S, P>,
    lists: Lists,
    ready: VecDeque<u32>,
    sweeps: Sweeps,
    hints: Vec<Hint>,
    /// Slots that waited for the journal and can go on.
    answered: Vec<u32>,
    /// The newest entry that the tap has brought.
    told_through: Sequence,
    /// Up to here all that the tap has brought was offered to the slots that read it.
    offered_through: Sequence,
    gathered: Gathered,
    now: Tick,
    /// The next slot of the pass over all slots; `None` between passes.
    pass: Option<usize>,
    next_pass: Tick,
    evicted: EvictedRests<u32>,
    /// The earliest end among the slots that the current pass has visited.
    next_end: Tick,
    is_closing: bool,
    /// Sockets of ended streams, and the time until which they wait for their clients to close.
    lingering: Vec<(S, P::Lingering, Tick)>,
    /// Slots whose sockets failed in the current slice.
    broken: Vec<u32>,
    /// Slots whose sockets became full since the last call of [`Shard::take_refused`].
    refused: Vec<u32>,
    end_reasons: Vec<Reason>,
    /// Hooks of ended streams that have not run yet. A hook may publish, which wakes this shard, so
    /// the shard must not be locked while hooks run.
    ended: Vec<(OnEnd, StreamEnd)>,
    delivered: u64,
}

/// The limits of one slot's read: bytes of one write, and steps of looking, which take about as long.
const READ_MAX: TurnMax = TurnMax { bytes: 64 * 1024, steps: 1024 };
/// Steps of looking that count as one write, so that slots whose patterns match little do not keep the
/// others waiting.
const STEPS_OF_A_WRITE: usize = 64;
/// Bytes that count as one write more.
const BYTES_OF_A_WRITE: usize = 8 * 1024;
/// The same for a slot that is behind: its bytes are gathered for it alone.
const BYTES_OF_A_READ: usize = 2 * 1024;
/// Writes that slots which are behind may do before events that have come meanwhile are looked for: some tens of
/// microseconds, or one write of the largest size.
pub(super) const READ_SLICE: usize = 16;
/// Writes of slots that are behind after which a turn ends: some hundred microseconds, for which others may wait on a
/// machine whose cores are all busy.
pub(super) const READS_OF_A_TURN: usize = 64;
/// Room for a preamble with a place.
const PREAMBLE_BYTES: usize = 128;
/// The maximum number of bytes after a request that are discarded. More is an attack, not a
/// mistake.
const DISCARDED_BYTES_MAX: u16 = 1024;

impl<S: Socket, P: Permit> Shard<S, P> {
    pub(crate) fn new(config: ShardConfig, tap: Arc<Tap>) -> Self {
        Self {
            config,
            tap,
            slots: Slots::new(),
            lists: Lists::default(),
            ready: VecDeque::new(),
            sweeps: Sweeps::default(),
            hints: Vec::new(),
            answered: Vec::new(),
            told_through: Sequence::ZERO,
            offered_through: Sequence::ZERO,
            gathered: Gathered::default(),
            now: 0,
            pass: None,
            next_pass: 0,
            evicted: EvictedRests::default(),
            next_end: Tick::MAX,
            is_closing: false,
            lingering: Vec::new(),
            broken: Vec::new(),
            refused: Vec::new(),
            end_reasons: Vec::new(),
            ended: Vec::new(),
            delivered: 0,
        }
    }

    /// Advances the shard's time.
    pub(crate) fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(ticks(now));
    }

    /// Takes the reasons for which slots were removed since the last call.
    pub(crate) fn take_end_reasons(&mut self) -> Vec<Reason> {
        std::mem::take(&mut self.end_reasons)
    }

    /// Returns whether hooks of ended streams have not run yet.
    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Takes the hooks of ended streams, to be run without holding the shard.
    pub(crate) fn take_ended(&mut self) -> Vec<(OnEnd, StreamEnd)> {
        std::mem::take(&mut self.ended)
    }

    /// Takes the number of events delivered since the last call.
    pub(crate) fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.delivered)
    }

    /// Takes the slots whose sockets became full since the last call. The caller must report when
    /// they become [writable](Shard::handle_writable). Some may have been removed.
    pub(crate) fn take_refused(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.refused)
    }

    /// Removes a slot whose socket cannot be waited for.
    pub(crate) fn abandon(&mut self, key: usize) {
        drop(self.remove(key, Reason::ConnectionFailed));
    }

    pub(crate) fn socket(&mut self, key: usize) -> Option<&mut S> {
        self.slots.hot(key).map(|hot| &mut hot.socket)
    }

    /// Adds a slot: the only function that does. A slot starts behind; if its client has already
    /// sent too much, it is removed at once.
    pub(crate) fn add(&mut self, adopted: Adopted<S, P>) -> usize {
        let Adopted { socket, head, discarded, subscription } = adopted;
        let Subscription { mut reader, framing, spec, permit } = subscription;
        // The subject's streams may have been closed while this one was on its way to the shard.
        let mut is_ended = spec.ends().is_some_and(|ends| reader.is_closed_by(ends));
        let StreamSpec {
            client,
            shape,
            subject,
            greeting,
            timeout,
            on_end,
            address,
            places,
            grant,
        } = spec;
        let pings = shape.ping.map(|ping| Pings::new(ticks(ping).into(), self.now.into()));
        let (mut preamble, mut first) = (Vec::with_capacity(PREAMBLE_BYTES), head);
        reader.write_preamble(client, shape.gap, &mut preamble);
        if let Some(greeting) = greeting {
            encode(&without_id(&greeting), &mut preamble);
        }
        framing.frame(&preamble, &mut first);
        let ends_at = self.ends_at(timeout);
        let (after, reader) = reader.into_state();
        // So may its topics, by a reload.
        is_ended |= reader.is_limited() && is_closed(&self.tap.view_of(&reader));
        let hot = Hot {
            after,
            socket,
            sent_at: self.now,
            framing,
            standing: Standing::Behind,
            room: Room::Some,
            checked: Checked::of(&reader),
        };
        let mut cold = Cold {
            reader,
            rest: None,
            extras: Extras::new(subject, grant, on_end, (address, places), (shape.gap, pings)),
            permit,
            list_at: 0,
            since: self.now,
            ends_at,
            discarded,
            client,
            ending: None,
        };
        cold.put_first(first);
        cold.list_at = self.lists.add(&cold.reader, self.slots.next_key() as u32);
        let key = self.slots.insert(hot, cold);
        let pinged_at =
            shape.ping.map_or(Tick::MAX, |ping| self.now.saturating_add(ticks(ping) / 2));
        self.next_pass = self.next_pass.min(ends_at).min(pinged_at);
        if discarded > DISCARDED_BYTES_MAX {
            drop(self.remove(key, Reason::ClientSentData));
        } else if is_ended {
            self.end(key, Reason::Completed);
        } else {
            self.enqueue(key);
        }
        key
    }

    /// The time at which a stream that begins now ends.
    fn ends_at(&self, timeout: Option<Duration>) -> Tick {
        if self.is_closing {
            return self.now;
        }
        let lasts = lifetime(self.config.stream_age_max, timeout);
        lasts.map_or(Tick::MAX, |lasts| self.now.saturating_add(ticks(lasts)))
    }

    /// Removes a slot: the only function that does. Returns its socket and its permit.
    fn remove(&mut self, key: usize, reason: Reason) -> Option<(S, P)> {
        let (hot, cold) = self.slots.remove(key)?;
        if let Some(moved) = self.lists.remove(&cold.reader, cold.list_at) {
            self.slots.both(moved as usize).1.list_at = cold.list_at;
        }
        self.tap.release(cold.reader);
        // Once its end has begun, later failures do not change the reason.
        let reason = cold.ending.unwrap_or(reason);
        self.end_reasons.push(reason);
        if let Some(on_end) = cold.extras.and_then(|extras| extras.into_on_end()) {
            self.ended.push((on_end, reason.stream_end()));
        }
        Some((hot.socket, cold.permit))
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(hot) = self.slots.hot(key) {
            enqueue(key as u32, hot, &mut self.ready);
        }
    }

    /// Handles a socket that the kernel reports writable.
    pub(crate) fn handle_writable(&mut self, key: usize) {
        let Some(hot) = self.slots.hot(key) else { return };
        if !hot.is_writable() {
            hot.room = Room::Some;
            hot.sent_at = self.now;
            enqueue(key as u32, hot, &mut self.ready);
        }
    }

    /// Handles a socket on which the peer has sent something or closed its sending side.
    ///
    /// A peer that has closed its sending side counts as gone, though it could still read: a fully
    /// closed connection looks the same until something is written to it, and most are fully
    /// closed. hyper, nginx and Go's server do the same.
    pub(crate) fn handle_readable(&mut self, key: usize) {
        let mut buffer = [0; 512];
        while let Some((hot, cold)) = self.slots.get(key) {
            let reason = match hot.socket.read(&mut buffer) {
                Ok(0) => Reason::ClientClosed,
                Ok(n) => {
                    cold.discarded = cold.discarded.saturating_add(n as u16);
                    if cold.discarded <= DISCARDED_BYTES_MAX {
                        continue;
                    }
                    Reason::ClientSentData
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => Reason::ConnectionFailed,
            };
            return drop(self.remove(key, reason));
        }
    }

    /// Works as [`Shard::turn`], but does nothing if more than `writes` writes are due.
    pub(crate) fn turn_if_small(&mut self, writes: usize) -> bool {
        self.take_hints();
        !self.is_small(writes) || self.work_off(writes)
    }

    /// Drains the tap and does about `writes` of the writes that are due; returns `true` if more
    /// are due.
    pub(crate) fn turn(&mut self, writes: usize) -> bool {
        self.take_hints();
        self.work_off(writes)
    }

    fn work_off(&mut self, mut writes: usize) -> bool {
        let mut reads = writes.min(READS_OF_A_TURN);
        while writes > 0 && !(self.sweeps.is_empty() && (self.ready.is_empty() || reads == 0)) {
            // Sweeps and readers take turns, so that neither waits for all of the other. Readers are behind
            // anyway: an event that comes while they read waits for a few of their writes.
            let slice = (writes / 2).max(1);
            writes -= self.sweep(slice).min(writes);
            let read = self.read(slice.min(READ_SLICE).min(reads));
            reads = reads.saturating_sub(read);
            writes = writes.saturating_sub(read);
            if writes > 0 && !self.ready.is_empty() {
                self.take_hints();
            }
        }
        self.note_clear();
        self.pass();
        self.pass.is_some() || !self.sweeps.is_empty() || !self.ready.is_empty()
    }

    /// Does all that is due; returns how many slots had to read from history.
    #[cfg(test)]
    pub(super) fn reads_in_a_turn(&mut self) -> usize {
        self.take_hints();
        while !self.sweeps.is_empty() {
            self.sweep(usize::MAX);
        }
        let reads = self.ready.len();
        while self.turn(usize::MAX) {}
        reads
    }

    /// Lets slots that are behind read; returns how much of the slice that took.
    fn read(&mut self, slice: usize) -> usize {
        let mut taken = 0;
        while taken < slice {
            let Some(key) = self.ready.pop_front() else { break };
            taken += self.catch_up(key as usize);
        }
        taken
    }

    /// Writes a slot's rest and then, once, the events that come next for it; returns what that cost, in
    /// writes of small events.
    fn catch_up(&mut self, key: usize) -> usize {
        let queued = self.slots.get(key).filter(|(hot, _)| hot.standing == Standing::Queued);
        let Some((hot, cold)) = queued else { return 1 };
        hot.standing = Standing::Behind;
        let is_trial = hot.room == Room::Trial;
        match write_rest(hot, cold, self.now) {
            Ok(true) => match cold.ending {
                None => return self.read_on(key, is_trial),
                Some(reason) => self.finish(key, reason),
            },
            Ok(false) => self.refuse(key, is_trial),
            Err(_) => drop(self.remove(key, Reason::ConnectionFailed)),
        }
        1
    }

    /// Writes, once, the events that come next for a slot; returns what that cost.
    fn read_on(&mut self, key: usize, is_trial: bool) -> usize {
        let (gathered, (hot, mut cold)) = (&mut self.gathered, self.slots.hot_first(key));
        let (mut after, framing) = (hot.after, hot.framing);
        gathered.clear();
        let reader = &mut cold.get().reader;
        let is_of_one = reader.only_topic().is_some();
        let (read, steps) =
            self.tap.read(key as u32, (reader, &mut after), READ_MAX, |block, index| {
                match block.end_for_one(index).filter(|_| is_of_one) {
                    Some(end) => gathered.push_text(block.sequence(index), &end, framing),
                    None => gathered.push(block, index, framing),
                }
            });
        let cost = 1 + gathered.bytes().len() / BYTES_OF_A_READ + steps / STEPS_OF_A_WRITE;
        if gathered.is_empty() {
            hot.room = Room::Some;
        } else {
            let delivered = deliver(hot, &mut cold, gathered, self.now);
            // Its blocks must not outlive their time in history.
            gathered.clear();
            match delivered {
                Ok(delivered) => self.delivered += delivered,
                Err(_) => {
                    drop(self.remove(key, Reason::ConnectionFailed));
                    return cost;
                }
            }
            if !hot.is_writable() {
                // The next read begins after the end of the topic's stream if that has been begun.
                if read == Read::Closed && hot.after >= after {
                    self.end(key, Reason::Completed);
                }
                self.refuse(key, is_trial);
                return cost;
            }
        }
        hot.after = after;
        match read {
            Read::Tail => {
                hot.standing = Standing::Tail;
                cold.get().reader.forget_told();
            }
            Read::Full => enqueue(key as u32, hot, &mut self.ready),
            // Its tap brings it back when the journal has read on.
            Read::Waiting => {}
            Read::Closed => self.end(key, Reason::Completed),
            Read::Gap(_) if cold.get().gap() == GapShape::Close => {
                self.end(key, Reason::EventsLost);
            }
            Read::Gap(gap) => {
                cold.get().put_first(framed(hot.framing, |text| gap.write(text)));
                enqueue(key as u32, hot, &mut self.ready);
            }
        }
        cost
    }

    /// Handles a socket that is full: it is waited for, unless it has accepted nothing for too long and
    /// was [tried once more](Room::Trial).
    fn refuse(&mut self, key: usize, is_trial: bool) {
        let (hot, _) = self.slots.both(key);
        let quiet = self.now.saturating_sub(hot.sent_at);
        if is_trial && quiet >= ticks(self.config.stall_timeout) {
            drop(self.remove(key, Reason::ClientStalled));
        } else {
            self.refused.push(key as u32);
        }
    }
}

impl<S, P: Permit> Drop for Shard<S, P> {
    fn drop(&mut self) {
        self.slots.drain().for_each(|cold| self.tap.release(cold.reader));
    }
}

fn enqueue<S>(key: u32, hot: &mut Hot<S>, ready: &mut VecDeque<u32>) {
    if hot.standing == Standing::Queued {
        return;
    }
    hot.standing = Standing::Behind;
    if hot.is_writable() {
        hot.standing = Standing::Queued;
        ready.push_back(key);
    }
}

/// The cost of writing so many bytes, in writes of small events.
fn write_cost(bytes: usize) -> usize {
    1 + bytes / BYTES_OF_A_WRITE
}

/// A duration in the shard's ticks, rounded up so that no timeout is early.
fn ticks(duration: Duration) -> Tick {
    Tick::try_from(duration.as_millis().div_ceil(100)).unwrap_or(Tick::MAX)
}
