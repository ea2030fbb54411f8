//! A journal that is a copy of another store: steps of entries with sequences of their own.
//!
//! The store is the truth, so nothing is synced before a segment is full, and what a crash leaves behind the
//! last whole step is cut off: it is copied again.

use std::io;

use super::answer::{Answer, answer};
use super::catalog::Catalog;
use super::dropped;
use super::fetch::fetch;
use super::head::Head;
use super::lookup::open;
use super::queue::Queue;
use super::record::Decoded;
use super::segment::{Selection, name_of};
use super::storage::{Access, Failure, Storage};
use super::survey::{Contents, Examined, failed};
use super::writer::Writer;
use crate::cursor::Sequence;
use crate::journal::copied::{Copied, CopiedTo};
use crate::journal::{JournalError, NotCommitted};
use crate::time::{Now, Time};

/// The time after which a full disk is tried again.
const FULL_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

impl Queue {
    /// Queues steps for the writer. The answer comes when they can be read.
    pub(super) fn copy(&self, steps: Vec<Copied>) -> Answer<Result<(), NotCommitted>> {
        let (giver, answer) = answer();
        self.push_copy((steps, giver));
        answer
    }
}

impl Writer {
    /// Writes steps, in order.
    ///
    /// # Errors
    ///
    /// [`NotCommitted::Stopped`] if the journal has failed or is closed: some of them may be there.
    pub(super) fn copy(&mut self, steps: Vec<Copied>) -> Result<(), NotCommitted> {
        for step in steps {
            if self.appender.is_portion_full(0) {
                self.commit_copied()?;
            }
            let is_far = self.appender.is_far(step.end.through);
            if self.appender.is_segment_full(0) || is_far {
                self.commit_copied()?;
                self.begin_segment(step.after)?;
            }
            self.appender.push_copied(step);
        }
        self.commit_copied()
    }

    fn commit_copied(&mut self) -> Result<(), NotCommitted> {
        loop {
            if self.broken.why().is_some() {
                return Err(NotCommitted::Stopped);
            }
            let started = Now::read().instant;
            match self.appender.commit_copied() {
                Ok(None) => return Ok(()),
                Ok(Some(written)) => {
                    let took = Now::read().instant.saturating_duration_since(started);
                    self.tally.committed(written.entries.len(), took);
                    self.tally.keep_keys(self.appender.keys_bytes());
                    self.fed.push(written);
                    return Ok(());
                }
                Err(failure) => self.make_way(failure)?,
            }
        }
    }

    fn begin_segment(&mut self, after: Sequence) -> Result<(), NotCommitted> {
        self.appender.begin_after(after);
        while let Err(why) = self.next_segment(0) {
            if why == NotCommitted::Stopped {
                return Err(why);
            }
            self.make_way(Failure::Refused(io::ErrorKind::StorageFull.into()))?;
        }
        Ok(())
    }

    /// Makes room on a full disk: the oldest segments go first, because the store has what matters. If there
    /// is no other one, waits.
    fn make_way(&mut self, failure: Failure) -> Result<(), NotCommitted> {
        self.note(failure);
        if self.broken.why().is_some() {
            return Err(NotCommitted::Stopped);
        }
        let (oldest, mut is_first) = (self.catalog.oldest(), true);
        match self.catalog.remove_due(|_, _| std::mem::replace(&mut is_first, false)) {
            Ok(noted) => self.unsynced = noted.or(self.unsynced.take()),
            Err(Failure::Refused(_)) => {}
            Err(broken) => {
                self.note(broken);
                return Err(NotCommitted::Stopped);
            }
        }
        let has_more = self.catalog.oldest() > oldest;
        match has_more || !self.queue.is_closed_within(FULL_RETRY) {
            true => Ok(()),
            false => Err(NotCommitted::Stopped),
        }
    }
}

/// Returns the segments of a copy up to the first one that a crash may have torn, and removes the others. It is cut
/// when it is opened. One that was not synced is whole if it reaches to the next one.
pub(super) fn remove_after_torn(
    storage: &dyn Storage,
    head: &Head,
    bases: Vec<Sequence>,
) -> Result<Vec<Sequence>, JournalError> {
    let mut sound = Vec::with_capacity(bases.len());
    let mut bases = bases.into_iter().peekable();
    while let Some(base) = bases.next() {
        sound.push(base);
        let examined = Examined::new(storage, head, (base, bases.len()), Access::Read)?;
        let is_whole = bases.peek().is_none_or(|next| examined.last().next() == *next);
        if matches!(examined.contents, Contents::Unsealed { .. }) && !is_whole {
            break;
        }
    }
    // The newest first, so that a crash leaves no hole.
    for base in bases.rev() {
        remove(storage, &name_of(base))?;
    }
    Ok(sound)
}

/// Removes everything that a copy has.
pub(super) fn remove_all(storage: &dyn Storage, bases: &[Sequence]) -> Result<(), JournalError> {
    for &base in bases.iter().rev() {
        remove(storage, &name_of(base))?;
    }
    remove(storage, dropped::NAME)?;
    storage.sync_folder().map_err(|error| failed("the journal's folder", error))
}

fn remove(storage: &dyn Storage, name: &str) -> Result<(), JournalError> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(name, error)),
        _ => Ok(()),
    }
}

/// Finds the end of the newest step. If it cannot be read, only the place is known.
pub(super) fn copied_to(catalog: &Catalog) -> io::Result<Option<CopiedTo>> {
    for segment in catalog.after(Sequence::ZERO).iter().rev() {
        let Some(file) = open(catalog, segment)? else { continue };
        let newest = (Sequence::MAX, 1);
        let identity = &catalog.head.identity;
        let located = segment.locate_newest(&*file, identity, Selection::All, newest)?;
        if located.is_empty() {
            continue;
        }
        let mut found = CopiedTo::new(segment.last(), Time::default(), (0, 0));
        fetch(&*file, segment.salt, &located, &mut |_, decoded| {
            if let Some(Decoded::Copied(end, _)) = decoded {
                found = end;
            }
            false
        })?;
        return Ok(Some(found));
    }
    Ok(None)
}
