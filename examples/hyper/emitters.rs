//! An emitter per user, on hyper itself: connect, send, disconnect.
//!
//! ```text
//! cargo run -p tidings-examples --bin hyper-emitters
//! curl -N http://127.0.0.1:3000/connect/alpha
//! curl -d hello http://127.0.0.1:3000/send/alpha
//! curl -X POST http://127.0.0.1:3000/disconnect/alpha
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings_hub::{Body, Emitters, Event, Hub, HubConfig, Start};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    tokio::spawn(hub.drive());
    serve(TcpListener::bind("127.0.0.1:3000").await?, Emitters::new(&hub, "users")?).await;
    Ok(())
}

pub(crate) async fn serve(listener: TcpListener, users: Emitters<String>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let users = users.clone();
        let service = service_fn(move |request| {
            let users = users.clone();
            async move { Ok::<_, Infallible>(answer(users, request).await.unwrap_or_else(status)) }
        });
        let mut http = http1::Builder::new();
        tokio::spawn(http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service));
    }
}

/// An event stream, or nothing beside the status.
type Answer = Response<Either<Body, Empty<Bytes>>>;

fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

async fn answer(users: Emitters<String>, request: Request<Incoming>) -> Result<Answer, StatusCode> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/').split_once('/');
    let bad_request = || StatusCode::BAD_REQUEST;
    match (head.method.as_str(), path) {
        ("GET", Some(("connect", user))) => {
            let emitter = users.connect(user.to_owned(), Start::from_headers(&head.headers));
            let (timed_out, left, gone) = (user.to_owned(), user.to_owned(), user.to_owned());
            let emitter = (emitter.map_err(|_| bad_request())?)
                .with_greeting(Event::new(format!("{user} is connected")))
                .with_timeout(Duration::from_secs(60))
                .on_timeout(move || println!("{timed_out} timed out"))
                .on_error(move || println!("{left} left"))
                .on_completion(move || println!("{gone} is gone"));
            return Ok(emitter.respond_to(&head.headers).map(Either::Left));
        }
        ("POST", Some(("send", user))) => {
            let body = Limited::new(body, 64 * 1024).collect().await.map_err(|_| bad_request())?;
            let text = String::from_utf8(body.to_bytes().into()).map_err(|_| bad_request())?;
            drop(users.send(&user.to_owned(), Event::new(text)).map_err(|_| bad_request())?);
        }
        ("POST", Some(("disconnect", user))) => {
            drop(users.close(&user.to_owned()).map_err(|_| bad_request())?);
        }
        _ => return Err(StatusCode::NOT_FOUND),
    }
    Ok(status(StatusCode::NO_CONTENT))
}
