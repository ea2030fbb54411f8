//! Hours of many quiet bodies in stepped time: none is silent for too long, and they are never due
//! together, whatever they began or were sent together.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use tidings_hub::{Body, HubConfig, Start};
use tidings_testkit::stepped::SteppedHub;
use tidings_testkit::waker::Flag;

const SECOND: Duration = Duration::from_secs(1);
/// No stream may be silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A stream and when it was last sent something.
struct Reader {
    body: Body,
    flag: Arc<Flag>,
    waker: Waker,
    sent_at: Duration,
}

/// Many readers of one hub.
struct World {
    hub: SteppedHub,
    now: Duration,
    readers: Vec<Reader>,
    /// The most in one second.
    heartbeats_max: usize,
    ends_max: usize,
    ends: usize,
}

impl World {
    fn new(stream_age_max: Duration) -> Self {
        let mut config = HubConfig::default();
        config.stream_age_max = Some(stream_age_max);
        let (hub, now, readers) = (SteppedHub::new(config), Duration::ZERO, Vec::new());
        Self { hub, now, readers, heartbeats_max: 0, ends_max: 0, ends: 0 }
    }

    fn connect(&mut self) {
        let (flag, waker) = Flag::new();
        let body = self.hub.body("quiet", Start::Tail);
        let mut reader = Reader { body, flag, waker, sent_at: self.now };
        assert!(reader.read().is_some_and(|text| text.starts_with(b":\nretry: ")));
        assert_eq!(reader.read().unwrap(), b"");
        self.readers.push(reader);
    }

    /// Publishes what all of them read at once.
    fn publish(&mut self) {
        self.hub.publish("quiet", "news");
        self.poll_woken(self.now);
    }

    /// Lets a second pass.
    fn step(&mut self) {
        self.hub.step(SECOND);
        self.now += SECOND;
        let (heartbeats, ends) = self.poll_woken(self.now);
        self.heartbeats_max = self.heartbeats_max.max(heartbeats);
        self.ends_max = self.ends_max.max(ends);
        self.ends += ends;
    }

    /// Lets everybody who was woken read; the answer is how many heartbeats and ends that came to.
    fn poll_woken(&mut self, now: Duration) -> (usize, usize) {
        let (mut heartbeats, mut ends) = (0, 0);
        self.readers.retain_mut(|reader| {
            let silence = now - reader.sent_at;
            assert!(silence <= SILENCE_MAX, "a stream was silent for {silence:?}");
            while reader.flag.take() {
                let Some(text) = reader.read() else {
                    ends += 1;
                    return false;
                };
                if !text.is_empty() {
                    heartbeats += usize::from(text == b":\n");
                    reader.sent_at = now;
                    // It asks for more, as whoever sends it does.
                    assert_eq!(reader.read().unwrap(), b"");
                }
            }
            true
        });
        (heartbeats, ends)
    }
}

impl Reader {
    /// The next piece; empty if the body waits, `None` at the end.
    fn read(&mut self) -> Option<Vec<u8>> {
        match Pin::new(&mut self.body).poll_next(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(piece) => piece.map(|bytes| bytes.to_vec()),
            Poll::Pending => Some(Vec::new()),
        }
    }
}

#[test]
fn a_day_of_heartbeats_and_maximum_ages_has_no_silence_and_no_burst() {
    const STREAMS: usize = 300;
    let mut world = World::new(Duration::from_secs(3600));
    for second in 0..24 * 3600 {
        // A restart's herd comes at once; later, whoever was ended comes back.
        (world.readers.len()..STREAMS).for_each(|_| world.connect());
        if second % 700 == 0 {
            world.publish();
        }
        world.step();
    }
    assert!(world.heartbeats_max > 0);
    assert!(world.heartbeats_max < STREAMS * 2 / 5, "{} at once", world.heartbeats_max);
    // Each stream has ended every hour, or up to a tenth sooner.
    assert!((23 * STREAMS..28 * STREAMS).contains(&world.ends), "{} ends", world.ends);
    assert!(world.ends_max < STREAMS / 15, "{} ended at once", world.ends_max);
}

#[test]
fn thousands_that_came_together_are_never_due_together() {
    const STREAMS: usize = 5000;
    const AGE_MAX: Duration = Duration::from_secs(600);
    let mut world = World::new(AGE_MAX);
    (0..STREAMS).for_each(|_| world.connect());
    while world.now < AGE_MAX * 9 / 10 {
        if world.now.as_secs() % 200 == 199 {
            world.publish();
        }
        world.step();
    }
    assert!(world.heartbeats_max > 0);
    assert!(world.heartbeats_max < STREAMS / 3, "{} at once", world.heartbeats_max);
    assert!(world.ends <= STREAMS / 20);
    while !world.readers.is_empty() {
        world.step();
    }
    assert!(world.now <= AGE_MAX + 2 * SECOND);
    assert!(world.ends_max < STREAMS / 20, "{} ended at once", world.ends_max);
}
