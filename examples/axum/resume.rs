//! Resuming with `Last-Event-ID` through a reverse proxy: a reader whose proxy goes away in mid-stream
//! comes back through another and misses nothing.
//!
//! The stream needs no more than this of a proxy: that the request's `Last-Event-ID` and
//! `Cache-Control` pass, and that the response is passed on as it comes. nginx does both by default.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-resume
//! curl -N http://127.0.0.1:8080/news
//! curl -d hello http://127.0.0.1:8080/news
//! curl -N -H 'Last-Event-ID: urn:uuid:…' http://127.0.0.1:8080/news
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body as AnyBody;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tidings_hub::{Body, Draft, Event, Hub, PublishError, Published, StreamRequest, Topic};
use tokio::net::TcpListener;

const NEWS: Topic = Topic::from_static("news");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    tokio::spawn(hub.drive());
    let origin = TcpListener::bind("127.0.0.1:3000").await?;
    let front = TcpListener::bind("127.0.0.1:8080").await?;
    let proxy = proxy(origin.local_addr()?);
    let (origin, front) = tokio::join!(axum::serve(origin, app(hub)), axum::serve(front, proxy));
    origin.and(front)?;
    Ok(())
}

pub(crate) fn app(hub: Hub) -> Router {
    Router::new().route("/news", get(listen).post(publish)).with_state(hub)
}

async fn listen(State(hub): State<Hub>, request: StreamRequest) -> Body {
    hub.stream(NEWS, request)
}

async fn publish(State(hub): State<Hub>, text: String) -> Result<Published, PublishError> {
    hub.publish(Draft::new(NEWS, Event::new(text))).await
}

/// Passes every request on to `origin`, and the answer back as it comes.
pub(crate) fn proxy(origin: SocketAddr) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http::<AnyBody>();
    Router::new().fallback(move |mut request: Request| async move {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{origin}{path}").parse::<Uri>();
        *request.uri_mut() = uri.map_err(|_| StatusCode::BAD_REQUEST)?;
        client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
    })
}
