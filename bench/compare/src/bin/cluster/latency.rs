//! From a publisher at one hub to a reader at another.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use tidings_bench_compare::http::Connection;
use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::publishing::wire::DATA_BYTES;

const TOPIC: &str = "latency";
/// The longest time that an event may take.
const EVENT_MAX: Duration = Duration::from_secs(20);

/// Publishes events one after the other, each when the last one was read, and returns the times between.
pub(crate) fn measure(
    publisher: SocketAddr,
    reader: SocketAddr,
    count: u32,
) -> io::Result<Published> {
    let mut stream = Connection::open(reader)?;
    let head = stream.subscribe(&format!("topic={TOPIC}"), "")?;
    if head.status != 200 {
        return Err(io::Error::other(format!("the reader was answered by {}", head.status)));
    }
    let (sender, arrivals) = mpsc::channel();
    let reading = thread::spawn(move || read(stream, count, &sender));
    let mut publishing = Connection::open(publisher)?;
    let mut micros = Vec::new();
    for number in 0..count {
        let began = Instant::now();
        let status = publishing.publish(TOPIC, &format!("{number:0DATA_BYTES$}"))?;
        if status != 201 {
            return Err(io::Error::other(format!("the publisher was answered by {status}")));
        }
        let arrived: Instant = arrivals.recv_timeout(EVENT_MAX).map_err(io::Error::other)?;
        micros.push(arrived.saturating_duration_since(began).as_micros() as u64);
    }
    reading.join().map_err(|_| io::Error::other("the reader has failed"))??;
    micros.sort_unstable();
    Ok(Published { events: count.into(), seconds: 0.0, micros })
}

/// Sends the time at which each event arrives.
fn read(mut stream: Connection, count: u32, arrivals: &mpsc::Sender<Instant>) -> io::Result<()> {
    let (mut chunk, mut number) = (Vec::new(), 0);
    while number < count {
        if !stream.chunk(&mut chunk)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let data = format!("data: {number:0DATA_BYTES$}\n");
        if memmem::find(&chunk, data.as_bytes()).is_some() {
            number += 1;
            // The publisher has given up if nobody receives.
            let _ = arrivals.send(Instant::now());
        }
    }
    Ok(())
}
