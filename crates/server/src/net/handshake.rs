//! The handshake of a connection with TLS.

use std::future::{Future as _, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::context::Context;
use crate::net::connections::ConnectionPermit;
use crate::net::handshakes::Handshakes;
use crate::net::in_time::in_time;
use crate::net::linger::linger;
use crate::socket::transport::Transport;

/// The first byte of a TLS connection: a record of a handshake (RFC 8446, section 5.1).
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// The number of bytes that TLS holds for a client that takes none: one record.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// The answer to a request without TLS.
const NEEDS_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    this port speaks TLS: use https://\n";

/// Waits for the handshake of a connection; `None` if there is none in time. Its time is that of a
/// request's head, which it comes before.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn handshake(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    context: &Context,
    permit: &ConnectionPermit,
) -> Option<Box<TlsStream<TcpStream>>> {
    let shaken = in_time(context, permit, shake(socket, config, &context.handshakes)).await;
    match shaken {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            debug!(error = &error as &dyn std::error::Error, "handshake failed");
            context.metrics.handshake_failed();
            None
        }
        None => {
            context.metrics.handshake_failed();
            None
        }
    }
}

async fn shake(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    handshakes: &Handshakes,
) -> io::Result<Option<Box<TlsStream<TcpStream>>>> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first != [TLS_HANDSHAKE] {
        return refuse(socket).await.map(|()| None);
    }
    let mut turn = handshakes.turn().await?;
    let begun = handshakes.begin();
    let limit = |session: &mut rustls::ServerConnection| {
        session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
    };
    // Boxed here: it moves into the stream, which is boxed.
    let mut accepting = Box::pin(TlsAcceptor::from(config).accept_with(socket, limit));
    loop {
        let polled = poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx))).await;
        drop(turn);
        if let Poll::Ready(stream) = polled {
            return stream.map(|stream| Some(Box::new(stream)));
        }
        // Until the socket has news, without a turn.
        let mut is_woken = false;
        let cut = poll_fn(|cx| {
            if begun.activity().poll_cut(cx).is_ready() {
                return Poll::Ready(true);
            }
            if std::mem::replace(&mut is_woken, true) { Poll::Ready(false) } else { Poll::Pending }
        });
        if cut.await {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it gave way to other handshakes"));
        }
        turn = handshakes.turn().await?;
    }
}

/// Answers a client that does not speak TLS.
async fn refuse(mut socket: TcpStream) -> io::Result<()> {
    debug!("HTTP without TLS on a port with TLS");
    socket.write_all(NEEDS_TLS.as_bytes()).await?;
    linger(Transport::Clear(socket)).await;
    Ok(())
}
