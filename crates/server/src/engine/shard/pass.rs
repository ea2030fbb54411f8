//! The pass over all slots: heartbeats, ends, clients that accept no bytes, and the memory that is
//! kept for them.
//!
//! One pass every second or so, in portions, instead of a timer for each slot.

use std::time::Duration;

use tidings_hub::engine::{Silence, drain_delay, parting, quiet_max, return_time};
use tidings_proto::encode_retry;

use super::super::gathered::SharedEvent;
use super::super::reason::Reason;
use super::super::slot::{Permit, Rest, Room, Tick};
use super::super::socket::Socket;
use super::{Shard, enqueue, framed, ticks};

/// The number of slots that one turn of the pass visits.
const PASS_SLOTS: usize = 1024;
/// The time after which a client that accepts no bytes counts as stopped. A client that is only slow,
/// such as one of many that replay at once, is not closed for the memory that is kept for it.
const STOPPED: Duration = Duration::from_secs(5);
/// The time that the client of an ended stream has to close the connection.
const LINGER: Duration = Duration::from_secs(2);

impl<S: Socket, P: Permit> Shard<S, P> {
    /// Ends all streams, spread over this time.
    pub(crate) fn drain(&mut self, over: Duration) {
        self.is_closing = true;
        for cold in self.slots.iter_cold() {
            cold.ends_at = cold.ends_at.min(self.now.saturating_add(ticks(drain_delay(over))));
        }
        self.next_pass = self.now;
    }

    /// The time between two passes: so short that only a small part of the slots is due for a
    /// heartbeat in each, and that no heartbeat is late even if the hub's ticks are irregular.
    fn pass_interval(&self) -> Tick {
        /// A pass over a million slots takes some milliseconds.
        const PASS_MAX: Tick = 50;
        if self.is_closing {
            return 1;
        }
        (ticks(self.config.heartbeat_interval) / 15).clamp(1, PASS_MAX)
    }

    /// Begins the end of a stream: its last bytes are written, and then its client should close.
    pub(super) fn end(&mut self, key: usize, reason: Reason) {
        let (hot, cold) = self.slots.both(key);
        let rest = cold.rest.get_or_insert_with(|| Box::new(Rest::own(Vec::new())));
        if reason == Reason::Drained {
            let retry = return_time(self.config.reconnection_time);
            rest.extend(&framed(hot.framing, |text| encode_retry(retry, text)));
        }
        if reason == Reason::Completed
            && let Some(parting) = parting(cold.client)
        {
            rest.extend(&framed(hot.framing, |text| text.extend_from_slice(parting)));
        }
        rest.extend(hot.framing.end());
        cold.ending = Some(reason);
        // A client that accepts no bytes must not delay the end.
        cold.ends_at = self.now + ticks(LINGER);
        enqueue(key as u32, hot, &mut self.ready);
    }

    /// Removes a slot whose stream is written to its end. Its socket waits for the client to close:
    /// a close with unread bytes would reset the connection, and the end of the stream would be
    /// lost.
    pub(super) fn finish(&mut self, key: usize, reason: Reason) {
        if let Some((mut socket, permit)) = self.remove(key, reason) {
            socket.finish();
            self.lingering.push((socket, permit.linger(), self.now + ticks(LINGER)));
        }
    }

    /// Closes the sockets whose clients have closed or had the time to. Bytes that a client still
    /// sends are discarded: a close with unread bytes would reset the connection.
    fn let_go(&mut self) {
        let now = self.now;
        self.lingering.retain_mut(|(socket, _, until)| now < *until && discard(socket));
    }

    /// Does a portion of the pass over all slots, if it is time: heartbeats and ends.
    pub(super) fn pass(&mut self) {
        let Some(from) = self.pass.or_else(|| (self.now >= self.next_pass).then_some(0)) else {
            return;
        };
        let to = from + PASS_SLOTS;
        if from == 0 {
            self.next_end = Tick::MAX;
        }
        for key in from..to.min(self.slots.bound()) {
            self.note_rest(key);
            self.visit(key);
        }
        self.pass = Some(to).filter(|to| *to < self.slots.bound());
        if self.pass.is_none() {
            self.limit_rests();
            self.let_go();
            // Streams end on time: a token may set that time.
            let next_end = self.next_end.max(self.now + 1);
            self.next_pass = (self.now + self.pass_interval()).min(next_end);
        }
    }

