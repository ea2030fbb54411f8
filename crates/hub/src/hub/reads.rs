//! Reads: look-ups in the journal for readers whose place history does not hold.
//!
//! A reader that is behind asks for a page and goes away; it is woken when the page is there. Pages lie
//! in a cache, bounded together and shared by readers that stand at the same place; a page that is not
//! used makes room for others and is read again if need be. No reader holds a page while it waits. The
//! hub's driver polls the journal's futures, in the order in which readers asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future, ready};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, RwLock};
use tidings_proto::EventId;

use super::locating::{Locating, Wanted};
use super::waiter::{Wait, Waiter, wake_all};
use crate::cursor::{Epoch, Sequence};
use crate::history::{History, KeptPage};
use crate::journal::{Entry, Evict, Journal, JournalError, JournalPage, PageMax, TopicSet};
use crate::time::Time;
use crate::topic::Topic;

/// The journal's reads for one hub.
pub(crate) struct Reads {
    state: Mutex<State>,
    bytes_max: usize,
    has_failed: AtomicBool,
}

/// Everything that reads are made with.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) epoch: Epoch,
    pub(super) journal: &'a dyn Journal,
    pub(super) history: &'a RwLock<History>,
    /// Entries that were committed before this time are too old.
    pub(super) expired_before: Option<Time>,
    /// The hub's steady clock, in milliseconds.
    pub(super) uptime: u64,
}

#[derive(Default)]
struct State {
    pages: HashMap<TopicSet, BTreeMap<Sequence, Page>>,
    /// Pages that have been read, by their latest use.
    uses: BTreeMap<u64, Place>,
    next_use: u64,
    /// Bytes of the pages that have been read.
    bytes: usize,
    /// Topics whose entries are being counted, with the readers that wait for it.
    counts: HashMap<Topic, Vec<Waiter>>,
    queue: VecDeque<Job>,
    running: Vec<Running>,
    in_flight: usize,
    /// Jobs that failed, for the next tick.
    failed: Vec<Job>,
    /// True while the journal is dropping entries.
    is_evicting: bool,
    driver: Option<Waker>,
}

type Place = (TopicSet, Sequence);

enum Page {
    Asked(Vec<Waiter>),
    Read { page: Arc<KeptPage>, used: u64 },
}

#[derive(Clone)]
enum Job {
    Page(Place),
    /// A look for a place, or for an event ID from a place on.
    Locate(Locating, Sequence),
    /// A look for a topic's newest entry beyond so many, up to a place.
    Count {
        topic: Topic,
        through: Sequence,
        events_max: usize,
    },
    /// Dropping entries that may no longer be read.
    Evict(Sequence),
}

struct Running {
    job: Job,
    future: Pin<Box<dyn Future<Output = Result<Answer, JournalError>> + Send>>,
}

enum Answer {
    Page(JournalPage),
    Found(Option<Entry>),
    Place(Option<Sequence>),
    Done,
}

/// Size of a page: less than a millisecond of work for the journal and for the hub.
const PAGE_MAX: (usize, usize) = (2048, 256 * 1024);
/// Reads under way at the same time: enough to keep a disk and a network busy.
const IN_FLIGHT_MAX: usize = 8;
/// Answers taken before others have their turn.
const ANSWERS_OF_A_TURN: usize = 4;
/// Maximum number of jobs that wait. Beyond it, the readers of the oldest job are woken, and ask again if
/// they are still there.
const QUEUE_MAX: usize = 16 * 1024;

