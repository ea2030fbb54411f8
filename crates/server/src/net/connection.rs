//! The life of one connection.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mio::net::TcpStream as BareStream;
use tokio::time::sleep;
use tracing::debug;

use crate::config::ServerConfig;
use crate::context::Context;
use crate::http::common_headers::CommonHeaders;
use crate::http::request::{Caller, Claims, RequestBody};
use crate::http::respond::Handled;
use crate::http::response_body::ResponseBody;
use crate::net::connections::ConnectionPermit;
use crate::net::handshake::handshake;
use crate::net::http1::{Left, Unread, serve as serve_plain};
use crate::net::in_time::in_time;
use crate::net::linger::linger;
use crate::net::redirect;
use crate::net::rewound::Rewound;
use crate::net::stalls::Cutter;
use crate::net::stream_tasks::{Spawner, StreamTasks, WithTasks};
use crate::net::takeover::{to_shard, to_task};
use crate::net::tls_stream::TlsEventStream;
use crate::phase::closing;
use crate::proxies::protocol::client;
use crate::router::Router;
use crate::socket::buffered::BufferedSocket;
use crate::socket::options::ACCEPTED_INHERIT;
use crate::socket::transport::Transport;

/// The start of an HTTP/2 connection, as far as it looks like an HTTP/1 head (RFC 9113, section
/// 3.4).
const PREFACE: &[u8; 18] = b"PRI * HTTP/2.0\r\n\r\n";

/// The kind of a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// HTTP in clear text.
    Clear,
    Tls,
    /// HTTP in clear text, whose requests are redirected to this port, which has TLS.
    Redirect(u16),
}

/// The life of a connection, up to what it leaves to a task of its own, which needs less memory.
pub(crate) type Life = Pin<Box<dyn Future<Output = Option<Next>> + Send>>;

