//! The subscribing connections.

pub(crate) mod reading;
pub(crate) mod recent;
pub(crate) mod source;
pub(crate) mod sources;
