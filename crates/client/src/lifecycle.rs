//! The lifecycle of an event source, as a state machine without a socket or a clock.
//!
//! ```text
//!                  poll_attempt               handle_response: 200, text/event-stream
//!   new ──▶ Due ──────────────▶ Connecting ──────────────────────────────▶ Open
//!            ▲ ▲                 │  │  │                                   │  │
//!            │ │ redirect, 401   │  │  │ handle_error, handle_timeout,     │  │ handle_end,
//!            │ └─────────────────┘  │  │ a temporary status                │  │ handle_error,
//!            │                      │  ▼                                   │  │ handle_timeout
//!            │ handle_timeout       │ Waiting ◀────────────────────────────│──┘ (silence)
//!            └──────────────────────│──┘ │ the budget is used              │
//!                                   │    │                                 │ an event over the
//!                 any other status, │    ▼                                 │ limits, `until`, the
//!                 another MIME type │  Failed ◀── 204, a bad redirect      │ end of a one-shot
//!                                   ▼    ▲  ▲                              │ stream
//!                              Refusing ─┘  └──────────────────────────────┘
//! ```
//!
//! From every state `close` leads to Failed, and `restart` and `reset` lead to Due. The public
//! [`State`] shows Due and Refusing as Connecting.
//!
//! This module decides when to connect, with which request, what a response means, when to give
//! up, and which [`Signal`]s to report. It does not decode bytes (the decoder does), compute waits
//! ([`Pacing`] does), or use sockets and timers (the driver in `source` does). The driver passes
//! each thing that happens to a `handle_` method, with its time, sends the request that
//! `poll_attempt` returns, and wakes up at `poll_timeout`. So a test can play any scenario in
//! stepped time.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use tidings_proto::Decoder;
use url::Url;

use crate::backoff::Pacing;
use crate::content_encoding::{self, Progress, Unpacker};
use crate::credentials::{CredentialsError, Occasion};
use crate::end::End;
use crate::headers::{LAST_EVENT_ID, last_event_id_value};
use crate::plan::{CredentialsPlan, EncodingPlan, Mode, Plan, Resend};
use crate::redirect::{Carried, Hop};
use crate::signal::{Cause, Closed, RefusedResponse, Resumption, Retrying, Signal};
use crate::transport::TransportError;

mod reading;
pub(crate) mod response;
#[cfg(test)]
mod tests;

/// The state of an event source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// An attempt is due or under way.
    Connecting,
    /// The stream is open.
    Open,
    /// The source waits before the next attempt.
    Waiting,
    /// The source has stopped for good.
    Failed,
}

impl State {
    /// The corresponding `readyState` of the HTML standard: 0 CONNECTING (including the wait),
    /// 1 OPEN, 2 CLOSED.
    #[must_use]
    pub fn ready_state(self) -> u8 {
        match self {
            Self::Connecting | Self::Waiting => 0,
            Self::Open => 1,
            Self::Failed => 2,
        }
    }
}

/// A request to send now.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) hop: Hop,
    pub(crate) connection: Connection,
    /// The reason to request credentials from the caller first, if the request may carry them.
    pub(crate) credentials: Option<Occasion>,
}

/// Which connection a request may be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    Any,
    /// The last one broke or went silent, and must not be used again.
    New,
}

/// The state machine. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    plan: Plan,
    pacing: Pacing,
    phase: Phase,
    decoder: Decoder,
    resumption: Resumption,
    connection: Connection,
    ever_opened: bool,
    /// The end of a stream that was the last event.
    end: Option<End>,
    /// At most one per input: the driver takes it before it passes the next input.
    signals: VecDeque<Signal>,
}

#[derive(Debug)]
enum Phase {
    Due(Due),
    Connecting(Connecting),
    Refusing(Refusing),
    Open(Reading),
    Waiting { until: Instant },
    Failed,
}

/// A request that has not been sent yet: the first of an attempt, or one that a response led to.
#[derive(Debug)]
enum Due {
    Attempt,
    Hop(Box<Connecting>),
}

#[derive(Debug)]
struct Connecting {
    hop: Hop,
    occasion: Occasion,
    deadline: Instant,
}

/// A refused response, whose body is read for its explanation.
#[derive(Debug)]
struct Refusing {
    refused: Box<RefusedResponse>,
    body: Vec<u8>,
    unpacker: Unpacker,
    deadline: Instant,
}

/// An open stream.
#[derive(Debug)]
struct Reading {
    url: Url,
    origin: Arc<str>,
    opened: Instant,
    silent_since: Instant,
    delivered: bool,
    unpacker: Unpacker,
    /// Unpacked text, which the decoder has not read from `unread` on.
    text: Vec<u8>,
    unread: usize,
    progress: Progress,
}

