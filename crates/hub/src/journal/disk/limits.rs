//! Counting the events of topics back from a place, until one is beyond the topic's limits.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::catalog::Catalog;
use super::index::NO_EVENTS;
use super::lookup::{open, or_index_anew};
use super::newest::locate;
use super::segment::{Located, Segment, Selection};
use super::storage::StorageFile;
use super::totals::{Bound, Totals};
use crate::cursor::Sequence;
use crate::journal::{Counted, Entry, PageCount};
use crate::retention::{RetentionRule, TopicLimits};
use crate::topic::Topic;

/// Records that need not be counted for the totals yet.
const UNCOUNTED_MAX: u64 = 64;

/// Counts the events of a topic, back from a place.
pub(super) fn count(
    catalog: &Catalog,
    topic: &Topic,
    limits: &TopicLimits,
    through: Sequence,
) -> io::Result<Counted> {
    catalog.look(|| {
        let mut counting = Counting::new(topic, limits, Counted::NEXT_MAX);
        let range = (Sequence::ZERO, through.min(catalog.tail()));
        for segment in catalog.after(Sequence::ZERO).iter().rev() {
            if segment.base > range.1 {
                continue;
            }
            let Some(file) = open(catalog, segment)? else { break };
            let others = NoEvents::find(catalog, segment, &file)?;
            if counting.count(catalog, segment, (&file, range), &others)? {
                break;
            }
        }
        Ok(counting.finish())
    })
}

/// Counts the events of the topics of a page's entries that have limits on events and bytes: those from the page's first
/// entry up to a place.
pub(super) fn count_on_page(
    catalog: &Catalog,
    entries: &[Entry],
    through: Sequence,
) -> io::Result<Vec<(Topic, PageCount)>> {
    let rules = catalog.rules();
    let (mut found, mut left) = limited(catalog, &rules, entries)?;
    let Some(first) = entries.first().filter(|_| !left.is_empty()) else { return Ok(found) };
    let range = (first.sequence.before(), through.min(catalog.tail()));
    for segment in catalog.after(range.0).iter().rev() {
        if segment.base > range.1 {
            continue;
        }
        let Some(file) = open(catalog, segment)? else { continue };
        let others = NoEvents::find(catalog, segment, &file)?;
        let mut uncounted = Vec::with_capacity(left.len());
        for mut counting in left {
            match counting.count(catalog, segment, (&file, range), &others)? {
                true => found.push((counting.topic.clone(), PageCount::Exact(counting.finish()))),
                false => uncounted.push(counting),
            }
        }
        left = uncounted;
        if left.is_empty() {
            break;
        }
    }
    let within = left.into_iter().map(|it| (it.topic.clone(), PageCount::Exact(it.finish())));
    found.extend(within);
    Ok(found)
}

/// Topics of some entries that are within their limits on events and bytes, and those that may not be, which are to be
/// counted.
type Limited<'a> = (Vec<(Topic, PageCount)>, Vec<Counting<'a>>);

/// The topics of some entries that have a limit on events or bytes.
fn limited<'a>(
    catalog: &Catalog,
    rules: &'a [RetentionRule],
    entries: &'a [Entry],
) -> io::Result<Limited<'a>> {
    let is_limiting = |limits: &TopicLimits| limits.events_max.or(limits.bytes_max).is_some();
    if !rules.iter().any(|rule| is_limiting(&rule.limits)) {
        return Ok(Limited::default());
    }
    let mut limits: HashMap<&Topic, Option<&TopicLimits>> = HashMap::new();
    for topic in entries.iter().flat_map(|entry| entry.topics.as_slice()) {
        limits.entry(topic).or_insert_with(|| {
            let rule = rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
            rule.map(|rule| &rule.limits).filter(|limits| is_limiting(limits))
        });
    }
    if limits.values().all(Option::is_none) {
        return Ok(Limited::default());
    }
    let mut totals = catalog.totals();
    let has_bytes = rules.iter().any(|rule| rule.limits.bytes_max.is_some());
    let uncounted = update(&mut totals, catalog, has_bytes)?;
    let (mut within, mut exceeding) = Limited::default();
    for (topic, limits) in limits.into_iter().filter_map(|(topic, limits)| Some((topic, limits?))) {
        let (events, bytes) = totals.at_most(catalog.head.identity.hash(topic.as_str()), uncounted);
        let may_exceed = limits.events_max.is_some_and(|max| events > max.get())
            || limits.bytes_max.is_some_and(|max| bytes > max.get());
        match may_exceed {
            true => exceeding.push(Counting::new(topic, limits, 0)),
            false => within.push((topic.clone(), PageCount::AtMost { events, bytes })),
        }
    }
    Ok((within, exceeding))
}

/// Counts what was committed since the last call for the totals. Returns how many records are not counted.
fn update(totals: &mut Totals, catalog: &Catalog, has_bytes: bool) -> io::Result<u64> {
    let (oldest, tail) = (catalog.oldest(), catalog.tail());
    if totals.is_unused() || oldest > totals.anew_at || has_bytes != totals.has_bytes {
        let quarter = tail.get().saturating_sub(oldest.get()) / 4;
        let anew_at = Sequence::new(oldest.get() + quarter).unwrap_or(Sequence::MAX);
        *totals = Totals::new(anew_at, has_bytes);
    }
    let uncounted = |totals: &Totals| tail.get().saturating_sub(totals.through.get());
    // They may have any size.
    let uncounted_max = if has_bytes { 0 } else { UNCOUNTED_MAX };
    if uncounted(totals) > uncounted_max {
        for segment in catalog.after(totals.through) {
            add(totals, catalog, &segment)?;
        }
        totals.through = totals.through.max(tail);
    }
    Ok(uncounted(totals))
}

