//! Responses as text (RFC 9112, sections 4 to 6).

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use httpdate::HttpDate;
use tidings_hub::{Hub, Time};

use crate::engine::Framing;
use crate::http::common_headers::CommonHeaders;
use crate::http::pieces::AnswerPieces;
use crate::http::respond::OpenedStream;
use crate::http::whole::WholeAnswer;

/// The fate of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
    /// The connection is closed, and the response's own headers say so.
    Said,
}

/// Everything a head says beside the headers of the response itself.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Parts,
    pub(super) after: After,
    /// The hub's time, which its ticks keep within a second of the clock: reading that for each response costs
    /// more.
    pub(super) now: Time,
}

/// How the length of a body is told.
enum Length {
    Bytes(usize),
    /// In chunks, of which the last is empty.
    Chunked,
    /// Not at all: there is no body, or it ends with the connection.
    Untold,
}

/// Appends a whole response to a request.
pub(super) fn response(exchange: &Exchange<'_>, whole: &WholeAnswer, out: &mut Vec<u8>) {
    let method = &exchange.request.method;
    let WholeAnswer { common, status, headers, body } = whole;
    // The length in an answer to HEAD would be that of GET, which is unknown without a body.
    let is_bare = *status == StatusCode::NO_CONTENT
        || *status == StatusCode::NOT_MODIFIED
        || (*method == Method::HEAD && body.is_empty());
    let length = if is_bare { Length::Untold } else { Length::Bytes(body.len()) };
    head(exchange, *status, (*common, headers.as_deref()), length, out);
    if *method != Method::HEAD {
        out.extend_from_slice(body);
    }
}

/// Appends the head of a response whose body is written piece by piece, and returns how its pieces
/// are framed.
pub(super) fn head_of_pieces(
    exchange: &Exchange<'_>,
    response: &Response<AnswerPieces>,
    out: &mut Vec<u8>,
) -> Framing {
    let (length, framing) = match response.body().exact_len() {
        Some(bytes) => (Length::Bytes(bytes), Framing::Close),
        None if exchange.request.version == Version::HTTP_10 => (Length::Untold, Framing::Close),
        None => (Length::Chunked, Framing::Chunked),
    };
    let headers = (CommonHeaders::Any, Some(response.headers()));
    head(exchange, response.status(), headers, length, out);
    framing
}

fn head(
    exchange: &Exchange<'_>,
    status: StatusCode,
    said: (CommonHeaders, Option<&HeaderMap>),
    length: Length,
    out: &mut Vec<u8>,
) {
    let is_old = exchange.request.version == Version::HTTP_10;
    status_line(is_old, status, out);
    headers(said, exchange.now, out);
    match length {
        Length::Bytes(bytes) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(CHUNKED),
        Length::Untold => {}
    }
    out.extend_from_slice(match (is_old, exchange.after) {
        (false, After::Close) => b"connection: close\r\n\r\n",
        (true, After::Keep) => b"connection: keep-alive\r\n\r\n",
        _ => b"\r\n",
    });
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";

/// Appends the head of a stream, after which its connection carries nothing else.
pub(super) fn stream_head(
    framing: Framing,
    stream: &mut impl OpenedStream,
    hub: &Hub,
    out: &mut Vec<u8>,
) {
    /// The size of a head with all possible headers and the preamble after it.
    const USUAL_BYTES: usize = 768;
    out.reserve(USUAL_BYTES);
    let coding: &[u8] = match framing {
        Framing::Chunked => CHUNKED,
        Framing::Close => b"",
    };
    let is_old = framing == Framing::Close;
    status_line(is_old, StatusCode::OK, out);
    stream.write_common_headers(hub, out);
    headers((CommonHeaders::Any, Some(stream.headers_mut())), hub.time(), out);
    out.extend_from_slice(coding);
    out.extend_from_slice(b"connection: close\r\n\r\n");
}

/// The headers of a response, its own and the common ones, and the date.
fn headers((common, own): (CommonHeaders, Option<&HeaderMap>), now: Time, out: &mut Vec<u8>) {
    for (name, value) in own.into_iter().flatten() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(common.lines().as_bytes());
    out.extend_from_slice(b"date: ");
    DATE.with_borrow_mut(|date| out.extend_from_slice(date.text(now)));
    out.extend_from_slice(b"\r\n");
}

fn status_line(is_old: bool, status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(if is_old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

thread_local! {
    static DATE: RefCell<Date> = RefCell::default();
}

/// The last second of the year 9999: dates are not written beyond it.
const LAST_SECOND: u64 = 253_402_300_799;

/// The date, formatted once per second.
#[derive(Debug, Default)]
struct Date {
    second: u64,
    text: [u8; 29],
}

impl Date {
    fn text(&mut self, now: Time) -> &[u8] {
        let second = (now.unix_millis() / 1000).min(LAST_SECOND);
        if second != self.second {
            self.second = second;
            let date = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(self.second));
            write!(&mut self.text[..], "{date}").expect("dates are all as long");
        }
        &self.text
    }
}
