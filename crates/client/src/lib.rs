//! A Server-Sent Events client that never loses its place.

mod backoff;
mod body;
mod builder;
mod content_encoding;
mod credentials;
mod event;
mod headers;
mod lifecycle;
mod plan;
mod publisher;
mod redirect;
mod retry_after;
mod signal;
mod source;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod transport;

pub use backoff::Backoff;
pub use body::Body;
pub use builder::{BuildError, Builder};
pub use credentials::{Credentials, CredentialsError, Occasion};
pub use event::{Event, Gap, JsonError};
pub use lifecycle::State;
pub use publisher::{
    Draft, IdempotencyKey, InvalidIdempotencyKey, PublishError, PublishManyError, Published,
    Publisher, PublisherBuilder, Receipt, RefusedPublish,
};
pub use redirect::RedirectError;
pub use signal::{Cause, Closed, Open, Refusal, Refused, Resumption, Retrying, Signal};
pub use source::{EventSource, NextJsonError};
pub use status::{StatusPolicy, Verdict};
pub use tidings_proto::{EventId, EventType, LimitExceeded, Limits};
pub use timer::{Sleep, Timer, TokioTimer};
#[cfg(feature = "reqwest")]
pub use transport::ReqwestTransport;
pub use transport::{
    HttpVersion, HyperTransport, HyperTransportBuilder, InvalidProxy, InvalidRoots, Proxy, Sending,
    Stage, Transport, TransportError,
};
