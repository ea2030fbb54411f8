//! A stream per reader: `tick`, `update` and `notice` events at an interval, for as long as the reader
//! stays.
//!
//! Each reader has a counter of its own. Nothing is shared and nothing is kept: the hub adds
//! heartbeats, pulls only as fast as the reader takes, and drops the work with the reader.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-interval
//! curl -N http://127.0.0.1:3000/clock
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures_util::stream;
use tidings_hub::{Body, Event, EventType, Hub};
use tokio::net::TcpListener;
use tokio::sync::watch;

const TYPES: [&str; 3] = ["tick", "update", "notice"];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let clock = Clock::new(Duration::from_secs(1));
    tokio::spawn(clock.hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(clock)).await
}

#[derive(Clone)]
pub(crate) struct Clock {
    hub: Hub,
    interval: Duration,
    /// The number of readers that there is work for.
    pub(crate) readers: watch::Sender<usize>,
}

impl Clock {
    pub(crate) fn new(interval: Duration) -> Self {
        let hub = Hub::default();
        Self { hub, interval, readers: watch::Sender::new(0) }
    }
}

pub(crate) fn app(clock: Clock) -> Router {
    Router::new().route("/clock", get(run)).with_state(clock)
}

/// One reader's work. It is dropped with the stream, whatever ends the stream.
struct Work {
    readers: watch::Sender<usize>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.readers.send_modify(|readers| *readers -= 1);
    }
}

async fn run(State(clock): State<Clock>) -> Body {
    let Clock { hub, interval, readers } = clock;
    readers.send_modify(|readers| *readers += 1);
    let work = (tokio::time::interval(interval), Work { readers }, 0);
    let events = stream::unfold(work, move |(mut interval, work, count)| {
        let event_type = EventType::from_static(TYPES[count % TYPES.len()]);
        async move {
            interval.tick().await;
            let event = Event::new(format!("number {count}")).with_type(event_type);
            Some((event, (interval, work, count + 1)))
        }
    });
    Body::from_stream(&hub, events)
}
