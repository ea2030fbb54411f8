#![no_main]
//! Messages of a shared stream, with any content and the right checksum: two hubs read them alike, or both stop.

use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tidings_hub::Time;
use tidings_hub::journal::shared::{SharedConfig, SharedLog, Stored};

fuzz_target!(|messages: Vec<Vec<u8>>| {
    let config = SharedConfig::new(1, 7, (0, 0));
    let (one, other) = (SharedLog::new(config), SharedLog::new(config));
    let mut read = Vec::new();
    for log in [&one, &other] {
        let mut feed = log.follow();
        let (mut entries, mut sequences) = (Vec::new(), Vec::new());
        for (place, message) in (1..).zip(&messages) {
            let bytes = with_checksum(message.clone());
            let time = Time::from_unix_millis(place);
            if log.read(Stored { place, time, bytes: &bytes }).is_err() {
                break;
            }
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Ok(())) = feed.poll_next(&mut cx, &mut entries) {
                sequences.extend(entries.drain(..).map(|entry| entry.sequence));
                sequences.extend(feed.take_lost().into_iter().map(|lost| lost.last));
            }
        }
        read.push((sequences, log.stopped(), log.through(), log.passed_over()));
    }
    assert_eq!(read[0], read[1]);
});

/// Completes the start and the checksum of a message that is long enough.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 12 && bytes[0] % 8 > 0 {
        bytes[..4].copy_from_slice(b"TdgS");
        bytes[4] = 1;
        bytes[5] = 52;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..8]);
        hasher.update(&bytes[12..]);
        bytes[8..12].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
    bytes
}
