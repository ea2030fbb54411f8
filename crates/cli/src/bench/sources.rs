//! The subscribing connections: opened some at a time, read by one thread, checked as they are read.

use std::io;
use std::net::SocketAddr;

use mio::{Registry, Token};
use tidings_proto::{Decoder, Item};

use super::body::{Body, Piece};
use super::causes::{Cause, Causes};
use super::clock::Clock;
use super::head::Head;
use super::latency::Latencies;
use super::ledger::{Ledger, Place};
use super::socket::{Origin, Socket};
use super::target::{Request, Topics};

/// What one connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read until the run ends.
    Follow,
    /// To be closed as soon as the response has begun.
    Touch,
    /// To be closed when the topic's event of this number has come.
    ReadTo(u32),
    /// To be opened and never read.
    Stall,
}

/// All subscribing connections.
#[derive(Debug)]
pub(super) struct Sources {
    registry: Registry,
    address: SocketAddr,
    origin: Origin,
    request: Request,
    topics: Topics,
    /// By token; a slot without a connection is in `free`.
    list: Vec<Source>,
    free: Vec<usize>,
    inbox: Inbox,
    opening: usize,
    counts: Counts,
    /// From the request to the response's head, or to the last event for those that read up to one.
    latencies: Latencies,
    refused: Causes,
    ended: Causes,
}

/// Where what comes is read into, and what says when.
#[derive(Debug)]
struct Inbox {
    buffer: Box<[u8]>,
    clock: Clock,
}

/// How many connections came how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) started: u64,
    /// Whose response's head has come.
    pub(super) opened: u64,
    /// That have come to what they are for.
    pub(super) finished: u64,
}

/// One connection.
#[derive(Debug)]
struct Source {
    socket: Option<Socket>,
    purpose: Purpose,
    stage: Stage,
    /// The request's text, then the response's head as far as it has come.
    pending: Vec<u8>,
    body: Body,
    decoder: Decoder,
    place: Place,
    asked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Requesting { written: usize },
    Head,
    Body,
}

/// What a connection has come to.
enum Outcome {
    /// It waits for more.
    Waiting,
    /// It is no longer needed.
    Finished,
    Failed(Cause),
}

/// Large enough for what a fast server sends in one go, small enough to stay in the processor's
/// second cache.
const BUFFER_BYTES: usize = 128 * 1024;

