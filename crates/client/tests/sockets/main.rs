//! The event source on real sockets: the scenarios of the state machine's tests again, with a
//! server on loopback that a test scripts and a clock that a test steps.

mod compression;
mod contract;
mod http2;
mod opening;
mod place;
mod producing;
mod proxies;
mod publishing;
mod server;
mod sharing;
mod stopping;
mod tls;
mod transports;
mod waiting;
mod watch;
