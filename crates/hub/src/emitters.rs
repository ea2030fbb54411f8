//! Emitters: streams kept per key, with connect, send and close.

mod emitter;
mod registry;

use std::fmt;
use std::hash::Hash;

use tidings_proto::Event;

pub use self::emitter::{Emitter, EmitterParts};
use self::registry::Registry;
use crate::draft::{Draft, Refused};
use crate::hub::Hub;
use crate::publish::{Closing, Publishing, PublishingAll};
use crate::request::StreamRequest;
use crate::start::Start;
use crate::topic::{InvalidTopic, Topic};

/// The streams of each key: of each user, each order, each job.
///
/// A key may have many streams, one for every page that its user has open. An event that is
/// [sent](Emitters::send) to a key reaches all of them, and readers that are away for a moment when they
/// come back. Each key is a topic of the hub, `name/key`, so that nothing is queued per stream. Cloning
/// shares the registry. See [the guide](crate::docs::emitters).
///
/// ```
/// use tidings_hub::{Emitters, Event, Hub, Start, Topic};
///
/// # smol::block_on(async {
/// let hub = Hub::default();
/// let users = Emitters::new(&hub, Topic::from_static("users"));
///
/// let stream = users.connect("alpha", Start::Tail)?.into_body();
/// users.send(&"alpha", Event::new("for alpha alone")).await?;
/// assert_eq!(users.streams(&"alpha"), 1);
///
/// drop(stream);
/// assert_eq!(users.streams(&"alpha"), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Emitters<K> {
    hub: Hub,
    name: Topic,
    registry: Registry<K>,
}

impl<K> Clone for Emitters<K> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), name: self.name.clone(), registry: self.registry.clone() }
    }
}

impl<K: Clone + Eq + Hash + fmt::Display + Send + 'static> Emitters<K> {
    /// An empty registry, whose topics start with `name` and a slash.
    #[must_use]
    pub fn new(hub: &Hub, name: Topic) -> Self {
        Self { hub: hub.clone(), name, registry: Registry::default() }
    }

    /// Opens a stream of the key, for a [`StreamRequest`] or from a [`Start`]. From this call on nothing
    /// sent to the key is missed, whenever the stream is first read.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] if the key's text makes no topic.
    pub fn connect(
        &self,
        key: K,
        request: impl Into<StreamRequest>,
    ) -> Result<Emitter<K>, InvalidTopic> {
        let topic = self.topic(&key)?;
        let mut request = request.into();
        // Pinned, so that it makes no difference when the stream is read first.
        if request.start == Start::Tail {
            request.start = self.hub.tail().into();
        }
        Ok(Emitter::new(&self.hub, topic, request, self.registry.enter(key)))
    }

    /// Sends an event to the streams of the key. A key that makes no topic is
    /// [refused](Refused::Topic).
    pub fn send(&self, key: &K, event: Event) -> Publishing {
        match self.topic(key) {
            Ok(topic) => self.hub.publish(Draft::new(topic, event)),
            Err(invalid) => Publishing::refused(&self.hub, Refused::Topic(invalid)),
        }
    }

    /// Sends an event to the streams of every key that has one now: one event for each key, or none if
    /// the event is refused.
    ///
    /// Readers that are away now miss it. To reach them too, publish to a shared topic, which each page reads
    /// by an event source of its own, or by one stream of several topics: see the
    /// [guide](crate::docs::emitters).
    pub fn broadcast(&self, event: &Event) -> PublishingAll {
        let keys = self.keys();
        // A key that is connected makes a topic, so none is left out.
        let topics = keys.iter().filter_map(|key| self.topic(key).ok());
        self.hub.publish_in_order(topics.map(|topic| Draft::new(topic, event.clone())).collect())
    }

    /// Closes the streams of the key, after the events sent before. The stream of a reader that was away
    /// is [closed](Emitter::is_closed) when it comes back; a reader that connects anew is welcome. A key
    /// that makes no topic is [refused](Refused::Topic).
    pub fn close(&self, key: &K) -> Closing {
        match self.topic(key) {
            Ok(topic) => self.hub.close(topic),
            Err(invalid) => Closing::refused(&self.hub, Refused::Topic(invalid)),
        }
    }

    /// The keys that have a stream now, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.registry.keys()
    }

    /// The number of streams that the key has now.
    #[must_use]
    pub fn streams(&self, key: &K) -> usize {
        self.registry.streams(key)
    }

    fn topic(&self, key: &K) -> Result<Topic, InvalidTopic> {
        Topic::new(format!("{}/{key}", self.name))
    }
}
