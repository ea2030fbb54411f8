//! Reading streams back when the hub is opened.

use std::collections::HashSet;
use std::sync::Arc;

use crate::cursor::Sequence;
use crate::hub::Hub;
use crate::journal::{Content, Entry, JournalError, PageMax, TopicSet};
use crate::streams::{SharedStreams, StreamMark, StreamState};
use crate::time::Time;
use crate::topic::Topic;

/// The most that is read back at once: entries, and bytes.
const PAGE: (usize, usize) = (1024, 1024 * 1024);

/// Streams that are being read back.
struct Restoring {
    /// Entries after this are fed later.
    from: Sequence,
    /// The wall clock's time, and the hub's steady clock.
    now: (Time, u64),
    /// The topics whose events are to be counted.
    counted: Vec<Topic>,
    /// The topics whose streams are known from what was told of them, and the place as of which the first one was
    /// told: their marks are applied from there on, once all of them are known.
    told: HashSet<Topic>,
    told_after: Sequence,
}

impl Hub {
    /// Reads back the streams that began before the newest entries, which history is filled with, from a journal with a
    /// newest entry.
    pub(crate) async fn restore_streams(&self, newest: Sequence) -> Result<(), JournalError> {
        if newest == Sequence::ZERO {
            return Ok(());
        }
        // If it is zero, all is fed from its beginning on, but events that marks count may be gone.
        let from = self.read().tail();
        let now = (self.time(), self.clock().uptime());
        let mut restoring = Restoring {
            from,
            now,
            counted: Vec::new(),
            told: HashSet::new(),
            told_after: Sequence::MAX,
        };
        // Streams may have been told again among the newest entries as well.
        self.read_marks(Sequence::ZERO, |entry| restoring.apply(self, entry)).await?;
        if !restoring.told.is_empty() {
            self.read_marks(restoring.told_after, |entry| restoring.apply_since(self, entry))
                .await?;
        }
        let Restoring { from, now, mut counted, .. } = restoring;
        counted.sort_unstable_by(|one: &Topic, other| one.as_str().cmp(other.as_str()));
        counted.dedup();
        for topic in counted {
            self.recount(&topic, from, now.0).await?;
        }
        Ok(())
    }

    /// Reads the marks of streams after a place.
    async fn read_marks(
        &self,
        mut after: Sequence,
        mut visit: impl FnMut(Entry),
    ) -> Result<(), JournalError> {
        loop {
            let page = self.journal().marks(after, PageMax::new(PAGE.0, PAGE.1)).await?;
            page.entries.into_iter().for_each(&mut visit);
            if page.through <= after {
                return Ok(());
            }
            after = page.through;
        }
    }

    /// Counts the events of a stream whose marks alone were read back.
    async fn recount(
        &self,
        topic: &Topic,
        from: Sequence,
        opened_at: Time,
    ) -> Result<(), JournalError> {
        let shared = self.streams_of_topics();
        let now = self.clock().uptime();
        let begun = shared.lock().streams.begin_recount(topic, (from, now));
        let Some((begin, mut counted, through)) = begun else { return Ok(()) };
        let count = |event: &Entry| counted.count(event.sequence, event.time);
        self.read_events(topic, (begin, through), count).await?;
        let streams = &mut shared.lock().streams;
        let is_after_marks = streams.take_counted(topic, counted, (opened_at, now));
        if is_after_marks && shared.is_told() {
            streams.go_on(topic);
        }
        Ok(())
    }

    /// Reads the events of a topic that the journal keeps, after a place and up to another one.
    async fn read_events(
        &self,
        topic: &Topic,
        (mut after, through): (Sequence, Sequence),
        mut visit: impl FnMut(&Entry),
    ) -> Result<(), JournalError> {
        let topics = TopicSet::Topics(Arc::new([topic.clone()]));
        let is_event = |entry: &Entry| matches!(entry.content, Content::Event(_));
        while after < through {
            let page =
                self.journal().read(topics.clone(), after, PageMax::new(PAGE.0, PAGE.1)).await?;
            let entries = page.entries.iter().take_while(|entry| entry.sequence <= through);
            entries.filter(|entry| is_event(entry)).for_each(&mut visit);
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(())
    }
}

impl Restoring {
    /// Applies a mark.
    fn apply(&mut self, hub: &Hub, mut entry: Entry) {
        let Content::Stream(mark) = &entry.content else { return };
        let Some(topic) = entry.topics.as_slice().first().cloned() else { return };
        if self.told.contains(&topic) {
            return;
        }
        let shared = hub.streams_of_topics();
        if let StreamMark::Told(state) = mark {
            if self.apply_told(shared, &topic, (state, entry.sequence, entry.time)) {
                self.told_after = self.told_after.min(state.last);
                self.told.insert(topic.clone());
            }
            self.counted.push(topic);
            return;
        }
        if entry.sequence > self.from {
            return;
        }
        if let StreamMark::Begin(_) = mark {
            self.counted.push(topic);
        }
        self.apply_mark(shared, &mut entry);
    }

    /// Applies a mark of a stream that was told, if it came after that.
    fn apply_since(&mut self, hub: &Hub, mut entry: Entry) {
        let Some(topic) = entry.topics.as_slice().first() else { return };
        let shared = hub.streams_of_topics();
        let has_applied = shared.lock().streams.has_applied(topic, entry.sequence);
        if !self.told.contains(topic) || has_applied {
            return;
        }
        match &entry.content {
            // It may be fed later, but it counts events before it that may be gone.
            Content::Stream(StreamMark::Told(state)) => {
                self.apply_told(shared, topic, (state, entry.sequence, entry.time));
            }
            _ if entry.sequence <= self.from => self.apply_mark(shared, &mut entry),
            _ => {}
        }
    }

    /// Applies a state that was told, and returns whether it is that of a stream from here on.
    fn apply_told(
        &self,
        shared: &SharedStreams,
        topic: &Topic,
        told: (&StreamState, Sequence, Time),
    ) -> bool {
        let streams = &mut shared.lock_to_use().streams;
        streams.restore_told(topic, told, self.now, shared.is_told())
    }

    fn apply_mark(&self, shared: &SharedStreams, entry: &mut Entry) {
        let (opened_at, now) = self.now;
        let streams = &mut shared.lock_to_use().streams;
        match shared.is_told() {
            true => streams.restore_decided(entry, opened_at, now),
            false => streams.restore(entry, opened_at, now),
        }
    }
}
