//! A whole service: news with a tick each second, and a stream per user. All of them resume.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-service
//! curl -N http://127.0.0.1:3000/news & curl -d hello http://127.0.0.1:3000/news
//! curl -N http://127.0.0.1:3000/users/alpha & curl -d hi http://127.0.0.1:3000/users/alpha
//! ```

use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Router, response::IntoResponse, routing::get};
use tidings_hub::{
    Body, Draft, Emitters, Event, EventType, Hub, PublishError, StreamRequest, Topic,
};
use tokio::net::TcpListener;

const NEWS: Topic = Topic::from_static("news");
const TICK: EventType = EventType::from_static("tick");

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::default();
    tokio::spawn(hub.drive());
    tokio::spawn(tick(hub.clone(), Duration::from_secs(1)));
    axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app(hub)).await
}

pub(crate) fn app(hub: Hub) -> Router {
    let users = Emitters::new(&hub, Topic::from_static("users"));
    let users = Router::new().route("/users/{user}", get(connect).post(send)).with_state(users);
    Router::new().route("/news", get(listen).post(broadcast)).with_state(hub).merge(users)
}

pub(crate) async fn tick(hub: Hub, interval: Duration) -> Result<(), PublishError> {
    let mut interval = tokio::time::interval(interval);
    for number in 0_u64.. {
        interval.tick().await;
        hub.publish(Draft::new(NEWS, Event::new(number.to_string()).with_type(TICK))).await?;
    }
    Ok(())
}

async fn listen(State(hub): State<Hub>, request: StreamRequest) -> Body {
    hub.stream(NEWS, request)
}

async fn broadcast(State(hub): State<Hub>, text: String) -> impl IntoResponse {
    hub.publish(Draft::new(NEWS, Event::new(text))).await
}

type Users = State<Emitters<String>>;

async fn connect(users: Users, user: Path<String>, request: StreamRequest) -> impl IntoResponse {
    users.connect(user.0, request)
}

async fn send(users: Users, user: Path<String>, text: String) -> impl IntoResponse {
    users.send(&user, Event::new(text)).await
}
