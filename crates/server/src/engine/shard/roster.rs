//! The streams of a shard as those who list and end them see them.
//!
//! All slots are looked at in portions, so that nobody holds the shard for long.

use std::time::Duration;

use tidings_hub::View;

use super::super::gathered::Framing;
use super::super::reason::Reason;
use super::super::slot::{Cold, Hot, Tick};
use super::super::socket::Socket;
use super::{Shard, Tap};
use crate::engine::subject::Subject;

/// Slots looked at in one go: some tens of microseconds, names and addresses included.
const PORTION: usize = 256;

/// A stream as it is listed.
pub(crate) struct Seen<'a, S, P> {
    /// Its number, which nobody else has while it is there.
    pub(crate) key: usize,
    tap: &'a Tap,
    now: Tick,
    hot: &'a Hot<S>,
    cold: &'a Cold<P>,
}

impl<S: Socket, P> Shard<S, P> {
    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Shows a portion of the streams, from a number on; the answer is where to go on.
    pub(crate) fn see(
        &mut self,
        from: usize,
        mut visit: impl FnMut(Seen<'_, S, P>),
    ) -> Option<usize> {
        let (tap, now) = (&self.tap, self.now);
        let to = self.slots.bound().min(from.saturating_add(PORTION));
        for key in from..to {
            if let Some((hot, cold)) = self.slots.get(key) {
                visit(Seen { key, tap, now, hot, cold });
            }
        }
        Some(to).filter(|to| *to < self.slots.bound())
    }

    /// Ends a subject's streams in a portion, from a number on; the answer is where to go on.
    pub(crate) fn end_subject(&mut self, subject: &Subject, from: usize) -> Option<usize> {
        let to = self.slots.bound().min(from.saturating_add(PORTION));
        for key in from..to {
            let is_his = self
                .slots
                .get(key)
                .is_some_and(|(_, cold)| cold.subject() == Some(subject) && cold.ending.is_none());
            if is_his {
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

    /// Whether it is sent the topic's events.
    pub(crate) fn reads(&self, topic: &tidings_hub::Topic) -> bool {
        self.tap.reads(&self.cold.reader, topic)
    }

    pub(crate) fn subject(&self) -> Option<&Subject> {
        self.cold.subject()
    }

    pub(crate) fn socket(&self) -> &S {
        &self.hot.socket
    }

    pub(crate) fn framing(&self) -> Framing {
        self.hot.framing
    }

    /// Whether it has not taken everything there is.
    pub(crate) fn is_behind(&self) -> bool {
        self.hot.is_behind
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(100) * self.now.saturating_sub(self.cold.since)
    }
}