impl Sources {
    pub(super) fn new(
        registry: Registry,
        address: SocketAddr,
        request: Request,
        topics: Topics,
        clock: Clock,
    ) -> Self {
        let inbox = Inbox { buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), clock };
        Self {
            registry,
            address,
            origin: Origin::default(),
            request,
            topics,
            list: Vec::new(),
            free: Vec::new(),
            inbox,
            opening: 0,
            counts: Counts::default(),
            latencies: Latencies::default(),
            refused: Causes::default(),
            ended: Causes::default(),
        }
    }

    /// Returns how many connections wait for their response's head.
    pub(super) fn opening(&self) -> usize {
        self.opening
    }

    /// Returns how many connections there are.
    pub(super) fn open(&self) -> usize {
        self.list.len() - self.free.len() - self.opening
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn refused(&self) -> &Causes {
        &self.refused
    }

    /// Why streams ended that should not have.
    pub(super) fn ended(&self) -> &Causes {
        &self.ended
    }

    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(super) fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Begins to open a stream of `topic`.
    pub(super) fn start(&mut self, purpose: Purpose, topic: u32, ledger: &mut Ledger) {
        let passed = match purpose {
            Purpose::ReadTo(_) => 0,
            Purpose::Follow | Purpose::Touch | Purpose::Stall => ledger.published(topic),
        };
        self.counts.started += 1;
        let index = self.free.last().copied().unwrap_or(self.list.len());
        let socket = match self.connect(Token(index)) {
            Ok(socket) => socket,
            Err(error) => return self.refused.add(&Cause::Connect(error)),
        };
        let mut pending = match self.list.get_mut(index) {
            Some(old) => std::mem::take(&mut old.pending),
            None => Vec::new(),
        };
        pending.clear();
        self.request.write(&mut pending, self.topics.name(topic));
        let source = Source {
            socket: Some(socket),
            purpose,
            stage: Stage::Requesting { written: 0 },
            pending,
            body: Body::until_close(),
            decoder: Decoder::new(),
            place: Place::new(topic, passed),
            asked: self.inbox.clock.now(),
        };
        match self.free.pop() {
            Some(index) => self.list[index] = source,
            None => self.list.push(source),
        }
        self.opening += 1;
        // A connection to this machine is often there at once.
        self.handle(index, IsClosing::No, ledger);
    }

    fn connect(&mut self, token: Token) -> io::Result<Socket> {
        loop {
            match Socket::connect(self.address, self.origin, &self.registry, token) {
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    self.origin = self.origin.after(self.address).ok_or(error)?;
                }
                done => return done,
            }
        }
    }

    /// Reads and writes what can be, at the word of the kernel that something can.
    pub(super) fn handle(&mut self, index: usize, closing: IsClosing, ledger: &mut Ledger) {
        let Some(source) = self.list.get_mut(index) else { return };
        let was_open = source.stage == Stage::Body;
        let outcome = source.advance(&mut self.inbox, closing, ledger);
        let is_open = source.stage == Stage::Body;
        if is_open && !was_open {
            self.opening -= 1;
            self.counts.opened += 1;
            match source.purpose {
                Purpose::Follow => ledger.join(source.place.topic()),
                Purpose::Touch => self.latencies.add(self.inbox.clock.now() - source.asked),
                Purpose::ReadTo(_) => {}
                Purpose::Stall => {
                    // What a reader that does not read is sent need not wake this process.
                    if let Some(socket) = &mut source.socket {
                        let _ = socket.ignore(&self.registry);
                    }
                }
            }
        }
        match outcome {
            Outcome::Waiting => return,
            Outcome::Finished => {
                self.counts.finished += 1;
                if let Purpose::ReadTo(_) = source.purpose {
                    self.latencies.add(self.inbox.clock.now() - source.asked);
                }
            }
            Outcome::Failed(cause) if is_open => {
                self.ended.add(&cause);
                ledger.leave(&mut source.place);
            }
            Outcome::Failed(cause) => {
                self.opening -= 1;
                self.refused.add(&cause);
            }
        }
        source.socket = None;
        self.free.push(index);
    }

    /// Closes every connection.
    pub(super) fn close(&mut self) {
        self.list.clear();
        self.free.clear();
        self.opening = 0;
    }
}

/// Whether the kernel says that the other end has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsClosing {
    Yes,
    No,
}

impl Source {
    fn advance(&mut self, inbox: &mut Inbox, closing: IsClosing, ledger: &mut Ledger) -> Outcome {
        // What was told of a connection that is gone by now is of no concern.
        let Some(mut socket) = self.socket.take() else { return Outcome::Waiting };
        let outcome = self.advance_on(&mut socket, inbox, closing, ledger);
        self.socket = Some(socket);
        outcome
    }

