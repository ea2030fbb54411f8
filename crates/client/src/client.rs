//! The client, which event sources and publishers share.

use std::sync::Arc;

use http::Method;

use crate::builder::Builder;
use crate::publisher::PublisherBuilder;
use crate::timer::Timer;
use crate::transport::Transport;
use crate::wiring::Wiring;

/// A transport shared by any number of event sources and publishers: its connections, its TLS
/// roots and sessions, its proxy.
///
/// A program that opens many streams, or both listens and publishes, makes one client and keeps
/// it. Cloning a client is cheap, and clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tidings_client::{Client, Draft};
///
/// let client = Client::new();
/// let mut news = client.get("http://localhost:8080/topics/news").open()?;
/// let mut prices = client.get("http://localhost:8080/topics/prices").open()?;
/// let hub = client.publisher("http://localhost:8080").build()?;
///
/// hub.publish(Draft::new("news", "hello")).await?;
/// # Ok(())
/// # }
/// ```
///
/// The default transport keeps up to four idle connections to each server for half a minute, and
/// carries the streams of one HTTP/2 server over one connection. An attempt that follows a broken
/// connection always makes a new one. For other settings, or another transport, see
/// [`with_transport`](Self::with_transport).
#[derive(Debug, Clone)]
pub struct Client {
    wiring: Wiring,
}

impl Client {
    /// Makes a client with a [`HyperTransport`](crate::HyperTransport) of its own and tokio's
    /// clock.
    #[must_use]
    pub fn new() -> Self {
        Self { wiring: Wiring::pooled() }
    }

    /// Makes a client that sends its requests through `transport`.
    ///
    /// ```
    /// use tidings_client::{Client, HyperTransport, Proxy};
    ///
    /// let transport = HyperTransport::builder().proxy(Proxy::from_env()).connections_kept(4);
    /// let client = Client::with_transport(transport.build());
    /// ```
    #[must_use]
    pub fn with_transport(transport: impl Transport) -> Self {
        Self { wiring: Wiring::new(transport) }
    }

    /// Replaces the clock, for this client and the clones made of it from here on.
    #[must_use]
    pub fn with_timer(mut self, timer: impl Timer) -> Self {
        self.wiring.timer = Arc::new(timer);
        self
    }

    /// Describes an event source that requests `url` with GET.
    pub fn get(&self, url: &str) -> Builder {
        self.request(Method::GET, url)
    }

    /// Describes an event source that requests `url` with POST, as model APIs expect.
    pub fn post(&self, url: &str) -> Builder {
        self.request(Method::POST, url)
    }

    /// Describes an event source that requests `url` with any method.
    pub fn request(&self, method: Method, url: &str) -> Builder {
        Builder::new(self.wiring.clone(), method, url)
    }

    /// Describes a publisher to the hub at the URL `hub`.
    pub fn publisher(&self, hub: &str) -> PublisherBuilder {
        PublisherBuilder::new(self.wiring.clone(), hub)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
