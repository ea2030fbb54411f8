//! Looking up the topics and patterns of views, which readers hold, are marked on and are woken by.

use std::sync::Arc;

use super::{GroupKey, History, Mark, Resolved, Scan, Selection, ShardIndex, TopicKey};
use crate::filter::TopicFilter;
#[cfg(feature = "engine")]
use crate::topic::Topic;
use crate::view::View;
use crate::watch::WatchList;

impl History {
    /// Looks up a view's topics and patterns, and adds those that are not known.
    pub(crate) fn resolve(&mut self, view: &View) -> Resolved {
        let (mut keys, mut groups) = (Vec::new(), Vec::new());
        for filter in view.filters() {
            match filter {
                TopicFilter::Exact(topic) => {
                    let key = self.topics.hold(topic);
                    self.learn_freed(key, topic);
                    keys.push(key);
                }
                TopicFilter::Pattern(pattern) => groups.push(self.topics.hold_pattern(pattern)),
            }
        }
        let selection = match keys[..] {
            _ if !groups.is_empty() => {
                let (view, keys, groups) = (view.clone(), keys.into(), groups.into());
                Selection::Scan(Box::new(Scan { view, keys, groups }))
            }
            [key] => Selection::One(key),
            _ => Selection::Many(Box::new(keys.into())),
        };
        Resolved::new(selection, view.grant())
    }

    /// Lets go of a resolved view's topics and patterns.
    pub(crate) fn release(&mut self, view: &Resolved) {
        view.keys().iter().for_each(|&key| self.topics.release(key));
        view.groups().iter().for_each(|&key| self.topics.release_pattern(key));
    }

    /// The name of a topic that is known.
    #[cfg(feature = "engine")]
    pub(crate) fn name_of(&self, key: TopicKey) -> Option<&Topic> {
        self.topics.get(key).map(|state| &state.name)
    }

    /// The subscribers to wake when an event is published to the topic.
    pub(crate) fn watchers(&mut self, key: TopicKey) -> Option<Arc<WatchList>> {
        let state = self.topics.get_mut(key)?;
        Some(Arc::clone(state.watchers.get_or_insert_default()))
    }

    /// The subscribers to wake when an event is published to a topic that a pattern matches.
    pub(crate) fn group_watchers(&mut self, key: GroupKey) -> Option<Arc<WatchList>> {
        let group = self.topics.group_mut(key)?;
        Some(Arc::clone(group.watchers.get_or_insert_default()))
    }

    /// Sets or takes back one watch mark of a shard on each of the view's topics and patterns.
    pub(crate) fn mark(&mut self, shard: ShardIndex, view: &Resolved, change: Mark) {
        self.shards.mark(shard, change);
        for &key in view.keys() {
            if let Some(state) = self.topics.get_mut(key) {
                state.marks.change(shard, change);
            }
        }
        for &key in view.groups() {
            if let Some(group) = self.topics.group_mut(key) {
                group.marks.change(shard, change);
            }
        }
    }
}
