//! The state of one stream by which requests are decided.

use super::mark::{EndNotice, Producer, StreamClose, StreamMark, StreamOptions, StreamReason};
use super::request::{Append, StreamRefused, StreamTurn};
use super::state::Verdict;
use crate::draft::IdempotencyKey;
use crate::time::millis;

/// The part of a stream's state by which requests are decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(super) options: StreamOptions,
    pub(super) producer: Option<Producer>,
    /// The idempotency keys of the requests that began and ended it.
    pub(super) begin_key: Option<IdempotencyKey>,
    pub(super) end_key: Option<IdempotencyKey>,
    pub(super) is_open: bool,
    /// Whether a reader has stopped it.
    pub(super) is_stopped: bool,
    /// The turns of its beginning and of the newest request of its producer.
    pub(super) turn: StreamTurn,
    pub(super) events: u64,
    /// When it is ended or forgotten, by the hub's steady clock.
    pub(super) expires_at: u64,
    /// When it is ended if its producer does not come back after a restart.
    pub(super) grace_until: Option<u64>,
}

impl Decided {
    pub(super) fn begin(options: StreamOptions, now: u64) -> Self {
        let producer = options.producer.clone();
        let expires_at = now.saturating_add(millis(options.ttl));
        let (begin_key, end_key, grace_until) = (None, None, None);
        let epoch = producer.as_ref().map_or(0, |producer| producer.epoch);
        Self {
            options,
            producer,
            begin_key,
            end_key,
            is_open: true,
            is_stopped: false,
            turn: StreamTurn { begun: 0, turn: 0, epoch },
            events: 0,
            expires_at,
            grace_until,
        }
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
    fn is_repeated(&self, request: &Append) -> bool {
        request.key.is_some()
            && ((request.begin.is_some() && request.key == self.begin_key)
                || (request.end.is_some() && request.key == self.end_key))
    }

    pub(super) fn close(&mut self, now: u64) {
        self.is_open = false;
        self.renew(now);
    }

    /// Ends it by its producer's word.
    fn end(&mut self, key: Option<IdempotencyKey>, notice: EndNotice, now: u64) -> StreamMark {
        self.close(now);
        self.end_key = key;
        let reason = if self.is_stopped { StreamReason::Stopped } else { StreamReason::Done };
        self.end_mark(reason, notice)
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

    pub(super) fn end_mark(&self, reason: StreamReason, notice: EndNotice) -> StreamMark {
        StreamMark::End(StreamClose { reason, events: self.events, notice })
    }

    /// Compares a request with the newest one of the stream.
    fn fence(&self, request: &Append, events: u64) -> Fence {
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

/// The numbers of the turns that a request starts: by a begin, and by a producer.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    pub(super) begun: u64,
    pub(super) turn: u64,
}

/// The marks of a request that belongs to its topic's stream.
#[derive(Default)]
pub(super) struct Accepted {
    pub(super) before: Vec<StreamMark>,
    pub(super) after: Option<StreamMark>,
    /// The stream that it has begun.
    pub(super) begun: Option<Decided>,
    /// Whether it belongs to a stream at all.
    pub(super) is_in_stream: bool,
}

/// Decides a request, with so many events, by the state of its topic's latest stream, and brings that state up to
/// date. The error is the verdict on a request that publishes nothing.
pub(super) fn decide(
    found: Option<&mut Decided>,
    (request, events): (&Append, u64),
    turns: Turns,
    now: u64,
) -> Result<Accepted, Verdict> {
    if found.as_ref().is_some_and(|decided| decided.is_repeated(request)) {
        return Err(Verdict::Repeated);
    }
    let producer = request.producer.as_ref();
    let fence = match (&found, producer) {
        (Some(decided), _) => decided.fence(request, events),
        (None, Some(producer)) => first_of_epoch(producer),
        (None, None) => Fence::Next,
    };
    match fence {
        Fence::Next => {}
        Fence::Repeated => return Err(Verdict::Duplicate),
        Fence::Refused(why) => return Err(Verdict::Refused(why)),
    }
    let mut accepted = Accepted::default();
    let decided = match (&request.begin, found) {
        (Some(options), found) => {
            if let Some(open) = found.filter(|it| it.is_open) {
                let aborted = open.end_mark(open.reason_without_producer(), EndNotice::Event);
                accepted.before.push(aborted);
            }
            let options = StreamOptions { producer: producer.cloned(), ..options.clone() };
            accepted.before.push(StreamMark::Begin(options.clone()));
            let begun = accepted.begun.insert(Decided::begin(options, now));
            begun.begin_key.clone_from(&request.key);
            (begun.turn.begun, begun.turn.turn) = (turns.begun, turns.begun);
            begun
        }
        (None, Some(decided)) if decided.is_open => {
            if let Some(producer) = producer {
                accepted.before.push(StreamMark::Append(producer.clone()));
                decided.producer = Some(producer.clone());
                (decided.turn.turn, decided.turn.epoch) = (turns.turn, producer.epoch);
            }
            decided
        }
        (None, None) if request.end.is_none() && producer.is_none() => return Ok(accepted),
        (None, _) => return Err(Verdict::Refused(StreamRefused::Ended)),
    };
    decided.renew(now);
    decided.events += events;
    accepted.after = request.end.map(|notice| decided.end(request.key.clone(), notice, now));
    accepted.is_in_stream = true;
    Ok(accepted)
}

/// How a request stands to the newest one of its stream.
enum Fence {
    Next,
    Repeated,
    Refused(StreamRefused),
}

fn first_of_epoch(producer: &Producer) -> Fence {
    match producer.seq {
        0 => Fence::Next,
        _ => Fence::Refused(StreamRefused::MissingSequence { expected: 0 }),
    }
}
