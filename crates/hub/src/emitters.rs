//! Emitters: streams kept per key, with connect, send and complete.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response};
use parking_lot::Mutex;
use tidings_proto::Event;

use crate::body::Body;
use crate::draft::Draft;
use crate::hub::Hub;
use crate::on_end::{OnEnd, StreamEnd};
use crate::publish::{PublishError, Publishing, PublishingAll};
use crate::start::Start;
use crate::stream_text::{Client, without_id};
use crate::topic::{InvalidTopic, Topic};
use crate::view::View;

/// The streams of each key: of each user, each order, each job.
///
/// A key may have many streams, one for every page its user has open; what is [sent](Emitters::send)
/// to a key reaches all of them, and readers that are away for a moment when they come back. Each key
/// is a topic of the hub, `name/key`, so that nothing is queued per stream. Cloning shares the
/// registry.
///
/// ```
/// use tidings_hub::{Emitters, Event, Hub, HubConfig, Start};
///
/// # smol::block_on(async {
/// let hub = Hub::new(HubConfig::default());
/// let emitters = Emitters::new(&hub, "users")?;
///
/// let stream = emitters.connect("alpha", Start::Tail)?.into_body();
/// emitters.send(&"alpha", Event::new("for alpha alone"))?.await?;
/// assert_eq!(emitters.streams(&"alpha"), 1);
///
/// drop(stream);
/// assert_eq!(emitters.streams(&"alpha"), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Emitters<K> {
    hub: Hub,
    name: Topic,
    streams: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K> Clone for Emitters<K> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), name: self.name.clone(), streams: Arc::clone(&self.streams) }
    }
}

impl<K: Clone + Eq + Hash + fmt::Display + Send + 'static> Emitters<K> {
    /// An empty registry, whose topics start with `name`.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] if no topic can start so.
    pub fn new(hub: &Hub, name: &str) -> Result<Self, InvalidTopic> {
        Ok(Self { hub: hub.clone(), name: Topic::new(name)?, streams: Arc::default() })
    }

    /// Opens a stream of the key, from a start: [`Start::from_headers`] for a reader that may be
    /// coming back. From this call on nothing sent to the key is missed, whenever the stream is first
    /// read.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] if the key's text makes no topic.
    pub fn connect(&self, key: K, start: Start) -> Result<Emitter<K>, InvalidTopic> {
        let topic = self.topic(&key)?;
        // Pinned, so that it makes no difference when the stream is read first.
        let start = match start {
            Start::Tail => self.hub.tail().into(),
            start => start,
        };
        *self.streams.lock().entry(key.clone()).or_default() += 1;
        let seat = Seat { key, streams: Arc::clone(&self.streams) };
        Ok(Emitter {
            hub: self.hub.clone(),
            topic,
            start,
            client: Client::default(),
            greeting: None,
            timeout: None,
            hooks: Hooks::default(),
            seat,
        })
    }

    /// Sends an event to the streams of the key.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the key's text makes no topic or the hub refuses the event.
    pub fn send(&self, key: &K, event: Event) -> Result<Publishing, SendError> {
        let topic = self.topic(key).map_err(SendError::Key)?;
        self.hub.publish(Draft::new(topic, event)).map_err(SendError::Event)
    }

    /// Sends an event to the streams of every key that has one now, one event for each.
    ///
    /// What everybody should have, those who are away for a moment included, is better a topic of its
    /// own.
    ///
    /// # Errors
    ///
    /// As [`Emitters::send`]. Nothing was then sent to anybody.
    pub fn broadcast(&self, event: &Event) -> Result<PublishingAll, SendError> {
        let draft = |key: K| Ok(Draft::new(self.topic(&key)?, event.clone()));
        let drafts = self.keys().into_iter().map(draft).collect::<Result<_, _>>();
        let drafts = drafts.map_err(SendError::Key)?;
        self.hub.publish_all(drafts).map_err(SendError::Event)
    }

    /// Ends the streams of the key, after what has been sent. A reader that was away comes back to
    /// an [ended](Emitter::is_closed) stream; one that connects anew is welcome.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] if the key's text makes no topic.
    pub fn close(&self, key: &K) -> Result<Publishing, InvalidTopic> {
        Ok(self.hub.close(self.topic(key)?))
    }

    /// The keys that have a stream now, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.streams.lock().keys().cloned().collect()
    }

    /// How many streams the key has now.
    #[must_use]
    pub fn streams(&self, key: &K) -> usize {
        self.streams.lock().get(key).copied().unwrap_or(0)
    }

    fn topic(&self, key: &K) -> Result<Topic, InvalidTopic> {
        Topic::new(format!("{}/{key}", self.name))
    }
}

