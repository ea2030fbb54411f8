//! Hubs on one scripted store.

use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidings_hub::journal::shared::{SharedConfig, SharedLog, Stored, end_of, epoch};
use tidings_hub::journal::{
    Committing, CopyOf, DiskConfig, DiskJournal, Durability, Entry, Evict, Feed, Journal,
    JournalError, JournalFuture, JournalPage, Opened, PageMax, Submission, TopicSet,
};
use tidings_hub::{
    Append, Appended, Draft, EndNotice, Event, Found, Hub, HubConfig, Now, Producer, PublishError,
    Sequence, Start, StreamInfo, StreamOptions, StreamReason, StreamRefused, StreamState, Topic,
    TopicFilter,
};

use crate::disk::SimulatedDisk;
use crate::store::{GENERATION, Store, at};

pub(crate) const TOPIC: Topic = Topic::from_static("chat/1");

/// A log, where it begins, and the marks of streams that a hub has from elsewhere, or a copy in its folder.
struct Scripted {
    log: SharedLog,
    config: SharedConfig,
    marks: Vec<Entry>,
    copy: Option<DiskJournal>,
}

impl Journal for Scripted {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        let copied = self.copy.as_ref().map(DiskJournal::oldest);
        let (oldest, tail) = (end_of(self.config.oldest), end_of(self.config.tail));
        let oldest = copied.unwrap_or(oldest);
        let opened = Opened::new(epoch("test", GENERATION), oldest, tail, Durability::Process);
        Box::pin(async move { Ok(opened) })
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        self.log.append(batch, now)
    }

    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        match &self.copy {
            Some(copy) => copy.follow(after),
            None => self.log.follow(),
        }
    }

    fn oldest(&self) -> Option<Sequence> {
        self.copy.as_ref().map(DiskJournal::oldest)
    }

    fn older(&self) -> Option<Sequence> {
        self.copy.as_ref()?.older()
    }

    fn newest(&self, bytes: usize) -> Sequence {
        self.copy.as_ref().map_or(Sequence::ZERO, |copy| copy.newest(bytes))
    }

    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        match &self.copy {
            Some(copy) => copy.read(topics, after, max),
            None => Box::pin(ready(Ok(JournalPage::new(Vec::new(), after)))),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn decides_streams(&self) -> bool {
        true
    }

    fn restore_streams(&self, states: Vec<(Topic, StreamState)>) {
        self.log.restore_streams(states);
    }

    fn keep_streams(&self, states: Vec<(Topic, StreamState)>) {
        self.log.keep_streams(states);
    }

    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        if let Some(copy) = &self.copy {
            return copy.marks(after, max);
        }
        let entries: Vec<_> = self.marks.iter().filter(|it| it.sequence > after).cloned().collect();
        let through = entries.last().map_or(after, |last| last.sequence);
        Box::pin(async move { Ok(JournalPage::new(entries, through)) })
    }

    fn free(&self, topic: &Topic, last: Sequence, through: Sequence) -> bool {
        self.copy.as_ref().is_none_or(|copy| copy.free(topic, last, through))
    }

    fn evict(&self, _what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        Box::pin(async { Ok(()) })
    }
}

pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) log: SharedLog,
    pub(crate) copy: Option<DiskJournal>,
    running: Pin<Box<dyn Future<Output = Result<(), JournalError>>>>,
}

impl Node {
    pub(crate) fn open(store: &Store, writer: u64, now: Now) -> Self {
        Self::with_marks(store, writer, now, Vec::new())
    }

