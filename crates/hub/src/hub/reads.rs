//! Reads: look-ups in the journal for readers whose place history does not hold.
//!
//! A reader that is behind asks for a page and goes away; it is called when the page is there. Pages lie
//! in a cache, bounded together and shared by readers that stand at the same place. The hub's driver polls
//! the journal's futures, in the order in which readers asked: none of them can be overtaken by readers that
//! ask later, however many there are.

mod failures;
mod jobs;
mod pages;
mod source;

use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use self::failures::Failures;
use self::jobs::{Answer, Counting, Job, Jobs, PAGE_MAX, Queued, Running};
use self::pages::{Line, Pages, Place};
pub(super) use self::source::Source;
use super::locating::Locating;
use super::ticket::{Ticket, Wait, call_all};
use crate::cursor::Sequence;
use crate::history::{KeptPage, Patience, Uncounted};
use crate::journal::JournalError;
use crate::time::Time;

/// The journal's reads for one hub.
pub(crate) struct Reads {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    pages: Pages,
    jobs: Jobs,
    running: Vec<Running>,
    in_flight: usize,
    failures: Failures,
    /// Jobs that failed, for the next tick.
    failed: Vec<Queued>,
    /// True while the journal is dropping entries.
    is_evicting: bool,
    driver: Option<Waker>,
}

/// Reads under way at the same time: enough to keep a disk and a network busy.
const IN_FLIGHT_MAX: usize = 8;
/// Answers taken before others have their turn, above all the feed: making a page of one takes some hundreds of
/// microseconds.
const ANSWERS_OF_A_TURN: usize = 1;

/// A reader's ticket, kept by the reader, and how the reader can be woken now.
pub(crate) struct Waiting<'a> {
    pub(crate) ticket: &'a mut Option<Arc<Ticket>>,
    /// The newest entry of history.
    pub(crate) tail: Sequence,
    pub(crate) wait: Wait<'a>,
}

impl Waiting<'_> {
    /// Gives the reader a new ticket; `None` if it stands in a line already, where it is called in any case,
    /// or does not wait at all.
    fn renew(&mut self) -> Option<Arc<Ticket>> {
        if self.ticket.as_ref().is_some_and(|ticket| ticket.waits(self.wait)) {
            return None;
        }
        *self.ticket = Ticket::after(self.ticket.as_deref(), self.tail, self.wait);
        self.ticket.clone()
    }
}

impl Reads {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    /// The page that continues after a place, or, without one, a promise to call the reader.
    pub(crate) fn page(
        &self,
        place: Place,
        released: Sequence,
        mut waiting: Waiting<'_>,
    ) -> Option<Arc<KeptPage>> {
        let mut state = self.state.lock();
        let patience = waiting.ticket.as_ref().map_or(Patience::Patient, |it| it.patience());
        let found = state.pages.find(&place, released, patience);
        let is_asked = if found.is_some() {
            *waiting.ticket = None;
            false
        } else if let Some(ticket) = waiting.renew() {
            let is_first = state.pages.stand_in_line(&place, &ticket);
            if is_first {
                state.push(Job::Page(place));
            }
            is_first
        } else {
            false
        };
        let driver = if is_asked { state.driver.take() } else { None };
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        found
    }

    /// Forgets the pages that have been read. Readers that come for them ask again.
    pub(super) fn forget_pages(&self) {
        self.state.lock().pages.forget_all();
    }

