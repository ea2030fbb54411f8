//! Steps: how much of history is looked at while its lock is held.

/// The steps that one look may take. A step is an entry, or, where patterns decide, an entry's topic and
/// one filter.
///
/// A look that has taken its steps ends, and the next one goes on where it ended: between them the lock
/// is free. What a look costs others therefore depends neither on the size of the history nor on the
/// number of filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    left: usize,
    max: usize,
}

impl Steps {
    /// The most steps of one look: well below a millisecond.
    pub(crate) const MAX: usize = 8192;

    pub(crate) fn new(max: usize) -> Self {
        Self { left: max, max }
    }

    /// Takes some; `false` if there are none left after that.
    pub(super) fn take(&mut self, steps: usize) -> bool {
        self.left = self.left.saturating_sub(steps.max(1));
        self.left > 0
    }

    /// Takes those that a look needs before it can begin. All are counted, but half of those left stay: each
    /// look gets on.
    pub(super) fn take_ahead(&mut self, steps: usize) {
        let from_left = steps.min(self.left / 2);
        self.left -= from_left;
        self.max += steps - from_left;
    }

    /// Takes all that are left: the look goes on elsewhere.
    pub(super) fn end(&mut self) {
        self.left = 0;
    }

    /// Returns whether all have been taken.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// How many were taken.
    pub(crate) fn taken(&self) -> usize {
        self.max - self.left
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new(Self::MAX)
    }
}
