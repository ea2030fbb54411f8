//! The cleaner: a thread that leaves out superseded and freed records, now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::catalog::Catalog;
use super::cleaning::{clean, is_needed};
use super::storage::Failure;

/// Begins a cleaning when enough was written since the last one, on a thread of its own: neither publishers nor
/// readers wait for it.
#[derive(Default)]
pub(super) struct Cleaner {
    running: Option<JoinHandle<Result<(), Failure>>>,
    stop: Arc<AtomicBool>,
    /// Bytes of segments that were filled since the last cleaning began.
    filled_bytes: u64,
}

/// The share of the journal that is written between two cleanings. A cleaning reads the indexes of all segments,
/// so that this bounds its work by what is published.
const SHARE: u64 = 8;

impl Cleaner {
    /// Notes that a segment is full, and begins a cleaning if one is due. Returns the outcome of the last one.
    pub(super) fn note_full(
        &mut self,
        catalog: &Arc<Catalog>,
        segment_bytes: u64,
    ) -> Result<(), Failure> {
        self.filled_bytes += segment_bytes;
        if !is_needed(catalog) || self.running.as_ref().is_some_and(|it| !it.is_finished()) {
            return Ok(());
        }
        let outcome = self.join();
        if outcome.is_ok() && self.filled_bytes >= catalog.bytes() / SHARE {
            self.filled_bytes = 0;
            let (catalog, stop) = (Arc::clone(catalog), Arc::clone(&self.stop));
            let thread = thread::Builder::new().name("journal-cleaner".into());
            // Without a thread, the next full segment tries again.
            self.running = thread.spawn(move || clean(&catalog, segment_bytes, &stop)).ok();
        }
        outcome
    }

    /// Ends a cleaning that is under way, and returns its outcome.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(&mut self) -> Result<(), Failure> {
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            // The panic of a thread has been reported already.
            Some(Err(_)) | None => Ok(()),
        }
    }
}
