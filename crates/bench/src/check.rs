//! Checking: which deliveries are due, what arrived, and why connections failed.

pub(crate) mod causes;
pub(crate) mod data;
pub(crate) mod faults;
pub(crate) mod ledger;
