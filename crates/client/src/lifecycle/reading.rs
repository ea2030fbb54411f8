//! Turns the bytes of a response's body into signals.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_proto::{Decoder, Item, LimitExceeded};

use crate::content_encoding::Progress;
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
    /// Handles bytes of the response's body. Reads up to the next signal and advances `input` past
    /// the bytes read. The driver passes the rest again once it has taken the signal.
    pub(crate) fn handle_bytes(&mut self, input: &mut &[u8], now: Instant) {
        match &mut self.phase {
            Phase::Open(reading) => {
                if !input.is_empty() {
                    reading.silent_since = now;
                }
                self.read_events(input, now);
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

    fn read_events(&mut self, input: &mut &[u8], now: Instant) {
        while let Phase::Open(reading) = &mut self.phase {
            let step = match reading.next(&mut self.decoder, &self.plan, input) {
                Ok(Some(found)) => found,
                Ok(None) => match reading.unpack(input) {
                    Ok(Unpacked::Nothing) => return,
                    Ok(Unpacked::Text) => continue,
                    Err(error) => {
                        *input = &[];
                        return self.reestablish(Cause::Encoding(error), None, now);
                    }
                },
                Err(exceeded) => {
                    *input = &[];
                    return self.fail(Closed::Limit(exceeded));
                }
            };
            match step {
                Found::Signal(signal) => return self.signals.push_back(signal),
                Found::Retry(retry) => {
                    let before = self.pacing.reconnection_time();
                    self.pacing.handle_retry(retry);
                    let now = self.pacing.reconnection_time();
                    if now != before {
                        return self.signals.push_back(Signal::ReconnectionTime(now));
                    }
                }
                Found::Until => {
                    *input = &[];
                    return self.fail(Closed::Complete);
                }
                Found::Nothing => {}
            }
        }
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

/// The result of an attempt to unpack more.
enum Unpacked {
    Text,
    Nothing,
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
        if let Some(Found::Signal(Signal::Event(_) | Signal::Gap(_)) | Found::Until) = found {
            self.delivered = true;
        }
        Ok(found)
    }

    /// Unpacks the next piece, once the last one has been decoded.
    fn unpack(&mut self, input: &mut &[u8]) -> std::io::Result<Unpacked> {
        if self.unpacker.is_identity() || (input.is_empty() && self.progress == Progress::Drained) {
            return Ok(Unpacked::Nothing);
        }
        self.text.clear();
        self.unread = 0;
        self.progress = self.unpacker.unpack(input, &mut self.text)?;
        Ok(Unpacked::Text)
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
        Item::Event(event) => match (&plan.mode, Gap::of(event)) {
            (Mode::Once { until: Some(until) }, _) if event.data == until => Found::Until,
            (_, Some(gap)) => Found::Signal(Signal::Gap(gap)),
            (_, None) => Found::Signal(Signal::Event(Event::new(event, origin))),
        },
        Item::Comment(text) if plan.comments == Comments::Reported => {
            Found::Signal(Signal::Comment(text.to_owned()))
        }
        Item::Retry(retry) => Found::Retry(retry),
        _ => Found::Nothing,
    }
}
