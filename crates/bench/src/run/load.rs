//! The loop that all scenarios run in.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use super::error::RunError;
use super::interrupt::{Interrupt, Interrupter};
use super::progress::Progress;
use crate::check::data::Shape;
use crate::check::ledger::{Ledger, Scope};
use crate::config::{Config, Scenario};
use crate::http::request::Request;
use crate::http::socket::IsClosing;
use crate::http::target::{Origin, Target};
use crate::measure::clock::{Clock, nanos};
use crate::measure::meter::Meter;
use crate::publish::{FIRST_TOKEN, PublishRequest, Publishers};
use crate::report::Totals;
use crate::subscribe::source::Purpose;
use crate::subscribe::sources::Sources;
use crate::topics::Topics;

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    interrupt: Interrupt,
    pub(crate) clock: Clock,
    pub(crate) sources: Sources,
    pub(crate) publishers: Publishers,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Meter,
    progress: Progress,
    goal: Goal,
    timeout: Duration,
    /// When there was progress last, and the sum of all counts at that time.
    moved: (u64, u64),
    next_tick: u64,
    measured: MeasuredTime,
}

/// The current goal of the run, for the progress line and messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) all: u64,
    pub(crate) done: fn(&Load) -> u64,
}

/// The part of a run that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MeasuredTime {
    began: Option<u64>,
    /// The nanoseconds of all finished parts.
    took: u64,
}

/// The maximum number of connections that wait for a response head, so that no server's backlog
/// overflows.
const OPENING_MAX: usize = 256;
/// The number of failures after which a run is given up.
const REFUSALS_MAX: u64 = 100;
/// The maximum number of sockets handled before the next events are published.
const TURN_EVENTS: usize = 128;
/// The interval for checking signals, progress and memory.
const TICK: Duration = Duration::from_millis(100);
/// How long the server has to notice that its connections are closed before its memory is sampled.
const SETTLE: Duration = Duration::from_secs(1);
const WAKE: Token = Token(usize::MAX);

impl Load {
    /// Prepares a run, without connecting yet.
    pub(crate) fn new(
        config: &Config,
        watch: impl FnOnce(Interrupter) -> io::Result<()>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let interrupt = Interrupt::default();
        watch(interrupt.interrupter(Waker::new(poll.registry(), WAKE)?))?;
        let run = fastrand::u32(..);
        let topics = Topics::new(run, config.topics);
        let scope = if config.subscribe.has_topic() { Scope::Own } else { Scope::Shared };
        let found = |origin: &Origin| {
            let named = |error| io::Error::other(format!("cannot connect to {origin}: {error}"));
            origin.find().map_err(named)
        };
        let (target, request, slots) = publishing(config);
        let subscribe_to = found(&config.subscribe.origin)?;
        let publish_to = match target.origin == config.subscribe.origin {
            true => subscribe_to.clone(),
            false => found(&target.origin)?,
        };
        let clock = Clock::start();
        Ok(Self {
            events: Events::with_capacity(TURN_EVENTS),
            interrupt,
            clock,
            sources: Sources::new(
                poll.registry().try_clone()?,
                subscribe_to,
                subscription(config),
                topics.clone(),
                clock,
            ),
            publishers: Publishers::new(
                poll.registry().try_clone()?,
                publish_to,
                request,
                topics,
                slots,
            ),
            ledger: Ledger::new(Shape::new(run, config.bytes), config.topics, scope),
            meter: Meter::new(&config.servers)?,
            progress: Progress::new(config.progress),
            goal: Goal { what: "connecting", all: 0, done: |_| 0 },
            timeout: config.timeout,
            moved: (0, 0),
            next_tick: 0,
            measured: MeasuredTime::default(),
            poll,
        })
    }

    /// Opens `count` streams, spread over the topics.
    pub(crate) fn open(&mut self, purpose: Purpose, count: u32) -> Result<(), RunError> {
        let all = self.sources.counts().opened + u64::from(count);
        self.goal(Goal { what: "streams opened", all, done: |load| load.sources.counts().opened });
        let mut started = 0;
        while started < count || self.sources.opening() > 0 {
            if started < count && self.sources.opening() < OPENING_MAX {
                self.start(purpose, started % self.sources.topics().count())?;
                started += 1;
                continue;
            }
            self.turn(u64::MAX)?;
        }
        self.check_refusals(1)
    }

