//! Hands the socket of a connection to a shard once the answer to its request is an event stream.
//!
//! A stream in a shard costs a few hundred bytes instead of a task and the runtime's bookkeeping.
//! Bytes read past the request are discarded, because the connection serves no second request.

use std::io;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::context::Context;
use crate::engine::{Adopted, ShardSocket};
use crate::http::respond::ShardStream;
use crate::socket::options;

/// Hands the connection of an opened stream to the shard that subscribed for it, with the bytes to
/// send before the stream's own text.
pub(crate) fn take_over(
    context: &Context,
    socket: TcpStream,
    head: Vec<u8>,
    read_past: usize,
    stream: ShardStream,
) -> io::Result<()> {
    if !options::ACCEPTED_INHERIT {
        options::limit(&SockRef::from(&socket), context.config.stall_timeout)?;
    }
    let discarded = u16::try_from(read_past).unwrap_or(u16::MAX);
    let ShardStream { shard, subscription, .. } = stream;
    let grant = subscription.spec.grant.clone();
    let adopted = Adopted { socket: ShardSocket::new(socket), head, discarded, subscription };
    context.engine.adopt(shard, adopted);
    // A revocation while the stream was on its way did not find it in the shard.
    if let Some(grant) = grant
        && context.control.revocations().concern(&grant)
        && let Some(subject) = &grant.subject
    {
        context.engine.close_subject(subject);
    }
    Ok(())
}
