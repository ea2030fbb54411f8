//! The budget for the bytes that request bodies and answers hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that all request bodies, and all answers that are not taken, may hold together.
///
/// A limit for each request bounds nothing if there are many. Parts are reserves, so that events can
/// be published whatever large bodies and answers hold: see [`Claim`].
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: AtomicUsize,
    held: AtomicUsize,
}

/// The bytes that one body or answer holds. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
    claim: Claim,
}

/// The use of the bytes, which decides how much of the budget may be held already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A body of at most [`SMALL_BYTES_MAX`]: all of the budget is for it. One that grows beyond
    /// becomes large.
    Small,
    /// An answer of one piece: leaves an eighth to small bodies.
    Answer,
    /// A body or answer that is known to be large: leaves a quarter to small ones.
    Large,
}

/// The budget has no room for so many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

/// The size up to which a body may use the reserve: far above a usual event.
pub(crate) const SMALL_BYTES_MAX: usize = 64 * 1024;

impl Budget {
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

    /// A share that holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>, claim: Claim) -> Share {
        Share { budget: Arc::clone(self), bytes: 0, claim }
    }
}

impl Share {
    /// Returns whether so many bytes would find room now.
    pub(crate) fn could_be(&self, bytes: usize) -> bool {
        let max = self.max(bytes);
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
                let max = self.max(bytes);
                let grow = |held: usize| held.checked_add(more).filter(|held| *held <= max);
                held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
                    .map_err(|_| OverBudget)?;
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Sets the number of bytes that are held whether or not there is room: for an answer that has to
    /// be given. Less room is left for others.
    pub(crate) fn set_anyway(&mut self, bytes: usize) {
        self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// How much of the budget may be held if this share has so many bytes.
    fn max(&self, bytes: usize) -> usize {
        let budget = self.budget.bytes_max.load(Ordering::Relaxed);
        budget
            - match self.claim {
                _ if bytes > SMALL_BYTES_MAX => budget / 4,
                Claim::Large => budget / 4,
                Claim::Answer => budget / 8,
                Claim::Small => 0,
            }
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
        let mut large = budget.share(Claim::Small);
        assert_eq!(large.set(3 * SMALL_BYTES_MAX), Ok(()));
        assert_eq!(large.set(3 * SMALL_BYTES_MAX + 1), Err(OverBudget));
        let mut small = budget.share(Claim::Small);
        assert!(small.could_be(SMALL_BYTES_MAX) && !small.could_be(SMALL_BYTES_MAX + 1));
        assert_eq!(small.set(SMALL_BYTES_MAX), Ok(()));
        assert_eq!(budget.held(), 4 * SMALL_BYTES_MAX);
        let mut another = budget.share(Claim::Small);
        assert_eq!(another.set(1), Err(OverBudget));
        drop(small);
        assert_eq!(another.set(SMALL_BYTES_MAX), Ok(()));
        // It is no longer small.
        assert_eq!(another.set(SMALL_BYTES_MAX + 1), Err(OverBudget));
        // One that was large from the start has no part of the reserve.
        drop(another);
        assert_eq!(budget.share(Claim::Large).set(1), Err(OverBudget));
    }

    #[test]
    fn answers_of_one_piece_leave_room_for_small_bodies() {
        let budget = Budget::new(8000);
        let mut large = budget.share(Claim::Large);
        assert_eq!((large.set(6001), large.set(6000)), (Err(OverBudget), Ok(())));
        let mut answer = budget.share(Claim::Answer);
        assert_eq!((answer.set(1001), answer.set(1000)), (Err(OverBudget), Ok(())));
        let mut small = budget.share(Claim::Small);
        assert_eq!((small.set(1001), small.set(1000)), (Err(OverBudget), Ok(())));
    }

    #[test]
    fn a_share_gives_back_what_it_holds() {
        let budget = Budget::new(1000);
        let mut share = budget.share(Claim::Small);
        for (bytes, held) in [(700, 700), (200, 200), (200, 200), (300, 300)] {
            assert_eq!((share.set(bytes), budget.held()), (Ok(()), held));
        }
        assert_eq!((share.set(usize::MAX), budget.held()), (Err(OverBudget), 300));
        share.set_anyway(2000);
        assert_eq!((budget.held(), budget.share(Claim::Small).set(1)), (2000, Err(OverBudget)));
        drop(share);
        assert_eq!(budget.held(), 0);
    }
}
