//! The requests of a schedule to streams within topics, and what becomes of the streams.

use std::time::Duration;

use tidings_hub::{
    Append, Cursor, Draft, EndNotice, Event, IdempotencyKey, Producer, PublishError, Sequence,
    StreamOptions, StreamReason, StreamRefused, Topic, TopicFilter, View,
};

use super::reference::Known;
use super::schedule::Schedule;
use super::streams::{Keyed, Latest, Streams, Verdict};
use crate::stepped::ready;

/// How late a hub is at most with what is due.
const PASS: Duration = Duration::from_secs(1);

impl Schedule {
    /// Does one random thing with the stream of a topic.
    pub(super) fn stream_step(&mut self) {
        let topics = self.topics_of_streams();
        if topics.is_empty() {
            return;
        }
        let topic = topics[self.streams.rng.usize(0..topics.len())].clone();
        match self.streams.rng.u32(0..10) {
            0 => self.leave_stream(&topic),
            1 => self.stop_stream(&topic),
            2 => self.check_stream(&topic),
            _ => {
                let (mut request, events) = self.request(&topic);
                if self.restarts.is_some() && (request.begin.is_some() || request.end.is_some()) {
                    self.streams.keys += 1;
                    let key = format!("request {}", self.streams.keys);
                    request.key = Some(IdempotencyKey::new(&key).expect("it is a key"));
                }
                self.append(&topic, &request, events);
            }
        }
        if self.restarts.is_some() {
            self.repeat_keyed(&topic);
        }
    }

    /// Sends the requests once more that have begun and ended a stream, perhaps to another hub.
    fn repeat_keyed(&mut self, topic: &Topic) {
        let Some(latest) = self.streams.latest.get(topic) else { return };
        if self.reference.tail < self.reference.committed {
            return;
        }
        for Keyed { request, drafts, begin, end, places } in &latest.keyed {
            let again = ready(self.hub.append(topic.clone(), request, drafts.clone()));
            let again = again.expect("it was accepted before");
            assert!(again.is_duplicate, "{request:?}");
            assert_eq!((again.begin, again.end), (*begin, *end), "{request:?}");
            let published = again.published.iter().map(|published| published.sequence);
            assert_eq!(published.collect::<Vec<_>>(), *places, "{request:?}");
            self.counts.add("beginnings and ends sent again", 1);
        }
    }

    /// A request at random, often one that the stream may take.
    fn request(&mut self, topic: &Topic) -> (Append, usize) {
        let Streams { rng, latest, .. } = &mut self.streams;
        let latest = latest.get(topic);
        let is_open = latest.is_some_and(|latest| latest.end.is_none());
        let is_begin = rng.u32(0..if is_open { 12 } else { 2 }) == 0;
        let owner = latest.and_then(|latest| latest.owner);
        let producer = match owner {
            Some((epoch, seq)) if rng.u32(0..6) > 0 => match rng.u32(0..8) {
                0 => Producer::new("p", epoch.saturating_sub(1), 0),
                1 => Producer::new("p", epoch, rng.u64(0..seq + 3)),
                2 => Producer::new("p", epoch + 1, 0),
                _ => Producer::new("p", epoch, seq + 1),
            },
            None if is_begin && rng.bool() => Producer::new("p", rng.u64(0..3), 0),
            _ => None,
        };
        let notice = if rng.bool() { EndNotice::Event } else { EndNotice::Close };
        let request = Append {
            begin: is_begin.then(StreamOptions::default),
            end: (rng.u32(0..4) == 0).then_some(notice),
            producer,
            ..Append::default()
        };
        (request, rng.usize(0..4))
    }

