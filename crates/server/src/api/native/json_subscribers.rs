//! Subscribers as JSON, written as their client takes the list.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::task::{Context as TaskContext, Poll};

use http::Version;
use serde::Serialize;
use tidings_hub::{Time, TopicFilter, View};

use super::json_text::push_json;
use super::open_streams::{OpenStream, OpenStreams, Position, Selection};
use crate::engine::streams::BodyStream;
use crate::engine::{Framing, Seen};
use crate::http::pieces::{PIECE_BYTES, Piece, PieceSource};

/// A page of the list. A stream is described when its turn to be written comes; one that has closed
/// by then is left out.
pub(super) struct JsonSubscribers {
    open: OpenStreams,
    named: Selection,
    total: usize,
    /// The portion that is visited next; `None` at the end.
    at: Option<Position>,
    /// The number of streams that may still be written.
    left: usize,
    written: Written,
    /// The first stream after this page.
    next: Option<Position>,
}

/// How far the list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    Head,
    Subscriber,
}

impl JsonSubscribers {
    /// The page of so many streams from a position on.
    pub(super) fn new(
        open: OpenStreams,
        named: Selection,
        (from, limit): (Position, usize),
        total: usize,
    ) -> Self {
        let (at, written) = (Some(from), Written::Nothing);
        Self { open, named, total, at, left: limit, written, next: None }
    }

    /// Visits a portion, and writes the selected streams until a piece is full.
    fn write_portion(&mut self, from: Position, out: &mut Vec<u8>) {
        let now = self.open.hub.time();
        let uptime = self.open.hub.uptime();
        let Self { left, written, next, .. } = self;
        let at = self.open.visit(from, &self.named, |position, stream| {
            if *left == 0 {
                *next = Some(position);
                return ControlFlow::Break(());
            }
            *left -= 1;
            if *written == Written::Subscriber {
                out.push(b',');
            }
            *written = Written::Subscriber;
            match stream {
                OpenStream::OfShard(seen) => push_json(&Subscriber::of_shard(&seen, now), out),
                OpenStream::OfHyper(body) => {
                    let since = now.saturating_sub(uptime.saturating_sub(body.since()));
                    push_json(&Subscriber::of_body(body, since), out);
                }
            }
            match out.len() < PIECE_BYTES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        self.at = at.filter(|_| self.next.is_none());
    }
}

impl PieceSource for JsonSubscribers {
    fn poll_piece(&mut self, cx: &mut TaskContext<'_>, out: &mut Vec<u8>) -> Poll<Piece> {
        if self.written == Written::Nothing {
            out.extend_from_slice(b"{\"total\":");
            push_json(&self.total, out);
            out.extend_from_slice(b",\"subscribers\":[");
            self.written = Written::Head;
        }
        if let Some(from) = self.at {
            self.write_portion(from, out);
        }
        if out.len() >= PIECE_BYTES {
            return Poll::Ready(Piece::More);
        }
        if self.at.is_some() {
            // Others have their turn between two portions.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        out.push(b']');
        if let Some(Position { part, key }) = self.next {
            out.extend_from_slice(b",\"next\":");
            push_json(&format!("{part}-{key}"), out);
        }
        out.push(b'}');
        Poll::Ready(Piece::Last)
    }
}

/// A stream as JSON shows it.
#[derive(Debug, Serialize)]
struct Subscriber {
    topics: Vec<String>,
    r#match: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The address of the client; missing if the connection has just closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    since: String,
    protocol: &'static str,
    behind: bool,
}

impl Subscriber {
    fn of_shard(seen: &Seen<'_>, now: Time) -> Self {
        let (topics, patterns) = names(&seen.view());
        Self {
            topics,
            r#match: patterns,
            subject: seen
                .subjects()
                .into_iter()
                .flatten()
                .next()
                .map(|subject| subject.as_str().to_owned()),
            // Asked of the kernel, so that no stream has to store an address that is rarely needed.
            address: seen.told_address().or_else(|| seen.socket().peer_addr().ok()).map(shown),
            since: now.saturating_sub(seen.age()).to_string(),
            protocol: match seen.framing() {
                Framing::Chunked => "HTTP/1.1",
                Framing::Close => "HTTP/1.0",
            },
            behind: seen.is_behind(),
        }
    }

    fn of_body(body: &BodyStream, since: Time) -> Self {
        let (topics, patterns) = names(&body.view);
        Self {
            topics,
            r#match: patterns,
            subject: body
                .subjects()
                .into_iter()
                .flatten()
                .next()
                .map(|subject| subject.as_str().to_owned()),
            address: Some(shown(body.address())),
            since: since.to_string(),
            protocol: match body.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            behind: body.is_behind(),
        }
    }
}

/// An address, without a port that is not known.
fn shown(address: SocketAddr) -> String {
    match address.port() {
        0 => address.ip().to_string(),
        _ => address.to_string(),
    }
}

/// The exact topics and the patterns of a view.
fn names(view: &View) -> (Vec<String>, Vec<String>) {
    let is_topic = |filter: &&TopicFilter| matches!(filter, TopicFilter::Exact(_));
    let (topics, patterns): (Vec<_>, Vec<_>) = view.filters().iter().partition(is_topic);
    let texts =
        |filters: Vec<&TopicFilter>| filters.iter().map(|f| f.as_str().to_owned()).collect();
    (texts(topics), texts(patterns))
}
