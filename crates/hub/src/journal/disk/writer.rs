//! The writer: a thread that commits submissions in order, with as few syncs as possible.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use parking_lot::Mutex;

use super::answer::Giver;
use super::appender::{Appender, request_bytes};
use super::catalog::Catalog;
use super::cleaner::Cleaner;
use super::feed::{Fed, Written};
use super::queue::{Queue, Request};
use super::readers::Readers;
use super::seal::seal;
use super::stats::Tally;
use super::storage::{Failure, StorageFile};
use super::survey::failed;
use crate::journal::{Evict, JournalError, NotCommitted, Outcome};
use crate::time::Now;

/// The state of the writer's thread.
pub(super) struct Writer {
    pub(super) catalog: Arc<Catalog>,
    pub(super) appender: Appender,
    pub(super) queue: Arc<Queue>,
    pub(super) fed: Arc<Fed>,
    pub(super) readers: Arc<Readers>,
    /// Maximum size of all segments.
    pub(super) bytes_max: u64,
    pub(super) broken: Arc<Broken>,
    pub(super) tally: Arc<Tally>,
    pub(super) sealing: Option<Receiver<Result<(), Failure>>>,
    /// A file that is synced when the next segment is sealed.
    pub(super) unsynced: Option<Arc<dyn StorageFile>>,
    pub(super) cleaner: Cleaner,
    pub(super) segment_bytes: u64,
}

/// The reason why the journal has stopped writing, if it has.
#[derive(Default)]
pub(super) struct Broken(Mutex<Option<Arc<str>>>);

impl Broken {
    pub(super) fn why(&self) -> Option<Arc<str>> {
        self.0.lock().clone()
    }

    fn set(&self, error: &std::io::Error) {
        self.0.lock().get_or_insert_with(|| error.to_string().into());
    }
}

