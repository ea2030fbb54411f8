//! Brings hints from the tap to the slots: hints become sweeps, and sweeps visit slots.

use tidings_hub::engine::Drained;

use super::super::reason::Reason;
use super::super::slot::Permit;
use super::super::socket::Socket;
use super::super::sweep::Sweep;
use super::send::{Offered, offer};
use super::{Shard, enqueue, write_cost};

impl<S: Socket, P: Permit> Shard<S, P> {
    /// Makes sweeps of what the tap has brought.
    pub(super) fn take_hints(&mut self) {
        let mut hints = std::mem::take(&mut self.hints);
        if self.tap.drain(&mut hints, &mut self.answered) == Drained::Dropped {
            self.sweeps.clear();
            for (key, hot) in self.slots.iter_hot().filter(|(_, hot)| !hot.is_behind()) {
                enqueue(key as u32, hot, &mut self.ready);
            }
        }
        while let Some(key) = self.answered.pop() {
            self.enqueue(key as usize);
        }
        for hint in &hints {
            for (at, run) in hint.runs().iter().enumerate() {
                let multi = &mut self.lists.multi;
                let is_read = !multi.is_empty()
                    && multi.note(run.topic(), run.groups(), run.last(&hint.block));
                if is_read || !self.lists.of(run.topic()).is_empty() {
                    self.sweeps.add(hint, at);
                }
            }
            self.told_through = hint.block.last();
        }
        hints.clear();
        self.hints = hints;
    }

    /// Returns whether at most `writes` writes are due.
    pub(super) fn is_small(&self, writes: usize) -> bool {
        if self.sweeps.len() > writes {
            return false;
        }
        let Some(mut left) = writes.checked_sub(self.ready.len()) else { return false };
        let (lists, has_multi) = (&self.lists, !self.lists.multi.is_empty());
        self.sweeps.topics().all(|(topic, groups)| {
            let multi =
                |at| lists.multi.list(topic, groups, at).map_or(0, |it| lists.multi.len(it));
            let others = if has_multi { (0..=groups.len()).map(multi).sum() } else { 0 };
            let rest = left.checked_sub(lists.of(topic).len() + others);
            left = rest.unwrap_or_default();
            rest.is_some()
        })
    }

    /// Notes that the slots have been offered all that the tap has brought, if they have.
    pub(super) fn note_clear(&mut self) {
        if self.sweeps.is_empty() {
            self.offered_through = self.told_through;
        }
    }

    /// Does a slice of the next sweep; returns how much of the slice it took.
    pub(super) fn sweep(&mut self, slice: usize) -> usize {
        let Some(mut sweep) = self.sweeps.take() else { return 0 };
        let each = write_cost(sweep.chunked.bytes().len());
        let visits_max = (slice / each).max(1);
        let mut visits = 0;
        // The topic's own list, one of slots that read it among others, and one for each pattern.
        let lists = if self.lists.multi.is_empty() { 1 } else { sweep.groups.len() + 2 };
        while sweep.list < lists && visits < visits_max {
            visits += match sweep.list.checked_sub(1) {
                None => self.visit_single(&mut sweep, visits_max - visits),
                Some(at) => self.visit_multi(&mut sweep, at, visits_max - visits),
            };
            if sweep.next == Some(0) {
                (sweep.list, sweep.next) = (sweep.list + 1, None);
            }
        }
        if sweep.list < lists {
            self.sweeps.put_back(sweep);
        } else {
            self.sweeps.finish(sweep);
        }
        visits * each
    }

    /// Offers a sweep's events to slots of that topic alone; returns how many were visited.
    fn visit_single(&mut self, sweep: &mut Sweep, visits_max: usize) -> usize {
        // From the end: a slot that is removed is replaced by one that has been visited.
        let list = self.lists.of(sweep.topic);
        let to = sweep.next.map_or(list.len(), |next| next.min(list.len()));
        let from = to.saturating_sub(visits_max);
        for &key in list[from..to].iter().rev() {
            let (hot, cold) = self.slots.hot_first(key as usize);
            match offer((&mut *hot, cold), sweep, (&self.tap, self.now), |_| true) {
                Ok(Offered::Nothing) => {}
                Ok(Offered::Delivered(events)) => {
                    self.delivered += events;
                    if !hot.is_writable() {
                        self.refused.push(key);
                    }
                }
                Ok(Offered::Behind) => enqueue(key, hot, &mut self.ready),
                Err(_) => self.broken.push(key),
            }
        }
        sweep.next = Some(from);
        self.remove_broken();
        to - from
    }

    /// Offers a sweep's events to slots that read other topics as well; returns how many were visited.
    fn visit_multi(&mut self, sweep: &mut Sweep, at: usize, visits_max: usize) -> usize {
        let Some(list) = self.lists.multi.list(sweep.topic, &sweep.groups, at) else {
            sweep.next = Some(0);
            return 0;
        };
        let own = self.lists.multi.list(sweep.topic, &sweep.groups, 0);
        let length = self.lists.multi.len(list);
        let to = sweep.next.map_or(length, |next| next.min(length));
        let from = to.saturating_sub(visits_max);
        for place in (from..to).rev() {
            let (key, member) = self.lists.multi.slot(list, place);
            let (hot, cold) = self.slots.hot_first(key as usize);
            let (multi, topic) = (&self.lists.multi, sweep.topic);
            let may_take = |after| multi.may_take(member, (topic, own), after);
            match offer((&mut *hot, cold), sweep, (&self.tap, self.now), may_take) {
                Ok(Offered::Nothing) => {}
                Ok(Offered::Delivered(events)) => {
                    self.delivered += events;
                    if !hot.is_writable() {
                        self.refused.push(key);
                    }
                }
                Ok(Offered::Behind) => {
                    // It was at the tail and was offered nothing up to there, so there is nothing.
                    hot.after = hot.after.max(self.offered_through);
                    enqueue(key, hot, &mut self.ready);
                }
                Err(_) => self.broken.push(key),
            }
        }
        sweep.next = Some(from);
        self.remove_broken();
        to - from
    }

    fn remove_broken(&mut self) {
        while let Some(key) = self.broken.pop() {
            drop(self.remove(key as usize, Reason::ConnectionFailed));
        }
    }
}