    fn append(&mut self, topic: &Topic, request: &Append, events: usize) {
        let event = |n: u32| Event::new(format!("{n} of a stream"));
        let drafts: Vec<_> = (0..events)
            .map(|_| Draft::new(topic.clone(), event(self.streams.rng.u32(..))))
            .collect();
        let verdict = self.streams.decide(topic, request, events);
        let before = self.reference.committed;
        let appended = ready(self.hub.append(topic.clone(), request, drafts.clone()));
        let marks = match verdict {
            Ok(marks) => marks,
            Err(Verdict::Duplicate) => {
                assert!(appended.expect("it is answered").is_duplicate);
                return self.counts.add("requests of a producer sent again", 1);
            }
            Err(Verdict::Refused(why)) => {
                assert_eq!(appended.expect_err("it is refused"), PublishError::Stream(why));
                return self.counts.add("requests to streams refused", 1);
            }
        };
        let appended = appended.expect("it belongs to the stream");
        self.counts.add("requests to streams", 1);
        let mut sequence = before;
        if let Some((events, reason)) = marks.aborts {
            sequence += 1;
            self.end_committed(topic, sequence, (reason, events, EndNotice::Event));
        }
        if marks.has_mark {
            sequence += 1;
            self.reference.mark(sequence, topic.clone());
        }
        self.streams.go_on(topic);
        if marks.is_begin {
            let (begin, last, is_stopped, keyed) = (sequence, sequence, false, Vec::new());
            let (events, end, owner, turn) = (0, None, None, None);
            let latest = Latest { begin, events, last, end, is_stopped, owner, turn, keyed };
            self.streams.latest.insert(topic.clone(), latest);
            assert_eq!(appended.begin.expect("it has begun").sequence.get(), begin);
        }
        for (draft, published) in drafts.iter().zip(&appended.published) {
            sequence += 1;
            assert_eq!(published.sequence.get(), sequence, "{request:?} {marks:?}");
            self.known(draft, sequence, published.id().to_string());
            self.streams.count(topic, sequence);
        }
        let streams = &mut self.streams;
        if let Some(latest) = streams.latest.get_mut(topic) {
            latest.turn = appended.stream;
            let owner = request.producer.as_ref().map(|it| (it.epoch, it.seq));
            latest.owner = owner.or(latest.owner);
            let events = latest.events;
            if let Some((reason, notice)) = marks.end {
                sequence += 1;
                self.end_committed(topic, sequence, (reason, events, notice));
                assert_eq!(appended.end.expect("it has ended").sequence.get(), sequence);
            }
        }
        if let Some(latest) = self.streams.latest.get_mut(topic)
            && request.key.is_some()
        {
            let places = appended.published.iter().map(|published| published.sequence).collect();
            let (request, begin, end) = (request.clone(), appended.begin, appended.end);
            latest.keyed.push(Keyed { request, drafts, begin, end, places });
        }
        self.committed();
        self.observe();
    }

