//! Shutting down with open streams, in actix-web: the streams end spread over a few seconds, and then
//! the server's own graceful stop has nothing left to wait for.
//!
//! ```text
//! cargo run -p tidings-examples --bin actix-shutdown
//! curl -N http://127.0.0.1:3000/news
//! ```

use std::{convert::Infallible, error::Error, io, net::TcpListener, time::Duration};

use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::StreamExt;
use tidings_hub::{Hub, Start, Topic};

const NEWS: Topic = Topic::from_static("news");
/// The time over which the streams end. The server waits a little longer.
const DRAIN: Duration = Duration::from_secs(5);

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::default();
    // It keeps running while the hub drains: streams end as time goes on.
    actix_web::rt::spawn(hub.drive());
    let listener = TcpListener::bind("127.0.0.1:3000")?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Ok(serve(listener, hub, stop).await?)
}

/// Serves until `stop`, and then until every stream has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    hub: Hub,
    stop: impl Future<Output = ()> + 'static,
) -> io::Result<()> {
    let state = Data::new(hub.clone());
    let app = move || App::new().app_data(state.clone()).route("/news", web::get().to(listen));
    let server = HttpServer::new(app).workers(2).listen(listener)?;
    let server = server.disable_signals().shutdown_timeout(DRAIN.as_secs() + 5).run();
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        stop.await;
        hub.drain(DRAIN);
        handle.stop(true).await;
    });
    server.await
}

async fn listen(hub: Data<Hub>, request: HttpRequest) -> HttpResponse {
    let last_event_id = request.headers().get("last-event-id");
    let start = Start::resume(last_event_id.and_then(|id| std::str::from_utf8(id.as_bytes()).ok()));
    let response = hub.stream(NEWS, start).into_response();
    let mut answer = HttpResponse::Ok();
    for (name, value) in response.headers() {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    answer.streaming(response.into_body().map(Ok::<_, Infallible>))
}
