//! Pages that the journal has read, and reading a view from them.

use std::collections::HashMap;
use std::sync::Arc;

use super::own_ends::is_ended_by_ends;
use super::page_limits::PageLimits;
use super::read::ends;
use super::topic_state::{Past, TopicState};
use super::{
    Block, BlockBuilder, EvictionStamp, History, Kind, ReadMax, ReadPosition, Resolved, Selection,
};
use crate::cursor::{Epoch, Sequence};
use crate::draft::Topics;
use crate::filter::TopicFilter;
use crate::journal::{JournalPage, Newest, TopicSet};
use crate::time::Time;
use crate::topic::Topic;

/// A page that the journal has read: its events are encoded once, for all readers that stand there. Its
/// topics are kept as names, so that a page adds no topics to the history.
#[derive(Debug)]
pub(crate) struct KeptPage {
    parts: Vec<Part>,
    through: Sequence,
    /// The newest events of topics whose rule is about the newest event alone, and whether that is held alone.
    newest: HashMap<Topic, (Sequence, bool)>,
    /// Newer events were in history when the page was read.
    as_of: Sequence,
    /// The limits of topics, if it has all topics.
    limits: Option<PageLimits>,
    /// When it was read, by the hub's steady clock, in milliseconds.
    read_at: u64,
    bytes: usize,
}

/// How long the limits on a page are good enough for readers that did not wait for it, in milliseconds.
const LIMITS_AGE_MAX: u64 = 1000;

/// The time at which a page of all topics is read.
#[derive(Clone, Copy)]
pub(crate) struct PageTime {
    /// The wall clock's time.
    pub(crate) time: Time,
    /// The hub's steady clock, in milliseconds.
    pub(crate) uptime: u64,
    /// Whether the page has the entries of all topics.
    pub(crate) is_of_all: bool,
}

#[derive(Debug)]
struct Part {
    block: Arc<Block>,
    topics: Vec<Topics>,
}

/// An event in a page.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) block: &'a Arc<Block>,
    pub(crate) index: usize,
    pub(crate) topics: &'a Topics,
}

/// Why reading a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptStop {
    /// The page has been read to its end, or as far as the limits allow.
    Full,
    /// The topic's streams were closed here.
    Closed(Sequence),
    /// The topic's stream ended: the position is after its end if that was visited, else before it.
    StreamEnd,
    /// The next event of the view has been evicted by a rule, and the reader has not been told so. Nothing was
    /// read.
    Gap,
}

/// How a topic of a view has an event that the journal keeps.
#[derive(Clone, Copy)]
enum Has {
    /// Its readers are sent it.
    Sent,
    /// A newer event stands for it. If the topic keeps it all the same, readers of another topic that has evicted it
    /// are sent it.
    Superseded { is_kept: bool },
    /// It is beyond a limit, and the reader has been told so or not.
    Evicted { is_told: bool },
}

impl Has {
    /// How a view has an event by two of its topics.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sent, _) | (_, Self::Sent) => Self::Sent,
            (Self::Evicted { .. }, Self::Superseded { is_kept: true })
            | (Self::Superseded { is_kept: true }, Self::Evicted { .. }) => Self::Sent,
            // It is lost as soon as the last of them lets go of it.
            (Self::Evicted { is_told: one }, Self::Evicted { is_told: other }) => {
                Self::Evicted { is_told: one && other }
            }
            (Self::Evicted { is_told }, Self::Superseded { .. })
            | (Self::Superseded { .. }, Self::Evicted { is_told }) => Self::Evicted { is_told },
            (Self::Superseded { is_kept: one }, Self::Superseded { is_kept: other }) => {
                Self::Superseded { is_kept: one || other }
            }
        }
    }
}

impl KeptPage {
    fn new(page: JournalPage, epoch: Epoch, as_of: Sequence) -> Self {
        let mut parts = Vec::new();
        let (mut run, mut topics) = (BlockBuilder::default(), Vec::new());
        let mut time = Time::default();
        for mut entry in page.entries {
            // A journal's clock may have been set back.
            entry.time = entry.time.max(time);
            time = entry.time;
            if !run.fits(entry.sequence, entry.time) {
                let block = Arc::new(std::mem::take(&mut run).build());
                parts.push(Part { block, topics: std::mem::take(&mut topics) });
            }
            run.push(&entry, epoch);
            topics.push(entry.topics);
        }
        if !run.is_empty() {
            parts.push(Part { block: Arc::new(run.build()), topics });
        }
        let bytes = parts.iter().map(Part::cost).sum::<usize>() + size_of::<Self>();
        let (newest, limits, read_at) = (HashMap::new(), None, 0);
        Self { parts, through: page.through, newest, as_of, limits, read_at, bytes }
    }

    /// Returns whether history still has all events that are newer than the newest ones of the page, or the
    /// page does not depend on them, and whether its limits are those of a reader that has waited since a time.
    /// `released` is the newest entry that the journal alone keeps.
    pub(crate) fn is_current(&self, released: Sequence, since: u64) -> bool {
        (self.newest.is_empty() || released <= self.as_of)
            && (self.limits.is_none() || since <= self.read_at + LIMITS_AGE_MAX)
    }

