//! Jobs: what the journal is asked to do, in the order in which readers asked.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Weak;

use tidings_proto::EventId;

use super::failures::Failures;
use super::pages::{Pages, Place};
use super::source::Source;
use crate::cursor::Sequence;
use crate::history::{AsOf, Uncounted};
use crate::hub::locating::{Locating, Wanted};
use crate::hub::ticket::Ticket;
use crate::journal::{Counted, Entry, Evict, JournalError, JournalPage, PageMax};

/// Something that the journal is asked to do.
pub(super) enum Job {
    Page(Place),
    /// A look for a place, or for an event ID from a place on.
    Locate(Locating, Sequence),
    Count(Box<Counting>),
    /// Dropping entries that may no longer be read.
    Evict(Sequence),
}

/// Counts the events of each of a reader's topics, one topic at a time.
pub(super) struct Counting {
    /// Topics to be counted, with their limits; the last is next.
    pub(super) topics: Vec<Uncounted>,
    /// The place up to which events are counted.
    pub(super) through: Sequence,
    pub(super) ticket: Weak<Ticket>,
}

/// A job in line.
pub(super) struct Queued {
    pub(super) job: Job,
    /// True if it was tried, and failed.
    pub(super) has_failed: bool,
}

/// A job that the journal is doing.
pub(super) struct Running {
    pub(super) queued: Queued,
    pub(super) future: Reading,
}

/// An answer of the journal on its way.
pub(super) type Reading = Pin<Box<dyn Future<Output = Result<Answer, JournalError>> + Send>>;

pub(super) enum Answer {
    /// A page, and the moment when it was asked for.
    Page(JournalPage, AsOf),
    Found(Option<Entry>),
    Place(Option<Sequence>),
    Count(Counted),
    Done,
}

/// The jobs that wait. Their number has no limit of its own: each is that of a reader that is there, and a
/// reader has one at a time.
pub(super) struct Jobs {
    queue: VecDeque<Queued>,
    /// The number of jobs at which those whose readers have left are dropped.
    prune_at: usize,
}

/// Size of a page: less than a millisecond of work for the journal and for the hub.
pub(super) const PAGE_MAX: (usize, usize) = (2048, 256 * 1024);
/// Number of jobs below which those whose readers have left are dropped one by one, when their turn comes.
const PRUNE_MIN: usize = 1024;

impl Default for Jobs {
    fn default() -> Self {
        Self { queue: VecDeque::new(), prune_at: PRUNE_MIN }
    }
}

impl Jobs {
    /// Puts a job at the end of the line. When the line has doubled, the jobs whose readers have left are
    /// dropped from it.
    pub(super) fn push(&mut self, queued: Queued, pages: &mut Pages, failures: &mut Failures) {
        if self.queue.len() >= self.prune_at {
            self.queue.retain(|queued| !queued.is_dropped(pages, failures));
            self.prune_at = (2 * self.queue.len()).max(PRUNE_MIN);
        }
        self.queue.push_back(queued);
    }

    /// Puts a job back to where it was taken from, or before all others.
    pub(super) fn put_back(&mut self, queued: Queued) {
        self.queue.push_front(queued);
    }

    /// Takes the first job whose readers are still there.
    pub(super) fn next(&mut self, pages: &mut Pages, failures: &mut Failures) -> Option<Queued> {
        loop {
            let queued = self.queue.pop_front()?;
            if !queued.is_dropped(pages, failures) {
                return Some(queued);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Queued {
    pub(super) fn new(job: Job) -> Self {
        Self { job, has_failed: false }
    }

    /// Drops what belongs to the job if nobody waits for it any more.
    fn is_dropped(&self, pages: &mut Pages, failures: &mut Failures) -> bool {
        let is_abandoned = match &self.job {
            Job::Page(place) => pages.is_abandoned(place),
            Job::Locate(locating, _) => locating.is_abandoned(),
            Job::Count(counting) => counting.ticket.strong_count() == 0,
            Job::Evict(_) => false,
        };
        if is_abandoned {
            if let Job::Page(place) = &self.job {
                pages.forget(place);
            }
            if self.has_failed {
                failures.end();
            }
        }
        is_abandoned
    }
}

impl Job {
    /// Asks the journal; `None` if nothing is left to do.
    pub(super) fn start(&mut self, source: Source<'_>) -> Option<Reading> {
        let journal = source.journal;
        Some(match self {
            Self::Page((topics, after)) => {
                // The journal has committed everything that the history has been fed.
                let as_of = source.history.read().as_of_now();
                let mut max = PageMax::new(PAGE_MAX.0, PAGE_MAX.1);
                max.counted_through = as_of.tail;
                let page = journal.read(topics.clone(), *after, max);
                Box::pin(async move { page.await.map(|page| Answer::Page(page, as_of)) })
            }
            Self::Locate(locating, after) => match locating.wanted() {
                // History is looked at again once it has been fed everything that is committed.
                Wanted::Given { .. } if journal.oldest().is_none() => {
                    let tail = journal.tail();
                    Box::pin(async { tail.await.map(|tail| Answer::Place(Some(tail))) })
                }
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
                Wanted::Bound { topic, limits, through } => {
                    let counted = journal.count(topic, limits, *through);
                    Box::pin(async { counted.await.map(Answer::Count) })
                }
            },
            Self::Count(counting) => {
                let through = counting.through;
                let (topic, limits) = counting.next(source)?;
                let counted = journal.count(topic, limits, through);
                Box::pin(async { counted.await.map(Answer::Count) })
            }
            Self::Evict(through) => {
                let done = journal.evict(Evict::Through(*through));
                Box::pin(async { done.await.map(|()| Answer::Done) })
            }
        })
    }
}

impl Counting {
    /// The next topic that must still be counted, with its limits: others may have been counted for other readers. It stays
    /// the last one until it has been counted.
    fn next(&mut self, source: Source<'_>) -> Option<&Uncounted> {
        self.ticket.upgrade()?;
        let history = source.history.read();
        while self.topics.pop_if(|(topic, _)| history.is_counted_by_name(topic)).is_some() {}
        self.topics.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_bounded_by_the_readers_that_are_there_and_keeps_their_order() {
        let (mut jobs, mut pages) = (Jobs::default(), Pages::default());
        let mut failures = Failures::default();
        let look = |n: usize| {
            Locating::new(Wanted::Spelled { id: n.to_string().into(), place: Sequence::ZERO })
        };
        let mut there = Vec::new();
        for n in 0..30_000 {
            let locating = look(n);
            let job = Job::Locate(locating.clone(), Sequence::ZERO);
            jobs.push(Queued::new(job), &mut pages, &mut failures);
            // Nine out of ten leave.
            if n % 10 == 0 {
                there.push(locating);
            }
        }
        assert!(jobs.len() <= 2 * there.len() + PRUNE_MIN, "{} jobs", jobs.len());
        let mut left = Vec::new();
        while let Some(queued) = jobs.next(&mut pages, &mut failures) {
            let Job::Locate(locating, _) = queued.job else { unreachable!("all are looks") };
            left.push(locating.id().to_owned());
        }
        let expected = there.iter().map(|locating| locating.id().to_owned());
        assert_eq!(left, expected.collect::<Vec<_>>());
    }
}
