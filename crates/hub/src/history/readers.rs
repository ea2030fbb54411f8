//! How many readers a topic has.

use super::History;
use crate::topic::Topic;

impl History {
    /// The readers that name a topic, and those of patterns that match it.
    pub(crate) fn readers_of(&self, name: &Topic) -> usize {
        let state = self.topics.find(name).and_then(|key| self.topics.get(key));
        state.map_or(0, |state| state.holders as usize) + self.topics.readers_by_pattern(name)
    }
}
