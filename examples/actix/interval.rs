//! A stream per reader, in actix-web: `tick`, `update` and `notice` events at an interval, for as long as the
//! reader stays. The work is dropped with the stream.
//!
//! ```text
//! cargo run -p tidings-examples --bin actix-interval
//! curl -N http://127.0.0.1:3000/clock
//! ```

use std::{convert::Infallible, error::Error, net::TcpListener, time::Duration};

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer, dev::Server};
use futures_util::{StreamExt, stream};
use tidings_hub::{Body, Event, EventType, Hub};
use tokio::sync::watch;

const TYPES: [&str; 3] = ["tick", "update", "notice"];

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::new(Duration::from_secs(1));
    actix_web::rt::spawn(clock.hub.drive());
    Ok(server(TcpListener::bind("127.0.0.1:3000")?, clock)?.await?)
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

pub(crate) fn server(listener: TcpListener, clock: Clock) -> std::io::Result<Server> {
    let app =
        move || App::new().app_data(Data::new(clock.clone())).route("/clock", web::get().to(run));
    Ok(HttpServer::new(app).workers(2).listen(listener)?.run())
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

async fn run(clock: Data<Clock>) -> HttpResponse {
    let clock = Clock::clone(&clock);
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
    let (head, body) = Body::from_stream(&hub, events).into_response().into_parts();
    let mut answer = HttpResponse::Ok();
    for (name, value) in &head.headers {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    answer.streaming(body.map(Ok::<_, Infallible>))
}
