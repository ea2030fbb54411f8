//! The demo's keyed endpoints: emitters over HTTP, in the classic shape: connect, send, disconnect.
//!
//! | call | meaning |
//! | --- | --- |
//! | `GET /connect/{key}` | a stream of the key; its first event, of type `connect`, says so |
//! | `GET`, `POST /send/{key}` | sends the body, `?data=` or a default text to the key's streams |
//! | `GET`, `POST /disconnect/{key}` | ends the key's streams; their EventSources stay closed |
//! | `GET /stream-sse?user=` | a stream that greets the user; now and then one user gets the time |

use std::time::Duration;

use http::Method;
use tidings_hub::{
    Draft, Emitter, Emitters, Event, EventId, EventType, Hub, InvalidTopic, Publishing, Refused,
    Time, Topic, Topics,
};
use tidings_server::{
    Answer, AnswerFuture, ExtraRoutes, Problem, ProblemKind, Request, StreamAnswer, Subject,
    accept_events, topic_of_path,
};

/// The timeout of a stream of `/connect`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3600);
/// The timeout of a stream of `/stream-sse`.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);
/// The names of both kinds of streams, which their topics start with.
const CONNECT: Topic = Topic::from_static("connect");
const STREAM: Topic = Topic::from_static("stream-sse");
/// The data that `/send` sends by default.
const DEFAULT_DATA: &str = "hello";
/// The user that `/stream-sse` greets by default.
const DEFAULT_USER: &str = "empty";

/// The keyed endpoints of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    hub: Hub,
    connected: Emitters<String>,
    streaming: Emitters<String>,
    page: Option<&'static str>,
}

impl Keyed {
    /// Keyed endpoints whose events are in the hub's topics `connect/{key}` and `stream-sse/{user}`.
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            hub: hub.clone(),
            connected: Emitters::new(hub, CONNECT),
            streaming: Emitters::new(hub, STREAM),
            page: None,
        }
    }

    /// Shows an asset at `/` instead of the hub's page.
    pub(crate) fn with_page(mut self, page: &'static str) -> Self {
        self.page = Some(page);
        self
    }

    /// Sends the time to one user of `/stream-sse`, chosen at random, with the time as its ID; `None` if
    /// there is no user.
    pub(crate) fn send_time(&self, now: Time) -> Option<Publishing> {
        let users = self.streaming.keys();
        let user = fastrand::choice(&users)?;
        let millis = now.unix_millis().to_string();
        let id = EventId::new(&*millis).expect("digits end no field");
        let event = Event::new(format!("{{\"time\": \"{millis}\"}}")).with_id(id);
        Some(self.streaming.send(user, event))
    }

    fn connect(&self, request: &Request<'_>, path: &str) -> Result<Answer, Problem> {
        let stream = request.stream(&request.stream_query(&Request::LAST_EVENT_ID)?)?;
        let key = key(path)?;
        let greeting = greeting("connect", &format!("{key} is connected"));
        let emitter = self.connected.connect(key.clone(), stream).map_err(Refused::Topic)?;
        open(&key, emitter.with_greeting(greeting).with_timeout(CONNECT_TIMEOUT))
    }

    fn stream(&self, request: &Request<'_>) -> Result<Answer, Problem> {
        let [id, camel_case, upper_case] = Request::LAST_EVENT_ID;
        let query = request.stream_query(&["user", id, camel_case, upper_case])?;
        let stream = request.stream(&query)?;
        let user = query.one("user")?.filter(|user| !user.is_empty()).unwrap_or(DEFAULT_USER);
        let greeting = Event::new(format!("hello, {user}"));
        let emitter = self.streaming.connect(user.to_owned(), stream).map_err(Refused::Topic)?;
        open(user, emitter.with_greeting(greeting).with_timeout(STREAM_TIMEOUT))
    }

    async fn send(&self, request: Request<'_>, path: &str) -> Result<Answer, Problem> {
        let query = request.query(&["data"])?;
        let key = key(path)?;
        let bytes_max = self.hub.config().event_bytes_max;
        let body = request.body.text(bytes_max, ProblemKind::EventTooLarge).await?;
        let data = match (query.one("data")?, &*body) {
            (Some(data), _) => data,
            (None, "") => DEFAULT_DATA,
            (None, text) => text,
        };
        let topics = topics(&key).map_err(Refused::Topic)?;
        request.require_publish(&topics)?;
        accept_events(&self.hub)?;
        self.hub.publish(Draft::new(topics, Event::new(data))).await?;
        Ok(Answer::no_content())
    }

    async fn disconnect(&self, request: &Request<'_>, path: &str) -> Result<Answer, Problem> {
        request.query(&[])?;
        let key = key(path)?;
        for topic in topics(&key).map_err(Refused::Topic)?.as_slice() {
            request.require_manage(&topic.clone().into())?;
        }
        // Both are asked for before either is waited for, so that neither kind outlives the other.
        let endings = [self.connected.close(&key), self.streaming.close(&key)];
        for ending in endings {
            ending.await?;
        }
        Ok(Answer::no_content())
    }
}

impl ExtraRoutes for Keyed {
    fn page(&self) -> Option<&str> {
        self.page
    }

    fn is_unsafe_get(&self, path: &str) -> bool {
        path.starts_with("/send/") || path.starts_with("/disconnect/")
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        let route = Route::of(request.head.uri.path())?;
        Some(Box::pin(async move {
            if let Some(clean) = request.head.uri.path().strip_suffix('/')
                && Route::of(clean).is_some()
                && let Some(redirect) = request.without_final_slash()
            {
                return Ok(redirect);
            }
            request.require_method(route.methods())?;
            match route {
                _ if request.head.method == Method::OPTIONS => Ok(Answer::allowed(route.methods())),
                Route::Connect(path) => self.connect(&request, path),
                Route::Stream => self.stream(&request),
                Route::Send(path) => self.send(request, path).await,
                Route::Disconnect(path) => self.disconnect(&request, path).await,
            }
        }))
    }
}

#[derive(Clone, Copy)]
enum Route<'a> {
    Connect(&'a str),
    Send(&'a str),
    Disconnect(&'a str),
    Stream,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if path == "/stream-sse" || path == "/stream-sse/" {
            return Some(Self::Stream);
        }
        let (call, key) = path.strip_prefix('/')?.split_once('/')?;
        match call {
            "connect" => Some(Self::Connect(key)),
            "send" => Some(Self::Send(key)),
            "disconnect" => Some(Self::Disconnect(key)),
            _ => None,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Stream => "GET, HEAD, OPTIONS",
            Self::Send(_) | Self::Disconnect(_) => "GET, OPTIONS, POST",
        }
    }
}

/// Answers with a stream of a key, which is also the stream's subject.
fn open(key: &str, emitter: Emitter<String>) -> Result<Answer, Problem> {
    let subject = Subject::new(key).map_err(Refused::Topic)?;
    Ok(StreamAnswer::of_emitter(emitter.into_parts(), subject).into())
}

/// The topics of a key's streams: an event sent to the key is one event in both.
fn topics(key: &str) -> Result<Topics, InvalidTopic> {
    let topic = |name| Topic::new(format!("{name}/{key}"));
    Ok(Topics::new([topic(CONNECT)?, topic(STREAM)?]).expect("two are not too many"))
}

/// Reads a key, which is spelled in a path as cleanly as a topic.
fn key(path: &str) -> Result<String, Problem> {
    topic_of_path(path).map(|topic| topic.as_str().to_owned())
}

fn greeting(event_type: &'static str, data: &str) -> Event {
    Event::new(data).with_type(EventType::from_static(event_type))
}

#[cfg(test)]
mod tests;
