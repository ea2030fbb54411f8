//! The blocks of history that answers keep in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_hub::engine::Block;

use crate::budget::{Budget, Claim, OverBudget, Share};

/// The blocks that answers are written from. A block that history evicts stays in memory until the
/// last answer that holds it has moved on.
///
/// Each counts once in the budget, however many answers hold it: they share its memory.
#[derive(Debug)]
pub(crate) struct Pins {
    budget: Arc<Budget>,
    /// By the address of the block.
    held: Mutex<HashMap<usize, Held>>,
}

#[derive(Debug)]
struct Held {
    pins: usize,
    _share: Share,
}

/// A block that an answer holds.
pub(crate) struct Pin {
    pins: Arc<Pins>,
    /// Held, so that no other block gets its address.
    block: Arc<Block>,
}

impl Pins {
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), held: Mutex::default() })
    }

    /// Holds a block.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if there is no room for it.
    pub(crate) fn hold(self: &Arc<Self>, block: &Arc<Block>) -> Result<Pin, OverBudget> {
        match self.held.lock().entry(address(block)) {
            Entry::Occupied(mut held) => held.get_mut().pins += 1,
            Entry::Vacant(vacant) => {
                let mut share = self.budget.share(Claim::Large);
                share.set(block.bytes())?;
                vacant.insert(Held { pins: 1, _share: share });
            }
        }
        Ok(Pin { pins: Arc::clone(self), block: Arc::clone(block) })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut all = self.pins.held.lock();
        if let Entry::Occupied(mut held) = all.entry(address(&self.block)) {
            held.get_mut().pins -= 1;
            if held.get().pins == 0 {
                held.remove();
            }
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("block", &self.block).finish_non_exhaustive()
    }
}

fn address(block: &Arc<Block>) -> usize {
    Arc::as_ptr(block).addr()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tidings_hub::engine::{Paging, RawEvent};
    use tidings_hub::{Draft, Event, Hub, Start, Topic};

    use super::*;

    const BYTES: usize = 100_000;

    /// Large events, each in a block of its own.
    fn large(events: usize) -> Vec<RawEvent> {
        let (hub, topic) = (Hub::default(), Topic::from_static("a"));
        for _ in 0..events {
            drop(hub.publish(Draft::new(topic.clone(), Event::new("x".repeat(BYTES)))));
        }
        let mut paging = Paging::new(&hub, &topic.into(), Start::Oldest, events);
        let mut found = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while paging.poll_step(&mut cx, 1, &mut found) == Poll::Ready(true) {}
        found
    }

    #[test]
    fn a_block_counts_once_and_until_nothing_holds_it() {
        let budget = Budget::new(4 * BYTES);
        let pins = Pins::new(&budget);
        let events = large(4);
        let hold = |index: usize| pins.hold(events[index].shared().unwrap());
        let twice = [hold(0).unwrap(), hold(0).unwrap()];
        let once = budget.held();
        assert!((BYTES..BYTES + 1000).contains(&once), "{once}");
        let beside = hold(1).unwrap();
        assert_eq!(hold(2).err(), Some(OverBudget));
        drop(beside);
        drop(twice);
        assert_eq!(budget.held(), 0);
        assert!(pins.held.lock().is_empty());
    }
}
