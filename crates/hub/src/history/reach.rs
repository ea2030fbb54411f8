//! The topics whose lists a read of a view goes through.

use smallvec::SmallVec;

use super::resolved::Scan;
use super::{History, Resolved, Selection, Steps, TopicKey};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::view::View;

/// The topics of a view, as far as they have or have had entries.
pub(super) enum Reach<'a> {
    One(TopicKey),
    /// The topics named, or matched by patterns; one may be there twice.
    Several(&'a [TopicKey]),
    Found(SmallVec<[TopicKey; 8]>),
    /// More topics than are worth merging: the history itself is walked.
    All(&'a View),
}

/// The limits of a search for the topics that a view's patterns match.
#[derive(Clone, Copy)]
struct SearchMax {
    /// Topics whose names are compared with the patterns.
    asked: usize,
    /// Topics found.
    found: usize,
}

impl SearchMax {
    /// A search before a read that may walk over so many entries.
    fn of_walk(entries: usize) -> Self {
        /// Merging the entries of more topics than this costs a read more than walking over those of others.
        const MERGED_MAX: usize = 64;
        /// The steps of a turn of a shard.
        const ASKED_MAX: usize = 1024;
        /// A turn asks anew, so a short way is rather walked.
        const ENTRIES_OF_A_NAME: usize = 8;
        let asked = (entries / ENTRIES_OF_A_NAME).clamp(MERGED_MAX, ASKED_MAX);
        Self { asked, found: MERGED_MAX }
    }
}

impl History {
    /// Finds the topics of a view, and counts the steps that it takes. `entries` are those between the
    /// place of the read and its end, at most.
    pub(super) fn reach<'a>(
        &self,
        view: &'a Resolved,
        entries: u64,
        steps: &mut Steps,
    ) -> Reach<'a> {
        let Selection::Scan(scan) = view.selection() else { return Reach::of(view) };
        let entries = usize::try_from(entries.min(self.events)).unwrap_or(usize::MAX);
        self.find_topics(scan, SearchMax::of_walk(entries), steps)
    }

    /// Finds the topics of a view for a read that goes from a place to the tail.
    pub(super) fn reach_after<'a>(
        &self,
        view: &'a Resolved,
        after: Sequence,
        steps: &mut Steps,
    ) -> Reach<'a> {
        self.reach(view, self.tail.get().saturating_sub(after.get()), steps)
    }

    fn find_topics<'a>(&self, scan: &'a Scan, max: SearchMax, steps: &mut Steps) -> Reach<'a> {
        let mut found: SmallVec<[TopicKey; 8]> = SmallVec::from_slice(&scan.keys);
        let mut asked = scan.keys.len();
        let is_all = scan.view.filters().iter().all(|filter| match filter {
            TopicFilter::Exact(_) => true,
            TopicFilter::Pattern(pattern) => {
                self.topics.find_matching(pattern, &mut asked, max.asked, |topic| {
                    found.push(topic);
                    found.len() <= max.found
                })
            }
        });
        steps.take_ahead(asked);
        if is_all { Reach::Found(found) } else { Reach::All(&scan.view) }
    }
}

impl<'a> Reach<'a> {
    /// The topics of a view without a look for those that its patterns match: they may be any.
    pub(super) fn of(view: &'a Resolved) -> Self {
        match view.selection() {
            Selection::One(key) => Self::One(*key),
            Selection::Many(keys) => Self::Several(keys),
            Selection::Scan(scan) => Self::All(&scan.view),
        }
    }

    /// The topics; `None` if there are too many.
    pub(super) fn keys(&self) -> Option<&[TopicKey]> {
        match self {
            Self::One(key) => Some(std::slice::from_ref(key)),
            Self::Several(keys) => Some(keys),
            Self::Found(keys) => Some(keys),
            Self::All(_) => None,
        }
    }
}
