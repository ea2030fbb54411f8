//! Addresses and subjects as numbers.

/// An address or a subject, as a number that only this process can make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);
