//! Telling HTTP/2 in clear text from HTTP/1 by how a connection begins.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Reads until the first bytes tell the protocol, and puts them back in front.
///
/// It takes no time of its own: who calls it bounds it.
pub(crate) async fn tell<I: Read + Unpin>(mut io: I) -> io::Result<(Protocol, Rewound<I>)> {
    let mut space = [0; PREFACE.len()];
    let mut filled = 0;
    let protocol = loop {
        let read = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut space[filled..]);
            ready!(Pin::new(&mut io).poll_read(cx, buffer.unfilled()))?;
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
        .await?;
        filled += read;
        // A connection that ends here is HTTP/1's to end.
        if read == 0 || !PREFACE.starts_with(&space[..filled]) {
            break Protocol::Http1;
        }
        if filled == PREFACE.len() {
            break Protocol::Http2;
        }
    };
    Ok((protocol, Rewound { space, filled, taken: 0, held_back: Arc::default(), io }))
}

/// A connection with the bytes that were read from it put back in front.
#[derive(Debug)]
pub(crate) struct Rewound<I> {
    space: [u8; PREFACE.len()],
    filled: usize,
    taken: usize,
    /// Something was not written or flushed at once, and has not been since.
    held_back: Arc<AtomicBool>,
    io: I,
}

impl<I> Rewound<I> {
    /// Whether something that was written has not been taken by the connection beneath: looked at by
    /// who no longer has this one.
    pub(crate) fn held_back(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.held_back)
    }

    /// The connection beneath, if what was put back in front of it has been read.
    pub(crate) fn into_inner(self) -> Option<I> {
        (self.taken == self.filled).then_some(self.io)
    }
}

impl<I: Read + Unpin> Read for Rewound<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.space[this.taken..this.filled];
        if rest.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        this.taken += taken;
        Poll::Ready(Ok(()))
    }
}

impl<I: Write + Unpin> Write for Rewound<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.held_back.fetch_or(written.is_pending(), Ordering::AcqRel);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.held_back.store(flushed.is_pending(), Ordering::Release);
        flushed
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
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.held_back.fetch_or(written.is_pending(), Ordering::AcqRel);
        written
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