    /// Starts to open one stream of `topic`.
    pub(crate) fn start(&mut self, purpose: Purpose, topic: u32) -> Result<(), RunError> {
        self.sources.start(purpose, topic, &mut self.ledger);
        self.check_refusals(REFUSALS_MAX)
    }

    /// Publishes the next event, which counts as sent at `now`.
    pub(crate) fn publish(&mut self, now: u64) {
        let stamp = self.ledger.publish(now);
        let publisher = stamp.topic as usize % self.publishers.count();
        self.publishers.publish(publisher, vec![stamp]);
    }

    /// Returns how many events have not reached all subscribers or are unanswered.
    pub(crate) fn under_way(&self) -> u64 {
        self.ledger.under_way().max(self.ledger.events() - self.publishers.answered())
    }

    /// Waits until nothing is under way.
    pub(crate) fn settle(&mut self) -> Result<(), RunError> {
        while self.under_way() > 0 {
            self.turn(u64::MAX)?;
            self.check_open()?;
        }
        Ok(())
    }

    /// Waits until `until` and reads whatever arrives.
    pub(crate) fn hold(&mut self, until: u64) -> Result<(), RunError> {
        while self.clock.now() < until {
            // Nothing is expected here, so silence is not a failure.
            self.moved.1 = self.clock.now();
            self.turn(until)?;
        }
        Ok(())
    }

    /// Waits for sockets, at most until `until`, and reads and writes what is possible.
    pub(crate) fn turn(&mut self, until: u64) -> Result<(), RunError> {
        self.publishers.flush(&mut self.ledger);
        let wait = until.min(self.next_tick).saturating_sub(self.clock.now());
        // The kernel rounds timeouts up to a millisecond, so the last one is spent polling.
        let wait = Duration::from_millis(wait / 1_000_000);
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            let closing = match event.is_read_closed() || event.is_error() {
                true => IsClosing::Yes,
                false => IsClosing::No,
            };
            match event.token() {
                WAKE => {}
                Token(token) if token >= FIRST_TOKEN => {
                    let index = token - FIRST_TOKEN;
                    self.publishers.handle(index, closing, &mut self.ledger, &self.clock);
                }
                Token(token) => {
                    self.sources.handle(token, closing, &mut self.ledger);
                }
            }
        }
        self.publishers.flush(&mut self.ledger);
        let now = self.clock.now();
        if now >= self.next_tick {
            self.next_tick = now + nanos(TICK);
            self.tick(now)?;
        }
        match self.interrupt.came() {
            Some(interrupted) => Err(RunError::Interrupted(interrupted)),
            None => Ok(()),
        }
    }

    fn tick(&mut self, now: u64) -> Result<(), RunError> {
        self.check_refusals(REFUSALS_MAX)?;
        let counts = self.sources.counts();
        let moved = counts.opened
            + counts.finished
            + self.sources.refused().total()
            + self.sources.ended().total()
            + self.publishers.answered()
            + self.ledger.delivered();
        if moved != self.moved.0 {
            self.moved = (moved, now);
        } else if now - self.moved.1 > nanos(self.timeout) {
            let Goal { what, all, done } = self.goal;
            return Err(RunError::Silent { timeout: self.timeout, what, done: done(self), all });
        }
        self.meter.tick(now)?;
        if self.progress.is_due(now) {
            let Goal { what, all, done } = self.goal;
            let done = done(self);
            self.progress.show(what, done, all, now);
        }
        Ok(())
    }

    /// Ends the run if at least `enough` connections and publishes have failed.
    pub(crate) fn check_refusals(&self, enough: u64) -> Result<(), RunError> {
        let (sources, publishers) = (self.sources.refused(), self.publishers.refused());
        let count = sources.total() + publishers.total();
        if count < enough {
            return Ok(());
        }
        let causes = sources.list().into_iter().chain(publishers.list());
        let mostly = causes.max_by_key(|(_, count)| *count).map_or("", |(cause, _)| cause);
        Err(RunError::Refused { count, mostly: mostly.to_owned() })
    }

    /// Ends the run if no stream is open.
    pub(crate) fn check_open(&self) -> Result<(), RunError> {
        if self.sources.open() == 0 { Err(RunError::AllEnded) } else { Ok(()) }
    }

    /// Sets what the run is doing from now on.
    pub(crate) fn goal(&mut self, goal: Goal) {
        self.goal = goal;
        self.progress.begin();
        self.moved.1 = self.clock.now();
    }

    /// Begins or continues the measured part.
    pub(crate) fn begin(&mut self) -> Result<(), RunError> {
        self.meter.begin()?;
        self.measured.began = Some(self.clock.now());
        Ok(())
    }

    /// Ends the measured part.
    pub(crate) fn end(&mut self) -> Result<(), RunError> {
        if let Some(began) = self.measured.began.take() {
            self.measured.took += self.clock.now() - began;
            self.meter.end()?;
        }
        Ok(())
    }

    /// Returns what the report needs at the end of the run.
    pub(crate) fn totals(&self) -> Totals<'_> {
        Totals {
            ledger: &self.ledger,
            meter: &self.meter,
            refused: [self.sources.refused(), self.publishers.refused()],
            ended: self.sources.ended(),
            took: (self.measured.took > 0).then_some(self.measured.took),
        }
    }

    /// Ends a run, whether it succeeded or not: counts lost events, closes all connections and
    /// takes the last sample.
    pub(crate) fn finish(&mut self, ran: &Result<(), RunError>) {
        let ended = self.end();
        if let Err(RunError::Silent { .. }) = ran {
            self.ledger.give_up();
        }
        self.progress.end();
        self.sources.close();
        if ran.is_ok() && ended.is_ok() && self.meter.watches() {
            let until = self.clock.now() + nanos(SETTLE);
            self.goal(Goal { what: "closing", all: 0, done: |_| 0 });
            // If a signal arrives or the server ends, only this figure is missing.
            if self.hold(until).is_ok() {
                let _ = self.meter.after();
            }
        }
        self.progress.end();
    }
}

