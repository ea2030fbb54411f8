//! The streams within topics of a schedule, and the answers that the hub should give to requests to them.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::{
    Append, Cursor, Draft, EndNotice, Sequence, StreamReason, StreamRefused, StreamTurn, Topic,
};

/// The streams of a schedule. They are decided by a generator of their own, so that seeds that have failed before make
/// the schedules they made then.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) rng: Rng,
    pub(super) latest: HashMap<Topic, Latest>,
    /// The streams whose time is running out: one at a time, so that its end is the next entry, or all of them
    /// after a restart.
    pub(super) left: Vec<(Topic, Duration)>,
    /// How many requests have had an idempotency key.
    pub(super) keys: u64,
}

/// The latest stream of a topic.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) begin: u64,
    pub(super) events: u64,
    pub(super) last: u64,
    pub(super) end: Option<(u64, StreamReason, EndNotice)>,
    pub(super) is_stopped: bool,
    /// The epoch of the producer that owns it, and the number of its newest request.
    pub(super) owner: Option<(u64, u64)>,
    pub(super) turn: Option<StreamTurn>,
    /// The requests with a key that have begun and ended it.
    pub(super) keyed: Vec<Keyed>,
}

/// A request with an idempotency key, and its answer.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    pub(super) request: Append,
    pub(super) drafts: Vec<Draft>,
    pub(super) begin: Option<Cursor>,
    pub(super) end: Option<Cursor>,
    pub(super) places: Vec<Sequence>,
}

/// The entries that a request is to commit around its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) aborts: Option<(u64, StreamReason)>,
    pub(super) has_mark: bool,
    pub(super) is_begin: bool,
    pub(super) end: Option<(StreamReason, EndNotice)>,
}

/// Why a request is not accepted.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Duplicate,
    Refused(StreamRefused),
}

impl Streams {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed ^ 0x57ae_a305),
            latest: HashMap::new(),
            left: Vec::new(),
            keys: 0,
        }
    }

    /// Why events of no producer do not belong to a topic.
    pub(super) fn check(&self, topic: &Topic) -> Result<(), StreamRefused> {
        match self.latest.get(topic) {
            Some(Latest { end: Some(_), .. }) => Err(StreamRefused::Ended),
            Some(Latest { is_stopped: true, .. }) => Err(StreamRefused::Stopped),
            Some(Latest { owner: Some(_), .. }) => Err(StreamRefused::Streaming),
            _ => Ok(()),
        }
    }

    /// Counts an event that belongs to a topic.
    pub(super) fn count(&mut self, topic: &Topic, sequence: u64) {
        if let Some(latest) = self.latest.get_mut(topic) {
            latest.events += 1;
            latest.last = sequence;
            self.go_on(topic);
        }
    }

    /// Somebody goes on with a stream.
    pub(super) fn go_on(&mut self, topic: &Topic) {
        self.left.retain(|(left, _)| left != topic);
    }

    /// Returns whether a stream is about to end by itself.
    pub(super) fn is_left(&self, topic: &Topic) -> bool {
        self.left.iter().any(|(left, _)| left == topic)
    }

    /// Decides a request as the hub should.
    pub(super) fn decide(
        &self,
        topic: &Topic,
        request: &Append,
        events: usize,
    ) -> Result<Marks, Verdict> {
        let latest = self.latest.get(topic);
        let is_open = latest.is_some_and(|latest| latest.end.is_none());
        let (is_begin, producer) = (request.begin.is_some(), request.producer.as_ref());
        let refused = |why| Err(Verdict::Refused(why));
        match (latest.and_then(|latest| latest.owner), producer) {
            (Some(_), None) if is_open => return refused(StreamRefused::Streaming),
            (Some((epoch, seq)), Some(producer)) if producer.epoch <= epoch => {
                let expected = seq + 1;
                match (producer.epoch, producer.seq) {
                    (older, _) if older < epoch => {
                        return refused(StreamRefused::StaleEpoch { epoch });
                    }
                    (_, seq) if seq < expected => return Err(Verdict::Duplicate),
                    (_, seq) if seq > expected => {
                        return refused(StreamRefused::MissingSequence { expected });
                    }
                    _ => {}
                }
            }
            (_, Some(producer)) if producer.seq > 0 => {
                return refused(StreamRefused::MissingSequence { expected: 0 });
            }
            _ => {}
        }
        let is_stopped = is_open && latest.is_some_and(|latest| latest.is_stopped);
        let is_end_alone = request.end.is_some() && events == 0;
        if is_stopped && !is_begin && !is_end_alone {
            return refused(StreamRefused::Stopped);
        }
        if !is_begin
            && !is_open
            && (latest.is_some() || request.end.is_some() || producer.is_some())
        {
            return refused(StreamRefused::Ended);
        }
        let without_producer =
            if is_stopped { StreamReason::Stopped } else { StreamReason::Aborted };
        let aborts = latest.filter(|_| is_begin && is_open).map(|it| (it.events, without_producer));
        let reason =
            if is_stopped && !is_begin { StreamReason::Stopped } else { StreamReason::Done };
        let end = request.end.map(|notice| (reason, notice));
        Ok(Marks { aborts, has_mark: is_begin || producer.is_some(), is_begin, end })
    }
}