/// Adds the records of a segment to the totals, as far as they are not counted.
fn add(totals: &mut Totals, catalog: &Catalog, segment: &Segment) -> io::Result<()> {
    let Some(file) = open(catalog, segment)? else { return Ok(()) };
    let (through, last) = (totals.through, segment.last());
    let found = or_index_anew(catalog, segment, &file, |file| {
        let identity = &catalog.head.identity;
        let located = match totals.has_bytes {
            true => segment.locate(file, identity, Selection::All, (through, usize::MAX))?,
            false => Vec::new(),
        };
        let first = segment.position_after(file, through)?;
        let mut found = Vec::new();
        segment.each_topic(file, &mut |name, records| {
            let new = &records[records.partition_point(|&record| record < first)..];
            let located = new.iter().filter_map(|&record| located.get((record - first) as usize));
            if !new.is_empty() {
                let bound = Bound::new(new.len(), located.map(size_of_record));
                found.push((identity.hash(name), bound));
            }
        })?;
        Ok(found)
    })?;
    found.into_iter().for_each(|(hash, bound)| totals.add(hash, bound));
    totals.through = totals.through.max(last);
    Ok(())
}

/// Counts the events of a topic from the newest on.
struct Counting<'a> {
    topic: &'a Topic,
    limits: &'a TopicLimits,
    counted: Counted,
    /// The events counted last, the oldest first.
    next: VecDeque<(Sequence, usize)>,
    next_max: usize,
}

impl<'a> Counting<'a> {
    /// Begins to count. The places of the last `next_max` events are kept.
    fn new(topic: &'a Topic, limits: &'a TopicLimits, next_max: usize) -> Self {
        Self { topic, limits, counted: Counted::default(), next: VecDeque::new(), next_max }
    }

    /// Counts the events in a segment, after a place and up to another one; `true` once one is beyond a limit.
    fn count(
        &mut self,
        catalog: &Catalog,
        segment: &Segment,
        (file, (after, through)): (&Arc<dyn StorageFile>, (Sequence, Sequence)),
        others: &NoEvents,
    ) -> io::Result<bool> {
        let wanted = match self.limits.bytes_max {
            None => self.left(),
            Some(_) => usize::MAX,
        };
        let located = locate_events(catalog, segment, file, (self.topic, through, wanted), others)?;
        let is_event = |record: &&Located| record.sequence > after && !others.has(record.sequence);
        for record in located.iter().rev().filter(is_event) {
            let Counted { events, bytes, beyond, .. } = &mut self.counted;
            let size = size_of_record(record);
            let is_beyond = self.limits.events_max.is_some_and(|max| *events >= max.get())
                || self
                    .limits
                    .bytes_max
                    .is_some_and(|max| *events > 0 && *bytes + size > max.get());
            if is_beyond {
                *beyond = Some(record.sequence);
                return Ok(true);
            }
            (*events, *bytes) = (*events + 1, *bytes + size);
            self.next.push_front((record.sequence, size));
            self.next.truncate(self.next_max);
        }
        Ok(false)
    }

    /// Events that are still within the limit, and one more.
    fn left(&self) -> usize {
        let max = self.limits.events_max.map_or(usize::MAX, |max| max.get().saturating_add(1));
        max.saturating_sub(self.counted.events)
    }

    fn finish(self) -> Counted {
        Counted { next: self.next.into(), ..self.counted }
    }
}

/// The records of a segment that are no events, which no limit is about.
struct NoEvents(Vec<Located>);

impl NoEvents {
    fn find(catalog: &Catalog, segment: &Segment, file: &Arc<dyn StorageFile>) -> io::Result<Self> {
        locate(catalog, segment, file, (&NO_EVENTS, Sequence::MAX, usize::MAX)).map(Self)
    }

    fn has(&self, record: Sequence) -> bool {
        self.0.binary_search_by_key(&record, |other| other.sequence).is_ok()
    }
}

/// Locates the newest records of a topic up to a place, with as many events as are wanted, if there are.
fn locate_events(
    catalog: &Catalog,
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    (topic, through, wanted): (&Topic, Sequence, usize),
    others: &NoEvents,
) -> io::Result<Vec<Located>> {
    let mut max = wanted;
    loop {
        let located = locate(catalog, segment, file, (topic, through, max))?;
        let is_event = |record: &&Located| !others.has(record.sequence);
        if located.len() < max || located.iter().filter(is_event).count() >= wanted {
            return Ok(located);
        }
        max = max.saturating_mul(4);
    }
}

/// The size of a record as a limit counts it: at least what the history counts for the event, and as much more
/// as its place in the file, its idempotency key and its hops take.
fn size_of_record(record: &Located) -> usize {
    /// The history counts 64 bytes for an event beside its text, and a record has at least 18.
    const MORE: u64 = 64 - 18;
    usize::try_from(record.end - record.at + MORE).unwrap_or(usize::MAX)
}
