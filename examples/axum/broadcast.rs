//! A broadcast called from elsewhere in the program: whatever is typed goes to every reader.
//!
//! A hub is shared by cloning. Any thread may publish, with or without an executor: the event is
//! submitted at the call, and the future only reports what became of it.
//!
//! ```text
//! cargo run -p tidings-examples --bin axum-broadcast
//! curl -N http://127.0.0.1:3000/news
//! ```

use std::thread;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tidings_hub::{Body, Draft, Event, Hub, PublishError, Published, StreamRequest, Topic};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

const NEWS: Topic = Topic::from_static("news");

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::default();
    tokio::spawn(hub.drive());

    let (desk, runtime) = (hub.clone(), Handle::current());
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Err(error) = runtime.block_on(announce(&desk, &line)) {
                eprintln!("not published: {error}");
            }
        }
    });

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(hub)).await
}

/// Sends a line to every reader, from any thread.
pub(crate) async fn announce(hub: &Hub, line: &str) -> Result<Published, PublishError> {
    hub.publish(Draft::new(NEWS, Event::new(line))).await
}

pub(crate) fn app(hub: Hub) -> Router {
    Router::new().route("/news", get(listen)).with_state(hub)
}

async fn listen(State(hub): State<Hub>, request: StreamRequest) -> Body {
    hub.stream(NEWS, request)
}
