//! The budget for the bytes that request bodies hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that all request bodies may hold together.
///
/// A limit for each request bounds nothing if there are many. A part is a reserve for small bodies,
/// so that events can be published whatever large bodies hold.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: AtomicUsize,
    held: AtomicUsize,
}

/// The bytes that one body holds. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
    is_large: bool,
}

/// The budget has no room for so many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

/// The size up to which a body may use the reserve: far above a usual event.
pub(crate) const SMALL_BYTES_MAX: usize = 64 * 1024;

impl Budget {
    /// The reserve, as a part of the budget: hundreds of small bodies at the same time.
    const RESERVE_PART: usize = 4;

    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max: AtomicUsize::new(bytes_max), held: AtomicUsize::new(0) })
    }

    /// The bytes that are held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Changes the budget. What is held stays held.
    pub(crate) fn set_max(&self, bytes_max: usize) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// A share that holds nothing yet. One that is known to become large never uses the reserve.
    pub(crate) fn share(self: &Arc<Self>, is_large: bool) -> Share {
        Share { budget: Arc::clone(self), bytes: 0, is_large }
    }

    fn max(&self, is_large: bool) -> usize {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        bytes_max - if is_large { bytes_max / Self::RESERVE_PART } else { 0 }
    }
}

impl Share {
    /// Returns whether so many bytes would find room now.
    pub(crate) fn could_be(&self, bytes: usize) -> bool {
        let max = self.budget.max(self.is_large || bytes > SMALL_BYTES_MAX);
        self.budget.held().saturating_add(bytes.saturating_sub(self.bytes)) <= max
    }

    /// Sets the number of bytes that are held.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if there is no room for more; the share holds what it held before.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let held = &self.budget.held;
        match bytes.checked_sub(self.bytes) {
            None => {
                held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            }
            Some(0) => return Ok(()),
            Some(more) => {
                let max = self.budget.max(self.is_large || bytes > SMALL_BYTES_MAX);
                let grow = |held: usize| held.checked_add(more).filter(|held| *held <= max);
                held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
                    .map_err(|_| OverBudget)?;
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_a_reserve_for_small_ones() {
        let budget = Budget::new(4 * SMALL_BYTES_MAX);
        let mut large = budget.share(false);
        assert_eq!(large.set(3 * SMALL_BYTES_MAX), Ok(()));
        assert_eq!(large.set(3 * SMALL_BYTES_MAX + 1), Err(OverBudget));
        let mut small = budget.share(false);
        assert!(small.could_be(SMALL_BYTES_MAX) && !small.could_be(SMALL_BYTES_MAX + 1));
        assert_eq!(small.set(SMALL_BYTES_MAX), Ok(()));
        assert_eq!(budget.held(), 4 * SMALL_BYTES_MAX);
        let mut another = budget.share(false);
        assert_eq!(another.set(1), Err(OverBudget));
        drop(small);
        assert_eq!(another.set(SMALL_BYTES_MAX), Ok(()));
        // It is no longer small.
        assert_eq!(another.set(SMALL_BYTES_MAX + 1), Err(OverBudget));
        // One that was large from the start has no part of the reserve.
        drop(another);
        assert_eq!(budget.share(true).set(1), Err(OverBudget));
    }

    #[test]
    fn a_share_gives_back_what_it_holds() {
        let budget = Budget::new(1000);
        let mut share = budget.share(false);
        for (bytes, held) in [(700, 700), (200, 200), (200, 200), (300, 300)] {
            assert_eq!((share.set(bytes), budget.held()), (Ok(()), held));
        }
        assert_eq!((share.set(usize::MAX), budget.held()), (Err(OverBudget), 300));
        drop(share);
        assert_eq!(budget.held(), 0);
    }
}
