//! The pass over all slots: heartbeats, ends, and readers that take nothing.
//!
//! One pass every few seconds, in portions, instead of a timer for each slot.

use std::time::Duration;

use tidings_proto::encode_retry;

use super::super::slot::{Reason, State};
use super::super::socket::Socket;
use super::{Shard, millis};

/// Slots visited in one go by the pass for heartbeats and ends.
const PASS_SLOTS: usize = 1024;
/// How long the client of a stream that has ended has to close its end.
const LINGER: Duration = Duration::from_secs(2);
/// Spread over which readers come back when a server ends.
const RETURN_SPREAD: Duration = Duration::from_secs(3);

impl<S: Socket, P> Shard<S, P> {
    /// Ends every stream at a time of its own within a time.
    pub(crate) fn drain(&mut self, over: Duration) {
        let over = millis(over);
        self.is_closing = true;
        for (_, slot) in &mut self.slots {
            slot.ends_at = self.now + if over == 0 { 0 } else { fastrand::u64(0..over) };
        }
        self.next_pass = self.now;
    }

    /// Milliseconds between two passes: often enough that no silence is too long.
    fn pass_interval(&self) -> u64 {
        /// A pass over a million slots takes some milliseconds.
        const PASS_MAX: u64 = 5000;
        if self.is_closing {
            return 10;
        }
        (millis(self.config.heartbeat_interval) / 5).clamp(1, PASS_MAX)
    }

    /// Begins the end of a stream: its last bytes are written, and then its client is to close.
    pub(super) fn end(&mut self, key: usize, reason: Reason) {
        let slot = &mut self.slots[key];
        let mut rest = std::mem::take(&mut slot.rest).into_vec();
        if reason == Reason::Drained {
            let spread = Duration::from_millis(fastrand::u64(0..=millis(RETURN_SPREAD)));
            let mut text = Vec::new();
            encode_retry(self.config.reconnection_time + spread, &mut text);
            slot.framing.frame(&text, &mut rest);
        }
        rest.extend_from_slice(slot.framing.end());
        slot.rest = rest.into();
        slot.state = State::Ending(reason);
        // Even to a client that takes nothing, an end is an end.
        slot.ends_at = self.now + millis(LINGER);
        self.enqueue(key);
    }

    /// Removes a slot whose stream is written to its end. Its socket waits for the client to close:
    /// closed at once with bytes unread, it would take the end of the stream with it.
    pub(super) fn finish(&mut self, key: usize, reason: Reason) {
        if let Some(mut slot) = self.remove(key, reason) {
            slot.socket.finish();
            self.lingering.push((slot.socket, self.now + millis(LINGER)));
        }
    }

    /// Lets go of the sockets whose clients have closed, or had the time to.
    fn let_go(&mut self) {
        let now = self.now;
        let mut buffer = [0; 512];
        self.lingering.retain_mut(|(socket, until)| {
            let is_waiting = |read: std::io::Result<usize>| {
                read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
            };
            now < *until && is_waiting(socket.read(&mut buffer))
        });
    }

    /// Does a portion of the pass over all slots, if it is time: heartbeats and ends.
    pub(super) fn pass(&mut self) {
        let Some(from) = self.pass.or_else(|| (self.now >= self.next_pass).then_some(0)) else {
            return;
        };
        let to = from + PASS_SLOTS;
        for key in from..to.min(self.slots.capacity()) {
            if self.slots.contains(key) {
                self.visit(key);
            }
        }
        self.pass = Some(to).filter(|to| *to < self.slots.capacity());
        if self.pass.is_none() {
            self.let_go();
            self.next_pass = self.now + self.pass_interval();
        }
    }

    fn visit(&mut self, key: usize) {
        let quiet_max =
            millis(self.config.heartbeat_interval).saturating_sub(2 * self.pass_interval());
        let slot = &mut self.slots[key];
        let quiet = self.now.saturating_sub(slot.sent_at);
        match slot.state {
            // One whose socket takes bytes has its end in the queue, however long that is.
            State::Ending(reason) if self.now >= slot.ends_at && !slot.is_writable => {
                drop(self.remove(key, reason));
            }
            State::Ending(_) => {}
            State::Open if self.now >= slot.ends_at => {
                let reason = if self.is_closing { Reason::Drained } else { Reason::TimedOut };
                self.end(key, reason);
            }
            State::Open if !slot.is_writable => {
                if quiet >= millis(self.config.stall_timeout) {
                    drop(self.remove(key, Reason::Stalled));
                }
            }
            State::Open if !slot.is_behind && quiet >= quiet_max => {
                slot.put_first(|slot, text| slot.reader.write_heartbeat(slot.client, text));
                self.enqueue(key);
            }
            State::Open => {}
        }
    }
}
