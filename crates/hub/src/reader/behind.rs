//! Reading on where history does not hold a reader's place: the journal looks it up and reads pages.

use std::sync::Arc;

use tidings_proto::EventId;

use super::{Asked, Read, ReaderState};
use crate::cursor::{Cursor, Sequence};
use crate::gap::Gap;
use crate::history::{
    EvictionStamp, Kept, KeptPage, KeptRead, KeptStop, Patience, ReadMax, ReadPosition,
};
use crate::hub::{Hub, Wait, Waiting, Wanted};
use crate::retention::TopicLimits;
use crate::seen::Seen;
use crate::topic::Topic;

impl ReaderState {
    /// Has the topics of the view counted, if their limits may reach beneath history; `false` if that
    /// must be waited for.
    fn is_counted(&mut self, hub: &Hub, wait: Wait<'_>) -> bool {
        let (uncounted, tail) = {
            let history = hub.read();
            (history.uncounted(&self.resolved, self.patience()), history.tail())
        };
        let Some(topics) = uncounted else { return true };
        self.wait_for((tail, wait), |waiting| hub.reads().count(topics, waiting));
        false
    }

    /// Notes that the reader is told of all losses now, or asks for nothing that is lost by now.
    pub(super) fn note_told(&mut self, hub: &Hub) {
        let history = hub.read();
        self.told_at = history.stamp();
        let told = history.told_now(&self.resolved, hub.time());
        drop(history);
        self.set_told(told);
    }

    /// The reader's patience for limits that are exact.
    fn patience(&self) -> Patience {
        let ticket = self.unsettled.as_ref().and_then(|unsettled| unsettled.ticket.as_ref());
        ticket.map_or(Patience::Patient, |ticket| ticket.patience())
    }

