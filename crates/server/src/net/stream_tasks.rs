//! The tasks that hyper spawns for the streams of one HTTP/2 connection, run by the connection's
//! own task.
//!
//! As tasks of the runtime they would be half as large again, and an event for many streams of a
//! connection would pass through the runtime's queues once per stream. Here they also end with
//! their connection, so that no list of them is needed. `FuturesUnordered` would poll all woken
//! tasks before the connection could write the output of the first.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::Executor;
use parking_lot::Mutex;
use slab::Slab;
use tracing::error;

/// The tasks of one connection's streams. Dropping it drops them.
#[derive(Default)]
pub(crate) struct StreamTasks {
    tasks: Slab<Running>,
    spawner: Spawner,
}

/// Takes the tasks that hyper spawns. Clones share one queue.
#[derive(Clone, Default)]
pub(crate) struct Spawner(Arc<Mutex<Queue>>);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Running {
    task: Task,
    wake: Arc<WakeTask>,
}

/// The tasks to be polled.
#[derive(Default)]
struct Queue {
    new: VecDeque<Task>,
    /// The places of the woken tasks, each once.
    woken: Vec<u32>,
    /// The task that is being polled.
    current: Option<Arc<WakeTask>>,
    /// Woken when a task is queued, if the connection waits for that.
    connection: Option<Waker>,
}

/// Puts one task into the queue.
pub(crate) struct WakeTask {
    queue: Spawner,
    place: u32,
    is_woken: AtomicBool,
    /// Whether the task is to be dropped instead of polled.
    is_cut: AtomicBool,
}

/// The number of tasks polled before the connection writes their output and other connections have
/// a turn: at most 2 MB of events.
const TURN_MAX: usize = 32;

/// The number of new tasks that an empty queue has room for.
const NEW_KEPT: usize = 4;

impl StreamTasks {
    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Polls the new and the woken tasks; if there are many, a part of them.
    pub(crate) fn run(&mut self) {
        let (new, woken) = self.spawner.due();
        for task in new {
            let entry = self.tasks.vacant_entry();
            let place = u32::try_from(entry.key()).expect("a connection has fewer streams");
            let (queue, is_woken) = (self.spawner.clone(), AtomicBool::new(false));
            let wake = WakeTask { queue, place, is_woken, is_cut: AtomicBool::new(false) };
            entry.insert(Running { task, wake: Arc::new(wake) });
            self.poll_task(place);
        }
        woken.into_iter().for_each(|place| self.poll_task(place));
    }

    /// Polls all new tasks: those of the requests that arrived with a connection's end, which are
    /// as many as a connection may have at most.
    fn run_new(&mut self) {
        while !self.spawner.0.lock().new.is_empty() {
            self.run();
        }
    }

    /// Wakes `cx` when there is something to [run](StreamTasks::run).
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        let mut queue = self.spawner.0.lock();
        if queue.new.is_empty() && queue.woken.is_empty() {
            queue.connection = Some(cx.waker().clone());
        } else {
            drop(queue);
            cx.waker().wake_by_ref();
        }
    }

    fn poll_task(&mut self, place: u32) {
        // Another stream may have the place by now, or none, because the waker of a finished task
        // may still be used.
        let Some(Running { task, wake }) = self.tasks.get_mut(place as usize) else { return };
        // Before the poll, so that no wake during the poll is missed.
        wake.is_woken.store(false, Ordering::Release);
        if wake.is_cut.load(Ordering::Acquire) {
            // hyper resets the stream of a task that is dropped.
            self.tasks.remove(place as usize);
            return;
        }
        self.spawner.0.lock().current = Some(Arc::clone(wake));
        let waker = Waker::from(Arc::clone(wake));
        let mut cx = Context::from_waker(&waker);
        // A handler that panics ends its own stream, but not all others on the connection.
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx)));
        self.spawner.0.lock().current = None;
        if polled.is_err() {
            error!("handler panicked");
        }
        if !matches!(polled, Ok(Poll::Pending)) {
            self.tasks.remove(place as usize);
        }
    }
}

impl Drop for StreamTasks {
    fn drop(&mut self) {
        // New tasks hold the queue that holds them.
        let new = take(&mut self.spawner.0.lock().new);
        drop(new);
    }
}

