//! One subscribing connection: its request, the head of the response, then the stream.

use std::io;

use crate::check::causes::Cause;
use crate::check::ledger::{Ledger, Position};
use crate::http::head::Head;
use crate::http::socket::{IsClosing, Socket};
use crate::measure::clock::Clock;
use crate::subscribe::reading::Reading;
use crate::subscribe::recent::RecentEvents;

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads until the run ends.
    Follow,
    /// Closes as soon as the head of the response has arrived.
    Touch,
    /// Closes when the event of this number in the topic has arrived.
    ReadTo(u32),
    /// Opens the stream and never reads from it.
    Stall,
}

/// One subscribing connection.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) socket: Option<Socket>,
    pub(crate) purpose: Purpose,
    state: ExchangeState,
    /// The text of the request, then the part of the response head that has arrived.
    pending: Vec<u8>,
    pub(crate) reading: Reading,
    /// When the connection was started.
    pub(crate) asked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExchangeState {
    Requesting { written: usize },
    Head,
    Body,
}

/// The state of a connection after reading and writing.
#[derive(Debug)]
pub(crate) enum Advance {
    /// More has to arrive.
    Waiting,
    /// The connection has fulfilled its purpose.
    Finished,
    Failed(Cause),
}

/// The buffer, cache and clock that all connections share.
#[derive(Debug)]
pub(crate) struct ReadContext {
    /// Where arriving bytes are read into.
    buffer: Box<[u8]>,
    recent: RecentEvents,
    pub(crate) clock: Clock,
}

impl ReadContext {
    pub(crate) fn new(clock: Clock) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { buffer, recent: RecentEvents::new(), clock }
    }
}

/// Large enough for what a fast server sends at once, small enough for the processor's L2 cache.
const BUFFER_BYTES: usize = 128 * 1024;

impl Source {
    /// Wraps a connection that is being established and will send `request`.
    pub(crate) fn new(
        socket: Socket,
        purpose: Purpose,
        request: Vec<u8>,
        position: Position,
        now: u64,
    ) -> Self {
        Self {
            socket: Some(socket),
            purpose,
            state: ExchangeState::Requesting { written: 0 },
            pending: request,
            reading: Reading::new(position),
            asked: now,
        }
    }

    /// Returns whether the head of the response has arrived.
    pub(crate) fn is_open(&self) -> bool {
        self.state == ExchangeState::Body
    }

    /// Writes the request as far as possible without reading. The kernel will report the response.
    pub(crate) fn ask(&mut self) -> Advance {
        let Some(mut socket) = self.socket.take() else { return Advance::Waiting };
        let written = self.write(&mut socket);
        self.socket = Some(socket);
        written.map_or_else(Advance::Failed, |_| Advance::Waiting)
    }

    /// Reads and writes as far as possible.
    pub(crate) fn advance(
        &mut self,
        context: &mut ReadContext,
        closing: IsClosing,
        ledger: &mut Ledger,
    ) -> Advance {
        // A notification may concern a connection that was closed in the meantime.
        let Some(mut socket) = self.socket.take() else { return Advance::Waiting };
        let advance = self.advance_on(&mut socket, context, closing, ledger);
        self.socket = Some(socket);
        advance
    }

    fn advance_on(
        &mut self,
        socket: &mut Socket,
        ReadContext { buffer, recent, clock }: &mut ReadContext,
        closing: IsClosing,
        ledger: &mut Ledger,
    ) -> Advance {
        match self.write(socket) {
            Ok(IsDone::Yes) => {}
            Ok(IsDone::No) => return Advance::Waiting,
            Err(cause) => return Advance::Failed(cause),
        }
        loop {
            let count = match socket.read(buffer) {
                Ok(None) => return Advance::Waiting,
                Ok(Some(0)) => return Advance::Failed(self.end()),
                Ok(Some(count)) => count,
                Err(error) => return Advance::Failed(self.broken(error)),
            };
            match self.read(&buffer[..count], recent, ledger, clock.now()) {
                Ok(IsDone::Yes) => return Advance::Finished,
                Ok(IsDone::No) => {}
                Err(cause) => return Advance::Failed(cause),
            }
            if self.purpose == Purpose::Stall && self.is_open() {
                return Advance::Waiting;
            }
            // A read that did not fill the buffer has drained the socket, except for a possible
            // end.
            if count < buffer.len() && closing == IsClosing::No {
                return Advance::Waiting;
            }
        }
    }

