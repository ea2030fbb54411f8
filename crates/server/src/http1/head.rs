//! The head of a request (RFC 9112, sections 2 to 6).

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use memchr::memchr_iter;

/// Headers of one plain request at most: three times what browsers send behind proxies.
const HEADERS_MAX: usize = 64;

/// What a buffer begins with.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Not yet a whole head.
    Partial,
    Plain(Plain),
    /// Something else, which is left in the buffer.
    NotPlain,
}

/// A request whose head says all there is to know: one method, one target, and a body of a known length.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) head: Parts,
    pub(super) body_bytes: u64,
    /// Whether its client wants the connection closed after the answer.
    pub(super) is_last: bool,
}

/// Parses the head that `buffer` begins with and takes it out, with `headers` as memory for its headers.
///
/// Not plain are requests with a Transfer-Encoding, an Expect or an Upgrade, with two lengths or one that
/// is no number, CONNECT, reading with a body, heads of more than `bytes_max` bytes, and what is no head at all.
pub(super) fn parse(buffer: &mut BytesMut, headers: &mut HeaderMap, bytes_max: usize) -> Parsed {
    let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let end = match end(&buffer[blank..]) {
        Some(end) if blank + end <= bytes_max => blank + end,
        None if buffer.len() < bytes_max => return Parsed::Partial,
        _ => return Parsed::NotPlain,
    };
    let text = buffer.split_to(end).freeze();
    match plain(&text, std::mem::take(headers)) {
        Some(plain) => Parsed::Plain(plain),
        None => {
            let rest = std::mem::take(buffer);
            *buffer = [text, rest.freeze()].concat().as_slice().into();
            Parsed::NotPlain
        }
    }
}

/// Where a head ends: after the first empty line, however its lines end.
fn end(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn plain(text: &Bytes, mut headers: HeaderMap) -> Option<Plain> {
    let mut lines = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(text, &mut lines).ok()?;
    if status != httparse::Status::Complete(text.len()) {
        return None;
    }
    let version = match request.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let mut connection = Connection::default();
    let mut length = None;
    for line in &*request.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value)).ok()?;
        if name == CONTENT_LENGTH {
            if length.replace(number(line.value)?).is_some() {
                return None;
            }
        } else if name == CONNECTION {
            connection.read(line.value);
        } else if name == TRANSFER_ENCODING || name == EXPECT || name == UPGRADE {
            return None;
        }
        headers.append(name, value);
    }
    let method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    let body_bytes = length.unwrap_or(0);
    if method == Method::CONNECT || (body_bytes > 0 && matches!(method, Method::GET | Method::HEAD))
    {
        return None;
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    head.uri = Uri::from_maybe_shared(text.slice_ref(request.path?.as_bytes())).ok()?;
    head.version = version;
    head.headers = headers;
    Some(Plain { head, body_bytes, is_last: connection.is_last(version) })
}

/// A length: digits only, and few enough of them.
fn number(text: &[u8]) -> Option<u64> {
    /// No body has as many bytes as numbers with more.
    const DIGITS_MAX: usize = 18;
    let is_number = (1..=DIGITS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// What the client says of the connection (RFC 9112, section 9.3).
#[derive(Debug, Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    fn read(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn is_last(&self, version: Version) -> bool {
        self.close || (version == Version::HTTP_10 && !self.keep_alive)
    }
}
