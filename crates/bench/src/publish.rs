//! The publishing connections, which are kept alive and pipeline requests.
//!
//! All events of a topic go over one connection, because only there is their order defined: a
//! server answers the requests of a connection in order (RFC 9112, section 9.3.2).

mod request;

use std::collections::VecDeque;

use mio::{Registry, Token};

use crate::check::causes::{Cause, Causes};
use crate::check::data::Stamp;
use crate::check::ledger::Ledger;
use crate::http::body::{Body, Piece};
use crate::http::head::{Head, Status};
use crate::http::socket::{Endpoint, IsClosing, LocalAddress, Socket};
use crate::measure::clock::Clock;
use crate::measure::latency::Latencies;
use crate::topics::Topics;

pub(crate) use self::request::PublishRequest;

/// All publishing connections.
#[derive(Debug)]
pub(crate) struct Publishers {
    registry: Registry,
    endpoint: Endpoint,
    request: PublishRequest,
    topics: Topics,
    list: Vec<Publisher>,
    /// Indices of connections that may have something to send.
    waiting: Vec<usize>,
    buffer: Box<[u8]>,
    answered: u64,
    refused_events: u64,
    latencies: Latencies,
    refused: Causes,
}

/// The token of the first publishing connection. Subscribing connections have smaller tokens.
pub(crate) const FIRST_TOKEN: usize = 1 << 40;

/// One publishing connection, with the events that were or will be sent over it.
#[derive(Debug, Default)]
struct Publisher {
    socket: Option<Socket>,
    out: Vec<u8>,
    written: usize,
    /// Events not sent yet, in order.
    queued: VecDeque<Vec<Stamp>>,
    /// Events sent and not answered yet, in the order of their responses.
    unanswered: VecDeque<Vec<Stamp>>,
    /// The maximum number of unanswered requests once the server has kept this connection open
    /// after a request. Some servers look at pipelined requests although they close the connection
    /// after the first.
    pipelined_max: usize,
    has_kept: bool,
    /// The part of the response head that has arrived.
    head: Vec<u8>,
    response: Option<Response>,
}

impl Publisher {
    /// Writes queued events into the output buffer as far as limits allow.
    fn fill(&mut self, request: &PublishRequest, topics: &Topics, ledger: &Ledger) {
        let max = if self.has_kept { self.pipelined_max } else { 1 };
        while self.unanswered.len() < max
            && self.out.len() < OUT_BYTES_MAX
            && let Some(stamps) = self.queued.pop_front()
        {
            request.write(&mut self.out, &stamps, topics, ledger);
            self.unanswered.push_back(stamps);
        }
    }

    fn drop_connection(&mut self) {
        self.socket = None;
        self.has_kept = false;
        self.out.clear();
        self.written = 0;
        self.head.clear();
        self.response = None;
    }
}

#[derive(Debug)]
struct Response {
    status: Status,
    body: Body,
    persists: bool,
}

/// The output buffer is filled up to this size, which is more than a socket takes at once.
const OUT_BYTES_MAX: usize = 1 << 20;
/// Responses are short.
const BUFFER_BYTES: usize = 16 * 1024;