impl Lifecycle {
    /// Makes the state machine for `plan`. `seed` determines its jitter.
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let pacing = Pacing::new(plan.backoff.clone(), seed);
        let decoder = Decoder::with_limits(plan.limits);
        let decoder = decoder.with_last_event_id(plan.last_event_id.as_str());
        Self {
            plan,
            pacing,
            phase: Phase::Due(Due::Attempt),
            decoder,
            resumption: Resumption::Fresh,
            connection: Connection::Any,
            ever_opened: false,
            end: None,
            signals: VecDeque::new(),
        }
    }

    /// The state of the source.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Due(_) | Phase::Connecting(_) | Phase::Refusing(_) => State::Connecting,
            Phase::Open(_) => State::Open,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Failed => State::Failed,
        }
    }

    /// The last event ID; empty if there is none.
    pub(crate) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// The reconnection time in force.
    pub(crate) fn reconnection_time(&self) -> Duration {
        self.pacing.reconnection_time()
    }

    /// Makes the first attempt wait for the reconnection time, as after a good stream.
    pub(crate) fn wait_first(&mut self, now: Instant) {
        self.phase = Phase::Waiting { until: now + self.pacing.delay(None) };
    }

    /// Returns whether the exchange under way is still needed. If not, the driver must drop it.
    pub(crate) fn wants_exchange(&self) -> bool {
        matches!(self.phase, Phase::Connecting(_) | Phase::Refusing(_) | Phase::Open(_))
    }

    /// The next signal for the source's owner.
    pub(crate) fn poll_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    /// The request to send now, in place of any exchange under way.
    pub(crate) fn poll_attempt(&mut self, now: Instant) -> Option<Attempt> {
        if !matches!(self.phase, Phase::Due(_)) {
            return None;
        }
        // `Failed` is only a placeholder while the phase is replaced.
        let connecting = match mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Due(Due::Hop(connecting)) => *connecting,
            _ => self.first_hop(now),
        };
        let authorized = self.plan.credentials == CredentialsPlan::PerAttempt
            && connecting.hop.credentials == Carried::Yes;
        let attempt = Attempt {
            hop: connecting.hop.clone(),
            connection: self.connection,
            credentials: authorized.then_some(connecting.occasion),
        };
        self.phase = Phase::Connecting(connecting);
        Some(attempt)
    }

    /// The next time at which [`handle_timeout`](Self::handle_timeout) must be called, if any.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Connecting(Connecting { deadline, .. })
            | Phase::Refusing(Refusing { deadline, .. }) => Some(*deadline),
            Phase::Open(reading) => self.idle_deadline(reading),
            Phase::Waiting { until } => Some(*until),
            Phase::Due(_) | Phase::Failed => None,
        }
    }

    /// Handles the passing of time. Before [`poll_timeout`](Self::poll_timeout) this does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        match &self.phase {
            Phase::Connecting(_) => {
                let cause = Cause::NoResponse(self.plan.response_timeout);
                self.reestablish(cause, None, now);
            }
            Phase::Open(_) => {
                let cause = Cause::Idle(self.plan.idle_timeout.unwrap_or_default());
                self.reestablish(cause, None, now);
            }
            Phase::Refusing(_) => self.refuse(),
            Phase::Waiting { .. } => self.phase = Phase::Due(Due::Attempt),
            Phase::Due(_) | Phase::Failed => {}
        }
    }

    /// Handles a failure of the caller's function to make credentials.
    pub(crate) fn handle_no_credentials(&mut self, error: CredentialsError, now: Instant) {
        if matches!(self.phase, Phase::Connecting(_)) {
            self.reestablish(Cause::Credentials(error), None, now);
        }
    }

    /// Handles an exchange that broke.
    pub(crate) fn handle_error(&mut self, error: TransportError, now: Instant) {
        match self.phase {
            Phase::Connecting(_) | Phase::Open(_) => {
                self.reestablish(Cause::Transport(error), None, now);
            }
            // No more of the explanation will come.
            Phase::Refusing(_) => self.refuse(),
            Phase::Due(_) | Phase::Waiting { .. } | Phase::Failed => {}
        }
    }

    /// Handles the end of the response's body.
    pub(crate) fn handle_end(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(reading) => {
                let cause = match reading.unpacker.finish() {
                    Ok(()) => Cause::Ended,
                    Err(error) => Cause::Encoding(error),
                };
                self.reestablish(cause, None, now);
            }
            Phase::Refusing(_) => self.refuse(),
            Phase::Due(_) | Phase::Connecting(_) | Phase::Waiting { .. } | Phase::Failed => {}
        }
    }

    /// Handles the start of the driver's wait for bytes. The time that the caller spent on the last
    /// signal does not count as the server's silence: bytes may have been in the socket, unread.
    pub(crate) fn handle_listening(&mut self, now: Instant) {
        if let Phase::Open(reading) = &mut self.phase {
            reading.silent_since = now;
        }
    }

    /// Stops for good, because the caller said so.
    pub(crate) fn close(&mut self) {
        if !matches!(self.phase, Phase::Failed) {
            // Nothing is delivered once closed (HTML standard, 9.2.2): waiting signals are dropped.
            self.signals.clear();
            self.fail(Closed::ByCaller);
        }
    }

    /// Drops the connection and connects at once, after the same last event ID.
    pub(crate) fn restart(&mut self) {
        self.signals.clear();
        self.pacing.handle_success();
        self.connection = Connection::New;
        self.decoder.end_of_stream();
        self.end = None;
        self.phase = Phase::Due(Due::Attempt);
    }

    /// Drops the connection and connects at once, after another last event ID.
    pub(crate) fn reset(&mut self, last_event_id: &str) {
        self.restart();
        self.decoder = Decoder::with_limits(self.plan.limits).with_last_event_id(last_event_id);
    }

    fn idle_deadline(&self, reading: &Reading) -> Option<Instant> {
        Some(reading.silent_since + self.plan.idle_timeout?)
    }

    /// The first request of an attempt. It always goes to the original URL, wherever the last
    /// attempt was redirected.
    fn first_hop(&mut self, now: Instant) -> Connecting {
        let mut headers = self.plan.headers.clone();
        if self.plan.encoding == EncodingPlan::Any {
            let value = HeaderValue::from_static(content_encoding::ACCEPT_ENCODING);
            headers.insert(ACCEPT_ENCODING, value);
        }
        let id = self.decoder.last_event_id();
        self.resumption = match last_event_id_value(id) {
            _ if id.is_empty() => Resumption::Fresh,
            None => Resumption::Unsendable(id.to_owned()),
            Some(value) => {
                headers.insert(LAST_EVENT_ID, value);
                Resumption::After(id.to_owned())
            }
        };
        let hop = Hop::first(self.plan.url.clone(), self.plan.method.clone(), headers);
        let deadline = now + self.plan.response_timeout;
        Connecting { hop, occasion: Occasion::Attempt, deadline }
    }

    /// Ends a stream or an attempt, and schedules another attempt if one is allowed (HTML standard,
    /// 9.2.3, "reestablish the connection").
    fn reestablish(&mut self, cause: Cause, retry_after: Option<Duration>, now: Instant) {
        // A block that the end cut off is discarded; its ID never took effect.
        self.decoder.end_of_stream();
        if let Phase::Open(reading) = &self.phase
            && let Some(end) = self.end.take_if(|end| end.is_of(&reading.url))
        {
            // However the response ends after it, nothing is missing.
            self.fail(Closed::Ended(end));
            return;
        }
        if let (Phase::Open(_), Mode::Once { until }) = (&self.phase, &self.plan.mode) {
            let complete = until.is_none() && matches!(cause, Cause::Ended);
            self.fail(if complete { Closed::Complete } else { Closed::Incomplete(cause) });
            return;
        }
        if self.plan.resend == Resend::Forbidden && cause.may_have_reached_server() {
            self.fail(Closed::NotResent(cause));
            return;
        }
        match self.was_good(now) {
            true => self.pacing.handle_success(),
            false => self.pacing.handle_failure(),
        }
        if let Some(attempts) = self.used_budget() {
            self.fail(Closed::Exhausted { attempts, last: cause });
            return;
        }
        self.connection = match cause.is_about_the_connection() {
            true => Connection::New,
            false => Connection::Any,
        };
        let delay = self.pacing.delay(retry_after);
        let attempt = self.pacing.failures().saturating_add(1);
        self.phase = Phase::Waiting { until: now + delay };
        self.signals.push_back(Signal::Retrying(Retrying { cause, attempt, delay }));
    }

    /// Returns whether a good stream ends here, so that earlier failures can be forgotten. A server
    /// that answers 200 and hangs up at once must not receive requests at full speed for ever.
    fn was_good(&self, now: Instant) -> bool {
        let Phase::Open(reading) = &self.phase else { return false };
        let age = now.saturating_duration_since(reading.opened);
        reading.delivered || age >= self.pacing.stable_after()
    }

    /// The number of failures in a row, if it has reached the caller's limit.
    fn used_budget(&self) -> Option<NonZeroU32> {
        let budget = match self.ever_opened {
            true => self.plan.attempts_max,
            false => self.plan.first_attempts_max.or(self.plan.attempts_max),
        }?;
        NonZeroU32::new(self.pacing.failures()).filter(|failures| *failures >= budget)
    }

    fn fail(&mut self, closed: Closed) {
        self.decoder.end_of_stream();
        self.phase = Phase::Failed;
        self.signals.push_back(Signal::Closed(closed));
    }
}
