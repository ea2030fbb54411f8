//! Opening a journal: its folder is recovered on the thread that writes to it from then on.

use std::sync::Arc;

use parking_lot::Mutex;

use super::answer::Giver;
use super::appender::{Appender, Limits};
use super::cleaner::Cleaner;
use super::copying::copied_to;
use super::feed::Fed;
use super::readers::Readers;
use super::recovery::recover;
use super::seal::seal;
use super::storage::Failure;
use super::survey::{failed, refused};
use super::writer::Writer;
use super::{Open, Shared};
use crate::journal::keys::Keys;
use crate::journal::{Durability, JournalError, Opened};

/// Bytes after which a sync is due, so that no publisher waits long for the events of others.
const PORTION_BYTES: usize = 1024 * 1024;
/// Committed entries kept in memory for the feed; a feed that is further behind reads files.
const FED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reader threads: one may wait for the disk while the other serves cached pages.
const READER_THREADS: usize = 2;

/// Runs the writer's thread: opens the journal and writes to it until it is closed.
pub(super) fn write(shared: &Shared, giver: Giver<Result<Opened, JournalError>>) {
    let storage = &shared.storage;
    let opening = || {
        let failed = |error| failed("the journal's folder", error);
        storage.create_folder().map_err(failed)?;
        let lock = storage.lock().map_err(failed)?;
        let lock =
            lock.ok_or_else(|| refused("the journal's folder", "is in use by another process"))?;
        let (writer, open) = prepare(shared)?;
        Ok((lock, writer, open))
    };
    let (_lock, writer, open) = match opening() {
        Ok(opened) => opened,
        Err(error) => return giver.give(Err(error)),
    };
    let catalog = &open.catalog;
    let (epoch, oldest, tail) = (catalog.head.epoch, catalog.oldest(), catalog.tail());
    let opened = Opened::new(epoch, oldest, tail, Durability::Synced);
    // Only one such thread is ever started, so the cell is empty.
    drop(shared.open.set(open));
    giver.give(Ok(opened));
    writer.run();
}

fn prepare(shared: &Shared) -> Result<(Writer, Open), JournalError> {
    let recovered = recover(Arc::clone(&shared.storage), shared.copy)?;
    let catalog = recovered.catalog;
    let config = &shared.config;
    let limits = Limits { segment_bytes: config.segment_bytes, portion_bytes: PORTION_BYTES };
    let mut start = recovered.start;
    // Those of a copy are for the one that decides on what is copied.
    let keys = match shared.copy {
        Some(_) => std::mem::take(&mut start.keys),
        None => Keys::default(),
    };
    let mut appender = Appender::new(Arc::clone(&catalog), limits, start);
    // A crash came after a segment's last record and before its footer.
    while let Some(segment) = appender.unsealed() {
        match seal(&catalog, segment) {
            Ok(()) => appender.sealed(),
            // Sealing is attempted again before the next segment begins.
            Err(Failure::Refused(_)) => break,
            Err(Failure::Broken(error)) => return Err(failed(&segment.name(), error)),
        }
    }
    let copied_to = match shared.copy {
        Some(_) => copied_to(&catalog).map_err(|error| failed("the journal's folder", error))?,
        None => None,
    };
    let readers = Readers::start(READER_THREADS);
    let readers = readers.map_err(|error| failed("the journal's threads", error))?;
    let readers = Arc::new(readers);
    let fed = Arc::new(Fed::new(catalog.tail(), FED_BYTES_MAX));
    let open = Open {
        catalog: Arc::clone(&catalog),
        readers: Arc::clone(&readers),
        fed: Arc::clone(&fed),
        cut_bytes: recovered.cut_bytes,
        begun_anew: recovered.begun_anew,
        copied_to,
        keys: Mutex::new(keys),
    };
    shared.tally.keep_keys(appender.keys_bytes());
    let writer = Writer {
        catalog,
        appender,
        queue: Arc::clone(&shared.queue),
        fed,
        readers,
        bytes_max: config.bytes_max,
        broken: Arc::clone(&shared.broken),
        tally: Arc::clone(&shared.tally),
        sealing: None,
        unsynced: None,
        cleaner: Cleaner::default(),
        segment_bytes: config.segment_bytes,
    };
    Ok((writer, open))
}
