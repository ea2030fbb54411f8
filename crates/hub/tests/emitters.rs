//! Keyed emitters: connect, send, complete, time-outs and hooks.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_hub::{Body, Client, Emitters, Event, EventType, HubConfig, Start};
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
            move || {
                hook.fetch_add(1, Ordering::Relaxed);
            }
        };
        let emitter = emitters.connect("alpha", start).unwrap();
        emitter
            .with_timeout(Duration::from_secs(60))
            .with_greeting(Event::new("hello").with_type(EventType::new("connect").unwrap()))
            .on_completion(count(&self.completion))
            .on_timeout(count(&self.timeout))
            .on_error(count(&self.error))
            .for_client(Client::EventSource)
            .into_body()
    }
}

#[test]
fn t46_an_emitters_hooks_run_once_whatever_ends_it() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, "users").unwrap();

    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    piece(&mut body);
    ready(emitters.complete(&"alpha").unwrap()).unwrap();
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
    let emitters = Emitters::new(&hub.hub, "users").unwrap();
    let hooks = Hooks::default();
    let mut body = hooks.connect(&emitters, Start::Tail);
    let preamble = piece(&mut body).unwrap();
    let (place, greeting) =
        preamble.strip_prefix(":\nretry: 2000\nid: ").unwrap().split_once("\n\n").unwrap();
    assert_eq!(greeting, "event: connect\ndata: hello\n\n");
    ready(emitters.complete(&"alpha").unwrap()).unwrap();

    let back = emitters.connect("alpha", Start::After(place.into())).unwrap();
    assert!(back.is_ended());
    drop(back);
    let mut anew = hooks.connect(&emitters, Start::Tail);
    let preamble = piece(&mut anew).unwrap();
    let place = preamble.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    drop(anew);
    let back = emitters.connect("alpha", Start::After(place.into())).unwrap();
    assert!(!back.is_ended(), "an earlier end ends a later stream");
}

#[test]
fn what_is_sent_to_a_key_reaches_all_its_streams_and_no_other() {
    let hub = SteppedHub::new(HubConfig::default());
    let emitters = Emitters::new(&hub.hub, "users").unwrap();
    let open = |key| {
        let mut body = emitters.connect(key, Start::Tail).unwrap().into_body();
        piece(&mut body);
        body
    };
    let (mut one, mut two, mut other) = (open("alpha"), open("alpha"), open("beta"));
    ready(emitters.send(&"alpha", Event::new("x")).unwrap()).unwrap();
    for body in [&mut one, &mut two] {
        assert!(piece(body).unwrap().ends_with("data: x\n\n"));
    }
    assert_eq!(piece(&mut other).unwrap(), "");
    ready(emitters.broadcast(&Event::new("all")).unwrap()).unwrap();
    for body in [&mut one, &mut two, &mut other] {
        assert!(piece(body).unwrap().ends_with("data: all\n\n"));
    }
}
