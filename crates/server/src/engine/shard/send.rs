//! Writes to the socket of one slot and moves its cursor.

use std::io;

use tidings_hub::Sequence;
use tidings_hub::engine::{Meeting, Tap};

use super::super::gathered::{Framing, Gathered};
use super::super::slot::{Cold, ColdPart, Hot, Rest, Room, Standing, Tick};
use super::super::socket::{Socket, write_some};
use super::super::sweep::{Allowed, Sweep};

/// The outcome of offering a sweep's events to a slot.
pub(super) enum Offered {
    /// Nothing was sent: the slot has them already, may not have them, or is behind anyway.
    Nothing,
    /// This many were delivered; not all of them if the socket is no longer writable.
    Delivered(u64),
    /// They do not follow its cursor, so it must read from history.
    Behind,
}

/// Sends a sweep's events to a slot that stands just before them. `may_take` says whether its cursor has
/// passed all that its view has of other topics before them.
pub(super) fn offer<S: Socket, P>(
    (hot, mut cold): (&mut Hot<S>, ColdPart<'_, P>),
    sweep: &mut Sweep,
    (tap, now): (&Tap, Tick),
    may_take: impl FnOnce(Sequence) -> bool,
) -> io::Result<Offered> {
    let Some(events) = sweep.events().filter(|_| !hot.is_behind()) else {
        return Ok(Offered::Nothing);
    };
    let last = *events.end();
    match Meeting::of(sweep.previous, events, sweep.is_special, hot.after) {
        Meeting::Past => Ok(Offered::Nothing),
        Meeting::Behind => Ok(Offered::Behind),
        Meeting::Next if !may_take(hot.after) => Ok(Offered::Behind),
        Meeting::Next => match allowed(hot, &mut cold, sweep, tap) {
            Allowed::All => {
                let gathered = sweep.gathered(hot.framing);
                deliver(hot, &mut cold, gathered, now).map(Offered::Delivered)
            }
            Allowed::Nothing => {
                hot.after = last;
                Ok(Offered::Nothing)
            }
            // Reading from history checks each event against the slot's grant.
            Allowed::Some => Ok(Offered::Behind),
        },
    }
}

/// How much of a sweep a slot may be sent.
fn allowed<S, P>(
    hot: &Hot<S>,
    cold: &mut ColdPart<'_, P>,
    sweep: &mut Sweep,
    tap: &Tap,
) -> Allowed {
    if sweep.is_checked(hot.checked) {
        sweep.allowed(&cold.get().reader, tap)
    } else {
        Allowed::All
    }
}

/// Frames text that is not an event of the history.
pub(super) fn framed(framing: Framing, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut text, mut framed) = (Vec::new(), Vec::new());
    write(&mut text);
    framing.frame(&text, &mut framed);
    framed
}

/// Writes the slot's rest; returns `false` if the socket accepted only a part.
pub(super) fn write_rest<S: Socket, P>(
    hot: &mut Hot<S>,
    cold: &mut Cold<P>,
    now: Tick,
) -> io::Result<bool> {
    let Some(rest) = &mut cold.rest else { return Ok(true) };
    // Twice at most: the rest of an event, and the end of the stream.
    while !rest.unwritten().is_empty() {
        let unwritten = rest.unwritten();
        let written = write_some(&mut hot.socket, unwritten)?;
        let is_written = written == unwritten.len();
        if written > 0 {
            hot.sent_at = now;
            rest.advance(written);
        }
        if !is_written {
            hot.room = Room::None;
            return Ok(false);
        }
    }
    cold.rest = None;
    hot.room = Room::Some;
    Ok(true)
}

/// Writes gathered events, which follow the slot's cursor, and moves the cursor past those that
/// were at least begun; returns their number.
pub(super) fn deliver<S: Socket, P>(
    hot: &mut Hot<S>,
    cold: &mut ColdPart<'_, P>,
    gathered: &Gathered,
    now: Tick,
) -> io::Result<u64> {
    let written = write_some(&mut hot.socket, gathered.bytes())?;
    if written > 0 {
        hot.sent_at = now;
    }
    if written == gathered.bytes().len() {
        hot.room = Room::Some;
        hot.after = gathered.last().unwrap_or(hot.after);
        return Ok(gathered.len() as u64);
    }
    let cut = gathered.cut(written);
    hot.after = cut.sequence.unwrap_or(hot.after);
    if let Some(rest) = Rest::of(&cut) {
        cold.get().rest = Some(Box::new(rest));
    }
    hot.standing = Standing::Behind;
    hot.room = Room::None;
    Ok(cut.begun)
}