    /// Notes the slot if it has stopped in an event that history has evicted.
    fn note_rest(&mut self, key: usize) {
        if let Some(event) = self.stopped_in(key) {
            self.evicted.add(event.block.first(), event.block.bytes(), key as u32);
        }
    }

    /// The evicted event in which a slot's client has stopped taking bytes.
    fn stopped_in(&self, key: usize) -> Option<SharedEvent> {
        let (hot, cold) = self.slots.see(key)?;
        let has_stopped = self.now.saturating_sub(hot.sent_at) >= ticks(STOPPED);
        let event = cold.rest.as_deref().filter(|_| has_stopped)?.shared_event()?;
        (!self.tap.hub().holds(event.sequence())).then(|| event.clone())
    }

    /// Closes slots whose rests keep too much memory, after a pass over all of them.
    fn limit_rests(&mut self) {
        for key in self.evicted.take_beyond(self.tap.hub().evicted_bytes_max()) {
            let key = key as usize;
            // It may have ended during the pass, and its number may be another slot's.
            if self.stopped_in(key).is_some() {
                drop(self.remove(key, Reason::ClientStalled));
            }
        }
    }

    fn visit(&mut self, key: usize) {
        let heartbeat = u64::from(ticks(self.config.heartbeat_interval));
        let Some((hot, cold)) = self.slots.get(key) else { return };
        let quiet = self.now.saturating_sub(hot.sent_at);
        let silence = cold.pings().map_or(heartbeat, |pings| pings.silence(heartbeat));
        let sent_at = u64::from(hot.sent_at);
        let quiet_max = || quiet_max(silence, key as u64, sent_at);
        let is_quiet = || u64::from(quiet) >= quiet_max();
        if silence < heartbeat && hot.is_writable() {
            // Passes are only as frequent as heartbeats need.
            let due_at = sent_at + quiet_max();
            self.next_end = self.next_end.min(Tick::try_from(due_at).unwrap_or(Tick::MAX));
        }
        let is_over = self.now >= cold.ends_at;
        if !is_over {
            self.next_end = self.next_end.min(cold.ends_at);
        }
        match cold.ending {
            // If the socket is writable, the end is in the queue, however long the queue is.
            Some(reason) if is_over && !hot.is_writable() => drop(self.remove(key, reason)),
            Some(_) => {}
            None if is_over => {
                let reason = if self.is_closing { Reason::Drained } else { Reason::TimedOut };
                self.end(key, reason);
            }
            None if !hot.is_writable() && quiet >= ticks(self.config.stall_timeout) => {
                hot.room = Room::Trial;
                enqueue(key as u32, hot, &mut self.ready);
            }
            None if hot.is_waiting() && is_quiet() => {
                if !hot.is_behind() && cold.reader.only_topic().is_none() {
                    // Its place stays near the tail: nothing up to there was for it.
                    hot.after = hot.after.max(self.offered_through);
                }
                let is_ping = cold.pings().is_some_and(|pings| {
                    pings.is_due(self.now.into(), heartbeat, hot.sent_at.into())
                });
                let kind = (cold.client, if is_ping { Silence::Ping } else { Silence::Comment });
                cold.put_first(framed(hot.framing, |text| {
                    self.tap.write_heartbeat(&cold.reader, hot.after, kind, text);
                }));
                enqueue(key as u32, hot, &mut self.ready);
            }
            None => {}
        }
    }
}

/// Reads and discards some bytes of the peer; returns `false` if the peer has closed.
fn discard(socket: &mut impl Socket) -> bool {
    /// The maximum number of bytes per visit: a client that sends more is not about to close.
    const BYTES_MAX: usize = 4096;
    let mut buffer = [0; BYTES_MAX];
    match socket.read(&mut buffer) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
