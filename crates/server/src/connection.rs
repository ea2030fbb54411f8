//! The life of one connection.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Write as _;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::sleep;
use tracing::debug;

use crate::answer::{Handled, Opened, Via};
use crate::app::App;
use crate::config::ServerConfig;
use crate::corked::{Busy, Corked};
use crate::heads::Seat;
use crate::phase::closing;
use crate::preface::{Protocol, Rewound, tell};
use crate::response_body::ResponseBody;
use crate::socket_options::ACCEPTED_INHERIT;
use crate::takeover::take_over;

/// Serves a connection until it ends or the server does.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and everything on it.
pub(crate) async fn serve(socket: TcpStream, peer: SocketAddr, app: Arc<App>, seat: Seat) {
    // Events are small and must not wait for each other.
    if !ACCEPTED_INHERIT && socket.set_nodelay(true).is_err() {
        return;
    }
    let seat = Arc::new(seat);
    let Some((protocol, io)) = begin(socket, &app, &seat).await else { return };
    match protocol {
        Protocol::Http1 => serve_http1(io, peer, &app, &seat).await,
        Protocol::Http2 => serve_http2(io, peer, &app, &seat).await,
    }
}

type Io = Rewound<TokioIo<TcpStream>>;

async fn serve_http1(io: Io, peer: SocketAddr, app: &Arc<App>, seat: &Arc<Seat>) {
    let wire = Corked::new(io);
    let opened = Arc::new(Mutex::new(None));
    let service = service_fn({
        let (app, seat, opened) = (Arc::clone(app), Arc::clone(seat), Arc::clone(&opened));
        let wire = wire.clone();
        move |request: Request<Incoming>| {
            seat.leave();
            let (app, opened) = (Arc::clone(&app), Arc::clone(&opened));
            let via = Via { peer, can_take_over: wire.is_clear() };
            let handled: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                match app.handle(request, via).await {
                    Handled::Response(response) => Ok::<_, Infallible>(response),
                    Handled::Stream(stream) => {
                        *opened.lock() = Some(stream);
                        // hyper is to write nothing: the connection is about to be taken from it.
                        pending().await
                    }
                }
            });
            handled
        }
    });
    let connection = http1_builder(&app.config).serve_connection(wire.clone(), service);
    let mut http1 = Http1 { connection, opened, wire, busy: Busy::new() };
    if !drive(Pin::new(&mut http1), app, seat).await {
        return;
    }
    let opened = http1.opened.lock().take();
    let mut parts = http1.connection.into_parts();
    match opened {
        Some(opened) => {
            if let Some(io) = http1.wire.take() {
                take_over(app, io, parts.read_buf.len(), *opened);
            }
        }
        // Whether the peer is still there to be told of the end is the same to us.
        None => drop(poll_fn(|cx| Pin::new(&mut parts.io).poll_shutdown(cx)).await),
    }
}

async fn serve_http2(io: Io, peer: SocketAddr, app: &Arc<App>, seat: &Arc<Seat>) {
    let service = service_fn({
        let (app, seat) = (Arc::clone(app), Arc::clone(seat));
        move |request: Request<Incoming>| {
            seat.leave();
            let app = Arc::clone(&app);
            // Boxed, because its memory would be the stream's for as long as that is open.
            let handled: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                match app.handle(request, Via { peer, can_take_over: false }).await {
                    Handled::Response(response) => Ok::<_, Infallible>(response),
                    // Not offered, so not taken.
                    Handled::Stream(_) => pending().await,
                }
            });
            handled
        }
    });
    let connection = http2_builder(&app.config).serve_connection(io, service);
    drive(pin!(Http2(connection)), app, seat).await;
}

/// A connection of HTTP/1, which also ends when a stream waits for it.
struct Http1<S: HttpService<Incoming>> {
    connection: http1::Connection<Corked<Io>, S>,
    opened: Arc<Mutex<Option<Box<Opened>>>>,
    wire: Corked<Io>,
    busy: Busy,
}

