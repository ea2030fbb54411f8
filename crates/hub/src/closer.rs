//! Ending one stream from elsewhere.

use std::fmt;
use std::sync::Arc;

use crate::watch::{Due, Watch};

/// Ends one stream from elsewhere: from a list of those that are open, say.
///
/// Made by [`Body::closer`](crate::Body::closer) and [`Subscriber::closer`](crate::Subscriber::closer). It
/// keeps nothing open, and does nothing once the stream is over. To end all streams of a topic there is
/// [`Hub::close`](crate::Hub::close), which also keeps them from coming back.
#[derive(Clone)]
pub struct Closer(Arc<Watch>);

impl Closer {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self(watch)
    }

    /// Ends the stream, as [`StreamEnd::Completed`](crate::StreamEnd::Completed): whoever polls it is
    /// woken and finds its end, whatever there is still to be sent.
    pub fn close(&self) {
        self.0.wake_for(Due::Close);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}
