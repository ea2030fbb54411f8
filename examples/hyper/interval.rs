//! A stream per reader, on hyper itself: `tick`, `update` and `notice` events at an interval, for as long as the
//! reader stays. The work is dropped with the stream.
//!
//! ```text
//! cargo run -p tidings-examples --bin hyper-interval
//! curl -N http://127.0.0.1:3000/clock
//! ```

use std::{convert::Infallible, error::Error, time::Duration};

use futures_util::stream;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings_hub::{Body, Event, EventType, Hub};
use tokio::{net::TcpListener, sync::watch};

const TYPES: [&str; 3] = ["tick", "update", "notice"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::new(Duration::from_secs(1));
    tokio::spawn(clock.hub.drive());
    serve(TcpListener::bind("127.0.0.1:3000").await?, clock).await;
    Ok(())
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

pub(crate) async fn serve(listener: TcpListener, clock: Clock) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let clock = clock.clone();
        let service = service_fn(move |_| {
            let response = run(clock.clone()).into_response();
            async move { Ok::<_, Infallible>(response) }
        });
        let mut http = http1::Builder::new();
        tokio::spawn(http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service));
    }
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

fn run(clock: Clock) -> Body {
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
