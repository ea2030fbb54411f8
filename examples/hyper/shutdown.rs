//! Shutting down with open streams, on hyper itself: the streams end spread over a few seconds, and
//! then every connection is done.
//!
//! ```text
//! cargo run -p tidings-examples --bin hyper-shutdown
//! curl -N http://127.0.0.1:3000/
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tidings_hub::{Body, Hub, HubConfig, Start, Topic};
use tokio::net::TcpListener;

/// Over which the streams end: as long as the one who stops the program is sure to wait.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    // It keeps running while the hub drains: streams end as time goes on.
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, hub, Topic::new("news")?, async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}

/// Serves until `stop`, and then until every stream has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    hub: Hub,
    news: Topic,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.map(|(socket, _)| socket),
            () = &mut stop => break,
        };
        let Ok(socket) = socket else { continue };
        let (hub, news) = (hub.clone(), news.clone());
        let service = service_fn(move |request| {
            let response = listen(&hub, &news, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut http = http1::Builder::new();
        let connection =
            http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service);
        tokio::spawn(connections.watch(connection));
    }
    hub.drain(DRAIN);
    connections.shutdown().await;
}

fn listen(hub: &Hub, news: &Topic, request: &Request<Incoming>) -> Response<Body> {
    let start = Start::from_headers(request.headers());
    hub.subscribe(news.clone(), start).into_body().respond_to(request.headers())
}
