//! The pieces of a stream's body, in stepped time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use http::HeaderMap;
use tidings_hub::{
    Append, Body, Client, Draft, EndNotice, Event, Hub, HubConfig, Start, StreamEnd, StreamOptions,
    Topic, TopicFilter, View,
};
use tidings_testkit::stepped::{SteppedHub, piece, ready};
use tidings_testkit::waker::Flag;

#[test]
fn the_preamble_of_an_event_source_gives_it_a_place() {
    let hub = SteppedHub::new(HubConfig::default());
    let id = hub.publish_id("a", "x");
    let mut body = hub.body("a", Start::Tail).for_client(Client::EventSource);
    assert_eq!(piece(&mut body).unwrap(), format!(":\nretry: 2000\nid: {id}\n\n"));
    assert_eq!(piece(&mut body).unwrap(), "");
}

#[test]
fn t50_other_clients_are_sent_no_blank_line_but_those_that_end_events() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let mut body = hub.body("a", Start::Tail);
    assert_eq!(piece(&mut body).unwrap(), ":\nretry: 2000\n");
    hub.step(Duration::from_secs(15));
    assert_eq!(piece(&mut body).unwrap(), ":\n");
    let id = hub.publish_id("a", "x");
    assert_eq!(piece(&mut body).unwrap(), format!("id: {id}\ndata: x\n\n"));
}

#[test]
fn clients_are_told_apart_by_cache_control() {
    let client = |value: &str| {
        Client::from_headers(&HeaderMap::from_iter([(
            http::header::CACHE_CONTROL,
            value.parse().unwrap(),
        )]))
    };
    assert_eq!(client("no-cache"), Client::EventSource);
    assert_eq!(client("max-age=0, No-Cache"), Client::EventSource);
    assert_eq!(client("no-store"), Client::Other);
    assert_eq!(Client::from_headers(&HeaderMap::new()), Client::Other);
}

#[test]
fn htmx_is_told_by_what_it_accepts_and_asked_to_stay_away_for_a_minute() {
    let accept = |value: &str| {
        Client::from_headers(&HeaderMap::from_iter([(
            http::header::ACCEPT,
            value.parse().unwrap(),
        )]))
    };
    assert_eq!(accept("text/html, text/event-stream"), Client::Htmx);
    assert_eq!(accept("text/event-stream"), Client::Other);
    assert_eq!(accept("text/html,application/xhtml+xml,*/*;q=0.8"), Client::Other);
    let hub = SteppedHub::new(HubConfig::default());
    for (client, last) in [(Client::Htmx, "event: retry\nretry: 60000\n\n"), (Client::Other, "")] {
        let mut body = hub.body("a", Start::Tail).for_client(client);
        piece(&mut body);
        let id = hub.publish_id("a", "x");
        drop(hub.hub.close(Topic::new("a").unwrap()));
        assert_eq!(piece(&mut body).unwrap(), format!("id: {id}\ndata: x\n\n{last}"));
        assert_eq!(piece(&mut body), None);
    }
}

#[test]
fn what_became_due_meanwhile_is_merged_into_one_piece() {
    let hub = SteppedHub::new(HubConfig::default());
    let mut body = hub.body("a", Start::Tail);
    piece(&mut body);
    let ids = [("a", "1"), ("b", "other"), ("a", "2")].map(|(t, data)| hub.publish_id(t, data));
    let expected = format!("id: {}\ndata: 1\n\nid: {}\ndata: 2\n\n", ids[0], ids[2]);
    assert_eq!(piece(&mut body).unwrap(), expected);
}

