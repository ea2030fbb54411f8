//! The end that a stream's hooks are given, for every reason.

use std::io::ErrorKind;

use parking_lot::Mutex;
use tidings_hub::engine::OnEnd;
use tidings_hub::{Append, EndNotice, Grant, PublicTopics, StreamEnd, StreamOptions};

use super::*;
use crate::engine::subject::Subject;

/// A shard with one stream of the topic `a`, of the subject `alpha`, that lasts a minute.
struct One {
    hub: Hub,
    now: Now,
    tap: Arc<Tap>,
    shard: Shard<FakeSocket, ()>,
    wire: Rc<RefCell<Wire>>,
    key: usize,
    told: Arc<Mutex<Vec<StreamEnd>>>,
}

fn alpha() -> Subject {
    Subject::new("alpha").unwrap()
}

fn topic() -> Topic {
    Topic::new("a").unwrap()
}

impl One {
    fn new() -> Self {
        Self::on_the_way(topic().into(), |_| {})
    }

    /// Does something between the opening of a view's stream and its arrival at the shard.
    fn on_the_way(view: View, between: impl FnOnce(&Hub)) -> Self {
        let now = Now::read();
        let hub = Hub::builder().config(HubConfig::default()).at(now).build();
        let tap = Arc::new(Tap::open(&hub, 16, Waker::noop().clone()));
        let mut shard = Shard::new(shard_config(Duration::from_secs(30)), Arc::clone(&tap));
        let told = Arc::new(Mutex::new(Vec::new()));
        let on_end = OnEnd::new({
            let told = Arc::clone(&told);
            move |end| told.lock().push(end)
        });
        let wire = Rc::new(RefCell::new(Wire { room: usize::MAX / 2, ..Wire::default() }));
        let reader = tap.subscribe(&view, Start::Tail);
        between(&hub);
        let key = shard.add(Adopted {
            socket: FakeSocket(Rc::clone(&wire)),
            head: b"HEAD\r\n\r\n".to_vec(),
            discarded: 0,
            subscription: Subscription {
                reader,
                framing: Framing::Close,
                spec: StreamSpec {
                    client: Client::EventSource,
                    greeting: Some(Event::new("welcome")),
                    timeout: Some(Duration::from_secs(60)),
                    subject: Some(alpha()),
                    on_end: Some(on_end),
                    ..StreamSpec::default()
                },
                permit: (),
            },
        });
        while shard.turn(10) {}
        Self { hub, now, tap, shard, wire, key, told }
    }

    fn step(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.hub.tick(self.now);
        self.turn();
    }

    fn turn(&mut self) {
        self.shard.set_now(self.hub.uptime());
        while self.shard.turn(10) {}
    }

    fn publish(&self) {
        drop(self.hub.publish(Draft::new(topic(), Event::new("x"))));
    }

    /// Runs the hooks, as the shard's thread does, and returns all ends that they were given.
    fn told(mut self) -> Vec<StreamEnd> {
        assert!(self.told.lock().is_empty(), "run while the shard is held");
        assert_eq!(self.shard.has_ended(), self.shard.len() == 0);
        for (on_end, end) in self.shard.take_ended() {
            on_end.run(end);
        }
        drop(self.shard);
        drop(self.tap);
        self.told.lock().drain(..).collect()
    }
}

#[test]
fn t46_a_streams_hooks_are_told_once_how_it_ended() {
    let mut one = One::new();
    drop(one.hub.close(topic()));
    one.turn();
    assert_eq!(one.told(), [StreamEnd::Completed], "its topic's streams ended");

    let mut one = One::new();
    assert_eq!(
        one.shard.close_some(0, |seen| seen.subjects()[0] == Some(&Subject::new("beta").unwrap())),
        None
    );
    assert_eq!(one.shard.close_some(0, |seen| seen.subjects()[0] == Some(&alpha())), None);
    assert_eq!(one.shard.close_some(0, |seen| seen.subjects()[0] == Some(&alpha())), None);
    one.turn();
    assert!(one.wire.borrow().is_finished);
    assert_eq!(one.told(), [StreamEnd::Completed], "its subject's streams ended");

    let mut one = One::new();
    one.step(Duration::from_secs(59));
    assert!(!one.shard.has_ended(), "its minute is not over");
    one.step(Duration::from_secs(6));
    assert_eq!(one.told(), [StreamEnd::TimedOut]);

    let mut one = One::new();
    one.shard.drain(Duration::ZERO);
    one.turn();
    assert_eq!(one.told(), [StreamEnd::Drained]);

    for (read, why) in [
        (Ok(0), "client-closed"),
        (Err(ErrorKind::ConnectionReset), "connection-failed"),
        (Ok(512), "client-sent-data"),
    ] {
        let mut one = One::new();
        one.wire.borrow_mut().read = Some(read);
        one.shard.handle_readable(one.key);
        assert_eq!(one.told(), [StreamEnd::ClientClosed], "{why}");
    }

    let mut one = One::new();
    one.wire.borrow_mut().is_broken = true;
    one.publish();
    one.turn();
    assert_eq!(one.told(), [StreamEnd::ClientClosed], "broken in a write");

    let mut one = One::new();
    one.wire.borrow_mut().room = 0;
    one.publish();
    one.turn();
    one.step(Duration::from_secs(40));
    assert_eq!(one.told(), [StreamEnd::ClientClosed], "stalled");

    let mut one = One::new();
    one.shard.abandon(one.key);
    assert_eq!(one.told(), [StreamEnd::ClientClosed], "its socket cannot be waited for");

    assert_eq!(One::new().told(), [StreamEnd::ClientClosed], "the shard is gone");
}

