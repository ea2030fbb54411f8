//! The limit of the disk: appending to a file and `fdatasync`, and nothing else.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::publishing::wire::DATA_BYTES;

/// Bytes that a record takes beside its data: about what a journal needs.
const RECORD_BYTES: usize = 32;

/// Appends and syncs so many events at a time: as many as wait while a sync is under way.
pub(crate) fn append(folder: &Path, together: usize, time: Duration) -> io::Result<Published> {
    let path = folder.join("raw");
    let mut file = File::create(&path)?;
    let bytes = vec![b'x'; together * (DATA_BYTES + RECORD_BYTES)];
    let began = Instant::now();
    let mut published = Published::default();
    while began.elapsed() < time {
        let sent = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        published.events += together as u64;
        published.micros.push(sent.elapsed().as_micros() as u64);
    }
    published.seconds = began.elapsed().as_secs_f64();
    published.micros.sort_unstable();
    fs::remove_file(path)?;
    Ok(published)
}
