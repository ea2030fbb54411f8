//! Routes whose streams have subjects: `/connect/{key}` and `/stream-sse?user=`.

use tidings_hub::{Emitters, Event, Hub, Topic};
use tidings_server::{
    Answer, AnswerFuture, ExtraRoutes, Problem, Request, StreamAnswer, Subject, topic_of_path,
};

/// Streams of a key, whose subject it is, in the topics `connect/{key}` and `stream-sse/{user}`.
pub(crate) struct Keyed {
    connected: Emitters<String>,
    streaming: Emitters<String>,
}

impl Keyed {
    pub(crate) fn new(hub: &Hub) -> Self {
        let emitters = |name| Emitters::new(hub, Topic::from_static(name));
        Self { connected: emitters("connect"), streaming: emitters("stream-sse") }
    }

    fn open(&self, request: &Request<'_>, key: Option<&str>) -> Result<Answer, Problem> {
        let [id, camel_case, upper_case] = Request::LAST_EVENT_ID;
        let query = request.query(&["user", id, camel_case, upper_case])?;
        let stream = request.stream(&query)?;
        let (emitters, key) = match key {
            Some(path) => (&self.connected, topic_of_path(path)?.as_str().to_owned()),
            None => (&self.streaming, query.one("user")?.unwrap_or_default().to_owned()),
        };
        let subject = Subject::new(&key).unwrap();
        let emitter = emitters.connect(key, stream).unwrap();
        let emitter = emitter.with_greeting(Event::new("welcome"));
        Ok(StreamAnswer::of_emitter(emitter.into_parts(), subject).into())
    }
}

impl ExtraRoutes for Keyed {
    fn is_unsafe_get(&self, _: &str) -> bool {
        false
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        let path = request.head.uri.path();
        let key = path.strip_prefix("/connect/");
        let is_own = key.is_some() || path == "/stream-sse";
        is_own.then(|| -> AnswerFuture<'a> {
            let answer = self.open(&request, key);
            Box::pin(async move { answer })
        })
    }
}
