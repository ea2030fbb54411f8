//! Random events of a schedule: published, sent again, and ended.

use tidings_hub::{
    Cursor, Draft, Epoch, Event, EventId, IdempotencyKey, PublishError, Sequence, Topic, Topics,
};

use super::reference::Known;
use super::schedule::Schedule;
use crate::stepped::ready;

impl Schedule {
    pub(super) fn publish(&mut self) {
        let batch = if self.rng.u32(0..10) == 0 { self.rng.usize(2..60) } else { 1 };
        let drafts: Vec<Draft> = (0..batch).map(|_| self.draft(300)).collect();
        self.publish_drafts(drafts);
    }

    pub(super) fn publish_drafts(&mut self, drafts: Vec<Draft>) {
        let repeat = self.rng.u32(0..8) == 0;
        let mut drafts_sent = drafts.clone();
        if repeat {
            self.keys += 1;
            let key = IdempotencyKey::new(&self.keys.to_string()).unwrap();
            for (index, draft) in drafts_sent.iter_mut().enumerate() {
                *draft = draft.clone().with_idempotency_key(key.at(index as u64));
            }
        }
        let topics = || drafts.iter().flat_map(|draft| draft.topics().as_slice());
        if let Err(why) = topics().try_for_each(|topic| self.streams.check(topic)) {
            let refused = ready(self.hub.publish_all(drafts_sent)).unwrap_err();
            assert_eq!(refused, PublishError::Stream(why));
            return self.counts.add("events refused by streams", 1);
        }
        let published = ready(self.hub.publish_all(drafts_sent.clone())).unwrap();
        for (draft, published) in drafts.iter().zip(&published) {
            assert!(!published.is_duplicate);
            assert!(self.kept.is_some() || published.sequence.get() == self.reference.tail + 1);
            let sequence = published.sequence.get();
            self.known(draft, sequence, published.id().to_string());
            for topic in draft.topics().as_slice() {
                self.streams.count(topic, sequence);
            }
            if self.kept.is_none() {
                self.reference.tail = self.reference.committed;
            }
        }
        self.committed();
        if repeat {
            let again = ready(self.hub.publish_all(drafts_sent)).unwrap();
            assert!(again.iter().zip(&published).all(|(a, p)| a.is_duplicate && a.id() == p.id()));
            self.counts.add("duplicates", again.len() as u64);
        }
        let evicted = self.observe();
        match (self.limits.count, self.limits.bytes) {
            (true, false) => self.counts.add("evictions by count", evicted),
            (false, true) => self.counts.add("evictions by bytes", evicted),
            _ => {}
        }
    }

    /// Takes in an event that was committed.
    pub(super) fn known(&mut self, draft: &Draft, sequence: u64, id: String) {
        let topics = draft.topics().as_slice().to_vec();
        let known = Known {
            held: vec![true; topics.len()],
            superseded: vec![false; topics.len()],
            is_beyond: false,
            topics,
            id,
            data: draft.event().data().to_owned(),
            is_end: false,
            at: self.reference.now,
        };
        self.reference.publish(sequence, known);
    }

    pub(super) fn draft(&mut self, len_max: usize) -> Draft {
        let data = format!("{}{}", self.rng.u32(..), "x".repeat(self.rng.usize(0..len_max)));
        let mut event = Event::new(data);
        let count = if self.rng.u32(0..4) == 0 { self.rng.usize(2..4) } else { 1 };
        let topics: Vec<_> = (0..count).map(|_| self.topic()).collect();
        let with_id = if self.numbers.is_some() { 4 } else { 1 };
        if self.rng.u32(0..5) < with_id && self.has_ids {
            let id = match &mut self.numbers {
                Some(numbers) => {
                    let number = numbers.entry(topics[0].clone()).or_default();
                    *number += 1;
                    number.to_string()
                }
                None => self.given_id(),
            };
            event = event.with_id(EventId::new(id).unwrap());
            self.counts.add("publisher-given IDs", 1);
        }
        Draft::new(Topics::new(topics).unwrap(), event).with_private(self.rng.bool())
    }

    /// One of few, so that events share them; some are of another hub's making, as a relay's are.
    pub(super) fn given_id(&mut self) -> String {
        if let Some(numbers) = &self.numbers {
            let newest = numbers.values().copied().max().unwrap_or_default();
            return self.rng.u64(0..newest + 2).to_string();
        }
        match self.rng.u64(0..14) {
            foreign @ 0..4 => {
                let sequence = Sequence::new(foreign).unwrap();
                Cursor { epoch: Epoch::new(1).unwrap(), sequence }.to_string()
            }
            own => format!("given-{own}"),
        }
    }

    pub(super) fn topic(&mut self) -> Topic {
        self.topics[self.rng.usize(0..self.topics.len())].clone()
    }

    pub(super) fn end(&mut self) {
        let topic = self.topic();
        let before = self.reference.committed;
        ready(self.hub.close(topic.clone())).unwrap();
        let sequence = match &self.kept {
            Some((journal, _)) => journal.committed().get(),
            None => before + 1,
        };
        self.reference.end(sequence, topic);
        self.committed();
        self.observe();
    }
}
