//! The thread of a shard: it waits for sockets and for its tap, and lets the shard work.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};
use parking_lot::Mutex;
use tidings_hub::engine::OnEnd;
use tidings_hub::engine::{Reader, Tap};
use tidings_hub::{Hub, Start, StreamEnd, View};
use tracing::{error, warn};

use super::failure::Failure;
use super::reason::Reason;
use super::shard::roster::Seen as SeenOf;
use super::shard::{Shard, ShardConfig};
use super::slot::Adopted;
use super::socket::ShardSocket;
use super::streams::StreamPermit;

/// A stream as it is listed.
pub(crate) type Seen<'a> = SeenOf<'a, ShardSocket, StreamPermit>;

/// A shard and its thread, which ends with it.
pub(super) struct ShardThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    hub: Hub,
    shard: Mutex<Shard<ShardSocket, StreamPermit>>,
    tap: Arc<Tap>,
    registry: Registry,
    waker: mio::Waker,
    is_stopped: AtomicBool,
    /// Whether the thread is about to do all work that is due.
    is_woken: AtomicBool,
    failure: Arc<Failure>,
    /// Whether the thread is to panic.
    #[cfg(test)]
    is_broken: AtomicBool,
    ended: [AtomicU64; Reason::ALL.len()],
}

const WAKE: Token = Token(usize::MAX);
/// The maximum number of blocks in a tap: some milliseconds at the highest rates. Beyond that, a
/// shard is better off reading history.
const HINTS_MAX: usize = 4096;
/// The number of writes per turn of the thread, before it polls its sockets again: about a
/// millisecond.
pub(super) const TURN_WRITES: usize = 256;
/// The number of writes that a publisher does itself instead of waking the thread, which costs
/// about as much.
pub(super) const INLINE_WRITES: usize = 16;

impl ShardThread {
    pub(super) fn start(hub: &Hub, config: ShardConfig, failure: Arc<Failure>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let shared = Arc::new_cyclic(|shared| {
            let tap = Arc::new(Tap::open(
                hub,
                HINTS_MAX,
                Waker::from(Arc::new(WakeShard(shared.clone()))),
            ));
            Shared {
                hub: hub.clone(),
                shard: Mutex::new(Shard::new(config, Arc::clone(&tap))),
                tap,
                registry,
                waker,
                is_stopped: AtomicBool::new(false),
                is_woken: AtomicBool::new(false),
                failure,
                #[cfg(test)]
                is_broken: AtomicBool::new(false),
                ended: Default::default(),
            }
        });
        let thread = std::thread::Builder::new().name("shard".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared.or_fail(|| shared.run(poll));
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn subscribe(&self, view: &View, start: Start) -> Reader {
        self.shared.tap.subscribe(view, start)
    }

    pub(super) fn adopt(&self, adopted: Adopted<ShardSocket, StreamPermit>) {
        let mut shard = self.shared.shard.lock();
        // The shard's thread may not have updated the time yet.
        shard.set_now(self.shared.hub.uptime());
        let key = shard.add(adopted);
        if let Some(socket) = shard.socket(key)
            && let Err(error) = socket.register(&self.shared.registry, Token(key))
        {
            warn!(error = &error as &dyn std::error::Error, "stream not taken over");
            shard.abandon(key);
        }
        let worked = self
            .shared
            .or_fail(|| Ok(self.shared.work(&mut shard, |shard| shard.turn(INLINE_WRITES))));
        if worked == Some(true) {
            self.shared.wake();
        }
    }

    /// Makes the thread panic.
    #[cfg(test)]
    pub(super) fn break_thread(&self) {
        self.shared.is_broken.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> usize {
        self.shared.shard.lock().len()
    }

    /// Visits a portion of the streams; see [`Shard::see`].
    pub(super) fn see(
        &self,
        from: usize,
        questions: usize,
        visit: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Option<usize> {
        let mut shard = self.shared.shard.lock();
        shard.set_now(self.shared.hub.uptime());
        shard.see(from, questions, visit)
    }

    /// Closes the selected streams.
    pub(super) fn close_some(&self, mut is_selected: impl FnMut(Seen<'_>) -> bool) {
        let mut next = Some(0);
        while let Some(from) = next {
            let mut shard = self.shared.shard.lock();
            next = shard.close_some(from, &mut is_selected);
        }
        self.shared.wake();
    }

    pub(super) fn drain(&self, over: Duration) {
        self.shared.shard.lock().drain(over);
        self.shared.wake();
    }

    pub(super) fn ended(&self, reason: Reason) -> u64 {
        self.shared.ended[reason as usize].load(Ordering::Relaxed)
    }
}

impl Drop for ShardThread {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("shard panicked");
        }
        let ended = self.shared.shard.lock().take_ended();
        run_hooks(ended);
    }
}

impl Shared {
    fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            // It fails only when the event counter is full, and then the thread is about to wake.
            let _ = self.waker.wake();
        }
    }

    /// Does a part of the shard's work, whoever does it. After a panic or an error, the shard has
    /// failed, and the server ends.
    fn or_fail<T>(&self, work: impl FnOnce() -> io::Result<T>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error!(error = &error as &dyn std::error::Error, "shard cannot wait"),
            Err(panic) => {
                let cause = panic.downcast_ref::<String>().map(String::as_str);
                let cause = cause.or_else(|| panic.downcast_ref::<&str>().copied());
                error!(cause, "shard panicked");
            }
        }
        self.failure.report();
        None
    }