/// After a pause of the process (suspend, container pause) its timers are overdue before it has heard of
/// anything: readers that had taken everything meanwhile were closed as stalled.
#[test]
fn a_reader_that_has_taken_everything_during_a_pause_is_not_stalled() {
    let mut one = One::new();
    one.wire.borrow_mut().room = 0;
    one.publish();
    one.turn();
    // The kernel would say so, but time is told first.
    one.wire.borrow_mut().room = usize::MAX / 2;
    one.step(Duration::from_secs(35));
    assert!(one.wire.borrow().written.ends_with(b"data: x\n\n"));
    assert!(!one.wire.borrow().is_closed);
}

#[test]
fn an_end_that_its_client_does_not_take_is_told_as_the_end_it_is() {
    let mut one = One::new();
    one.wire.borrow_mut().room = 0;
    one.publish();
    one.turn();
    assert_eq!(one.shard.close_some(0, |seen| seen.subjects()[0] == Some(&alpha())), None);
    one.turn();
    assert!(!one.shard.has_ended());
    one.step(Duration::from_secs(6));
    assert_eq!(one.told(), [StreamEnd::Completed]);
}

#[test]
fn a_stream_whose_subject_is_sent_away_before_it_arrives_ends_at_once() {
    let one = One::on_the_way(topic().into(), |hub| drop(hub.close(alpha().ends().clone())));
    let written = String::from_utf8(one.wire.borrow().written.clone()).unwrap();
    assert!(written.ends_with("data: welcome\n\n"), "{written}");
    assert_eq!(one.told(), [StreamEnd::Completed]);
}

/// It stayed open: the reload had looked for it before it arrived.
#[test]
fn a_stream_whose_topic_a_reload_closes_before_it_arrives_ends_at_once() {
    let public = PublicTopics::new([(TopicFilter::pattern("a").unwrap(), true)]);
    let view = View::from(topic()).with_grant(Grant::limited([], &public));
    let one = One::on_the_way(view.clone(), |_| {});
    assert_eq!(one.shard.len(), 1);
    let one = One::on_the_way(view, |_| public.set([]));
    assert_eq!(one.told(), [StreamEnd::Completed]);
}

#[test]
fn a_greeting_follows_the_preamble() {
    let one = One::new();
    let written = String::from_utf8(one.wire.borrow().written.clone()).unwrap();
    let (preamble, greeting) = written.split_once("\n\n").unwrap();
    assert!(preamble.starts_with("HEAD\r\n\r\n:\nretry: 2000\nid: "), "{preamble}");
    assert_eq!(greeting, "data: welcome\n\n");
}

/// Its readers learn the end as soon as the last event, with nothing to wait for in between.
#[test]
fn the_end_of_a_stream_goes_out_in_the_turn_of_its_last_event() {
    for notice in [EndNotice::Event, EndNotice::Close] {
        let mut one = One::new();
        let begin = Some(StreamOptions::default());
        let whole = Append { begin, end: Some(notice), ..Append::default() };
        let last = Draft::new(topic(), Event::new("last"));
        drop(one.hub.append(topic(), &whole, vec![last]));
        // No time passes.
        while one.shard.turn(10) {}
        let wire = one.wire.borrow();
        let sent = String::from_utf8_lossy(&wire.written).into_owned();
        assert!(wire.is_finished, "{notice:?} {sent}");
        assert!(sent.contains("data: last\n\n"), "{sent}");
        let end = "event: end\ndata: {\"reason\":\"done\",\"events\":1}\n\n";
        assert_eq!(sent.contains(end), notice == EndNotice::Event, "{sent}");
        drop(wire);
        assert_eq!(one.told(), [StreamEnd::Completed]);
    }
}

/// A reader that was slow to take the end was left waiting for more.
#[test]
fn a_stream_ends_although_its_last_event_was_cut() {
    let whole = {
        let one = One::new();
        one.wire.borrow().written.len()
    };
    for room in 0..200 {
        let mut one = One::new();
        one.wire.borrow_mut().room = room;
        let begin = Some(StreamOptions::default());
        let stream = Append { begin, end: Some(EndNotice::Event), ..Append::default() };
        drop(one.hub.append(topic(), &stream, vec![Draft::new(topic(), Event::new("last"))]));
        while one.shard.turn(10) {}
        one.wire.borrow_mut().room = usize::MAX / 2;
        one.shard.handle_writable(one.key);
        while one.shard.turn(10) {}
        let wire = one.wire.borrow();
        let sent = String::from_utf8_lossy(&wire.written[whole..]).into_owned();
        assert!(wire.is_finished, "cut after {room}: {sent}");
        assert_eq!(sent.matches("event: end\n").count(), 1, "cut after {room}: {sent}");
    }
}
