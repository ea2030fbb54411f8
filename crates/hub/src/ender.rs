//! Ending one stream from elsewhere.

use std::fmt;
use std::sync::Arc;

use crate::watch::{Due, Watch};

/// Ends one stream from elsewhere: from a list of those that are open, say.
///
/// Made by [`Body::ender`](crate::Body::ender) and [`Subscriber::ender`](crate::Subscriber::ender). It
/// keeps nothing open, and does nothing once the stream is over. To end all streams of a topic there is
/// [`Hub::end`](crate::Hub::end), which also keeps them from coming back.
#[derive(Clone)]
pub struct Ender(Arc<Watch>);

impl Ender {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self(watch)
    }

    /// Ends the stream, as [`StreamEnd::Completed`](crate::StreamEnd::Completed): whoever polls it is
    /// woken and finds its end, whatever there is still to be sent.
    pub fn end(&self) {
        self.0.wake_for(Due::End);
    }
}

impl fmt::Debug for Ender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ender")
    }
}
