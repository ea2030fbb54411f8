//! A scan of a segment's records that continues after damage.

use std::ops::Range;

use super::bytes::Salt;
use super::damage::Lost;
use super::group::GroupHeader;
use super::record::{Decoded, claimed_bytes, decode};
use super::torn::TornRequest;
use crate::cursor::Sequence;

/// An item that a scan visits.
pub(super) enum Step {
    /// A sound record at `at` to `end`.
    Record { sequence: Sequence, at: u64, end: u64, decoded: Decoded },
    /// Missing sequences before something sound. `at` is the first damaged byte.
    Lost { at: u64, lost: Lost },
}

/// The result of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The end of the last sound record or empty group.
    pub(super) end: u64,
    /// The sequence after the last sound record.
    pub(super) next: Sequence,
    /// The newest record that was certainly synced, because something was written after the sync.
    pub(super) synced: Sequence,
    /// The end of the last step of a copy before which nothing is damaged.
    pub(super) copied_end: u64,
    /// The position of the last group, and a header for its sound records, if the last group has others
    /// after them.
    pub(super) shortened: Option<(u64, GroupHeader)>,
    /// Requests that are not whole.
    pub(super) torn: Vec<TornRequest>,
}

/// The beginning of a segment's file, which contains all its records.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) salt: Salt,
    pub(super) base: Sequence,
    /// The position of the first group.
    pub(super) start: usize,
    /// Whether superseded records have been left out, so that missing sequences are not lost.
    pub(super) is_cleaned: bool,
}

/// The state of a scan.
struct Scanning<'a, 'v> {
    scan: Scan<'a>,
    visit: &'v mut dyn FnMut(Step),
    done: Scanned,
    /// The start of damage after which nothing sound has been found yet.
    damaged_at: Option<u64>,
    /// Whether nothing was damaged so far.
    is_sound: bool,
}

impl Scan<'_> {
    /// Runs the scan.
    pub(super) fn run(self, visit: &mut dyn FnMut(Step)) -> Scanned {
        let done = Scanned {
            end: self.start as u64,
            next: self.base,
            synced: self.base.before(),
            copied_end: self.start as u64,
            shortened: None,
            torn: Vec::new(),
        };
        let mut scanning = Scanning { scan: self, visit, done, damaged_at: None, is_sound: true };
        let mut at = self.start;
        while let Some((found, header)) = self.find_group(at, scanning.done.next) {
            if found > at {
                scanning.note_damage(at);
            }
            at = scanning.read_group(found, &header);
        }
        scanning.done
    }

    /// Finds the first group at or after a position.
    fn find_group(&self, mut at: usize, next: Sequence) -> Option<(usize, GroupHeader)> {
        loop {
            let bytes = self.bytes.get(at..)?;
            at += GroupHeader::find_magic(bytes)?;
            match GroupHeader::decode(self.bytes.get(at..)?, self.salt, at as u64) {
                Some(header) if header.first >= next => return Some((at, header)),
                _ => at += 1,
            }
        }
    }
}

impl Scanning<'_, '_> {
    /// Reads a group's records and returns the expected position of the next group.
    fn read_group(&mut self, group_at: usize, header: &GroupHeader) -> usize {
        let body = group_at + GroupHeader::BYTES;
        let end = body.saturating_add(header.body_bytes as usize).min(self.scan.bytes.len());
        if header.count == 0 {
            self.close_damage(header.first, group_at as u64);
            self.done.synced = self.done.synced.max(header.synced);
            self.done.end = body as u64;
            self.done.shortened = None;
            return body;
        }
        let (mut at, mut sequence) = (body, header.first);
        let mut torn = None;
        while sequence < header.next() {
            let record = &self.scan.bytes[at..end];
            match decode(record, self.scan.salt, sequence) {
                Some((decoded, bytes)) => {
                    torn.iter_mut().for_each(|torn: &mut TornRequest| torn.is_resumed = true);
                    self.take(sequence, at..at + bytes, decoded);
                    let sound = GroupHeader {
                        body_bytes: (at + bytes - body) as u32,
                        count: (sequence.get() - header.first.get() + 1) as u32,
                        ..*header
                    };
                    self.done.synced = self.done.synced.max(header.synced);
                    self.done.shortened = (sound != *header).then_some((group_at as u64, sound));
                    at += bytes;
                }
                None => {
                    self.note_damage(at);
                    torn.get_or_insert(TornRequest {
                        at: group_at as u64,
                        end: end as u64,
                        header: *header,
                        is_resumed: false,
                    });
                    match self.after_damaged(at..end, sequence, header.next()) {
                        Some(next) => at = next,
                        None => break,
                    }
                }
            }
            sequence = sequence.next();
        }
        self.done.torn.extend(torn.filter(|torn| torn.header.is_request));
        end
    }

    fn note_damage(&mut self, at: usize) {
        self.damaged_at.get_or_insert(at as u64);
        self.is_sound = false;
    }

    fn take(&mut self, sequence: Sequence, range: Range<usize>, decoded: Decoded) {
        let (at, end) = (range.start as u64, range.end as u64);
        if self.is_sound && matches!(decoded, Decoded::Copied(..)) {
            self.done.copied_end = end;
        }
        self.close_damage(sequence, at);
        (self.visit)(Step::Record { sequence, at, end, decoded });
        self.done.next = sequence.next();
        self.done.end = end;
    }

    /// Visits the missing sequences before something sound.
    fn close_damage(&mut self, before: Sequence, at: u64) {
        let damaged_at = self.damaged_at.take();
        if self.scan.is_cleaned && damaged_at.is_none() {
            self.done.next = self.done.next.max(before);
            return;
        }
        let at = damaged_at.unwrap_or(at);
        if let Some(lost) = Lost::between(self.done.next.before(), before) {
            (self.visit)(Step::Lost { at, lost });
            self.done.next = before;
        }
    }

    /// Returns the end of a damaged record if its length is plausible: it is followed by a sound record,
    /// or by the end of the group.
    fn after_damaged(
        &self,
        group: Range<usize>,
        sequence: Sequence,
        group_next: Sequence,
    ) -> Option<usize> {
        let end = group.start.checked_add(claimed_bytes(&self.scan.bytes[group.clone()])?)?;
        let follows = self.scan.bytes.get(end..group.end)?;
        let is_right = match sequence.next() == group_next {
            true => follows.is_empty(),
            false => decode(follows, self.scan.salt, sequence.next()).is_some(),
        };
        is_right.then_some(end)
    }
}
