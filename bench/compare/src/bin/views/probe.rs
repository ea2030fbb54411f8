//! The latency of one topic: an event at a time, from publishing it to having read it.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidings_bench_compare::http::Connection;

/// The pause between two events.
const PAUSE: Duration = Duration::from_millis(2);
/// An event that takes longer counts as lost.
const LATENCY_MAX: Duration = Duration::from_secs(20);

/// Measures until standard input ends, and prints the results.
pub(crate) fn run(address: SocketAddr) -> io::Result<()> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (mut reader, mut publisher) = (Connection::open(address)?, Connection::open(address)?);
    reader.subscribe("topic=probe", "")?;
    reader.read_timeout(LATENCY_MAX)?;
    let ends = Arc::clone(&is_over);
    thread::spawn(move || {
        // Whether it ends or fails, nobody waits for the results any longer than that.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        ends.store(true, Ordering::Relaxed);
    });
    let (mut latencies, mut chunk) = (Vec::new(), Vec::new());
    let mut faults = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let data = format!("probe {}", latencies.len());
        let began = Instant::now();
        let status = publisher.publish("probe", &data)?;
        faults += u64::from(status != 201);
        loop {
            reader.chunk(&mut chunk)?;
            if contains(&chunk, data.as_bytes()) {
                break;
            }
        }
        latencies.push(began.elapsed());
        thread::sleep(PAUSE);
    }
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (latencies.len() as f64 * part) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).map(|it| it.as_secs_f64() * 1e3)
    };
    let result = json!({
        "events": latencies.len(),
        "latency_ms": { "p50": at(0.5), "p99": at(0.99), "max": at(1.0) },
        "faults": { "refused": faults },
    });
    println!("{result}");
    Ok(())
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}
