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
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::get;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tidings_hub::{Body, Draft, Event, Hub, HubConfig, InvalidTopic, Start, Topic};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    tokio::spawn(hub.drive());
    let origin = TcpListener::bind("127.0.0.1:3000").await?;
    let front = TcpListener::bind("127.0.0.1:8080").await?;
    let proxy = proxy(origin.local_addr()?);
    let (origin, front) = tokio::join!(axum::serve(origin, app(hub)?), axum::serve(front, proxy));
    origin.and(front)?;
    Ok(())
}

pub(crate) fn app(hub: Hub) -> Result<Router, InvalidTopic> {
    let state = (hub, Topic::new("news")?);
    Ok(Router::new().route("/news", get(listen).post(publish)).with_state(state))
}

async fn listen(State((hub, news)): State<(Hub, Topic)>, headers: HeaderMap) -> Response<Body> {
    let start = Start::from_headers(&headers);
    hub.subscribe(news, start).into_body().respond_to(&headers)
}

async fn publish(
    State((hub, news)): State<(Hub, Topic)>,
    text: String,
) -> Result<String, StatusCode> {
    let draft = Draft::new(news, Event::new(text));
    let publishing = hub.publish(draft).map_err(|_| StatusCode::BAD_REQUEST)?;
    let published = publishing.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(published.id().to_string())
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
