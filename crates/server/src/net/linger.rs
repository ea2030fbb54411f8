//! The end of a connection whose client may still be sending.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::socket::transport::Transport;

/// The time that the client of an answered connection has to stop sending.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(2);
/// The maximum number of bytes that are read and discarded after an answer: beyond that, a client
/// that does not read loses the answer.
pub(crate) const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Closes the sending side, and discards what still comes until the client closes its own: a close
/// with unread bytes would reset the connection, and a client that writes before it reads would
/// lose the answer.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn linger(mut socket: Transport) {
    let read = async {
        // With TLS, this writes a last record.
        if socket.shutdown().await.is_err() {
            return;
        }
        let mut buffer = vec![0; 16 * 1024];
        let mut bytes = 0;
        while let Ok(read @ 1..) = socket.read(&mut buffer).await {
            bytes += read as u64;
            if bytes > BYTES_MAX {
                return;
            }
        }
    };
    // Either way, the connection is closed next.
    let _ = timeout(TIME_MAX, read).await;
}
