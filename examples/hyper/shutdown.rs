//! Shutting down with open streams, on hyper itself: the streams end spread over a few seconds, and
//! then every connection is done.
//!
//! ```text
//! cargo run -p tidings-examples --bin hyper-shutdown
//! curl -N http://127.0.0.1:3000/
//! ```

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tidings_hub::{Body, Hub, InvalidLastEventId, StreamRequest, Topic};
use tokio::net::TcpListener;

const NEWS: Topic = Topic::from_static("news");
/// The time over which the streams end. Whatever stops the program has to wait longer.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    // It keeps running while the hub drains: streams end as time goes on.
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, hub, async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}

/// Serves until `stop`, and then until every stream has ended.
pub(crate) async fn serve(listener: TcpListener, hub: Hub, stop: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.map(|(socket, _)| socket),
            () = &mut stop => break,
        };
        let Ok(socket) = socket else { continue };
        let hub = hub.clone();
        let service = service_fn(move |request| {
            let response = listen(&hub, &request).map(Body::into_response);
            async move { response }
        });
        let mut http = http1::Builder::new();
        let connection =
            http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service);
        tokio::spawn(connections.watch(connection));
    }
    hub.drain(DRAIN);
    connections.shutdown().await;
}

/// A request that contradicts itself is an error of the connection, which hyper closes.
fn listen(hub: &Hub, request: &Request<Incoming>) -> Result<Body, InvalidLastEventId> {
    let request = StreamRequest::parse(request.headers(), request.uri().query())?;
    Ok(hub.stream(NEWS, request))
}
