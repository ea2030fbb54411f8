//! Sockets: their options, and a socket with buffers for reading and writing.

pub(crate) mod buffered;
pub(crate) mod options;
pub(crate) mod transport;
