//! Resuming a few events behind the newest one, however many are held.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidings_bench_compare::http::Connection;

/// Events that a reader has missed.
pub(crate) const BEHIND: usize = 5;
/// How often that is measured.
const TRIES: usize = 20;

/// Resumes again and again; returns the longest time from connecting to the last of the missed events.
///
/// # Errors
///
/// The connection fails, or a reader is sent anything but what it has missed.
pub(crate) fn resume(address: SocketAddr) -> io::Result<Duration> {
    let mut longest = Duration::ZERO;
    for number in 0..TRIES {
        longest = longest.max(resume_once(address, number)?);
    }
    Ok(longest)
}

fn resume_once(address: SocketAddr, number: usize) -> io::Result<Duration> {
    let ids: Vec<_> = (0..=BEHIND).map(|event| format!("resume-{number}-{event}")).collect();
    let mut publisher = Connection::open(address)?;
    for id in &ids {
        let status = publisher.publish(&format!("load?id={id}"), "missed")?;
        if status != 201 {
            return Err(io::Error::other(format!("a publish was answered by {status}")));
        }
    }
    let began = Instant::now();
    let mut reader = Connection::open(address)?;
    reader.subscribe("topic=load", &ids[0])?;
    let (mut text, mut chunk) = (String::new(), Vec::new());
    while text.matches("data: ").count() < BEHIND {
        if !reader.chunk(&mut chunk)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text += &String::from_utf8_lossy(&chunk);
    }
    let took = began.elapsed();
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: resume-")).collect();
    let expected: Vec<_> = ids[1..].iter().map(|id| &id["resume-".len()..]).collect();
    if found != expected || text.contains("event: gap") {
        return Err(io::Error::other(format!("a reader {BEHIND} behind was sent {text:?}")));
    }
    Ok(took)
}
