#![no_main]
//! A text is a cursor or not, and a cursor is spelled in one way that means the same.

use libfuzzer_sys::fuzz_target;
use tidings_hub::{Cursor, Start};

fuzz_target!(|text: &str| {
    if let Some(cursor) = Cursor::parse(text) {
        let spelled = cursor.to_event_id();
        assert_eq!(Cursor::parse(spelled.as_str()), Some(cursor));
        assert!(text.eq_ignore_ascii_case(spelled.as_str()), "{text} is {}", spelled.as_str());
    }
    // Whatever a reader sends is a place or none.
    let _ = Start::resume(Some(text));
});
