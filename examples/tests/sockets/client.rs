//! A reader that speaks just enough HTTP/1.1, on a blocking socket.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tidings_proto::{Decoder, Item};

/// An event that a stream sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) event_type: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

/// An open event stream, asked for as an EventSource asks.
pub(crate) struct Reader {
    response: Response,
    decoder: Decoder,
    seen: VecDeque<Seen>,
    /// The reconnection time that was sent last.
    pub(crate) retry: Option<Duration>,
}

impl Reader {
    pub(crate) fn open(address: SocketAddr, path: &str, last_event_id: Option<&str>) -> Self {
        let resume = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let headers = format!("Accept: text/event-stream\r\nCache-Control: no-cache\r\n{resume}");
        let response = Response::to(address, "GET", path, &headers, "");
        assert_eq!(response.status, 200, "{path}");
        let content_type = "content-type: text/event-stream";
        assert!(response.head.contains(content_type), "{}", response.head);
        Self { response, decoder: Decoder::new(), seen: VecDeque::new(), retry: None }
    }

    /// Waits for the next event; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Seen> {
        while self.seen.is_empty() {
            self.read_chunk()?;
        }
        self.seen.pop_front()
    }

    /// Waits for the next event and looks at its data.
    #[track_caller]
    pub(crate) fn expect(&mut self, data: &str) -> Seen {
        let seen = self.next().expect("the stream is open");
        assert_eq!(seen.data, data);
        seen
    }

    /// Waits until the server has begun to send: its subscription is then in force.
    pub(crate) fn opened(mut self) -> Self {
        while self.retry.is_none() {
            self.read_chunk().expect("the stream is open");
        }
        self
    }

    /// The place a reader comes back with.
    pub(crate) fn last_event_id(&self) -> String {
        self.decoder.last_event_id().to_owned()
    }

    fn read_chunk(&mut self) -> Option<()> {
        let chunk = self.response.chunk()?;
        let mut input = &chunk[..];
        while let Some(item) = self.decoder.decode(&mut input).unwrap() {
            match item {
                Item::Event(event) => self.seen.push_back(Seen {
                    event_type: event.event_type.to_owned(),
                    data: event.data.to_owned(),
                    last_event_id: event.last_event_id.to_owned(),
                }),
                Item::Retry(retry) => self.retry = Some(retry),
                _ => {}
            }
        }
        Some(())
    }
}

/// Sends a request and answers with its status.
pub(crate) fn status(address: SocketAddr, method: &str, path: &str, body: &str) -> u16 {
    Response::to(address, method, path, "", body).status
}

/// Sends the request of a reader that comes back and answers with its status.
pub(crate) fn status_after(address: SocketAddr, path: &str, last_event_id: &str) -> u16 {
    let headers = format!("Last-Event-ID: {last_event_id}\r\nCache-Control: no-cache\r\n");
    Response::to(address, "GET", path, &headers, "").status
}

struct Response {
    socket: BufReader<TcpStream>,
    status: u16,
    head: String,
}

impl Response {
    fn to(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Self {
        /// A guard against waiting for ever, and no measure of anything.
        const PATIENCE: Duration = Duration::from_secs(60);
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut socket = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(socket.read_line(&mut head).unwrap(), 0, "closed in the head: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { socket, status, head: head.to_ascii_lowercase() }
    }

    /// The next chunk of a chunked body; `None` at its end, and where the connection breaks.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        assert!(self.head.contains("transfer-encoding: chunked"), "{}", self.head);
        let mut size = String::new();
        self.socket.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim_end(), 16).ok().filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        self.socket.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }
}