    /// The place up to which the page has everything.
    pub(crate) fn through(&self) -> Sequence {
        self.through
    }

    /// Bytes that the page costs.
    pub(crate) fn cost(&self) -> usize {
        self.bytes
    }

    /// The newest entry that was committed before a time.
    pub(crate) fn newest_before(&self, time: Time) -> Option<Sequence> {
        let part = self.parts.partition_point(|part| part.block.time(0) < time).checked_sub(1)?;
        let block = &self.parts[part].block;
        let old = (0..block.len()).take_while(|&index| block.time(index) < time).last()?;
        Some(block.sequence(old))
    }

    fn after(&self, place: Sequence) -> impl Iterator<Item = Kept<'_>> {
        let from = self.parts.partition_point(|part| part.block.last() <= place);
        self.parts[from..].iter().flat_map(move |part| {
            let first = part.block.index_at(place.next());
            (first..part.block.len()).map(|index| Kept {
                block: &part.block,
                index,
                topics: &part.topics[index],
            })
        })
    }
}

impl Part {
    fn cost(&self) -> usize {
        let names = self.topics.iter().flat_map(Topics::as_slice);
        self.block.cost()
            + self.topics.capacity() * size_of::<Topics>()
            + names.map(|name| size_of::<Topic>() + name.heap_bytes()).sum::<usize>()
    }
}

impl History {
    /// Makes a page of what the journal has read, since the history had an entry.
    pub(crate) fn kept_page(
        &self,
        mut page: JournalPage,
        as_of: Sequence,
        PageTime { time, uptime, is_of_all }: PageTime,
    ) -> KeptPage {
        let rules = self.topics.rules();
        let is_limited = is_of_all && rules.is_limiting();
        let limits = is_limited.then(|| {
            let beyond = std::mem::take(&mut page.beyond);
            PageLimits::new((&page.entries, beyond), rules, time)
        });
        let mut newest = HashMap::new();
        for Newest { topic, event, .. } in page.newest.drain(..) {
            let is_alone = rules.limits(rules.find(topic.as_str())).latest_only;
            newest.insert(topic, (event, is_alone));
        }
        let mut kept = KeptPage::new(page, self.epoch, as_of);
        let names = newest.keys().map(Topic::heap_bytes).sum::<usize>();
        kept.bytes += newest.capacity() * size_of::<(Topic, (Sequence, bool))>() + names;
        kept.bytes += limits.as_ref().map_or(0, PageLimits::bytes);
        (kept.newest, kept.limits, kept.read_at) = (newest, limits, uptime);
        kept
    }

    /// The topics whose entries a view reads from the journal.
    pub(crate) fn topics_of(&self, view: &Resolved) -> TopicSet {
        if view.has_pattern() {
            return TopicSet::All;
        }
        let names = view.keys().iter().filter_map(|&key| self.topics.get(key));
        TopicSet::Topics(names.map(|state| state.name.clone()).collect())
    }

    /// Reads the view's events after the place from a page, in rising order, and advances the position.
    ///
    /// Nothing beyond the history's own tail is read, so that no reader gets ahead of the feed.
    pub(crate) fn read_kept<'a>(
        &'a self,
        page: &'a KeptPage,
        view: &Resolved,
        position: &mut ReadPosition,
        max: &mut ReadMax,
        mut visit: impl FnMut(Kept<'a>),
    ) -> KeptStop {
        let (mut bytes, mut entries) = (0, 0);
        let filters = view.keys().len() + view.groups().len();
        for kept in page.after(position.after) {
            let sequence = kept.block.sequence(kept.index);
            if sequence > self.tail {
                break;
            }
            if let Some(has) = self.has_in_view(view, page, kept, position.told_at) {
                let kind = kept.block.kind(kept.index);
                match kind {
                    Kind::Event | Kind::End => match has {
                        Has::Superseded { .. } => {}
                        Has::Evicted { is_told: true } => {}
                        Has::Evicted { .. } if entries > 0 => return KeptStop::Full,
                        Has::Evicted { .. } => return KeptStop::Gap,
                        Has::Sent => {
                            let chunk = kept.block.chunk(kept.index).len();
                            if entries == max.entries || (bytes > 0 && bytes + chunk > max.bytes) {
                                return KeptStop::Full;
                            }
                            (bytes, entries) = (bytes + chunk, entries + 1);
                            visit(kept);
                            position.ends.enter();
                            if kind == Kind::End && is_ended_by_ends(view, position.ends) {
                                position.after = sequence;
                                return KeptStop::StreamEnd;
                            }
                        }
                    },
                    Kind::Close if ends(view, *position, sequence) => {
                        return KeptStop::Closed(sequence);
                    }
                    Kind::SilentEnd
                        if matches!(has, Has::Sent)
                            && self.is_silent_end(view, position.ends, sequence) =>
                    {
                        return KeptStop::StreamEnd;
                    }
                    Kind::Close | Kind::Mark | Kind::SilentEnd => {}
                }
            }
            position.after = sequence;
            if !max.steps.take(filters * kept.topics.as_slice().len()) {
                return KeptStop::Full;
            }
        }
        position.after = position.after.max(page.through.min(self.tail));
        max.steps.end();
        KeptStop::Full
    }

