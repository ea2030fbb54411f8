//! One connection of HTTP/1, polled until it has nothing more to do, and its writes collected until
//! then.
//!
//! A request with a body makes hyper wake itself once or twice on its way, and requests that come
//! together are answered one by one. Polled by its runtime, each of these steps would cost a turn of
//! the runtime, and each answer a write of its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;

/// Bytes collected at most before they are written.
const UNSENT_BYTES_MAX: usize = 16 * 1024;
/// Room that is kept for the next answers; the rest is given back.
const KEPT_BYTES_MAX: usize = 1024;
/// How often a connection is polled before others have their turn: some dozens of small requests.
const TURNS_MAX: usize = 128;

/// A connection that collects what is written to it until it is [uncorked](Corked::poll_send).
///
/// Cloning shares the connection.
#[derive(Debug)]
pub(crate) struct Corked<I>(Arc<Mutex<Wire<I>>>);

#[derive(Debug)]
struct Wire<I> {
    /// There until it is [taken](Corked::take).
    io: Option<I>,
    unsent: Vec<u8>,
    sent: usize,
}

impl<I> Clone for Corked<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: Read + Write + Unpin> Corked<I> {
    pub(crate) fn new(io: I) -> Self {
        Self(Arc::new(Mutex::new(Wire { io: Some(io), unsent: Vec::new(), sent: 0 })))
    }

    /// Whether everything that was written has been taken by the connection beneath.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.lock().unsent.is_empty()
    }

    /// Takes the connection beneath; whoever still reads or writes finds it closed.
    pub(crate) fn take(&self) -> Option<I> {
        self.0.lock().io.take()
    }

    /// Writes what was collected.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(cx)
    }
}

impl<I: Read + Write + Unpin> Wire<I> {
    fn io(&mut self) -> io::Result<Pin<&mut I>> {
        let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(io))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let written = ready!(Pin::new(io).poll_write(cx, &self.unsent[self.sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.sent = 0;
        self.unsent.clear();
        self.unsent.shrink_to(KEPT_BYTES_MAX);
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Write + Unpin> Read for Corked<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().io()?.poll_read(cx, buffer)
    }
}

impl<I: Read + Write + Unpin> Write for Corked<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock();
        if wire.unsent.len() + bytes.len() > UNSENT_BYTES_MAX {
            ready!(wire.poll_send(cx))?;
            if bytes.len() > UNSENT_BYTES_MAX {
                return wire.io()?.poll_write(cx, bytes);
            }
        }
        wire.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends nothing: that is for whoever [polls](Busy) the connection.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock();
        ready!(wire.poll_send(cx))?;
        wire.io()?.poll_shutdown(cx)
    }
}

/// Polls a connection again for as long as it wakes itself, and then sends what it wrote.
#[derive(Debug)]
pub(crate) struct Busy {
    again: Arc<Again>,
    waker: Waker,
}

/// Notes that the connection was woken, and wakes its task if that is not at it anyway.
#[derive(Debug, Default)]
struct Again {
    is_polled: AtomicBool,
    is_woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Busy {
    pub(crate) fn new() -> Self {
        let again = Arc::<Again>::default();
        Self { waker: Waker::from(Arc::clone(&again)), again }
    }

    /// Polls `connection` in turns until it waits for something else than itself, then sends what it
    /// has written to `wire`.
    pub(crate) fn poll<F, I>(
        &self,
        cx: &mut Context<'_>,
        wire: &Corked<I>,
        mut connection: F,
    ) -> Poll<io::Result<()>>
    where
        F: FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
        I: Read + Write + Unpin,
    {
        self.again.begin(cx.waker());
        for _ in 0..TURNS_MAX {
            let polled = connection(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                // What a connection says last, such as why it fails, if it can be said at once.
                let _ = wire.poll_send(cx);
                return polled;
            }
            if !self.again.is_woken.swap(false, Ordering::SeqCst) {
                break;
            }
        }
        self.again.end(cx.waker());
        match wire.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What could not be sent wakes the task when it can.
            _ => Poll::Pending,
        }
    }
}

impl Again {
    fn begin(&self, task: &Waker) {
        let mut kept = self.task.lock();
        match &mut *kept {
            Some(kept) => kept.clone_from(task),
            None => *kept = Some(task.clone()),
        }
        self.is_polled.store(true, Ordering::SeqCst);
        self.is_woken.store(false, Ordering::SeqCst);
    }

    /// Either a wake sees that nobody polls any more, or this sees the wake.
    fn end(&self, task: &Waker) {
        self.is_polled.store(false, Ordering::SeqCst);
        if self.is_woken.load(Ordering::SeqCst) {
            task.wake_by_ref();
        }
    }
}

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if !self.is_polled.load(Ordering::SeqCst) {
            let task = self.task.lock().clone();
            task.into_iter().for_each(Waker::wake);
        }
    }
}
