//! What a server is made with: plain values, none read from the environment or from files.

use std::net::SocketAddr;
use std::time::Duration;

use crate::http::authority::{HostName, Origin};

/// What a [`Server`](crate::Server) is made with.
///
/// The hub has a configuration of its own; this is about HTTP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one. By default 127.0.0.1:4000.
    pub listen: Vec<SocketAddr>,
    /// Names a request's Host may have; by default those of loopback alone.
    pub hosts: Hosts,
    /// Pages of other origins that may use the server; by default none.
    pub origins: Origins,
    /// Who moves the hub's time on.
    pub time: TimeSource,
    /// Time a request's head may take, and how long an idle connection is kept: 15 s by default, which
    /// a person with a bad connection does not need and which ends a slow attack soon.
    pub head_timeout: Duration,
    /// Bytes of a request's head at most: 32 KiB by default, enough for a hundred filters.
    pub head_bytes_max: usize,
    /// Connections that have not sent a whole head yet, at most: 16,384 by default, since a herd that
    /// comes back after a restart is in its heads all at once. One more, and the one that has waited
    /// longest is closed: slow heads give way, and quick ones never wait. When descriptors run out,
    /// they give way as well.
    pub heads_max: usize,
    /// Silence after which a request's body is given up: 60 s by default. A body that is not streamed
    /// has this time as a whole.
    pub body_timeout: Duration,
    /// Bytes of a JSON body of `POST /events` at most: 8 MiB by default. It is held whole, because it
    /// is all or nothing; streamed bodies have no such limit.
    pub json_bytes_max: usize,
    /// Streams open at most: 100,000 by default, about what the memory of a small machine bears;
    /// [`within_descriptors`](Self::within_descriptors) fits it to what the process may open.
    /// Publishing and health do not count.
    pub streams_max: usize,
    /// How long a stream's client may take nothing before its connection is closed: 60 s by default.
    /// It comes back and resumes, if it is still there.
    pub stall_timeout: Duration,
    /// Topics and patterns of one stream together, at most: 100 by default. Each costs a look-up in
    /// every read.
    pub filters_max: usize,
    /// HTTP/2 requests at a time on one connection: 250 by default, far above what a page opens.
    pub http2_streams_max: u32,
    /// Time over which the streams of a server that ends are ended, for each of them: 1 ms by
    /// default, so that an idle server ends at once.
    pub drain_per_stream: Duration,
    /// The same in all, at most: 3 s by default, a third of the time there is.
    pub drain_max: Duration,
    /// Time from the signal to the end of everything: 8 s by default, well within the 10 s that process
    /// supervisors grant before they kill.
    pub shutdown_max: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
            hosts: Hosts::default(),
            origins: Origins::default(),
            time: TimeSource::default(),
            head_timeout: Duration::from_secs(15),
            head_bytes_max: 32 * 1024,
            heads_max: 16 * 1024,
            body_timeout: Duration::from_secs(60),
            json_bytes_max: 8 * 1024 * 1024,
            streams_max: 100_000,
            stall_timeout: Duration::from_secs(60),
            filters_max: 100,
            http2_streams_max: 250,
            drain_per_stream: Duration::from_millis(1),
            drain_max: Duration::from_secs(3),
            shutdown_max: Duration::from_secs(8),
        }
    }
}

impl ServerConfig {
    /// Lowers the limits to what a process that may open so many descriptors can keep, so that
    /// streams never take the last of them: publishers, health and metrics always get in.
    ///
    /// A sixteenth is kept for connections that are no streams, at least 64 and at most 2,048, and
    /// what the server itself opens on top; where there are hardly any descriptors, half of them.
    /// Connections in their head get half of all: they give way to others when it comes to that.
    #[must_use]
    pub fn within_descriptors(mut self, descriptors: usize) -> Self {
        /// Standard streams, listeners, the runtime's poll and its wakers.
        const OWN: usize = 16;
        /// A shard's poll, its waker and its registry.
        const PER_CORE: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let others = (descriptors / 16).clamp(64, 2048);
        let reserved = (others + OWN + PER_CORE * cores).min(descriptors / 2);
        self.streams_max = self.streams_max.min(descriptors - reserved);
        self.heads_max = self.heads_max.min(descriptors / 2);
        self
    }
}

/// Names that a request's Host may have.
///
/// A page that makes its own name point at this server's address sends its own name as Host; naming
/// the served ones is what ends such DNS rebinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// These names, and always those of loopback: `localhost`, everything under it, and loopback
    /// addresses.
    Listed(Vec<HostName>),
    /// Any name.
    Any,
}

impl Default for Hosts {
    /// The names of loopback alone.
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// Pages of other origins that may use the server.
///
/// A server's own pages always may, and programs that are no browsers, which send no Origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Origins that may do everything, with credentials.
    pub listed: Vec<Origin>,
    /// What all others may do.
    pub others: Others,
}

/// What pages of origins that are not listed may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// Nothing.
    #[default]
    Refused,
    /// Read, without credentials; also pages whose origin is `null`.
    Read,
}

/// Who moves the hub's time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The server, by the machine's clocks.
    #[default]
    Machine,
    /// The owner of the hub, by [`Hub::tick`](tidings_hub::Hub::tick): for tests that step time.
    Stepped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_leave_descriptors_for_publishers() {
        for (descriptors, streams, heads) in [
            (64, 32..=32, 32),
            (256, 1..=256 - 64, 128),
            (20_000, 1..=20_000 - 1250, 10_000),
            (1_048_576, 100_000..=100_000, 16_384),
        ] {
            let config = ServerConfig::default().within_descriptors(descriptors);
            assert!(streams.contains(&config.streams_max), "{descriptors}: {}", config.streams_max);
            assert_eq!(config.heads_max, heads, "{descriptors}");
        }
        // However many cores there are, the server's own descriptors are a small part.
        let config = ServerConfig::default().within_descriptors(20_000);
        assert!(config.streams_max > 15_000);
    }
}
