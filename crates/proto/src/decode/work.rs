//! Counts what decoding does, so that a test can tell linear from quadratic without a clock.

extern crate std;

use core::cell::Cell;

std::thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Notes that so many bytes were looked at for a line end.
pub(super) fn scanned(bytes: usize) {
    BYTES.set(BYTES.get() + bytes as u64);
}

/// Notes that so many bytes were copied.
pub(super) fn copied(bytes: usize) {
    BYTES.set(BYTES.get() + bytes as u64);
}

/// Runs `work` and returns how many bytes it scanned and copied.
pub(super) fn of(work: impl FnOnce()) -> u64 {
    let before = BYTES.get();
    work();
    BYTES.get() - before
}