impl<S> Future for Http1<S>
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { connection, opened, wire, busy } = &mut *self;
        busy.poll(cx, wire, |cx| match connection.poll_without_shutdown(cx) {
            Poll::Pending if opened.lock().is_some() => Poll::Ready(Ok(())),
            polled => polled.map_err(io::Error::other),
        })
    }
}

/// Waits for the bytes that tell the protocol; `None` if the connection is not to be served.
async fn begin(socket: TcpStream, app: &App, seat: &Seat) -> Option<(Protocol, Io)> {
    let mut phases = app.phases();
    select! {
        // What has come counts, whatever else is the case.
        biased;
        told = tell(TokioIo::new(socket)) => told.ok(),
        () = sleep(app.config.head_timeout) => None,
        () = seat.cut() => None,
        () = closing(&mut phases) => None,
    }
}

/// The one place where connections of HTTP/1 are configured: without the time-out and its timer, a
/// client that sends half a head holds a connection for ever.
fn http1_builder(config: &ServerConfig) -> http1::Builder {
    /// Bytes of a body read ahead at most; it must hold a whole head, too.
    const BUFFER_BYTES_MAX: usize = 64 * 1024;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_header_size(config.head_bytes_max)
        .max_buf_size(BUFFER_BYTES_MAX.max(config.head_bytes_max));
    builder
}

/// The same for HTTP/2. Streams run on tasks of their own; h2 resets them when the connection is
/// dropped, which ends their tasks, so that nobody has to keep a list.
fn http2_builder(config: &ServerConfig) -> http2::Builder<TokioExecutor> {
    /// A dead peer is noticed in twice this time.
    const KEEP_ALIVE: Duration = Duration::from_secs(20);
    /// Bytes of one stream that wait for its window: what one poll of a stream yields.
    const SEND_BYTES_MAX: usize = 64 * 1024;
    let head_bytes_max = u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(head_bytes_max)
        .max_send_buf_size(SEND_BYTES_MAX);
    builder
}

/// A connection of either protocol.
trait Connection: Future<Output = io::Result<()>> {
    /// Asks it to end after what is under way.
    fn finish(self: Pin<&mut Self>);
}

impl<S> Connection for Http1<S>
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }
}

/// A connection of HTTP/2.
struct Http2<S: HttpService<Incoming, ResBody = ResponseBody>>(
    http2::Connection<Io, S, TokioExecutor>,
);

impl<S> Future for Http2<S>
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll(cx).map_err(io::Error::other)
    }
}

impl<S> Connection for Http2<S>
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.0).graceful_shutdown();
    }
}

/// Drives a connection; `true` if it came to its own end, `false` if it is to be cut.
async fn drive(mut connection: Pin<&mut impl Connection>, app: &App, seat: &Seat) -> bool {
    let mut phases = app.phases();
    let mut closing = pin!(closing(&mut phases));
    let mut is_finishing = false;
    // hyper bounds the head of HTTP/1 itself; a client of HTTP/2 could be silent after its preface.
    let head_timeout = pin!(sleep(app.config.head_timeout));
    let cut = pin!(seat.cut());
    let mut before_head = Some((head_timeout, cut));
    // By hand, so that once its head has come a connection is not looked after for that any more.
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            let ended = ended.inspect_err(|error| {
                debug!(error = error as &dyn std::error::Error, "connection failed");
            });
            return Poll::Ready(ended.is_ok());
        }
        if seat.has_left() {
            before_head = None;
        }
        if let Some((head_timeout, cut)) = &mut before_head
            && (head_timeout.as_mut().poll(cx).is_ready() || cut.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(false);
        }
        if !is_finishing && closing.as_mut().poll(cx).is_ready() {
            // Nothing is under way on a connection that has not asked for anything.
            if before_head.is_some() {
                return Poll::Ready(false);
            }
            is_finishing = true;
            connection.as_mut().finish();
            // What that changes is seen by the next poll alone.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}
