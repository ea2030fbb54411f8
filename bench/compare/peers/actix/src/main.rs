//! A hub as in the documentation of actix-web: actix-web-lab's `Sse` on a channel for each
//! subscriber, and a list of the channels' senders for each topic.

use std::collections::HashMap;
use std::env;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use actix_web_lab::sse;
use tokio::sync::mpsc::{self, Sender};

type Topics = Mutex<HashMap<String, Vec<Sender<sse::Event>>>>;

/// The documentation's examples have 10. A publisher waits for the slowest subscriber to have room.
const EVENTS_BEHIND_MAX: usize = 10;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = env::args().nth(1).expect("an address to listen on is the one argument");
    let topics = Data::new(Topics::default());
    HttpServer::new(move || {
        let topic = web::resource("/topics/{topic}")
            .route(web::get().to(subscribe))
            .route(web::post().to(publish));
        App::new().app_data(topics.clone()).service(topic)
    })
    .bind(address)?
    .run()
    .await
}

async fn subscribe(topic: Path<String>, topics: Data<Topics>) -> impl Responder {
    let (sender, receiver) = mpsc::channel(EVENTS_BEHIND_MAX);
    let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
    let senders = topics.entry(topic.into_inner()).or_default();
    // Subscribers that left are removed when the list would have to grow.
    if senders.len() == senders.capacity() {
        senders.retain(|sender| !sender.is_closed());
    }
    senders.push(sender);
    sse::Sse::from_infallible_receiver(receiver).with_keep_alive(KEEP_ALIVE)
}

async fn publish(topic: Path<String>, topics: Data<Topics>, data: Bytes) -> impl Responder {
    let Ok(data) = String::from_utf8(data.into()) else {
        return HttpResponse::BadRequest();
    };
    let event = sse::Event::from(sse::Data::new(data));
    // Sent outside the lock, because sending may wait.
    let senders = {
        let topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic.as_str()).cloned().unwrap_or_default()
    };
    for sender in senders {
        // This fails if the subscriber is gone, which is fine.
        let _ = sender.send(event.clone()).await;
    }
    HttpResponse::NoContent()
}