    fn advance_on(
        &mut self,
        socket: &mut Socket,
        Inbox { buffer, clock }: &mut Inbox,
        closing: IsClosing,
        ledger: &mut Ledger,
    ) -> Outcome {
        while let Stage::Requesting { written } = &mut self.stage {
            match socket.write(&self.pending[*written..]) {
                Ok(None) => return Outcome::Waiting,
                Ok(Some(count)) => *written += count,
                Err(error) => return Outcome::Failed(Cause::Connect(error)),
            }
            if *written == self.pending.len() {
                self.pending = Vec::new();
                self.stage = Stage::Head;
            }
        }
        if self.purpose == Purpose::Stall {
            return self.peek(socket, buffer);
        }
        loop {
            let count = match socket.read(buffer) {
                Ok(None) => return Outcome::Waiting,
                Ok(Some(0)) => return Outcome::Failed(self.end()),
                Ok(Some(count)) => count,
                Err(error) => return Outcome::Failed(self.broken(error)),
            };
            match self.read(&buffer[..count], ledger, clock.now()) {
                Ok(IsDone::Yes) => return Outcome::Finished,
                Ok(IsDone::No) => {}
                Err(cause) => return Outcome::Failed(cause),
            }
            // A read that did not fill the buffer has emptied the socket, but for an end.
            if count < buffer.len() && closing == IsClosing::No {
                return Outcome::Waiting;
            }
        }
    }

    /// Waits for the head without taking it: nothing of the stream is ever read.
    fn peek(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Outcome {
        let seen = match socket.peek(buffer) {
            Ok(None) => return Outcome::Waiting,
            Ok(Some(0)) => return Outcome::Failed(self.end()),
            Ok(Some(count)) => &buffer[..count],
            Err(error) => return Outcome::Failed(self.broken(error)),
        };
        match self.understand(seen) {
            Ok(_) => Outcome::Waiting,
            Err(cause) => Outcome::Failed(cause),
        }
    }

    fn read(&mut self, bytes: &[u8], ledger: &mut Ledger, now: u64) -> Result<IsDone, Cause> {
        if self.stage == Stage::Body {
            return self.read_body(bytes, ledger, now);
        }
        let mut head = std::mem::take(&mut self.pending);
        head.extend_from_slice(bytes);
        match self.understand(&head)? {
            None => {
                self.pending = head;
                Ok(IsDone::No)
            }
            Some(_) if self.purpose == Purpose::Touch => Ok(IsDone::Yes),
            Some(len) => self.read_body(&head[len..], ledger, now),
        }
    }

    /// Reads a response's head and returns its length, once it is whole.
    fn understand(&mut self, bytes: &[u8]) -> Result<Option<usize>, Cause> {
        let Some((head, len)) = Head::parse(bytes).map_err(Cause::Head)? else { return Ok(None) };
        if head.status.code != 200 {
            return Err(Cause::Refused(head.status));
        }
        if head.media_type != "text/event-stream" {
            return Err(Cause::MediaType(head.media_type));
        }
        if let Some(coding) = head.coding {
            return Err(Cause::Coding(coding));
        }
        self.body = head.body;
        self.stage = Stage::Body;
        Ok(Some(len))
    }

    #[inline]
    fn read_body(
        &mut self,
        mut input: &[u8],
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<IsDone, Cause> {
        loop {
            let mut piece = match self.body.next(&mut input) {
                Ok(Piece::Data(piece)) => piece,
                Ok(Piece::More) => break,
                Ok(Piece::End) => return Err(Cause::Ended),
                Err(_) => return Err(Cause::BadChunk),
            };
            while !piece.is_empty() {
                match self.decoder.decode(&mut piece) {
                    Ok(Some(Item::Event(event))) => {
                        ledger.deliver(&mut self.place, event.event_type, event.data, now);
                    }
                    Ok(_) => {}
                    Err(_) => return Err(Cause::EventTooLarge),
                }
            }
        }
        match self.purpose {
            Purpose::ReadTo(number) if self.place.is_past(number) => Ok(IsDone::Yes),
            _ => Ok(IsDone::No),
        }
    }

    /// What it means that the connection was closed.
    fn end(&self) -> Cause {
        match self.stage {
            Stage::Body if self.body.may_end() => Cause::Ended,
            Stage::Body => Cause::Cut,
            _ => Cause::NoHead,
        }
    }

    fn broken(&self, error: io::Error) -> Cause {
        match self.stage {
            Stage::Body => Cause::Broken(error),
            _ => Cause::Connect(error),
        }
    }
}

enum IsDone {
    Yes,
    No,
}
