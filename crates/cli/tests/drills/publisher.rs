//! Publishers that repeat a request until it is answered, whatever happens to the hub.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The events that the publishers of a drill were told are committed.
pub(crate) struct Acknowledged {
    pub(crate) address: SocketAddr,
    /// Blanks at the end of each event's data.
    blanks: usize,
    /// The IDs of the events of each publisher, in order.
    ids: Mutex<Vec<Vec<String>>>,
    count: watch::Sender<u64>,
    is_over: AtomicBool,
}

impl Acknowledged {
    pub(crate) fn new(address: SocketAddr, publishers: usize, blanks: usize) -> Arc<Self> {
        let ids = Mutex::new(vec![Vec::new(); publishers]);
        let (count, is_over) = (watch::Sender::new(0), AtomicBool::new(false));
        Arc::new(Self { address, blanks, ids, count, is_over })
    }

    /// Returns the IDs of a publisher's events.
    pub(crate) fn of(&self, publisher: usize) -> Vec<String> {
        self.ids.lock().unwrap()[publisher].clone()
    }

    /// Waits until so many more events are acknowledged.
    pub(crate) async fn more(&self, events: u64) {
        let mut count = self.count.subscribe();
        let enough = *count.borrow() + events;
        count.wait_for(|count| *count >= enough).await.unwrap();
    }

    /// Lets the publishers finish their requests and end.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn add(&self, publisher: usize, ids: Vec<String>) {
        let events = ids.len() as u64;
        self.ids.lock().unwrap()[publisher].extend(ids);
        self.count.send_modify(|count| *count += events);
    }
}

/// Publishes to the topic of its number, until the drill ends: events that are numbered from 0, in
/// requests of at most `batch_max` events.
pub(crate) async fn publish(
    acknowledged: Arc<Acknowledged>,
    publisher: usize,
    batch_max: usize,
    mut random: fastrand::Rng,
) {
    let mut connection = None;
    let mut next = 0;
    while !acknowledged.is_over.load(Ordering::Relaxed) {
        let events = random.usize(1..=batch_max);
        let request = request((publisher, acknowledged.blanks), next, events);
        let ids = loop {
            match exchange(&mut connection, acknowledged.address, &request).await {
                Ok(answer) => break ids_of(&answer),
                Err(_) => connection = None,
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(ids.len(), events);
        acknowledged.add(publisher, ids);
        next += events;
    }
}

/// Returns the request for the events from a number on. The same events have the same key.
fn request((publisher, blanks): (usize, usize), first: usize, events: usize) -> String {
    let topic = format!("t{publisher}");
    let event = |number: usize| json!({ "topic": topic, "data": format!("{publisher} {number}{:blanks$}", "") });
    let events: Vec<Value> = (first..first + events).map(event).collect();
    let body = Value::from(events).to_string();
    format!(
        "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {topic}-{first}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ids_of(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let ids = answer["ids"].as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Sends a request, on the connection if there is one, and returns the body of the 201.
async fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    request: &str,
) -> io::Result<String> {
    if connection.is_none() {
        *connection = Some(BufReader::new(TcpStream::connect(address).await?));
    }
    let connection = connection.as_mut().unwrap();
    connection.write_all(request.as_bytes()).await?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    connection.read_exact(&mut body).await?;
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}{body}");
    Ok(body)
}
