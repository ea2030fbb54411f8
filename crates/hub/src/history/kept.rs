//! Pages that the journal has read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::count::Patience;
use super::page_limits::PageLimits;
use super::{Block, BlockBuilder, History};
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
    /// The newest events of topics whose rule is about the newest event alone.
    pub(super) newest: HashMap<Topic, Sequence>,
    /// Newer events were in history when the page was read, and topics are counted up to there.
    pub(super) as_of: Sequence,
    /// The limits of topics, if it has all topics.
    pub(super) limits: Option<PageLimits>,
    /// Whether the limits are not known any more.
    is_outdated: AtomicBool,
    bytes: usize,
}

/// The moment at which a page is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsOf {
    /// The newest entry of history.
    pub(crate) tail: Sequence,
    /// Which rules are in force.
    rules: u64,
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
        let (newest, limits, is_outdated) = (HashMap::new(), None, AtomicBool::new(false));
        Self { parts, through: page.through, newest, as_of, limits, is_outdated, bytes }
    }

    /// Returns whether history still has all events that are newer than the page, or the page does not depend on them.
    /// `released` is the newest entry that the journal alone keeps.
    pub(crate) fn is_current(&self, released: Sequence, patience: Patience) -> bool {
        let is_taken = self.newest.is_empty() && patience.takes(self.as_of);
        let is_independent = self.newest.is_empty() && self.limits.is_none();
        let has_newer = released <= self.as_of;
        (is_independent || has_newer || is_taken) && !self.is_outdated.load(Ordering::Relaxed)
    }

    /// Makes readers ask for the page again.
    pub(super) fn set_outdated(&self) {
        self.is_outdated.store(true, Ordering::Relaxed);
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

    pub(super) fn after(&self, place: Sequence) -> impl Iterator<Item = Kept<'_>> {
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
    /// The moment now, for a page that is asked for.
    pub(crate) fn as_of_now(&self) -> AsOf {
        AsOf { tail: self.tail, rules: self.topics.rules().changes() }
    }

    /// Makes a page of what the journal has read, which was asked for at a moment.
    pub(crate) fn kept_page(
        &self,
        mut page: JournalPage,
        as_of: AsOf,
        topics: &TopicSet,
    ) -> KeptPage {
        let rules = self.topics.rules();
        let is_limited = *topics == TopicSet::All && self.is_limiting_journal();
        let counted = std::mem::take(&mut page.counted);
        let limits = is_limited.then(|| PageLimits::new(&page.entries, page.through, counted));
        let newest = page.newest.drain(..).map(|Newest { topic, event, .. }| (topic, event));
        let newest: HashMap<Topic, Sequence> = newest.collect();
        let mut kept = KeptPage::new(page, self.epoch, as_of.tail);
        let names = newest.keys().map(Topic::heap_bytes).sum::<usize>();
        kept.bytes += newest.capacity() * size_of::<(Topic, Sequence)>() + names;
        kept.bytes += limits.as_ref().map_or(0, PageLimits::bytes);
        (kept.newest, kept.limits) = (newest, limits);
        if as_of.rules != rules.changes() {
            kept.set_outdated();
        }
        kept
    }
}

/// Returns whether the filters of a view match an entry's topics.
pub(crate) fn is_matched(filters: &[TopicFilter], topics: &Topics) -> bool {
    topics.as_slice().iter().any(|topic| filters.iter().any(|f| f.matches(topic.as_str())))
}
