//! Keyed emitters: connect, send, complete, time-outs and hooks.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidings_hub::{
    Body, Client, Emitters, Event, EventId, EventType, HubConfig, PublishError, Refused, Start,
    StreamEnd, StreamRequest, Topic,
};
use tidings_testkit::stepped::{SteppedHub, piece, ready};

#[derive(Default, Clone)]
struct Hooks {
    completion: Arc<AtomicUsize>,
    timeout: Arc<AtomicUsize>,
    error: Arc<AtomicUsize>,
}

impl Hooks {
    fn counts(&self) -> [usize; 3] {
        [&self.completion, &self.timeout, &self.error].map(|hook| hook.load(Ordering::Relaxed))
    }

    fn connect(&self, emitters: &Emitters<&'static str>, start: Start) -> Body {
        let count = |hook: &Arc<AtomicUsize>| {
            let hook = Arc::clone(hook);
            move |key: &&'static str, _| {
                assert_eq!(*key, "alpha");
                hook.fetch_add(1, Ordering::Relaxed);
            }
        };
        let request = StreamRequest::new(start, Client::EventSource);
        let emitter = emitters.connect("alpha", request).unwrap();
        emitter
            .with_timeout(Duration::from_secs(60))
            .with_greeting(Event::new("hello").with_type(EventType::new("connect").unwrap()))
            .on_completion(count(&self.completion))
            .on_timeout(count(&self.timeout))
            .on_error(count(&self.error))
            .into_body()
    }
}

#[test]
fn t46_an_emitters_hooks_run_once_whatever_ends_it() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));

    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    piece(&mut body);
    ready(emitters.close(&"alpha")).unwrap();
    assert_eq!(piece(&mut body), None);
    drop(body);
    assert_eq!(hooks.counts(), [1, 0, 0], "completed");

    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    piece(&mut body);
    hub.step(Duration::from_secs(61));
    assert_eq!(piece(&mut body), None);
    drop(body);
    assert_eq!(hooks.counts(), [1, 1, 0], "timed out");

    let hooks = Hooks::default();
    drop(hooks.connect(&emitters, Start::Tail));
    assert_eq!(hooks.counts(), [1, 0, 1], "left");

    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    piece(&mut body);
    assert_eq!(emitters.keys(), ["alpha"]);
    hub.hub.drain(Duration::ZERO);
    piece(&mut body);
    drop(body);
    assert_eq!(hooks.counts(), [1, 0, 0], "drained");
    assert!(emitters.keys().is_empty());
}

#[test]
fn a_completed_key_stays_closed_for_readers_that_were_there_and_opens_for_new_ones() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    let preamble = piece(&mut body).unwrap();
    let (place, greeting) =
        preamble.strip_prefix(":\nretry: 2000\nid: ").unwrap().split_once("\n\n").unwrap();
    assert_eq!(greeting, "event: connect\ndata: hello\n\n");
    ready(emitters.close(&"alpha")).unwrap();

    let back = emitters.connect("alpha", Start::After(place.into())).unwrap();
    assert!(back.is_closed());
    drop(back);
    let mut anew = hooks.connect(&emitters, Start::Tail);
    let preamble = piece(&mut anew).unwrap();
    let place = preamble.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    drop(anew);
    let back = emitters.connect("alpha", Start::After(place.into())).unwrap();
    assert!(!back.is_closed(), "an earlier end ends a later stream");
}

#[test]
fn what_is_sent_to_a_key_reaches_all_its_streams_and_no_other() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    let open = |key| {
        let mut body = emitters.connect(key, Start::Tail).unwrap().into_body();
        piece(&mut body);
        body
    };
    let (mut one, mut two, mut other) = (open("alpha"), open("alpha"), open("beta"));
    ready(emitters.send(&"alpha", Event::new("x"))).unwrap();
    for body in [&mut one, &mut two] {
        assert!(piece(body).unwrap().ends_with("data: x\n\n"));
    }
    assert_eq!(piece(&mut other).unwrap(), "");
    ready(emitters.broadcast(&Event::new("all"))).unwrap();
    for body in [&mut one, &mut two, &mut other] {
        assert!(piece(body).unwrap().ends_with("data: all\n\n"));
    }
}

#[test]
fn what_is_sent_between_connecting_and_the_first_read_is_read() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    let emitter = emitters.connect("alpha", Start::Tail).unwrap();
    assert_eq!(emitters.streams(&"alpha"), 1);
    ready(emitters.send(&"alpha", Event::new("meanwhile"))).unwrap();
    assert_eq!(hub.hub.stats().subscribers, 0);
    assert!(piece(&mut emitter.into_body()).unwrap().ends_with("data: meanwhile\n\n"));

    let emitter = emitters.connect("alpha", Start::Tail).unwrap();
    assert!(!emitter.is_closed());
    ready(emitters.close(&"alpha")).unwrap();
    assert!(emitter.is_closed());
    assert_eq!(emitter.into_response().status(), 204);
}

