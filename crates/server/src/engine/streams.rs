//! The open streams: a count of all, and a list of those that hyper writes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use parking_lot::Mutex;
use tidings_hub::{Closer, View};
use tokio::sync::Notify;

use super::reason::Reason;
use super::slot::Permit;
use super::subject::Subject;
use crate::auth::grant::Grant;
use crate::paged_slab::PagedSlab;
use crate::usage::Places;

/// A count of open streams with a limit, and a list of those that no shard writes.
#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    /// The sockets of ended streams whose clients have not closed yet.
    lingering: AtomicUsize,
    max: usize,
    none: Notify,
    bodies: Mutex<PagedSlab<Arc<BodyStream>>>,
    /// The number of listed streams that have ended, by reason.
    ended: [AtomicU64; Reason::ALL.len()],
}

/// The permit of one stream to be open; released when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPermit(Arc<Streams>);

/// The permit of an ended stream's socket, which waits for its client to close.
#[derive(Debug)]
pub(crate) struct LingerPermit(Arc<Streams>);

/// A stream that hyper writes, as the list of streams keeps it. Small, because many may be open on
/// each connection.
#[derive(Debug)]
pub(crate) struct BodyStream {
    /// Its place in the list.
    key: u32,
    pub(crate) view: View,
    // Boxed, because few have one.
    subject: Option<Box<Subject>>,
    /// The grant of its token, which may name a subject.
    grant: Option<Arc<Grant>>,
    closer: Closer,
    /// When it was opened, in milliseconds of the hub's steady clock.
    since: u64,
    /// The address of the client, in 20 bytes where a `SocketAddr` has 32.
    address: (IpAddr, u16),
    pub(crate) version: Version,
    is_behind: AtomicBool,
}

/// A listed stream and its permit; both are released when it is dropped.
#[derive(Debug)]
pub(crate) struct ListedStream {
    permit: StreamPermit,
    /// Its places among those of its address and its subject.
    // Boxed, because connections from this machine have none.
    _places: Option<Box<Places>>,
    stream: Arc<BodyStream>,
}

impl Streams {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let (open, lingering) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (none, bodies) = (Notify::new(), Mutex::default());
        Arc::new(Self { open, lingering, max, none, bodies, ended: Default::default() })
    }

    /// The number of open streams.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a permit; `None` if there is none left.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<StreamPermit> {
        // Their sockets take descriptors, too.
        let max = self.max.saturating_sub(self.lingering.load(Ordering::Acquire));
        let more = |open: usize| (open < max).then_some(open + 1);
        let entered = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| StreamPermit(Arc::clone(self)))
    }

    /// Waits until no stream is open.
    pub(crate) async fn none_open(&self) {
        loop {
            // Created before the check, so that an end of the last stream in between is not missed.
            let none = self.none.notified();
            if self.open() == 0 {
                return;
            }
            none.await;
        }
    }

    /// The number of listed streams that ended for a reason.
    pub(crate) fn ended(&self, reason: Reason) -> u64 {
        self.ended[reason as usize].load(Ordering::Relaxed)
    }

    /// The number of listed streams.
    pub(crate) fn bodies(&self) -> usize {
        self.bodies.lock().len()
    }

    /// A portion of the listed streams with their numbers, starting at a number, and the number of
    /// the next portion.
    pub(crate) fn some_bodies(
        &self,
        from: usize,
    ) -> (Vec<(usize, Arc<BodyStream>)>, Option<usize>) {
        let bodies = self.bodies.lock();
        let to = bodies.bound().min(from.saturating_add(PORTION));
        let some = (from..to).filter_map(|key| Some((key, Arc::clone(bodies.get(key)?))));
        (some.collect(), (to < bodies.bound()).then_some(to))
    }

    /// Closes the listed streams of a subject.
    pub(crate) fn close_bodies(&self, subject: &Subject) {
        self.close_some_bodies(|stream| stream.subjects().contains(&Some(subject)));
    }

    /// Closes the selected streams among those listed.
    pub(crate) fn close_some_bodies(&self, is_selected: impl Fn(&BodyStream) -> bool) {
        let mut next = Some(0);
        while let Some(from) = next {
            let some;
            (some, next) = self.some_bodies(from);
            some.iter()
                .filter(|(_, stream)| is_selected(stream))
                .for_each(|(_, stream)| stream.closer.close());
        }
    }
}

/// The number of streams visited at once: the list is locked for so long.
const PORTION: usize = 1024;

