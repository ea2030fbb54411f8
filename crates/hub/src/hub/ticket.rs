//! Tickets: readers that wait for the journal, and how they are woken.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use crate::history::HintQueue;
use crate::watch::Watch;

/// How a reader can be woken.
#[derive(Clone, Copy)]
pub(crate) enum Wait<'a> {
    /// A subscriber, whose waker is in its watch.
    Watch(&'a Arc<Watch>),
    Task(&'a Waker),
    /// A slot of a shard, by its number.
    Slot(&'a Arc<HintQueue>, u32),
    /// Not at all: the reader does not wait.
    Never,
}

/// A reader that waits.
pub(crate) enum Waiter {
    Watch(Arc<Watch>),
    Task(Waker),
    Slot(Arc<HintQueue>, u32),
}

/// A reader's wait for the journal. The reader keeps it, and the lines in which it stands know it weakly: a
/// reader stands in one line at a time, and leaves it when it drops its ticket.
pub(crate) struct Ticket {
    /// When the reader began to wait, by the hub's steady clock, in milliseconds.
    since: u64,
    /// None once it has been called.
    waiter: Mutex<Option<Waiter>>,
}

impl Wait<'_> {
    /// The reader that is to be woken, if it waits at all.
    pub(crate) fn waiter(self) -> Option<Waiter> {
        Some(match self {
            Self::Watch(watch) => Waiter::Watch(Arc::clone(watch)),
            Self::Task(waker) => Waiter::Task(waker.clone()),
            Self::Slot(queue, slot) => Waiter::Slot(Arc::clone(queue), slot),
            Self::Never => return None,
        })
    }
}

impl Ticket {
    /// Gives a reader a ticket in place of one with which it was called; `None` if it does not wait.
    pub(super) fn after(called: Option<&Self>, wait: Wait<'_>, now: u64) -> Option<Arc<Self>> {
        let since = called.map_or(now, Self::since);
        wait.waiter().map(|waiter| Arc::new(Self { since, waiter: Mutex::new(Some(waiter)) }))
    }

    /// When the reader began to wait for what it reads next.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// Notes how the reader is woken now; `false` if it has been called and is in no line any more.
    pub(super) fn waits(&self, wait: Wait<'_>) -> bool {
        let mut waiter = self.waiter.lock();
        if let (Some(Waiter::Task(kept)), Wait::Task(waker)) = (&mut *waiter, wait) {
            kept.clone_from(waker);
        }
        waiter.is_some()
    }

    fn call(&self) -> Option<Waiter> {
        self.waiter.lock().take()
    }
}

/// Calls readers. No lock may be held.
pub(super) fn call_all(tickets: impl IntoIterator<Item = Arc<Ticket>>) {
    wake_all(tickets.into_iter().filter_map(|ticket| ticket.call()));
}

/// Wakes readers. No lock may be held.
pub(super) fn wake_all(waiters: impl IntoIterator<Item = Waiter>) {
    let mut shards: Vec<Waker> = Vec::new();
    for waiter in waiters {
        match waiter {
            Waiter::Watch(watch) => watch.wake(),
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
