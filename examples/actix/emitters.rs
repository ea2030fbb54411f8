//! An emitter per user, in actix-web: connect, send, disconnect. It has header and body types of its
//! own; `headers_of` and `respond` are all the difference.
//!
//! ```text
//! cargo run -p tidings-examples --bin actix-emitters
//! curl -N http://127.0.0.1:3000/connect/alpha
//! curl -d hello http://127.0.0.1:3000/send/alpha
//! curl -X POST http://127.0.0.1:3000/disconnect/alpha
//! ```

use std::{convert::Infallible, error::Error, net::TcpListener, time::Duration};

use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Result};
use actix_web::{dev::Server, error::ErrorBadRequest, http::StatusCode};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidings_hub::{Body, Emitters, Event, Hub, StreamRequest, Topic};

type Users = Data<Emitters<String>>;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    actix_web::rt::spawn(hub.drive());
    let users = Emitters::new(&hub, Topic::from_static("users"));
    Ok(server(TcpListener::bind("127.0.0.1:3000")?, users)?.await?)
}

pub(crate) fn server(listener: TcpListener, users: Emitters<String>) -> std::io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(Data::new(users.clone()))
            .route("/connect/{user}", web::get().to(connect))
            .route("/send/{user}", web::post().to(send))
            .route("/disconnect/{user}", web::post().to(disconnect))
    };
    Ok(HttpServer::new(app).workers(2).listen(listener)?.run())
}

async fn connect(users: Users, user: Path<String>, request: HttpRequest) -> Result<HttpResponse> {
    let request = StreamRequest::parse(&headers_of(&request), request.uri().query());
    let request = request.map_err(ErrorBadRequest)?;
    let emitter = (users.connect(user.to_string(), request).map_err(ErrorBadRequest)?)
        .with_greeting(Event::new(format!("{user} is connected")))
        .with_timeout(Duration::from_secs(60))
        .on_timeout(|user, _| println!("{user} timed out"))
        .on_error(|user, _| println!("{user} left"))
        .on_completion(|user, end| println!("{user} is gone: {end:?}"));
    Ok(respond(emitter.into_response()))
}

async fn send(users: Users, user: Path<String>, text: String) -> Result<HttpResponse> {
    users.send(&user, Event::new(text)).await.map_err(ErrorBadRequest)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn disconnect(users: Users, user: Path<String>) -> Result<HttpResponse> {
    users.close(&user).await.map_err(ErrorBadRequest)?;
    Ok(HttpResponse::NoContent().finish())
}

fn headers_of(request: &HttpRequest) -> HeaderMap {
    let headers = request.headers().iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    headers.collect()
}

fn respond(response: http::Response<Body>) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or_default();
    let mut answer = HttpResponse::build(status);
    for (name, value) in response.headers() {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    answer.streaming(response.into_body().map(Ok::<_, Infallible>))
}