    /// Asks the journal for something with the reader's ticket, when `tail` is the newest entry of history.
    fn wait_for<T>(
        &mut self,
        (tail, wait): (Sequence, Wait<'_>),
        ask: impl FnOnce(Waiting<'_>) -> T,
    ) -> T {
        let mut ticket = self.unsettled.as_mut().and_then(|unsettled| unsettled.ticket.take());
        let asked = ask(Waiting { ticket: &mut ticket, tail, wait });
        if ticket.is_some() {
            self.unsettled.get_or_insert_default().ticket = ticket;
        }
        self.settle();
        asked
    }

    /// Takes the place that the journal has found; `false` if it is still looking.
    #[cold]
    pub(super) fn settle_start(&mut self, hub: &Hub, after: &mut Sequence, wait: Wait<'_>) -> bool {
        let locating = match self.asked() {
            Some(Asked::Locating(locating)) => locating,
            Some(Asked::Oldest) => {
                let is_counted = self.is_counted(hub, wait);
                if is_counted {
                    // Events beyond a limit are not among those asked for.
                    self.note_told(hub);
                    self.set_asked(None);
                }
                return is_counted;
            }
            Some(Asked::Lost(_)) | None => return true,
        };
        let Some(place) = locating.place(wait) else { return false };
        match place {
            Some(place) => {
                *after = place;
                self.told_at = EvictionStamp::default();
                self.ends = self.ends.after_place();
                self.set_asked(None);
            }
            None => {
                let id = Gap::asked(locating.id()).into();
                hub.note_oldest();
                *after = Sequence::ZERO;
                self.told_at = hub.read().stamp();
                self.set_asked(Some(Asked::Lost(id)));
            }
        }
        true
    }

    /// Tells the gap between the place that was asked for and the oldest event.
    pub(super) fn tell_gap(&mut self, hub: &Hub, after: Sequence, oldest: Option<EventId>) -> Read {
        let asked = self.unsettled.as_mut().and_then(|unsettled| unsettled.asked.take());
        self.settle();
        let Some(Asked::Lost(asked)) = asked else { return Read::Full };
        hub.count_gap();
        let place = Cursor { epoch: hub.epoch(), sequence: after };
        Read::Gap(Gap { asked, oldest, place })
    }

    /// The page that continues after the place, and the place at which it can be read; otherwise the
    /// outcome of the read.
    fn page(
        &mut self,
        hub: &Hub,
        after: Sequence,
        wait: Wait<'_>,
    ) -> Result<(Arc<KeptPage>, ReadPosition, Patience), Read> {
        hub.note_oldest();
        let patience = self.patience();
        if !self.is_counted(hub, wait) {
            return Err(Read::Waiting);
        }
        let (topics, from, released, tail) = {
            let history = hub.read();
            // Losses by what the journal has dropped meanwhile are told before anything after them is read.
            if history.has_lost_more(&self.resolved, &self.position(after)) {
                return Err(Read::Full);
            }
            let from = after.max(history.floor());
            let topics = history.topics_of(&self.resolved);
            (topics, from, history.released_through(), history.tail())
        };
        let place = (topics, from);
        // Without the history's lock: asking wakes the driver.
        match self.wait_for((tail, wait), |waiting| hub.reads().page(place, released, waiting)) {
            Some(page) => Ok((page, self.position(from), patience)),
            None => Err(Read::Waiting),
        }
    }

    /// The page that continues after a position that is not the reader's own.
    pub(super) fn page_for(
        &mut self,
        hub: &Hub,
        position: &mut ReadPosition,
        wait: Wait<'_>,
    ) -> Option<(Arc<KeptPage>, Patience)> {
        hub.note_oldest();
        let patience = self.patience();
        if !self.is_counted(hub, wait) {
            return None;
        }
        let (topics, released, tail) = {
            let history = hub.read();
            position.after = position.after.max(history.floor());
            let topics = history.topics_of(&self.resolved);
            (topics, history.released_through(), history.tail())
        };
        let place = (topics, position.after);
        let page =
            self.wait_for((tail, wait), |waiting| hub.reads().page(place, released, waiting));
        page.map(|page| (page, patience))
    }

    /// Reads entries that the journal alone has.
    pub(super) fn read_kept(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        (max, wait): (&mut ReadMax, Wait<'_>),
        mut visit: impl FnMut(Seen<'_>),
    ) -> Read {
        if !self.is_told_counted(wait) {
            return Read::Waiting;
        }
        // Its place as it knows it: marks before the loss are nothing that it is sent.
        let before = Cursor { epoch: hub.epoch(), sequence: *after };
        let (page, mut position, patience) = match self.page(hub, *after, wait) {
            Ok(found) => found,
            Err(read) => return read,
        };
        let visit = |kept: Kept<'_>| visit(Seen::Kept(kept));
        let told = self.unsettled.as_ref().and_then(|unsettled| unsettled.told.as_deref());
        let (view, time) = (&self.resolved, hub.time());
        let read = KeptRead { page: &page, view, told, time, patience };
        let stop = hub.read().read_kept(read, &mut position, max, visit);
        (*after, self.ends) = (position.after, position.ends);
        match stop {
            KeptStop::Gap => {
                self.set_asked(Some(Asked::Lost(before.to_string().into())));
                self.pass_kept(hub, after, (max, wait))
            }
            KeptStop::Asked(topic, limits) => {
                self.count_told(hub, topic, limits);
                match self.is_told_counted(wait) {
                    true => Read::Full,
                    false => Read::Waiting,
                }
            }
            KeptStop::Full => Read::Full,
            KeptStop::StreamEnd => Read::Closed,
            KeptStop::Closed(at) => {
                hub.write().note_kept_end(&self.resolved, at);
                Read::Closed
            }
        }
    }

    /// Has the journal count a topic as of the moment when the reader was told of losses.
    fn count_told(&mut self, hub: &Hub, topic: Topic, limits: TopicLimits) {
        let Some(unsettled) = &mut self.unsettled else { return };
        let Some(through) = unsettled.told.as_ref().map(|told| told.through) else { return };
        let wanted = Wanted::Bound { topic: topic.clone(), limits, through };
        unsettled.counting = Some((topic, hub.begin_locating(wanted)));
    }

    /// Takes such a count; `false` if the journal is still counting.
    fn is_told_counted(&mut self, wait: Wait<'_>) -> bool {
        let Some(unsettled) = &mut self.unsettled else { return true };
        let Some((_, locating)) = &unsettled.counting else { return true };
        let Some(bound) = locating.place(wait) else { return false };
        if let (Some((topic, _)), Some(told)) = (unsettled.counting.take(), &mut unsettled.told) {
            told.note(topic, bound.unwrap_or_default());
        }
        true
    }

    /// Goes on passing lost events where the journal alone has what follows.
    pub(super) fn pass_kept(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        (max, wait): (&mut ReadMax, Wait<'_>),
    ) -> Read {
        let (page, mut position, patience) = match self.page(hub, *after, wait) {
            Ok(found) => found,
            Err(read) => return read,
        };
        // It passes what is lost.
        position.told_at = EvictionStamp::MAX;
        let mut one = ReadMax { bytes: usize::MAX, entries: 1, steps: max.steps };
        let mut first = None;
        let visit = |kept: Kept<'_>| {
            let (block, index) = (kept.block, kept.index);
            first = Some((block.sequence(index).before(), block.id(index, hub.epoch())));
        };
        let (view, time) = (&self.resolved, hub.time());
        let read = KeptRead { page: &page, view, told: None, time, patience };
        let history = hub.read();
        let stop = history.read_kept(read, &mut position, &mut one, visit);
        max.steps = one.steps;
        if first.is_some() || matches!(stop, KeptStop::Closed(_) | KeptStop::StreamEnd) {
            // While nothing more is lost.
            let told = history.told_now(&self.resolved, time);
            self.told_at = history.stamp();
            self.set_told(told);
        }
        drop(history);
        match (first, stop) {
            (Some((before, id)), _) => {
                *after = before.max(*after);
                self.tell_gap(hub, *after, Some(id))
            }
            // The end is read again, and told, after the gap.
            (None, KeptStop::Closed(_) | KeptStop::StreamEnd) => {
                *after = position.after;
                self.tell_gap(hub, *after, None)
            }
            (None, KeptStop::Full | KeptStop::Gap | KeptStop::Asked(..)) => {
                *after = position.after;
                Read::Full
            }
        }
    }
}
