//! The arguments of `serve` about limits.

use clap::Args;

/// Limits, as written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LimitArgs {
    /// Maximum number of open streams [default: 100000, or as many as descriptors allow].
    #[arg(long, value_name = "N")]
    pub(crate) streams_max: Option<String>,

    /// Maximum number of topics and patterns of one stream [default: 100].
    #[arg(long, value_name = "N")]
    pub(crate) filters_max: Option<String>,

    /// Maximum number of connections that have not sent a whole head yet; one more closes the oldest
    /// [default: 16384, or half the descriptors].
    #[arg(long, value_name = "N")]
    pub(crate) heads_max: Option<String>,

    /// Maximum number of TLS handshakes under way; one more closes the oldest [default: 4096].
    #[arg(long, value_name = "N")]
    pub(crate) handshakes_max: Option<String>,

    /// Maximum number of open streams of one address, or 'none' [default: 1000].
    #[arg(long, value_name = "N")]
    pub(crate) address_streams: Option<String>,

    /// Maximum number of requests of one address in a second, or 'none' [default: 500].
    #[arg(long, value_name = "N")]
    pub(crate) address_requests: Option<String>,

    /// Maximum number of open streams of one token's subject, or 'none' [default: 100].
    #[arg(long, value_name = "N")]
    pub(crate) subject_streams: Option<String>,

    /// Maximum number of requests of one token's subject in a second, or 'none' [default: 100].
    #[arg(long, value_name = "N")]
    pub(crate) subject_requests: Option<String>,

    /// Maximum number of events that one token's subject publishes in a second, or 'none'
    /// [default: 1000].
    #[arg(long, value_name = "N")]
    pub(crate) subject_events: Option<String>,
}