    /// A node that has the marks of what the store no longer has.
    fn with_marks(store: &Store, writer: u64, now: Now, marks: Vec<Entry>) -> Self {
        let config = SharedConfig::new(writer, GENERATION, (store.oldest(), store.newest));
        let log = SharedLog::new(config);
        read_all(&log, store, None);
        let journal = Box::new(Scripted { log: log.clone(), config, marks, copy: None });
        let opening = pin!(Hub::builder().at(now).open(journal));
        let Poll::Ready(Ok(hub)) = opening.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("everything was read");
        };
        Self::running(hub, log, None)
    }

    /// A node with a copy in a folder, which has little of it in memory.
    fn in_folder(store: &Store, writer: u64, now: Now, folder: &Folder) -> Self {
        let config = SharedConfig::new(writer, GENERATION, (store.oldest(), store.newest));
        let of = CopyOf::new(epoch("test", GENERATION), end_of(store.oldest()));
        let copy = DiskJournal::copy_of(folder.disk.clone(), folder.config.clone(), of);
        smol::block_on(copy.open()).unwrap();
        let log = SharedLog::resume(config, &copy);
        read_all(&log, store, Some(&copy));
        let (marks, copied) = (Vec::new(), Some(copy.clone()));
        let journal = Box::new(Scripted { log: log.clone(), config, marks, copy: copied });
        let mut of_hub = HubConfig::default();
        of_hub.retention.bytes_max = folder.memory_bytes;
        let hub = smol::block_on(Hub::builder().config(of_hub).at(now).open(journal)).unwrap();
        Self::running(hub, log, Some(copy))
    }

    fn running(hub: Hub, log: SharedLog, copy: Option<DiskJournal>) -> Self {
        let running = {
            let hub = hub.clone();
            Box::pin(async move { hub.run().await })
        };
        Self { hub, log, copy, running }
    }
}

/// A hub's folder, and how much of it is in memory.
pub(crate) struct Folder {
    pub(crate) disk: SimulatedDisk,
    pub(crate) config: DiskConfig,
    pub(crate) memory_bytes: usize,
}

