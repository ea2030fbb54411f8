//! An emitter per user: one call opens a user's stream, another sends to it, a third ends it.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-emitters
//! curl -N http://127.0.0.1:3000/connect/alpha
//! curl -N http://127.0.0.1:3000/log
//! curl -d hello http://127.0.0.1:3000/send/alpha
//! curl -X POST http://127.0.0.1:3000/disconnect/alpha
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tidings_hub::{
    Body, Draft, Emitter, Emitters, Event, Hub, InvalidTopic, StreamEnd, StreamRequest, Topic,
};
use tokio::net::TcpListener;

const LOG: Topic = Topic::from_static("log");

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::default();
    tokio::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&hub)).await
}

#[derive(Clone)]
struct App {
    hub: Hub,
    users: Emitters<String>,
}

pub(crate) fn app(hub: &Hub) -> Router {
    let users = Emitters::new(hub, Topic::from_static("users"));
    Router::new()
        .route("/connect/{user}", get(connect))
        .route("/send/{user}", post(send))
        .route("/disconnect/{user}", post(disconnect))
        .route("/log", get(log))
        .with_state(App { hub: hub.clone(), users })
}

async fn connect(
    State(app): State<App>,
    Path(user): Path<String>,
    request: StreamRequest,
) -> Result<Emitter<String>, InvalidTopic> {
    // Each hook publishes to another topic, which anybody may listen to at `/log`.
    let note = |what: &'static str| {
        let hub = app.hub.clone();
        move |user: &String, _: StreamEnd| {
            drop(hub.publish(Draft::new(LOG, Event::new(format!("{user} {what}")))));
        }
    };
    Ok((app.users.connect(user.clone(), request)?)
        .with_greeting(Event::new(format!("{user} is connected")))
        .with_timeout(Duration::from_secs(60))
        .on_timeout(note("timed out"))
        .on_error(note("left"))
        .on_completion(note("is gone")))
}

async fn send(app: State<App>, user: Path<String>, text: String) -> impl IntoResponse {
    app.users.send(&user, Event::new(text)).await
}

async fn disconnect(app: State<App>, user: Path<String>) -> impl IntoResponse {
    app.users.close(&user).await
}

async fn log(State(app): State<App>, request: StreamRequest) -> Body {
    app.hub.stream(LOG, request)
}
