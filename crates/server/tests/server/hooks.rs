//! The hooks of emitters whose streams the server writes: on HTTP/1 by shards, on HTTP/2 as bodies.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use tidings_hub::{Emitters, Event, StreamEnd, StreamRequest, Topic, TopicFilter};
use tidings_server::{
    AnswerFuture, ApiKey, AuthConfig, ExtraRoutes, Request, Rights, Server, ServerConfig,
    StreamAnswer, Subject,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::harness::{Running, Stream, start_server};

/// A route `/hooked/{key}` whose emitters report to the test what their hooks are given. The last
/// of them sends an event, as a program's might: to the key `log`.
struct Hooked {
    emitters: OnceLock<Emitters<String>>,
    told: UnboundedSender<&'static str>,
}

impl Hooked {
    fn emitters(&self) -> &Emitters<String> {
        self.emitters.get().unwrap()
    }

    fn stream(&self, headers: &HeaderMap, key: &str) -> StreamAnswer {
        let tell = |what| {
            let told = self.told.clone();
            move |_: &String, _: StreamEnd| told.send(what).unwrap()
        };
        let log = self.emitters().clone();
        let completed = tell("completion");
        let request = StreamRequest::parse(headers, None).unwrap();
        let emitter = self.emitters().connect(key.to_owned(), request);
        let emitter = emitter
            .unwrap()
            .with_greeting(Event::new("welcome"))
            .with_timeout(Duration::from_secs(60))
            .on_timeout(tell("timeout"))
            .on_error(tell("error"));
        let emitter = match key {
            "log" => emitter,
            "panic" => emitter.on_completion(|_, _| panic!("a hook that panics")),
            _ => emitter.on_completion(move |key, end| {
                drop(log.send(&"log".to_owned(), Event::new("a stream has ended")));
                completed(key, end);
            }),
        };
        StreamAnswer::of_emitter(emitter.into_parts(), Subject::new(key).unwrap())
    }
}

impl ExtraRoutes for Hooked {
    fn is_unsafe_get(&self, _: &str) -> bool {
        false
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        let key = request.head.uri.path().strip_prefix("/hooked/")?;
        Some(Box::pin(async move { Ok(self.stream(&request.head.headers, key).into()) }))
    }
}

/// How a stream is asked for.
#[derive(Clone, Copy, Debug)]
enum Version {
    Http1,
    Http2,
}

struct Fixture {
    server: Running,
    hooked: Arc<Hooked>,
    told: UnboundedReceiver<&'static str>,
    version: Version,
}

impl Fixture {
    async fn new(version: Version) -> Self {
        Self::with(version, |_| {}).await
    }

    async fn with(version: Version, configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let (sender, told) = unbounded_channel();
        let hooked = Arc::new(Hooked { emitters: OnceLock::new(), told: sender });
        let finish = |server: Server| {
            let emitters = Emitters::new(server.hub(), Topic::from_static("hooked"));
            assert!(hooked.emitters.set(emitters).is_ok());
            server.with_routes(Arc::clone(&hooked) as _)
        };
        let server = start_server(|config, _| configure(config), finish).await;
        Self { server, hooked, told, version }
    }

    /// Opens a stream and reads its greeting.
    async fn open(&self, key: &str) -> Stream {
        self.open_with(key, "none").await
    }

    /// The same, with a token.
    async fn open_with(&self, key: &str, token: &str) -> Stream {
        let ask = self.server.get(&format!("/hooked/{key}"));
        let ask = ask.header("authorization", format!("Bearer {token}"));
        let mut stream = match self.version {
            Version::Http1 => ask.stream().await,
            Version::Http2 => Stream::new(ask.send_http2().await),
        };
        assert_eq!(stream.data().await, "welcome");
        stream
    }

    async fn told(&mut self) -> &'static str {
        self.told.recv().await.unwrap()
    }

    /// Nothing more is ever told, once everything is gone that could.
    async fn ended(self) {
        let Self { mut server, hooked, mut told, .. } = self;
        server.signal();
        server.ended().await;
        drop(hooked);
        assert_eq!(told.recv().await, None, "told of twice");
    }
}

#[tokio::test]
async fn t46_hooks_run_once_whichever_way_a_stream_ends_and_may_publish() {
    for version in [Version::Http1, Version::Http2] {
        let mut fixture = Fixture::new(version).await;
        let alpha = "alpha".to_owned();

        let stream = fixture.open("alpha").await;
        let mut log = fixture.open("log").await;
        drop(fixture.hooked.emitters().close(&alpha));
        stream.rest().await;
        assert_eq!(fixture.told().await, "completion", "{version:?}: completed");
        assert_eq!(log.data().await, "a stream has ended");
        assert_eq!(fixture.hooked.emitters().streams(&alpha), 0);

        let stream = fixture.open("alpha").await;
        let delete = fixture.server.request(http::Method::DELETE, "/subscribers?subject=alpha");
        assert_eq!(delete.answer().await.status, 204);
        stream.rest().await;
        assert_eq!(fixture.told().await, "completion", "{version:?}: sent away");
        assert_eq!(log.data().await, "a stream has ended");

        drop(fixture.open("alpha").await);
        assert_eq!(fixture.told().await, "error", "{version:?}: left");
        assert_eq!(fixture.told().await, "completion");
        assert_eq!(log.data().await, "a stream has ended");
        drop(log);
        assert_eq!(fixture.told().await, "error");

        let stream = fixture.open("alpha").await;
        fixture.server.tick(Duration::from_secs(61));
        stream.rest().await;
        assert_eq!(fixture.told().await, "timeout", "{version:?}: timed out");
        assert_eq!(fixture.told().await, "completion");
        assert!(fixture.hooked.emitters().keys().is_empty());
        fixture.ended().await;
    }
}