impl Spawner {
    /// Takes the due tasks from the queue. While they run, the connection need not be woken for
    /// more.
    fn due(&self) -> (Vec<Task>, Vec<u32>) {
        let mut queue = self.0.lock();
        queue.connection = None;
        // Both kinds have their part of a turn, so that neither waits for all of the other.
        let new = queue.new.len().min(TURN_MAX - (TURN_MAX / 2).min(queue.woken.len()));
        let woken = queue.woken.len().min(TURN_MAX - new);
        let due = (queue.new.drain(..new).collect(), queue.woken.drain(..woken).collect());
        // Streams begin many at a time and then stay open: the queue would keep room for as many.
        if queue.new.is_empty() {
            queue.new.shrink_to(NEW_KEPT);
        }
        due
    }

    /// The task that is being polled, for the stream that it opens.
    pub(crate) fn current(&self) -> Option<Arc<WakeTask>> {
        self.0.lock().current.clone()
    }

    fn put(&self, put: impl FnOnce(&mut Queue)) {
        let mut queue = self.0.lock();
        put(&mut queue);
        let connection = queue.connection.take();
        drop(queue);
        // With no lock held, because a waker may run any code.
        connection.into_iter().for_each(Waker::wake);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, task: F) {
        let task = Box::pin(task);
        self.put(|queue| queue.new.push_back(task));
    }
}

impl WakeTask {
    /// Ends the task, and its stream with it, although others on the connection go on.
    pub(crate) fn cut(self: &Arc<Self>) {
        self.is_cut.store(true, Ordering::Release);
        self.wake_by_ref();
    }
}

impl fmt::Debug for WakeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeTask").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.queue.put(|queue| queue.woken.push(self.place));
        }
    }
}

/// A future of a connection, and the tasks of its streams beside it.
pub(crate) struct WithTasks<C> {
    pub(crate) connection: C,
    pub(crate) tasks: StreamTasks,
}