    /// Takes in the end of a stream.
    fn end_committed(
        &mut self,
        topic: &Topic,
        sequence: u64,
        (reason, events, notice): (StreamReason, u64, EndNotice),
    ) {
        let place = Sequence::new(sequence).expect("the hub made it");
        let told = (notice == EndNotice::Event).then(|| Known {
            topics: vec![topic.clone()],
            id: Cursor { epoch: self.reference.epoch, sequence: place }.to_string(),
            data: format!(r#"{{"reason":"{reason}","events":{events},"topic":"{topic}"}}"#),
            held: vec![true],
            superseded: vec![false],
            is_beyond: false,
            is_end: true,
            at: self.reference.now,
        });
        self.reference.end_stream(sequence, topic.clone(), told);
        if let Some(latest) = self.streams.latest.get_mut(topic) {
            latest.end = Some((sequence, reason, notice));
        }
        self.counts.add("ends of streams", 1);
    }

    fn leave_stream(&mut self, topic: &Topic) {
        let Some(latest) = self.streams.latest.get(topic) else { return };
        let Some(turn) = latest.turn.filter(|_| latest.end.is_none()) else { return };
        if self.streams.left.is_empty() || self.streams.is_left(topic) {
            self.hub.leave_stream(topic, turn);
            self.leave(topic);
        }
    }

    /// Starts the grace of a stream.
    fn leave(&mut self, topic: &Topic) {
        let until = self.reference.now + StreamOptions::GRACE;
        self.streams.go_on(topic);
        self.streams.left.push((topic.clone(), until));
    }

    fn stop_stream(&mut self, topic: &Topic) {
        let Some(latest) = self.streams.latest.get(topic) else { return };
        let is_open = latest.end.is_none() && !latest.is_stopped;
        if is_open && !self.streams.left.is_empty() && !self.streams.is_left(topic) {
            return;
        }
        ready(self.hub.stop_stream(topic, None)).expect("a stop is committed");
        if !is_open {
            return;
        }
        self.reference.mark(self.reference.committed + 1, topic.clone());
        if let Some(latest) = self.streams.latest.get_mut(topic) {
            latest.is_stopped = true;
        }
        self.leave(topic);
        self.counts.add("stops of streams", 1);
        self.committed();
        self.observe();
    }

    /// Takes in the ends of streams to which nobody came back, which the hub has committed at its tick.
    pub(super) fn end_left_streams(&mut self) {
        let now = self.reference.now;
        let (mut due, left) = self.streams.left.drain(..).partition::<Vec<_>, _>(|it| it.1 <= now);
        self.streams.left = left;
        due.retain(|(topic, until)| {
            let ended = Err(PublishError::Stream(StreamRefused::Ended));
            let event = Draft::new(topic.clone(), Event::new("x"));
            let has_ended = self.hub.check_streams(&event) == ended;
            if !has_ended {
                assert!(now <= *until + PASS, "nobody has ended {topic}");
                self.streams.left.push((topic.clone(), *until));
            }
            has_ended
        });
        if due.is_empty() {
            return;
        }
        let mut topics: Vec<_> = due.into_iter().map(|(topic, _)| topic).collect();
        if let Some((journal, _)) = &self.kept {
            let place = Sequence::new(self.reference.committed).expect("a place");
            let entries = journal.entries_after(place);
            let order = |topic: &Topic| {
                entries.iter().position(|entry| entry.topics.as_slice().contains(topic))
            };
            topics.sort_by_key(|topic| order(topic).expect("its end is committed"));
        }
        for topic in topics {
            let Some(latest) = self.streams.latest.get(&topic) else { continue };
            let reason =
                if latest.is_stopped { StreamReason::Stopped } else { StreamReason::Aborted };
            let events = latest.events;
            let sequence = self.reference.committed + 1;
            self.end_committed(&topic, sequence, (reason, events, EndNotice::Event));
            self.counts.add("streams that nobody went on with", 1);
        }
        self.committed();
        self.observe();
    }

    /// Takes in that another hub has read the streams back: nobody is connected to it, so their graces begin anew.
    pub(super) fn restart_streams(&mut self) {
        let floor = self.reference.floor;
        // Without its beginning, a stream is forgotten.
        self.streams.latest.retain(|_, latest| latest.begin > floor);
        self.streams.left.clear();
        for topic in self.topics.clone() {
            let Some(latest) = self.streams.latest.get_mut(&topic) else { continue };
            latest.turn = None;
            if latest.end.is_none() {
                self.leave(&topic);
                self.counts.add("open streams read back", 1);
            }
        }
    }

    /// Compares the state of a stream with what it should be, and the answer to readers that come back.
    fn check_stream(&mut self, topic: &Topic) {
        if self.reference.tail < self.reference.committed {
            return;
        }
        let info = self.hub.streams(&TopicFilter::from(topic.clone())).pop();
        let Some(latest) = self.streams.latest.get(topic) else {
            return assert_eq!(info, None);
        };
        let info = info.expect("it has begun");
        assert_eq!((info.begin.sequence.get(), info.events), (latest.begin, latest.events));
        let end = info.end.map(|(_, close)| (close.reason, close.events, close.notice));
        assert_eq!(end, latest.end.map(|(_, reason, notice)| (reason, latest.events, notice)));
        let over_at = latest.end.map(|(end, _, notice)| match notice {
            EndNotice::Event => end,
            EndNotice::Close => latest.last,
        });
        let view = View::from(topic.clone());
        for place in [latest.begin, latest.last, self.reference.tail] {
            let is_over = self.hub.is_stream_over(&view, Sequence::new(place).expect("a place"));
            assert_eq!(
                is_over,
                over_at.is_some_and(|over| place >= over),
                "at {place}: {latest:?}"
            );
        }
        self.counts.add("looks at streams", 1);
    }
}
