//! Waiters: readers that are woken when the journal has looked something up.

use std::sync::Arc;
use std::task::Waker;

use crate::history::HintQueue;
use crate::watch::Watch;

/// A reader that waits.
pub(crate) enum Waiter {
    Watch(Arc<Watch>),
    Task(Waker),
    /// A slot of a shard, by its number.
    Slot(Arc<HintQueue>, u32),
}

/// How a reader can be woken.
#[derive(Clone, Copy)]
pub(crate) enum Wait<'a> {
    /// A subscriber, whose waker is in its watch.
    Watch(&'a Arc<Watch>),
    Task(&'a Waker),
    Slot(&'a Arc<HintQueue>, u32),
    /// Not at all: the reader does not wait.
    Never,
}

/// Tasks that are compared with one that waits: one that is polled again and again is listed once.
const TASKS_COMPARED: usize = 16;

impl Wait<'_> {
    /// Adds the reader to those that wait; `false` if it does not wait.
    pub(crate) fn join(self, waiters: &mut Vec<Waiter>) -> bool {
        match self {
            Self::Watch(watch) => {
                if watch.begin_waiting() {
                    waiters.push(Waiter::Watch(Arc::clone(watch)));
                }
            }
            Self::Task(waker) => {
                let mut latest = waiters.iter().rev().take(TASKS_COMPARED);
                let is_same = |waiter: &Waiter| matches!(waiter, Waiter::Task(other) if other.will_wake(waker));
                if !latest.any(is_same) {
                    waiters.push(Waiter::Task(waker.clone()));
                }
            }
            Self::Slot(queue, slot) => waiters.push(Waiter::Slot(Arc::clone(queue), slot)),
            Self::Never => return false,
        }
        true
    }
}

/// Wakes waiters. No lock may be held.
pub(crate) fn wake_all(waiters: Vec<Waiter>) {
    let mut shards: Vec<Waker> = Vec::new();
    for waiter in waiters {
        match waiter {
            Waiter::Watch(watch) => watch.end_waiting(),
            Waiter::Task(waker) => waker.wake(),
            Waiter::Slot(queue, slot) => {
                let shard = queue.push_slot(slot);
                if !shards.iter().any(|other| other.will_wake(shard)) {
                    shards.push(shard.clone());
                }
            }
        }
    }
    // Once for all of their slots.
    shards.into_iter().for_each(Waker::wake);
}
