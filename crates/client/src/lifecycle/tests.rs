//! The state machine in stepped time: without a socket or a clock, exact to the millisecond.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use url::Url;

use super::*;
use crate::signal::Open;
use crate::transport;

mod ending;
mod limits;
mod opening;
mod place;
mod stopping;
mod waiting;

const URL: &str = "http://a.example/events?topic=news";

/// A state machine, the current time, and a method for everything that can happen to the machine.
struct Play {
    lifecycle: Lifecycle,
    now: Instant,
}

fn play(change: impl FnOnce(&mut Plan)) -> Play {
    seeded_play(0, change)
}

fn seeded_play(seed: u64, change: impl FnOnce(&mut Plan)) -> Play {
    let mut plan = Plan::new(Url::parse(URL).expect("legal"), Method::GET);
    change(&mut plan);
    let now = Instant::now();
    Play { lifecycle: Lifecycle::new(plan, seed), now }
}

impl Play {
    /// Takes the request that must be sent now.
    #[track_caller]
    fn attempt(&mut self) -> Attempt {
        let attempt = self.lifecycle.poll_attempt(self.now);
        let attempt = attempt.expect("a request goes out");
        assert!(self.lifecycle.poll_attempt(self.now).is_none(), "one request at a time");
        attempt
    }

    fn respond(&mut self, status: u16, headers: &[(&str, &str)]) -> Option<Signal> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).expect("legal").into_parts();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        self.lifecycle.handle_response(head, self.now, wall);
        self.signal()
    }

    /// Takes the request that is due, and opens the stream.
    #[track_caller]
    fn open(&mut self) -> (Attempt, Open) {
        let attempt = self.attempt();
        match self.respond(200, &[("content-type", "text/event-stream")]) {
            Some(Signal::Open(open)) => (attempt, open),
            other => panic!("{other:?} instead of an open stream"),
        }
    }

    /// Feeds bytes, and collects the signals that result.
    fn feed(&mut self, bytes: impl AsRef<[u8]>) -> Vec<Signal> {
        let mut input = bytes.as_ref();
        let mut signals = Vec::new();
        while !input.is_empty() || self.lifecycle.has_unread() {
            self.lifecycle.handle_bytes(&mut input, self.now);
            signals.extend(self.signal());
        }
        signals
    }

    /// Feeds bytes that must result in events only, and returns their data.
    #[track_caller]
    fn events(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
        let signals = self.feed(bytes).into_iter();
        signals
            .map(|signal| match signal {
                Signal::Event(event) => event.into_data(),
                other => panic!("{other:?} instead of an event"),
            })
            .collect()
    }

    fn end(&mut self) -> Option<Signal> {
        self.lifecycle.handle_end(self.now);
        self.signal()
    }

    fn break_off(&mut self, stage: transport::Stage) -> Option<Signal> {
        self.lifecycle.handle_error(TransportError::new(stage, "broken"), self.now);
        self.signal()
    }

    fn advance(&mut self, time: Duration) -> Option<Signal> {
        self.now += time;
        self.lifecycle.handle_timeout(self.now);
        self.signal()
    }

    /// Waits as long as `signal` announces, and checks that nothing happens a moment earlier.
    #[track_caller]
    fn wait(&mut self, signal: Option<Signal>) -> Retrying {
        let retrying = retrying(signal);
        assert_eq!(self.lifecycle.state(), State::Waiting);
        assert!(!self.lifecycle.wants_exchange(), "the broken exchange is to be dropped");
        assert_eq!(self.lifecycle.poll_timeout(), Some(self.now + retrying.delay));
        let moment = Duration::from_nanos(1);
        assert!(self.advance(retrying.delay - moment).is_none());
        assert!(self.lifecycle.poll_attempt(self.now).is_none(), "not before its time");
        assert!(self.advance(moment).is_none());
        assert_eq!(self.lifecycle.state(), State::Connecting);
        retrying
    }

    fn signal(&mut self) -> Option<Signal> {
        let signal = self.lifecycle.poll_signal();
        assert!(self.lifecycle.poll_signal().is_none(), "one signal per input");
        signal
    }

    /// Checks that no input has any effect.
    #[track_caller]
    fn assert_silent_for_good(&mut self) {
        assert_eq!(self.lifecycle.state(), State::Failed);
        assert_eq!(self.lifecycle.poll_timeout(), None);
        assert!(self.feed("data: late\n\n").is_empty());
        assert!(self.end().is_none());
        assert!(self.break_off(transport::Stage::Body).is_none());
        assert!(self.respond(200, &[("content-type", "text/event-stream")]).is_none());
        assert!(self.advance(Duration::from_secs(1_000_000)).is_none());
        assert!(self.lifecycle.poll_attempt(self.now).is_none());
    }
}

#[track_caller]
fn retrying(signal: Option<Signal>) -> Retrying {
    match signal {
        Some(Signal::Retrying(retrying)) => retrying,
        other => panic!("{other:?} instead of another attempt"),
    }
}

#[track_caller]
fn closed(signal: Option<Signal>) -> Closed {
    match signal {
        Some(Signal::Closed(closed)) => closed,
        other => panic!("{other:?} instead of the end"),
    }
}

/// A header of a request, as text.
fn header(attempt: &Attempt, name: &'static str) -> Option<String> {
    let values: Vec<_> = attempt.hop.headers.get_all(name).iter().collect();
    assert!(values.len() <= 1, "{name} is set, not appended: {values:?}");
    values.first().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
