//! Measuring: time, latencies, and the memory and CPU time of the server.

pub(crate) mod clock;
pub(crate) mod latency;
pub(crate) mod meter;
pub(crate) mod processes;
