//! Holds the refusals of htmx's requests for a while, because htmx asks again after each of them.
//!
//! Other readers stay away once they are told that their stream has ended.

use std::future::pending;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, Method};
use tidings_hub::{Client, Subscriber};
use tokio::time::timeout;

use crate::context::Context;
use crate::engine::streams::StreamPermit;
use crate::http::answer::Answer;
use crate::http::respond::{comes_back, is_over, stream_permit};
use crate::phase::draining;

/// How long a refusal is held. htmx 4 asks again after the minute of the [parting](tidings_hub::engine::parting), up to
/// 30 % shorter or longer at random, so after 42 s at the earliest: together its requests are more than a minute apart.
/// It gives up a request after a minute (`htmx.config.defaultTimeout`).
const HOLD: Duration = Duration::from_secs(20);

/// The header that all requests of htmx have. Other readers may accept `text/html`, too.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// A request of htmx whose stream has ended, before it is refused.
pub(crate) struct Held<'a> {
    context: &'a Context,
    /// Finds the next stream of the topic. `None` if its reader may not have that either.
    next: Option<Subscriber>,
    /// A request that is held costs as much as a stream.
    _permit: StreamPermit,
}

impl<'a> Held<'a> {
    /// Holds a request if it is one of htmx that comes back to a stream that has ended, and there is room.
    pub(crate) fn new(context: &'a Context, request: &Parts, answer: &Answer) -> Option<Self> {
        let Answer::Stream(stream) = answer else { return None };
        let is_htmx =
            stream.spec.client == Client::Htmx && request.headers.contains_key(HX_REQUEST);
        if !is_htmx || !comes_back(&stream.start) || request.method != Method::GET {
            return None;
        }
        let mut subscriber = context.hub.subscribe(stream.view.clone(), stream.start.clone());
        let is_closed = subscriber.is_closed()
            || stream.spec.ends().is_some_and(|ends| subscriber.is_closed_by(ends));
        let place = subscriber.cursor().sequence;
        let is_over = is_over(context, &stream.view, !subscriber.has_gap(), place);
        if !is_closed && !is_over {
            return None;
        }
        let next = (!is_closed).then(|| subscriber.past_closes());
        Some(Self { context, next, _permit: stream_permit(context).ok()? })
    }

