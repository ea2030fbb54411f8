//! The source of a body's events: a subscriber, or a stream of its own.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tidings_proto::Event;

use crate::hub::Hub;
use crate::subscriber::Subscriber;
use crate::watch::Watch;

pub(super) enum Source {
    Subscriber(Subscriber),
    Stream(Box<OwnStream>),
}

/// A stream of events for this reader alone.
pub(super) struct OwnStream {
    pub(super) events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    pub(super) hub: Hub,
    pub(super) watch: Arc<Watch>,
}

impl Source {
    pub(super) fn hub(&self) -> &Hub {
        match self {
            Self::Subscriber(subscriber) => subscriber.hub(),
            Self::Stream(own) => &own.hub,
        }
    }

    pub(super) fn watch(&self) -> &Arc<Watch> {
        match self {
            Self::Subscriber(subscriber) => subscriber.watch(),
            Self::Stream(own) => &own.watch,
        }
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        self.hub.everybody().forget(&self.watch);
    }
}
