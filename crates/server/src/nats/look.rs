//! Looking at the stream now and then: whether it is the one that was opened, and has what was read.
//!
//! A purge leaves no trace in the messages that follow, and a deletion none at all, so both are looked for. A
//! server that was halted, or is about to lose its leadership, may tell of an older state for a moment:
//! only what is seen for a while is believed. A leader that cannot write falls back to an older state until somebody
//! publishes, while the others have everything: it is asked to leave, and what another leader says is believed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tidings_hub::Now;
use tidings_hub::journal::shared::{SharedLog, Stopped};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::aging::PARTS_MAX;
use super::api::{ANSWER_MAX, Api, Failure, STREAM_NOT_FOUND, StreamInfo};
use super::status::Status;
use super::stream::Stream;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A change is believed when it has been seen for so long: a leader without followers steps down sooner.
const BELIEVED_AFTER: Duration = Duration::from_secs(2);
/// The loss that one leader tells of is believed after so long if no other one is elected.
const ELECTED_WITHIN: Duration = Duration::from_secs(10);
/// Looks that are further apart than this say nothing about what came in between.
const APART_MAX: Duration = Duration::from_secs(5);

/// The doubt about a leader whose state is older than what was read.
const LOST: &str = "the stream has lost its newest messages";

/// The looks at one stream.
#[derive(Debug)]
pub(super) struct Looks {
    created: String,
    /// The newest message at the latest look, or when it was opened, and when that was.
    newest: Option<(u64, Instant)>,
    doubt: Option<Doubt>,
}

/// A change that was seen and is not believed yet.
#[derive(Debug)]
struct Doubt {
    why: &'static str,
    /// When it was first seen.
    since: Instant,
    /// The leader that has told of it first, if another server may know better.
    leader: Option<String>,
    is_told: bool,
}

impl Doubt {
    fn is_over(&self, leader: Option<&str>, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        let is_confirmed = self.leader.is_none() || self.leader.as_deref() != leader;
        waited >= if is_confirmed { BELIEVED_AFTER } else { ELECTED_WITHIN }
    }
}

