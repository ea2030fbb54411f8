//! Compressed streams, on sockets.

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::task::Poll;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_core::Stream as _;
use http::Response;
use tidings_client::testing::Script;
use tidings_client::{Cause, EventSource, Signal};
use zstd_safe::zstd_sys::ZSTD_EndDirective;

use crate::server::{self, Request, Server};
use crate::watch::watch;

/// Counts how often a source must be polled to read one chunk of comments and the event after it.
async fn polls_for(encoding: &str, chunk: Vec<u8>) -> u32 {
    let mut script = Script::new();
    let builder = EventSource::get("http://a.example/").transport(script.transport());
    let mut source = builder.open().expect("a good description");
    let mut polls = 0;
    let mut chunk = Some(chunk);
    let mut stream = None;
    poll_fn(|cx| {
        polls += 1;
        loop {
            let polled = Pin::new(&mut source).poll_next(cx);
            if let Some(request) = script.try_request() {
                let head = Response::builder()
                    .header("content-type", "text/event-stream")
                    .header("content-encoding", encoding);
                let mut body = request.respond(head.body(()).expect("legal"));
                body.send(chunk.take().expect("one request"));
                stream = Some(body);
            }
            match polled {
                Poll::Ready(Some(Signal::Event(_))) => return Poll::Ready(()),
                Poll::Ready(Some(_)) => polls = 0,
                Poll::Ready(None) => panic!("the source ended"),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    polls
}

/// The bug: the whole chunk was unpacked in one poll, whatever it expanded to.
#[tokio::test]
async fn t30_a_small_chunk_of_many_comments_does_not_occupy_the_thread() {
    let comments = ":\n".repeat(8 << 20) + "data: a\n\n";
    for (encoding, mut flush) in [("zstd", zstd()), ("br", brotli()), ("gzip", gzip())] {
        let chunk = flush(&comments);
        assert!(chunk.len() < 1 << 18, "{} bytes of {encoding}", chunk.len());
        let polls = polls_for(encoding, chunk).await;
        // 16 MiB, of which a poll reads a MiB and the rest of a piece.
        assert!(polls >= 8, "{encoding} in {polls} polls");
    }
}

async fn open(request: Request, encoding: &str) -> server::Response {
    let head = format!(
        "content-type: text/event-stream\r\ncontent-encoding: {encoding}\r\n\
         transfer-encoding: chunked\r\n"
    );
    request.respond("200 OK", &head).await
}

/// A compressor that flushes after every piece.
type Flush = Box<dyn FnMut(&str) -> Vec<u8>>;

fn gzip() -> Flush {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    Box::new(move |text| {
        encoder.write_all(text.as_bytes()).expect("in memory");
        encoder.flush().expect("in memory");
        std::mem::take(encoder.get_mut())
    })
}

fn brotli() -> Flush {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    Box::new(move |text| {
        encoder.write_all(text.as_bytes()).expect("in memory");
        encoder.flush().expect("in memory");
        std::mem::take(encoder.get_mut())
    })
}

fn zstd() -> Flush {
    let mut context = zstd_safe::CCtx::create();
    Box::new(move |text| {
        let mut buffer = vec![0; text.len() + 1024];
        let mut output = zstd_safe::OutBuffer::around(&mut buffer[..]);
        let mut input = zstd_safe::InBuffer::around(text.as_bytes());
        let end = ZSTD_EndDirective::ZSTD_e_flush;
        context.compress_stream2(&mut output, &mut input, end).expect("in memory");
        output.as_slice().to_vec()
    })
}

#[tokio::test]
async fn t30_each_event_of_a_compressed_stream_is_delivered_at_once() {
    each_event_at_once("gzip", gzip()).await;
    each_event_at_once("br", brotli()).await;
    each_event_at_once("zstd", zstd()).await;
}

async fn each_event_at_once(encoding: &str, mut compress: Flush) {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let request = server.request().await;
    assert_eq!(request.header("accept-encoding").as_deref(), Some("gzip, br, zstd"));
    let mut stream = open(request, encoding).await;
    watch.open().await;
    // Each event must arrive before the next is written.
    for number in 0..20 {
        let data = format!("{encoding} {number}");
        stream.send(compress(&format!("id: {number}\ndata: {data}\n\n"))).await;
        assert_eq!(watch.event().await, data);
    }
    stream.cut();
    watch.wait().await;
    let request = server.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), Some("19"), "{encoding}");
}

#[tokio::test]
async fn t30_a_truncated_member_reestablishes_from_the_last_event() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = open(server.request().await, "gzip").await;
    watch.open().await;
    let compressed = gzip()("id: 1\ndata: a\n\nid: 2\ndata: b\n\n");
    stream.send(&compressed).await;
    assert_eq!(watch.event().await, "a");
    assert_eq!(watch.event().await, "b");
    stream.end().await;
    let retrying = watch.wait().await;
    assert!(matches!(retrying.cause, Cause::Encoding(_)), "{retrying:?}");
    assert_eq!(server.request().await.header("last-event-id").as_deref(), Some("2"));
}

#[tokio::test]
async fn t30_a_body_cut_inside_a_chunk_reestablishes() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.raw(b"ff\r\nid: 1\ndata: a\n\ndata: ha").await;
    assert_eq!(watch.event().await, "a");
    stream.cut();
    let retrying = watch.wait().await;
    assert!(matches!(retrying.cause, Cause::Transport(_)), "{retrying:?}");
    assert_eq!(server.request().await.header("last-event-id").as_deref(), Some("1"));
}

#[tokio::test]
async fn identity_asks_for_no_encoding() {
    let server = Server::new().await;
    let _watch = watch(EventSource::get(&server.url("/")).identity());
    assert_eq!(server.request().await.header("accept-encoding"), None);
}
