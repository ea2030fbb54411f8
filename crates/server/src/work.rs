//! Counts what parsers and listings do, so that a test can tell linear from quadratic without a clock.

/// Notes so many bytes or items that were looked at. Does nothing but in tests.
#[cfg(not(test))]
#[inline]
pub(crate) fn looked_at(_: usize) {}

#[cfg(test)]
pub(crate) use self::counted::{looked_at, of};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    std::thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn looked_at(count: usize) {
        COUNT.set(COUNT.get() + count);
    }

    /// Runs `work` and returns how much it looked at.
    pub(crate) fn of(work: impl FnOnce()) -> usize {
        let before = COUNT.get();
        work();
        COUNT.get() - before
    }
}
