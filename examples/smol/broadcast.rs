//! A broadcast without tokio: hyper on smol, and the hub driven by smol's timer.
//!
//! The hub needs no executor. Any timer can tell it the time, some times a second, and its bodies are
//! polled by the task that polls the connection.
//!
//! ```text
//! cargo run -p tidings-examples --bin smol-broadcast
//! curl -N http://127.0.0.1:3000/news
//! curl -d hello http://127.0.0.1:3000/news
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use smol::net::TcpListener;
use smol_hyper::rt::{FuturesIo, SmolTimer};
use tidings_hub::{Body, Draft, Event, Hub, StreamRequest, Topic};

const NEWS: Topic = Topic::from_static("news");

fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    smol::block_on(async {
        smol::spawn(hub.drive_with(smol::Timer::interval(Duration::from_millis(250)))).detach();
        serve(TcpListener::bind("127.0.0.1:3000").await?, hub).await;
        Ok(())
    })
}

pub(crate) async fn serve(listener: TcpListener, hub: Hub) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let hub = hub.clone();
        let service = service_fn(move |request| {
            let answer = answer(hub.clone(), request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(status)) }
        });
        let mut http = http1::Builder::new();
        let connection = http.timer(SmolTimer::new());
        smol::spawn(connection.serve_connection(FuturesIo::new(socket), service)).detach();
    }
}

/// An event stream, or nothing beside the status.
type Answer = Response<Either<Body, Empty<Bytes>>>;

fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

async fn answer(hub: Hub, request: Request<Incoming>) -> Result<Answer, StatusCode> {
    let (head, body) = request.into_parts();
    match head.method {
        Method::GET => {
            let request = StreamRequest::parse(&head.headers, head.uri.query());
            let body = hub.stream(NEWS, request.map_err(|_| StatusCode::BAD_REQUEST)?);
            Ok(body.into_response().map(Either::Left))
        }
        Method::POST => {
            let bad_request = |_| StatusCode::BAD_REQUEST;
            let body = Limited::new(body, 64 * 1024).collect().await;
            let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_bytes();
            let text = std::str::from_utf8(&body).map_err(bad_request)?;
            let publishing = hub.publish(Draft::new(NEWS, Event::new(text)));
            publishing.await.map_err(|_| StatusCode::BAD_REQUEST)?;
            Ok(status(StatusCode::NO_CONTENT))
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}
