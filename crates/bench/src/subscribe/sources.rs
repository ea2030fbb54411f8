//! All subscribing connections: a limited number is opened at a time, and one thread reads and
//! checks them.

use std::io;

use mio::{Registry, Token};

use crate::check::causes::{Cause, Causes};
use crate::check::ledger::{Ledger, Position};
use crate::http::request::Request;
use crate::http::socket::{Endpoint, IsClosing, LocalAddress, Socket};
use crate::measure::clock::Clock;
use crate::measure::latency::Latencies;
use crate::subscribe::source::{Advance, Purpose, ReadContext, Source};
use crate::topics::Topics;

/// The subscribing connections.
#[derive(Debug)]
pub(crate) struct Sources {
    registry: Registry,
    endpoint: Endpoint,
    local: LocalAddress,
    request: Request,
    topics: Topics,
    /// Indexed by token. The indices without a connection are in `free`.
    list: Vec<Source>,
    free: Vec<usize>,
    context: ReadContext,
    opening: usize,
    counts: SourceCounts,
    /// Times from the request to the head of the response, or to the last event for
    /// [`Purpose::ReadTo`].
    latencies: Latencies,
    refused: Causes,
    ended: Causes,
}

/// How many connections have reached each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceCounts {
    pub(crate) started: u64,
    /// Connections whose response head has arrived.
    pub(crate) opened: u64,
    /// Connections that have fulfilled their purpose.
    pub(crate) finished: u64,
}

impl Sources {
    pub(crate) fn new(
        registry: Registry,
        endpoint: Endpoint,
        request: Request,
        topics: Topics,
        clock: Clock,
    ) -> Self {
        Self {
            registry,
            endpoint,
            local: LocalAddress::default(),
            request,
            topics,
            list: Vec::new(),
            free: Vec::new(),
            context: ReadContext::new(clock),
            opening: 0,
            counts: SourceCounts::default(),
            latencies: Latencies::default(),
            refused: Causes::default(),
            ended: Causes::default(),
        }
    }

    /// Returns how many connections wait for the head of their response.
    pub(crate) fn opening(&self) -> usize {
        self.opening
    }

    /// Returns how many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.list.len() - self.free.len() - self.opening
    }

    pub(crate) fn counts(&self) -> SourceCounts {
        self.counts
    }

    pub(crate) fn refused(&self) -> &Causes {
        &self.refused
    }

    /// Returns why streams ended that should not have.
    pub(crate) fn ended(&self) -> &Causes {
        &self.ended
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(crate) fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Starts to open a stream of `topic`.
    pub(crate) fn start(&mut self, purpose: Purpose, topic: u32, ledger: &mut Ledger) {
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
        let mut request = Vec::new();
        self.request.write(&mut request, self.topics.name(topic));
        let position = Position::new(topic, passed);
        let mut source = Source::new(socket, purpose, request, position, self.context.clock.now());
        // A connection to this machine is often established at once. Its response is left to the
        // next turn: reading it here would usually be a wasted system call, and with a server that
        // is fast enough the load would go on from one connection to the next and neglect the
        // slower ones.
        let asked = source.ask();
        match self.free.pop() {
            Some(index) => self.list[index] = source,
            None => self.list.push(source),
        }
        self.opening += 1;
        self.settle(index, asked, ledger);
    }

    fn connect(&mut self, token: Token) -> io::Result<Socket> {
        loop {
            match Socket::connect(&self.endpoint, self.local, &self.registry, token) {
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    self.local = self.local.after(self.endpoint.address).ok_or(error)?;
                }
                done => return done,
            }
        }
    }

    /// Reads and writes what is possible after the kernel reported the socket ready.
    pub(crate) fn handle(&mut self, index: usize, closing: IsClosing, ledger: &mut Ledger) {
        let Some(source) = self.list.get_mut(index) else { return };
        let was_open = source.is_open();
        let advance = source.advance(&mut self.context, closing, ledger);
        let is_open = source.is_open();
        if is_open && !was_open {
            self.opening -= 1;
            self.counts.opened += 1;
            match source.purpose {
                Purpose::Follow => ledger.join(source.reading.position.topic()),
                Purpose::Touch => self.latencies.add(self.context.clock.now() - source.asked),
                Purpose::ReadTo(_) => {}
                Purpose::Stall => {
                    // Events for a stalled reader must not wake this process.
                    if let Some(socket) = &mut source.socket {
                        let _ = socket.ignore(&self.registry);
                    }
                }
            }
        }
        self.settle(index, advance, ledger);
    }

    /// Handles the result of reading and writing.
    fn settle(&mut self, index: usize, advance: Advance, ledger: &mut Ledger) {
        let source = &mut self.list[index];
        match advance {
            Advance::Waiting => return,
            Advance::Finished => {
                self.counts.finished += 1;
                if let Purpose::ReadTo(_) = source.purpose {
                    self.latencies.add(self.context.clock.now() - source.asked);
                }
            }
            Advance::Failed(cause) if source.is_open() => {
                self.ended.add(&cause);
                ledger.leave(&mut source.reading.position);
            }
            Advance::Failed(cause) => {
                self.opening -= 1;
                self.refused.add(&cause);
            }
        }
        source.socket = None;
        self.free.push(index);
    }

    /// Closes all connections.
    pub(crate) fn close(&mut self) {
        self.list.clear();
        self.free.clear();
        self.opening = 0;
    }
}
