//! Everything that belongs to one stream alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_hub::engine::OnEnd;
use tidings_hub::{Client, Event, StreamShape, Topic};

use crate::auth::grant::Grant;
use crate::engine::subject::Subject;
use crate::usage::Places;

/// Everything that belongs to one stream alone, beside its view and its start.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StreamSpec {
    /// The kind of client that reads it.
    pub client: Client,
    /// How its reader is told of a gap, and what breaks a silence.
    pub shape: StreamShape,
    /// The subject that it belongs to, if any, beside the one that a token names. All streams of a
    /// subject can be ended together.
    pub subject: Option<Subject>,
    /// An event sent before all others, after the preamble. Its ID, if it has one, is left out.
    pub greeting: Option<Event>,
    /// The longest time that it may last.
    pub timeout: Option<Duration>,
    /// A hook, run when the stream has ended for whatever reason, and also if it is never opened. It
    /// runs on the thread that writes this and many other streams, with no lock held: it may publish
    /// and should not block.
    pub on_end: Option<OnEnd>,
    /// The address of the client, if a proxy tells it: the socket has the proxy's.
    pub(crate) address: Option<SocketAddr>,
    /// The places that the stream takes among those of its address and its subject, if these are
    /// limited.
    pub(crate) places: Option<Places>,
    /// The grant of its reader's token, if it names a subject.
    pub(crate) grant: Option<Arc<Grant>>,
}

impl StreamSpec {
    /// The topic whose ends close the stream: that of its own subject. The streams of a token's
    /// subject are closed by a revocation, which is about tokens: a reader with a new token may come
    /// back with an old place.
    pub(crate) fn ends(&self) -> Option<&Topic> {
        self.subject.as_ref().map(Subject::ends)
    }
}