/// Lets a log read what there is, and copy it.
fn read_all(log: &SharedLog, store: &Store, copy: Option<&DiskJournal>) {
    for (place, bytes) in store.messages.range(log.through() + 1..) {
        log.read(Stored { place: *place, time: at(*place), bytes }).unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    if let Some(copy) = copy
        && let Poll::Ready(steps) = log.poll_copies(&mut cx)
    {
        let steps = steps.unwrap();
        let through = steps.last().unwrap().end.through;
        smol::block_on(copy.copy(steps)).unwrap();
        log.note_copied(through);
    }
}

/// Hubs, and the store that they share.
pub(crate) struct Cluster {
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) writers: u64,
    pub(crate) now: Now,
}

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Self {
        Self::on(Store::default(), nodes)
    }

    /// Hubs on what a store has.
    pub(crate) fn on(store: Store, nodes: usize) -> Self {
        let now = Now::read();
        let open = |writer| Node::open(&store, writer, now);
        let nodes: Vec<_> = (1..=nodes as u64).map(open).collect();
        let writers = nodes.len() as u64;
        Self { store, nodes, writers, now }
    }

    pub(crate) fn hub(&self, node: usize) -> Hub {
        self.nodes[node].hub.clone()
    }

    /// Writes what a node has to write: nobody reads it.
    pub(crate) fn write(&mut self, node: usize) {
        let mut cx = Context::from_waker(Waker::noop());
        let log = &self.nodes[node].log;
        while let Poll::Ready(group) = log.poll_group(&mut cx, self.now.instant) {
            let place = self.store.take(&group);
            log.acknowledged(group.number, place);
        }
    }

    /// Lets a node read what is there, and its hub follow.
    pub(crate) fn read(&mut self, node: usize) {
        self.read_only(node);
        let node = &mut self.nodes[node];
        let mut cx = Context::from_waker(Waker::noop());
        assert!(node.running.as_mut().poll(&mut cx).is_pending());
    }

    /// Lets a node read what is there.
    pub(crate) fn read_only(&mut self, node: usize) {
        let Node { log, copy, .. } = &self.nodes[node];
        read_all(log, &self.store, copy.as_ref());
    }

    /// Opens another node on what the store has.
    pub(crate) fn open(&mut self) {
        self.open_with_marks(Vec::new());
    }

    pub(crate) fn open_with_marks(&mut self, marks: Vec<Entry>) {
        self.writers += 1;
        let node = Node::with_marks(&self.store, self.writers, self.now, marks);
        self.nodes.push(node);
    }

    /// Opens another node, with a copy in a folder.
    pub(crate) fn open_in(&mut self, folder: &Folder) {
        self.writers += 1;
        let node = Node::in_folder(&self.store, self.writers, self.now, folder);
        self.nodes.push(node);
    }

    pub(crate) fn settle(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.write(node));
        (0..self.nodes.len()).for_each(|node| self.read(node));
    }

    /// Lets everything arrive until a future is done.
    pub(crate) fn done<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..10 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return done;
            }
            self.settle();
        }
        panic!("nothing comes of it");
    }

    /// Waits for what a node's hub has to read, also from its folder.
    pub(crate) fn wait<T>(&mut self, node: usize, future: impl Future<Output = T>) -> T {
        let running = &mut self.nodes[node].running;
        let mut future = pin!(future);
        smol::block_on(poll_fn(|cx| {
            assert!(running.as_mut().poll(cx).is_pending());
            future.as_mut().poll(cx)
        }))
    }

    /// Makes a request at a node.
    pub(crate) fn append(
        &mut self,
        node: usize,
        request: &Append,
        events: &[&str],
    ) -> Result<Appended, PublishError> {
        let asked = self.hub(node).append(TOPIC, request, drafts(events));
        self.done(asked)
    }

    /// Lets time pass, with everything that comes of it.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for node in &self.nodes {
            node.hub.tick(self.now);
        }
        self.settle();
    }

    /// The state of the stream, which all nodes must agree on.
    pub(crate) fn info(&self) -> Option<StreamInfo> {
        let info = |node: &Node| node.hub.streams(&TopicFilter::from(TOPIC)).pop();
        let first = info(&self.nodes[0]);
        for node in &self.nodes {
            assert_eq!(info(node), first);
        }
        first
    }

    pub(crate) fn end_reason(&self) -> Option<(StreamReason, u64)> {
        self.info()?.end.map(|(_, close)| (close.reason, close.events))
    }

    /// The events of the topic, which all nodes must agree on.
    pub(crate) fn texts(&self) -> Vec<String> {
        let texts = |node: &Node| {
            let (found, _) = events(&node.hub, Start::Oldest);
            found.into_iter().map(|(_, data)| data).collect::<Vec<_>>()
        };
        let first = texts(&self.nodes[0]);
        for node in &self.nodes {
            assert_eq!(texts(node), first);
        }
        first
    }
}

pub(crate) fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

pub(crate) fn drafts(events: &[&str]) -> Vec<Draft> {
    events.iter().map(|data| Draft::new(TOPIC, Event::new(*data))).collect()
}

pub(crate) fn begin() -> Append {
    Append { begin: Some(StreamOptions::default()), ..Append::default() }
}

pub(crate) fn end() -> Append {
    Append { end: Some(EndNotice::Close), ..Append::default() }
}

pub(crate) fn by(id: &str, epoch: u64, seq: u64) -> Append {
    Append { producer: Producer::new(id, epoch, seq), ..Append::default() }
}

pub(crate) const fn refused<T>(why: StreamRefused) -> Result<T, PublishError> {
    Err(PublishError::Stream(why))
}

/// The events that a hub sends a reader, and how many gaps it tells.
pub(crate) fn events(hub: &Hub, start: Start) -> (Vec<(Sequence, String)>, usize) {
    let mut reader = hub.subscribe(TopicFilter::pattern("chat/*").unwrap(), start);
    let (mut events, mut gaps) = (Vec::new(), 0);
    while let Some(Some(found)) = poll_once(pin!(reader.next())) {
        match found {
            Found::Event(found) => events.push((found.sequence, found.event.data().to_owned())),
            Found::Gap(_) => gaps += 1,
            _ => break,
        }
    }
    (events, gaps)
}
