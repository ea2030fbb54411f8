//! Shutting down with open streams: they end spread over a few seconds, and their readers come back to
//! the next server spread as well.
//!
//! A server that waits for its connections would wait for ever on streams without end. Draining the
//! hub ends them, each with a reconnection time of its own; then the server's wait is over too.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-shutdown
//! curl -N http://127.0.0.1:3000/news
//! ```

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tidings_hub::{Body, Hub, StreamRequest, Topic};
use tokio::net::TcpListener;

const NEWS: Topic = Topic::from_static("news");
/// The time over which the streams end. Whatever stops the program has to wait longer.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> io::Result<()> {
    let hub = Hub::default();
    // It keeps running while the hub drains: streams end as time goes on.
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, hub, async { drop(tokio::signal::ctrl_c().await) }).await
}

/// Serves until `stop`, and then until every stream has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    hub: Hub,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = app(hub.clone());
    let stop = async move {
        stop.await;
        hub.drain(DRAIN);
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

pub(crate) fn app(hub: Hub) -> Router {
    Router::new().route("/news", get(listen)).with_state(hub)
}

async fn listen(State(hub): State<Hub>, request: StreamRequest) -> Body {
    hub.stream(NEWS, request)
}
