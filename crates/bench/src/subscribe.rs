//! Subscribing: the connections that read event streams.

pub(crate) mod reading;
pub(crate) mod recent;
pub(crate) mod source;
pub(crate) mod sources;
