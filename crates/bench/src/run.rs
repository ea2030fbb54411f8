//! Running: what each scenario does, and the loop that does it.

pub(crate) mod error;
pub(crate) mod interrupt;
pub(crate) mod load;
pub(crate) mod progress;
pub(crate) mod scenario;