    /// Writes the request as far as possible, and returns whether all of it is written.
    fn write(&mut self, socket: &mut Socket) -> Result<IsDone, Cause> {
        while let ExchangeState::Requesting { written } = &mut self.state {
            match socket.write(&self.pending[*written..]) {
                Ok(None) => return Ok(IsDone::No),
                Ok(Some(count)) => *written += count,
                Err(error) => return Err(Cause::Connect(error)),
            }
            if *written == self.pending.len() {
                self.pending = Vec::new();
                self.state = ExchangeState::Head;
            }
        }
        Ok(IsDone::Yes)
    }

    fn read(
        &mut self,
        bytes: &[u8],
        recent: &mut RecentEvents,
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<IsDone, Cause> {
        if self.state == ExchangeState::Body {
            self.reading.read(bytes, recent, ledger, now)?;
        } else {
            let mut head = std::mem::take(&mut self.pending);
            head.extend_from_slice(bytes);
            match self.understand(&head)? {
                None => self.pending = head,
                Some(_) if self.purpose == Purpose::Touch => return Ok(IsDone::Yes),
                Some(_) if self.purpose == Purpose::Stall => {}
                Some(len) => self.reading.read(&head[len..], recent, ledger, now)?,
            }
        }
        match self.purpose {
            Purpose::ReadTo(number) if self.reading.position.is_past(number) => Ok(IsDone::Yes),
            _ => Ok(IsDone::No),
        }
    }

    /// Reads the head of a response and returns its length once it is complete.
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
        self.reading.frame(head.body);
        self.state = ExchangeState::Body;
        Ok(Some(len))
    }

    /// Returns what it means that the connection was closed here.
    fn end(&self) -> Cause {
        match self.state {
            ExchangeState::Body if self.reading.may_end() => Cause::Ended,
            ExchangeState::Body => Cause::Cut,
            _ => Cause::NoHead,
        }
    }

    fn broken(&self, error: io::Error) -> Cause {
        match self.state {
            ExchangeState::Body => Cause::Broken(error),
            _ => Cause::Connect(error),
        }
    }
}

enum IsDone {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use mio::{Events, Poll, Token};

    use super::*;
    use crate::check::data::Shape;
    use crate::check::ledger::Scope;
    use crate::http::socket::{Endpoint, LocalAddress};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// With a fast server, the load would otherwise open one connection after another and neglect
    /// those that it had started before.
    #[test]
    fn asking_does_not_read_an_answer_that_is_there_already() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Endpoint { address: listener.local_addr().unwrap(), security: None };
        let mut poll = Poll::new().unwrap();
        let socket =
            Socket::connect(&to, LocalAddress::default(), poll.registry(), Token(0)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").unwrap();
        let position = Position::new(0, 0);
        let mut source = Source::new(socket, Purpose::Touch, REQUEST.to_vec(), position, 0);

        assert!(matches!(source.ask(), Advance::Waiting));
        assert!(!source.is_open());
        let mut asked = [0; REQUEST.len()];
        server.read_exact(&mut asked).unwrap();
        assert_eq!(asked, REQUEST);

        let mut context = ReadContext::new(Clock::start());
        let mut ledger = Ledger::new(Shape::new(7, 100), 1, Scope::Own);
        loop {
            match source.advance(&mut context, IsClosing::No, &mut ledger) {
                Advance::Waiting => poll.poll(&mut Events::with_capacity(1), None).unwrap(),
                advance => break assert!(matches!(advance, Advance::Finished), "{advance:?}"),
            }
        }
        assert!(source.is_open());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_request_that_nobody_takes_fails_when_it_is_made() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Endpoint { address: listener.local_addr().unwrap(), security: None };
        drop(listener);
        let mut poll = Poll::new().unwrap();
        let socket =
            Socket::connect(&to, LocalAddress::default(), poll.registry(), Token(0)).unwrap();
        poll.poll(&mut Events::with_capacity(1), None).unwrap();
        let position = Position::new(0, 0);
        let mut source = Source::new(socket, Purpose::Touch, REQUEST.to_vec(), position, 0);
        assert!(matches!(source.ask(), Advance::Failed(Cause::Connect(_))));
    }
}
