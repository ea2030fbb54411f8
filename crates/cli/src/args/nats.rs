//! The arguments of `serve` about a stream that several hubs share.

use std::path::PathBuf;

use clap::Args;

/// The stream of NATS JetStream, as written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NatsArgs {
    /// Name of this hub among those of the stream, in lists and metrics [default: the machine's name, and letters at random].
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,

    /// Server of NATS, such as nats://a:4222 or tls://a:4222: hubs of one stream have the same events.
    /// Each keeps them in memory, bounded by --history-bytes, or with --data in a folder as well; may be
    /// repeated, or a list with commas.
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with = "memory")]
    pub(crate) nats: Vec<String>,

    /// File of credentials for NATS (.creds), or of the seed of an NKey.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_creds: Option<PathBuf>,

    /// Certificates of authorities in PEM, by which NATS servers are trusted [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,

    /// Name of the stream in NATS, which is created if it does not exist [default: TIDINGS].
    #[arg(long, value_name = "NAME")]
    pub(crate) nats_stream: Option<String>,

    /// Number of NATS servers that keep the stream, 1, 3 or 5, if this hub creates it [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) nats_replicas: Option<String>,
}
