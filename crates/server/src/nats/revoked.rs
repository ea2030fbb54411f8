//! The subjects that a hub of the stream has revoked, as the feed tells them.

use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tidings_hub::journal::shared::{SharedLog, message_of};
use tidings_hub::journal::{Content, Entry, Feed, JournalError, Lost};
use tidings_hub::{Sequence, StreamState, Time, Topic};

use crate::engine::ended_within::EndedWithin;
use crate::notices::{NoticeParts, Read, Revoked};

/// Revocations that the server has not taken yet. Each is an entry of the stream, of a topic that stands for
/// the subject, so there are no more of them than the stream holds.
pub(super) type AllRevoked = Arc<Mutex<Vec<Revoked>>>;

/// Ends of some of a subject's streams that the server has not taken yet.
pub(super) type Ended = Arc<Mutex<Vec<EndedWithin>>>;

/// A feed that notes the revocations among its entries.
pub(super) struct WatchedFeed {
    pub(super) feed: Box<dyn Feed>,
    pub(super) revoked: AllRevoked,
    pub(super) ended: Ended,
    pub(super) parts: NoticeParts,
    /// Finds the log, which is told of streams, once there is one.
    pub(super) log: Box<dyn Fn() -> Option<SharedLog> + Send>,
}

impl WatchedFeed {
    /// Notes the revocations and the ends among entries.
    fn note(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let (Content::Close, Some(topic)) = (&entry.content, entry.topics.as_slice().first())
            {
                self.note_closed(topic, entry.sequence, entry.time);
            }
        }
    }

    fn note_closed(&mut self, topic: &Topic, sequence: Sequence, time: Time) {
        let Some((read, place)) = self.parts.read(topic, message_of(sequence)) else { return };
        let (subject, moment, is_again) = match read {
            Read::Revoked(subject) => (subject, time, false),
            Read::RevokedSince(subject, moment) => (subject, moment, true),
            Read::EndedWithin(end) => return self.ended.lock().push(end),
        };
        self.revoked.lock().push(Revoked { subject, moment, place, is_again });
    }
}

impl Feed for WatchedFeed {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        let before = entries.len();
        let polled = self.feed.poll_next(cx, entries);
        self.note(&entries[before..]);
        polled
    }

    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
        let before = entries.len();
        self.feed.try_next(entries)?;
        self.note(&entries[before..]);
        Ok(())
    }

    fn take_lost(&mut self) -> Vec<Lost> {
        self.feed.take_lost()
    }

    fn take_streams(&mut self) -> Vec<(Topic, StreamState)> {
        (self.log)().map(|log| log.take_streams()).unwrap_or_default()
    }

    fn through(&self) -> Sequence {
        self.feed.through()
    }
}
