//! The loop: ready sockets, requests, and one `send` for each delivery.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use crate::request::{Parsed, Request, parse};
use crate::topics::{Place, Topics, narrow};

/// How many events one `send` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One event: each event costs one `send` per subscriber.
    EachAlone,
    /// All events of a topic that arrived during the previous round of sends.
    Merged,
}

pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    mode: Mode,
    connections: Slab<Connection>,
    topics: Topics,
    /// Incomplete requests, by connection. They are rare, so connections have no room for them.
    cut: HashMap<usize, Vec<u8>>,
    /// Publishers that may have sent more than one turn reads.
    unread: Vec<usize>,
    /// Merged events that wait for the end of the turn, by topic.
    waiting: HashMap<u32, Vec<u8>>,
    /// Whether connections may be waiting because there was no descriptor for them.
    is_accepting_late: bool,
    buffer: Box<[u8]>,
    encoded: Vec<u8>,
    answers: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    /// The place in the list of a topic, for a subscriber.
    place: Option<Place>,
}

/// How far a ready socket must be read, because readiness is reported only once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// Until a read does not fill the buffer: later data is reported again.
    UntilShort,
    /// Until nothing is left.
    UntilEmpty,
    /// Until the end, which the client has already sent.
    Closed,
}

/// Whether a connection continues after its input was handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Stays,
    Ends,
}

const LISTENER: Token = Token(usize::MAX);
/// The maximum number of connections waiting to be accepted: all that a load opens at once.
const BACKLOG: i32 = 4096;
/// The maximum number of sockets reported ready by one call.
const READY_MAX: usize = 1024;
/// The maximum size of a read: many pipelined requests.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The maximum number of reads of one connection in a row, so that a busy publisher does not starve
/// others.
const READS_MAX: usize = 16;

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
const PUBLISHED: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const REFUSED: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

impl Server {
    pub(crate) fn bind(address: SocketAddr, mode: Mode) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit the option, which saves a system call for each.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            mode,
            connections: Slab::new(),
            topics: Topics::default(),
            cut: HashMap::new(),
            unread: Vec::new(),
            waiting: HashMap::new(),
            is_accepting_late: false,
            buffer: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            encoded: Vec::new(),
            answers: Vec::new(),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub(crate) fn run(mut self) -> io::Result<Infallible> {
        let mut events = Events::with_capacity(READY_MAX);
        loop {
            let wait = (!self.unread.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for key in mem::take(&mut self.unread) {
                self.handle_ready(key, Ready::UntilEmpty);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(key) if event.is_read_closed() || event.is_error() => {
                        self.handle_ready(key, Ready::Closed);
                    }
                    Token(key) => self.handle_ready(key, Ready::UntilShort),
                }
            }
            self.send_waiting();
        }
    }

