//! Many readers that read from the beginning, beside a live one.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_bench_compare::crowd::{Crowd, await_end};
use tidings_bench_compare::host;
use tidings_bench_compare::http::Connection;
use tidings_bench_compare::publishing::Published;

use crate::CORE;

/// Readers that read from the beginning at the same time.
pub(crate) const READERS: usize = 1000;

/// The results of readers far behind.
pub(crate) struct Behind {
    /// A live reader without them, and beside them: each publish until its event is read.
    pub(crate) alone: Published,
    pub(crate) beside: Published,
    /// Bytes per second that they read, all together.
    pub(crate) bytes_read: f64,
    /// The server's resident memory before they came, and the most while they read, in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_most: u64,
}

/// Measures a live reader alone, and then beside readers from the beginning, each for some time.
pub(crate) fn behind(address: SocketAddr, server: u32, time: Duration) -> io::Result<Behind> {
    let alone = live(address, time)?;
    let memory_before = resident(server)?;
    let is_over = AtomicBool::new(false);
    let crowd = Crowd::start(CORE, &["nice", "-n", "19"], address)?;
    let (beside, memory_most) = thread::scope(|scope| {
        let watching = scope.spawn(|| most_resident(server, &is_over));
        let beside = live(address, time);
        is_over.store(true, Ordering::Relaxed);
        let failed = |_| io::Error::other("a thread has failed");
        let most = watching.join().map_err(failed)??;
        Ok::<_, io::Error>((beside?, most))
    })?;
    let bytes: u64 = crowd.finish()?.trim().parse().map_err(io::Error::other)?;
    let bytes_read = bytes as f64 / beside.seconds;
    Ok(Behind { alone, beside, bytes_read, memory_before, memory_most })
}

/// Reads from the beginning until the standard input ends, and prints the number of bytes.
pub(crate) fn read_from_the_beginning(address: SocketAddr) -> io::Result<()> {
    let readers = Readers::open(address)?;
    println!("open");
    let (is_over, read) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| await_end(&is_over));
        readers.read(&is_over, &read)
    })?;
    println!("{}", read.into_inner());
    Ok(())
}

/// Publishes one event after the other to a topic of its own, and reads each; the latencies are sorted.
fn live(address: SocketAddr, time: Duration) -> io::Result<Published> {
    /// Far more than a publish takes, so that most of the time nothing is published.
    const PAUSE: Duration = Duration::from_millis(2);
    let (mut publisher, mut reader) = (Connection::open(address)?, Connection::open(address)?);
    reader.subscribe("topic=live", "")?;
    let (mut chunk, mut micros) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < time {
        let data = format!("event {} ends", micros.len());
        let sent = Instant::now();
        publisher.publish("live", &data)?;
        while memmem::find(&chunk, data.as_bytes()).is_none() {
            if !reader.chunk(&mut chunk)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        micros.push(sent.elapsed().as_micros() as u64);
        thread::sleep(PAUSE);
    }
    let (events, seconds) = (micros.len() as u64, began.elapsed().as_secs_f64());
    micros.sort_unstable();
    Ok(Published { events, seconds, micros })
}

/// Connections that read the topic from its beginning.
struct Readers {
    poll: Poll,
    sockets: Vec<TcpStream>,
}

impl Readers {
    fn open(address: SocketAddr) -> io::Result<Self> {
        const REQUEST: &[u8] =
            b"GET /topics/load HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: earliest\r\n\r\n";
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(READERS);
        for number in 0..READERS {
            let mut socket = std::net::TcpStream::connect(address)?;
            socket.write_all(REQUEST)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            sockets.push(socket);
        }
        Ok(Self { poll, sockets })
    }

    /// Reads until it is over, and counts the bytes.
    fn read(mut self, is_over: &AtomicBool, read: &AtomicU64) -> io::Result<()> {
        let (mut events, mut input) = (Events::with_capacity(READERS), vec![0; 256 * 1024]);
        while !is_over.load(Ordering::Relaxed) {
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                loop {
                    match self.sockets[event.token().0].read(&mut input) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(bytes) => read.fetch_add(bytes as u64, Ordering::Relaxed),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    };
                }
            }
        }
        Ok(())
    }
}

fn most_resident(server: u32, is_over: &AtomicBool) -> io::Result<u64> {
    let mut most = 0;
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(resident(server)?);
        thread::sleep(Duration::from_millis(100));
    }
    Ok(most)
}

/// The resident memory of a process, in bytes.
fn resident(process: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let size = host::field(&status, "VmRSS").and_then(|size| {
        size.strip_suffix("kB").and_then(|number| number.trim().parse::<u64>().ok())
    });
    size.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no memory is reported"))
}
