//! The simulated hub, its network, and time.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use tidings_client::{Body, Sending, Sleep, Stage, Timer, Transport, TransportError};

/// The number of events published in a run. Each event's number, from 1, is its data and its ID.
pub(crate) const EVENTS: u64 = 60;

/// The hub's heartbeat interval.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Counts of the things that happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) drops: u64,
    pub(crate) drops_in_mid_event: u64,
    pub(crate) clean_ends: u64,
    pub(crate) half_open: u64,
    pub(crate) refused_connections: u64,
    pub(crate) unanswered: u64,
    pub(crate) refusals: u64,
    pub(crate) crashes: u64,
    pub(crate) fresh: u64,
    pub(crate) resumes: u64,
    pub(crate) retries: u64,
    pub(crate) idle_timeouts: u64,
    pub(crate) no_responses: u64,
}

impl Stats {
    pub(crate) fn counts(&self) -> [(&'static str, u64); 13] {
        [
            ("drops", self.drops),
            ("drops in mid-event", self.drops_in_mid_event),
            ("clean ends", self.clean_ends),
            ("half-open sockets", self.half_open),
            ("refused connections", self.refused_connections),
            ("unanswered requests", self.unanswered),
            ("503 refusals", self.refusals),
            ("crashes of the reader", self.crashes),
            ("fresh streams", self.fresh),
            ("resumed streams", self.resumes),
            ("retries", self.retries),
            ("idle time-outs", self.idle_timeouts),
            ("response time-outs", self.no_responses),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.drops += other.drops;
        self.drops_in_mid_event += other.drops_in_mid_event;
        self.clean_ends += other.clean_ends;
        self.half_open += other.half_open;
        self.refused_connections += other.refused_connections;
        self.unanswered += other.unanswered;
        self.refusals += other.refusals;
        self.crashes += other.crashes;
        self.fresh += other.fresh;
        self.resumes += other.resumes;
        self.retries += other.retries;
        self.idle_timeouts += other.idle_timeouts;
        self.no_responses += other.no_responses;
    }
}

/// The simulated world, shared by the source's transport, its timer, and the test.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<World>>);

struct World {
    start: Instant,
    now: Instant,
    rng: fastrand::Rng,
    /// The time at which each event is published.
    published: Vec<Instant>,
    /// The earliest time that anything waits for, collected anew in each round of polls.
    wake: Option<Instant>,
    stats: Stats,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut at = start;
        let published = (0..EVENTS).map(|_| {
            at += match rng.u8(..10) {
                0 => Duration::from_secs(rng.u64(20..100)),
                1..4 => Duration::ZERO,
                _ => Duration::from_millis(rng.u64(0..3_000)),
            };
            at
        });
        let published = published.collect();
        let stats = Stats::default();
        Self(Arc::new(Mutex::new(World { start, now: start, rng, published, wake: None, stats })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nothing panics while it is locked")
    }

    pub(crate) fn elapsed(&self) -> Duration {
        let world = self.world();
        world.now - world.start
    }

    /// Advances to the next time at which anything can happen.
    pub(crate) fn advance(&self) {
        let mut world = self.world();
        let wake = world.wake.take().expect("somebody waits for something");
        world.now = world.now.max(wake);
    }

    pub(crate) fn draw(&self) -> u64 {
        self.world().rng.u64(..)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.world().stats.clone()
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Stats)) {
        add(&mut self.world().stats);
    }

    /// Decides whether the reading program is killed and started again now.
    pub(crate) fn crashes(&self) -> bool {
        let mut world = self.world();
        let crashes = world.rng.u8(..40) == 0;
        world.stats.crashes += u64::from(crashes);
        crashes
    }
}

impl World {
    fn wait_until(&mut self, moment: Instant) {
        self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
    }

    fn milliseconds(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.rng.u64(0..below))
    }

    /// The number of events published so far.
    fn tail(&self) -> u64 {
        self.published.iter().filter(|at| **at <= self.now).count() as u64
    }
}

impl Timer for Sim {
    fn now(&self) -> Instant {
        self.world().now
    }

