//! Tickets: readers that wait for the journal, and how they are woken.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use crate::cursor::Sequence;
use crate::history::{HintQueue, Patience};
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
    /// How often the reader has waited for what it reads next.
    waits: u32,
    /// The newest entry when it began to wait.
    since: Sequence,
    /// None once it has been called.
    waiter: Mutex<Option<Waiter>>,
}

/// The number of times that a reader waits for limits that are exact: for a count, for a page, and for both again if there
/// were too many events meanwhile.
const WAITS_MAX: u32 = 16;

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
    /// Gives a reader a ticket in place of one with which it was called; `None` if it does not wait. `tail` is the newest
    /// entry.
    pub(super) fn after(
        called: Option<&Self>,
        tail: Sequence,
        wait: Wait<'_>,
    ) -> Option<Arc<Self>> {
        let (waits, since) =
            called.map_or((0, tail), |called| (called.waits.saturating_add(1), called.since));
        let waiter = Mutex::new(Some(wait.waiter()?));
        Some(Arc::new(Self { waits, since, waiter }))
    }

    /// The reader's patience: it waits on for limits that are exact, or has waited too often.
    pub(crate) fn patience(&self) -> Patience {
        match self.waits < WAITS_MAX {
            true => Patience::Patient,
            false => Patience::Over { since: self.since },
        }
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
