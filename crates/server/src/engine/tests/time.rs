//! Hours in stepped time: heartbeats come in time and maximum ages end streams, and neither in bursts.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::engine::Tap;
use tidings_hub::{Client, Draft, Event, Hub, HubConfig, Now, Start, Topic};

use super::super::gathered::Framing;
use super::super::shard::{Shard, ShardConfig};
use super::super::slot::{Adopted, Subscription};
use super::super::socket::Socket;
use super::super::stream_spec::StreamSpec;
use super::super::thread::TURN_WRITES;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// No stream may be silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The combined record of all sockets.
#[derive(Debug, Default)]
struct Meter {
    now: Cell<Duration>,
    silence_max: Cell<Duration>,
    /// In the second under way.
    heartbeats: Cell<usize>,
    ends: Cell<usize>,
}

/// A socket that takes everything and notes when.
#[derive(Debug)]
struct Metered {
    meter: Rc<Meter>,
    /// Shared with the world, which looks at those that are never written to again.
    sent_at: Rc<Cell<Duration>>,
}

impl Socket for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = self.meter.now.get();
        let silence = now - self.sent_at.replace(now);
        self.meter.silence_max.set(self.meter.silence_max.get().max(silence));
        if bytes == b"2\r\n:\n\r\n" {
            self.meter.heartbeats.update(|heartbeats| heartbeats + 1);
        }
        Ok(bytes.len())
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn finish(&mut self) {
        self.meter.ends.update(|ends| ends + 1);
    }
}

/// Whether the shard's thread would have woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A shard, its hub, and the record of its sockets.
struct World {
    hub: Hub,
    started: Now,
    woken: Arc<Woken>,
    tap: Arc<Tap>,
    shard: Shard<Metered, ()>,
    meter: Rc<Meter>,
    topic: Topic,
    open: RefCell<Vec<Rc<Cell<Duration>>>>,
    /// The most in one second.
    heartbeats_max: usize,
    ends_max: usize,
    ends: usize,
}

impl World {
    fn new(stream_age_max: Option<Duration>) -> Self {
        let started = Now::read();
        let config = HubConfig::default();
        let shard = ShardConfig {
            heartbeat_interval: config.heartbeat_interval,
            stream_age_max,
            stall_timeout: HOUR,
            reconnection_time: config.reconnection_time,
        };
        let hub = Hub::builder().config(config).at(started).build();
        let woken = Arc::<Woken>::default();
        let tap = Arc::new(Tap::open(&hub, 64, Waker::from(Arc::clone(&woken))));
        Self {
            shard: Shard::new(shard, Arc::clone(&tap)),
            hub,
            started,
            woken,
            tap,
            meter: Rc::default(),
            topic: Topic::new("quiet").unwrap(),
            open: RefCell::default(),
            heartbeats_max: 0,
            ends_max: 0,
            ends: 0,
        }
    }

    fn connect(&mut self) {
        let sent_at = Rc::new(Cell::new(self.meter.now.get()));
        self.open.get_mut().push(Rc::clone(&sent_at));
        self.shard.set_now(self.hub.uptime());
        self.shard.add(Adopted {
            socket: Metered { meter: Rc::clone(&self.meter), sent_at },
            head: Vec::new(),
            discarded: 0,
            subscription: Subscription {
                reader: self.tap.subscribe(&self.topic.clone().into(), Start::Tail),
                framing: Framing::Chunked,
                spec: StreamSpec { client: Client::Other, ..StreamSpec::default() },
                permit: (),
            },
        });
        self.work();
    }

    fn publish(&mut self) {
        drop(self.hub.publish(Draft::new(self.topic.clone(), Event::new("news"))));
        self.work();
    }

    /// Moves time on by one tick.
    fn tick(&mut self, by: Duration) {
        let before = self.meter.now.get();
        self.meter.now.set(before + by);
        self.hub.tick(self.started + self.meter.now.get());
        if self.woken.0.load(Ordering::Relaxed) {
            self.work();
        }
        if before.as_secs() != self.meter.now.get().as_secs() {
            let (heartbeats, ends) = (self.meter.heartbeats.take(), self.meter.ends.take());
            self.heartbeats_max = self.heartbeats_max.max(heartbeats);
            self.ends_max = self.ends_max.max(ends);
            self.ends += ends;
        }
    }

    fn work(&mut self) {
        self.woken.0.store(false, Ordering::Relaxed);
        self.shard.set_now(self.hub.uptime());
        while self.shard.turn(TURN_WRITES) {}
    }

    /// Streams whose sockets have not been closed.
    fn open(&self) -> usize {
        let mut open = self.open.borrow_mut();
        // The other holder is the socket.
        open.retain(|sent_at| Rc::strong_count(sent_at) > 1);
        open.len()
    }

    #[track_caller]
    fn check_silence(&self) {
        self.open();
        let open = self.open.borrow();
        let silences = open.iter().map(|sent_at| self.meter.now.get() - sent_at.get());
        let silence = silences.chain([self.meter.silence_max.get()]).max().unwrap();
        assert!(silence <= SILENCE_MAX, "a stream was silent for {silence:?}");
        assert!(silence > SILENCE_MAX / 2, "heartbeats come after {silence:?} at the latest");
    }
}

#[test]
fn a_day_of_heartbeats_and_maximum_ages_has_no_silence_and_no_burst() {
    const STREAMS: usize = 250;
    const AGE_MAX: Duration = HOUR;
    let mut rng = Rng::with_seed(5);
    let mut world = World::new(Some(AGE_MAX));
    while world.meter.now.get() < 24 * HOUR {
        // After a restart, all clients connect at once; later, ended streams reconnect.
        (world.open()..STREAMS).for_each(|_| world.connect());
        if rng.u32(0..600) == 0 {
            world.publish();
        }
        world.tick(SECOND);
    }
    world.check_silence();
    assert!(world.heartbeats_max < STREAMS * 2 / 5, "{} at once", world.heartbeats_max);
    // Each stream has ended every hour, or up to a tenth sooner.
    assert!((23 * STREAMS..28 * STREAMS).contains(&world.ends), "{} ends", world.ends);
    assert!(world.ends_max < STREAMS / 20, "{} ended at once", world.ends_max);
}

#[test]
fn thousands_that_came_within_one_second_are_never_due_together() {
    const STREAMS: usize = 5000;
    const AGE_MAX: Duration = Duration::from_secs(600);
    let mut rng = Rng::with_seed(6);
    let mut world = World::new(Some(AGE_MAX));
    for _ in 0..10 {
        (0..STREAMS / 10).for_each(|_| world.connect());
        world.tick(SECOND / 10);
    }
    while world.meter.now.get() < AGE_MAX * 9 / 10 {
        // All are sent something together, which puts their next heartbeats together.
        if rng.u32(0..300) == 0 {
            world.publish();
        }
        // Ticks come when the machine has time for them.
        world.tick(Duration::from_millis(rng.u64(50..=500)));
    }
    assert_eq!(world.open(), STREAMS);
    world.check_silence();
    assert!(world.heartbeats_max < STREAMS / 2, "{} at once", world.heartbeats_max);
    // And their ends, up to a minute early, are spread over that minute.
    while world.ends < STREAMS {
        world.tick(SECOND);
    }
    assert!(world.meter.now.get() <= AGE_MAX + 4 * SECOND);
    assert!(world.ends_max < STREAMS / 20, "{} ended at once", world.ends_max);
}
