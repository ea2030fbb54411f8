//! Events that are published and read.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::wire::{Connection, Target, data};
use super::{Server, UNDER_WAY, all};

/// The deliveries that have arrived.
#[derive(Default)]
struct Arrived {
    count: Cell<u32>,
    /// The count that is waited for.
    wanted: Cell<u32>,
    /// The readers that have ended, and the events that were not the next ones.
    faults: Cell<u64>,
    reached: Notify,
}

impl Arrived {
    fn one_more(&self) {
        self.count.set(self.count.get() + 1);
        if self.count.get() == self.wanted.get() {
            self.reached.notify_one();
        }
    }

    fn fault(&self) {
        self.faults.set(self.faults.get() + 1);
    }

    /// Waits until so many have arrived.
    async fn reach(&self, wanted: u32) -> io::Result<()> {
        self.wanted.set(wanted);
        while self.count.get() < wanted {
            if self.faults.get() > 0 {
                return Err(io::Error::other("a reader was not sent the next event, or has ended"));
            }
            self.reached.notified().await;
        }
        Ok(())
    }
}

/// Reads events, which are numbered from 0, until the reader is dropped.
async fn read(mut connection: Connection, arrived: Rc<Arrived>) {
    for number in 0.. {
        match connection.event().await {
            Ok(text) if text == data(number) => arrived.one_more(),
            _ => {
                arrived.fault();
                return arrived.reached.notify_one();
            }
        }
    }
}

/// The part of the events that is published before measuring.
const WARM_UP: u32 = 10;

/// Publishes events to one topic, each after all readers have read the one before.
pub(super) async fn to_all(
    target: &Target,
    server: &Server,
    readers: u32,
    events: u32,
) -> io::Result<Value> {
    let arrived = Rc::new(Arrived::default());
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        tasks.spawn_local(read(target.read("everybody").await?, Rc::clone(&arrived)));
    }
    let mut publisher = target.open().await?;
    let first = events / WARM_UP;
    let mut before = server.used()?;
    for number in 0..first + events {
        if number == first {
            before = server.used()?;
        }
        publisher.publish("everybody", &data(number)).await?;
        arrived.reach((number + 1) * readers).await?;
    }
    server.since(&before, events * readers, arrived.faults.get())
}

/// Publishes events to topics of one reader each, on several connections, each of which waits until
/// its last event has been read.
pub(super) async fn to_each(
    target: &Target,
    server: &Server,
    readers: u32,
    events: u32,
) -> io::Result<Value> {
    let mut tasks = JoinSet::new();
    let mut topics = Vec::new();
    for number in 0..readers {
        let arrived = Rc::new(Arrived::default());
        let topic = format!("u/{number}");
        tasks.spawn_local(read(target.read(&topic).await?, Rc::clone(&arrived)));
        topics.push((topic, arrived));
    }
    let mut publishers = Vec::new();
    for number in 0..UNDER_WAY {
        let own = topics.iter().skip(number as usize).step_by(UNDER_WAY as usize);
        publishers.push((target.open().await?, own.cloned().collect::<Vec<_>>()));
    }
    let each = events.div_ceil(readers);
    let before = server.used()?;
    let mut workers = JoinSet::new();
    for (mut publisher, own) in publishers {
        workers.spawn_local(async move {
            for number in 0..each {
                for (topic, arrived) in &own {
                    publisher.publish(topic, &data(number)).await?;
                    arrived.reach(number + 1).await?;
                }
            }
            Ok(())
        });
    }
    all(workers).await?;
    let faults = topics.iter().map(|(_, arrived)| arrived.faults.get()).sum();
    server.since(&before, each * readers, faults)
}