/// Prepares the request for an event stream, with the headers that an EventSource of the standard
/// sends.
fn subscription(config: &Config) -> Request {
    let mut usual = vec![
        ("Accept", "text/event-stream"),
        ("Cache-Control", "no-cache"),
        ("User-Agent", USER_AGENT),
    ];
    if let Scenario::Replay { start: Some(start), .. } = &config.scenario {
        usual.push(("Last-Event-ID", start));
    }
    Request::new("GET", &config.subscribe, &usual, &config.headers)
}

/// Returns where and how events are published, the number of connections, and the maximum number of
/// unanswered requests on each.
fn publishing(config: &Config) -> (&Target, PublishRequest, (usize, usize)) {
    if let Scenario::Publish { connections, pipelined, batch: Some(batch), .. } = &config.scenario {
        let usual = [("Content-Type", "application/x-ndjson"), ("User-Agent", USER_AGENT)];
        let request = Request::new("POST", &batch.target, &usual, &config.headers);
        let slots = (*connections as usize, *pipelined as usize);
        return (&batch.target, PublishRequest::Batch(request), slots);
    }
    let usual = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", USER_AGENT)];
    let request = Request::new("POST", &config.publish, &usual, &config.headers);
    let slots = match &config.scenario {
        Scenario::Publish { connections, pipelined, .. } => {
            (*connections as usize, *pipelined as usize)
        }
        // Only one connection keeps a topic in order, so more connections than topics are of no
        // use.
        Scenario::FanOut { under_way, .. } => {
            ((*under_way).min(config.topics) as usize, *under_way as usize)
        }
        _ => (1, PIPELINED),
    };
    (&config.publish, PublishRequest::One(request), slots)
}

/// The number of unanswered requests where it is not what is measured.
const PIPELINED: usize = 64;
const USER_AGENT: &str = concat!("tidings-bench/", env!("CARGO_PKG_VERSION"));