#[test]
fn a_piece_has_at_most_16_kib_unless_one_event_is_larger() {
    let hub = SteppedHub::new(HubConfig::default());
    let mut body = hub.body("a", Start::Tail);
    piece(&mut body);
    for _ in 0..3 {
        hub.publish("a", &"x".repeat(7_500));
    }
    hub.publish("a", &"y".repeat(100_000));
    hub.publish("a", "z");
    let lens = [0; 4].map(|_| piece(&mut body).unwrap().len());
    assert!(lens[0] > 15_000 && lens[0] <= 16 * 1024, "{lens:?}");
    assert!(lens[1] > 7_500 && lens[1] < 8_000, "{lens:?}");
    assert!(lens[2] > 100_000 && lens[2] < 101_000, "{lens:?}");
    assert!(lens[3] < 100, "{lens:?}");
    assert_eq!(piece(&mut body).unwrap(), "");
}

/// Each reader used to be given a copy: 1,000 readers of 1 MiB that took nothing held 1 GB.
#[test]
fn a_large_event_is_the_same_memory_for_all_bodies() {
    let hub = SteppedHub::new(HubConfig::default());
    hub.publish("a", &"x".repeat(1_000_000));
    let mut cx = Context::from_waker(Waker::noop());
    let places = [0; 2].map(|_| {
        let mut body = hub.body("a", Start::Oldest);
        let mut next = || match Pin::new(&mut body).poll_next(&mut cx) {
            Poll::Ready(Some(piece)) => piece,
            _ => panic!("nothing to read"),
        };
        assert_eq!(next(), ":\nretry: 2000\n");
        next().as_ptr()
    });
    assert_eq!(places[0], places[1]);
}

#[test]
fn a_gap_comes_first_and_gives_the_place_itself() {
    let hub = SteppedHub::new(HubConfig::default());
    let id = hub.publish_id("a", "x");
    let foreign = "urn:uuid:10000000-0000-8001-8400-000000000005";
    let mut body = hub.body("a", Start::After(foreign.into())).for_client(Client::EventSource);
    let place = hub.cursor(0);
    let expected = format!(
        ":\nretry: 2000\nid: {place}\nevent: gap\n\
         data: {{\"asked\":\"{foreign}\",\"oldest\":\"{id}\"}}\n\n"
    );
    let event = format!("id: {id}\ndata: x\n\n");
    assert_eq!(piece(&mut body).unwrap(), expected + &event);

    let mut back = hub.body("a", Start::After(place.into()));
    let text = piece(&mut back).unwrap();
    assert!(!text.contains("gap"), "the place after a gap tells it again: {text}");
}

#[test]
fn what_was_asked_is_cut_to_256_bytes_and_escaped() {
    let hub = SteppedHub::new(HubConfig::default());
    let asked = format!("\"{}", "é".repeat(200));
    let mut body = hub.body("a", Start::After(asked.into()));
    let text = piece(&mut body).unwrap();
    let data = format!("data: {{\"asked\":\"\\\"{}\",\"oldest\":null}}\n\n", "é".repeat(127));
    assert!(text.ends_with(&data), "{text}");
}

#[test]
fn t42_a_quiet_topic_has_no_gap_however_much_others_evict() {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 20_000;
    let hub = SteppedHub::new(config);
    let mut body = hub.body("quiet", Start::Tail).for_client(Client::EventSource);
    let preamble = piece(&mut body).unwrap();
    let place = preamble.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(body);
    for _ in 0..1000 {
        hub.publish("busy", "x");
    }
    let mut back = hub.body("quiet", Start::After(place.clone().into()));
    assert_eq!(piece(&mut back).unwrap(), ":\nretry: 2000\n");
    let mut other = hub.body("busy", Start::After(place.into()));
    assert!(piece(&mut other).unwrap().contains("event: gap\n"));
}

#[test]
fn c7_silence_is_broken_within_the_heartbeat_interval() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let mut body = hub.body("a", Start::Tail);
    piece(&mut body);
    let (flag, waker) = Flag::new();
    let mut silence = Duration::ZERO;
    for _ in 0..1000 {
        let mut cx = Context::from_waker(&waker);
        match Pin::new(&mut body).poll_next(&mut cx) {
            Poll::Ready(piece) => {
                assert_eq!(piece.unwrap().as_ref(), b":\n");
                silence = Duration::ZERO;
            }
            Poll::Pending => assert!(!flag.take() || silence.is_zero()),
        }
        hub.step(Duration::from_millis(250));
        silence += Duration::from_millis(250);
        assert!(silence <= Duration::from_secs(15), "silent for {silence:?}");
        if flag.take() {
            let Poll::Ready(_) = Pin::new(&mut body).poll_next(&mut cx) else {
                panic!("woken for nothing")
            };
            silence = Duration::ZERO;
        }
    }
}

