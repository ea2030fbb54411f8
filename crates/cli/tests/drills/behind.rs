//! Readers far behind what memory holds get everything from disk, and disturb nobody.

use std::net::SocketAddr;
use std::thread;

use crate::folder::Scratch;
use crate::program::{Program, drill};
use crate::reader::Reader;

const READERS: usize = 8;
/// 64 MiB of events, of which memory holds a small part.
const EVENTS: usize = 2000;
const EVENT_BYTES: usize = 32 * 1024;
/// The memory that the program may take, however much is stored: the part of the history in memory, the
/// pages that readers share, and 50 MiB.
const MEMORY_MAX: usize = (1 + 64 + 50) << 20;

/// Reads everything from the beginning, on a thread of its own: what the reader has to do must not hold up the publisher
/// and the live reader of the drill.
fn read_all(address: SocketAddr) -> thread::JoinHandle<()> {
    let read = async move {
        let earliest = Some("earliest".to_owned());
        let mut reader = Reader::open(address, "/topics/news", earliest).await.unwrap();
        for number in 0..EVENTS {
            let event = reader.next().await.unwrap();
            assert_eq!(event.event_type(), "message");
            assert_eq!(number_of(event.data()), number);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::spawn(move || runtime.block_on(read))
}

/// Returns the number at the end of an event's data.
fn number_of(data: &str) -> usize {
    data.trim_start().parse().unwrap()
}

#[test]
fn readers_from_the_beginning_get_everything_while_memory_stays_bounded_and_others_live() {
    drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let program = Program::start(&[
            "--data",
            &folder,
            "--memory-bytes",
            "1MiB",
            "--history-bytes",
            "1GiB",
        ]);
        for number in 0..EVENTS {
            program.publish("news", &format!("{number:>EVENT_BYTES$}")).await;
        }
        let readers: [_; READERS] = std::array::from_fn(|_| read_all(program.address));
        let mut live = Reader::open(program.address, "/topics/live", None).await.unwrap();
        let (mut most, mut published) = (0, 0);
        while !readers.iter().all(thread::JoinHandle::is_finished) {
            program.publish("live", &published.to_string()).await;
            assert_eq!(number_of(live.next().await.unwrap().data()), published);
            published += 1;
            most = most.max(program.memory());
        }
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(most <= MEMORY_MAX, "{most} bytes");
        assert!(published > 0);
        assert_eq!(program.metric("tidings_gaps_total").await, 0);
    });
}
