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
use tidings_hub::{Body, Emitters, Event, Hub, HubConfig, Start};

type Users = Data<Emitters<String>>;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    actix_web::rt::spawn(hub.drive());
    Ok(server(TcpListener::bind("127.0.0.1:3000")?, Emitters::new(&hub, "users")?)?.await?)
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
    let headers = headers_of(&request);
    let emitter = users.connect(user.to_string(), Start::from_headers(&headers));
    let emitter = (emitter.map_err(ErrorBadRequest)?)
        .with_greeting(Event::new(format!("{user} is connected")))
        .with_timeout(Duration::from_secs(60))
        .on_timeout(|| println!("timed out"))
        .on_error(|| println!("left"))
        .on_completion(move || println!("{user} is gone"));
    Ok(respond(emitter.respond_to(&headers)))
}

async fn send(users: Users, user: Path<String>, text: String) -> Result<HttpResponse> {
    drop(users.send(&user, Event::new(text)).map_err(ErrorBadRequest)?);
    Ok(HttpResponse::NoContent().finish())
}

async fn disconnect(users: Users, user: Path<String>) -> Result<HttpResponse> {
    drop(users.close(&user).map_err(ErrorBadRequest)?);
    Ok(HttpResponse::NoContent().finish())
}

fn headers_of(request: &HttpRequest) -> HeaderMap {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let value = |value: &[u8]| HeaderValue::from_bytes(value).ok();
    request
        .headers()
        .iter()
        .filter_map(|(n, v)| name(n.as_str()).zip(value(v.as_bytes())))
        .collect()
}

fn respond(response: http::Response<Body>) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or_default();
    let mut answer = HttpResponse::build(status);
    for (name, value) in response.headers() {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    answer.streaming(response.into_body().map(Ok::<_, Infallible>))
}