#[test]
fn many_topics_get_a_fresh_place_with_each_heartbeat() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let all = View::from(TopicFilter::pattern("a/*").unwrap());
    let mut body = Body::new(hub.hub.subscribe(all, Start::Tail)).for_client(Client::EventSource);
    piece(&mut body);
    hub.publish("other", "x");
    hub.step(Duration::from_secs(15));
    assert_eq!(piece(&mut body).unwrap(), format!(":\nid: {}\n\n", hub.cursor(1)));
}

#[test]
fn a_stream_of_its_own_is_pulled_as_it_is_read_and_dropped_with_its_reader() {
    struct Counter {
        pulled: Arc<AtomicUsize>,
        _alive: Arc<()>,
    }
    impl Stream for Counter {
        type Item = Event;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Event>> {
            self.pulled.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Event::new("x".repeat(1000))))
        }
    }
    let hub = SteppedHub::new(HubConfig::default());
    let (pulled, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let mut body = Body::from_stream(
        &hub.hub,
        Counter { pulled: Arc::clone(&pulled), _alive: Arc::clone(&alive) },
    );
    assert_eq!(pulled.load(Ordering::Relaxed), 0);
    let first = piece(&mut body).unwrap();
    assert!(first.starts_with(":\nretry: 2000\ndata: xxx"));
    assert!(pulled.load(Ordering::Relaxed) < 70, "pulled ahead of the reader");
    drop(body);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn t45_a_drained_stream_sends_what_is_due_and_a_jittered_reconnection_time() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let mut bodies: Vec<_> = (0..20).map(|_| hub.body("a", Start::Tail)).collect();
    bodies.iter_mut().for_each(|body| drop(piece(body)));
    hub.publish("a", "last");
    hub.hub.drain(Duration::from_secs(1));
    hub.step(Duration::from_secs(1));
    let mut times = Vec::new();
    for body in &mut bodies {
        let text = piece(body).unwrap();
        let retry =
            text.strip_prefix("id: ").unwrap().split_once("data: last\n\nretry: ").unwrap().1;
        times.push(retry.trim_end().parse::<u64>().unwrap());
        assert_eq!(piece(body), None);
    }
    assert!(times.iter().all(|time| (2000..=5000).contains(time)), "{times:?}");
    times.dedup();
    assert!(times.len() > 1, "all come back at once");
    let mut late = hub.body("a", Start::Tail);
    assert!(piece(&mut late).unwrap().contains("retry: "));
    assert_eq!(piece(&mut late), None);
}

#[test]
fn a_stream_ends_at_its_maximum_age_at_the_latest() {
    let mut config = HubConfig::default();
    config.stream_age_max = Some(Duration::from_secs(60));
    let mut hub = SteppedHub::new(config);
    let mut body = hub.body("a", Start::Tail);
    hub.step(Duration::from_secs(53));
    assert!(piece(&mut body).is_some());
    hub.step(Duration::from_secs(8));
    while let Some(text) = piece(&mut body) {
        assert!(!text.is_empty(), "open after a minute");
    }
}

#[test]
fn the_head_names_the_last_event_before_the_stream() {
    let hub = SteppedHub::new(HubConfig::default());
    let head = |start| hub.body("a", start).into_response().headers()["last-event-id"].clone();
    assert_eq!(head(Start::Tail), "earliest");
    let id = hub.publish_id("a", "x");
    assert_eq!(head(Start::Tail), id);
    assert_eq!(head(Start::Oldest), "earliest");
    assert_eq!(head(Start::After(id.as_str().into())), id);
    assert_eq!(head(Start::After("nowhere".into())), "earliest");
    let response = hub.body("a", Start::Tail).into_response();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
}

