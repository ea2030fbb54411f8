//! Threads that read files, so that polling a future never blocks on the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use super::answer::{Answer, answer};

/// Threads that run jobs in the order of submission. Each page is a job of its own, so that concurrent
/// readers alternate.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl Readers {
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let queue =
            Arc::new(Queue { state: Mutex::new(State::default()), changed: Condvar::new() });
        let start = |_| {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("journal-reader".into()).spawn(move || queue.work())
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Submits a job. The answer is `None` if the threads have ended.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Answer<T> {
        let (giver, answer) = answer();
        let job = Box::new(move || giver.give(job()));
        let mut state = self.queue.state.lock();
        if !state.is_closed {
            state.jobs.push_back(job);
            drop(state);
            self.queue.changed.notify_one();
        }
        answer
    }

    /// Ends the threads after the submitted jobs.
    pub(super) fn close(&self) {
        self.queue.state.lock().is_closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // The panic of a thread has been reported already, and its answer was `None`.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn work(&self) {
        loop {
            let job = {
                let mut state = self.state.lock();
                loop {
                    if let Some(job) = state.jobs.pop_front() {
                        break job;
                    }
                    if state.is_closed {
                        return;
                    }
                    self.changed.wait(&mut state);
                }
            };
            job();
            // Pages are for readers that are behind, and publishers wait for other threads.
            thread::yield_now();
        }
    }
}
