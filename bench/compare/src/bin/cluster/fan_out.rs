//! CPU time of deliveries: the hubs' alone, with as many readers at each of them.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_bench_compare::http::Connection;
use tidings_bench_compare::publishing::wire::DATA_BYTES;

use crate::servers::Server;

/// The deliveries of a run, and what they cost.
pub(crate) struct Fanned {
    pub(crate) deliveries: u64,
    pub(crate) cpu: Duration,
}

impl Fanned {
    pub(crate) fn micros_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }
}

/// The longest time that the next deliveries may take.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const FIELD: &[u8] = b"\ndata: ";

/// Publishes events one after the other, each when all readers have the last one, in turn at each hub.
pub(crate) fn measure(hubs: &[Server], readers: usize, events: u32) -> io::Result<Fanned> {
    let mut all = Readers::open(hubs, readers)?;
    let mut publishers =
        hubs.iter().map(|hub| Connection::open(hub.address)).collect::<io::Result<Vec<_>>>()?;
    let data = "0123456789".repeat(DATA_BYTES / 10);
    let count = (hubs.len() * readers) as u64;
    let cpu = || hubs.iter().map(Server::cpu_time).sum::<io::Result<Duration>>();
    let mut before = Duration::ZERO;
    // The first events do not count: a hub does some things only once, for them.
    for number in 0..events + events / 10 {
        if number == events / 10 {
            before = cpu()?;
        }
        let at = number as usize % publishers.len();
        let status = publishers[at].publish("fan-out", &data)?;
        if status != 201 {
            return Err(io::Error::other(format!("the publisher was answered by {status}")));
        }
        all.read(count)?;
    }
    Ok(Fanned { deliveries: u64::from(events) * count, cpu: cpu()? - before })
}

struct Readers {
    poll: Poll,
    readers: Vec<Reader>,
}

struct Reader {
    socket: TcpStream,
    /// The end of what was read: it may be the beginning of what is looked for.
    rest: Vec<u8>,
}

impl Readers {
    fn open(hubs: &[Server], each: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut readers = Vec::new();
        for hub in hubs {
            for _ in 0..each {
                let mut socket = std::net::TcpStream::connect(hub.address)?;
                socket.write_all(b"GET /topics/fan-out HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
                // The head is answered once the reader is subscribed.
                let mut head = [0; 1024];
                socket.set_read_timeout(Some(SILENCE_MAX))?;
                let read = socket.read(&mut head)?;
                if !head[..read].starts_with(b"HTTP/1.1 200 ") {
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    return Err(io::Error::other(format!("a reader was answered: {head}")));
                }
                socket.set_nonblocking(true)?;
                let mut socket = TcpStream::from_std(socket);
                let token = Token(readers.len());
                poll.registry().register(&mut socket, token, Interest::READABLE)?;
                readers.push(Reader { socket, rest: Vec::new() });
            }
        }
        Ok(Self { poll, readers })
    }

    /// Reads until so many events have arrived.
    fn read(&mut self, count: u64) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut arrived = 0;
        while arrived < count {
            self.poll.poll(&mut events, Some(SILENCE_MAX))?;
            if events.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for event in &events {
                arrived += self.readers[event.token().0].read()?;
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Reads what is there, and returns the number of events in it.
    fn read(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 16 * 1024];
        let mut count = 0;
        loop {
            let read = match self.socket.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            };
            self.rest.extend_from_slice(&bytes[..read]);
            let mut after = 0;
            for at in memmem::find_iter(&self.rest, FIELD) {
                count += 1;
                after = at + FIELD.len();
            }
            let from = after.max(self.rest.len().saturating_sub(FIELD.len() - 1));
            self.rest.drain(..from);
        }
    }
}
