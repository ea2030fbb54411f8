//! Views as a history reads them: with their exact topics and patterns looked up.

use super::{GroupKey, TopicKey};
use crate::grant::Grant;
use crate::view::View;

/// A view whose exact topics and patterns have been looked up.
///
/// It holds its topics and patterns; [`History::release`](super::History::release) gives them back.
#[derive(Debug)]
pub(crate) struct Resolved(Repr);

#[derive(Debug)]
enum Repr {
    /// The grant allows everything: nearly all views are so, and it takes no room in them.
    Open(Selection),
    Limited(Box<(Selection, Grant)>),
}

/// The topics that a view's filters select.
#[derive(Debug)]
pub(crate) enum Selection {
    One(TopicKey),
    /// Boxed twice, as `Scan` is: what most readers do not have takes no room in them.
    Many(Box<Box<[TopicKey]>>),
    /// At least one pattern.
    Scan(Box<Scan>),
}

/// A view with patterns.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(super) view: View,
    /// Its exact topics.
    pub(super) keys: Box<[TopicKey]>,
    /// Its patterns.
    pub(super) groups: Box<[GroupKey]>,
}

impl Resolved {
    pub(super) fn new(selection: Selection, grant: &Grant) -> Self {
        Self(if grant.allows_everything() {
            Repr::Open(selection)
        } else {
            Repr::Limited(Box::new((selection, grant.clone())))
        })
    }

    pub(super) fn selection(&self) -> &Selection {
        match &self.0 {
            Repr::Open(selection) => selection,
            Repr::Limited(limited) => &limited.0,
        }
    }

    /// The grant; `None` if it allows everything.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        match &self.0 {
            Repr::Open(_) => None,
            Repr::Limited(limited) => Some(&limited.1),
        }
    }

    /// The topics that the view names.
    pub(crate) fn keys(&self) -> &[TopicKey] {
        match self.selection() {
            Selection::One(key) => std::slice::from_ref(key),
            Selection::Many(keys) => keys,
            Selection::Scan(scan) => &scan.keys,
        }
    }

    /// The groups of the view's patterns.
    pub(crate) fn groups(&self) -> &[GroupKey] {
        match self.selection() {
            Selection::One(_) | Selection::Many(_) => &[],
            Selection::Scan(scan) => &scan.groups,
        }
    }

    pub(crate) fn has_pattern(&self) -> bool {
        !self.groups().is_empty()
    }

    /// The topic of a view that has nothing else.
    pub(crate) fn only_topic(&self) -> Option<TopicKey> {
        match self.selection() {
            Selection::One(key) => Some(*key),
            Selection::Many(_) | Selection::Scan(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_allows_everything_takes_no_room() {
        assert_eq!(size_of::<Resolved>(), 16);
    }
}