    /// Waits until the request is to be answered: after a time, or at once if another stream has begun that its
    /// reader may have, or the server drains.
    pub(crate) async fn over(self) {
        let Self { context, next, _permit } = self;
        let mut phases = context.phases();
        let next = async {
            match next {
                Some(mut subscriber) => drop(subscriber.next().await),
                None => pending().await,
            }
        };
        let over = async {
            tokio::select! {
                () = next => {}
                () = draining(&mut phases) => {}
            }
        };
        // Both mean that it is answered now.
        let _ = timeout(HOLD, over).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use tidings_hub::{EndNotice, Event, Hub, Start, StreamOptions, StreamRequest, Topic};
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;
    use crate::config::ServerConfig;
    use crate::engine::Engine;
    use crate::http::answer::StreamAnswer;
    use crate::live::Control;
    use crate::phase::Phase;

    const TOPIC: Topic = Topic::from_static("c/1");

    fn server(config: ServerConfig) -> (Context, watch::Sender<Phase>) {
        let (phase, phases) = watch::channel(Phase::Serving);
        let hub = Hub::default();
        let engine = Engine::start(&hub, &config).unwrap();
        let control = Control::new(&config);
        (Context::new(config, control, hub, engine.into(), phases), phase)
    }

    /// Publishes a stream of the topic. Returns the places of its last event and of its end.
    async fn publish(context: &Context, end: EndNotice) -> [String; 2] {
        let stream = context.hub.begin_stream(TOPIC, StreamOptions::default()).await.unwrap();
        stream.send(Event::new("a")).await.unwrap();
        let last = newest(context);
        stream.end(end).await.unwrap();
        [last, newest(context)]
    }

    fn newest(context: &Context) -> String {
        context.hub.subscribe(TOPIC, Start::Tail).cursor().to_string()
    }

    /// A request with these headers, and the answer that is to be refused.
    fn request(headers: &[(&str, &str)]) -> (Parts, Answer) {
        let request =
            headers.iter().fold(Request::builder(), |it, (name, value)| it.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let asked = StreamRequest::parse(&head.headers, None).unwrap();
        (head, StreamAnswer::new(TOPIC.into(), asked).into())
    }

    fn of_htmx(place: &str) -> (Parts, Answer) {
        request(&[
            ("accept", "text/html, text/event-stream"),
            ("hx-request", "true"),
            ("last-event-id", place),
        ])
    }

    /// The time for which a request is held, while something else is done; `None` if it is not.
    async fn held(
        context: &Context,
        (head, answer): (Parts, Answer),
        meanwhile: impl Future<Output = ()>,
    ) -> Option<Duration> {
        let held = Held::new(context, &head, &answer)?;
        let began = Instant::now();
        tokio::join!(held.over(), meanwhile);
        Some(began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_htmx_are_more_than_a_minute_apart_after_an_end() {
        let (context, _phase) = server(ServerConfig::default());
        let [_, end] = publish(&context, EndNotice::Event).await;
        let told = held(&context, of_htmx(&end), async {}).await;
        let [last, _] = publish(&context, EndNotice::Close).await;
        let untold = held(&context, of_htmx(&last), async {}).await;
        for held in [told, untold] {
            let held = held.unwrap();
            // The shortest of its waits.
            assert!(held + Duration::from_secs(42) > Duration::from_secs(60), "{held:?}");
            // Its patience, with time to spare for slow networks.
            assert!(held < Duration::from_secs(60) / 2, "{held:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_stream_is_not_waited_for() {
        let (context, _phase) = server(ServerConfig::default());
        let [last, _] = publish(&context, EndNotice::Close).await;
        let next = async { drop(publish(&context, EndNotice::Event).await) };
        assert_eq!(held(&context, of_htmx(&last), next).await, Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_kick_the_next_stream_is_for_others() {
        let (context, _phase) = server(ServerConfig::default());
        let [_, end] = publish(&context, EndNotice::Event).await;
        context.hub.close(TOPIC).await.unwrap();
        let next = async { drop(publish(&context, EndNotice::Event).await) };
        assert_eq!(held(&context, of_htmx(&end), next).await, Some(HOLD));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_drains_answers_at_once() {
        let (context, phase) = server(ServerConfig::default());
        let [_, end] = publish(&context, EndNotice::Event).await;
        let drain = async { phase.send(Phase::Draining).unwrap() };
        assert_eq!(held(&context, of_htmx(&end), drain).await, Some(Duration::ZERO));
        assert!(context.streams.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn only_htmx_that_comes_back_is_held() {
        let (context, _phase) = server(ServerConfig::default());
        let [_, end] = publish(&context, EndNotice::Event).await;
        let (accept, both) = ("accept", "text/html, text/event-stream");
        for headers in [
            &[(accept, both), ("last-event-id", &*end)][..],
            &[(accept, "text/event-stream"), ("hx-request", "true"), ("last-event-id", &end)],
            &[(accept, both), ("hx-request", "true")],
            &[(accept, both), ("hx-request", "true"), ("last-event-id", "earliest")],
        ] {
            assert_eq!(held(&context, request(headers), async {}).await, None, "{headers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn held_requests_count_as_streams() {
        let (context, _phase) = server(ServerConfig { streams_max: 1, ..ServerConfig::default() });
        let [_, end] = publish(&context, EndNotice::Event).await;
        let (head, answer) = of_htmx(&end);
        let first = Held::new(&context, &head, &answer);
        assert!(first.is_some());
        assert!(Held::new(&context, &head, &answer).is_none());
        drop(first);
        assert!(Held::new(&context, &head, &answer).is_some());
    }
}