    /// Accepts all waiting connections. Without a descriptor, a connection waits until another one
    /// closes.
    fn accept(&mut self) {
        self.is_accepting_late = loop {
            match self.listener.accept() {
                Ok((socket, _)) => self.add(socket),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break false,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => break true,
                },
            }
        };
    }

    fn add(&mut self, socket: TcpStream) {
        let key = self.connections.insert(Connection { socket, place: None });
        let socket = &mut self.connections[key].socket;
        if self.poll.registry().register(socket, Token(key), Interest::READABLE).is_err() {
            self.connections.remove(key);
        }
    }

    fn handle_ready(&mut self, key: usize, ready: Ready) {
        // A socket closed in this turn may still be in the list of ready sockets.
        let Some(connection) = self.connections.get(key) else { return };
        let is_over = ready == Ready::Closed && connection.place.is_some();
        if is_over || self.read(key, ready) == After::Ends {
            self.remove(key);
            if self.is_accepting_late {
                self.accept();
            }
        }
    }

    fn read(&mut self, key: usize, ready: Ready) -> After {
        let mut buffer = mem::take(&mut self.buffer);
        let mut after = After::Stays;
        for round in 0..=READS_MAX {
            if round == READS_MAX {
                self.unread.push(key);
                break;
            }
            match self.connections[key].socket.read(&mut buffer) {
                Ok(0) => after = After::Ends,
                Ok(length) => {
                    after = self.handle_bytes(key, &buffer[..length]);
                    if ready == Ready::UntilShort && length < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => after = After::Ends,
            }
            if after == After::Ends {
                break;
            }
        }
        self.buffer = buffer;
        after
    }

    fn handle_bytes(&mut self, key: usize, bytes: &[u8]) -> After {
        if self.connections[key].place.is_some() {
            // A subscriber has nothing more to send.
            return After::Stays;
        }
        let Some(mut whole) = self.cut.remove(&key) else { return self.serve(key, bytes) };
        whole.extend_from_slice(bytes);
        self.serve(key, &whole)
    }

    /// Handles all requests in `bytes`, writes their responses at once, and keeps an incomplete
    /// request.
    fn serve(&mut self, key: usize, mut bytes: &[u8]) -> After {
        let mut after = After::Stays;
        while !bytes.is_empty() {
            match parse(bytes) {
                Parsed::Whole(Request::Publish { topic, data }, length) => {
                    self.publish(topic, data);
                    bytes = &bytes[length..];
                }
                Parsed::Whole(Request::Subscribe { topic }, _) => {
                    self.answers.extend_from_slice(STREAM_HEAD);
                    let place = self.topics.join(topic, narrow(key));
                    self.connections[key].place = Some(place);
                    break;
                }
                Parsed::Cut => {
                    self.cut.insert(key, bytes.to_vec());
                    break;
                }
                Parsed::Refused => {
                    self.answers.extend_from_slice(REFUSED);
                    after = After::Ends;
                    break;
                }
            }
        }
        if !self.answers.is_empty() {
            let answers = mem::take(&mut self.answers);
            if !send(&mut self.connections[key].socket, &answers) {
                after = After::Ends;
            }
            self.answers = answers;
            self.answers.clear();
        }
        after
    }

    fn publish(&mut self, topic: &[u8], data: &[u8]) {
        // Without subscribers there is nothing to send, and events are not kept.
        if let Some(topic) = self.topics.find(topic) {
            match self.mode {
                Mode::EachAlone => {
                    let mut encoded = mem::take(&mut self.encoded);
                    encoded.clear();
                    encode(data, &mut encoded);
                    self.send_all(topic, &encoded);
                    self.encoded = encoded;
                }
                Mode::Merged => encode(data, self.waiting.entry(topic).or_default()),
            }
        }
        self.answers.extend_from_slice(PUBLISHED);
    }

    fn send_waiting(&mut self) {
        let mut waiting = mem::take(&mut self.waiting);
        for (topic, encoded) in waiting.drain() {
            self.send_all(topic, &encoded);
        }
        self.waiting = waiting;
    }

    fn send_all(&mut self, topic: u32, encoded: &[u8]) {
        // From the end: a subscriber that leaves is replaced by one that was already served.
        for position in (0..self.topics.subscribers(topic).len()).rev() {
            let key = self.topics.subscribers(topic)[position] as usize;
            if !send(&mut self.connections[key].socket, encoded) {
                self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: usize) {
        let connection = self.connections.remove(key);
        self.cut.remove(&key);
        let Some(place) = connection.place else { return };
        if let Some((moved, place)) = self.topics.leave(place) {
            self.connections[moved as usize].place = Some(place);
        }
        if self.topics.subscribers(place.topic).is_empty() {
            // The topic is gone, and its key may be reused.
            self.waiting.remove(&place.topic);
        }
    }
}

/// Sends `bytes`, and returns whether the socket took all of them.
fn send(socket: &mut TcpStream, bytes: &[u8]) -> bool {
    loop {
        match socket.write(bytes) {
            Ok(length) => return length == bytes.len(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Appends an event as one HTTP chunk.
fn encode(data: &[u8], out: &mut Vec<u8>) {
    let lines = || data.split(|&byte| byte == b'\n');
    let length: usize = lines().map(|line| "data: ".len() + line.len() + 1).sum::<usize>() + 1;
    // Writing to a vector does not fail.
    let _ = write!(out, "{length:x}\r\n");
    for line in lines() {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"\n\r\n");
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