#[test]
fn an_emitters_parts_carry_everything_that_was_said_of_it() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    let hooks = Hooks::default();
    let error = Arc::clone(&hooks.error);
    let greeting = Event::new("hello").with_id(EventId::new("7").unwrap());
    let emitter = emitters.connect("alpha", Start::Tail).unwrap();
    let parts = emitter
        .with_greeting(greeting.with_retry(Duration::from_secs(1)))
        .with_timeout(Duration::from_secs(2))
        .with_timeout(Duration::from_secs(3))
        .on_error(move |_, end| {
            assert_eq!(end, StreamEnd::ClientClosed);
            error.fetch_add(1, Ordering::Relaxed);
        })
        .into_parts();
    assert_eq!(parts.view, Topic::new("users/alpha").unwrap().into());
    assert!(matches!(parts.start, Start::After(_)));
    let greeting = parts.greeting.unwrap();
    assert_eq!((greeting.data(), greeting.id()), ("hello", None));
    assert_eq!(greeting.retry(), Some(Duration::from_secs(1)));
    assert_eq!(parts.timeout, Some(Duration::from_secs(2)));
    assert_eq!(emitters.streams(&"alpha"), 1);
    drop(parts.on_end);
    assert_eq!(hooks.counts(), [0, 0, 1]);
    assert_eq!(emitters.streams(&"alpha"), 0);
}

#[test]
fn a_body_keeps_the_hooks_of_its_emitter_beside_its_own() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    let hooks = Hooks::default();
    let own = Arc::new(AtomicUsize::new(0));
    let mut body = hooks.connect(&emitters, Start::Tail).on_end({
        let own = Arc::clone(&own);
        move |end| {
            assert_eq!(end, StreamEnd::Completed);
            own.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(hooks.counts(), [0, 0, 0]);
    body.close();
    body.close();
    assert_eq!(piece(&mut body), None);
    drop(body);
    assert_eq!(hooks.counts(), [1, 0, 0]);
    assert_eq!(own.load(Ordering::Relaxed), 1);
}

#[test]
fn a_key_that_was_only_completed_holds_no_events() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    ready(emitters.close(&"alpha")).unwrap();
    assert_eq!(hub.hub.topics(None, 10), []);
    ready(emitters.send(&"alpha", Event::new("x"))).unwrap();
    ready(emitters.close(&"alpha")).unwrap();
    let topics = hub.hub.topics(None, 10);
    assert_eq!((topics.len(), topics[0].events), (1, 1));
}

#[test]
fn a_stream_is_told_of_the_ends_of_another_topic_that_came_after_its_start() {
    let hub = SteppedHub::new(HubConfig::default());
    let [news, subject] = ["news", "subject"].map(|name| Topic::new(name).unwrap());
    let before = hub.hub.subscribe(news.clone(), Start::Tail);
    let place = before.cursor();
    assert!(!before.is_closed_by(&subject));
    ready(hub.hub.close(subject.clone())).unwrap();
    assert!(before.is_closed_by(&subject));
    assert!(!before.is_closed());
    let back = hub.hub.subscribe(news.clone(), place.into());
    assert!(back.is_closed_by(&subject));
    for start in [Start::Tail, Start::Oldest, Start::After("nowhere".into())] {
        assert!(!hub.hub.subscribe(news.clone(), start).is_closed_by(&subject));
    }
}

#[test]
fn hooks_are_told_the_key_and_the_reason() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let users = Emitters::new(&hub.hub, Topic::from_static("users"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let open = |key: &'static str| {
        let hook = || {
            let told = Arc::clone(&told);
            move |key: &&'static str, end: StreamEnd| told.lock().unwrap().push((*key, end))
        };
        let emitter = users.connect(key, Start::Tail).unwrap();
        let emitter = emitter.with_timeout(Duration::from_secs(60)).on_timeout(hook());
        emitter.on_error(hook()).on_completion(hook()).into_body()
    };
    let (closed, mut timed_out) = (open("alpha"), open("beta"));
    drop(closed);
    hub.step(Duration::from_secs(61));
    piece(&mut timed_out);
    assert_eq!(piece(&mut timed_out), None);
    let told = told.lock().unwrap();
    let (alpha, beta) = (("alpha", StreamEnd::ClientClosed), ("beta", StreamEnd::TimedOut));
    assert_eq!(*told, [alpha, alpha, beta, beta]);
}

#[test]
fn a_key_that_makes_no_topic_is_refused_by_the_one_future() {
    let hub = SteppedHub::new(HubConfig::default());
    let users = Emitters::new(&hub.hub, Topic::from_static("users"));
    assert!(users.connect("a\nb", Start::Tail).is_err());
    for refused in
        [ready(users.send(&"a\nb", Event::new("x"))).map(drop), ready(users.close(&"a\nb"))]
    {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, PublishError::Refused { index: 0, reason: Refused::Topic(_) }));
    }
    ready(users.broadcast(&Event::new("to nobody"))).unwrap();
    assert_eq!(hub.hub.stats().published, 0);
}
