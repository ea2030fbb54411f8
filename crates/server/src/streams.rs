//! The streams that are open: how many, and those that hyper writes one by one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use http::Version;
use parking_lot::Mutex;
use slab::Slab;
use tidings_hub::View;
use tokio::sync::Notify;

use crate::subject::Subject;

/// A count of open streams with a limit, and a list of those that no shard writes.
#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    max: usize,
    none: Notify,
    bodies: Mutex<Slab<Arc<BodyStream>>>,
}

/// The place of one stream among those that may be open; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Streams>);

/// A stream that hyper writes, as those who list and end streams see it.
#[derive(Debug)]
pub(crate) struct BodyStream {
    pub(crate) view: View,
    pub(crate) subject: Option<Subject>,
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    /// When it was opened, by the hub's steady clock.
    pub(crate) since: Duration,
    is_behind: AtomicBool,
    is_ended: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A listed stream and its place; both are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    place: Place,
    key: usize,
    stream: Arc<BodyStream>,
}

impl Streams {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let (open, none, bodies) = (AtomicUsize::new(0), Notify::new(), Mutex::default());
        Arc::new(Self { open, max, none, bodies })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a place; `None` if there is none left.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        let entered = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// Waits until no stream is open.
    pub(crate) async fn none_open(&self) {
        loop {
            // Made before the look, so that the last one to leave in between is not missed.
            let none = self.none.notified();
            if self.open() == 0 {
                return;
            }
            none.await;
        }
    }

    /// How many are listed here.
    pub(crate) fn bodies(&self) -> usize {
        self.bodies.lock().len()
    }

    /// Some of those listed, with their numbers: those from one number on, and where to go on.
    pub(crate) fn some_bodies(
        &self,
        from: usize,
    ) -> (Vec<(usize, Arc<BodyStream>)>, Option<usize>) {
        let bodies = self.bodies.lock();
        let to = bodies.capacity().min(from.saturating_add(PORTION));
        let some = (from..to).filter_map(|key| Some((key, Arc::clone(bodies.get(key)?))));
        (some.collect(), (to < bodies.capacity()).then_some(to))
    }

    /// Ends the streams of a subject that are listed here.
    pub(crate) fn end_bodies(&self, subject: &Subject) {
        let mut next = Some(0);
        while let Some(from) = next {
            let some;
            (some, next) = self.some_bodies(from);
            let his = |stream: &BodyStream| stream.subject.as_ref() == Some(subject);
            some.iter().filter(|(_, stream)| his(stream)).for_each(|(_, stream)| stream.end());
        }
    }
}

/// Streams looked at in one go: the list is locked for so long.
const PORTION: usize = 1024;

impl Place {
    /// Lists the stream that has this place.
    pub(crate) fn list(self, stream: BodyStream) -> Listed {
        let stream = Arc::new(stream);
        let key = self.0.bodies.lock().insert(Arc::clone(&stream));
        Listed { place: self, key, stream }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl BodyStream {
    pub(crate) fn new(
        view: View,
        subject: Option<Subject>,
        address: SocketAddr,
        version: Version,
        since: Duration,
    ) -> Self {
        let (is_behind, is_ended) = (AtomicBool::new(true), AtomicBool::new(false));
        let waker = Mutex::new(None);
        Self { view, subject, address, version, since, is_behind, is_ended, waker }
    }

    /// Whether it has not taken everything there is.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Tells whoever writes the stream to end it.
    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        let waker = self.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Listed {
    /// Whether the stream is to end. If not, `waker` is woken when it is.
    pub(crate) fn poll_ended(&self, waker: &Waker) -> bool {
        let mut kept = self.stream.waker.lock();
        match &mut *kept {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
        drop(kept);
        // Looked at after the waker is there, so that an end in between is not missed.
        self.stream.is_ended.load(Ordering::Acquire)
    }

    /// Notes whether the stream has taken everything there is.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        self.stream.is_behind.store(is_behind, Ordering::Relaxed);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.place.0.bodies.lock().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_hub::Topic;

    #[tokio::test]
    async fn places_are_limited_and_given_back() {
        let streams = Streams::new(2);
        streams.none_open().await;
        let places = [streams.enter().unwrap(), streams.enter().unwrap()];
        assert!(streams.enter().is_none());
        let waiting = tokio::spawn({
            let streams = Arc::clone(&streams);
            async move { streams.none_open().await }
        });
        drop(places);
        waiting.await.unwrap();
        assert_eq!(streams.open(), 0);
        assert!(streams.enter().is_some());
    }

    #[test]
    fn streams_are_listed_in_portions_and_ended_by_their_subject() {
        let streams = Streams::new(usize::MAX);
        let subject = |name| Some(Subject::new(name).unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let list = |subject| {
            let view = Topic::new("a").unwrap().into();
            let stream = BodyStream::new(view, subject, address, Version::HTTP_2, Duration::ZERO);
            streams.enter().unwrap().list(stream)
        };
        let mut listed: Vec<_> = (0..PORTION).map(|_| list(None)).collect();
        listed.extend([list(subject("alpha")), list(subject("beta"))]);
        drop(listed.remove(0));

        let (first, next) = streams.some_bodies(0);
        assert_eq!((first.len(), next), (PORTION - 1, Some(PORTION)));
        let (rest, next) = streams.some_bodies(PORTION);
        assert_eq!(rest.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [PORTION, PORTION + 1]);
        assert_eq!(next.map(|next| streams.some_bodies(next).0.len()).unwrap_or(0), 0);

        streams.end_bodies(&subject("alpha").unwrap());
        let ended: Vec<_> = listed.iter().filter(|l| l.poll_ended(Waker::noop())).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].stream.subject, subject("alpha"));
        drop(listed);
        assert_eq!((streams.bodies(), streams.open()), (0, 0));
    }
}