/// A request in the open portion.
struct Pushed {
    giver: Giver<Vec<Outcome>>,
    outcomes: Vec<Outcome>,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut before = 0;
        while let Some(work) = self.queue.take(before) {
            before = work.requests.len();
            for (what, giver) in work.evictions {
                giver.give(self.evict(&what));
            }
            for (steps, giver) in work.copies {
                giver.give(self.copy(steps));
            }
            self.write(work.requests.into());
        }
        if let Some(sealing) = self.sealing.take() {
            let sealed = sealing.recv();
            self.note_sealed(sealed.ok());
        }
        if let Err(Failure::Broken(error)) = self.cleaner.end() {
            self.broken.set(&error);
        }
        if self.broken.why().is_none()
            && let Err(Failure::Broken(error) | Failure::Refused(error)) = self.appender.mark()
        {
            self.broken.set(&error);
        }
        self.readers.close();
    }

    /// Commits requests, each of them in one portion, so that a crash leaves all of it or nothing.
    fn write(&mut self, requests: Vec<Request>) {
        let mut portion = Vec::new();
        for Request { submissions, now, giver } in requests {
            let bytes = request_bytes(&submissions);
            if self.appender.is_portion_full(bytes) {
                self.commit(&mut portion);
            }
            let outcomes = match self.make_room(bytes) {
                Ok(()) => self.appender.push(submissions, now),
                Err(why) => vec![Outcome::NotCommitted(why); submissions.len()],
            };
            portion.push(Pushed { giver, outcomes });
        }
        self.commit(&mut portion);
    }

    /// Commits the open portion and answers its requests.
    fn commit(&mut self, portion: &mut Vec<Pushed>) {
        if self.broken.why().is_some() {
            return self.fail(portion, Outcome::NotCommitted(NotCommitted::Stopped));
        }
        let started = Now::read().instant;
        match self.appender.commit() {
            Ok(entries) if entries.is_empty() => {}
            Ok(entries) => {
                let took = Now::read().instant.saturating_duration_since(started);
                self.tally.committed(entries.len(), took);
                self.tally.keep_keys(self.appender.keys_bytes());
                let through = self.catalog.tail();
                self.fed.push(Written { entries, lost: Vec::new(), through });
            }
            Err(failure) => {
                // After a write or a sync that failed, the portion may be on the disk or not.
                let outcome = match &failure {
                    Failure::Refused(_) => Outcome::NotCommitted(NotCommitted::Full),
                    Failure::Broken(_) => Outcome::Unknown,
                };
                self.note(failure);
                return self.fail(portion, outcome);
            }
        }
        answer(portion);
    }

    /// Answers the requests of a portion that was not committed.
    fn fail(&self, portion: &mut Vec<Pushed>, outcome: Outcome) {
        let tail = self.catalog.tail();
        for pending in portion.iter_mut().flat_map(|pushed| &mut pushed.outcomes) {
            // A submission that is too large, or repeats one of another portion, already has its outcome.
            if let Outcome::Committed(sequence) | Outcome::Duplicate(sequence) = *pending
                && sequence > tail
            {
                *pending = outcome;
            }
        }
        answer(portion);
    }

    pub(super) fn note(&self, failure: Failure) {
        match failure {
            Failure::Broken(error) => self.broken.set(&error),
            Failure::Refused(_) => self.tally.refused(),
        }
    }

    /// Begins the next segment if the current one is full, or a request of a size is too large for its rest.
    ///
    /// # Errors
    ///
    /// [`NotCommitted`] if no record can be pushed.
    fn make_room(&mut self, bytes: u64) -> Result<(), NotCommitted> {
        if self.broken.why().is_some() {
            return Err(NotCommitted::Stopped);
        }
        if !self.appender.is_portion_empty() || !self.appender.is_segment_full(bytes) {
            return Ok(());
        }
        self.next_segment(bytes)
    }

    /// Begins the next segment, for a request of a size.
    ///
    /// # Errors
    ///
    /// [`NotCommitted`] if the current one remains.
    pub(super) fn next_segment(&mut self, bytes: u64) -> Result<(), NotCommitted> {
        // Segments are sealed one at a time, to bound the indexes held in memory.
        if let Some(sealing) = self.sealing.take() {
            let sealed = sealing.recv();
            self.note_sealed(sealed.ok());
        }
        if self.appender.unsealed().is_some() {
            self.start_sealing();
            let sealed = self.sealing.take().and_then(|sealing| sealing.recv().ok());
            self.note_sealed(sealed);
            if self.appender.unsealed().is_some() {
                return Err(self.no_room());
            }
        }
        // One larger than a segment takes the room of others.
        let bytes_max = self.bytes_max.saturating_sub(bytes.saturating_sub(self.segment_bytes));
        match self.catalog.remove_due(|_, bytes| bytes > bytes_max) {
            Ok(noted) => self.unsynced = noted.or(self.unsynced.take()),
            Err(failure) => self.note(failure),
        }
        if let Err(failure) = self.appender.roll() {
            self.note(failure);
            return Err(self.no_room());
        }
        self.start_sealing();
        // A disk without room for a cleaned segment has as much as before.
        if let Err(Failure::Broken(error)) =
            self.cleaner.note_full(&self.catalog, self.segment_bytes)
        {
            self.broken.set(&error);
        }
        Ok(())
    }

    /// Why no segment could be begun or sealed: the disk is full, unless the journal has failed.
    fn no_room(&self) -> NotCommitted {
        match self.broken.why() {
            Some(_) => NotCommitted::Stopped,
            None => NotCommitted::Full,
        }
    }

    fn start_sealing(&mut self) {
        let Some(segment) = self.appender.unsealed().cloned() else { return };
        let (catalog, unsynced) = (Arc::clone(&self.catalog), self.unsynced.take());
        let (sealed, sealing) = sync_channel(1);
        let seal = move || {
            unsynced.map_or(Ok(()), |file| file.sync().map_err(Failure::Broken))?;
            seal(&catalog, &segment)
        };
        // Sending fails only if the writer has ended.
        drop(self.readers.ask(move || drop(sealed.send(seal()))));
        self.sealing = Some(sealing);
    }

    fn note_sealed(&mut self, sealed: Option<Result<(), Failure>>) {
        match sealed {
            Some(Ok(())) => self.appender.sealed(),
            Some(Err(failure)) => self.note(failure),
            None => {}
        }
    }

    fn evict(&mut self, what: &Evict) -> Result<(), JournalError> {
        let Evict::Through(through) = what;
        let removed = self.catalog.remove_due(|segment, _| segment.last() <= *through);
        let synced = removed.and_then(|noted| match noted {
            Some(file) => file.sync().map_err(Failure::Broken),
            None => Ok(()),
        });
        match synced {
            Ok(()) => Ok(()),
            Err(Failure::Refused(error)) => Err(failed("a segment", error)),
            Err(Failure::Broken(error)) => {
                self.broken.set(&error);
                Err(failed("the journal's folder", error))
            }
        }
    }
}

/// Answers the requests of a portion.
fn answer(portion: &mut Vec<Pushed>) {
    for Pushed { giver, outcomes } in portion.drain(..) {
        giver.give(outcomes);
    }
}
