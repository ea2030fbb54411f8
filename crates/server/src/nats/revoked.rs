//! The subjects that a hub of the stream has revoked, as the feed tells them.

use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tidings_hub::journal::{Content, Entry, Feed, JournalError, Lost};
use tidings_hub::{Sequence, Time};

use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;

/// Revocations that the server has not taken yet. Each is an entry of the stream, of a topic that stands for
/// the subject, so there are no more of them than the stream holds.
pub(super) type Revoked = Arc<Mutex<Vec<(Subject, Time)>>>;

/// Ends of some of a subject's streams that the server has not taken yet.
pub(super) type Ended = Arc<Mutex<Vec<EndedWithin>>>;

/// A feed that notes the revocations among its entries.
pub(super) struct WatchedFeed {
    pub(super) feed: Box<dyn Feed>,
    pub(super) revoked: Revoked,
    pub(super) ended: Ended,
}

impl WatchedFeed {
    /// Notes the revocations and the ends among entries.
    fn note(&self, entries: &[Entry]) {
        for entry in entries {
            let (Content::Close, Some(topic)) = (&entry.content, entry.topics.as_slice().first())
            else {
                continue;
            };
            if let Some(subject) = Subject::of_ends(topic) {
                self.revoked.lock().push((subject, entry.time));
            } else if let Some(end) = EndedWithin::of_topic(topic) {
                self.ended.lock().push(end);
            }
        }
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

    fn through(&self) -> Sequence {
        self.feed.through()
    }
}
