#![no_main]
//! Every event that can be constructed is the same after encoding and decoding.

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_proto::{Decoder, Event, EventId, EventType, Item, encode, encoded_len};

#[derive(Arbitrary, Debug)]
struct Input {
    data: String,
    event_type: String,
    id: Option<String>,
    retry: Option<u64>,
    chunk_len: u8,
}

fuzz_target!(|input: Input| {
    let mut event = Event::new(input.data);
    if let Ok(event_type) = EventType::new(input.event_type) {
        event = event.with_type(event_type);
    }
    if let Some(Ok(id)) = input.id.map(EventId::new) {
        event = event.with_id(id);
    }
    if let Some(millis) = input.retry {
        event = event.with_retry(Duration::from_millis(millis));
    }
    let mut text = Vec::new();
    encode(&event, &mut text);
    assert_eq!(encoded_len(&event), text.len());

    let mut decoder = Decoder::new();
    let mut retry = None;
    let mut events = 0;
    for mut chunk in text.chunks(usize::from(input.chunk_len).max(1)) {
        while let Some(item) = decoder.decode(&mut chunk).expect("the event is within the limit") {
            match item {
                Item::Event(decoded) => {
                    events += 1;
                    assert_eq!(decoded.event_type, event.event_type().as_str());
                    let data = event.data().replace("\r\n", "\n").replace('\r', "\n");
                    assert_eq!(decoded.data, data);
                    assert_eq!(decoded.id(), event.id().map(EventId::as_str));
                }
                Item::Retry(time) => retry = Some(time),
                other => panic!("{other:?} was not encoded"),
            }
        }
    }
    assert_eq!(events, 1);
    assert_eq!(retry, event.retry());
});
