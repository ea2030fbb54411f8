//! A hub whose wall clock is set forward and back by an hour: ages follow the steady clock.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::pin::pin;
use std::time::Duration;

use tidings_hub::{Draft, Event, Hub, HubConfig, IdempotencyKey, Now, Start, Time, Topic};
use tidings_testkit::stepped::{piece, ready};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A hub, and the machine's clocks.
struct Machine {
    hub: Hub,
    now: Now,
}

impl Machine {
    fn new(config: HubConfig) -> Self {
        let now = Now::read();
        Self { hub: Hub::builder().config(config).at(now).build(), now }
    }

    /// Lets time pass, a second at a time.
    fn pass(&mut self, duration: Duration) {
        for _ in 0..duration.as_secs() {
            self.now = self.now + Duration::from_secs(1);
            self.hub.tick(self.now);
        }
    }

    /// Sets the wall clock, and lets a second pass.
    fn set(&mut self, set: impl FnOnce(Time) -> Time) {
        self.now.time = set(self.now.time);
        self.pass(Duration::from_secs(1));
    }

    fn set_forward(&mut self) {
        self.set(|time| Time::from_unix_millis(time.unix_millis() + 3_600_000));
    }

    fn set_back(&mut self) {
        self.set(|time| time.saturating_sub(HOUR));
    }

    /// Publishes an event with a key; its ID.
    fn publish(&self, key: &str) -> String {
        let draft = Draft::new(Topic::from_static("a"), Event::new("x"));
        let draft = draft.with_idempotency_key(IdempotencyKey::new(key).unwrap());
        ready(pin!(self.hub.publish(draft))).unwrap().id().to_string()
    }

    fn events(&self) -> u64 {
        self.hub.stats().events_held
    }
}

/// An hour forward emptied the history at once, and an hour back kept everything for an hour more.
#[test]
fn events_reach_their_age_by_the_steady_clock_however_the_wall_clock_is_set() {
    type Set = fn(&mut Machine);
    let settings: [&[Set]; 4] = [
        &[Machine::set_forward],
        &[Machine::set_back],
        &[Machine::set_forward, Machine::set_back],
        &[Machine::set_back, Machine::set_forward],
    ];
    for set in settings {
        let mut config = HubConfig::default();
        config.retention.age_max = Some(10 * MINUTE);
        let mut machine = Machine::new(config);
        machine.publish("first");
        machine.pass(5 * MINUTE);
        set.iter().for_each(|set| set(&mut machine));
        machine.publish("second");
        assert_eq!(machine.events(), 2);
        machine.pass(4 * MINUTE);
        assert_eq!(machine.events(), 2, "nothing is ten minutes old");
        machine.pass(MINUTE + Duration::from_secs(2));
        assert_eq!(machine.events(), 1, "the first is older");
        machine.pass(5 * MINUTE);
        assert_eq!(machine.events(), 0, "so is the second");
    }
}

#[test]
fn idempotency_keys_are_remembered_for_ten_minutes_of_the_steady_clock() {
    for set in [Machine::set_forward as fn(&mut Machine), Machine::set_back] {
        let mut machine = Machine::new(HubConfig::default());
        let first = machine.publish("first");
        set(&mut machine);
        machine.pass(9 * MINUTE);
        assert_eq!(machine.publish("first"), first, "it is a repetition");
        machine.pass(11 * MINUTE);
        machine.publish("other");
        assert_ne!(machine.publish("first"), first, "it is forgotten");
    }
}

#[test]
fn heartbeats_and_the_ends_of_streams_follow_the_steady_clock() {
    for set in [Machine::set_forward as fn(&mut Machine), Machine::set_back] {
        let mut config = HubConfig::default();
        config.stream_age_max = Some(10 * MINUTE);
        let mut machine = Machine::new(config);
        let mut body = machine.hub.stream(Topic::from_static("a"), Start::Tail);
        assert_eq!(piece(&mut body).unwrap(), ":\nretry: 2000\n");
        set(&mut machine);
        assert_eq!(piece(&mut body).unwrap(), "", "nothing is due");
        machine.pass(Duration::from_secs(15));
        assert_eq!(piece(&mut body).unwrap(), ":\n", "a heartbeat");
        machine.pass(10 * MINUTE);
        while piece(&mut body).is_some_and(|text| !text.is_empty()) {}
        assert_eq!(piece(&mut body), None, "the stream is over");
    }
}

/// The wall clock dates events, and readers rely on rising times.
#[test]
fn commit_times_never_go_back() {
    let mut machine = Machine::new(HubConfig::default());
    machine.set_forward();
    machine.publish("first");
    machine.set_back();
    machine.publish("second");
    let page = ready(machine.hub.page(Topic::from_static("a"), Start::Tail, 2));
    let times: Vec<_> = page.events.iter().map(|event| event.time).collect();
    assert_eq!(times.len(), 2);
    assert!(times[0] <= times[1], "{times:?}");
}
