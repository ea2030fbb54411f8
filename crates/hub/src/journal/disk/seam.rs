//! The journal on disk as the hub sees it.

use std::future::ready;
use std::sync::Arc;
use std::thread;

use smallvec::SmallVec;
use tidings_proto::EventId;

use super::DiskJournal;
use super::answer::answer;
use super::feed::{DiskFeed, Unopened, closed};
use super::index::NO_EVENTS;
use super::limits::count;
use super::opening::write;
use super::read::{find, page, place_before};
use super::segment::Selection;
use super::survey::{failed, refused};
use crate::cursor::Sequence;
use crate::journal::{
    Committing, Counted, DroppedEntries, Entry, Evict, Feed, Journal, JournalError, JournalFuture,
    JournalPage, NotCommitted, Opened, Outcome, PageMax, Submission, TopicSet,
};
use crate::retention::{RetentionRule, TopicLimits};
use crate::time::Now;
use crate::topic::Topic;

impl Journal for DiskJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        let mut writer = self.owner.writer.lock();
        if writer.is_some() {
            return Box::pin(ready(Err(refused("the journal", "has been opened already"))));
        }
        let (giver, answer) = answer();
        let shared = Arc::clone(&self.owner.shared);
        let thread = thread::Builder::new().name("journal-writer".into());
        match thread.spawn(move || write(&shared, giver)) {
            Ok(started) => *writer = Some(started),
            Err(error) => {
                return Box::pin(ready(Err(failed("the journal's threads", error))));
            }
        }
        Box::pin(async { answer.await.unwrap_or_else(|| Err(closed())) })
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        let submissions: SmallVec<[Submission; 1]> = batch.collect();
        let count = submissions.len();
        if count == 0 {
            return Committing::All(Vec::new());
        }
        let shared = &self.owner.shared;
        let refused = |why| Committing::All(vec![Outcome::NotCommitted(why); count]);
        if shared.broken.why().is_some() || shared.copy.is_some() {
            return refused(NotCommitted::Stopped);
        }
        match shared.queue.submit(submissions, now.time) {
            Ok(answer) => Committing::Waiting(Box::pin(async move {
                // `None` if the writer's thread ended before it gave an answer.
                answer.await.unwrap_or_else(|| vec![Outcome::Unknown; count])
            })),
            Err(why) => refused(why),
        }
    }

    /// Entries in memory are handed to the feed that asks first; a second feed reads them from files.
    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        match self.open_state() {
            Some(open) => Box::new(DiskFeed {
                fed: Arc::clone(&open.fed),
                catalog: Arc::clone(&open.catalog),
                readers: Arc::clone(&open.readers),
                after,
                reading: None,
                lost: Vec::new(),
            }),
            None => Box::new(Unopened),
        }
    }

    fn oldest(&self) -> Option<Sequence> {
        Some(Self::oldest(self))
    }

    fn older(&self) -> Option<Sequence> {
        let half = self.owner.shared.config.bytes_max / 2;
        self.open_state().map(|open| open.catalog.older(half))
    }

    fn dropped(&self) -> Option<Arc<dyn DroppedEntries>> {
        self.open_state().map(|open| open.catalog.dropped() as Arc<dyn DroppedEntries>)
    }

    fn newest(&self, bytes: usize) -> Sequence {
        self.open_state().map_or(Sequence::ZERO, |open| open.catalog.newest(bytes as u64))
    }

    fn tail(&self) -> JournalFuture<'static, Result<Sequence, JournalError>> {
        Box::pin(ready(self.open_state().map(|open| open.catalog.tail()).ok_or_else(closed)))
    }

    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let catalog = Arc::clone(&open.catalog);
        let answer = open.readers.ask(move || page(&catalog, selection(&topics), after, max));
        Box::pin(async {
            let page = answer.await.ok_or_else(closed)?;
            page.map_err(|error| failed("the journal", error))
        })
    }

    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        self.read(TopicSet::Topics(Arc::new([NO_EVENTS])), after, max)
    }

    fn find(
        &self,
        id: &EventId,
        after: Sequence,
    ) -> JournalFuture<'static, Result<Option<Entry>, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let (catalog, id) = (Arc::clone(&open.catalog), id.clone());
        let answer = open.readers.ask(move || find(&catalog, &id, after));
        Box::pin(async {
            let found = answer.await.ok_or_else(closed)?;
            found.map_err(|error| failed("the journal", error))
        })
    }

    fn place_before(
        &self,
        topics: TopicSet,
        through: Sequence,
        entries: usize,
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let catalog = Arc::clone(&open.catalog);
        let answer =
            open.readers.ask(move || place_before(&catalog, selection(&topics), through, entries));
        Box::pin(async {
            let place = answer.await.ok_or_else(closed)?;
            place.map_err(|error| failed("the journal", error))
        })
    }

    fn retain(&self, rules: &[RetentionRule]) {
        if let Some(open) = self.open_state() {
            open.catalog.set_rules(rules);
        }
    }

    fn count(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        through: Sequence,
    ) -> JournalFuture<'static, Result<Counted, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let (catalog, topic) = (Arc::clone(&open.catalog), topic.clone());
        let limits = limits.clone();
        let answer = open.readers.ask(move || count(&catalog, &topic, &limits, through));
        Box::pin(async {
            let counted = answer.await.ok_or_else(closed)?;
            counted.map_err(|error| failed("the journal", error))
        })
    }

    fn free(&self, topic: &Topic, last: Sequence, through: Sequence) -> bool {
        self.open_state().is_some_and(|open| open.catalog.free(topic, last, through))
    }

    /// The index of the newest segment and the submissions that wait to be written are not counted: they
    /// have limits of their own.
    fn bytes(&self) -> usize {
        self.owner.shared.tally.keys_bytes()
    }

    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        let answer = self.owner.shared.queue.evict(what);
        Box::pin(async { answer.await.unwrap_or_else(|| Err(closed())) })
    }
}

fn selection(topics: &TopicSet) -> Selection<'_> {
    match topics {
        TopicSet::All => Selection::All,
        TopicSet::Topics(topics) => Selection::Topics(topics),
    }
}