#[test]
fn every_body_tells_how_it_ended() {
    let hub = SteppedHub::new(HubConfig::default());
    let (told, ended) = (Arc::new(AtomicUsize::new(0)), Topic::new("a").unwrap());
    let count = Arc::clone(&told);
    let mut body = hub.body("a", Start::Tail).on_end(move |end| {
        assert_eq!(end, StreamEnd::Completed);
        count.fetch_add(1, Ordering::Relaxed);
    });
    piece(&mut body);
    assert_eq!(body.stream_end(), None);
    ready(hub.hub.close(ended)).unwrap();
    assert_eq!(piece(&mut body), None);
    assert_eq!(piece(&mut body), None);
    assert_eq!(body.stream_end(), Some(StreamEnd::Completed));
    drop(body);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

/// After a pause of the process all of a body's timers are overdue.
#[test]
fn a_body_sends_what_is_there_before_an_overdue_end() {
    let mut config = HubConfig::default();
    config.stream_age_max = Some(Duration::from_secs(60));
    let mut hub = SteppedHub::new(config);
    let mut body = hub.body("a", Start::Tail);
    piece(&mut body);
    let id = hub.publish_id("a", "x");
    hub.step(Duration::from_secs(3600));
    assert_eq!(piece(&mut body).unwrap(), format!("id: {id}\ndata: x\n\n"));
    assert_eq!(piece(&mut body), None);
    assert_eq!(body.stream_end(), Some(StreamEnd::TimedOut));
}

#[test]
fn a_body_that_waits_for_events_stays_open_however_long() {
    let mut hub = SteppedHub::new(HubConfig::default());
    let mut body = hub.body("a", Start::Tail);
    piece(&mut body);
    for _ in 0..24 {
        hub.step(Duration::from_secs(3600));
        assert_eq!(piece(&mut body).unwrap(), ":\n");
    }
    let id = hub.publish_id("a", "x");
    assert_eq!(piece(&mut body).unwrap(), format!("id: {id}\ndata: x\n\n"));
}

/// A server that closes a connection whose client takes nothing drops its body.
#[test]
fn a_body_that_is_dropped_ends_once_as_closed_by_its_client_and_gives_its_place_back() {
    let hub = SteppedHub::new(HubConfig::default());
    let ends = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&ends);
    let mut body = hub.body("a", Start::Tail).on_end(move |end| told.lock().unwrap().push(end));
    piece(&mut body);
    for _ in 0..100 {
        hub.publish("a", &"x".repeat(10_000));
    }
    assert!(!piece(&mut body).unwrap().is_empty());
    assert_eq!(hub.hub.stats().subscribers, 1);
    drop(body);
    assert_eq!(*ends.lock().unwrap(), [StreamEnd::ClientClosed]);
    assert_eq!(hub.hub.stats().subscribers, 0);
}

/// The hub cannot close the connection of a client that takes nothing. The client loses nothing that it is
/// not told of.
#[test]
fn a_body_that_is_not_asked_for_long_goes_on_where_it_was_or_tells_a_gap() {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 100_000;
    let mut hub = SteppedHub::new(config);
    let mut bodies = ["quiet", "busy"].map(|topic| hub.body(topic, Start::Tail));
    bodies.iter_mut().for_each(|body| drop(piece(body)));
    for _ in 0..200 {
        hub.publish("busy", &"x".repeat(1000));
    }
    let id = hub.publish_id("quiet", "held");
    hub.step(Duration::from_secs(3600));
    let [quiet, busy] = bodies.each_mut().map(|body| piece(body).unwrap());
    assert_eq!(quiet, format!("id: {id}\ndata: held\n\n"));
    assert!(busy.contains("\nevent: gap\n"), "{busy}");
}

