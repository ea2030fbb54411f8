//! Closing one stream from elsewhere.

use std::fmt;
use std::sync::Arc;

use crate::watch::{Due, Watch};

/// A handle that closes one stream from elsewhere, such as from a list of open streams.
///
/// Made by [`Body::closer`](crate::Body::closer) and [`Subscriber::closer`](crate::Subscriber::closer). It
/// keeps nothing open, and does nothing once the stream has ended. [`Hub::close`](crate::Hub::close)
/// closes all streams of a topic, and also keeps them from coming back.
#[derive(Clone)]
pub struct Closer(Arc<Watch>);

impl Closer {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self(watch)
    }

    /// Closes the stream with [`StreamEnd::Completed`](crate::StreamEnd::Completed): its task is woken and
    /// finds the end, even if there are events left to send.
    pub fn close(&self) {
        self.0.wake_for(Due::Close);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}
