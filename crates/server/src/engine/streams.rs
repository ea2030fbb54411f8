//! The streams that are open: how many, and those that hyper writes one by one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use parking_lot::Mutex;
use slab::Slab;
use tidings_hub::{Closer, View};
use tokio::sync::Notify;

use super::reason::Reason;
use super::subject::Subject;

/// A count of open streams with a limit, and a list of those that no shard writes.
#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    max: usize,
    none: Notify,
    bodies: Mutex<Slab<Arc<BodyStream>>>,
    /// How often those that were listed ended, by reason.
    ended: [AtomicU64; Reason::ALL.len()],
}

/// The place of one stream among those that may be open; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPermit(Arc<Streams>);

/// A stream that hyper writes, as those who list and end streams see it. Small, because many may be
/// open on each connection.
#[derive(Debug)]
pub(crate) struct BodyStream {
    pub(crate) view: View,
    // Boxed, because few have one.
    subject: Option<Box<Subject>>,
    closer: Closer,
    /// When it was opened, in milliseconds of the hub's steady clock.
    since: u64,
    /// The other end of its connection, in 20 bytes where a socket's address has 32.
    address: (IpAddr, u16),
    pub(crate) version: Version,
    is_behind: AtomicBool,
}

/// A listed stream and its place; both are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ListedStream {
    permit: StreamPermit,
    key: usize,
    stream: Arc<BodyStream>,
}

impl Streams {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let (open, none, bodies) = (AtomicUsize::new(0), Notify::new(), Mutex::default());
        Arc::new(Self { open, max, none, bodies, ended: Default::default() })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a place; `None` if there is none left.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<StreamPermit> {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        let entered = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| StreamPermit(Arc::clone(self)))
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

    /// How often streams that were listed here ended for a reason.
    pub(crate) fn ended(&self, reason: Reason) -> u64 {
        self.ended[reason as usize].load(Ordering::Relaxed)
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
            let his = |stream: &BodyStream| stream.subject() == Some(subject);
            some.iter()
                .filter(|(_, stream)| his(stream))
                .for_each(|(_, stream)| stream.closer.close());
        }
    }
}

/// Streams looked at in one go: the list is locked for so long.
const PORTION: usize = 1024;

impl StreamPermit {
    /// Lists the stream that has this place.
    pub(crate) fn list(self, stream: BodyStream) -> ListedStream {
        let stream = Arc::new(stream);
        let key = self.0.bodies.lock().insert(Arc::clone(&stream));
        ListedStream { permit: self, key, stream }
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl BodyStream {
    pub(crate) fn new(
        view: View,
        closer: Closer,
        address: SocketAddr,
        version: Version,
        since: Duration,
    ) -> Self {
        let address = (address.ip(), address.port());
        let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let is_behind = AtomicBool::new(true);
        Self { view, subject: None, closer, since, address, version, is_behind }
    }

    /// Says whose it is.
    pub(crate) fn of(self, subject: Option<Subject>) -> Self {
        Self { subject: subject.map(Box::new), ..self }
    }

    pub(crate) fn subject(&self) -> Option<&Subject> {
        self.subject.as_deref()
    }

    /// When it was opened, by the hub's steady clock.
    pub(crate) fn since(&self) -> Duration {
        Duration::from_millis(self.since)
    }

    /// The other end of its connection.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// Whether it has not taken everything there is.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }
}

impl ListedStream {
    /// Notes whether the stream has taken everything there is.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        self.stream.is_behind.store(is_behind, Ordering::Relaxed);
    }

    /// Counts the stream as one that has ended.
    pub(crate) fn count_end(&self, reason: Reason) {
        self.permit.0.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for ListedStream {
    fn drop(&mut self) {
        self.permit.0.bodies.lock().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use http_body::Body as _;
    use tidings_hub::{Body, Hub, Start, Topic};

    #[tokio::test]
    async fn places_are_limited_and_given_back() {
        let streams = Streams::new(2);
        streams.none_open().await;
        let permits = [streams.enter().unwrap(), streams.enter().unwrap()];
        assert!(streams.enter().is_none());
        let waiting = tokio::spawn({
            let streams = Arc::clone(&streams);
            async move { streams.none_open().await }
        });
        drop(permits);
        waiting.await.unwrap();
        assert_eq!(streams.open(), 0);
        assert!(streams.enter().is_some());
    }

    #[test]
    fn streams_are_listed_in_portions_and_ended_by_their_subject() {
        let streams = Streams::new(usize::MAX);
        let subject = |name| Some(Subject::new(name).unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let hub = Hub::default();
        let list = |subject| {
            let topic = Topic::new("a").unwrap();
            let body = hub.subscribe(topic.clone(), Start::Tail).into_body();
            let (view, since) = (topic.into(), Duration::from_millis(4711));
            let version = Version::HTTP_2;
            let stream = BodyStream::new(view, body.closer(), address, version, since);
            (body, streams.enter().unwrap().list(stream.of(subject)))
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
        let is_over = |body: &mut Body| {
            let mut cx = Context::from_waker(Waker::noop());
            // The first piece is the preamble.
            (0..2).any(|_| matches!(pin!(&mut *body).poll_frame(&mut cx), Poll::Ready(None)))
        };
        let ended = listed.iter_mut().filter_map(|(body, of)| is_over(body).then_some(of));
        let ended: Vec<_> = ended.map(|of| of.stream.subject().cloned()).collect();
        assert_eq!(ended, [subject("alpha")]);
        let stream = &listed[0].1.stream;
        assert_eq!((stream.address(), stream.since()), (address, Duration::from_millis(4711)));
        drop(listed);
        assert_eq!((streams.bodies(), streams.open()), (0, 0));
    }
}
