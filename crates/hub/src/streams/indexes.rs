//! Indexes of events within their streams, as far as the state of the streams tells them.

use super::committed::{Extent, IndexedAt, Stretch};
use super::places::Counted;
use super::state::Streams;
use crate::cursor::Sequence;
use crate::topic::Topic;

impl Streams {
    /// The events of a stream from one of them on, which are to be counted for its index. `None` if it belongs to
    /// none of the topic's streams that are remembered.
    pub(crate) fn stretch_from(&self, topic: &Topic, event: Sequence) -> Option<Stretch> {
        self.extents(topic).find(|extent| extent.begin < event)?.from(event)
    }

    /// The index of an event if it is the last one of a stream, or is known without counting.
    pub(crate) fn index_of(&self, topic: &Topic, event: Sequence) -> Option<u64> {
        self.extents(topic).find(|extent| extent.begin < event)?.index_of(event)
    }

    /// Where the event with an index is in the topic's latest stream, or in the one that begins at a place; a
    /// negative index counts from the end.
    pub(crate) fn at_index(
        &self,
        topic: &Topic,
        begin: Option<Sequence>,
        index: i64,
    ) -> Option<IndexedAt> {
        let mut extents = self.extents(topic);
        let is_meant = |extent: &Extent<'_>| begin.is_none_or(|begin| begin == extent.begin);
        Some(extents.find(is_meant)?.at(index))
    }

    /// Notes places that were found by counting.
    pub(crate) fn learn(&mut self, topic: &Topic, begin: Sequence, found: &[Counted]) {
        self.change(topic, |stream| {
            if let Some(places) = stream.places_mut(begin) {
                places.learn(found);
            }
        });
    }

    /// The topic's streams that are remembered, the latest one first.
    fn extents(&self, topic: &Topic) -> impl Iterator<Item = Extent<'_>> {
        self.get(topic).into_iter().flat_map(|stream| stream.extents())
    }
}
