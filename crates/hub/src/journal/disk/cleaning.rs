//! Cleaning: leaves out records that no reader is sent by writing sealed segments again.
//!
//! Topics that hold their newest event alone leave superseded records behind, and so do streams that were
//! [freed](super::freed). A cleaning finds the newest records of the former topics, and writes runs of segments, of which
//! at least half is to go, again as one segment without that. The new file is complete and synced before it takes the place of the first
//! old one; a crash after that leaves segments behind which the new one covers, and which recovery removes.
//! Sequences stay, so that nothing changes for readers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bytes::Salt;
use super::catalog::Catalog;
use super::cleaned::CleanedSegment;
use super::fetch::fetch;
use super::footer::Footer;
use super::index::NO_EVENTS;
use super::record::Decoded;
use super::segment::{Located, Segment, Selection};
use super::storage::{Failure, StorageFile};
use crate::cursor::Sequence;
use crate::journal::{Content, Entry};
use crate::retention::RetentionRule;
use crate::streams::StreamMark;
use crate::topic::Topic;

/// A cleaning of all sealed segments.
pub(super) struct Cleaning<'a> {
    catalog: &'a Catalog,
    /// The size of a full segment.
    segment_bytes: u64,
    /// Set to end early.
    stop: &'a AtomicBool,
    newest: HashMap<TopicHash, Newest>,
    /// The places up to which the events of streams are counted in a mark: those after it stay, so that a hub that opens
    /// the journal can count them.
    counted: HashMap<TopicHash, Sequence>,
}

/// Two hashes of a topic's name, keyed by the journal's identity: together they are as good as the name, and
/// smaller.
type TopicHash = (u64, u64);

/// The newest record of a topic.
#[derive(Clone, Copy)]
struct Newest {
    sequence: Sequence,
    /// Whether it is an event, once that is known.
    is_event: Option<bool>,
}

/// Maximum number of topics whose newest records are kept in mind: about 25 MB. The records of those published to
/// longest ago stay.
const TOPICS_MAX: usize = 1 << 19;
/// Records that are located before they are read.
const LOCATED_MAX: usize = 4096;

/// Cleans all sealed segments, unless it is told to stop.
///
/// # Errors
///
/// [`Failure`]. After [`Failure::Refused`] nothing has changed.
pub(super) fn clean(
    catalog: &Catalog,
    segment_bytes: u64,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let (newest, counted) = (HashMap::new(), HashMap::new());
    let mut cleaning = Cleaning { catalog, segment_bytes, stop, newest, counted };
    let segments = catalog.sealed();
    let shares = cleaning.survey(&segments).map_err(Failure::Refused)?;
    for run in cleaning.runs(&segments, &shares) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        cleaning.write_again(&segments[run])?;
    }
    Ok(())
}

/// Returns whether there may be records that no reader is sent: a rule holds the newest event of topics alone, or a
/// stream was freed.
pub(super) fn is_needed(catalog: &Catalog) -> bool {
    catalog.has_freed() || catalog.rules().iter().any(|rule| rule.limits.latest_only)
}

fn is_latest_only(rules: &[RetentionRule], topic: &str) -> bool {
    let rule = rules.iter().find(|rule| rule.filter.matches(topic));
    rule.is_some_and(|rule| rule.limits.latest_only)
}

