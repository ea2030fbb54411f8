//! The live readers.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_bench_compare::http::Connection;
use tidings_bench_compare::publishing::Published;

use crate::LIVE;

/// The time from one event to the next.
const EVERY: Duration = Duration::from_millis(20);
/// An event that has not arrived by then is lost.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// Publishes an event again and again, and times its way to each live reader; the latencies are sorted.
pub(crate) fn measure(address: SocketAddr, time: Duration) -> io::Result<Published> {
    let mut publisher = Connection::open(address)?;
    let mut readers = Readers::open(address)?;
    let mut micros = Vec::new();
    let began = Instant::now();
    for number in 0.. {
        let next = EVERY * number;
        if next > time {
            break;
        }
        thread::sleep(next.saturating_sub(began.elapsed()));
        let data = format!("event {number} ends");
        let sent = Instant::now();
        publisher.publish("live", &data)?;
        readers.read(data.as_bytes(), sent, &mut micros)?;
    }
    let (events, seconds) = (micros.len() as u64, began.elapsed().as_secs_f64());
    micros.sort_unstable();
    Ok(Published { events, seconds, micros })
}

struct Readers {
    poll: Poll,
    events: Events,
    /// Each with what it has read of the next event.
    sockets: Vec<(TcpStream, Vec<u8>)>,
}

impl Readers {
    /// Opens the streams, and waits until all of them are open.
    fn open(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(LIVE);
        for number in 0..LIVE {
            let mut socket = std::net::TcpStream::connect(address)?;
            socket.write_all(b"GET /topics/live HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            // The head says that the reader is there.
            if socket.read(&mut [0; 4096])? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            sockets.push((socket, Vec::new()));
        }
        Ok(Self { poll, events: Events::with_capacity(LIVE), sockets })
    }

    /// Reads until each of them has the event.
    fn read(&mut self, data: &[u8], sent: Instant, micros: &mut Vec<u64>) -> io::Result<()> {
        let (mut missing, mut input) = (LIVE, [0; 4096]);
        while missing > 0 {
            self.poll.poll(&mut self.events, Some(LOST_AFTER))?;
            if self.events.is_empty() {
                return Err(io::Error::other(format!("{missing} readers are not sent an event")));
            }
            for event in &self.events {
                let (socket, text) = &mut self.sockets[event.token().0];
                loop {
                    match socket.read(&mut input) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(bytes) => text.extend_from_slice(&input[..bytes]),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                if memmem::find(text, data).is_some() {
                    micros.push(sent.elapsed().as_micros() as u64);
                    text.clear();
                    missing -= 1;
                }
            }
        }
        Ok(())
    }
}
