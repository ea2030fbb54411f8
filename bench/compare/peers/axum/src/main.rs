//! A hub as in the documentation of axum and tokio: a broadcast channel for each topic, and axum's
//! `Sse` with its keep-alive for each subscriber.

use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender};
use tokio_stream::StreamMap;
use tokio_stream::wrappers::BroadcastStream;

type Topics = Arc<Mutex<HashMap<String, Sender<Arc<str>>>>>;

/// The number of events that a subscriber may lag behind: twice what any scenario has under way.
/// The channel allocates room for all of them at once, for each topic.
const EVENTS_BEHIND_MAX: usize = 128;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = env::args().nth(1).expect("an address to listen on is the one argument");
    let listener = TcpListener::bind(address).await?.tap_io(|socket| {
        // Small messages must not wait for each other, as the documentation recommends.
        let _ = socket.set_nodelay(true);
    });
    let routes = Router::new()
        .route("/topics/{topic}", get(subscribe).post(publish))
        .route("/several/{topics}", get(subscribe_to_several))
        .with_state(Topics::default());
    axum::serve(listener, routes).await
}

async fn subscribe(
    Path(topic): Path<String>,
    State(topics): State<Topics>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // A subscriber that lagged continues with the oldest event.
    let events = follow(&topics, topic)
        .filter_map(async |received| received.ok())
        .map(|data| Ok(Event::default().data(data)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// The channels of several topics, separated by commas, merged as tokio-stream's documentation does.
async fn subscribe_to_several(
    Path(names): Path<String>,
    State(topics): State<Topics>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let channels = names.split(',').map(|name| (name.to_owned(), follow(&topics, name.to_owned())));
    let events = channels
        .collect::<StreamMap<_, _>>()
        .filter_map(async |(_, received)| received.ok())
        .map(|data| Ok(Event::default().data(data)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn follow(topics: &Topics, topic: String) -> BroadcastStream<Arc<str>> {
    let receiver = topics
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(topic)
        .or_insert_with(|| Sender::new(EVENTS_BEHIND_MAX))
        .subscribe();
    BroadcastStream::new(receiver)
}

async fn publish(
    Path(topic): Path<String>,
    State(topics): State<Topics>,
    data: String,
) -> StatusCode {
    let topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = topics.get(&topic) {
        // This fails if there is no subscriber, which is fine.
        let _: Result<usize, broadcast::error::SendError<_>> = sender.send(data.into());
    }
    StatusCode::NO_CONTENT
}
