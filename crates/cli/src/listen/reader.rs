//! The program that reads standard output.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The reading end of standard output, if that is a pipe or a socket.
pub(super) struct Reader(Option<AsyncFd<OwnedFd>>);

impl Reader {
    /// Watches standard output. Files cannot be watched, and have no reader that could go.
    pub(super) fn of_standard_output() -> Self {
        Self(io::stdout().as_fd().try_clone_to_owned().and_then(watch).ok())
    }

    /// Nobody in particular, who never goes.
    pub(super) fn nobody() -> Self {
        Self(None)
    }

    /// Waits until the reader has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn gone(&self) {
        let Some(fd) = &self.0 else { return pending().await };
        // An error ends the watch, and the next write finds out.
        while let Ok(mut ready) = fd.ready(Interest::WRITABLE).await {
            if ready.ready().is_write_closed() {
                return;
            }
            // There was room for more, which is nothing to act on.
            ready.clear_ready();
        }
        pending().await
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe, and an `OwnedFd` keeps what that demands"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::WRITABLE)
}