/// The rest of the life of a connection, after its plain requests.
pub(crate) enum Next {
    /// An event stream over TLS.
    Stream(TlsEventStream),
    /// The requests that hyper reads, served to their end.
    Requests(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// Serves a connection until it ends or the server does. The future is boxed, and has the size that
/// its door needs: connections that stop in a handshake are many.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and everything on it.
pub(crate) fn serve(
    socket: BareStream,
    (peer, door): (SocketAddr, Door),
    router: Arc<Router>,
    permit: ConnectionPermit,
) -> Life {
    match door {
        Door::Clear => Box::pin(serve_clear(socket, peer, router, permit)),
        Door::Tls => Box::pin(serve_tls(socket, peer, router, permit)),
        Door::Redirect(port) => Box::pin(async move {
            serve_redirect((socket, peer), port, &router, permit).await;
            None
        }),
    }
}

/// Serves a connection in clear text.
async fn serve_clear(
    socket: BareStream,
    peer: SocketAddr,
    router: Arc<Router>,
    permit: ConnectionPermit,
) -> Option<Next> {
    let (socket, caller) = enter(socket, peer, &router.context, &permit).await?;
    match serve_plain(socket, caller.clone(), &router, &permit).await {
        Left::Nothing => None,
        Left::Stream(leaving) => {
            note(to_shard(&router.context, leaving));
            None
        }
        Left::Unread(unread) => Some(requests(unread, caller, router, permit)),
    }
}

/// The requests of a connection that has brought one that is not plain.
fn requests(unread: Unread, caller: Caller, router: Arc<Router>, permit: ConnectionPermit) -> Next {
    Next::Requests(Box::pin(serve_rest(unread, caller, router, Arc::new(permit))))
}

/// Serves a connection with TLS: the handshake, and then requests as in clear text.
async fn serve_tls(
    socket: BareStream,
    peer: SocketAddr,
    router: Arc<Router>,
    permit: ConnectionPermit,
) -> Option<Next> {
    let context = &router.context;
    let config = context.control.tls()?;
    let (socket, caller) = enter(socket, peer, context, &permit).await?;
    let (Transport::Clear(socket), _) = note(socket.into_waiting())? else { return None };
    // Each boxed, so that neither needs the memory of the other.
    let tls = Box::pin(handshake(socket, config, context, &permit)).await?;
    let socket = BufferedSocket::waiting(Transport::Tls(tls));
    match Box::pin(serve_plain(socket, caller.clone(), &router, &permit)).await {
        Left::Nothing => None,
        Left::Stream(leaving) => note(to_task(&router.context, leaving, permit)).map(Next::Stream),
        Left::Unread(unread) => Some(requests(unread, caller, router, permit)),
    }
}

/// Prepares a connection for its first bytes; returns it with its client.
async fn enter(
    socket: BareStream,
    peer: SocketAddr,
    context: &Context,
    permit: &ConnectionPermit,
) -> Option<(BufferedSocket, Caller)> {
    // Events are small and must not be delayed by Nagle's algorithm.
    if !ACCEPTED_INHERIT && socket.set_nodelay(true).is_err() {
        return None;
    }
    let (socket, caller) = (BufferedSocket::new(socket), Caller::new(peer));
    if context.control.live().proxies.contains(peer.ip()) {
        // Boxed: few connections come from proxies.
        return Box::pin(behind_proxy(socket, caller, context, permit)).await;
    }
    Some((socket, caller))
}

/// Reads the head that a trusted proxy may send first, in which it tells the address of its client.
async fn behind_proxy(
    socket: BufferedSocket,
    caller: Caller,
    context: &Context,
    permit: &ConnectionPermit,
) -> Option<(BufferedSocket, Caller)> {
    let (Transport::Clear(mut socket), _) = note(socket.into_waiting())? else { return None };
    let told = note(in_time(context, permit, client(&mut socket)).await?)?;
    let caller = told.map_or(caller.clone(), |address| caller.at(address));
    Some((BufferedSocket::waiting(Transport::Clear(socket)), caller))
}

/// Redirects the requests of a connection in clear text.
async fn serve_redirect(
    (socket, peer): (BareStream, SocketAddr),
    port: u16,
    router: &Arc<Router>,
    permit: ConnectionPermit,
) {
    let Some((socket, _)) = enter(socket, peer, &router.context, &permit).await else { return };
    let Some((socket, _)) = note(socket.into_waiting()) else { return };
    let io = Rewound::new(Vec::new(), TokioIo::new(socket));
    let permit = Arc::new(permit);
    let service = service_fn({
        let (router, permit) = (Arc::clone(router), Arc::clone(&permit));
        move |request: Request<Incoming>| {
            permit.leave();
            let response = redirect::answer(&router.context, &request.into_parts().0, port);
            std::future::ready(Ok::<_, Infallible>(response.map(ResponseBody::whole)))
        }
    });
    let mut connection = http1_builder(&router.context.config).serve_connection(io, service);
    if drive(Pin::new(&mut connection), &router.context, &permit).await == Driven::ToItsEnd {
        linger_unless_cut(connection.into_parts().io.into_inner().into_inner(), &permit).await;
    }
}

/// The value of a result; an error of the connection is logged.
fn note<T>(result: io::Result<T>) -> Option<T> {
    result
        .inspect_err(|error| debug!(error = error as &dyn std::error::Error, "connection failed"))
        .ok()
}

/// Serves by hyper a connection that has brought a request that is not plain.
async fn serve_rest(
    unread: Unread,
    caller: Caller,
    router: Arc<Router>,
    permit: Arc<ConnectionPermit>,
) {
    let Unread { socket, first } = unread;
    let tasks = StreamTasks::default();
    let is_http2 = !permit.has_left() && first.starts_with(PREFACE);
    let io = Rewound::new(first, TokioIo::new(socket));
    let service = service_fn({
        let (router, permit) = (Arc::clone(&router), Arc::clone(&permit));
        let tasks = is_http2.then(|| tasks.spawner());
        move |request| {
            permit.leave();
            let caller = caller.clone();
            let peer = Peer { caller, permit: Arc::clone(&permit), tasks: tasks.clone() };
            // Boxed, because on HTTP/2 its memory would be the stream's for as long as that is open.
            let response: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(respond(Arc::clone(&router), peer, request));
            response
        }
    });
    if is_http2 {
        let builder = http2_builder(&router.context.config, tasks.spawner());
        let connection = builder.serve_connection(io, service);
        drive(pin!(WithTasks { connection, tasks }), &router.context, &permit).await;
    } else {
        let mut connection = http1_builder(&router.context.config).serve_connection(io, service);
        if drive(Pin::new(&mut connection), &router.context, &permit).await == Driven::ToItsEnd {
            linger_unless_cut(connection.into_parts().io.into_inner().into_inner(), &permit).await;
        }
    }
}

/// Lets the client of an answered connection finish sending, unless its descriptor is needed.
async fn linger_unless_cut(socket: Transport, permit: &ConnectionPermit) {
    let mut lingering = pin!(linger(socket));
    poll_fn(|cx| match lingering.as_mut().poll(cx) {
        Poll::Pending => permit.activity().poll_cut(cx),
        Poll::Ready(()) => Poll::Ready(()),
    })
    .await;
}

/// Where a request that hyper reads has come from.
struct Peer {
    caller: Caller,
    permit: Arc<ConnectionPermit>,
    /// The tasks of its connection's streams; `None` over HTTP/1.
    tasks: Option<Spawner>,
}

impl Peer {
    /// The handle that ends the response if its client takes nothing.
    fn cutter(&self) -> Cutter {
        match self.tasks.as_ref().and_then(Spawner::current) {
            Some(task) => Cutter::Task(task),
            None => Cutter::Connection(Arc::clone(self.permit.activity())),
        }
    }
}

async fn respond(
    router: Arc<Router>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (head, incoming) = request.into_parts();
    let answering = peer.permit.answer();
    let activity = Arc::clone(peer.permit.activity());
    let mut body = RequestBody::new(incoming, activity, router.context.config.body_timeout)
        .within(router.context.control.bodies());
    let claims = Claims::of(&head.headers);
    let (common, mut response) =
        match router.handle((&head, &claims), &mut body, &peer.caller).await {
            Handled::Whole(whole) => {
                let (common, response) = whole.into_response();
                (common, response.map(ResponseBody::whole))
            }
            Handled::Pieces(response) => (CommonHeaders::Any, response.map(ResponseBody::answer)),
            Handled::Stream(response) => (CommonHeaders::Any, response),
        };
    let progress = router.context.stalls.enter(peer.cutter());
    response.body_mut().watch(answering, progress);
    let headers = response.headers_mut();
    common.add_to(headers);
    if head.version == Version::HTTP_2 {
        // HTTP/2 has no such header (RFC 9113, section 8.2.2).
        headers.remove(CONNECTION);
    }
    Ok(response)
}

/// The one place where connections of HTTP/1 are configured: without the timeout and its timer, a
/// client that sends half a head holds a connection forever.
fn http1_builder(config: &ServerConfig) -> http1::Builder {
    /// The size of the read buffer, which must also hold a whole head.
    const BUFFER_BYTES_MAX: usize = 64 * 1024;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_header_size(config.head_bytes_max)
        .max_buf_size(BUFFER_BYTES_MAX.max(config.head_bytes_max));
    builder
}

/// The same for HTTP/2.
fn http2_builder(config: &ServerConfig, tasks: Spawner) -> http2::Builder<Spawner> {
    /// A dead peer is detected within twice this time.
    const KEEP_ALIVE: Duration = Duration::from_secs(20);
    /// The maximum number of bytes per stream that wait for its connection, beside one piece that a
    /// poll of its body yields: a frame.
    const SEND_BYTES_MAX: usize = 16 * 1024;
    /// The size of the table of header lines that a client may refer to (RFC 7541, section 4.2): the
    /// usual ones and a token fit. Each line keeps the piece of memory that it was decoded in; with the
    /// default of four times as many bytes, 100 readers with a token each keep 10 KB of such pieces.
    const HEADER_TABLE_BYTES: u32 = 1024;
    let head_bytes_max = u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(head_bytes_max)
        .header_table_size(HEADER_TABLE_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX);
    builder
}

/// A connection that hyper serves.
trait HyperConnection: Future<Output = hyper::Result<()>> {
    /// Asks it to end after the current requests.
    fn finish(self: Pin<&mut Self>);
}

type Io = Rewound<TokioIo<Transport>>;

impl<S> HyperConnection for http1::Connection<Io, S>
where
    S: HttpService<Incoming, ResBody = ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> HyperConnection for WithTasks<http2::Connection<Io, S, Spawner>>
where
    S: HttpService<Incoming, ResBody = ResponseBody>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }
}

