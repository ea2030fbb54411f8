//! The head of a request (RFC 9112, sections 2 to 6).

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use memchr::{memchr, memchr_iter};

use crate::http::request::Claims;

/// The maximum number of headers of a plain request: three times as many as browsers behind proxies
/// send.
const HEADERS_MAX: usize = 64;

/// The buffer begins with something that is not a plain request, and is unchanged.
#[derive(Debug)]
pub(super) struct NotPlain;

/// The head of a connection's latest plain request: one method, one target, and a body of known
/// length.
///
/// It is kept until the next one arrives. Publishers repeat most of it to the byte, and repeated
/// parts are not parsed again.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    claims: Claims,
    pub(super) body_bytes: u64,
    connection: ConnectionOptions,
    /// The request line as it came, with its end.
    line: Bytes,
    /// All that followed, up to and with the empty line. Empty only before the first request.
    fields: Bytes,
}

impl Head {
    /// A head that has not arrived.
    pub(super) fn new() -> Self {
        let (parts, ()) = Request::new(()).into_parts();
        let (line, fields) = (Bytes::new(), Bytes::new());
        let (claims, connection) = (Claims::default(), ConnectionOptions::default());
        Self { parts, claims, body_bytes: 0, connection, line, fields }
    }

    /// Reads the head that `buffer` begins with and takes it out; `false` if it is not complete
    /// yet.
    ///
    /// A request is not plain if it has a `Transfer-Encoding`, an `Expect` or an `Upgrade`, two
    /// lengths or one that is not a number, the method CONNECT, a body although it reads, or a head
    /// of more than `bytes_max` bytes, or if its head is malformed. Nothing else can be read after
    /// such a request.
    pub(super) fn read(
        &mut self,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Result<bool, NotPlain> {
        let Some(blank) = blank_lines(buffer) else { return Err(NotPlain) };
        let bytes = &buffer[blank..];
        let repeated = self.line_before_same_fields(bytes);
        let end = match repeated.map(|line| line + self.fields.len()).or_else(|| end(bytes)) {
            Some(end) if blank + end <= bytes_max => end,
            None if buffer.len() < bytes_max => return Ok(false),
            _ => return Err(NotPlain),
        };
        match repeated {
            Some(line) if bytes[..line] == self.line => {}
            Some(line) => self.read_line(&bytes[..line]).ok_or(NotPlain)?,
            None => self.read_all(&bytes[..end]).ok_or(NotPlain)?,
        }
        buffer.advance(blank + end);
        Ok(true)
    }

    /// The parts that the router takes.
    pub(super) fn said(&self) -> (&Parts, &Claims) {
        (&self.parts, &self.claims)
    }

    /// Returns whether its client wants the connection closed after the answer (RFC 9112, section 9.3).
    pub(super) fn is_last(&self) -> bool {
        let ConnectionOptions { close, keep_alive } = self.connection;
        close || (self.parts.version == Version::HTTP_10 && !keep_alive)
    }

    /// The length of the request line, if the fields after it equal those of the last request.
    fn line_before_same_fields(&self, bytes: &[u8]) -> Option<usize> {
        let line = memchr(b'\n', bytes)? + 1;
        (!self.fields.is_empty() && bytes[line..].starts_with(&self.fields)).then_some(line)
    }

    fn read_line(&mut self, line: &[u8]) -> Option<()> {
        self.line = Bytes::copy_from_slice(line);
        let line = self.line.clone();
        let mut request = httparse::Request::new(&mut []);
        // The result is partial, because no headers follow, but the line is parsed.
        request.parse(&line).ok()?;
        self.take_line(&request)
    }

    fn read_all(&mut self, text: &[u8]) -> Option<()> {
        // A copy, so that the remembered head does not keep the connection's buffer alive.
        let text = Bytes::copy_from_slice(text);
        let line = memchr(b'\n', &text)? + 1;
        (self.line, self.fields) = (text.slice(..line), text.slice(line..));

        let mut lines = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(&text, &mut lines).ok()?;
        if status != httparse::Status::Complete(text.len()) {
            return None;
        }
        self.parts.headers.clear();
        self.claims = Claims::default();
        self.connection = ConnectionOptions::default();
        let mut length = None;
        for line in &*request.headers {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value)).ok()?;
            if name == CONTENT_LENGTH {
                if length.replace(number(line.value)?).is_some() {
                    return None;
                }
            } else if name == CONNECTION {
                self.connection.read(line.value);
            } else if name == TRANSFER_ENCODING || name == EXPECT || name == UPGRADE {
                return None;
            }
            self.claims.add(&name, &value);
            self.parts.headers.append(name, value);
        }
        self.body_bytes = length.unwrap_or(0);
        self.take_line(&request)
    }

    /// Stores the parts of a parsed request line. The headers must be stored already.
    fn take_line(&mut self, request: &httparse::Request<'_, '_>) -> Option<()> {
        let method = Method::from_bytes(request.method?.as_bytes()).ok()?;
        let is_odd = match method {
            Method::CONNECT => true,
            Method::GET | Method::HEAD => self.body_bytes > 0,
            _ => false,
        };
        if is_odd {
            return None;
        }
        self.parts.method = method;
        let target = self.line.slice_ref(request.path?.as_bytes());
        self.parts.uri = Uri::from_maybe_shared(target).ok()?;
        self.parts.version = match request.version? {
            0 => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        Some(())
    }
}

