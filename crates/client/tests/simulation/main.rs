//! A source against a hub with history, over a network that drops, delays and goes silent.
//!
//! Only the event source is real. Time and the server are simulated, and every decision of theirs
//! comes from a seed. So a run takes milliseconds, and a failing seed fails again. The tests check
//! the crate's promise: no event is lost, doubled or out of order.
//!
//! 200 seeds run with the other tests. For more:
//!
//! ```text
//! TIDINGS_SIM_SEEDS=10000 cargo test -p tidings-client --test simulation --release -- --nocapture
//! ```

mod world;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream;
use tidings_client::{Cause, EventSource, Resumption, Signal};
use world::{EVENTS, HEARTBEAT, Sim, Stats};

/// The simulated time after which a run is stuck.
const HORIZON: Duration = Duration::from_secs(24 * 3_600);

#[test]
fn no_event_is_lost_or_doubled_whatever_the_network_does() {
    let seeds = std::env::var("TIDINGS_SIM_SEEDS").ok();
    let seeds: u64 = seeds.map_or(200, |seeds| seeds.parse().expect("a number of seeds"));
    let mut total = Stats::default();
    for seed in 0..seeds {
        total.add(&run(seed));
    }
    println!("{seeds} seeds: {total:?}");
    // A network without failures would prove nothing.
    for (what, count) in total.counts() {
        assert!(count > 0, "no {what} in {seeds} seeds");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs one seed to its end.
fn run(seed: u64) -> Stats {
    let sim = Sim::new(seed);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    let mut reader = Reader::new(sim.clone());
    while reader.next_expected() <= EVENTS {
        match Pin::new(&mut reader.source).poll_next(&mut cx) {
            Poll::Ready(Some(signal)) => reader.take(signal, seed),
            Poll::Ready(None) => panic!("seed {seed}: the source ended"),
            Poll::Pending if flag.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending => {
                assert!(sim.elapsed() < HORIZON, "seed {seed}: stuck at {}", reader.received);
                sim.advance();
            }
        }
    }
    sim.stats()
}

/// The reading program, which keeps its place and is restarted now and then.
struct Reader {
    sim: Sim,
    source: EventSource,
    /// The number of the last event received, which is the place kept. 0 is before the first.
    received: u64,
}

impl Reader {
    fn new(sim: Sim) -> Self {
        let source = open(&sim, 0);
        Self { sim, source, received: 0 }
    }

    fn next_expected(&self) -> u64 {
        self.received + 1
    }

    #[track_caller]
    fn take(&mut self, signal: Signal, seed: u64) {
        match signal {
            Signal::Event(event) => {
                let number: u64 = event.data().parse().expect("the event's number");
                assert_eq!(number, self.next_expected(), "seed {seed}: lost or doubled");
                assert_eq!(event.last_event_id(), number.to_string(), "seed {seed}");
                self.received = number;
                if self.sim.crashes() {
                    self.source = open(&self.sim, self.received);
                }
            }
            Signal::Open(open) => {
                self.sim.count(|stats| match open.resumption {
                    Resumption::After(_) => stats.resumes += 1,
                    _ => stats.fresh += 1,
                });
            }
            Signal::Retrying(retrying) => self.sim.count(|stats| match retrying.cause {
                Cause::Idle(_) => stats.idle_timeouts += 1,
                Cause::NoResponse(_) => stats.no_responses += 1,
                _ => stats.retries += 1,
            }),
            Signal::ReconnectionTime(time) => {
                assert_eq!(self.source.reconnection_time(), time, "seed {seed}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

fn open(sim: &Sim, after: u64) -> EventSource {
    let place = if after == 0 { String::new() } else { after.to_string() };
    EventSource::get("http://hub.example/topics/news")
        .last_event_id(place)
        .idle_timeout(HEARTBEAT * 3)
        .attempts_max(NonZeroU32::MAX)
        .seed(sim.draw())
        .transport(sim.clone())
        .timer(sim.clone())
        .open()
        .expect("a good description")
}
