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

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use tidings_hub::{Body, Hub, HubConfig, InvalidTopic, Start, Topic};
use tokio::net::TcpListener;

/// Over which the streams end: as long as the one who stops the program is sure to wait.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    // It keeps running while the hub drains: streams end as time goes on.
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(&hub)?;
    serve(listener, app, hub, async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}

/// Serves until `stop`, and then until every stream has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    hub: Hub,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stop = async move {
        stop.await;
        hub.drain(DRAIN);
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

pub(crate) fn app(hub: &Hub) -> Result<Router, InvalidTopic> {
    Ok(Router::new().route("/news", get(listen)).with_state((hub.clone(), Topic::new("news")?)))
}

async fn listen(State((hub, news)): State<(Hub, Topic)>, headers: HeaderMap) -> Response<Body> {
    hub.subscribe(news, Start::from_headers(&headers)).into_body().respond_to(&headers)
}