impl Cleaning<'_> {
    /// Finds the newest record of each topic, and how many bytes of each sealed segment are about to stay.
    fn survey(&mut self, sealed: &[Arc<Segment>]) -> io::Result<HashMap<Sequence, u64>> {
        let mut staying = HashMap::new();
        // From the newest on: a record is superseded if its topic was met before.
        for segment in self.catalog.after(Sequence::ZERO).iter().rev() {
            let Ok(file) = segment.open(&*self.catalog.storage) else { continue };
            let superseded = self.survey_segment(segment, &*file)?;
            let (records, bytes) = (segment.records().max(1), segment.file_bytes());
            let share = bytes * superseded.min(records) / records;
            staying.insert(segment.base, bytes - share);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        // Losses could not be told from what was left out.
        for segment in sealed {
            if segment.trailer().is_none_or(|trailer| trailer.counts.lost > 0) {
                staying.remove(&segment.base);
            }
        }
        Ok(staying)
    }

    /// Counts the superseded records of a segment, by topics, and notes the newest ones.
    fn survey_segment(&mut self, segment: &Segment, file: &dyn StorageFile) -> io::Result<u64> {
        self.survey_marks(segment, file)?;
        let (catalog, newest) = (self.catalog, &mut self.newest);
        let (rules, mut superseded) = (catalog.rules(), 0);
        let mut unknown = Vec::new();
        let freed = freed_positions(catalog, segment, file)?;
        let counted = self.counted.iter().filter(|(_, place)| **place < segment.last());
        let counted = counted.map(|(&hash, &place)| {
            let is_before = place < segment.base;
            let first_kept = if is_before { 0 } else { segment.position_after(file, place)? };
            Ok((hash, first_kept))
        });
        let counted: HashMap<_, _> = counted.collect::<io::Result<_>>()?;
        segment.each_topic(file, &mut |name, records| {
            if !is_latest_only(&rules, name) {
                let first_kept = freed.get(name).copied().unwrap_or(0);
                superseded += records.partition_point(|&record| record < first_kept) as u64;
                return;
            }
            let hash = hash_of(catalog, name);
            let is_known = newest.contains_key(&hash);
            let counted = counted.get(&hash).map_or(records.len(), |&first_kept| {
                records.partition_point(|&record| record < first_kept)
            });
            superseded += (counted as u64).saturating_sub(u64::from(!is_known));
            if !is_known && let Some(&last) = records.last() {
                unknown.push((hash, last));
            }
        })?;
        unknown.truncate(TOPICS_MAX.saturating_sub(newest.len()));
        unknown.sort_unstable_by_key(|(_, record)| *record);
        let numbers: Vec<u32> = unknown.iter().map(|(_, record)| *record).collect();
        let sequences = segment.sequences(file, &numbers)?;
        for ((hash, _), sequence) in unknown.into_iter().zip(sequences) {
            newest.insert(hash, Newest { sequence, is_event: None });
        }
        Ok(superseded)
    }

    /// Notes up to which places the newest marks of streams count events, for topics that hold their newest event alone.
    fn survey_marks(&mut self, segment: &Segment, file: &dyn StorageFile) -> io::Result<()> {
        let (catalog, rules) = (self.catalog, self.catalog.rules());
        if !rules.iter().any(|rule| rule.limits.latest_only) {
            return Ok(());
        }
        let selection = Selection::Topics(&[NO_EVENTS]);
        let identity = &catalog.head.identity;
        let located = segment.locate(file, identity, selection, (Sequence::ZERO, usize::MAX))?;
        let mut of_segment = HashMap::new();
        fetch(file, segment.salt, &located, &mut |record, decoded| {
            if let Some(Decoded::Known(known)) = decoded
                && let Content::Stream(mark) = &known.entry.content
                && let Some(topic) = known.entry.topics.as_slice().first()
                && is_latest_only(&rules, topic.as_str())
                && let Some(place) = match mark {
                    StreamMark::Begin(_) | StreamMark::End(..) => Some(record.sequence),
                    StreamMark::Told(state) => Some(state.last),
                    _ => None,
                }
            {
                of_segment.insert(hash_of(catalog, topic.as_str()), place);
            }
            true
        })?;
        for (hash, place) in of_segment {
            if self.counted.len() < TOPICS_MAX {
                self.counted.entry(hash).or_insert(place);
            }
        }
        Ok(())
    }

    /// Finds runs of segments that are worth to be written again as one: at least half of them is superseded,
    /// or they are small.
    fn runs(
        &self,
        segments: &[Arc<Segment>],
        staying: &HashMap<Sequence, u64>,
    ) -> Vec<std::ops::Range<usize>> {
        let mut runs = Vec::new();
        let mut at = 0;
        while at < segments.len() {
            let (first, mut end) = (at, at);
            let (mut bytes, mut stays) = (0, 0);
            while let Some(segment) = segments.get(end)
                && let Some(share) = staying.get(&segment.base)
                && (end == first || segments[end - 1].last().next() == segment.base)
                && (end == first || stays + share <= self.segment_bytes)
                && segment.last().get() - segments[first].base.get() < u64::from(u32::MAX)
            {
                (bytes, stays) = (bytes + segment.file_bytes(), stays + share);
                end += 1;
            }
            let is_mostly_superseded = stays <= bytes / 2;
            let is_small = end > first + 1 && stays <= self.segment_bytes / 2;
            if end > first && (is_mostly_superseded || is_small) {
                runs.push(first..end);
            }
            at = end.max(first + 1);
        }
        runs
    }

    /// Writes a run of segments again as one, which then takes their place.
    fn write_again(&mut self, run: &[Arc<Segment>]) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let (Some(from), Some(to)) = (first.trailer(), last.trailer()) else { return Ok(()) };
        let place = (first.base, Salt::new(&self.catalog.head.identity, first.base));
        let mut new = CleanedSegment::create(self.catalog, place).map_err(Failure::of_write)?;
        let copied = self.copy(run, &mut new);
        // Nothing depends on the new file yet, so that any failure leaves all as it was.
        let is_whole = match copied {
            Ok(is_whole) => is_whole && !self.stop.load(Ordering::Relaxed),
            Err(error) => {
                new.discard(self.catalog);
                return Err(Failure::Refused(error));
            }
        };
        if !is_whole {
            new.discard(self.catalog);
            return Ok(());
        }
        new.complete(self.catalog, run, (to.last, (from.times.0, to.times.1)))
    }

    /// Copies the records that are not superseded, and the idempotency keys. Returns `false` if a record is
    /// damaged, which is not to be lost on the way, or the cleaning is to stop.
    fn copy(&mut self, run: &[Arc<Segment>], new: &mut CleanedSegment) -> io::Result<bool> {
        for segment in run {
            let file = segment.open(&*self.catalog.storage)?;
            let Some(trailer) = segment.trailer() else { return Ok(false) };
            new.add_keys(&Footer::new(&*file, trailer, segment.base).keys()?);
            let mut after = segment.base.before();
            loop {
                let identity = &self.catalog.head.identity;
                let located =
                    segment.locate(&*file, identity, Selection::All, (after, LOCATED_MAX))?;
                let Some(last) = located.last() else { break };
                after = last.sequence;
                if self.stop.load(Ordering::Relaxed)
                    || !self.copy_located(segment, &*file, &located, new)?
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn copy_located(
        &mut self,
        segment: &Segment,
        file: &dyn StorageFile,
        located: &[Located],
        new: &mut CleanedSegment,
    ) -> io::Result<bool> {
        let mut found = Vec::with_capacity(located.len());
        fetch(file, segment.salt, located, &mut |record, decoded| {
            found.push((*record, decoded));
            true
        })?;
        let mut bytes = Vec::new();
        for (record, decoded) in found {
            let Some(decoded) = decoded else { return Ok(false) };
            if let Decoded::Known(known) = &decoded
                && (self.is_superseded(&known.entry)? || is_freed(self.catalog, &known.entry))
            {
                continue;
            }
            bytes.resize((record.end - record.at) as usize, 0);
            file.read_exact_at(&mut bytes, record.at)?;
            new.push(record.sequence, &bytes, &decoded)?;
        }
        Ok(true)
    }

    /// Returns whether each topic of an event has a newer event that stands for it.
    fn is_superseded(&mut self, entry: &Entry) -> io::Result<bool> {
        if !matches!(entry.content, Content::Event(_)) {
            return Ok(false);
        }
        for topic in entry.topics.as_slice() {
            let is_superseded = is_latest_only(&self.catalog.rules(), topic.as_str())
                && self.has_newer(topic, entry.sequence)?;
            if !is_superseded && !is_freed_in(self.catalog, topic, entry.sequence) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_newer(&mut self, topic: &Topic, sequence: Sequence) -> io::Result<bool> {
        let hash = hash_of(self.catalog, topic.as_str());
        if self.counted.get(&hash).is_some_and(|counted| sequence > *counted) {
            return Ok(false);
        }
        let Some(newest) = self.newest.get(&hash).copied() else { return Ok(false) };
        if newest.sequence <= sequence {
            return Ok(false);
        }
        if let Some(is_event) = newest.is_event {
            return Ok(is_event);
        }
        let is_event = self.is_event(newest.sequence)?;
        self.newest.insert(hash, Newest { is_event: Some(is_event), ..newest });
        Ok(is_event)
    }

    /// Returns whether the record at a sequence is a sound event, rather than the end of a topic's streams.
    fn is_event(&self, sequence: Sequence) -> io::Result<bool> {
        let mut is_event = false;
        let segments = self.catalog.after(sequence.before());
        let Some(segment) = segments.iter().find(|segment| segment.last() >= sequence) else {
            return Ok(false);
        };
        let file = segment.open(&*self.catalog.storage)?;
        let identity = &self.catalog.head.identity;
        let located = segment.locate(&*file, identity, Selection::All, (sequence.before(), 1))?;
        fetch(&*file, segment.salt, &located, &mut |record, decoded| {
            is_event = record.sequence == sequence
                && matches!(decoded, Some(Decoded::Known(known)) if matches!(known.entry.content, Content::Event(_)));
            true
        })?;
        Ok(is_event)
    }
}

/// The numbers of the records of a segment, by topics that have freed ones, from which on they stay.
fn freed_positions(
    catalog: &Catalog,
    segment: &Segment,
    file: &dyn StorageFile,
) -> io::Result<HashMap<String, u32>> {
    let mut last = Vec::new();
    if catalog.has_freed() {
        segment.each_topic(file, &mut |name, _| {
            let freed = catalog.freed(name).filter(|freed| *freed >= segment.base);
            last.extend(freed.map(|freed| (name.to_owned(), freed)));
        })?;
    }
    // The last one stays.
    let position = |(name, freed): (String, Sequence)| {
        Ok((name, segment.position_after(file, freed.before())?))
    };
    last.into_iter().map(position).collect()
}

/// Returns whether an entry is about to go with a freed stream of its topic. The last one stays: readers that stand
/// before it meet it, and are told of the loss.
fn is_freed_in(catalog: &Catalog, topic: &Topic, sequence: Sequence) -> bool {
    catalog.freed(topic.as_str()).is_some_and(|last| sequence < last)
}

/// Returns whether a mark is about to go with a freed stream. Closing a topic's streams is about those of its readers.
fn is_freed(catalog: &Catalog, entry: &Entry) -> bool {
    let topics = entry.topics.as_slice();
    matches!(entry.content, Content::Stream(_))
        && topics.iter().all(|topic| is_freed_in(catalog, topic, entry.sequence))
}

fn hash_of(catalog: &Catalog, name: &str) -> TopicHash {
    let identity = &catalog.head.identity;
    // No topic has a control character.
    (identity.hash(name), identity.hash(&format!("{name}\0")))
}