impl<C: Future + Unpin> Future for WithTasks<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let Self { connection, tasks } = &mut *self;
        // First, so that the connection writes their output at once.
        tasks.run();
        let polled = Pin::new(connection).poll(cx);
        if polled.is_pending() {
            tasks.run();
            tasks.wait(cx);
        } else {
            tasks.run_new();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::{pending, poll_fn};
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that counts its polls, leaves its waker, and never ends by itself.
    fn waiting(
        polls: &Arc<Count>,
    ) -> (Arc<Mutex<Option<Waker>>>, impl Future<Output = ()> + use<>) {
        let (polls, left) = (Arc::clone(polls), Arc::new(Mutex::new(None)));
        let waker = Arc::clone(&left);
        let task = poll_fn(move |cx| {
            polls.0.fetch_add(1, Ordering::Relaxed);
            *waker.lock() = Some(cx.waker().clone());
            Poll::Pending
        });
        (left, task)
    }

    #[test]
    fn a_task_is_polled_when_it_is_new_and_whenever_it_was_woken() {
        let (mut tasks, connection) = (StreamTasks::default(), Arc::new(Count::default()));
        let (polls, waker) = (Arc::new(Count::default()), Waker::from(Arc::clone(&connection)));
        let cx = Context::from_waker(&waker);
        let (left, task) = waiting(&polls);
        tasks.wait(&cx);
        tasks.spawner().execute(task);
        assert_eq!(connection.take(), 1);
        tasks.run();
        tasks.run();
        assert_eq!(polls.take(), 1);

        tasks.wait(&cx);
        let left = left.lock().take().unwrap();
        left.wake_by_ref();
        left.wake_by_ref();
        assert_eq!(connection.take(), 1);
        tasks.run();
        assert_eq!(polls.take(), 1);
        // Woken while the connection is at work, which finds it before it waits.
        left.wake();
        assert_eq!(connection.take(), 0);
        tasks.wait(&cx);
        assert_eq!(connection.take(), 1);
        tasks.run();
        assert_eq!(polls.take(), 1);
    }

    #[test]
    fn many_that_are_woken_have_their_turns_one_after_the_other() {
        let mut tasks = StreamTasks::default();
        let polls = Arc::new(Count::default());
        let left: Vec<_> = (0..TURN_MAX + 1)
            .map(|_| {
                let (left, task) = waiting(&polls);
                tasks.spawner().execute(task);
                left
            })
            .collect();
        tasks.run();
        assert_eq!(polls.take(), TURN_MAX);
        tasks.run();
        assert_eq!(polls.take(), 1);
        let wakers: Vec<_> = left.iter().map(|left| left.lock().take().unwrap()).collect();
        wakers.into_iter().for_each(Waker::wake);
        tasks.run();
        assert_eq!(polls.take(), TURN_MAX);
        tasks.run();
        assert_eq!(polls.take(), 1);
    }

    #[test]
    fn new_tasks_and_woken_ones_share_a_turn() {
        let mut tasks = StreamTasks::default();
        let (new, woken) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let left: Vec<_> = (0..TURN_MAX)
            .map(|_| {
                let (left, task) = waiting(&woken);
                tasks.spawner().execute(task);
                left
            })
            .collect();
        tasks.run();
        woken.take();
        left.iter().for_each(|left| left.lock().take().unwrap().wake());
        (0..TURN_MAX).for_each(|_| tasks.spawner().execute(waiting(&new).1));
        tasks.run();
        assert_eq!((new.take(), woken.take()), (TURN_MAX / 2, TURN_MAX / 2));
        tasks.run();
        assert_eq!((new.take(), woken.take()), (TURN_MAX / 2, TURN_MAX / 2));
    }

    #[test]
    fn a_task_that_is_cut_is_dropped_and_the_next_in_its_place_is_not() {
        let (mut tasks, polls) = (StreamTasks::default(), Arc::new(Count::default()));
        let (spawner, cutter) = (tasks.spawner(), Arc::new(Mutex::new(None)));
        let opening = poll_fn({
            let cutter = Arc::clone(&cutter);
            move |_| {
                *cutter.lock() = spawner.current();
                Poll::<()>::Pending
            }
        });
        tasks.spawner().execute(opening);
        tasks.run();
        assert!(tasks.spawner().current().is_none());
        let cutter = cutter.lock().take().unwrap();
        cutter.cut();
        tasks.run();
        assert_eq!(tasks.tasks.len(), 0);
        tasks.spawner().execute(waiting(&polls).1);
        tasks.run();
        cutter.cut();
        tasks.run();
        assert_eq!(tasks.tasks.len(), 1);
    }

    #[test]
    fn the_waker_of_a_task_that_is_gone_does_no_harm() {
        let mut tasks = StreamTasks::default();
        let left = Arc::new(Mutex::new(None));
        let ended = poll_fn({
            let left = Arc::clone(&left);
            move |cx| {
                *left.lock() = Some(cx.waker().clone());
                Poll::Ready(())
            }
        });
        tasks.spawner().execute(ended);
        tasks.run();
        let stale = left.lock().take().unwrap();
        stale.wake_by_ref();
        tasks.run();
        let polls = Arc::new(Count::default());
        let (_left, task) = waiting(&polls);
        tasks.spawner().execute(task);
        tasks.run();
        stale.wake();
        tasks.run();
        assert!(polls.take() <= 2);
        drop(tasks);
    }

    #[test]
    fn dropping_them_drops_every_task_those_that_were_never_polled_too() {
        let (mut tasks, alive) = (StreamTasks::default(), Arc::new(()));
        let spawn = |spawner: Spawner| {
            let (alive, own) = (Arc::clone(&alive), spawner.clone());
            spawner.execute(async move {
                pending::<()>().await;
                drop((alive, own));
            });
        };
        spawn(tasks.spawner());
        tasks.run();
        spawn(tasks.spawner());
        assert_eq!(Arc::strong_count(&alive), 3);
        drop(tasks);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_task_that_panics_ends_and_the_others_go_on() {
        let (mut tasks, polls) = (StreamTasks::default(), Arc::new(Count::default()));
        tasks.spawner().execute(poll_fn(|_| panic!("a handler that panics")));
        let (_, task) = waiting(&polls);
        tasks.spawner().execute(task);
        tasks.run();
        assert_eq!((polls.take(), tasks.tasks.len()), (1, 1));
    }
}
