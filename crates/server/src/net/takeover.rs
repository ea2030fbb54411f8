//! Taking the socket of a connection for a shard, once the answer to its request is an event stream.
//!
//! A task and the runtime's bookkeeping would be kept for each stream; a shard keeps a few hundred bytes.
//! What was read past the request is thrown away, because a taken connection serves no second request.

use std::io;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::app::App;
use crate::engine::{Adopted, Connection};
use crate::http::answer::Opened;
use crate::socket::options;

/// Hands the connection of an opened stream to the shard that subscribed for it, with what is to be
/// sent before the stream's own text.
pub(crate) fn take_over(
    app: &App,
    socket: TcpStream,
    head: Vec<u8>,
    read_past: usize,
    opened: Opened,
) -> io::Result<()> {
    if !options::ACCEPTED_INHERIT {
        options::limit(&SockRef::from(&socket), app.config.stall_timeout)?;
    }
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
    app.engine.adopt(shard, adopted);
    Ok(())
}
