//! The entries of a page that are beyond the limits of their topics.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use smallvec::SmallVec;

use super::catalog::Catalog;
use super::lookup::{open, or_index_anew};
use super::newest::{Marks, locate_events, newest_event, read, size_of_record};
use super::segment::{Located, Segment, Selection};
use super::storage::StorageFile;
use super::totals::{Bound, Totals};
use crate::cursor::Sequence;
use crate::journal::{Beyond, Content, Entry};
use crate::retention::{RetentionRule, TopicLimits};
use crate::topic::Topic;

/// Newest records of a topic that are remembered, to find the one by which an event came to be beyond a limit.
const NEWEST_MAX: usize = 64;
/// Records that need not be counted for the totals yet.
const UNCOUNTED_MAX: u64 = 64;
/// Records that are located beyond those within a limit: the newest of them need not be an event.
const MORE_LOCATED: usize = 8;

/// Finds the newest events beyond limits on events and bytes of the topics of a page's entries, as far as they may be on
/// the page.
pub(super) fn beyond_on_page(catalog: &Catalog, entries: &[Entry]) -> io::Result<Vec<Beyond>> {
    let rules = catalog.rules();
    let mut found = Vec::new();
    let mut left = limited(catalog, &rules, entries)?;
    let Some(first) = entries.first().filter(|_| !left.is_empty()) else { return Ok(found) };
    let tail = catalog.tail();
    for segment in catalog.after(first.sequence.before()).iter().rev() {
        let Some(file) = open(catalog, segment)? else { continue };
        let marks = Marks::find(catalog, segment, &file)?;
        let mut others = Vec::with_capacity(left.len());
        for mut counting in left {
            match counting.count(catalog, segment, (&file, tail), &marks)? {
                Some(beyond) => found.push(beyond),
                None => others.push(counting),
            }
        }
        left = others;
        if left.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// The topics of some entries that may have something beyond a limit on events or bytes.
fn limited<'a>(
    catalog: &Catalog,
    rules: &'a [RetentionRule],
    entries: &'a [Entry],
) -> io::Result<Vec<Counting<'a>>> {
    let is_limiting = |limits: &TopicLimits| limits.events_max.or(limits.bytes_max).is_some();
    if !rules.iter().any(|rule| is_limiting(&rule.limits)) {
        return Ok(Vec::new());
    }
    let mut limits: HashMap<&Topic, Option<&TopicLimits>> = HashMap::new();
    for topic in entries.iter().flat_map(|entry| entry.topics.as_slice()) {
        limits.entry(topic).or_insert_with(|| {
            let rule = rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
            rule.map(|rule| &rule.limits).filter(|limits| is_limiting(limits))
        });
    }
    if limits.values().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let mut totals = catalog.totals();
    let has_bytes = rules.iter().any(|rule| rule.limits.bytes_max.is_some());
    let uncounted = update(&mut totals, catalog, has_bytes)?;
    let limited = limits.into_iter().filter_map(|(topic, limits)| Some((topic, limits?)));
    let may_exceed = |(topic, limits): &(&Topic, &TopicLimits)| {
        totals.may_exceed(catalog.head.identity.hash(topic.as_str()), limits, uncounted)
    };
    Ok(limited.filter(may_exceed).map(|(topic, limits)| Counting::new(topic, limits)).collect())
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

/// Counts the records of a topic from the newest on.
struct Counting<'a> {
    topic: &'a Topic,
    limits: &'a TopicLimits,
    events: usize,
    bytes: usize,
    /// The newest records, each with the size of those newer than it.
    newest: SmallVec<[(Sequence, usize); 4]>,
    /// The record by which everything older came to be beyond a limit, once something is.
    since: Option<Sequence>,
}

impl<'a> Counting<'a> {
    fn new(topic: &'a Topic, limits: &'a TopicLimits) -> Self {
        let newest = SmallVec::new();
        Self { topic, limits, events: 0, bytes: 0, newest, since: None }
    }

    /// Counts the records in a segment, up to the tail, until an event is beyond a limit.
    fn count(
        &mut self,
        catalog: &Catalog,
        segment: &Segment,
        (file, tail): (&Arc<dyn StorageFile>, Sequence),
        marks: &Marks,
    ) -> io::Result<Option<Beyond>> {
        let mut through = tail;
        if self.since.is_none() {
            let wanted = match self.limits.bytes_max {
                None => self.left().saturating_add(MORE_LOCATED),
                Some(_) => usize::MAX,
            };
            let place = (self.topic, tail, wanted);
            let located = locate_events(catalog, segment, file, place, marks)?;
            for record in located.iter().rev() {
                let is_mark = marks.has(record.sequence);
                let Some(since) = self.note(record, is_mark) else { continue };
                let found = read(segment, file, record)?;
                if found.is_some_and(|it| matches!(it.entry.content, Content::Event(_))) {
                    return Ok(Some(Beyond::new(self.topic.clone(), record.sequence, since)));
                }
                (self.since, through) = (Some(since), record.sequence.before());
            }
        }
        // It may end the topic's streams, and so may those before it.
        let Some(since) = self.since else { return Ok(None) };
        let event = newest_event(catalog, segment, file, (self.topic, through))?;
        Ok(event.map(|event| Beyond::new(self.topic.clone(), event, since)))
    }

    /// Records that are still within the limit on events, and one more.
    fn left(&self) -> usize {
        let max = self.limits.events_max.map_or(usize::MAX, |max| max.get().saturating_add(1));
        max.saturating_sub(self.events)
    }

    /// Counts the next record; if it is beyond a limit, returns the record by whose commit it came to be so, or a later
    /// one if that was a mark.
    fn note(&mut self, record: &Located, is_mark: bool) -> Option<Sequence> {
        let newer = self.events;
        if newer < NEWEST_MAX && !is_mark {
            self.newest.push((record.sequence, self.bytes));
        }
        self.events += usize::from(!is_mark);
        self.bytes += size_of_record(record);
        let events_max = self.limits.events_max.filter(|_| !is_mark);
        let by_events = events_max.and_then(|max| newer.checked_sub(max.get()));
        let over = self.limits.bytes_max.and_then(|max| self.bytes.checked_sub(max.get() + 1));
        // The oldest record with which those from this one on were too large.
        let by_bytes = over.filter(|_| newer > 0).map(|over| {
            let enough = self.newest.partition_point(|(_, newer_bytes)| *newer_bytes <= over);
            enough.saturating_sub(1).min(newer - 1)
        });
        let since = by_events.max(by_bytes)?;
        Some(self.newest[since.min(self.newest.len() - 1)].0)
    }
}
