//! A connection with bytes put back in front of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection with the bytes that were read from it put back in front.
#[derive(Debug)]
pub(crate) struct Rewound<I> {
    /// Freed once it is taken.
    first: Vec<u8>,
    taken: usize,
    io: I,
}

impl<I> Rewound<I> {
    pub(crate) fn new(first: Vec<u8>, io: I) -> Self {
        Self { first, taken: 0, io }
    }

    /// The connection without the bytes that were put back and not taken.
    pub(crate) fn into_inner(self) -> I {
        self.io
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
    use hyper::rt::ReadBuf;

    use super::*;

    /// Hands over its text in one piece, then ends.
    struct Text(&'static [u8]);

    impl Read for Text {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let (now, later) = self.0.split_at(self.0.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_was_put_back_comes_first_and_nothing_is_lost() {
        for first in [&b""[..], b"G", b"GET / HT", b"GET / HTTP/1.1\r\n"] {
            let mut io = Rewound::new(first.to_vec(), Text(b"Host: localhost\r\n\r\n"));
            let mut all = Vec::new();
            loop {
                let mut space = [0; 7];
                let mut buffer = ReadBuf::new(&mut space);
                std::future::poll_fn(|cx| Pin::new(&mut io).poll_read(cx, buffer.unfilled()))
                    .await
                    .unwrap();
                if buffer.filled().is_empty() {
                    break;
                }
                all.extend_from_slice(buffer.filled());
            }
            assert_eq!(all, [first, b"Host: localhost\r\n\r\n"].concat());
        }
    }
}
