//! A broadcast called from elsewhere in the program: whatever is typed goes to every reader.
//!
//! A hub is shared by cloning. Any thread may publish, with or without an executor: the event is
//! submitted at the call, and the future only tells what became of it.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-broadcast
//! curl -N http://127.0.0.1:3000/news
//! ```

use std::error::Error;
use std::thread;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use tidings_hub::{Body, Draft, Event, Hub, HubConfig, InvalidTopic, PublishError, Start, Topic};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let news = News::new(&Hub::new(HubConfig::default()))?;
    tokio::spawn(news.hub.drive());

    let desk = news.clone();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Err(error) = desk.announce(&line) {
                eprintln!("not published: {error}");
            }
        }
    });

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(news)).await?;
    Ok(())
}

#[derive(Clone)]
pub(crate) struct News {
    hub: Hub,
    topic: Topic,
}

impl News {
    pub(crate) fn new(hub: &Hub) -> Result<Self, InvalidTopic> {
        Ok(Self { hub: hub.clone(), topic: Topic::new("news")? })
    }

    /// Sends a line to every reader, from any thread.
    pub(crate) fn announce(&self, line: &str) -> Result<(), PublishError> {
        // Nobody needs to wait for a hub in memory: its events are committed at the call.
        self.hub.publish(Draft::new(self.topic.clone(), Event::new(line))).map(drop)
    }
}

pub(crate) fn app(news: News) -> Router {
    Router::new().route("/news", get(listen)).with_state(news)
}

async fn listen(State(news): State<News>, headers: HeaderMap) -> Response<Body> {
    let start = Start::from_headers(&headers);
    news.hub.subscribe(news.topic, start).into_body().respond_to(&headers)
}
