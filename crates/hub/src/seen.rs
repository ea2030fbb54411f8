//! Events as readers find them: in history, or in a page that the journal has read.

use std::sync::Arc;

use crate::history::{Block, Held, History, Kept};
use crate::topic::Topic;

/// An event as a read finds it.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// In history.
    Held(&'a History, Held<'a>),
    /// In a page that the journal has read.
    Kept(Kept<'a>),
}

impl<'a> Seen<'a> {
    pub(crate) fn block(self) -> &'a Arc<Block> {
        match self {
            Self::Held(_, held) => held.block,
            Self::Kept(kept) => kept.block,
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Held(_, held) => held.index,
            Self::Kept(kept) => kept.index,
        }
    }

    /// The topic that readers see: the canonical one, or the first that history still knows.
    pub(crate) fn topic(self) -> Option<&'a Topic> {
        match self {
            Self::Held(history, held) => history.topic_of(held),
            Self::Kept(kept) => kept.topics.as_slice().first(),
        }
    }
}
