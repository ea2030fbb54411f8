//! Lists the streams of a shard, and closes those of a subject.
//!
//! Slots are visited in portions, so that the shard is never locked for long.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use tidings_hub::View;

use super::super::gathered::Framing;
use super::super::reason::Reason;
use super::super::slot::{Cold, Hot, Permit, Tick};
use super::super::socket::Socket;
use super::{Shard, Tap};
use crate::engine::subject::Subject;

/// The number of slots visited at once: some tens of microseconds, names and addresses included.
const PORTION: usize = 256;

/// A stream as it is listed.
pub(crate) struct Seen<'a, S, P> {
    /// Its number, unique while the stream is open.
    pub(crate) key: usize,
    tap: &'a Tap,
    now: Tick,
    hot: &'a Hot<S>,
    cold: &'a Cold<P>,
}

impl<S: Socket, P: Permit> Shard<S, P> {
    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Visits a portion of the streams, starting at a number, until `visit` breaks off; returns the
    /// number of the next portion. The more questions are asked about each stream, the smaller is the portion.
    pub(crate) fn see(
        &mut self,
        from: usize,
        questions: usize,
        mut visit: impl FnMut(Seen<'_, S, P>) -> ControlFlow<()>,
    ) -> Option<usize> {
        let (tap, now) = (&self.tap, self.now);
        let portion = (PORTION / questions.max(1)).max(1);
        let mut to = self.slots.bound().min(from.saturating_add(portion));
        for key in from..to {
            if let Some((hot, cold)) = self.slots.get(key)
                && visit(Seen { key, tap, now, hot, cold }).is_break()
            {
                to = key + 1;
                break;
            }
        }
        Some(to).filter(|to| *to < self.slots.bound())
    }

    /// Closes the selected streams in a portion, starting at a number; returns the number of the
    /// next portion.
    pub(crate) fn close_some(
        &mut self,
        from: usize,
        mut is_selected: impl FnMut(Seen<'_, S, P>) -> bool,
    ) -> Option<usize> {
        let to = self.slots.bound().min(from.saturating_add(PORTION));
        for key in from..to {
            let (tap, now) = (&self.tap, self.now);
            let is_closed = self.slots.get(key).is_some_and(|(hot, cold)| {
                cold.ending.is_none() && is_selected(Seen { key, tap, now, hot, cold })
            });
            if is_closed {
                self.end(key, Reason::Completed);
            }
        }
        Some(to).filter(|to| *to < self.slots.bound())
    }
}

impl<S, P> Seen<'_, S, P> {
    pub(crate) fn view(&self) -> View {
        self.tap.view_of(&self.cold.reader)
    }

    /// Returns whether its grant is limited.
    pub(crate) fn is_limited(&self) -> bool {
        self.cold.reader.is_limited()
    }

    /// Returns whether it is sent events of the topic.
    pub(crate) fn reads(&self, topic: &tidings_hub::Topic) -> bool {
        self.tap.reads(&self.cold.reader, topic)
    }

    /// The subjects that it belongs to: its own, and its token's.
    pub(crate) fn subjects(&self) -> [Option<&Subject>; 2] {
        self.cold.subjects()
    }

    /// The address of the client, if a proxy tells it.
    pub(crate) fn told_address(&self) -> Option<SocketAddr> {
        self.cold.address()
    }

    pub(crate) fn socket(&self) -> &S {
        &self.hot.socket
    }

    pub(crate) fn framing(&self) -> Framing {
        self.hot.framing
    }

    /// Returns whether events are waiting for it.
    pub(crate) fn is_behind(&self) -> bool {
        self.hot.is_behind()
    }

    /// The time since it was opened.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(100) * self.now.saturating_sub(self.cold.since)
    }
}