impl Reads {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max, has_failed: AtomicBool::new(false) }
    }

    /// The page that continues after a place, or, without one, a promise to wake the waiter.
    pub(crate) fn page(
        &self,
        topics: TopicSet,
        after: Sequence,
        wait: Wait<'_>,
    ) -> Option<Arc<KeptPage>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let near = state.pages.get_mut(&topics).and_then(|list| {
            let (from, page) = list.range_mut(..=after).next_back()?;
            Some((*from, page))
        });
        match near {
            Some((_, Page::Read { page, used })) if page.through() > after => {
                if let Some(place) = state.uses.remove(used) {
                    *used = state.next_use;
                    state.uses.insert(state.next_use, place);
                    state.next_use += 1;
                }
                return Some(Arc::clone(page));
            }
            Some((from, Page::Asked(waiters))) if from == after => {
                wait.join(waiters);
                return None;
            }
            _ => {}
        }
        let mut waiters = Vec::new();
        if wait.join(&mut waiters) {
            let place = (topics, after);
            state.pages.entry(place.0.clone()).or_default().insert(after, Page::Asked(waiters));
            let (displaced, driver) = state.push(Job::Page(place));
            driver.into_iter().for_each(Waker::wake);
            wake_all(displaced);
        }
        None
    }

    /// Bytes of the pages that have been read.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Begins a look for a place.
    pub(crate) fn locate(&self, locating: &Locating) {
        let (displaced, driver) =
            self.state.lock().push(Job::Locate(locating.clone(), Sequence::ZERO));
        driver.into_iter().for_each(Waker::wake);
        wake_all(displaced);
    }

    /// Asks the journal to count the entries of topics whose limit is `events_max`. The waiter is woken
    /// when the first topic has been counted.
    pub(crate) fn count(
        &self,
        topics: Vec<Topic>,
        (through, events_max): (Sequence, usize),
        wait: Wait<'_>,
    ) {
        let mut drivers = Vec::new();
        let mut all_displaced = Vec::new();
        {
            let mut state = self.state.lock();
            for topic in topics {
                if let Some(waiters) = state.counts.get_mut(&topic) {
                    wait.join(waiters);
                    continue;
                }
                let mut waiters = Vec::new();
                if wait.join(&mut waiters) {
                    state.counts.insert(topic.clone(), waiters);
                    let (displaced, driver) = state.push(Job::Count { topic, through, events_max });
                    all_displaced.extend(displaced);
                    drivers.extend(driver);
                }
            }
        }
        drivers.into_iter().for_each(Waker::wake);
        wake_all(all_displaced);
    }

    /// Makes the journal drop everything up to a place.
    pub(super) fn evict(&self, through: Sequence) {
        let mut state = self.state.lock();
        // One at a time: the next tick asks again for what is left.
        if mem::replace(&mut state.is_evicting, true) {
            return;
        }
        let (displaced, driver) = state.push(Job::Evict(through));
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        wake_all(displaced);
    }

    /// The newest entry of the cached pages that was committed before a time.
    pub(super) fn newest_before(&self, time: Time) -> Option<Sequence> {
        let state = self.state.lock();
        let pages = state.pages.values().flat_map(BTreeMap::values);
        let newest = pages.filter_map(|page| match page {
            Page::Read { page, .. } => page.newest_before(time),
            Page::Asked(_) => None,
        });
        newest.max()
    }

    /// Queues the failed jobs again.
    pub(super) fn try_again(&self) {
        let driver = {
            let mut state = self.state.lock();
            let failed = mem::take(&mut state.failed);
            if failed.is_empty() {
                return;
            }
            failed.into_iter().rev().for_each(|job| state.queue.push_front(job));
            state.driver.take()
        };
        driver.into_iter().for_each(Waker::wake);
    }

    /// Starts reads, polls those under way, and hands out their answers.
    pub(super) fn poll(&self, source: Source<'_>, cx: &mut Context<'_>) {
        let mut answers_left = ANSWERS_OF_A_TURN;
        let mut running = {
            let mut state = self.state.lock();
            match &mut state.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            mem::take(&mut state.running)
        };
        loop {
            let has_started = {
                let mut state = self.state.lock();
                state.start(source.journal, self.bytes_max);
                let has_started = !state.running.is_empty();
                running.append(&mut state.running);
                has_started
            };
            let mut done = Vec::new();
            let mut under_way = Vec::with_capacity(running.len());
            for mut read in running {
                match read.future.as_mut().poll(cx) {
                    Poll::Ready(answer) => done.push((read.job, answer)),
                    Poll::Pending => under_way.push(read),
                }
            }
            running = under_way;
            if done.is_empty() && !has_started {
                break;
            }
            answers_left = answers_left.saturating_sub(done.len());
            for (job, answer) in done {
                self.state.lock().in_flight -= 1;
                self.take(source, job, answer);
            }
            if answers_left == 0 {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.state.lock().running.append(&mut running);
    }

    fn take(&self, source: Source<'_>, job: Job, answer: Result<Answer, JournalError>) {
        match (job, answer) {
            (job, Err(error)) => {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "journal cannot be read; readers behind memory wait until it can"
                    );
                }
                self.state.lock().failed.push(job);
                return;
            }
            (Job::Page(place), Ok(Answer::Page(page))) => {
                let page = source.check(place.1, page);
                let page = Arc::new(KeptPage::new(page, source.epoch));
                let waiters = self.state.lock().keep(place, page);
                wake_all(waiters);
            }
            (Job::Locate(locating, _), Ok(Answer::Place(place))) => locating.note_place(place),
            (Job::Locate(locating, _), Ok(Answer::Found(found))) => {
                if let Some(after) = locating.note(found) {
                    self.state.lock().queue.push_back(Job::Locate(locating, after));
                }
            }
            (Job::Count { topic, through, .. }, Ok(Answer::Place(before))) => {
                let beyond = before.map(Sequence::next);
                source.history.write().note_count(&topic, through, (beyond, source.uptime));
                let waiters = self.state.lock().counts.remove(&topic);
                wake_all(waiters.unwrap_or_default());
            }
            (Job::Evict(_), Ok(Answer::Done)) => self.state.lock().is_evicting = false,
            (_, Ok(_)) => unreachable!("a job has an answer of its kind"),
        }
        self.has_failed.store(false, Ordering::Relaxed);
    }
}

