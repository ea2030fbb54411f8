//! The configuration of the journal on NATS.

use std::fmt;
use std::path::PathBuf;

use super::copy::CopyConfig;

/// The servers of NATS and the stream that hubs share.
#[derive(Clone)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The addresses of the servers, as `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// The text of a file of credentials, with a token and the seed of an NKey.
    pub credentials: Option<String>,
    /// A file of certificates by which servers are trusted, instead of those of the system.
    pub certificates: Option<PathBuf>,
    /// The name of the stream. It is made if it is not there.
    pub stream: String,
    /// The number of servers that keep the stream, if it is made.
    pub replicas: u8,
    /// The size of the stream, if it is made.
    pub stream_bytes_max: u64,
    /// A copy of the stream on disk, if the hub is to have one.
    pub copy: Option<CopyConfig>,
}

impl NatsConfig {
    /// The stream `TIDINGS` on some servers, kept by one of them.
    #[must_use]
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            credentials: None,
            certificates: None,
            stream: "TIDINGS".to_owned(),
            replicas: 1,
            stream_bytes_max: 512 << 20,
            copy: None,
        }
    }

    /// Checks the address of a server.
    ///
    /// # Errors
    ///
    /// One clause about what is wrong with it.
    pub fn check_server(address: &str) -> Result<(), String> {
        let is_known = ["nats://", "tls://"].iter().any(|scheme| address.starts_with(scheme));
        if !is_known {
            return Err("must be an address such as nats://host:4222 or tls://host:4222".to_owned());
        }
        match address.parse::<async_nats::ServerAddr>() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("must be an address such as nats://host:4222: {error}")),
        }
    }

    /// Checks the name of a stream.
    ///
    /// # Errors
    ///
    /// One clause about what is wrong with it.
    pub fn check_stream(name: &str) -> Result<(), String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=64).contains(&name.len()) && name.chars().all(is_fine) {
            Ok(())
        } else {
            Err("must have 1 to 64 letters, digits, '-' or '_'".to_owned())
        }
    }

    /// The subject of the stream's messages.
    pub(super) fn subject(&self) -> String {
        format!("tidings.{}", self.stream)
    }
}

impl fmt::Debug for NatsConfig {
    /// Without the credentials, and without the passwords of addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig").field("stream", &self.stream).finish_non_exhaustive()
    }
}
