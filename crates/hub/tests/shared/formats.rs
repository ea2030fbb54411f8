//! Messages of each format, as programs have written them: hubs of later versions read them as they were meant.
//!
//! `messages-1.txt` has one message in hexadecimal digits a line: an event with everything that an event may have, a
//! close, and a stream with a producer, which is told of once more and then ends.

use std::pin::pin;
use std::time::Duration;

use tidings_hub::{Cursor, EventId, EventType, Found, Start, StreamReason, Topic};

use crate::cluster::{Cluster, events, poll_once};
use crate::store::Store;

/// The message that tells of the stream once more.
const TELLS: u64 = 5;

fn store(messages: &str) -> Store {
    let mut store = Store::default();
    for line in messages.lines() {
        let digits = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        store.put((0..line.len()).step_by(2).map(digits).collect());
    }
    store
}

#[test]
fn messages_of_the_first_format_are_read_as_they_were_meant() {
    let mut cluster = Cluster::on(store(include_str!("messages-1.txt")), 1);
    let end = r#"{"reason":"done","events":2,"topic":"chat/1"}"#;
    assert_eq!(cluster.texts(), ["first", "second", end]);
    let info = cluster.info().unwrap();
    assert_eq!((info.events, info.began.unix_millis()), (2, 1_800_000_000_003));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 2)));
    let producer = info.producer.unwrap();
    assert_eq!((producer.id(), producer.epoch, producer.seq), ("model", 1, 2));

    let hub = cluster.hub(0);
    let mut reader = hub.subscribe(Topic::from_static("news"), Start::Oldest);
    let Some(Some(Found::Event(found))) = poll_once(pin!(reader.next())) else {
        panic!("there is an event");
    };
    assert_eq!(found.event.data(), "line one\nline two");
    assert_eq!(found.event.id().map(EventId::as_str), Some("given"));
    assert_eq!(*found.event.event_type(), EventType::new("news").unwrap());
    assert_eq!(found.event.retry(), Some(Duration::from_millis(1_500)));
    let after = Cursor { epoch: hub.epoch(), sequence: found.sequence };
    let mut reader = hub.subscribe(Topic::from_static("news"), Start::from(after));
    assert!(matches!(poll_once(pin!(reader.next())), Some(None)), "it is closed then");

    // A hub that cannot read the beginning is told of it.
    cluster.store.messages.retain(|place, _| *place >= TELLS);
    cluster.open();
    assert_eq!(cluster.info().unwrap().events, 2);
    assert_eq!(events(&cluster.hub(1), Start::Oldest).0.len(), 1, "the end");
}
