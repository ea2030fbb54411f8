//! An emitter per user: one call opens a user's stream, another sends to it, a third ends it.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-emitters
//! curl -N http://127.0.0.1:3000/connect/alpha
//! curl -N http://127.0.0.1:3000/log
//! curl -d hello http://127.0.0.1:3000/send/alpha
//! curl -X POST http://127.0.0.1:3000/disconnect/alpha
//! ```

use std::{error::Error, time::Duration};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use tidings_hub::{Body, Draft, Emitters, Event, Hub, HubConfig, InvalidTopic, Start, Topic};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&hub)?).await?)
}

#[derive(Clone)]
struct App {
    hub: Hub,
    users: Emitters<String>,
    log: Topic,
}

pub(crate) fn app(hub: &Hub) -> Result<Router, InvalidTopic> {
    let users = Emitters::new(hub, "users")?;
    let app = App { hub: hub.clone(), users, log: Topic::new("log")? };
    Ok(Router::new()
        .route("/connect/{user}", get(connect))
        .route("/send/{user}", post(send))
        .route("/disconnect/{user}", post(disconnect))
        .route("/log", get(log))
        .with_state(app))
}

async fn connect(
    State(app): State<App>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, StatusCode> {
    let emitter = app.users.connect(user.clone(), Start::from_headers(&headers));
    // Each hook publishes to another topic, which anybody may listen to at `/log`.
    let note = |what: &str| {
        let hub = app.hub.clone();
        let draft = Draft::new(app.log.clone(), Event::new(format!("{user} {what}")));
        move || drop(hub.publish(draft))
    };
    Ok((emitter.map_err(|_| StatusCode::BAD_REQUEST)?)
        .with_greeting(Event::new(format!("{user} is connected")))
        .with_timeout(Duration::from_secs(60))
        .on_timeout(note("timed out"))
        .on_error(note("left"))
        .on_completion(note("is gone"))
        .respond_to(&headers))
}

async fn send(State(app): State<App>, Path(user): Path<String>, text: String) -> StatusCode {
    let sent = app.users.send(&user, Event::new(text));
    sent.map_or(StatusCode::BAD_REQUEST, |_| StatusCode::NO_CONTENT)
}

async fn disconnect(State(app): State<App>, Path(user): Path<String>) -> StatusCode {
    app.users.close(&user).map_or(StatusCode::BAD_REQUEST, |_| StatusCode::NO_CONTENT)
}

async fn log(State(app): State<App>, headers: HeaderMap) -> Response<Body> {
    app.hub.subscribe(app.log, Start::from_headers(&headers)).into_body().respond_to(&headers)
}
