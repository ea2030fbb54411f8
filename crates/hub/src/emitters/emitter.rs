//! One stream of a key, about to be sent.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use http::Response;
use tidings_proto::Event;

use super::registry::Seat;
use crate::body::Body;
use crate::hub::Hub;
use crate::on_end::{OnEnd, StreamEnd};
use crate::request::StreamRequest;
use crate::start::Start;
use crate::stream_text::{Client, without_id};
use crate::topic::Topic;
use crate::view::View;

/// A stream of one key, about to be sent.
///
/// However it ends, its hooks run once: [`on_timeout`](Emitter::on_timeout) or
/// [`on_error`](Emitter::on_error) if that was the cause, and then
/// [`on_completion`](Emitter::on_completion). By then it has left the registry. An emitter that is
/// dropped before it became a stream leaves it too, and runs nothing.
pub struct Emitter<K: Eq + Hash> {
    hub: Hub,
    topic: Topic,
    request: StreamRequest,
    greeting: Option<Event>,
    timeout: Option<Duration>,
    hooks: Hooks<K>,
    seat: Seat<K>,
}

/// The parts of an emitter, for servers that write streams without a [`Body`].
#[derive(Debug)]
#[non_exhaustive]
pub struct EmitterParts {
    /// The view that the stream carries.
    pub view: View,
    /// Where it starts; never [`Start::Tail`], so that nothing sent meanwhile is missed.
    pub start: Start,
    /// The kind of client that reads it.
    pub client: Client,
    /// Sent before all other events, after the preamble. It has no ID.
    pub greeting: Option<Event>,
    /// The longest time that the stream lasts.
    pub timeout: Option<Duration>,
    /// To be run when the stream has ended. It is the program's code: it may publish, so no lock may be
    /// held that publishing takes, and it may panic.
    pub on_end: OnEnd,
}

struct Hooks<K> {
    completion: Option<Hook<K>>,
    timeout: Option<Hook<K>>,
    error: Option<Hook<K>>,
}

type Hook<K> = Box<dyn FnOnce(&K, StreamEnd) + Send>;

impl<K> Default for Hooks<K> {
    fn default() -> Self {
        Self { completion: None, timeout: None, error: None }
    }
}

impl<K: Eq + Hash> Emitter<K> {
    pub(super) fn new(hub: &Hub, topic: Topic, request: StreamRequest, seat: Seat<K>) -> Self {
        let (hub, hooks) = (hub.clone(), Hooks::default());
        Self { hub, topic, request, greeting: None, timeout: None, hooks, seat }
    }
}

impl<K: Eq + Hash + Send + 'static> Emitter<K> {
    /// Returns whether the key was [closed](crate::Emitters::close) while this reader was away: the response is
    /// status 204 then, which keeps an EventSource closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.hub.is_closed(&self.topic, &self.request.start)
    }

    /// Sends an event before all others, to this stream alone; see [`Body::with_greeting`].
    #[must_use]
    pub fn with_greeting(mut self, greeting: Event) -> Self {
        self.greeting = Some(without_id(&greeting));
        self
    }

    /// Ends the stream after this time, as [`Hub::tick`] tells it. Of several timeouts the shortest
    /// counts. Without one, the stream lasts as long as its reader, within the hub's
    /// [`stream_age_max`](crate::HubConfig::stream_age_max).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(self.timeout.map_or(timeout, |earlier| earlier.min(timeout)));
        self
    }

    /// Calls `hook` with the key and the reason when the stream has ended, whatever ended it; instead of
    /// one given before. A stream that is [closed](Emitter::is_closed) already when its reader comes back
    /// ends as well, as completed, when it is answered 204.
    #[must_use]
    pub fn on_completion(mut self, hook: impl FnOnce(&K, StreamEnd) + Send + 'static) -> Self {
        self.hooks.completion = Some(Box::new(hook));
        self
    }

    /// Calls `hook` with the key and the reason when the stream has timed out; instead of one given
    /// before.
    #[must_use]
    pub fn on_timeout(mut self, hook: impl FnOnce(&K, StreamEnd) + Send + 'static) -> Self {
        self.hooks.timeout = Some(Box::new(hook));
        self
    }

    /// Calls `hook` with the key and the reason when the client has closed the stream or its connection
    /// has broken; instead of one given before.
    #[must_use]
    pub fn on_error(mut self, hook: impl FnOnce(&K, StreamEnd) + Send + 'static) -> Self {
        self.hooks.error = Some(Box::new(hook));
        self
    }

    /// The response with this stream, or with status 204 if it is [closed](Emitter::is_closed); see
    /// [`Body::into_response`].
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        self.into_body().into_response()
    }

    /// The stream as the body of a response.
    #[must_use]
    pub fn into_body(self) -> Body {
        let hub = self.hub.clone();
        let EmitterParts { view, start, client, greeting, timeout, on_end } = self.parts();
        let mut body = hub.stream(view, StreamRequest::new(start, client));
        if let Some(greeting) = greeting {
            body = body.with_greeting(greeting);
        }
        if let Some(timeout) = timeout {
            body = body.with_timeout(timeout);
        }
        body.on_end(move |end| on_end.run(end))
    }

    pub(crate) fn parts(self) -> EmitterParts {
        let Self { topic, request, greeting, timeout, hooks, mut seat, .. } = self;
        let StreamRequest { start, client } = request;
        let on_end = OnEnd::new(move |end| {
            seat.leave();
            let cause = match end {
                StreamEnd::TimedOut => hooks.timeout,
                StreamEnd::ClientClosed => hooks.error,
                StreamEnd::Completed | StreamEnd::Drained | StreamEnd::EventsLost => None,
            };
            cause.into_iter().chain(hooks.completion).for_each(|hook| hook(seat.key(), end));
        });
        EmitterParts { view: topic.into(), start, client, greeting, timeout, on_end }
    }
}

impl<K: Eq + Hash> fmt::Debug for Emitter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("topic", &self.topic).finish_non_exhaustive()
    }
}
