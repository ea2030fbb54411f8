//! The head of an HTTP/1 response: what it says about the body and the connection.

use std::fmt;
use std::str;

use crate::http::body::Body;

/// The parts of a response head that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: Status,
    pub(crate) body: Body,
    /// Whether the connection can be used for another request.
    pub(crate) persists: bool,
    /// The media type without parameters, in lower case.
    pub(crate) media_type: String,
    /// The content coding, if there is one.
    pub(crate) coding: Option<String>,
}

/// A status code and the reason phrase that the server sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Status {
    pub(crate) code: u16,
    reason: String,
}

impl Status {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "{}", self.code),
            reason => write!(f, "{} {reason}", self.code),
        }
    }
}

/// Why the head of a response cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    NotHttp,
    TooLong,
    /// The `Content-Length` is not a number, or there are several that differ.
    Length,
    /// There is a transfer coding other than `chunked`.
    Coding,
    /// The server switches protocols without being asked.
    Upgrade,
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => write!(f, "not an HTTP/1 response"),
            Self::TooLong => write!(f, "the response head is longer than {HEAD_BYTES_MAX} bytes"),
            Self::Length => write!(f, "the response has an invalid Content-Length"),
            Self::Coding => write!(f, "the response has a transfer coding other than chunked"),
            Self::Upgrade => write!(f, "the server switched protocols without being asked"),
        }
    }
}

impl Head {
    /// Parses the head at the start of `bytes`, and returns it and its length; `None` if it is
    /// incomplete. Interim responses (RFC 9110, section 15.2) are skipped.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadHead> {
        let mut rest = bytes;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            let len = match response.parse(rest) {
                Ok(httparse::Status::Complete(len)) => len,
                Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
                    return Err(BadHead::TooLong);
                }
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLong),
                Err(_) => return Err(BadHead::NotHttp),
            };
            match response.code {
                Some(101) => return Err(BadHead::Upgrade),
                Some(100..200) => rest = &rest[len..],
                Some(_) => {
                    let head = Self::understand(&response)?;
                    return Ok(Some((head, bytes.len() - rest.len() + len)));
                }
                None => return Err(BadHead::NotHttp),
            }
        }
    }

    /// Determines the length of the body and whether the connection persists, by RFC 9112, sections
    /// 6.3 and 9.3.
    fn understand(response: &httparse::Response<'_, '_>) -> Result<Self, BadHead> {
        let code = response.code.unwrap_or_default();
        let mut persists = response.version == Some(1);
        let (mut chunked, mut length) = (false, None);
        let (mut media_type, mut coding) = (String::new(), None);
        for header in response.headers.iter() {
            let name = header.name;
            let value = str::from_utf8(header.value).unwrap_or_default().trim();
            let lower = || value.to_ascii_lowercase();
            if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") || chunked {
                    return Err(BadHead::Coding);
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case("content-length") {
                let number = digits(value).ok_or(BadHead::Length)?;
                if length.replace(number).is_some_and(|before| before != number) {
                    return Err(BadHead::Length);
                }
            } else if name.eq_ignore_ascii_case("connection") {
                for word in lower().split(',').map(str::trim) {
                    match word {
                        "close" => persists = false,
                        "keep-alive" => persists = true,
                        _ => {}
                    }
                }
            } else if name.eq_ignore_ascii_case("content-type") {
                let essence = value.split(';').next().unwrap_or_default();
                media_type = essence.trim().to_ascii_lowercase();
            } else if name.eq_ignore_ascii_case("content-encoding")
                && !value.eq_ignore_ascii_case("identity")
            {
                coding = Some(lower());
            }
        }
        let body = match length {
            _ if code == 204 || code == 304 => Body::of_length(0),
            _ if chunked => Body::chunked(),
            Some(length) => Body::of_length(length),
            None => {
                persists = false;
                Body::until_close()
            }
        };
        let reason = response.reason.unwrap_or_default().trim().to_owned();
        Ok(Self { status: Status { code, reason }, body, persists, media_type, coding })
    }
}

/// The heads of real servers have a few hundred bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Real servers and their proxies send one or two dozen.
const HEADERS_MAX: usize = 100;

fn digits(text: &str) -> Option<u64> {
    // `parse` alone would accept a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `text` at every cut, and checks that no prefix is taken for the whole.
    #[track_caller]
    fn parse(text: &str) -> Result<Head, BadHead> {
        let whole = Head::parse(text.as_bytes())?;
        let (head, len) = whole.unwrap_or_else(|| panic!("{text:?} is not whole"));
        for cut in 0..len {
            assert_eq!(Head::parse(&text.as_bytes()[..cut]), Ok(None), "cut after byte {cut}");
        }
        assert_eq!(len, text.trim_end_matches("body").len());
        Ok(head)
    }

    #[track_caller]
    fn check(text: &str, code: u16, body: Body, persists: bool) {
        let head = parse(text).unwrap();
        assert_eq!((head.status.code, head.body, head.persists), (code, body, persists), "{text}");
    }

    #[test]
    fn the_body_is_as_long_as_the_head_says() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nbody";
        check(chunked, 200, Body::chunked(), true);
        check("HTTP/1.1 201 Created\r\ncontent-length: 45\r\n\r\n", 201, Body::of_length(45), true);
        check("HTTP/1.1 200 OK\r\n\r\nbody", 200, Body::until_close(), false);
        check("HTTP/1.1 204 No Content\r\n\r\n", 204, Body::of_length(0), true);
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(both, 200, Body::chunked(), true);
    }

    #[test]
    fn a_connection_stays_as_its_version_and_its_words_say() {
        let close = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X, Close\r\n\r\n";
        check(close, 200, Body::of_length(0), false);
        check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, Body::of_length(0), false);
        let kept = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
        check(kept, 200, Body::of_length(0), true);
    }

    #[test]
    fn interim_responses_are_read_over() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\
                    Content-Length: 4\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\nbody";
        let head = parse(text).unwrap();
        assert_eq!((head.status.to_string().as_str(), head.body), ("200 OK", Body::of_length(4)));
        assert_eq!(head.media_type, "text/event-stream");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, expected) in [
            ("SSH-2.0-OpenSSH_9.6\r\n", BadHead::NotHttp),
            ("HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\n", BadHead::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", BadHead::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", BadHead::Coding),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", BadHead::Upgrade),
        ] {
            assert_eq!(Head::parse(text.as_bytes()), Err(expected), "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(Head::parse(endless.as_bytes()), Err(BadHead::TooLong));
        let gzip = parse("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\n\r\n").unwrap();
        assert_eq!(gzip.coding.as_deref(), Some("gzip"));
    }
}
