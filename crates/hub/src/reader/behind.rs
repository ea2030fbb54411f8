//! Reading on where history does not hold a reader's place: the journal looks it up and reads pages.

use std::sync::Arc;

use tidings_proto::EventId;

use super::{Asked, Read, ReaderState};
use crate::cursor::{Cursor, Sequence};
use crate::gap::Gap;
use crate::history::{EvictionStamp, Kept, KeptPage, KeptStop, ReadMax, ReadPosition};
use crate::hub::{Hub, Wait};
use crate::seen::Seen;

impl ReaderState {
    /// Has the topics of the view counted, if a limit on events may reach beneath history; `false` if that
    /// must be waited for.
    fn is_counted(&self, hub: &Hub, wait: Wait<'_>) -> bool {
        let (uncounted, tail) = {
            let history = hub.read();
            (history.uncounted(&self.resolved, hub.clock().uptime()), history.tail())
        };
        let Some((topics, events_max)) = uncounted else { return true };
        hub.reads().count(topics, (tail, events_max), wait);
        false
    }

    /// Takes the place that the journal has found; `false` if it is still looking.
    #[cold]
    pub(super) fn settle_start(&mut self, hub: &Hub, after: &mut Sequence, wait: Wait<'_>) -> bool {
        let locating = match self.asked.as_deref() {
            Some(Asked::Locating(locating)) => locating,
            Some(Asked::Oldest) if self.is_counted(hub, wait) => {
                // Events beyond a limit are not among those asked for.
                self.told_at = hub.read().stamp();
                self.asked = None;
                return true;
            }
            Some(Asked::Oldest) => return false,
            Some(Asked::Lost(_)) | None => return true,
        };
        let Some(place) = locating.place(wait) else { return false };
        match place {
            Some(place) => {
                *after = place;
                self.told_at = EvictionStamp::default();
                // A reader that polls reads past all ends.
                if self.joined != Sequence::MAX {
                    self.joined = place;
                }
                self.asked = None;
            }
            None => {
                let id = Gap::asked(locating.id()).into();
                hub.note_oldest();
                *after = Sequence::ZERO;
                self.told_at = hub.read().stamp();
                self.asked = Some(Box::new(Asked::Lost(id)));
            }
        }
        true
    }

    /// Tells the gap between the place that was asked for and the oldest event.
    pub(super) fn tell_gap(&mut self, hub: &Hub, after: Sequence, oldest: Option<EventId>) -> Read {
        let Some(Asked::Lost(asked)) = self.asked.take().map(|asked| *asked) else {
            return Read::Full;
        };
        hub.count_gap();
        let place = Cursor { epoch: hub.epoch(), sequence: after };
        Read::Gap(Gap { asked, oldest, place })
    }

    /// The page that continues after the place, and the place at which it can be read; otherwise the
    /// outcome of the read.
    fn page(
        &self,
        hub: &Hub,
        after: Sequence,
        wait: Wait<'_>,
    ) -> Result<(Arc<KeptPage>, ReadPosition), Read> {
        hub.note_oldest();
        if !self.is_counted(hub, wait) {
            return Err(Read::Waiting);
        }
        let (topics, from) = {
            let history = hub.read();
            // What the journal has dropped meanwhile is told before anything after it is read.
            if history.has_lost_more(&self.position(after)) {
                return Err(Read::Full);
            }
            (history.topics_of(&self.resolved), after.max(history.floor()))
        };
        // Without the history's lock: asking may displace another reader's job, and wake that reader.
        match hub.reads().page(topics, from, wait) {
            Some(page) => Ok((page, self.position(from))),
            None => Err(Read::Waiting),
        }
    }

    /// The page that continues after a position that is not the reader's own.
    pub(super) fn page_for(
        &self,
        hub: &Hub,
        position: &mut ReadPosition,
        wait: Wait<'_>,
    ) -> Option<Arc<KeptPage>> {
        hub.note_oldest();
        if !self.is_counted(hub, wait) {
            return None;
        }
        let topics = {
            let history = hub.read();
            position.after = position.after.max(history.floor());
            history.topics_of(&self.resolved)
        };
        hub.reads().page(topics, position.after, wait)
    }

    /// Reads entries that the journal alone has.
    pub(super) fn read_kept(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        (max, wait): (&mut ReadMax, Wait<'_>),
        mut visit: impl FnMut(Seen<'_>),
    ) -> Read {
        let (page, mut position) = match self.page(hub, *after, wait) {
            Ok(found) => found,
            Err(read) => return read,
        };
        let visit = |kept: Kept<'_>| visit(Seen::Kept(kept));
        let stop = hub.read().read_kept(&page, &self.resolved, &mut position, max, visit);
        *after = position.after;
        match stop {
            KeptStop::Full => Read::Full,
            KeptStop::Closed(at) => {
                hub.write().note_kept_end(&self.resolved, at);
                Read::Closed
            }
        }
    }

    /// Goes on passing lost events where the journal alone has what follows.
    pub(super) fn pass_kept(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        (max, wait): (&mut ReadMax, Wait<'_>),
    ) -> Read {
        let (page, mut position) = match self.page(hub, *after, wait) {
            Ok(found) => found,
            Err(read) => return read,
        };
        let mut one = ReadMax { bytes: usize::MAX, entries: 1, steps: max.steps };
        let mut first = None;
        let visit = |kept: Kept<'_>| {
            let (block, index) = (kept.block, kept.index);
            first = Some((block.sequence(index).before(), block.id(index, hub.epoch())));
        };
        let stop = hub.read().read_kept(&page, &self.resolved, &mut position, &mut one, visit);
        max.steps = one.steps;
        match (first, stop) {
            (Some((before, id)), _) => {
                *after = before.max(*after);
                self.tell_gap(hub, *after, Some(id))
            }
            (None, KeptStop::Closed(_)) => {
                *after = position.after;
                self.tell_gap(hub, *after, None)
            }
            (None, KeptStop::Full) => {
                *after = position.after;
                Read::Full
            }
        }
    }
}
