//! Events that one of their topics evicted first and another superseded later, while their reader was behind memory.
//!
//! A reader of both topics has not lost such an event before the second topic lets go of it, however early it looked at
//! what the first had evicted.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tidings_hub::engine::{Read, ReaderState, Tap, TurnMax};
use tidings_hub::journal::{Journal as _, Submission};
use tidings_hub::{
    Draft, Epoch, Event, HubConfig, Now, RetentionRule, Sequence, Start, TopicFilter, TopicLimits,
    Topics, View,
};
use tidings_testkit::stepped_journal::SteppedJournal;
use tidings_testkit::waker::Flag;

use crate::driven::{Driven, topic};

/// The rule by which `r/few` keeps one event.
fn few() -> RetentionRule {
    let one = TopicLimits::default().with_events_max(NonZeroUsize::MIN);
    RetentionRule::new(topic("r/few").into(), one)
}

/// The rule by which the newest event of `r/last` stands for those before it.
fn last() -> RetentionRule {
    RetentionRule::new(topic("r/last").into(), TopicLimits::default().latest_only())
}

/// A hub with rules, whose memory is small.
struct Ruled {
    journal: SteppedJournal,
    driven: Driven,
    tap: Arc<Tap>,
}

/// A slot of a shard, which reads one event at a time.
struct Slot {
    after: Sequence,
    state: ReaderState,
}

impl Ruled {
    fn new(rules: Vec<RetentionRule>) -> Self {
        let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 100);
        let mut config = HubConfig::default();
        config.retention.bytes_max = 8_000;
        config.retention.rules = rules;
        // A hub opens when its feed has handed something over.
        Self::append(&journal, &["log"], "");
        let mut driven = Driven::open_with(&journal, config);
        driven.work();
        let (_, waker) = Flag::new();
        let tap = Arc::new(Tap::open(&driven.hub, 1, waker));
        Self { journal, driven, tap }
    }

    fn append(journal: &SteppedJournal, names: &[&str], data: &str) {
        let topics = Topics::new(names.iter().map(|name| topic(name)).collect::<Vec<_>>()).unwrap();
        let event = Submission::Event(Draft::new(topics, Event::new(data)));
        drop(journal.append(&mut std::iter::once(event), Now::read()));
    }

    fn publish(&mut self, names: &[&str], data: &str) {
        Self::append(&self.journal, names, data);
        self.journal.feed();
        self.driven.work();
    }

    /// Publishes to another topic until memory holds nothing older.
    fn push_out(&mut self) {
        for _ in 0..20 {
            self.publish(&["log"], &"x".repeat(1_000));
        }
    }

    fn subscribe(&self, view: &View, start: Start) -> Slot {
        let (after, state) = self.tap.subscribe(view, start).into_state();
        Slot { after, state }
    }

    /// Reads the data of the next event, `gap` or `tail`.
    fn next(&mut self, slot: &mut Slot) -> String {
        let max = TurnMax { bytes: 1, steps: 1_000 };
        for _ in 0..10 {
            let mut data = None;
            let at = (&mut slot.state, &mut slot.after);
            let (read, _) = self.tap.read(0, at, max, |block, index| {
                let text = String::from_utf8(block.chunk(index).to_vec()).unwrap();
                let line = text.lines().find_map(|line| line.strip_prefix("data: "));
                data = line.map(str::to_owned);
            });
            match (data, read) {
                (Some(data), _) => return data,
                (None, Read::Gap(_)) => return "gap".to_owned(),
                (None, Read::Tail) => return "tail".to_owned(),
                (None, Read::Waiting | Read::Full) => self.driven.work(),
                (None, other) => panic!("{other:?}"),
            }
        }
        panic!("it comes to nothing");
    }

    fn all(&mut self, reader: &mut Slot) -> Vec<String> {
        std::iter::from_fn(|| Some(self.next(reader)).filter(|it| it != "tail")).collect()
    }
}

fn views() -> [View; 2] {
    let exact = ["r/few", "r/last", "r/all"].map(|name| TopicFilter::from(topic(name)));
    [View::new(exact), View::new([TopicFilter::pattern("r/*").unwrap()])]
}

/// The page from which the reader was sent nothing of it had been read while the event was the newest of `r/last`.
#[test]
fn an_event_that_is_superseded_after_a_reader_was_told_of_losses_is_told_as_lost() {
    for view in views() {
        let mut hub = Ruled::new(vec![few(), last()]);
        hub.publish(&["r/all"], "1");
        hub.publish(&["r/all"], "2");
        hub.publish(&["r/few", "r/last"], "lost");
        hub.publish(&["r/few"], "3");
        hub.push_out();
        let mut reader = hub.subscribe(&view, Start::Oldest);
        assert_eq!(hub.next(&mut reader), "1", "{view:?}");
        hub.publish(&["r/last"], "4");
        assert_eq!(hub.all(&mut reader), ["2", "gap", "3", "4"], "{view:?}");
    }
}

/// The reader was in memory when it looked at what `r/few` had evicted, and was told of nothing: `r/last` still had it.
#[test]
fn an_event_that_is_superseded_after_a_reader_has_looked_for_losses_is_told_as_lost() {
    for view in views() {
        let mut hub = Ruled::new(vec![few(), last()]);
        let mut reader = hub.subscribe(&view, Start::Tail);
        hub.publish(&["r/all"], "1");
        hub.publish(&["r/all"], "2");
        hub.publish(&["r/few", "r/last"], "lost");
        hub.publish(&["r/few"], "3");
        assert_eq!(hub.next(&mut reader), "1", "{view:?}");
        hub.push_out();
        hub.publish(&["r/last"], "4");
        assert_eq!(hub.all(&mut reader), ["2", "gap", "3", "4"], "{view:?}");
    }
}

/// An event that both topics had let go of by then is told once.
#[test]
fn an_event_that_was_superseded_before_a_reader_was_told_of_losses_is_not_told_again() {
    for view in views() {
        let mut hub = Ruled::new(vec![few(), last()]);
        let start = hub.driven.cursor(1);
        hub.publish(&["r/few", "r/last"], "lost");
        hub.publish(&["r/all"], "1");
        hub.publish(&["r/few", "r/last"], "lost");
        hub.publish(&["r/few"], "2");
        hub.publish(&["r/last"], "3");
        hub.push_out();
        let mut reader = hub.subscribe(&view, start);
        assert_eq!(hub.next(&mut reader), "gap", "{view:?}");
        hub.publish(&["r/last"], "4");
        hub.push_out();
        assert_eq!(hub.all(&mut reader), ["1", "2", "4"], "{view:?}");
    }
}

/// The newer event of `r/last` was there when the reader was told of losses, and did not stand for the other then.
#[test]
fn an_event_that_a_new_rule_supersedes_is_told_as_lost() {
    for view in views() {
        let mut hub = Ruled::new(vec![few()]);
        hub.publish(&["r/all"], "1");
        hub.publish(&["r/all"], "2");
        hub.publish(&["r/few", "r/last"], "lost");
        hub.publish(&["r/few"], "3");
        hub.publish(&["r/last"], "4");
        hub.push_out();
        let mut reader = hub.subscribe(&view, Start::Oldest);
        assert_eq!(hub.next(&mut reader), "1", "{view:?}");
        let mut retention = hub.driven.hub.config().retention.clone();
        retention.rules.push(last());
        hub.driven.hub.limit_topics(&retention);
        hub.publish(&["r/last"], "5");
        assert_eq!(hub.all(&mut reader), ["2", "gap", "3", "5"], "{view:?}");
    }
}