impl Publishers {
    /// Makes `count` connections, which connect when there is something to publish.
    pub(crate) fn new(
        registry: Registry,
        endpoint: Endpoint,
        request: PublishRequest,
        topics: Topics,
        (count, pipelined_max): (usize, usize),
    ) -> Self {
        let list = (0..count).map(|_| Publisher { pipelined_max, ..Publisher::default() });
        Self {
            registry,
            endpoint,
            request,
            topics,
            list: list.collect(),
            waiting: Vec::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            answered: 0,
            refused_events: 0,
            latencies: Latencies::default(),
            refused: Causes::default(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Returns how many events were answered, refused ones included.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns how many of the answered events were refused or have an unknown outcome.
    pub(crate) fn refused_events(&self) -> u64 {
        self.refused_events
    }

    /// Returns why publishes failed, counted by request.
    pub(crate) fn refused(&self) -> &Causes {
        &self.refused
    }

    pub(crate) fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Returns how many requests of the connection `index` are queued or unanswered.
    pub(crate) fn pending(&self, index: usize) -> usize {
        self.list[index].queued.len() + self.list[index].unanswered.len()
    }

    /// Returns whether any request is queued or unanswered.
    pub(crate) fn is_pending(&self) -> bool {
        (0..self.list.len()).any(|index| self.pending(index) > 0)
    }

    /// Queues events for one request on the connection `index`; the next [`flush`](Self::flush)
    /// sends it.
    pub(crate) fn publish(&mut self, index: usize, stamps: Vec<Stamp>) {
        self.list[index].queued.push_back(stamps);
        self.waiting.push(index);
    }

    /// Sends queued events.
    pub(crate) fn flush(&mut self, ledger: &mut Ledger) {
        while let Some(index) = self.waiting.pop() {
            if let Err(cause) = self.send(index, ledger) {
                self.fail(index, &cause, ledger);
            }
        }
    }

    /// Reads and writes what is possible after the kernel reported the socket ready.
    pub(crate) fn handle(
        &mut self,
        index: usize,
        closing: IsClosing,
        ledger: &mut Ledger,
        clock: &Clock,
    ) {
        if let Err(cause) = self.receive(index, closing, ledger, clock) {
            self.fail(index, &cause, ledger);
        }
        // Data that could not be written before may fit now, and responses make room for more
        // requests.
        self.waiting.push(index);
    }

    fn send(&mut self, index: usize, ledger: &Ledger) -> Result<(), Cause> {
        let Some(publisher) = self.list.get_mut(index) else { return Ok(()) };
        loop {
            publisher.fill(&self.request, &self.topics, ledger);
            if publisher.out.is_empty() {
                return Ok(());
            }
            let socket = match &mut publisher.socket {
                Some(socket) => socket,
                none => {
                    let token = Token(FIRST_TOKEN + index);
                    let from = LocalAddress::default();
                    let made = Socket::connect(&self.endpoint, from, &self.registry, token);
                    let socket = made.and_then(|socket| socket.set_nodelay().map(|()| socket));
                    none.insert(socket.map_err(Cause::Connect)?)
                }
            };
            while publisher.written < publisher.out.len() {
                match socket.write(&publisher.out[publisher.written..]) {
                    Ok(Some(count)) => publisher.written += count,
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(Cause::Broken(error)),
                }
            }
            publisher.out.clear();
            publisher.written = 0;
        }
    }

    fn receive(
        &mut self,
        index: usize,
        closing: IsClosing,
        ledger: &mut Ledger,
        clock: &Clock,
    ) -> Result<(), Cause> {
        loop {
            let Some(publisher) = self.list.get_mut(index) else { return Ok(()) };
            let Some(socket) = &mut publisher.socket else { return Ok(()) };
            let count = match socket.read(&mut self.buffer) {
                Ok(Some(count)) => count,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Cause::Broken(error)),
            };
            let now = clock.now();
            if count == 0 {
                if publisher.response.as_ref().is_some_and(|response| response.body.may_end()) {
                    self.settle(index, ledger, now);
                    self.reconnect(index);
                    return Ok(());
                }
                // A server may close an idle connection.
                let is_idle = publisher.unanswered.is_empty();
                publisher.drop_connection();
                return if is_idle { Ok(()) } else { Err(Cause::Unanswered) };
            }
            self.read(index, count, ledger, now)?;
            if count < self.buffer.len() && closing == IsClosing::No {
                return Ok(());
            }
        }
    }

    /// Reads the responses in the first `count` bytes of the buffer.
    fn read(
        &mut self,
        index: usize,
        count: usize,
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<(), Cause> {
        let mut kept = std::mem::take(&mut self.list[index].head);
        let buffer = std::mem::take(&mut self.buffer);
        let read = if kept.is_empty() {
            self.read_answers(index, &buffer[..count], ledger, now)
        } else {
            kept.extend_from_slice(&buffer[..count]);
            self.read_answers(index, &kept, ledger, now)
        };
        self.buffer = buffer;
        read
    }

    fn read_answers(
        &mut self,
        index: usize,
        mut input: &[u8],
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<(), Cause> {
        loop {
            let publisher = &mut self.list[index];
            let Some(response) = &mut publisher.response else {
                if input.is_empty() {
                    return Ok(());
                }
                match Head::parse(input).map_err(Cause::Head)? {
                    None => {
                        publisher.head = input.to_vec();
                        return Ok(());
                    }
                    Some((head, len)) => {
                        let Head { status, body, persists, .. } = head;
                        publisher.response = Some(Response { status, body, persists });
                        input = &input[len..];
                    }
                }
                continue;
            };
            match response.body.next(&mut input) {
                Ok(Piece::Data(_)) => {}
                Ok(Piece::More) => return Ok(()),
                Ok(Piece::End) => {
                    let persists = response.persists;
                    publisher.has_kept |= persists;
                    self.settle(index, ledger, now);
                    if !persists {
                        self.reconnect(index);
                        return Ok(());
                    }
                }
                Err(_) => return Err(Cause::BadChunk),
            }
        }
    }

    /// Counts the publish that a response belongs to.
    fn settle(&mut self, index: usize, ledger: &mut Ledger, now: u64) {
        let publisher = &mut self.list[index];
        let Some(response) = publisher.response.take() else { return };
        let Some(stamps) = publisher.unanswered.pop_front() else { return };
        self.answered += stamps.len() as u64;
        if let Some(first) = stamps.first() {
            self.latencies.add(now.saturating_sub(first.sent));
        }
        if !response.status.is_success() {
            self.refused.add(&Cause::Refused(response.status));
            self.refused_events += stamps.len() as u64;
            stamps.into_iter().for_each(|stamp| ledger.withdraw(stamp));
        }
    }

    /// Drops a connection that the server closes after its last response.
    ///
    /// The server has not processed the requests that it left unanswered (RFC 9112, section 9.6).
    /// They are sent again over the next connection.
    fn reconnect(&mut self, index: usize) {
        let publisher = &mut self.list[index];
        publisher.drop_connection();
        while let Some(stamps) = publisher.unanswered.pop_back() {
            publisher.queued.push_front(stamps);
        }
        self.waiting.push(index);
    }

    /// Counts unanswered requests as refused, because their outcome is unknown.
    fn fail(&mut self, index: usize, cause: &Cause, ledger: &mut Ledger) {
        let publisher = &mut self.list[index];
        publisher.drop_connection();
        for stamps in publisher.unanswered.drain(..) {
            self.answered += stamps.len() as u64;
            self.refused.add(cause);
            self.refused_events += stamps.len() as u64;
            stamps.into_iter().for_each(|stamp| ledger.withdraw(stamp));
        }
        // Queued events are tried over another connection.
        self.waiting.push(index);
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;
    use crate::check::data::Shape;
    use crate::check::ledger::Scope;
    use crate::http::request::Request;
    use crate::http::target::Target;

    /// One connection over which three events were sent, and the ledger of these events.
    fn three_sent() -> (Publishers, Ledger) {
        let poll = Poll::new().unwrap();
        let target = Target::parse("http://127.0.0.1:9/").unwrap();
        let request = PublishRequest::One(Request::new("POST", &target, &[], &[]));
        let mut publishers = Publishers::new(
            poll.registry().try_clone().unwrap(),
            Endpoint { address: "127.0.0.1:9".parse().unwrap(), security: None },
            request,
            Topics::new(1, 1),
            (1, 8),
        );
        let mut ledger = Ledger::new(Shape::new(1, 100), 1, Scope::Own);
        ledger.join(0);
        let sent = (0..3).map(|_| vec![ledger.publish(0)]);
        publishers.list[0].unanswered = sent.collect();
        (publishers, ledger)
    }

    /// Reads `text`, cut after byte `cut`.
    fn read(publishers: &mut Publishers, ledger: &mut Ledger, text: &str, cut: usize) {
        for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            publishers.buffer[..part.len()].copy_from_slice(part);
            publishers.read(0, part.len(), ledger, 1).unwrap();
        }
    }

    #[test]
    fn answers_that_come_together_are_told_apart_at_every_cut() {
        let text = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nidHTTP/1.1 204 No Content\r\n\r\n\
                    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nid\r\n0\r\n\r\n";
        for cut in 0..=text.len() {
            let (mut publishers, mut ledger) = three_sent();
            read(&mut publishers, &mut ledger, text, cut);
            assert_eq!((publishers.answered(), publishers.pending(0)), (3, 0), "cut after {cut}");
            assert_eq!((publishers.refused().total(), ledger.under_way()), (0, 3));
            assert!(publishers.list[0].has_kept);
        }
    }

    #[test]
    fn a_refused_event_is_withdrawn_and_counted_with_its_status() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
                    HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow";
        let (mut publishers, mut ledger) = three_sent();
        read(&mut publishers, &mut ledger, text, 0);
        assert_eq!((publishers.answered(), publishers.refused_events()), (2, 1));
        assert_eq!(publishers.refused().list(), [("refused with 429 Too Many Requests", 1)]);
        assert_eq!((publishers.pending(0), ledger.under_way()), (1, 2));
    }

    #[test]
    fn what_a_server_has_not_looked_at_is_sent_again_in_order_and_first_alone() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (mut publishers, mut ledger) = three_sent();
        read(&mut publishers, &mut ledger, text, 9);
        let publisher = &publishers.list[0];
        let again: Vec<u32> = publisher.queued.iter().map(|stamps| stamps[0].number).collect();
        assert_eq!((again, publisher.unanswered.len()), (vec![2, 3], 0));
        assert_eq!((publisher.has_kept, publishers.refused().total()), (false, 0));
        let Publishers { list, request, topics, .. } = &mut publishers;
        list[0].fill(request, topics, &ledger);
        assert_eq!(list[0].unanswered.len(), 1);
    }

    #[test]
    fn what_was_never_answered_is_a_failure_each() {
        let (mut publishers, mut ledger) = three_sent();
        publishers.fail(0, &Cause::Unanswered, &mut ledger);
        assert_eq!((publishers.refused().total(), ledger.under_way()), (3, 0));
        assert!(!publishers.is_pending());
    }
}
