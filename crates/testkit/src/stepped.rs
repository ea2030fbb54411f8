//! A hub in stepped time, and looking at its streams piece by piece.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidings_hub::{Body, Cursor, Draft, Event, Hub, HubConfig, Now, Sequence, Start, Topic};

/// A hub whose time moves when a test says so.
#[derive(Debug)]
pub struct SteppedHub {
    /// The hub.
    pub hub: Hub,
    now: Now,
}

impl SteppedHub {
    /// A hub in memory.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        let now = Now::read();
        Self { hub: Hub::builder().config(config).at(now).build(), now }
    }

    /// Publishes an event; the answer is its ID.
    ///
    /// # Panics
    ///
    /// If the event is refused.
    #[must_use]
    pub fn publish_id(&self, topic: &str, data: &str) -> String {
        let topic = Topic::new(topic).expect("a topic");
        let publishing = self.hub.publish(Draft::new(topic, Event::new(data)));
        ready(publishing).expect("memory cannot fail").id().to_string()
    }

    /// Publishes an event.
    ///
    /// # Panics
    ///
    /// If the event is refused.
    pub fn publish(&self, topic: &str, data: &str) {
        drop(self.publish_id(topic, data));
    }

    /// A stream of one topic.
    ///
    /// # Panics
    ///
    /// If it is no topic.
    #[must_use]
    pub fn body(&self, topic: &str, start: Start) -> Body {
        Body::new(self.hub.subscribe(Topic::new(topic).expect("a topic"), start))
    }

    /// The ID of a place in the hub's history.
    ///
    /// # Panics
    ///
    /// If there can be no such place.
    #[must_use]
    pub fn cursor(&self, sequence: u64) -> String {
        let sequence = Sequence::new(sequence).expect("a sequence");
        Cursor { epoch: self.hub.epoch(), sequence }.to_string()
    }

    /// Steps time as a program does, four ticks a second.
    pub fn step(&mut self, duration: Duration) {
        const TICK: Duration = Duration::from_millis(250);
        let until = self.now + duration;
        while self.now.instant < until.instant {
            self.now = self.now + TICK.min(until.instant - self.now.instant);
            self.hub.tick(self.now);
        }
    }
}

/// The value of a future that does not wait.
///
/// # Panics
///
/// If it waits.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a hub in memory commits at the call"),
    }
}

/// The next piece of a stream; an empty one if there is none now, `None` at the end.
///
/// # Panics
///
/// If the stream is not UTF-8.
pub fn piece(body: &mut Body) -> Option<String> {
    use http_body::Body as _;

    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => {
            let bytes = frame.into_data().ok()?;
            Some(String::from_utf8(bytes.to_vec()).expect("event streams are UTF-8"))
        }
        Poll::Ready(_) => None,
        Poll::Pending => Some(String::new()),
    }
}
