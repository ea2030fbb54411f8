//! The newest events of topics, which supersede all before them.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::catalog::Catalog;
use super::fetch::fetch;
use super::lookup::{open, or_index_anew};
use super::record::{Decoded, Record};
use super::segment::{Located, Segment, Selection};
use super::storage::StorageFile;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry, Newest};
use crate::retention::RetentionRule;
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
fn newest_event(
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
fn read(
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
