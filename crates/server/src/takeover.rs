//! Taking a connection from hyper, once the answer to its request is an event stream.
//!
//! hyper keeps buffers and a task for each connection; a shard keeps a few hundred bytes. What hyper
//! wrote before has been flushed, or the connection is not taken; what it read past the request is
//! thrown away, because a taken connection serves no second request.

use std::io;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use mio::net::TcpStream;
use socket2::SockRef;
use tracing::debug;

use crate::answer::Opened;
use crate::app::App;
use crate::engine::{Adopted, Framing};
use crate::preface::Rewound;

/// Hands the connection of an opened stream to the shard that subscribed for it.
pub(crate) fn take_over(
    app: &App,
    io: Rewound<TokioIo<tokio::net::TcpStream>>,
    read_past: usize,
    opened: Opened,
) {
    let (Some(engine), Some(io)) = (&app.engine, io.into_inner()) else { return };
    let socket = match detach(io.into_inner(), app.config.stall_timeout) {
        Ok(socket) => socket,
        Err(error) => {
            debug!(error = &error as &dyn std::error::Error, "connection not taken over");
            return;
        }
    };
    let head = head(&opened);
    let Opened { shard, reader, client, framing, greeting, timeout, extras, place, .. } = opened;
    let discarded = u16::try_from(read_past).unwrap_or(u16::MAX);
    let adopted = Adopted {
        socket,
        reader,
        client,
        framing,
        head,
        discarded,
        greeting,
        timeout,
        extras,
        place,
    };
    engine.adopt(shard, adopted);
}

fn detach(socket: tokio::net::TcpStream, stall_timeout: Duration) -> io::Result<TcpStream> {
    let socket = socket.into_std()?;
    let options = SockRef::from(&socket);
    limit_unsent(&options)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    options.set_tcp_user_timeout(Some(stall_timeout))?;
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = stall_timeout;
    Ok(TcpStream::from_std(socket))
}

/// Bounds what the kernel holds for a client that takes nothing.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn limit_unsent(options: &SockRef<'_>) -> io::Result<()> {
    /// Below it, a socket counts as writable: enough to keep a fast client busy for a round trip.
    const UNSENT_BYTES_MAX: u32 = 16 * 1024;
    options.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// The same where unsent bytes have no limit of their own: the whole buffer has one.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn limit_unsent(options: &SockRef<'_>) -> io::Result<()> {
    const SEND_BYTES_MAX: usize = 64 * 1024;
    options.set_send_buffer_size(SEND_BYTES_MAX)
}

/// The head of the response, as HTTP/1 spells it (RFC 9112, section 4).
fn head(opened: &Opened) -> Vec<u8> {
    let (version, framing) = match opened.framing {
        Framing::Chunked => ("HTTP/1.1", "transfer-encoding: chunked\r\n"),
        Framing::Close => ("HTTP/1.0", ""),
    };
    let mut head = format!("{version} 200 OK\r\n").into_bytes();
    for (name, value) in opened.head.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    head.extend_from_slice(
        format!("{framing}connection: close\r\ndate: {date}\r\n\r\n").as_bytes(),
    );
    head
}