impl StreamPermit {
    /// Lists the stream that has this permit.
    pub(crate) fn list(self, stream: BodyStream, places: Option<Places>) -> ListedStream {
        let mut bodies = self.0.bodies.lock();
        let key = u32::try_from(bodies.vacant_key()).expect("memory holds fewer streams");
        let stream = Arc::new(BodyStream { key, ..stream });
        bodies.insert(Arc::clone(&stream));
        drop(bodies);
        ListedStream { permit: self, _places: places.map(Box::new), stream }
    }
}

impl Permit for StreamPermit {
    type Lingering = LingerPermit;

    fn linger(self) -> LingerPermit {
        // Before the stream's own permit is released, so that no other stream takes its place.
        LingerPermit::new(&self.0)
    }
}

impl LingerPermit {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.lingering.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(streams))
    }
}

impl Drop for LingerPermit {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::AcqRel);
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
        let (subject, grant) = (None, None);
        // It is given its place when it is listed.
        Self { key: 0, view, subject, grant, closer, since, address, version, is_behind }
    }

    /// Sets the subject that the stream belongs to beside its token's, and the token's grant.
    pub(crate) fn of(self, subject: Option<Subject>, grant: Option<Arc<Grant>>) -> Self {
        Self { subject: subject.map(Box::new), grant, ..self }
    }

    /// The subjects that it belongs to: its own, and its token's.
    pub(crate) fn subjects(&self) -> [Option<&Subject>; 2] {
        let of_token = self.grant.as_ref().and_then(|grant| grant.subject.as_ref());
        [self.subject.as_deref(), of_token]
    }

    /// When it was opened, by the hub's steady clock.
    pub(crate) fn since(&self) -> Duration {
        Duration::from_millis(self.since)
    }

    /// The address of the client.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// Returns whether events are waiting for it.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }
}

impl ListedStream {
    pub(crate) fn stream(&self) -> &BodyStream {
        &self.stream
    }

    /// Records whether events are waiting for the stream.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        self.stream.is_behind.store(is_behind, Ordering::Relaxed);
    }

    /// The permit of its socket, which waits for its client to close. The stream's own is to be
    /// released next.
    pub(crate) fn linger(&self) -> LingerPermit {
        LingerPermit::new(&self.permit.0)
    }

    /// Counts the end of the stream.
    pub(crate) fn count_end(&self, reason: Reason) {
        self.permit.0.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for ListedStream {
    fn drop(&mut self) {
        self.permit.0.bodies.lock().try_remove(self.stream.key as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use http_body::Body as _;
    use tidings_hub::{Body, Hub, Start, Topic};

    #[test]
    fn the_list_takes_112_bytes_for_a_stream_with_the_two_counts_of_an_arc() {
        assert_eq!(size_of::<BodyStream>() + 2 * size_of::<usize>(), 112);
    }

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
    fn a_socket_that_waits_for_its_client_to_close_keeps_a_place() {
        let streams = Streams::new(2);
        let lingering = streams.enter().unwrap().linger();
        let _open = streams.enter().unwrap();
        assert!(streams.enter().is_none());
        assert_eq!(streams.open(), 1);
        drop(lingering);
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
            (body, streams.enter().unwrap().list(stream.of(subject, None), None))
        };
        let mut listed: Vec<_> = (0..PORTION).map(|_| list(None)).collect();
        listed.extend([list(subject("alpha")), list(subject("beta"))]);
        drop(listed.remove(0));

        let (first, next) = streams.some_bodies(0);
        assert_eq!((first.len(), next), (PORTION - 1, Some(PORTION)));
        let (rest, next) = streams.some_bodies(PORTION);
        assert_eq!(rest.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [PORTION, PORTION + 1]);
        assert_eq!(next.map(|next| streams.some_bodies(next).0.len()).unwrap_or(0), 0);

        streams.close_bodies(&subject("alpha").unwrap());
        let is_over = |body: &mut Body| {
            let mut cx = Context::from_waker(Waker::noop());
            // The first piece is the preamble.
            (0..2).any(|_| matches!(pin!(&mut *body).poll_frame(&mut cx), Poll::Ready(None)))
        };
        let ended = listed.iter_mut().filter_map(|(body, of)| is_over(body).then_some(of));
        let ended: Vec<_> = ended.map(|of| of.stream.subjects()[0].cloned()).collect();
        assert_eq!(ended, [subject("alpha")]);
        let stream = &listed[0].1.stream;
        assert_eq!((stream.address(), stream.since()), (address, Duration::from_millis(4711)));
        drop(listed);
        assert_eq!((streams.bodies(), streams.open()), (0, 0));
    }
}