/// The subject of a token took the place of the stream's own, so that an end by its key missed it.
#[tokio::test]
async fn a_stream_belongs_to_its_own_subject_and_to_its_tokens() {
    let key = |name: &str, text: &str, right: &str| {
        let all = || vec![TopicFilter::pattern("**").unwrap()];
        let mut rights = Rights { subscribe: all(), ..Rights::default() };
        if right == "manage" {
            rights.manage = all();
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        ApiKey { name: name.to_owned(), sha256: digest.as_ref().try_into().unwrap(), rights }
    };
    for version in [Version::Http1, Version::Http2] {
        let mut fixture = Fixture::with(version, |config| {
            let mut auth = AuthConfig::default();
            auth.api_keys = vec![key("user", "u", ""), key("manager", "m", "manage")];
            config.auth = Some(auth);
        })
        .await;
        for subject in ["alpha", "user"] {
            let stream = fixture.open_with("alpha", "u").await;
            let path = format!("/subscribers?subject={subject}");
            let bearer = |ask: crate::harness::Ask| ask.header("authorization", "Bearer m");
            let listed = bearer(fixture.server.get(&path)).answer().await.json();
            assert_eq!(
                (&listed["total"], &listed["subscribers"][0]["subject"]),
                (&1.into(), &"alpha".into())
            );
            let delete = bearer(fixture.server.request(http::Method::DELETE, &path));
            assert_eq!(delete.answer().await.status, 204);
            stream.rest().await;
            assert_eq!(fixture.told().await, "completion", "{version:?}: {subject}");
        }
        fixture.ended().await;
    }
}

#[tokio::test]
async fn hooks_run_when_a_server_drains() {
    for version in [Version::Http1, Version::Http2] {
        let mut fixture = Fixture::new(version).await;
        let stream = fixture.open("alpha").await;
        fixture.server.signal();
        // Its end comes as the hub's time goes on.
        let mut age = Duration::ZERO;
        let (ending, mut told) = (stream.rest(), fixture.told);
        tokio::pin!(ending);
        loop {
            tokio::select! {
                biased;
                _ = &mut ending => break,
                () = tokio::task::yield_now() => {
                    age += Duration::from_millis(100);
                    fixture.server.tick(age);
                }
            }
        }
        assert_eq!(told.recv().await, Some("completion"), "{version:?}");
        fixture.server.ended().await;
        drop(fixture.hooked);
        assert_eq!(told.recv().await, None);
    }
}

#[tokio::test]
async fn hooks_run_for_a_stream_that_is_answered_with_its_end() {
    for version in [Version::Http1, Version::Http2] {
        let mut fixture = Fixture::new(version).await;
        let place = fixture.server.publish("elsewhere", "1").await;
        drop(fixture.hooked.emitters().close(&"alpha".to_owned()));
        let ask = fixture.server.get("/hooked/alpha").header("last-event-id", &place);
        let ask = ask.header("accept", "text/event-stream");
        let response = match version {
            Version::Http1 => ask.send().await,
            Version::Http2 => ask.send_http2().await,
        };
        assert_eq!(response.status(), 204);
        assert_eq!(fixture.told().await, "completion");
        assert!(fixture.hooked.emitters().keys().is_empty());
        fixture.ended().await;
    }
}

#[tokio::test]
async fn a_hook_that_panics_ends_no_other_stream() {
    let mut fixture = Fixture::new(Version::Http1).await;
    // One on every shard at least.
    let mut others = Vec::new();
    for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        others.push(fixture.open("alpha").await);
    }
    drop(fixture.hooked.emitters().close(&"panic".to_owned()));
    for _ in 0..others.len() {
        let stream = fixture.open("panic").await;
        drop(fixture.hooked.emitters().close(&"panic".to_owned()));
        stream.rest().await;
    }
    // Each shard has run the hooks of streams that ended after that.
    for other in others {
        drop(fixture.hooked.emitters().send(&"alpha".to_owned(), Event::new("x")));
        let mut other = other;
        assert_eq!(other.data().await, "x");
        drop(other);
        assert_eq!(fixture.told().await, "error");
        assert_eq!(fixture.told().await, "completion");
    }
    fixture.ended().await;
}
