//! The time to live of streams: they end when it is over, and once ended, what they held is freed.
//!
//! Without a journal, a stream is forgotten and freed at once. A journal that keeps the entries commits a mark first,
//! so that all of it is gone for every reader alike, also after a restart and whatever the clock says then. Where hubs
//! share a journal, its order decides by which mark they all free the same; `follow` asks for that.

use std::mem;

use super::mark::{EndNotice, StreamMark, StreamReason};
use super::of_topic::Freed;
use super::state::Streams;
use crate::cursor::Sequence;
use crate::topic::Topic;

/// How long the mark that frees a stream is waited for before it is submitted once more, in milliseconds: it was not
/// committed if the disk was full.
const FREE_AGAIN_AFTER: u64 = 5_000;

impl Streams {
    /// Notes that a journal keeps the entries.
    pub(super) fn free_by_marks(&mut self) {
        self.is_kept = true;
    }

    /// Ends the streams whose time is over, and frees ended ones. The marks are under way from here on.
    pub(crate) fn take_due(&mut self, now: u64) -> Vec<(Topic, StreamMark)> {
        let mut due = Vec::new();
        if now < self.due_at {
            return due;
        }
        let (mut due_at, is_kept) = (u64::MAX, self.is_kept);
        let mut freed = mem::take(&mut self.freed);
        self.retain(|topic, stream| {
            let is_expired = now >= stream.decided.expires_at;
            if is_expired && !stream.decided.is_open {
                let ended = stream.ended();
                if !is_kept {
                    let freed_now = |(last, through)| Freed { topic: topic.clone(), last, through };
                    freed.extend(ended.map(freed_now));
                    return false;
                }
                stream.decided.expires_at = now.saturating_add(FREE_AGAIN_AFTER);
                if let Some((last, _)) = ended.filter(|_| stream.under_way == 0) {
                    due.push((topic.clone(), StreamMark::Freed { last, end: None }));
                    stream.under_way += 1;
                }
            }
            let decided = &mut stream.decided;
            let reason = match decided.grace_until {
                _ if !decided.is_open => None,
                Some(until) if now >= until => Some(decided.reason_without_producer()),
                _ => is_expired.then_some(StreamReason::Expired),
            };
            if let Some(reason) = reason {
                let close = decided.closed_by(reason, EndNotice::Event);
                due.push((topic.clone(), StreamMark::End(close, None)));
                decided.close(now);
                stream.under_way += 1;
            }
            due_at = due_at.min(stream.decided.due_at());
            true
        });
        (self.due_at, self.freed) = (due_at, freed);
        due
    }

    /// Notes that a stream is freed: from this place on the topic is as if it had never had one, unless another one
    /// is about to begin, or has begun.
    pub(super) fn note_freed(
        &mut self,
        topic: &Topic,
        (last, end): (Sequence, Option<Sequence>),
        place: Sequence,
    ) {
        let through = end.unwrap_or(place);
        self.freed.push(Freed { topic: topic.clone(), last, through });
        let Some(stream) = self.topics.get_mut(topic) else { return };
        if stream.committed.as_ref().is_some_and(|committed| committed.begin > through) {
            return;
        }
        stream.applied = place;
        stream.committed = None;
        stream.earlier.clear();
        if stream.under_way == 0 {
            self.heap_bytes -= stream.charged;
            self.topics.remove(topic);
        } else {
            stream.charge(&mut self.heap_bytes);
        }
    }
}
