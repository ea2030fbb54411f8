//! A reader of an event stream over HTTP/1.1, which reads only on demand.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tidings_proto::{Decoder, EventBuf, Item};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An event stream and what has arrived of it.
pub(crate) struct Reader {
    pub(crate) socket: TcpStream,
    /// Bytes of the chunked coding that are not decoded yet.
    bytes: Vec<u8>,
    is_over: bool,
    decoder: Decoder,
    events: VecDeque<EventBuf>,
    pub(crate) status: u16,
    /// The last event ID: that of the last event, or the requested one.
    pub(crate) last_event_id: Option<String>,
}

/// The size of one read, small because there are ten thousand readers.
const READ_BYTES: usize = 4096;

impl Reader {
    /// Requests a stream and waits for the response head.
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        last_event_id: Option<String>,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address).await?;
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
        if let Some(id) = &last_event_id {
            request.push_str(&format!("Last-Event-ID: {id}\r\n"));
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let status = std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap();
        bytes.drain(..end);
        let (decoder, events) = (Decoder::new(), VecDeque::new());
        let mut reader =
            Self { socket, bytes, is_over: false, decoder, events, status, last_event_id };
        if status == 200 {
            reader.decode();
        }
        Ok(reader)
    }

    /// Waits for the next event; `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// The connection breaks, or the chunked coding is malformed.
    pub(crate) async fn next(&mut self) -> Option<EventBuf> {
        self.try_next().await.unwrap()
    }

    /// Waits for the next event; `None` at the end of the stream, an error if the connection breaks.
    pub(crate) async fn try_next(&mut self) -> io::Result<Option<EventBuf>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.last_event_id = event.id().map(str::to_owned);
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            self.bytes.reserve(READ_BYTES);
            if self.socket.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.decode();
        }
    }

    /// Decodes the chunks that have arrived whole.
    fn decode(&mut self) {
        let mut rest = &self.bytes[..];
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let len = std::str::from_utf8(&rest[..end]).unwrap();
            let len = usize::from_str_radix(len, 16).unwrap();
            let Some(chunk) = rest.get(end + 2..end + 4 + len) else { break };
            assert_eq!(&chunk[len..], b"\r\n");
            self.is_over = len == 0;
            rest = &rest[end + 4 + len..];
            let mut text = &chunk[..len];
            while let Some(item) = self.decoder.decode(&mut text).unwrap() {
                if let Item::Event(event) = item {
                    self.events.push_back(event.to_buf());
                }
            }
        }
        let decoded = self.bytes.len() - rest.len();
        self.bytes.drain(..decoded);
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
