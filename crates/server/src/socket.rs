//! Sockets: their options, and one that is read and written through buffers.

pub(crate) mod buffered;
pub(crate) mod options;
