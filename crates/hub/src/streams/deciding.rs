//! Decides whether a request belongs to its topic's stream, by the state of that stream alone.

use super::decided::{Decided, Fence, first_of_epoch};
use super::mark::StreamMark;
use super::parts::{EndNotice, StreamOptions};
use super::request::{Append, StreamRefused};

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

/// Why a request publishes nothing.
pub(super) enum Declined {
    /// Its producer has sent it before.
    Duplicate,
    /// It was accepted before, under the same idempotency key.
    Repeated,
    Refused(StreamRefused),
}

/// Decides a request, with so many events, by the state of its topic's latest stream, and brings that state up to
/// date.
pub(super) fn decide(
    found: Option<&mut Decided>,
    (request, events): (&Append, u64),
    turns: Turns,
    now: u64,
) -> Result<Accepted, Declined> {
    if found.as_ref().is_some_and(|decided| decided.is_repeated(request)) {
        return Err(Declined::Repeated);
    }
    let producer = request.producer.as_ref();
    let fence = match (&found, producer) {
        (Some(decided), _) => decided.fence(request, events),
        (None, Some(producer)) => first_of_epoch(producer),
        (None, None) => Fence::Next,
    };
    match fence {
        Fence::Next => {}
        Fence::Repeated => return Err(Declined::Duplicate),
        Fence::Refused(why) => return Err(Declined::Refused(why)),
    }
    let mut accepted = Accepted::default();
    let decided = match (&request.begin, found) {
        (Some(options), found) => {
            if let Some(open) = found.filter(|it| it.is_open) {
                let aborted = open.closed_by(open.reason_without_producer(), EndNotice::Event);
                accepted.before.push(StreamMark::End(aborted, None));
            }
            let (producer, key) = (producer.cloned(), request.key.clone());
            let options = StreamOptions { producer, key, ..options.clone() };
            accepted.before.push(StreamMark::Begin(options.clone()));
            let begun = accepted.begun.insert(Decided::begin(options, now));
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
        (None, _) => return Err(Declined::Refused(StreamRefused::Ended)),
    };
    decided.renew(now);
    decided.events += events;
    let end = request.end.map(|notice| decided.end(request.key.clone(), notice, now));
    accepted.after = end.map(|close| StreamMark::End(close, request.key.clone()));
    accepted.is_in_stream = true;
    Ok(accepted)
}