    fn wake_at(&self, deadline: Instant) -> Sleep {
        let sim = self.clone();
        Box::pin(poll_fn(move |_| {
            let mut world = sim.world();
            if world.now >= deadline {
                return Poll::Ready(());
            }
            world.wait_until(deadline);
            Poll::Pending
        }))
    }
}

/// The outcome of a request.
enum Answer {
    Refused,
    Silence,
    Busy,
    Stream { after: u64 },
}

impl Transport for Sim {
    fn send(&self, request: Request<Body>) -> Sending {
        let place = request
            .headers()
            .get("last-event-id")
            .map(|place| place.to_str().expect("a number").parse::<u64>().expect("a number"));
        let (at, answer) = {
            let mut world = self.world();
            let at = world.now + world.milliseconds(2_000);
            let answer = match world.rng.u8(..16) {
                0 => Answer::Refused,
                1 => Answer::Silence,
                2 => Answer::Busy,
                // Without a last event ID this hub starts at the oldest event, not at the tail, so
                // that every event is expected, even those before the first connection.
                _ => Answer::Stream { after: place.unwrap_or(0) },
            };
            (at, answer)
        };
        let sim = self.clone();
        let mut answer = Some(answer);
        Box::pin(poll_fn(move |_| {
            if let Some(Answer::Silence) = answer {
                sim.count(|stats| stats.unanswered += 1);
                answer = None;
            }
            let Some(kind) = &answer else { return Poll::Pending };
            if sim.world().now < at {
                sim.world().wait_until(at);
                return Poll::Pending;
            }
            Poll::Ready(match kind {
                Answer::Refused => {
                    sim.count(|stats| stats.refused_connections += 1);
                    Err(TransportError::new(Stage::Connect, "refused"))
                }
                Answer::Stream { after } => Ok(stream(&sim, *after)),
                Answer::Busy | Answer::Silence => {
                    sim.count(|stats| stats.refusals += 1);
                    let head = Response::builder().status(503).header("retry-after", "2");
                    Ok(head.body(Body::empty()).expect("a legal head"))
                }
            })
        }))
    }
}

fn stream(sim: &Sim, after: u64) -> Response<Body> {
    let mut world = sim.world();
    let ends = world.now + Duration::from_millis(world.rng.u64(0..60_000));
    let end = match world.rng.u8(..4) {
        0 => End::Clean,
        1 => End::Silence,
        _ => End::Drop,
    };
    let retry = world.rng.u64(0..2_000);
    // The hub's preamble gives the reader its place before the first event.
    let mut pending = format!(":\nretry: {retry}\n").into_bytes();
    if after > 0 {
        pending.extend(format!("id: {after}\n\n").into_bytes());
    }
    let body = Stream {
        sim: sim.clone(),
        sent: after,
        pending,
        boundary: true,
        spoke: world.now,
        ends,
        end,
    };
    let head = Response::builder().header("content-type", "text/event-stream");
    head.body(Body::new(body)).expect("a legal head")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Drop,
    /// The peer is gone without a word.
    Silence,
    /// The same, already counted.
    Silent,
}

/// One response: the history after an event, in arbitrary chunks, until it ends.
struct Stream {
    sim: Sim,
    sent: u64,
    pending: Vec<u8>,
    /// Whether the last chunk ended at the end of an event.
    boundary: bool,
    spoke: Instant,
    ends: Instant,
    end: End,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let sim = self.sim.clone();
        let mut world = sim.world();
        if world.now >= self.ends {
            return self.finish(&mut world.stats);
        }
        while self.sent < world.tail() {
            self.sent += 1;
            let number = self.sent;
            self.pending.extend(format!("id: {number}\ndata: {number}\n\n").into_bytes());
        }
        if self.pending.is_empty() && world.now >= self.spoke + HEARTBEAT {
            self.pending.extend(b":\n");
        }
        if self.pending.is_empty() {
            let next = world.published.get(self.sent as usize).copied();
            let moments = [Some(self.ends), Some(self.spoke + HEARTBEAT), next];
            moments.into_iter().flatten().for_each(|moment| world.wait_until(moment));
            return Poll::Pending;
        }
        // Sometimes only a part of the bytes gets through before the connection ends.
        let length = self.pending.len();
        let cut = if world.rng.bool() { world.rng.usize(1..=length) } else { length };
        if cut < length && world.rng.u8(..6) == 0 {
            self.ends = world.now;
        }
        self.boundary = cut == length;
        self.spoke = world.now;
        let rest = self.pending.split_off(cut);
        let chunk = std::mem::replace(&mut self.pending, rest);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }
}

impl Stream {
    fn finish(&mut self, stats: &mut Stats) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match self.end {
            End::Clean => {
                stats.clean_ends += 1;
                Poll::Ready(None)
            }
            End::Drop => {
                stats.drops += 1;
                stats.drops_in_mid_event += u64::from(!self.boundary);
                Poll::Ready(Some(Err(TransportError::new(Stage::Body, "dropped"))))
            }
            End::Silence => {
                stats.half_open += 1;
                self.end = End::Silent;
                Poll::Pending
            }
            End::Silent => Poll::Pending,
        }
    }
}