/// A stream of one key, about to be sent.
///
/// However it ends, its hooks run once: [`on_timeout`](Emitter::on_timeout) or
/// [`on_error`](Emitter::on_error) if that was the cause, and then
/// [`on_completion`](Emitter::on_completion). By then it has left the registry. An emitter that is
/// dropped before it became a stream leaves it too, and runs nothing.
pub struct Emitter<K: Eq + Hash> {
    hub: Hub,
    topic: Topic,
    start: Start,
    client: Client,
    greeting: Option<Event>,
    timeout: Option<Duration>,
    hooks: Hooks,
    seat: Seat<K>,
}

/// What an emitter's stream is made of, for servers that write streams without a [`Body`].
#[derive(Debug)]
#[non_exhaustive]
pub struct EmitterParts {
    /// What the stream carries.
    pub view: View,
    /// Where it starts; never [`Start::Tail`], so that nothing sent meanwhile is missed.
    pub start: Start,
    /// Who reads it.
    pub client: Client,
    /// Sent before all other events, after the preamble. It has no ID.
    pub greeting: Option<Event>,
    /// How long the stream lasts at most.
    pub timeout: Option<Duration>,
    /// To be run when the stream has ended. It may publish, so no lock may be held that publishing
    /// takes, and what it does is the program's: it may even panic.
    pub on_end: OnEnd,
}

#[derive(Default)]
struct Hooks {
    completion: Option<Hook>,
    timeout: Option<Hook>,
    error: Option<Hook>,
}

type Hook = Box<dyn FnOnce() + Send>;

/// A stream's place in the registry.
struct Seat<K: Eq + Hash> {
    key: K,
    streams: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash + Send + 'static> Emitter<K> {
    /// Whether the key was [completed](Emitters::close) while this reader was away: answer it with
    /// status 204, and its EventSource stays closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.hub.is_closed(&self.topic, &self.start)
    }

    /// Says who reads the stream; see [`Body::for_client`].
    #[must_use]
    pub fn for_client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Sends an event before all others, to this stream alone; see [`Body::with_greeting`].
    #[must_use]
    pub fn with_greeting(mut self, greeting: Event) -> Self {
        self.greeting = Some(without_id(&greeting));
        self
    }

    /// Ends the stream after so long, as [`Hub::tick`] tells the time; the shorter of several time-outs
    /// counts. Without it, it lasts as long as its reader, the hub's
    /// [`stream_age_max`](crate::HubConfig::stream_age_max) permitting.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(self.timeout.map_or(timeout, |earlier| earlier.min(timeout)));
        self
    }

    /// Runs when the stream has ended, whatever ended it.
    #[must_use]
    pub fn on_completion(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.hooks.completion = Some(Box::new(hook));
        self
    }

    /// Runs when the stream's time was over.
    #[must_use]
    pub fn on_timeout(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.hooks.timeout = Some(Box::new(hook));
        self
    }

    /// Runs when the reader left or its connection broke.
    #[must_use]
    pub fn on_error(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.hooks.error = Some(Box::new(hook));
        self
    }

    /// Answers the request with these headers: an event stream, or status 204 if the key was
    /// [completed](Emitters::close) while this reader was away; see [`Body::respond_to`].
    #[must_use]
    pub fn respond_to(self, headers: &HeaderMap) -> Response<Body> {
        self.into_body().respond_to(headers)
    }

    /// The stream, as the body of a response; see [`Body::into_response`].
    #[must_use]
    pub fn into_body(self) -> Body {
        let hub = self.hub.clone();
        let EmitterParts { view, start, client, greeting, timeout, on_end } = self.into_parts();
        let mut body = Body::new(hub.subscribe(view, start)).for_client(client);
        if let Some(greeting) = greeting {
            body = body.with_greeting(greeting);
        }
        if let Some(timeout) = timeout {
            body = body.with_timeout(timeout);
        }
        body.on_end(move |end| on_end.run(end))
    }

    /// What the stream is made of, for a server that writes it by other means than a [`Body`].
    #[must_use]
    pub fn into_parts(self) -> EmitterParts {
        let Self { topic, start, client, greeting, timeout, hooks, seat, .. } = self;
        let on_end = OnEnd::new(move |end| {
            drop(seat);
            let cause = match end {
                StreamEnd::TimedOut => hooks.timeout,
                StreamEnd::Left => hooks.error,
                StreamEnd::Completed | StreamEnd::Drained => None,
            };
            cause.into_iter().chain(hooks.completion).for_each(|hook| hook());
        });
        EmitterParts { view: topic.into(), start, client, greeting, timeout, on_end }
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        if let Some(count) = streams.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.key);
            }
        }
    }
}

impl<K: Eq + Hash> fmt::Debug for Emitter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The key's text makes no topic.
    Key(InvalidTopic),
    /// The hub refuses the event.
    Event(PublishError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "the key makes no topic",
            Self::Event(_) => "the event is not published",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key(error) => Some(error),
            Self::Event(error) => Some(error),
        }
    }
}
