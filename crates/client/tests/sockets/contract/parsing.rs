//! The groups about text: basic parsing, line ends, BOM, comments.

use serde_json::json;

use super::harness::Harness;
use crate::server::Response;

/// Opens a stream and sends `pieces` one after the other.
async fn send(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> (Harness, Response) {
    let harness = Harness::new().await;
    harness.create(json!({})).await;
    let mut stream = harness.streams.open().await;
    for piece in pieces {
        stream.send(piece).await;
    }
    (harness, stream)
}

/// A text and the events it contains: type, data, ID.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const BASIC: [Case; 17] = [
    ("data: Hello\n\n", &[("message", "Hello", "")]),
    ("data: a\ndata: b\n\n", &[("message", "a\nb", "")]),
    ("data:\n\ndata: x\n\n", &[("message", "", ""), ("message", "x", "")]),
    ("data\n\ndata: x\n\n", &[("message", "", ""), ("message", "x", "")]),
    ("event: greeting\ndata: Hello\n\n", &[("greeting", "Hello", "")]),
    ("event:\ndata: Hello\n\n", &[("message", "Hello", "")]),
    ("event: a\ndata: 1\n\ndata: 2\n\n", &[("a", "1", ""), ("message", "2", "")]),
    ("id: abc\ndata: Hello\n\n", &[("message", "Hello", "abc")]),
    ("event: greeting\nid: abc\ndata: Hello\n\n", &[("greeting", "Hello", "abc")]),
    ("id: a\0b\ndata: Hello\n\n", &[("message", "Hello", "")]),
    ("id: abc\ndata: 1\n\ndata: 2\n\n", &[("message", "1", "abc"), ("message", "2", "abc")]),
    ("id: abc\ndata: 1\n\nid:\ndata: 2\n\n", &[("message", "1", "abc"), ("message", "2", "")]),
    ("data: Hello\nid: abc\nevent: greeting\n\n", &[("greeting", "Hello", "abc")]),
    ("unknown: x\ndata: Hello\nother\n\n", &[("message", "Hello", "")]),
    ("event:greeting\ndata:Hello\n\n", &[("greeting", "Hello", "")]),
    ("event:  greeting\ndata:  Hello\n\n", &[(" greeting", " Hello", "")]),
    ("data: Привет 🚀 …\n\n", &[("message", "Привет 🚀 …", "")]),
];

#[tokio::test]
async fn basic_parsing_whole_and_byte_by_byte() {
    for (text, events) in BASIC {
        for size in [text.len(), 1, 2] {
            let (mut harness, _stream) = send(text.as_bytes().chunks(size)).await;
            for (event_type, data, id) in events {
                harness.expect_event(event_type, data, id).await;
            }
        }
    }
}

#[tokio::test]
async fn basic_parsing_a_hundred_events_in_order() {
    let text: String = (0..100).map(|number| format!("data: event {number}\n\n")).collect();
    let (mut harness, _stream) = send([text]).await;
    for number in 0..100 {
        harness.expect_event("message", &format!("event {number}"), "").await;
    }
}

#[tokio::test]
async fn basic_parsing_events_of_7_and_14_million_bytes() {
    for bytes in [7_000_000, 14_000_000] {
        let data = "QUJD".repeat(bytes / 4);
        let text = format!("data: {data}\n\n");
        let (mut harness, _stream) = send(text.as_bytes().chunks(1 << 20)).await;
        let callback = harness.callback().await;
        assert!(callback["event"]["data"] == data, "{bytes} bytes did not arrive whole");
    }
}

#[tokio::test]
async fn line_ends_of_each_kind_in_each_chunking() {
    const TEXTS: [Case; 6] = [
        ("data: Hello\n\n", &[("message", "Hello", "")]),
        ("data: a\ndata: b\n\n", &[("message", "a\nb", "")]),
        ("event: greeting\ndata: Hello\n\n", &[("greeting", "Hello", "")]),
        ("event: greeting\nid: abc\ndata: Hello\n\n", &[("greeting", "Hello", "abc")]),
        ("data: 1\n\ndata: 2\n\n", &[("message", "1", ""), ("message", "2", "")]),
        ("data: a\ndata:\ndata\ndata: b\n\n", &[("message", "a\n\n\nb", "")]),
    ];
    for (text, events) in TEXTS {
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            for size in [text.len(), 1, 2] {
                // With CR the event must arrive although nothing follows the last CR.
                let (mut harness, _stream) = send(text.as_bytes().chunks(size)).await;
                for (event_type, data, id) in events {
                    harness.expect_event(event_type, data, id).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn line_ends_a_crlf_cut_between_chunks() {
    let (mut harness, _stream) =
        send(["data: a\r", "\ndata: b\r", "\n\r", "\ndata: c\r\n\r\n"]).await;
    harness.expect_event("message", "a\nb", "").await;
    harness.expect_event("message", "c", "").await;
}

#[tokio::test]
async fn bom_one_at_the_start_is_stripped_however_it_is_cut() {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    let rest = &b"data: Hello\n\n"[..];
    for pieces in [
        vec![[BOM, rest].concat()],
        vec![BOM.to_vec(), rest.to_vec()],
        vec![BOM[..2].to_vec(), BOM[2..].to_vec(), rest.to_vec()],
        vec![BOM[..1].to_vec(), BOM[1..2].to_vec(), BOM[2..].to_vec(), rest.to_vec()],
    ] {
        let (mut harness, _stream) = send(pieces).await;
        harness.expect_event("message", "Hello", "").await;
    }
}

#[tokio::test]
async fn bom_a_later_one_is_text() {
    let (mut harness, _stream) =
        send(["data: a\u{feff}b\n\n\u{feff}data: lost\n\ndata: \u{feff}c\n\n"]).await;
    harness.expect_event("message", "a\u{feff}b", "").await;
    harness.expect_event("message", "\u{feff}c", "").await;
}

#[tokio::test]
async fn bom_before_a_comment() {
    let (mut harness, _stream) = send(["\u{feff}:Hello\ndata: a\n\n"]).await;
    harness.expect_comment("Hello").await;
    harness.expect_event("message", "a", "").await;
}

#[tokio::test]
async fn comments_before_between_and_after_events() {
    let (mut harness, mut stream) = send([":Hello\n"]).await;
    harness.expect_comment("Hello").await;
    stream.send("data: a\n: in\ndata: b\n\n:between\ndata: c\n\n:after\n").await;
    harness.expect_comment(" in").await;
    harness.expect_event("message", "a\nb", "").await;
    harness.expect_comment("between").await;
    harness.expect_event("message", "c", "").await;
    harness.expect_comment("after").await;
}
