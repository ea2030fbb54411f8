//! The groups that match a topic, as they go with its events.

use std::ops::Deref;
use std::sync::Arc;

use super::patterns::GroupKey;

/// A list of groups, cheap to clone.
///
/// Most topics that a pattern matches have one group. It stands in place, so that an event neither fetches
/// it from elsewhere in memory nor counts the users of a shared list.
#[derive(Clone, Debug, Default)]
pub struct GroupList(List);

#[derive(Clone, Debug, Default)]
enum List {
    #[default]
    None,
    One(GroupKey),
    More(Arc<[GroupKey]>),
}

impl GroupList {
    /// Bytes that it has allocated: a shared list stands behind two counts.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.0 {
            List::None | List::One(_) => 0,
            List::More(groups) => 2 * size_of::<usize>() + size_of_val::<[GroupKey]>(groups),
        }
    }
}

impl From<&[GroupKey]> for GroupList {
    fn from(groups: &[GroupKey]) -> Self {
        Self(match groups {
            [] => List::None,
            [group] => List::One(*group),
            groups => List::More(groups.into()),
        })
    }
}

impl Deref for GroupList {
    type Target = [GroupKey];

    fn deref(&self) -> &[GroupKey] {
        match &self.0 {
            List::None => &[],
            List::One(group) => std::slice::from_ref(group),
            List::More(groups) => groups,
        }
    }
}
