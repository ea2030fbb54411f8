//! The way of an event stream that leaves with its connection.
//!
//! In clear text, the socket goes to a shard: a few hundred bytes instead of a task and the runtime's
//! bookkeeping. With TLS, a small task of its own has the connection. Bytes read past the request are
//! discarded, because the connection serves no second request.

use std::io;

use http::Response;
use socket2::SockRef;

use crate::context::Context;
use crate::engine::{Adopted, ShardSocket};
use crate::http::respond::ShardStream;
use crate::http::response_body::ResponseBody;
use crate::net::connections::ConnectionPermit;
use crate::net::http1::Leaving;
use crate::net::stalls::Cutter;
use crate::net::tls_stream::TlsEventStream;
use crate::socket::options;
use crate::socket::transport::Transport;

/// Hands the connection of an opened stream to the shard that subscribed for it.
pub(crate) fn to_shard(context: &Context, leaving: Leaving<Box<ShardStream>>) -> io::Result<()> {
    let Leaving { mut socket, stream, .. } = leaving;
    let head = socket.take_unsent();
    let discarded = u16::try_from(socket.buffer.len()).unwrap_or(u16::MAX);
    let socket = socket.into_bare()?;
    if !options::ACCEPTED_INHERIT {
        options::limit(&SockRef::from(&socket), context.config.stall_timeout)?;
    }
    let ShardStream { shard, subscription, .. } = *stream;
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

/// Makes the event stream of a connection with TLS, to be run by a task of its own.
pub(crate) fn to_task(
    context: &Context,
    leaving: Leaving<Response<ResponseBody>>,
    permit: ConnectionPermit,
) -> io::Result<TlsEventStream> {
    let Leaving { mut socket, stream, framing } = leaving;
    let head = socket.take_unsent();
    let (Transport::Tls(tls), read_past) = socket.into_waiting()? else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut body = stream.into_body();
    let cutter = Cutter::Connection(permit.activity().clone());
    body.watch(permit.answer(), context.stalls.enter(cutter));
    Ok(TlsEventStream::new(tls, (head, body, framing), read_past.len(), permit))
}
