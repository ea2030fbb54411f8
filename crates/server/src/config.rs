//! The configuration of a server: plain values, none read from the environment or from files.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::auth::config::{AuthConfig, TopicRule};
use crate::http::authority::{HostName, Origin};
use crate::node::NodeName;
use crate::proxies::Network;
use crate::tls::TlsConfig;

/// The configuration of a [`Server`](crate::Server).
///
/// It covers HTTP; the hub has a configuration of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The name of this hub among others: by default, one that is made up.
    pub node: NodeName,
    /// The addresses to listen on; port 0 takes a free port. By default 127.0.0.1:4000.
    pub listen: Vec<SocketAddr>,
    /// TLS on these addresses; `None`, the default, is clear text.
    pub tls: Option<TlsConfig>,
    /// The names that a request's Host may have; by default those of loopback alone.
    pub hosts: Hosts,
    /// Pages of other origins that may use the server; by default none.
    pub origins: Origins,
    /// The addresses of proxies in front, which are believed when they tell the address of a client: in
    /// `X-Forwarded-For`, in `Forwarded`, or by the PROXY protocol, version 2. By default none is.
    pub trusted_proxies: Vec<Network>,
    /// The keys of tokens, and where these may stand; `None`, the default, lets everyone do everything.
    pub auth: Option<AuthConfig>,
    /// Rules about topics, of which the first that matches decides; by default none.
    pub topics: Vec<TopicRule>,
    /// The source of the hub's time.
    pub time: TimeSource,
    /// The maximum time for a request's head, and before it for a handshake of TLS, and the idle timeout
    /// of connections: 15 s by default, more than a bad connection needs and short enough to end a
    /// slow attack.
    pub head_timeout: Duration,
    /// The maximum size of a request's head: 32 KiB by default, enough for a hundred filters.
    pub head_bytes_max: usize,
    /// The maximum number of connections that have not sent a whole head yet: 16,384 by default,
    /// because all clients that reconnect after a restart send their heads at once. Each further
    /// connection closes the one that has waited longest, so that slow heads give way and quick
    /// ones never wait. The same happens when descriptors run out.
    pub heads_max: usize,
    /// The maximum number of TLS handshakes that have begun and not ended: 4,096 by default, which hold
    /// some tens of megabytes. Each further one closes the oldest, so that slow handshakes give way
    /// and quick ones never wait.
    pub handshakes_max: usize,
    /// The idle timeout of a request's body: 60 s by default, and ten times as long for one that is piped
    /// into a topic's stream. For a body that is not streamed, it is the timeout of the whole body.
    pub body_timeout: Duration,
    /// The maximum size of a JSON body of `POST /events`: 8 MiB by default. Such a body is held
    /// whole, because it is published entirely or not at all; streamed bodies have no such limit.
    pub json_bytes_max: usize,
    /// The maximum number of bytes that request bodies, and answers that are not taken, hold
    /// together: 128 MiB by default, half the history's default. A quarter is a reserve for small
    /// bodies and answers. A body or an answer that finds no room is refused at once.
    pub bodies_bytes_max: usize,
    /// The maximum number of open streams: 100,000 by default, about as many as fit in the memory
    /// of a small machine; [`within_descriptors`](Self::within_descriptors) lowers it to the
    /// process's limit. Publishing and health checks do not count.
    pub streams_max: usize,
    /// The limits for each address and each subject.
    pub limits: Limits,
    /// The time after which a connection is closed whose client accepts no bytes: 60 s by default.
    /// A client that is still there reconnects and resumes.
    pub stall_timeout: Duration,
    /// The maximum number of topics and patterns of one stream together: 100 by default. Each costs
    /// a lookup in every read.
    pub filters_max: usize,
    /// The maximum number of concurrent HTTP/2 requests on one connection: 250 by default, far more
    /// than a page opens.
    pub http2_streams_max: u32,
    /// The time that a drain takes per open stream: 1 ms by default, so that an idle server ends at
    /// once.
    pub drain_per_stream: Duration,
    /// The maximum time of a drain: 3 s by default, a third of the time available.
    pub drain_max: Duration,
    /// The maximum time from the signal to the end of the server: 8 s by default, well within the
    /// 10 s that process supervisors wait before they kill.
    pub shutdown_max: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            node: NodeName::default(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
            tls: None,
            hosts: Hosts::default(),
            origins: Origins::default(),
            trusted_proxies: Vec::new(),
            auth: None,
            topics: Vec::new(),
            time: TimeSource::default(),
            head_timeout: Duration::from_secs(15),
            head_bytes_max: 32 * 1024,
            heads_max: 16 * 1024,
            handshakes_max: 4096,
            body_timeout: Duration::from_secs(60),
            json_bytes_max: 8 * 1024 * 1024,
            bodies_bytes_max: 128 * 1024 * 1024,
            streams_max: 100_000,
            limits: Limits::default(),
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
    /// Lowers the limits to fit a process that may open this many descriptors, so that streams
    /// never take the last of them: publishers, health checks and metrics always get in.
    ///
    /// A sixteenth is reserved for connections that are not streams, at least 64 and at most 2,048,
    /// plus the server's own descriptors; if there are very few descriptors, half of them.
    /// Connections that are still sending their head get half of all, because they give way to
    /// others when descriptors run out.
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

/// The limits for each address and each subject; `None` is no limit.
///
/// An address of IPv6 counts by its /64. The limits do not apply to connections from loopback, nor to
/// what a trusted proxy asks for itself, nor to API keys of the configuration, whose owners the operator
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The open streams of one address: 1,000 by default, a large office behind one address, and a
    /// hundredth of all streams.
    pub address_streams: Option<NonZeroU32>,
    /// The requests of one address in a second: 500 by default, far above pages and readers that
    /// reconnect. Those of ten seconds may come at once.
    pub address_requests: Option<NonZeroU32>,
    /// The open streams of one subject: 100 by default, some dozens of tabs on several devices.
    pub subject_streams: Option<NonZeroU32>,
    /// The requests of one subject in a second: 100 by default. Those of ten seconds may come at once.
    pub subject_requests: Option<NonZeroU32>,
    /// The events that one subject publishes in a second: 1,000 by default, far above what a person
    /// does. Those of ten seconds may come at once. A streamed body waits; other publishes are refused.
    pub subject_events: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_streams: NonZeroU32::new(1000),
            address_requests: NonZeroU32::new(500),
            subject_streams: NonZeroU32::new(100),
            subject_requests: NonZeroU32::new(100),
            subject_events: NonZeroU32::new(1000),
        }
    }
}

/// The names that a request's Host may have.
///
/// A page whose DNS name was made to point at this server's address sends that name as Host; a list
/// of served names prevents such DNS rebinding.
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
/// The server's own pages always may, and so may programs other than browsers, which send no
/// Origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Origins that may do everything, with credentials.
    pub listed: Vec<Origin>,
    /// The permission of all other origins.
    pub others: Others,
}

/// The permission of pages whose origins are not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// Nothing.
    #[default]
    Refused,
    /// Read, without credentials; also pages whose origin is `null`.
    Read,
}

/// The source of the hub's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The server advances it by the machine's clocks.
    #[default]
    Machine,
    /// The owner of the hub advances it by [`Hub::tick`](tidings_hub::Hub::tick): for tests that
    /// step time.
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
        // The server's own descriptors are a small part, regardless of the number of cores.
        let config = ServerConfig::default().within_descriptors(20_000);
        assert!(config.streams_max > 15_000);
    }
}
