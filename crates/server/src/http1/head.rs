//! The head of a request (RFC 9112, sections 2 to 6).

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use memchr::memchr_iter;

/// Headers of one plain request at most: three times what browsers send behind proxies.
const HEADERS_MAX: usize = 64;

/// A buffer begins with something that is not plain; it is still there.
#[derive(Debug)]
pub(super) struct NotPlain;

/// A request whose head says all there is to know: one method, one target, and a body of a known length.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) head: Parts,
    pub(super) body_bytes: u64,
    /// Whether its client wants the connection closed after the answer.
    pub(super) is_last: bool,
}

/// Parses the head that `buffer` begins with and takes it out, with `headers` as memory for its headers;
/// `None` if it is not whole yet.
///
/// Not plain are requests with a Transfer-Encoding, an Expect or an Upgrade, with two lengths or one that
/// is no number, CONNECT, reading with a body, heads of more than `bytes_max` bytes, and what is no head at all.
pub(super) fn parse(
    buffer: &mut BytesMut,
    headers: &mut HeaderMap,
    bytes_max: usize,
) -> Result<Option<Plain>, NotPlain> {
    let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let end = match end(&buffer[blank..]) {
        Some(end) if blank + end <= bytes_max => blank + end,
        None if buffer.len() < bytes_max => return Ok(None),
        _ => return Err(NotPlain),
    };
    let text = buffer.split_to(end).freeze();
    let plain = plain(&text, std::mem::take(headers));
    if plain.is_none() {
        let rest = std::mem::take(buffer);
        *buffer = [text, rest.freeze()].concat().as_slice().into();
    }
    plain.map(Some).ok_or(NotPlain)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 4096;

    fn parsed(text: &[u8]) -> (Result<Option<Plain>, NotPlain>, BytesMut) {
        let mut buffer = BytesMut::from(text);
        let parsed = parse(&mut buffer, &mut HeaderMap::new(), BYTES_MAX);
        (parsed, buffer)
    }

    #[track_caller]
    fn taken(text: &str) -> Plain {
        match parsed(text.as_bytes()) {
            (Ok(Some(plain)), rest) => {
                assert!(rest.is_empty(), "{rest:?}");
                plain
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_head_says_what_was_sent() {
        let plain = taken(
            "POST /topics/a%2Fb?type=x HTTP/1.1\r\nhOST: localhost:4000\r\n\
             Content-length: 0012\r\nX-Twice: 1\r\nx-twice:  2 \r\nEmpty:\r\n\r\n",
        );
        assert_eq!(plain.head.method, Method::POST);
        assert_eq!(plain.head.uri, "/topics/a%2Fb?type=x");
        assert_eq!(plain.head.version, Version::HTTP_11);
        assert_eq!(plain.head.headers["host"], "localhost:4000");
        assert_eq!(plain.head.headers["empty"], "");
        let twice: Vec<_> = plain.head.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["1", "2"]);
        assert_eq!((plain.body_bytes, plain.is_last), (12, false));
        assert_eq!(taken("GET http://a:1/b HTTP/1.1\r\n\r\n").head.uri.authority().unwrap(), "a:1");
        assert_eq!(taken("OPTIONS * HTTP/1.1\r\n\r\n").head.uri, "*");
        assert_eq!(taken("\r\n\nGET / HTTP/1.1\nHost: a\n\n").head.headers["host"], "a");
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
            let plain = taken(&format!("GET / HTTP/{version}\r\n{connection}\r\n"));
            assert_eq!(plain.is_last, is_last, "{version} {connection}");
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
            "POST / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n",
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
        assert!(matches!(parsed, Ok(Some(plain)) if plain.body_bytes == 3));
        assert_eq!(&rest[..], b"bodyGET");
    }

    proptest! {
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