/// How a connection that hyper serves has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driven {
    /// It was closed for sending, after the last answer or an error, which may be answered too.
    ToItsEnd,
    /// It gave way to others, or was given up.
    Cut,
}

/// Drives a connection until it ends or is evicted.
async fn drive(
    mut connection: Pin<&mut impl HyperConnection>,
    context: &Context,
    permit: &ConnectionPermit,
) -> Driven {
    let mut phases = context.phases();
    let mut closing = pin!(closing(&mut phases));
    let mut is_finishing = false;
    // hyper has a timeout for the head of HTTP/1; an HTTP/2 client could be silent after its
    // preface.
    let mut before_head = Some(pin!(sleep(context.config.head_timeout)));
    // Polled by hand, so that the head's timeout costs nothing once the head has arrived.
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                debug!(error = &error as &dyn std::error::Error, "connection failed");
            }
            return Poll::Ready(Driven::ToItsEnd);
        }
        if permit.has_left() {
            before_head = None;
        }
        let is_late = before_head.as_mut().is_some_and(|time| time.as_mut().poll(cx).is_ready());
        if is_late || permit.activity().poll_cut(cx).is_ready() {
            return Poll::Ready(Driven::Cut);
        }
        if !is_finishing && closing.as_mut().poll(cx).is_ready() {
            // A connection without a request can be closed at once.
            if before_head.is_some() {
                return Poll::Ready(Driven::Cut);
            }
            is_finishing = true;
            connection.as_mut().finish();
            // Only the next poll sees the effect.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}
