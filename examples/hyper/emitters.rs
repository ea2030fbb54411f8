//! An emitter per user, on hyper itself: connect, send, disconnect.
//!
//! ```text
//! cargo run -p tidings-examples --bin hyper-emitters
//! curl -N http://127.0.0.1:3000/connect/alpha
//! curl -d hello http://127.0.0.1:3000/send/alpha
//! curl -X POST http://127.0.0.1:3000/disconnect/alpha
//! ```

use std::{convert::Infallible, error::Error, time::Duration};

use futures_util::{FutureExt, TryFutureExt};
use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings_hub::{Body, Emitters, Event, Hub, StreamRequest, Topic};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    tokio::spawn(hub.drive());
    let users = Emitters::new(&hub, Topic::from_static("users"));
    serve(TcpListener::bind("127.0.0.1:3000").await?, users).await;
    Ok(())
}

pub(crate) async fn serve(listener: TcpListener, users: Users) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let users = users.clone();
        let service = service_fn(move |request| {
            let answer = answer(users.clone(), request);
            answer.unwrap_or_else(|_| status(StatusCode::BAD_REQUEST)).map(Ok::<_, Infallible>)
        });
        let mut http = http1::Builder::new();
        tokio::spawn(http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service));
    }
}

type Users = Emitters<String>;
type BoxError = Box<dyn Error + Send + Sync>;
/// An event stream, or nothing beside the status.
type Answer = Response<Either<Body, Empty<Bytes>>>;

fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

async fn answer(users: Users, request: Request<Incoming>) -> Result<Answer, BoxError> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/').split_once('/');
    match (head.method.as_str(), path) {
        ("GET", Some(("connect", user))) => {
            let request = StreamRequest::parse(&head.headers, head.uri.query())?;
            let emitter = (users.connect(user.to_owned(), request)?)
                .with_greeting(Event::new(format!("{user} is connected")))
                .with_timeout(Duration::from_secs(60))
                .on_timeout(|user, _| println!("{user} timed out"))
                .on_error(|user, _| println!("{user} left"))
                .on_completion(|user, end| println!("{user} is gone: {end:?}"));
            return Ok(emitter.into_response().map(Either::Left));
        }
        ("POST", Some(("send", user))) => {
            let body = Limited::new(body, 64 * 1024).collect().await?.to_bytes();
            let text = String::from_utf8(body.into())?;
            users.send(&user.to_owned(), Event::new(text)).await?;
        }
        ("POST", Some(("disconnect", user))) => users.close(&user.to_owned()).await?,
        _ => return Ok(status(StatusCode::NOT_FOUND)),
    }
    Ok(status(StatusCode::NO_CONTENT))
}