    /// How a view has an entry of a page; `None` if the entry is of no topic of the view, or the view's grant does
    /// not allow it. An event is sent if one of the view's topics has it, and is lost if none has it and one of them
    /// has evicted it.
    fn has_in_view(
        &self,
        view: &Resolved,
        page: &KeptPage,
        kept: Kept<'_>,
        told_at: EvictionStamp,
    ) -> Option<Has> {
        let topics = kept.topics.as_slice();
        let mut found: Option<Has> = None;
        for topic in topics {
            let key = self.topics.find(topic);
            let is_selected = match view.selection() {
                Selection::One(_) | Selection::Many(_) => {
                    key.is_some_and(|key| view.keys().contains(&key))
                }
                Selection::Scan(scan) => scan.view.matches(topic.as_str()),
            };
            if is_selected {
                let past = key.and_then(|key| self.topics.get(key)).map(TopicState::past);
                let has = self.has_kept(topic, past, (page, kept), (view, told_at));
                found = Some(found.map_or(has, |others| has.with(others)));
            }
        }
        let grant = view.grant().filter(|_| found.is_some());
        let is_allowed = grant.is_none_or(|grant| {
            grant.allows(topics.iter().map(Topic::as_str), kept.block.is_private(kept.index))
        });
        found.filter(|_| is_allowed)
    }

    /// How a topic of a view has an entry of a page, for a reader that was told of gaps up to a stamp.
    fn has_kept(
        &self,
        topic: &Topic,
        past: Option<&Past>,
        (page, kept): (&KeptPage, Kept<'_>),
        (view, told_at): (&Resolved, EvictionStamp),
    ) -> Has {
        let kind = kept.block.kind(kept.index);
        // No rule is about the end of a topic's streams, which is no loss.
        if kind == Kind::Close {
            return Has::Sent;
        }
        let sequence = kept.block.sequence(kept.index);
        let (evicted_through, evicted_at) = past.map_or_else(
            || (self.topics.forgotten_through(), self.topics.forgotten_at()),
            |past| {
                // Later evictions may be of events that other topics hold, which are no losses.
                let is_dead = sequence <= past.dead_through;
                let at = if is_dead { past.dead_at.min(past.evicted_at) } else { past.evicted_at };
                (past.evicted_through, at)
            },
        );
        let is_evicted = sequence <= evicted_through;
        if kind != Kind::Event {
            return if is_evicted { Has::Superseded { is_kept: false } } else { Has::Sent };
        }
        // A reader that skips an event because it is behind must be allowed to read the newer one.
        let may_skip = view.grant().is_none();
        let newest = page.newest.get(topic).filter(|(_, is_alone)| *is_alone || may_skip);
        if let Some(&(newest, is_alone)) = newest
            && sequence < past.map_or(newest, |past| newest.max(past.newest_event))
        {
            return Has::Superseded { is_kept: !is_alone && !is_evicted };
        }
        if is_evicted {
            return Has::Evicted { is_told: evicted_at <= told_at };
        }
        // The topics of other views are counted, so that they know by themselves what is beyond their limits.
        let limits = page.limits.as_ref().filter(|_| view.has_pattern());
        match limits.and_then(|limits| limits.moment(topic, sequence)) {
            Some(moment) => Has::Evicted { is_told: self.tellings.has_told(moment, told_at) },
            None => Has::Sent,
        }
    }

    /// Notes that a reader of a pattern is told of a gap now, perhaps on a page. It knows of all losses up to the stamp
    /// that this returns.
    pub(crate) fn note_telling(&mut self, time: Time, page: Option<&KeptPage>) -> EvictionStamp {
        if self.keeps && self.topics.rules().is_limiting() {
            self.topics.begin_eviction();
            let since = page.and_then(|page| page.limits.as_ref()).map(PageLimits::since);
            let through = self.tail.max(since.unwrap_or_default());
            self.tellings.note(self.topics.stamp, through, time);
            self.topics.finish_eviction();
        }
        self.topics.stamp
    }

    /// Notes an entry of a page that ended the streams of a view's only topic.
    pub(crate) fn note_kept_end(&mut self, view: &Resolved, sequence: Sequence) {
        if let Selection::One(key) = view.selection() {
            self.topics.note_released_end(*key, sequence);
        }
    }
}

/// Returns whether the filters of a view match an entry's topics.
pub(crate) fn is_matched(filters: &[TopicFilter], topics: &Topics) -> bool {
    topics.as_slice().iter().any(|topic| filters.iter().any(|f| f.matches(topic.as_str())))
}
