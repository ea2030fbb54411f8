//! Taking a connection from hyper, once the answer to its request is an event stream.
//!
//! hyper keeps buffers and a task for each connection; a shard keeps a few hundred bytes. What hyper
//! wrote before has been flushed, or the connection is not taken; what it read past the request is
//! thrown away, because a taken connection serves no second request.

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;
use hyper_util::rt::TokioIo;
use mio::net::TcpStream;
use socket2::SockRef;
use tracing::debug;

use crate::answer::Opened;
use crate::app::App;
use crate::engine::{Adopted, Connection, Framing};
use crate::preface::Rewound;
use crate::socket_options;

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
        socket: Connection::new(socket),
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
    if !socket_options::ACCEPTED_INHERIT {
        socket_options::limit(&SockRef::from(&socket), stall_timeout)?;
    }
    Ok(TcpStream::from_std(socket))
}

/// The head of the response, as HTTP/1 spells it (RFC 9112, section 4).
fn head(opened: &Opened) -> Vec<u8> {
    /// What a head takes with all headers there may be, and the preamble after it.
    const USUAL_BYTES: usize = 768;
    let (status, framing) = match opened.framing {
        Framing::Chunked => ("HTTP/1.1 200 OK\r\n", "transfer-encoding: chunked\r\n"),
        Framing::Close => ("HTTP/1.0 200 OK\r\n", ""),
    };
    let mut head = Vec::with_capacity(USUAL_BYTES);
    head.extend_from_slice(status.as_bytes());
    for (name, value) in opened.head.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(framing.as_bytes());
    let date = HttpDate::from(SystemTime::now());
    write!(head, "connection: close\r\ndate: {date}\r\n\r\n").expect("memory takes all");
    head
}