    /// Bytes of the pages that have been read.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().pages.bytes()
    }

    /// Returns whether the journal could not be read when that was last tried.
    pub(crate) fn is_failing(&self) -> bool {
        self.state.lock().failures.is_failing()
    }

    /// Begins a look for a place.
    pub(crate) fn locate(&self, locating: &Locating) {
        self.ask(Job::Locate(locating.clone(), Sequence::ZERO));
    }

    /// Asks the journal to count the entries of topics with a limit, up to the newest one of history. The reader is called
    /// when all have been counted.
    pub(crate) fn count(&self, topics: Vec<Uncounted>, mut waiting: Waiting<'_>) {
        let through = waiting.tail;
        let Some(ticket) = waiting.renew() else { return };
        let counting = Counting { topics, through, ticket: Arc::downgrade(&ticket) };
        self.ask(Job::Count(Box::new(counting)));
    }

    /// Makes the journal drop everything up to a place.
    pub(super) fn evict(&self, through: Sequence) {
        // One at a time: the next tick asks again for what is left.
        if !mem::replace(&mut self.state.lock().is_evicting, true) {
            self.ask(Job::Evict(through));
        }
    }

    /// Puts a job at the end of the line, and wakes the driver.
    fn ask(&self, job: Job) {
        let driver = {
            let mut state = self.state.lock();
            state.push(job);
            state.driver.take()
        };
        driver.into_iter().for_each(Waker::wake);
    }

    /// The newest entry of the cached pages that was committed before a time.
    pub(super) fn newest_before(&self, time: Time) -> Option<Sequence> {
        self.state.lock().pages.newest_before(time)
    }

    /// Lets the driver try the failed jobs again.
    pub(super) fn try_again(&self) {
        let driver = {
            let mut state = self.state.lock();
            let failed = mem::take(&mut state.failed);
            if failed.is_empty() {
                return;
            }
            failed.into_iter().rev().for_each(|job| state.jobs.put_back(job));
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
            let next = self.state.lock().next_jobs(self.bytes_max, source.uptime);
            let has_started = !next.is_empty();
            running.extend(next.into_iter().filter_map(|queued| self.start(source, queued)));
            let mut done = Vec::new();
            let mut under_way = Vec::with_capacity(running.len());
            for mut read in running {
                if done.len() == answers_left {
                    under_way.push(read);
                    continue;
                }
                match read.future.as_mut().poll(cx) {
                    Poll::Ready(answer) => done.push((read.queued, answer)),
                    Poll::Pending => under_way.push(read),
                }
            }
            running = under_way;
            if done.is_empty() && !has_started {
                break;
            }
            answers_left -= done.len();
            for (queued, answer) in done {
                self.state.lock().in_flight -= 1;
                match answer {
                    Ok(answer) => self.take(source, queued, answer),
                    Err(error) => self.fail(queued, &error, source.uptime),
                }
            }
            if answers_left == 0 {
                // Those that were not asked are asked again then.
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.state.lock().running.append(&mut running);
    }

    /// Asks the journal to do a job. No lock is held: the journal's answer may be there at once.
    fn start(&self, source: Source<'_>, mut queued: Queued) -> Option<Running> {
        if let Some(future) = queued.job.start(source) {
            return Some(Running { queued, future });
        }
        let mut state = self.state.lock();
        state.in_flight -= 1;
        state.settle(&queued);
        drop(state);
        if let Job::Count(counting) = queued.job {
            call_all(counting.ticket.upgrade());
        }
        None
    }

    /// Keeps a failed job for the next tick. Its readers are called once: some have other ways to go on.
    fn fail(&self, mut queued: Queued, error: &JournalError, now: u64) {
        let mut state = self.state.lock();
        let is_first = !mem::replace(&mut queued.has_failed, true);
        let is_told = is_first && state.failures.begin(now);
        let line = match &queued.job {
            Job::Page(place) if is_first => state.pages.take_line(place),
            _ => Line::new(),
        };
        state.failed.push(queued);
        drop(state);
        if is_told {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "journal cannot be read; readers behind memory wait until it can"
            );
        }
        call_all(line.iter().filter_map(Weak::upgrade));
    }

    fn take(&self, source: Source<'_>, queued: Queued, answer: Answer) {
        self.state.lock().settle(&queued);
        match (queued.job, answer) {
            (Job::Page(place), Answer::Page(page, as_of)) => {
                let page = source.check(place.1, page);
                let page = Arc::new(source.history.read().kept_page(page, as_of, &place.0));
                let limits = (self.bytes_max, source.uptime);
                let line = self.state.lock().pages.keep(place, page, limits);
                call_all(line.iter().filter_map(Weak::upgrade));
            }
            (Job::Locate(locating, _), Answer::Place(place)) => {
                locating.note_place(place, source.history);
            }
            (Job::Locate(locating, _), Answer::Found(found)) => {
                if let Some(after) = locating.note(found) {
                    self.state.lock().push(Job::Locate(locating, after));
                }
            }
            (Job::Locate(locating, _), Answer::Count(counted)) => {
                locating.note_place(counted.beyond, source.history);
            }
            (Job::Count(mut counting), Answer::Count(counted)) => {
                if let Some(topic) = counting.topics.pop() {
                    source.history.write().note_count(&topic, counting.through, counted);
                }
                // For the next topic, once the others have had their turn.
                self.state.lock().push(Job::Count(counting));
            }
            (Job::Evict(_), Answer::Done) => self.state.lock().is_evicting = false,
            _ => unreachable!("a job has an answer of its kind"),
        }
    }
}

impl State {
    /// Puts a job at the end of the line.
    fn push(&mut self, job: Job) {
        let Self { jobs, pages, failures, .. } = self;
        jobs.push(Queued::new(job), pages, failures);
    }

    /// Takes the next jobs that may be under way at the same time.
    fn next_jobs(&mut self, bytes_max: usize, now: u64) -> Vec<Queued> {
        let mut next = Vec::new();
        while self.in_flight < IN_FLIGHT_MAX
            && let Some(queued) = self.jobs.next(&mut self.pages, &mut self.failures)
        {
            if matches!(queued.job, Job::Page(_)) && !self.has_room(bytes_max, now) {
                self.jobs.put_back(queued);
                break;
            }
            self.in_flight += 1;
            next.push(queued);
        }
        next
    }

    /// Makes room for one more page. One is read at a time, however small the bound, and however many wait
    /// for their readers.
    fn has_room(&mut self, bytes_max: usize, now: u64) -> bool {
        let bytes = (self.in_flight + 1) * PAGE_MAX.1;
        self.pages.make_room(bytes, bytes_max, now) || self.in_flight == 0
    }

    /// Notes that a job which may have failed before has succeeded.
    fn settle(&mut self, queued: &Queued) {
        if queued.has_failed && self.failures.end() {
            tracing::info!("journal can be read again");
        }
    }
}
