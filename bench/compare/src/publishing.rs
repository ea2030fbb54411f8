//! Publishing as a load: connections that each have one batch of events under way, in one loop without threads.

pub mod wire;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use self::wire::Wire;

/// The events to publish, and the end.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub connections: usize,
    /// Events that are sent together, and waited for together.
    pub batch: usize,
    pub until: Until,
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so much time, and a tenth of it that is not counted.
    Time(Duration),
    /// After so many events.
    Events(u64),
}

/// The result of a load.
#[derive(Clone, Debug, Default)]
pub struct Published {
    pub events: u64,
    pub seconds: f64,
    /// Sorted latencies of batches, in microseconds.
    pub micros: Vec<u64>,
}

impl Published {
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// Returns a latency in milliseconds: at most the given part of all batches are faster.
    pub fn millis(&self, part: f64) -> f64 {
        let at = (self.micros.len() as f64 * part) as usize;
        self.micros
            .get(at.min(self.micros.len().saturating_sub(1)))
            .map_or(0.0, |&n| n as f64 / 1e3)
    }
}

struct Connection {
    socket: TcpStream,
    request: Vec<u8>,
    /// The part of the greeting or the request that has not been written yet.
    unsent: Vec<u8>,
    input: Vec<u8>,
    /// Events that are not acknowledged yet.
    due: usize,
    sent: Instant,
}

/// The longest silence of a server that works.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl Load {
    /// Publishes until it is over. Connections are spread over the addresses.
    pub fn run(self, wire: Wire, addresses: &[SocketAddr]) -> io::Result<Published> {
        let began = Instant::now();
        let mut poll = Poll::new()?;
        let mut connections = (0..self.connections)
            .map(|number| self.connect(wire, addresses[number % addresses.len()], number, &poll))
            .collect::<io::Result<Vec<_>>>()?;
        let counted_from = match self.until {
            Until::Time(time) => began + time / 10,
            Until::Events(_) => began,
        };
        let mut published = Published::default();
        let mut events = Events::with_capacity(1024);
        loop {
            poll.poll(&mut events, Some(SILENCE_MAX))?;
            if events.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for event in &events {
                let connection = &mut connections[event.token().0];
                connection.write()?;
                if !event.is_readable() || !connection.read(wire)? {
                    continue;
                }
                let now = Instant::now();
                if connection.sent >= counted_from {
                    published.events += self.batch as u64;
                    published.micros.push((now - connection.sent).as_micros() as u64);
                }
                connection.begin(self.batch, now)?;
            }
            let now = Instant::now();
            published.seconds = now.saturating_duration_since(counted_from).as_secs_f64();
            let is_over = match self.until {
                Until::Time(time) => now >= began + time + time / 10,
                Until::Events(events) => published.events >= events,
            };
            if is_over {
                published.micros.sort_unstable();
                return Ok(published);
            }
        }
    }

    fn connect(
        self,
        wire: Wire,
        address: SocketAddr,
        number: usize,
        poll: &Poll,
    ) -> io::Result<Connection> {
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(number), interest)?;
        let mut connection = Connection {
            socket,
            request: wire.request(number, self.batch),
            unsent: wire.greeting(number),
            input: Vec::new(),
            due: 0,
            sent: Instant::now(),
        };
        connection.begin(self.batch, Instant::now())?;
        Ok(connection)
    }
}

impl Connection {
    /// Sends the next batch.
    fn begin(&mut self, batch: usize, now: Instant) -> io::Result<()> {
        self.unsent.extend_from_slice(&self.request);
        self.due += batch;
        self.sent = now;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads answers; returns whether the whole batch is acknowledged.
    fn read(&mut self, wire: Wire) -> io::Result<bool> {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.input.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let acknowledged = wire.acknowledged(&mut self.input)?;
        let was_due = self.due > 0;
        self.due = self.due.saturating_sub(acknowledged);
        Ok(was_due && self.due == 0)
    }
}
