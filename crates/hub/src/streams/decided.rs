//! The state of one stream by which requests are decided.

use super::parts::{EndNotice, Producer, StreamClose, StreamOptions, StreamReason};
use super::request::{Append, StreamRefused, StreamTurn};
use crate::draft::IdempotencyKey;
use crate::time::millis;

/// The part of a stream's state by which requests are decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) options: StreamOptions,
    pub(crate) producer: Option<Producer>,
    /// The idempotency key of the request that ended it.
    pub(crate) end_key: Option<IdempotencyKey>,
    pub(crate) is_open: bool,
    /// Whether a reader has stopped it.
    pub(crate) is_stopped: bool,
    /// The turns of its beginning and of the newest request of its producer.
    pub(crate) turn: StreamTurn,
    pub(crate) events: u64,
    /// When it is ended or forgotten, by the hub's steady clock.
    pub(crate) expires_at: u64,
    /// When it is ended if its producer does not come back after a restart.
    pub(crate) grace_until: Option<u64>,
}

impl Decided {
    pub(crate) fn begin(options: StreamOptions, now: u64) -> Self {
        let producer = options.producer.clone();
        let expires_at = now.saturating_add(millis(options.ttl));
        let (end_key, grace_until) = (None, None);
        let epoch = producer.as_ref().map_or(0, |producer| producer.epoch);
        Self {
            options,
            producer,
            end_key,
            is_open: true,
            is_stopped: false,
            turn: StreamTurn { begun: 0, turn: 0, epoch },
            events: 0,
            expires_at,
            grace_until,
        }
    }

    /// Bytes of the texts that it shares with nothing else for long.
    pub(super) fn heap_bytes(&self) -> usize {
        let key = |key: &Option<IdempotencyKey>| key.as_ref().map_or(0, |key| key.text().len());
        let producer = self.producer.as_ref().map_or(0, |producer| producer.id().len());
        key(&self.options.key) + key(&self.end_key) + producer
    }

    pub(super) fn renew(&mut self, now: u64) {
        self.expires_at = now.saturating_add(millis(self.options.ttl));
        self.grace_until = None;
    }

    /// When something is to be done at the latest, if nothing comes before.
    pub(super) fn due_at(&self) -> u64 {
        self.grace_until.map_or(self.expires_at, |grace| grace.min(self.expires_at))
    }

    /// Starts the grace: somebody has to go on within it.
    pub(super) fn leave(&mut self, now: u64) {
        self.grace_until = Some(now.saturating_add(millis(self.options.grace)));
    }

    /// The reason for which the stream ends if its producer does not end it.
    pub(super) fn reason_without_producer(&self) -> StreamReason {
        if self.is_stopped { StreamReason::Stopped } else { StreamReason::Aborted }
    }

    /// Checks that the stream is still in this turn.
    fn check_turn(&self, turn: StreamTurn) -> Result<(), StreamRefused> {
        if turn == self.turn {
            return Ok(());
        }
        Err(match turn.begun == self.turn.begun {
            false => StreamRefused::Ended,
            true if turn.epoch < self.turn.epoch => {
                StreamRefused::StaleEpoch { epoch: self.turn.epoch }
            }
            true => StreamRefused::Streaming,
        })
    }

    /// Returns whether this is the request that began or ended the stream, once more.
    pub(super) fn is_repeated(&self, request: &Append) -> bool {
        request.key.is_some()
            && ((request.begin.is_some() && request.key == self.options.key)
                || (request.end.is_some() && request.key == self.end_key))
    }

    pub(super) fn close(&mut self, now: u64) {
        self.is_open = false;
        self.renew(now);
    }

    /// Ends it by its producer's word.
    pub(super) fn end(
        &mut self,
        key: Option<IdempotencyKey>,
        notice: EndNotice,
        now: u64,
    ) -> StreamClose {
        self.close(now);
        self.end_key = key;
        let reason = if self.is_stopped { StreamReason::Stopped } else { StreamReason::Done };
        self.closed_by(reason, notice)
    }

    /// Checks that an event of no producer belongs to it.
    pub(super) fn check_event(&self) -> Result<(), StreamRefused> {
        match self {
            it if !it.is_open => Err(StreamRefused::Ended),
            it if it.is_stopped => Err(StreamRefused::Stopped),
            it if it.producer.is_some() => Err(StreamRefused::Streaming),
            _ => Ok(()),
        }
    }

    pub(super) fn closed_by(&self, reason: StreamReason, notice: EndNotice) -> StreamClose {
        StreamClose { reason, events: self.events, notice }
    }

    /// Compares a request with the newest one of the stream.
    pub(super) fn fence(&self, request: &Append, events: u64) -> Fence {
        let (producer, is_begin) = (request.producer.as_ref(), request.begin.is_some());
        if let Some(turn) = request.stream {
            match self.check_turn(turn) {
                Ok(()) if producer.is_none() => return self.fence_stopped(request, events),
                Ok(()) => {}
                Err(why) => return Fence::Refused(why),
            }
        }
        match self.fence_producer(producer, is_begin) {
            Fence::Next => self.fence_stopped(request, events),
            fence => fence,
        }
    }

    /// A stream that was stopped takes its end alone, or begins anew.
    fn fence_stopped(&self, request: &Append, events: u64) -> Fence {
        let is_end = request.end.is_some() && events == 0;
        match self.is_open && self.is_stopped && !is_end && request.begin.is_none() {
            true => Fence::Refused(StreamRefused::Stopped),
            false => Fence::Next,
        }
    }

    fn fence_producer(&self, producer: Option<&Producer>, is_begin: bool) -> Fence {
        let (owner, producer) = match (&self.producer, producer) {
            (None, Some(producer)) => return first_of_epoch(producer),
            (None, None) => return Fence::Next,
            (Some(_), None) if self.is_open => return Fence::Refused(StreamRefused::Streaming),
            (Some(_), None) => return Fence::Next,
            (Some(owner), Some(producer)) => (owner, producer),
        };
        if producer.id() != owner.id() && is_begin && !self.is_open {
            // A new stream may have a new producer.
            return first_of_epoch(producer);
        }
        if producer.epoch < owner.epoch {
            return Fence::Refused(StreamRefused::StaleEpoch { epoch: owner.epoch });
        }
        if producer.epoch > owner.epoch {
            return first_of_epoch(producer);
        }
        if producer.id() != owner.id() {
            return Fence::Refused(StreamRefused::Streaming);
        }
        let expected = owner.seq.saturating_add(1);
        match producer.seq {
            seq if seq == expected => Fence::Next,
            seq if seq < expected => Fence::Repeated,
            _ => Fence::Refused(StreamRefused::MissingSequence { expected }),
        }
    }
}

/// How a request stands to the newest one of its stream.
pub(super) enum Fence {
    Next,
    Repeated,
    Refused(StreamRefused),
}

pub(super) fn first_of_epoch(producer: &Producer) -> Fence {
    match producer.seq {
        0 => Fence::Next,
        _ => Fence::Refused(StreamRefused::MissingSequence { expected: 0 }),
    }
}
