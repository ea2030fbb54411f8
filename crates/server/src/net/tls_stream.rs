//! An event stream over TLS and HTTP/1, written by a task that has nothing but the connection and
//! the body.
//!
//! A piece of events goes from the history's memory, or from one merged piece of 16 KiB, into the
//! records of TLS. The next piece is asked for when the kernel has taken those records. So a reader
//! that takes nothing holds one piece, and as many encrypted bytes.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::engine::Framing;
use crate::engine::reason::Reason;
use crate::http::response_body::ResponseBody;
use crate::net::connections::ConnectionPermit;
use crate::net::linger::linger;
use crate::socket::transport::Transport;

/// The number of bytes after its request that a client may send: they are discarded.
const DISCARDED_BYTES_MAX: usize = 1024;

/// An event stream over TLS and HTTP/1.
#[derive(Debug)]
pub(crate) struct TlsEventStream {
    tls: Box<TlsStream<TcpStream>>,
    body: ResponseBody,
    piece: Piece,
    framing: Framing,
    /// Bytes that the client sent after its request.
    discarded: usize,
    is_over: bool,
    permit: ConnectionPermit,
}

impl TlsEventStream {
    pub(crate) fn new(
        tls: Box<TlsStream<TcpStream>>,
        (head, body, framing): (Vec<u8>, ResponseBody, Framing),
        discarded: usize,
        permit: ConnectionPermit,
    ) -> Self {
        let piece = Piece::unframed(head.into());
        Self { tls, body, piece, framing, discarded, is_over: false, permit }
    }

    /// Writes the stream until it ends, its client leaves, or it is cut.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(crate) async fn run(mut self) {
        match poll_fn(|cx| self.poll(cx)).await {
            End::Whole => {
                let Self { tls, body, permit, .. } = self;
                // Until the socket is closed, it keeps a place, as one in a shard does.
                let _place = body.into_place();
                // Boxed: most of a stream's time there is no need for the memory.
                let mut lingering = Box::pin(linger(Transport::Tls(tls)));
                poll_fn(|cx| match lingering.as_mut().poll(cx) {
                    Poll::Pending => permit.activity().poll_cut(cx),
                    Poll::Ready(()) => Poll::Ready(()),
                })
                .await;
            }
            End::Cut => {}
            End::Left(reason) => self.body.end_as(reason),
            End::Failed(error) => {
                debug!(error = &error as &dyn std::error::Error, "connection failed");
                self.body.end_as(match error.kind() {
                    // It closed TCP without the end of TLS, as many clients do.
                    io::ErrorKind::UnexpectedEof => Reason::ClientClosed,
                    _ => Reason::ConnectionFailed,
                });
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(left) = self.poll_client(cx) {
            return Poll::Ready(left.map_or_else(End::Failed, End::Left));
        }
        if self.permit.activity().poll_cut(cx).is_ready() {
            return Poll::Ready(End::Cut);
        }
        self.poll_events(cx).map(|written| written.map_or_else(End::Failed, |()| End::Whole))
    }

    /// Discards what the client sends; ready when that ends the stream.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Reason>> {
        let mut bytes = [0; 512];
        while self.discarded <= DISCARDED_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *self.tls).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Ok(Reason::ClientClosed)),
                read => self.discarded += read,
            }
        }
        Poll::Ready(Ok(Reason::ClientSentData))
    }

    /// Writes the events that are due; ready when the last of the stream has been written.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.piece.poll_write(&mut self.tls, cx))?;
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().ok(),
                None => None,
            };
            self.piece = match frame {
                Some(bytes) => Piece::framed(bytes, self.framing),
                None => {
                    self.is_over = true;
                    Piece::unframed(Bytes::from_static(self.framing.end()))
                }
            };
        }
    }
}

/// The way in which a stream has ended.
enum End {
    /// Its last byte has been written.
    Whole,
    /// Its client took nothing for too long.
    Cut,
    Left(Reason),
    Failed(io::Error),
}

/// A piece of a stream, as far as it has not been written.
#[derive(Debug, Default)]
struct Piece {
    /// The beginning of its chunk: a length in hexadecimal digits and a line end.
    head: ([u8; HEAD_BYTES_MAX], u8),
    bytes: Bytes,
    tail: &'static [u8],
    written: usize,
}

/// Eight digits, more than an event's largest size has, and a line end.
const HEAD_BYTES_MAX: usize = 10;

impl Piece {
    /// Bytes that are written as they are.
    fn unframed(bytes: Bytes) -> Self {
        Self { bytes, ..Self::default() }
    }

    fn framed(bytes: Bytes, framing: Framing) -> Self {
        if framing == Framing::Close {
            return Self::unframed(bytes);
        }
        let mut head = [0; HEAD_BYTES_MAX];
        let mut room = &mut head[..];
        io::Write::write_fmt(&mut room, format_args!("{:x}\r\n", bytes.len()))
            .expect("no event is so large");
        let length = HEAD_BYTES_MAX - room.len();
        Self { head: (head, length as u8), bytes, tail: b"\r\n", written: 0 }
    }

    /// Writes the rest, and then everything that TLS has encrypted.
    fn poll_write(
        &mut self,
        tls: &mut TlsStream<TcpStream>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let head = &self.head.0[..usize::from(self.head.1)];
            let mut slices = [head, &self.bytes, self.tail].map(IoSlice::new);
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, self.written);
            if rest.iter().all(|slice| slice.is_empty()) {
                break;
            }
            match ready!(pin!(&mut *tls).poll_write_vectored(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        // It is encrypted: nothing of it is needed again.
        *self = Self::default();
        Pin::new(tls).poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    use super::*;
    use crate::tls::TlsIdentity;

    /// A connection of a client and a server that trust each other, the server's half alone.
    fn shaken() -> ServerConnection {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = key.serialize_pem();
        let pem = certificate.pem();
        let identity = TlsIdentity::from_pem(pem.as_bytes(), key.as_bytes(), None).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(identity.config())).unwrap();
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        server
    }

    /// Of the 11 KB that a subscriber may cost over TLS. The rest is the task, the registration with the
    /// runtime, and what a stream costs in any case.
    #[test]
    fn an_idle_connection_holds_little_for_tls() {
        // What the library makes for the process, once.
        drop(shaken());
        let mut kept = None;
        let counted = allocation_counter::measure(|| kept = Some(shaken()));
        let held = counted.bytes_current as usize + size_of::<TlsStream<TcpStream>>();
        assert!(held < 8 * 1024, "{held}");
        assert!(size_of::<TlsEventStream>() <= 256, "{}", size_of::<TlsEventStream>());
        drop(kept);
    }

    #[test]
    fn a_piece_is_a_chunk_unless_the_end_of_the_connection_ends_it() {
        let text = |piece: &Piece| {
            let head = &piece.head.0[..usize::from(piece.head.1)];
            [head, &piece.bytes, piece.tail].concat()
        };
        let bytes = Bytes::from_static(b"data: 1\n\n");
        assert_eq!(text(&Piece::framed(bytes.clone(), Framing::Chunked)), b"9\r\ndata: 1\n\n\r\n");
        assert_eq!(text(&Piece::framed(bytes, Framing::Close)), b"data: 1\n\n");
        let large = Piece::framed(Bytes::from(vec![b'x'; 1 << 20]), Framing::Chunked);
        assert!(text(&large).starts_with(b"100000\r\nx"));
    }
}