#[test]
fn a_reader_that_comes_back_to_an_ended_stream_is_answered_204_until_the_next_one_begins() {
    for notice in [EndNotice::Event, EndNotice::Close] {
        smol::block_on(async {
            let hub = Hub::default();
            let topic = Topic::from_static("chat");
            let begin = || hub.begin_stream(topic.clone(), StreamOptions::default());
            let status = |start: Start| hub.stream(topic.clone(), start).into_response().status();
            let stream = begin().await.unwrap();
            stream.send(Event::new("a")).await.unwrap();
            stream.send(Event::new("b")).await.unwrap();
            stream.end(notice).await.unwrap();
            let end = Start::from(hub.subscribe(topic.clone(), Start::Tail).cursor());
            let ended = hub.streams(&TopicFilter::from(topic.clone())).pop().unwrap();
            let (first, last) = ended.places.unwrap();
            assert_eq!(status(Start::from(first)), 200);
            let at_last = if notice == EndNotice::Close { 204 } else { 200 };
            assert_eq!(status(Start::from(last)), at_last, "the end is still to be sent");
            assert_eq!(status(end.clone()), 204);
            assert_eq!(status(Start::Tail), 200, "it waits for the next stream");
            begin().await.unwrap();
            assert_eq!(status(end), 200);
        });
    }
}

/// Its readers learn the end as soon as the last event, with nothing to wait for in between: over HTTP/2, as embedders,
/// and by a request for JSON that waits.
#[test]
fn the_end_of_a_stream_comes_with_its_last_event() {
    for notice in [EndNotice::Event, EndNotice::Close] {
        let hub = SteppedHub::new(HubConfig::default());
        let topic = Topic::new("a").unwrap();
        let mut body = hub.body("a", Start::Tail);
        assert_eq!(piece(&mut body).unwrap(), ":\nretry: 2000\n");
        let several =
            View::new(["a", "b"].map(|name| TopicFilter::from(Topic::new(name).unwrap())));
        let pattern = View::from(TopicFilter::pattern("*").unwrap());
        let others = [several, pattern].map(|view| {
            let mut body = hub.hub.stream(view.clone(), Start::Tail);
            assert_eq!(piece(&mut body).unwrap(), ":\nretry: 2000\n");
            (body, hub.hub.subscribe(view, Start::Tail))
        });
        let mut subscriber = hub.hub.subscribe(topic.clone(), Start::Tail);
        let begin = Some(StreamOptions::default());
        let whole = Append { begin, end: Some(notice), ..Append::default() };
        let last = Draft::new(topic.clone(), Event::new("last"));
        drop(hub.hub.append(topic, &whole, vec![last]));
        let sent = piece(&mut body).unwrap();
        assert!(sent.contains("data: last\n\n"), "{sent}");
        assert_eq!(sent.contains("event: end\n"), notice == EndNotice::Event, "{sent}");
        assert_eq!(piece(&mut body), None);
        let mut found = Vec::new();
        while let Some(next) = ready(subscriber.next()) {
            found.push(next.into_event().data().to_owned());
        }
        let (own, told) =
            (r#"{"reason":"done","events":1}"#, r#"{"reason":"done","events":1,"topic":"a"}"#);
        let is_told = notice == EndNotice::Event;
        assert_eq!(sent.ends_with(&format!("\ndata: {own}\n\n")), is_told, "{sent}");
        assert_eq!(found, ["last", own][..if is_told { 2 } else { 1 }]);
        // Readers of several topics are told which one it is, and go on.
        for (mut body, mut subscriber) in others {
            let sent = piece(&mut body).unwrap();
            assert_eq!(sent.ends_with(&format!("\ndata: {told}\n\n")), is_told, "{sent}");
            assert_eq!(piece(&mut body).unwrap(), "");
            assert_eq!(ready(subscriber.next()).unwrap().into_event().data(), "last");
            if is_told {
                assert_eq!(ready(subscriber.next()).unwrap().into_event().data(), told);
            }
        }
    }
}
