//! Turns the bytes of a response's body into signals.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_proto::{Decoder, EventRef, Item, LimitExceeded};

use crate::content_encoding::Progress;
use crate::end::End;
use crate::event::{Event, Gap};
use crate::plan::{Comments, Mode, Plan};
use crate::signal::{Cause, Closed, Signal};

use super::{Lifecycle, Phase, Reading, Refusing};

/// The maximum size of a refusal's explanation: as much as a person reads, not as a server sends.
const REFUSED_BODY_BYTES_MAX: usize = 8 << 10;

/// The meaning of a decoded item to the state machine.
enum Found {
    Signal(Signal),
    Retry(Duration),
    Until,
    Nothing,
}

impl Lifecycle {
    /// Handles bytes of the response's body. Reads up to the next signal, or up to the end of the
    /// next unpacked piece, and advances `input` past the bytes read. The driver passes the rest
    /// again once it has taken the signal. Returns the size of the piece, if one was unpacked.
    pub(crate) fn handle_bytes(&mut self, input: &mut &[u8], now: Instant) -> usize {
        match &mut self.phase {
            Phase::Open(reading) => {
                if !input.is_empty() {
                    reading.silent_since = now;
                }
                return self.read_events(input, now);
            }
            Phase::Refusing(refusing) => {
                if refusing.take(input).is_err() || refusing.body.len() >= REFUSED_BODY_BYTES_MAX {
                    self.refuse();
                }
                *input = &[];
            }
            // Nothing is delivered from an abandoned exchange.
            Phase::Due(_) | Phase::Connecting(_) | Phase::Waiting { .. } | Phase::Failed => {
                *input = &[];
            }
        }
        0
    }

    /// Returns whether more can be read without further bytes.
    pub(crate) fn has_unread(&self) -> bool {
        match &self.phase {
            Phase::Open(reading) => {
                reading.unread < reading.text.len() || reading.progress == Progress::More
            }
            _ => false,
        }
    }

    fn read_events(&mut self, input: &mut &[u8], now: Instant) -> usize {
        while let Phase::Open(reading) = &mut self.phase {
            match reading.next(&mut self.decoder, &self.plan, input) {
                Ok(Some(found)) => {
                    if self.handle_found(found, input) == Handled::Stop {
                        return 0;
                    }
                }
                Ok(None) => match reading.unpack(input) {
                    Ok(unpacked) => return unpacked,
                    Err(error) => {
                        *input = &[];
                        self.reestablish(Cause::Encoding(error), None, now);
                    }
                },
                Err(exceeded) => {
                    *input = &[];
                    self.fail(Closed::Limit(exceeded));
                }
            }
        }
        0
    }

    fn handle_found(&mut self, found: Found, input: &mut &[u8]) -> Handled {
        match found {
            Found::Signal(signal) => {
                match &signal {
                    Signal::End(end) => self.end = Some(end.clone()),
                    Signal::Event(_) | Signal::Gap(_) => self.end = None,
                    _ => {}
                }
                self.signals.push_back(signal);
            }
            Found::Retry(retry) => {
                let before = self.pacing.reconnection_time();
                self.pacing.handle_retry(retry);
                let now = self.pacing.reconnection_time();
                if now == before {
                    return Handled::GoOn;
                }
                self.signals.push_back(Signal::ReconnectionTime(now));
            }
            Found::Until => {
                *input = &[];
                self.fail(Closed::Complete);
            }
            Found::Nothing => return Handled::GoOn,
        }
        Handled::Stop
    }

    /// Closes with the refusal whose explanation has been read.
    pub(super) fn refuse(&mut self) {
        if let Phase::Refusing(refusing) = mem::replace(&mut self.phase, Phase::Failed) {
            let Refusing { mut refused, mut body, .. } = refusing;
            body.truncate(REFUSED_BODY_BYTES_MAX);
            refused.body = Bytes::from(body);
            self.fail(Closed::Refused(refused));
        }
    }
}

/// Whether reading goes on after an item.
#[derive(PartialEq, Eq)]
enum Handled {
    GoOn,
    Stop,
}

impl Reading {
    /// Decodes up to the next item, from the bytes themselves or from the text unpacked from them.
    fn next(
        &mut self,
        decoder: &mut Decoder,
        plan: &Plan,
        input: &mut &[u8],
    ) -> Result<Option<Found>, LimitExceeded> {
        let found = if self.unpacker.is_identity() {
            decoder.decode(input)?.map(|item| classify(item, plan, &self.origin))
        } else {
            let mut text = &self.text[self.unread..];
            let found = decoder.decode(&mut text)?.map(|item| classify(item, plan, &self.origin));
            self.unread = self.text.len() - text.len();
            found
        };
        if let Some(
            Found::Signal(Signal::Event(_) | Signal::Gap(_) | Signal::End(_)) | Found::Until,
        ) = found
        {
            self.delivered = true;
        }
        Ok(found)
    }

    /// Unpacks the next piece, once the last one has been decoded, and returns its size.
    fn unpack(&mut self, input: &mut &[u8]) -> std::io::Result<usize> {
        if self.unpacker.is_identity() || (input.is_empty() && self.progress == Progress::Drained) {
            return Ok(0);
        }
        self.text.clear();
        self.unread = 0;
        self.progress = self.unpacker.unpack(input, &mut self.text)?;
        Ok(self.text.len())
    }
}

impl Refusing {
    fn take(&mut self, input: &mut &[u8]) -> std::io::Result<()> {
        let mut progress = Progress::Drained;
        while self.body.len() < REFUSED_BODY_BYTES_MAX
            && (!input.is_empty() || progress == Progress::More)
        {
            progress = self.unpacker.unpack(input, &mut self.body)?;
        }
        Ok(())
    }
}

fn classify(item: Item<'_>, plan: &Plan, origin: &Arc<str>) -> Found {
    match item {
        Item::Event(event) => match &plan.mode {
            Mode::Once { until: Some(until) } if event.data == until => Found::Until,
            _ => Found::Signal(signal_of(event, origin)),
        },
        Item::Comment(text) if plan.comments == Comments::Reported => {
            Found::Signal(Signal::Comment(text.to_owned()))
        }
        Item::Retry(retry) => Found::Retry(retry),
        _ => Found::Nothing,
    }
}

fn signal_of(event: EventRef<'_>, origin: &Arc<str>) -> Signal {
    if let Some(gap) = Gap::of(event) {
        return Signal::Gap(gap);
    }
    match End::of(event) {
        Some(end) => Signal::End(end),
        None => Signal::Event(Event::new(event, origin)),
    }
}
