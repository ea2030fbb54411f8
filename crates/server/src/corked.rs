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
            // What woke it until now is seen by the poll.
            self.again.is_woken.store(false, Ordering::SeqCst);
            let polled = connection(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                // What a connection says last, such as why it fails, if it can be said at once.
                let _ = wire.poll_send(cx);
                return polled;
            }
            if !self.again.is_woken.load(Ordering::SeqCst) {
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
    }

    /// Wakes the task if there is more to do. Either a wake sees that nobody polls any more, or this
    /// sees the wake.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A connection that takes so many bytes and notes what each write brought.
    #[derive(Default)]
    struct Narrow {
        room: usize,
        writes: Vec<Vec<u8>>,
        waiting: Option<Waker>,
    }

    impl Read for Narrow {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Write for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = self.room.min(bytes.len());
            if taken == 0 {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.room -= taken;
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn write(wire: &Corked<Narrow>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<usize> {
        Pin::new(&mut wire.clone()).poll_write(cx, bytes).map(Result::unwrap)
    }

    fn writes(wire: &Corked<Narrow>) -> Vec<Vec<u8>> {
        wire.0.lock().io.as_ref().unwrap().writes.clone()
    }

    #[test]
    fn what_a_connection_writes_in_turns_it_wakes_itself_for_goes_out_in_one_write() {
        let wire = Corked::new(Narrow { room: 100, ..Narrow::default() });
        let (busy, task) = (Busy::new(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut answers = [b"one ", b"two "].into_iter();
        let polled = busy.poll(&mut Context::from_waker(&waker), &wire, |cx| {
            if let Some(answer) = answers.next() {
                assert_eq!(write(&wire, cx, answer), Poll::Ready(4));
                assert!(!wire.is_clear());
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending() && wire.is_clear());
        assert_eq!(writes(&wire), [b"one two "]);
        assert_eq!(task.0.load(Ordering::SeqCst), 0, "it woke itself, and was polled for it");
    }

    #[test]
    fn a_wake_that_comes_between_polls_wakes_the_task() {
        let wire = Corked::new(Narrow::default());
        let (busy, task) = (Busy::new(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut inner = None;
        let polled = busy.poll(&mut Context::from_waker(&waker), &wire, |cx| {
            inner = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(polled.is_pending());
        inner.unwrap().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_connection_that_never_stops_waking_itself_lets_others_have_their_turn() {
        let wire = Corked::new(Narrow::default());
        let (busy, task) = (Busy::new(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut turns = 0;
        let polled = busy.poll(&mut Context::from_waker(&waker), &wire, |cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(turns, TURNS_MAX);
        assert_eq!(task.0.load(Ordering::SeqCst), 1, "and comes back for the rest");
    }

    #[test]
    fn a_peer_that_takes_nothing_holds_the_writer_back() {
        let wire = Corked::new(Narrow::default());
        let task = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let piece = [b'x'; 1000];
        let mut collected = 0;
        while write(&wire, &mut cx, &piece).is_ready() {
            collected += piece.len();
        }
        assert!(collected <= UNSENT_BYTES_MAX);
        wire.0.lock().io.as_mut().unwrap().room = usize::MAX;
        wire.0.lock().io.as_mut().unwrap().waiting.take().unwrap().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
        assert!(write(&wire, &mut cx, &piece).is_ready());
        assert_eq!(writes(&wire).concat().len(), collected);
    }
}