    fn run(&self, mut poll: Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut has_more = false;
        while !self.is_stopped.load(Ordering::Acquire) {
            let timeout = has_more.then_some(Duration::ZERO);
            match poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            #[cfg(test)]
            assert!(!self.is_broken.load(Ordering::Acquire), "broken by a test");
            // Before the work, so that later events wake the thread again.
            self.is_woken.store(false, Ordering::SeqCst);
            let mut shard = self.shard.lock();
            for event in events.iter().filter(|event| event.token() != WAKE) {
                let key = event.token().0;
                if event.is_writable() {
                    shard.handle_writable(key);
                }
                // The key may belong to a socket that waits for its client to close, or to another
                // slot by now, so the sockets themselves are asked.
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    shard.handle_readable(key);
                }
            }
            has_more = self.work(&mut shard, |shard| shard.turn(TURN_WRITES));
            let ended = shard.take_ended();
            drop(shard);
            run_hooks(ended);
            if has_more {
                // On a busy machine, what is published meanwhile waits for other threads: those that read requests
                // and sync the journal. They need little time, and would wait for the end of this one's.
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// Lets the shard work; returns `true` if more is due, or if hooks must run. Only the thread
    /// may run them: a publisher holds locks that publishing needs.
    fn work(
        &self,
        shard: &mut Shard<ShardSocket, StreamPermit>,
        turn: impl FnOnce(&mut Shard<ShardSocket, StreamPermit>) -> bool,
    ) -> bool {
        shard.set_now(self.hub.uptime());
        let has_more = turn(shard);
        for key in shard.take_refused() {
            let key = key as usize;
            if let Some(socket) = shard.socket(key)
                && let Err(error) = socket.tell_room(&self.registry, Token(key))
            {
                warn!(error = &error as &dyn std::error::Error, "stream cannot be waited for");
                shard.abandon(key);
            }
        }
        self.tap.count_delivered(shard.take_delivered());
        for reason in shard.take_end_reasons() {
            self.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
        }
        has_more || shard.has_ended()
    }
}

/// Runs the hooks of ended streams. The shard is not locked, because a hook may publish.
fn run_hooks(ended: Vec<(OnEnd, StreamEnd)>) {
    for (on_end, end) in ended {
        // A hook is foreign code, and all other streams of the shard depend on this thread.
        if catch_unwind(AssertUnwindSafe(|| on_end.run(end))).is_err() {
            error!("hook panicked");
        }
    }
}

/// Wakes a shard from its tap: publishers do small turns themselves.
struct WakeShard(Weak<Shared>);

impl Wake for WakeShard {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.0.upgrade() else { return };
        // The thread does large turns from their beginning: events published before it starts go
        // out in the same writes.
        // A panic here must not reach the publisher, whose event is committed.
        if let Some(mut shard) = shared.shard.try_lock() {
            let turn = |shard: &mut Shard<_, _>| shard.turn_if_small(INLINE_WRITES);
            if shared.or_fail(|| Ok(shared.work(&mut shard, turn))) == Some(false) {
                return;
            }
        }
        shared.wake();
    }
}

impl fmt::Debug for ShardThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShardThread")
    }
}
