//! The topics whose lists a read of a view goes through.

use smallvec::SmallVec;

use super::resolved::Scan;
use super::{History, Resolved, Selection, Steps, TopicKey};
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

/// Maximum number of topics whose names are compared with a view's patterns. Merging the entries of more
/// topics than this costs a read more than walking over those of others.
const ASKED_MAX: usize = 64;

impl History {
    /// Finds the topics of a view, and counts the steps that it takes.
    pub(super) fn reach<'a>(&self, view: &'a Resolved, steps: &mut Steps) -> Reach<'a> {
        match view.selection() {
            Selection::Scan(scan) => self.find_topics(scan, steps),
            Selection::One(_) | Selection::Many(_) => Reach::of(view),
        }
    }

    fn find_topics<'a>(&self, scan: &'a Scan, steps: &mut Steps) -> Reach<'a> {
        let mut found = SmallVec::from_slice(&scan.keys);
        let mut asked = scan.keys.len();
        let is_all = scan.view.filters().iter().all(|filter| match filter {
            TopicFilter::Exact(_) => true,
            TopicFilter::Pattern(pattern) => {
                self.topics.find_matching(pattern, &mut asked, ASKED_MAX, &mut found)
            }
        });
        steps.take(asked);
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