impl Source<'_> {
    /// Notes the place before the oldest entry that the journal keeps.
    pub(super) fn note_oldest(&self) {
        if let Some(oldest) = self.journal.oldest()
            && self.history.read().floor() < oldest
        {
            self.history.write().raise_floor(oldest);
        }
    }

    /// Notes the losses that a page reports, so that the readers concerned are told before they read it.
    fn check(&self, after: Sequence, mut page: JournalPage) -> JournalPage {
        self.note_oldest();
        if let Some(time) = self.expired_before {
            let old = page.entries.iter().take_while(|entry| entry.time < time).last();
            if let Some(old) = old {
                self.history.write().raise_floor(old.sequence);
            }
        }
        for lost in &page.lost {
            self.history.write().lose(lost.last);
        }
        if page.through <= after {
            // The journal has none of the entries that the history has let go of.
            let mut history = self.history.write();
            page.through = history.tail().max(after.next());
            history.lose(page.through);
        }
        page
    }
}

impl State {
    /// Queues a job. Returns the waiters of a job that was displaced, and the driver, all to be woken.
    fn push(&mut self, job: Job) -> (Vec<Waiter>, Option<Waker>) {
        let mut displaced = Vec::new();
        if self.queue.len() >= QUEUE_MAX {
            match self.queue.pop_front() {
                Some(Job::Page(place)) => displaced = self.forget(&place),
                Some(Job::Count { topic, .. }) => {
                    displaced = self.counts.remove(&topic).unwrap_or_default();
                }
                // A look for an ID has one reader, which has no other way to go on.
                Some(job @ (Job::Locate(..) | Job::Evict(_))) => self.queue.push_back(job),
                None => {}
            }
        }
        self.queue.push_back(job);
        (displaced, self.driver.take())
    }

    fn start(&mut self, journal: &dyn Journal, bytes_max: usize) {
        while self.in_flight < IN_FLIGHT_MAX
            && let Some(job) = self.queue.pop_front()
        {
            let future: Pin<Box<dyn Future<Output = _> + Send>> = match &job {
                Job::Page((topics, after)) => {
                    if !self.make_room(bytes_max) {
                        self.queue.push_front(job);
                        return;
                    }
                    let max = PageMax::new(PAGE_MAX.0, PAGE_MAX.1);
                    let page = journal.read(topics.clone(), *after, max);
                    Box::pin(async { page.await.map(Answer::Page) })
                }
                Job::Locate(locating, _) if locating.is_abandoned() => continue,
                Job::Locate(locating, after) => match locating.wanted() {
                    Wanted::Given { id, .. } => match EventId::new(&**id) {
                        Ok(id) => {
                            let found = journal.find(&id, *after);
                            Box::pin(async { found.await.map(Answer::Found) })
                        }
                        // No event has such an ID.
                        Err(_) => Box::pin(ready(Ok(Answer::Found(None)))),
                    },
                    Wanted::Spelled { .. } => {
                        let tail = journal.tail();
                        Box::pin(async { tail.await.map(|tail| Answer::Place(Some(tail))) })
                    }
                    Wanted::Before { topics, through, entries } => {
                        let place = journal.place_before(topics.clone(), *through, *entries);
                        Box::pin(async { place.await.map(Answer::Place) })
                    }
                },
                Job::Count { topic, through, events_max } => {
                    let topics = TopicSet::Topics(Arc::new([topic.clone()]));
                    let place = journal.place_before(topics, *through, *events_max + 1);
                    Box::pin(async { place.await.map(Answer::Place) })
                }
                Job::Evict(through) => {
                    let done = journal.evict(Evict::Through(*through));
                    Box::pin(async { done.await.map(|()| Answer::Done) })
                }
            };
            self.in_flight += 1;
            self.running.push(Running { job, future });
        }
    }

    /// Makes room for one more page. The pages used longest ago go first.
    fn make_room(&mut self, bytes_max: usize) -> bool {
        let under_way = self.in_flight * PAGE_MAX.1;
        while self.bytes + under_way + PAGE_MAX.1 > bytes_max {
            let Some((_, place)) = self.uses.pop_first() else {
                // One is read at a time, however small the bound.
                return self.in_flight == 0;
            };
            self.forget(&place);
        }
        true
    }

    /// Forgets a page; returns the waiters for it.
    fn forget(&mut self, (topics, after): &Place) -> Vec<Waiter> {
        let Some(list) = self.pages.get_mut(topics) else { return Vec::new() };
        let page = list.remove(after);
        if list.is_empty() {
            self.pages.remove(topics);
        }
        match page {
            Some(Page::Asked(waiters)) => waiters,
            Some(Page::Read { page, used }) => {
                self.bytes -= page.cost();
                self.uses.remove(&used);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Keeps a page that has been read; returns the waiters for it.
    fn keep(&mut self, place: Place, page: Arc<KeptPage>) -> Vec<Waiter> {
        let waiters = self.forget(&place);
        let used = self.next_use;
        self.next_use += 1;
        self.bytes += page.cost();
        self.pages.entry(place.0.clone()).or_default().insert(place.1, Page::Read { page, used });
        self.uses.insert(used, place);
        waiters
    }
}
