//! Telling HTTP/2 in clear text from HTTP/1 by how a connection begins.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Bytes read at first: most heads whole, so that one look at the socket is enough.
const FIRST_BYTES_MAX: usize = 1024;

/// Reads until the first bytes tell the protocol, and puts them back in front.
///
/// It takes no time of its own: who calls it bounds it.
pub(crate) async fn tell<I: Read + Unpin>(mut io: I) -> io::Result<(Protocol, Rewound<I>)> {
    let mut first = vec![0; FIRST_BYTES_MAX];
    let mut filled = 0;
    let protocol = loop {
        let read = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut first[filled..]);
            ready!(Pin::new(&mut io).poll_read(cx, buffer.unfilled()))?;
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
        .await?;
        filled += read;
        // A connection that ends here is HTTP/1's to end.
        if read == 0 || !PREFACE.starts_with(&first[..filled.min(PREFACE.len())]) {
            break Protocol::Http1;
        }
        if filled >= PREFACE.len() {
            break Protocol::Http2;
        }
    };
    first.truncate(filled);
    Ok((protocol, Rewound { first, taken: 0, io }))
}

/// A connection with the bytes that were read from it put back in front.
#[derive(Debug)]
pub(crate) struct Rewound<I> {
    /// Given back once it is taken.
    first: Vec<u8>,
    taken: usize,
    io: I,
}

impl<I> Rewound<I> {
    /// The connection beneath, if what was put back in front of it has been read.
    pub(crate) fn into_inner(self) -> Option<I> {
        self.first.is_empty().then_some(self.io)
    }
}

impl<I: Read + Unpin> Read for Rewound<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.first.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let rest = &this.first[this.taken..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        this.taken += taken;
        if this.taken == this.first.len() {
            this.first = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Write + Unpin> Write for Rewound<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands over its pieces one at a time, then ends.
    struct Pieces<'a>(Vec<&'a [u8]>);

    impl Read for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(piece) = self.0.first_mut() {
                let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
                *piece = later;
                buffer.put_slice(now);
                if later.is_empty() {
                    self.0.remove(0);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    async fn read_all(mut io: Rewound<Pieces<'_>>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut space = [0; 7];
            let mut buffer = ReadBuf::new(&mut space);
            let read =
                std::future::poll_fn(|cx| Pin::new(&mut io).poll_read(cx, buffer.unfilled()));
            read.await.unwrap();
            if buffer.filled().is_empty() {
                return all;
            }
            all.extend_from_slice(buffer.filled());
        }
    }

    #[track_caller]
    fn check(text: &[u8], expected: Protocol) {
        for cut in 0..=text.len() {
            let pieces = [&text[..cut], &text[cut..]].into_iter().filter(|p| !p.is_empty());
            let pieces = Pieces(pieces.collect());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (protocol, io) = tell(pieces).await.unwrap();
                assert_eq!(protocol, expected, "cut after byte {cut}");
                assert_eq!(read_all(io).await, text, "cut after byte {cut}");
            });
        }
    }

    #[test]
    fn the_preface_tells_http_2_and_nothing_is_lost() {
        check(PREFACE, Protocol::Http2);
        check(&[&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat(), Protocol::Http2);
    }

    #[test]
    fn everything_else_is_http_1() {
        for text in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\n",
            b"PRI * HTTP/1.1\r\n\r\n",
            b"P",
            b"",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        ] {
            check(text, Protocol::Http1);
        }
    }
}
