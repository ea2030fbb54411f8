//! Records that rules of topics let go of: those that are superseded, and those beyond a limit.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::catalog::Catalog;
use super::fetch::fetch;
use super::index::MARKS;
use super::lookup::{open, or_index_anew};
use super::record::{Decoded, Record};
use super::segment::{Located, Segment, Selection};
use super::storage::StorageFile;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry, Newest};
use crate::retention::{RetentionRule, TopicLimits};
use crate::time::Time;
use crate::topic::Topic;

/// Finds the newest events of those topics of some entries whose rule is about the newest event alone.
pub(super) fn newest(catalog: &Catalog, entries: &[Entry]) -> io::Result<Vec<Newest>> {
    let mut found = Vec::new();
    let mut wanted = wanted(&catalog.rules(), entries);
    let Some(first) = entries.first().filter(|_| !wanted.is_empty()) else { return Ok(found) };
    for segment in catalog.after(first.sequence.before()).iter().rev() {
        let Some(file) = open(catalog, segment)? else { continue };
        let mut left = Vec::new();
        for topic in wanted {
            match newest_event(catalog, segment, &file, (topic, catalog.tail()))? {
                Some(event) => found.push(Newest::new(topic.clone(), event)),
                None => left.push(topic),
            }
        }
        wanted = left;
        if wanted.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// The topics of some entries whose rule is about the newest event alone.
fn wanted<'a>(rules: &[RetentionRule], entries: &'a [Entry]) -> Vec<&'a Topic> {
    if rules.is_empty() {
        return Vec::new();
    }
    let topics = entries.iter().flat_map(|entry| entry.topics.as_slice());
    let distinct: HashSet<&Topic> = topics.collect();
    let is_wanted = |topic: &&Topic| {
        let rule = rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
        rule.is_some_and(|rule| rule.limits.latest_only || rule.limits.conflate)
    };
    distinct.into_iter().filter(is_wanted).collect()
}

/// Finds the newest event of a topic in a segment, up to a place.
pub(super) fn newest_event(
    catalog: &Catalog,
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    (topic, through): (&Topic, Sequence),
) -> io::Result<Option<Sequence>> {
    // Nearly always, the newest record is an event.
    let mut max = 1;
    loop {
        let located = locate(catalog, segment, file, (topic, through, max))?;
        for record in located.iter().rev() {
            let found = read(segment, file, record)?;
            if found.is_some_and(|found| matches!(found.entry.content, Content::Event(_))) {
                return Ok(Some(record.sequence));
            }
        }
        if located.len() < max {
            return Ok(None);
        }
        max *= 8;
    }
}

/// Finds the newest event of a topic that is beyond its limits, counted back from a place.
pub(super) fn beyond(
    catalog: &Catalog,
    topic: &Topic,
    limits: &TopicLimits,
    place: (Sequence, Option<Time>),
) -> io::Result<Option<Sequence>> {
    catalog.look(|| find_beyond(catalog, topic, limits, place))
}

fn find_beyond(
    catalog: &Catalog,
    topic: &Topic,
    limits: &TopicLimits,
    (through, before): (Sequence, Option<Time>),
) -> io::Result<Option<Sequence>> {
    let mut through = through.min(catalog.tail());
    let (mut events, mut bytes, mut is_beyond) = (0_usize, 0, false);
    for segment in catalog.after(Sequence::ZERO).iter().rev() {
        if segment.base > through {
            continue;
        }
        let Some(file) = open(catalog, segment)? else { break };
        if !is_beyond {
            let wanted = match limits {
                TopicLimits { events_max: Some(max), bytes_max: None, age_max: None, .. } => {
                    max.get().saturating_add(1).saturating_sub(events)
                }
                _ => usize::MAX,
            };
            let marks = Marks::find(catalog, segment, &file)?;
            let place = (topic, through, wanted);
            let located = locate_events(catalog, segment, &file, place, &marks)?;
            let old = match before {
                Some(before) => count_before(segment, &file, &located, before)?,
                None => 0,
            };
            let beyond = located.iter().enumerate().rev().find(|&(at, record)| {
                events += usize::from(!marks.has(record.sequence));
                bytes += size_of_record(record);
                at < old
                    || limits.events_max.is_some_and(|max| events > max.get())
                    || limits.bytes_max.is_some_and(|max| events > 1 && bytes > max.get())
            });
            let Some((_, record)) = beyond else { continue };
            (is_beyond, through) = (true, record.sequence);
        }
        // It may end the topic's streams, and so may those before it.
        if let Some(event) = newest_event(catalog, segment, &file, (topic, through))? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// The marks of streams in a segment, which count for no limit on events.
pub(super) struct Marks(Vec<Located>);

impl Marks {
    pub(super) fn find(
        catalog: &Catalog,
        segment: &Segment,
        file: &Arc<dyn StorageFile>,
    ) -> io::Result<Self> {
        locate(catalog, segment, file, (&MARKS, Sequence::MAX, usize::MAX)).map(Self)
    }

    pub(super) fn has(&self, record: Sequence) -> bool {
        self.0.binary_search_by_key(&record, |mark| mark.sequence).is_ok()
    }
}

/// Locates the newest records of a topic up to a place, with as many that are no marks as are wanted, if there are.
pub(super) fn locate_events(
    catalog: &Catalog,
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    (topic, through, wanted): (&Topic, Sequence, usize),
    marks: &Marks,
) -> io::Result<Vec<Located>> {
    let mut max = wanted;
    loop {
        let located = locate(catalog, segment, file, (topic, through, max))?;
        let is_event = |record: &&Located| !marks.has(record.sequence);
        if located.len() < max || located.iter().filter(is_event).count() >= wanted {
            return Ok(located);
        }
        max = max.saturating_mul(4);
    }
}

/// The size of a record as a limit counts it: at least what the history counts for the event, and as much more
/// as its place in the file, its idempotency key and its hops take.
pub(super) fn size_of_record(record: &Located) -> usize {
    /// The history counts 64 bytes for an event beside its text, and a record has at least 18.
    const MORE: u64 = 64 - 18;
    usize::try_from(record.end - record.at + MORE).unwrap_or(usize::MAX)
}

/// Counts the records, which are in order, that were committed before a time.
fn count_before(
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    located: &[Located],
    before: Time,
) -> io::Result<usize> {
    match segment.times() {
        Some((_, last)) if last < before => return Ok(located.len()),
        Some((first, _)) if first >= before => return Ok(0),
        _ => {}
    }
    let (mut low, mut high) = (0, located.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // A damaged record is as old as those before it.
        let found = read(segment, file, &located[middle])?;
        match found.is_none_or(|found| found.entry.time < before) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}

pub(super) fn locate(
    catalog: &Catalog,
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    (topic, through, max): (&Topic, Sequence, usize),
) -> io::Result<Vec<Located>> {
    or_index_anew(catalog, segment, file, |file| {
        let selection = Selection::Topics(std::slice::from_ref(topic));
        segment.locate_newest(file, &catalog.head.identity, selection, (through, max))
    })
}

/// Reads a record; `None` if it is damaged, or of an unknown kind.
pub(super) fn read(
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    record: &Located,
) -> io::Result<Option<Record>> {
    let mut found = None;
    fetch(&**file, segment.salt, std::slice::from_ref(record), &mut |_, decoded| {
        if let Some(Decoded::Known(record)) = decoded {
            found = Some(record);
        }
        true
    })?;
    Ok(found)
}
