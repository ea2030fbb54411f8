//! The event source on real sockets: every scenario of the machine's own tests again, with a
//! server on loopback that does exactly what a test says, and time that the test steps.

mod compression;
mod contract;
mod http2;
mod opening;
mod place;
mod proxies;
mod publishing;
mod server;
mod sharing;
mod stopping;
mod tls;
mod transports;
mod waiting;
mod watch;