/// The outcome of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The stream is the one that was opened.
    Same,
    /// It does not seem so; the clause says why.
    Doubtful(&'static str),
    /// It is not.
    Changed(&'static str),
}

impl Looks {
    pub(super) fn new(stream: &Stream) -> Self {
        let newest = Some((stream.tail, Instant::now()));
        Self { created: stream.created.clone(), newest, doubt: None }
    }

    /// Handles what was found: `None` if there is no such stream. Everything up to `through` had been read
    /// before it was asked for.
    pub(super) fn handle(
        &mut self,
        found: Option<&StreamInfo>,
        through: u64,
        now: Instant,
    ) -> Seen {
        let before = self.newest.take();
        let why = match found {
            None => "the stream was deleted",
            // Nothing brings the old one back.
            Some(info) if info.created != self.created => {
                return Seen::Changed("the stream was deleted and made anew");
            }
            Some(info) if info.state.last_seq < through => LOST,
            Some(info) if is_purged(info, before, now) => "the stream was purged",
            Some(info) => {
                self.newest = Some((info.state.last_seq, now));
                self.doubt = None;
                return Seen::Same;
            }
        };
        // The state from before is the one to compare with until the change is believed.
        self.newest = before;
        let leader = found.and_then(StreamInfo::leader_of_several).filter(|_| why == LOST);
        match &self.doubt {
            Some(doubt) if doubt.why == why => {
                if doubt.is_over(leader, now) {
                    return Seen::Changed(why);
                }
            }
            _ => {
                let leader = leader.map(str::to_owned);
                self.doubt = Some(Doubt { why, since: now, leader, is_told: false });
            }
        }
        Seen::Doubtful(why)
    }

    /// Returns whether the leader is doubted and should leave that to another server; once for each doubt.
    pub(super) fn is_leader_doubted(&mut self) -> bool {
        let doubt = self.doubt.as_mut().filter(|doubt| doubt.leader.is_some());
        doubt.is_some_and(|doubt| !std::mem::replace(&mut doubt.is_told, true))
    }
}

/// Returns whether all messages are gone, or all that were there before, and no limit explains it.
fn is_purged(info: &StreamInfo, before: Option<(u64, Instant)>, now: Instant) -> bool {
    let (state, config) = (&info.state, &info.config);
    if state.messages == 0 {
        // Hubs see to it that a stream whose messages expire has a young one.
        return state.last_seq > 0;
    }
    let Some((newest, at)) = before else { return false };
    let is_at = |count: u64, max: i64| u64::try_from(max).is_ok_and(|max| max > 0 && count >= max);
    let is_full = is_at(state.messages, config.max_msgs)
        || is_at(state.messages, config.max_msgs_per_subject)
        || is_at(state.bytes.saturating_add(state.bytes / 4), config.max_bytes);
    let expires = config.max_age > 0 && Duration::from_nanos(config.max_age) < 2 * APART_MAX;
    let is_recent = now.saturating_duration_since(at) <= APART_MAX;
    is_recent && !is_full && !expires && state.first_seq > newest
}

/// Looks at the stream until the log stops.
pub(super) async fn keep_looking(
    (log, api, stream, status): (SharedLog, Api, Stream, Arc<Status>),
) {
    let mut looks = Looks::new(&stream);
    let mut young = Young::default();
    let mut telling = Telling::default();
    while log.stopped().is_none() {
        sleep(LOOK_EVERY).await;
        // Messages that were there when the stream was opened may not have been read yet.
        let through = log.through().max(stream.tail);
        let found = match api.stream_info(&stream.name).await {
            Ok(info) => Some(info),
            Err(Failure::Refused { code: STREAM_NOT_FOUND, .. }) => None,
            // The follower tells of it.
            Err(_) => continue,
        };
        let now = Instant::now();
        match looks.handle(found.as_ref(), through, now) {
            Seen::Same => {}
            Seen::Doubtful(_) => {
                if looks.is_leader_doubted() {
                    doubt_leader(&api, &stream).await;
                }
                continue;
            }
            Seen::Changed(why) => {
                log.stop(Stopped::PastChanged { why, generation: log.generation() });
                return;
            }
        }
        let Some(info) = found else { continue };
        status.note_newest(info.state.last_seq);
        if young.is_due(&info, now) {
            mark(&log, &api, &stream, info.state.last_seq).await;
        }
        telling.go_on(&log, &info, &status);
    }
}

/// Has another server lead the stream, if the hub may ask for that.
pub(super) async fn doubt_leader(api: &Api, stream: &Stream) {
    warn!(stream = stream.name, "leader of the stream has less than was read; asking for another");
    if let Err(failure) = api.step_down(&stream.name).await {
        warn!(reason = &*failure.text(), "leader of the stream has not been changed");
    }
}

/// Tells once more what the stream will drop before long and is not to be forgotten.
struct Telling {
    /// The parts of a limit that this hub waits for more than others.
    parts: u64,
    /// Streams whose beginnings are no newer than that were told.
    told_through: u64,
}

impl Default for Telling {
    fn default() -> Self {
        Self { parts: fastrand::u64(0..=PARTS_MAX), told_through: 0 }
    }
}

impl Telling {
    fn go_on(&mut self, log: &SharedLog, info: &StreamInfo, status: &Status) {
        let now = Now::read();
        let aged = status.aging.lock().aged(info, now.time, self.parts);
        status.aged.store(aged, Ordering::Relaxed);
        // They are looked through only when something has aged.
        if aged > self.told_through && !log.tell_streams(aged, now) {
            self.told_through = aged;
        }
    }
}

/// Keeps a stream whose messages expire from becoming empty: an empty one has no generation.
#[derive(Default)]
struct Young {
    /// The newest message, and when it was first seen.
    newest: Option<(u64, Instant)>,
}

impl Young {
    /// Returns whether the newest message has become old.
    fn is_due(&mut self, info: &StreamInfo, now: Instant) -> bool {
        if info.config.max_age == 0 {
            return false;
        }
        let newest = info.state.last_seq;
        match self.newest {
            Some((seen, at)) if seen == newest => {
                now.saturating_duration_since(at) >= Duration::from_nanos(info.config.max_age) / 4
            }
            // It may be old already if it is the first one that is seen.
            seen => {
                self.newest = Some((newest, now));
                seen.is_none()
            }
        }
    }
}

/// Writes a message without entries, unless another hub has written something.
async fn mark(log: &SharedLog, api: &Api, stream: &Stream, newest: u64) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Stream", stream.name.as_str());
    headers.insert("Nats-Expected-Last-Sequence", newest.to_string());
    let message = (headers, Bytes::from(log.marker()));
    // The next look sees whether it is there.
    let _ = api.publish(stream.subject.clone(), message, ANSWER_MAX).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CREATED: &str = "2026-01-01T00:00:00Z";

    fn info(first: u64, last: u64, more: &serde_json::Value) -> StreamInfo {
        let mut config = json!({
            "subjects": ["s"], "retention": "limits", "storage": "file", "num_replicas": 1,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let messages = (last + 1).saturating_sub(first);
        serde_json::from_value(json!({
            "config": config,
            "created": CREATED,
            "state": {
                "messages": messages, "bytes": messages * 100, "first_seq": first, "last_seq": last,
            },
        }))
        .unwrap()
    }

    fn looks() -> Looks {
        Looks { created: CREATED.to_owned(), newest: None, doubt: None }
    }

    #[test]
    fn a_change_is_believed_once_it_was_seen_for_a_while() {
        let (start, mut looks) = (Instant::now(), looks());
        let at = |millis| start + Duration::from_millis(millis);
        let lost = "the stream has lost its newest messages";
        assert_eq!(looks.handle(Some(&info(1, 9, &json!({}))), 9, at(0)), Seen::Same);
        assert_eq!(looks.handle(Some(&info(1, 7, &json!({}))), 9, at(1_000)), Seen::Doubtful(lost));
        assert_eq!(looks.handle(Some(&info(1, 9, &json!({}))), 9, at(2_000)), Seen::Same);
        assert_eq!(looks.handle(Some(&info(1, 7, &json!({}))), 9, at(3_000)), Seen::Doubtful(lost));
        assert_eq!(looks.handle(Some(&info(1, 7, &json!({}))), 9, at(4_999)), Seen::Doubtful(lost));
        assert_eq!(looks.handle(Some(&info(1, 8, &json!({}))), 9, at(5_000)), Seen::Changed(lost));
    }

    #[test]
    fn a_loss_that_one_of_several_leaders_tells_is_believed_when_another_one_says_so() {
        let told_by = |leader: &str, last| {
            let mut info = info(1, last, &json!({}));
            info.cluster =
                serde_json::from_value(json!({ "leader": leader, "replicas": [{}] })).ok();
            info
        };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let (doubtful, changed) = (Seen::Doubtful(LOST), Seen::Changed(LOST));
        let mut looks = looks();
        assert!(!looks.is_leader_doubted());
        assert_eq!(looks.handle(Some(&told_by("a", 7)), 9, at(0)), doubtful);
        assert!(looks.is_leader_doubted() && !looks.is_leader_doubted(), "it is told once");
        assert_eq!(looks.handle(Some(&told_by("a", 7)), 9, at(9_999)), doubtful);
        assert_eq!(looks.handle(Some(&told_by("b", 9)), 9, at(10_000)), Seen::Same);
        assert_eq!(looks.handle(Some(&told_by("b", 7)), 9, at(11_000)), doubtful);
        assert!(looks.is_leader_doubted());
        assert_eq!(looks.handle(Some(&told_by("c", 7)), 9, at(12_999)), doubtful, "too early");
        assert_eq!(looks.handle(Some(&told_by("c", 7)), 9, at(13_000)), changed);
        // Where nobody else is elected.
        let mut looks = self::looks();
        assert_eq!(looks.handle(Some(&told_by("a", 7)), 9, at(0)), doubtful);
        assert_eq!(looks.handle(Some(&told_by("a", 7)), 9, at(10_000)), changed);
    }

    #[test]
    fn a_stream_that_was_made_anew_is_another_one_at_once() {
        let mut made = info(1, 0, &json!({}));
        made.created = "2026-01-02T00:00:00Z".to_owned();
        let seen = looks().handle(Some(&made), 0, Instant::now());
        assert_eq!(seen, Seen::Changed("the stream was deleted and made anew"));
    }

    #[test]
    fn a_purge_is_told_from_a_limit() {
        let seen = |first: &StreamInfo, second: &StreamInfo| {
            let (now, mut looks) = (Instant::now(), looks());
            assert_eq!(looks.handle(Some(first), 0, now), Seen::Same);
            looks.handle(Some(second), 0, now + Duration::from_secs(1))
        };
        let purged = Seen::Doubtful("the stream was purged");
        let none = json!({});
        assert_eq!(seen(&info(3, 9, &none), &info(10, 9, &none)), purged, "empty");
        assert_eq!(seen(&info(3, 9, &none), &info(10, 12, &none)), purged, "and written to");
        assert_eq!(seen(&info(3, 9, &none), &info(9, 12, &none)), Seen::Same, "one is left");
        assert_eq!(seen(&info(1, 0, &none), &info(1, 0, &none)), Seen::Same, "never written to");
        for limit in [json!({"max_msgs": 3}), json!({"max_bytes": 300}), json!({"max_age": 1})] {
            assert_eq!(seen(&info(7, 9, &limit), &info(10, 12, &limit)), Seen::Same, "{limit}");
        }
        let wide = json!({"max_msgs": 1_000, "max_bytes": 1_000_000});
        assert_eq!(seen(&info(7, 9, &wide), &info(10, 12, &wide)), purged);
    }

    #[test]
    fn a_stream_whose_messages_expire_has_a_young_one() {
        let (now, mut young) = (Instant::now(), Young::default());
        let hour = json!({"max_age": 3_600_000_000_000_u64});
        let minutes = |minutes: u64| now + Duration::from_secs(60 * minutes);
        for (at, newest, is_due) in
            [(0, 7, true), (1, 8, false), (15, 8, false), (16, 8, true), (17, 9, false)]
        {
            assert_eq!(young.is_due(&info(1, newest, &hour), minutes(at)), is_due, "{at}");
        }
        assert!(!Young::default().is_due(&info(1, 7, &json!({})), now));
    }
}