/// The number of bytes of blank lines before a request line, which are ignored (RFC 9112, section
/// 2.2); `None` if a CR is followed by something other than LF.
fn blank_lines(bytes: &[u8]) -> Option<usize> {
    let mut blank = 0;
    loop {
        match bytes[blank..] {
            [b'\n', ..] => blank += 1,
            [b'\r', b'\n', ..] => blank += 2,
            [b'\r', _, ..] => return None,
            _ => return Some(blank),
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

/// A length: digits only. A number that no `u64` holds is the largest one, and too large for any
/// body that is read whole.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let digit =
        |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    is_number.then(|| text.iter().fold(0, digit))
}

/// The options of the header `Connection`.
#[derive(Debug, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
}

impl ConnectionOptions {
    fn read(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 4096;

    fn parsed(text: &[u8]) -> (Result<Option<Head>, NotPlain>, BytesMut) {
        let mut buffer = BytesMut::from(text);
        let mut head = Head::new();
        let read = head.read(&mut buffer, BYTES_MAX);
        (read.map(|is_whole| is_whole.then_some(head)), buffer)
    }

    #[track_caller]
    fn taken(text: &str) -> Head {
        match parsed(text.as_bytes()) {
            (Ok(Some(head)), rest) => {
                assert!(rest.is_empty(), "{rest:?}");
                head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_head_says_what_was_sent() {
        let head = taken(
            "POST /topics/a%2Fb?type=x HTTP/1.1\r\nhOST: localhost:4000\r\n\
             Content-length: 0012\r\nX-Twice: 1\r\nx-twice:  2 \r\nEmpty:\r\n\r\n",
        );
        assert_eq!(head.parts.method, Method::POST);
        assert_eq!(head.parts.uri, "/topics/a%2Fb?type=x");
        assert_eq!(head.parts.version, Version::HTTP_11);
        assert_eq!(head.parts.headers["host"], "localhost:4000");
        assert_eq!(head.parts.headers["empty"], "");
        let twice: Vec<_> = head.parts.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["1", "2"]);
        assert_eq!((head.body_bytes, head.is_last()), (12, false));
        assert_eq!(
            taken("GET http://a:1/b HTTP/1.1\r\n\r\n").parts.uri.authority().unwrap(),
            "a:1"
        );
        assert_eq!(taken("OPTIONS * HTTP/1.1\r\n\r\n").parts.uri, "*");
        assert_eq!(taken("\r\n\nGET / HTTP/1.1\nHost: a\n\n").parts.headers["host"], "a");
    }

    #[test]
    fn a_length_that_no_number_holds_is_the_largest() {
        for (text, bytes) in [
            ("9223372036854775808", 1 << 63),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("99999999999999999999999999", u64::MAX),
        ] {
            let head = taken(&format!("POST / HTTP/1.1\r\nContent-Length: {text}\r\n\r\n"));
            assert_eq!(head.body_bytes, bytes);
        }
    }

    #[test]
    fn a_connection_is_kept_as_its_client_wants() {
        for (version, connection, is_last) in [
            ("1.1", "", false),
            ("1.1", "Connection: keep-alive\r\n", false),
            ("1.1", "Connection: CLOSE\r\n", true),
            ("1.1", "Connection: te, close\r\n", true),
            ("1.1", "Connection: te\r\nConnection: close\r\n", true),
            ("1.1", "Connection: closed\r\n", false),
            ("1.0", "", true),
            ("1.0", "Connection: Keep-Alive\r\n", false),
            ("1.0", "Connection: keep-alive, close\r\n", true),
        ] {
            let head = taken(&format!("GET / HTTP/{version}\r\n{connection}\r\n"));
            assert_eq!(head.is_last(), is_last, "{version} {connection}");
        }
    }

    #[test]
    fn what_is_not_plain_or_wrong_is_left_as_it_came() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(BYTES_MAX));
        let endless = "x".repeat(BYTES_MAX);
        for text in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "\rGET / HTTP/1.1\r\n\r\n",
            "\r\n\rGET / HTTP/1.1\r\n\r\n",
            "\r\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            "HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\na: \0\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / \r\n\r\n",
            "GET /\r\n\r\n",
            &many,
            &long,
            &endless,
        ] {
            let (parsed, rest) = parsed(text.as_bytes());
            assert!(parsed.is_err(), "{text:?}: {parsed:?}");
            assert_eq!(rest, text);
        }
    }

    #[test]
    fn a_head_is_partial_until_its_last_byte() {
        let text = b"\r\nPOST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        for cut in 0..text.len() {
            let (parsed, rest) = parsed(&text[..cut]);
            assert!(matches!(parsed, Ok(None)), "{cut}: {parsed:?}");
            assert_eq!(rest, text[..cut]);
        }
        let whole = [&text[..], b"bodyGET"].concat();
        let (parsed, rest) = parsed(&whole);
        assert!(matches!(parsed, Ok(Some(head)) if head.body_bytes == 3));
        assert_eq!(&rest[..], b"bodyGET");
    }

    /// The known parts of a request.
    fn said(head: &Head) -> String {
        let Parts { method, uri, version, headers, .. } = &head.parts;
        let (body_bytes, is_last, claims) = (head.body_bytes, head.is_last(), &head.claims);
        format!("{method} {uri} {version:?} {headers:?} {claims:?} {body_bytes} {is_last}")
    }

    /// Requests one after another on a connection, and each on one of its own: they say the same.
    #[track_caller]
    fn read_alike(texts: &[impl AsRef<[u8]>]) {
        let mut buffer =
            BytesMut::from(&texts.iter().map(AsRef::as_ref).collect::<Vec<_>>().concat()[..]);
        let mut head = Head::new();
        for text in texts {
            let text = text.as_ref();
            let rest = buffer.len() - text.len();
            match (head.read(&mut buffer, BYTES_MAX), parsed(text).0) {
                (Ok(true), Ok(Some(alone))) => assert_eq!(said(&head), said(&alone)),
                (Err(NotPlain), Err(NotPlain)) => return,
                other => panic!("{other:?}"),
            }
            assert_eq!(buffer.len(), rest);
        }
    }

    #[test]
    fn what_is_repeated_is_said_again() {
        let fields = "Host: a\r\nContent-Length: 0\r\n\r\n";
        for lines in [
            ["POST /a HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "POST /b?c HTTP/1.1\r\n"],
            ["GET /a HTTP/1.1\r\n", "DELETE /a HTTP/1.1\n", "GET /a HTTP/1.0\r\n"],
            ["GET /a HTTP/1.1\r\n", "\r\nGET /a HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n"],
            ["GET /a HTTP/1.1\r\n", "GET /a HTTP/1.1 \r\n", "GET /a HTTP/1.1\r\n"],
        ] {
            read_alike(&lines.map(|line| format!("{line}{fields}")));
        }
        let shorter = "POST /a HTTP/1.1\r\nHost: a\r\n\r\n";
        let longer = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        read_alike(&[shorter, longer, shorter, shorter]);
        // A page's claims are not those of the request that a proxy sends next.
        let claims = |more| format!("POST /a HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        let page = claims("Origin: http://b\r\nSec-Fetch-Site: cross-site\r\n");
        let blind = claims("Sec-Fetch-Mode: no-cors\r\n");
        let two = claims("Host: b\r\n");
        read_alike(&[&*page, shorter, &two, &two, &page, &page, &blind, shorter]);
        // A length that was there with another method.
        let line = "Content-Length: 0\r\nContent-Length: 0\r\n\r\n";
        read_alike(&[shorter.to_owned(), format!("POST / HTTP/1.1\r\n{line}")]);
    }

    #[test]
    fn a_repeated_head_is_as_long_as_any_other_may_be() {
        let mut head = Head::new();
        let mut buffer = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(head.read(&mut buffer, BYTES_MAX).unwrap());
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(BYTES_MAX));
        buffer.extend_from_slice(long.as_bytes());
        assert!(head.read(&mut buffer, BYTES_MAX).is_err());
        assert_eq!(buffer, long);
    }

    proptest! {
        #[test]
        fn what_came_before_changes_nothing(
            texts in prop::collection::vec(
                (
                    prop_oneof![
                        4 => Just("POST /a HTTP/1.1\r\n"), 1 => Just("POST /b HTTP/1.1\n"),
                        1 => Just("\r\nDELETE /a HTTP/1.0\r\n"), 1 => Just("GET /a HTTP/1.1\r\n"),
                    ],
                    prop::collection::vec(
                        prop_oneof![
                            Just("Host: a\r\n"), Just("Connection: close\r\n"), Just("x: 1\n"),
                            Just("Content-Length: 0\r\n"), Just("x: 2\r\n"),
                        ],
                        0..3,
                    ),
                ),
                1..8,
            )
        ) {
            let texts: Vec<_> =
                texts.iter().map(|(line, fields)| format!("{line}{}\r\n", fields.concat())).collect();
            read_alike(&texts);
        }

        /// Texts that are almost heads: nothing panics, and nothing is lost.
        #[test]
        fn whatever_comes_is_taken_or_left(
            text in prop::collection::vec(
                prop_oneof![
                    Just("GET"), Just("POST"), Just(" "), Just("/topics/a"), Just("HTTP/1.1"),
                    Just("HTTP/1.0"), Just("\r\n"), Just("\n"), Just("\r"), Just("\r\n\r\n"),
                    Just("Host: a"), Just("Content-Length: "), Just("7"), Just(","), Just(":"),
                    Just("Transfer-Encoding: chunked"), Just("\0"), Just("\u{fc}"), Just("x"),
                ],
                0..30,
            )
        ) {
            let text = text.concat();
            let (parsed, rest) = parsed(text.as_bytes());
            match parsed {
                Ok(Some(_)) => prop_assert!(text.as_bytes().ends_with(&rest)),
                Ok(None) | Err(NotPlain) => prop_assert_eq!(&rest[..], text.as_bytes()),
            }
        }
    }
}
