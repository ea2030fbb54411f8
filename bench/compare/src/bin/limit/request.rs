//! The part of HTTP/1.1 that a load generator speaks: a request line, `Content-Length`, a body.

use memchr::memmem;

/// The result of parsing the start of a connection's input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A whole request and its length.
    Whole(Request<'a>, usize),
    /// The request is incomplete.
    Cut,
    /// The request is not supported.
    Refused,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Subscribe { topic: &'a [u8] },
    Publish { topic: &'a [u8], data: &'a [u8] },
}

/// The maximum size of a head. A load generator sends a tenth of it.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The maximum size of a body: Tidings' limit on an event.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Parses the first request in `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let searched = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = memmem::find(searched, b"\r\n\r\n") else {
        return match searched.len() < HEAD_BYTES_MAX {
            true => Parsed::Cut,
            false => Parsed::Refused,
        };
    };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    if let Some(line) = head.strip_prefix(b"GET ") {
        return match topic(line) {
            Some(topic) => Parsed::Whole(Request::Subscribe { topic }, end + 4),
            None => Parsed::Refused,
        };
    }
    let publish = head.strip_prefix(b"POST ").and_then(|line| Some((topic(line)?, length(head)?)));
    match publish {
        Some((topic, length)) if length <= BODY_BYTES_MAX => match body.get(..length) {
            Some(data) => Parsed::Whole(Request::Publish { topic, data }, end + 4 + length),
            None => Parsed::Cut,
        },
        _ => Parsed::Refused,
    }
}

/// Returns the topic in a request line without its method.
fn topic(line: &[u8]) -> Option<&[u8]> {
    let path = line.strip_prefix(b"/topics/")?;
    let end = path.iter().position(|byte| matches!(byte, b' ' | b'?' | b'\r'))?;
    (end > 0).then_some(&path[..end])
}

/// Returns the length of the body. A chunked body has none and is refused.
fn length(head: &[u8]) -> Option<usize> {
    let mut lines = head.split(|&byte| byte == b'\n').skip(1);
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    })?;
    let digits = value.trim_ascii();
    match digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        true => None,
        false => Some(digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))),
    }
}

const NAME: &[u8] = b"content-length:";
/// A longer number cannot be a legal length and could overflow.
const DIGITS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::{BODY_BYTES_MAX, HEAD_BYTES_MAX, Parsed, Request, parse};

    fn publish(length: usize) -> Vec<u8> {
        format!("POST /topics/t HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_get_subscribes_to_the_topic_of_its_path() {
        let text = b"GET /topics/a/b?token=x HTTP/1.1\r\nHost: h\r\n\r\nrest";
        let request = Request::Subscribe { topic: b"a/b" };
        assert_eq!(parse(text), Parsed::Whole(request, text.len() - 4));
    }

    #[test]
    fn a_post_publishes_its_body_to_the_topic_of_its_path() {
        let text = b"POST /topics/t HTTP/1.1\r\nHost: h\r\ncontent-LENGTH:3\r\n\r\nabcPOST";
        let request = Request::Publish { topic: b"t", data: b"abc" };
        assert_eq!(parse(text), Parsed::Whole(request, text.len() - 4));
    }

    #[test]
    fn a_request_cut_anywhere_waits_for_the_rest() {
        for text in [
            &b"POST /topics/t HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"[..],
            b"GET /topics/t HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            for end in 0..text.len() {
                assert_eq!(parse(&text[..end]), Parsed::Cut, "cut at {end}");
            }
        }
    }

    #[test]
    fn what_has_no_topic_or_no_length_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /topics/ HTTP/1.1\r\n\r\n",
            "DELETE /topics/t HTTP/1.1\r\n\r\n",
            "POST /topics/t HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /topics/t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /topics/t HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST /topics/t HTTP/1.1\r\nContent-Length:\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Refused, "{text}");
        }
    }

    #[test]
    fn a_head_has_its_limit() {
        let mut text = b"GET /topics/t HTTP/1.1\r\n".to_vec();
        text.resize(HEAD_BYTES_MAX - 4, b'x');
        let cut = [&text[..], b"xxx"].concat();
        assert_eq!(parse(&cut), Parsed::Cut);
        let over = [&text[..], b"xxxx"].concat();
        assert_eq!(parse(&over), Parsed::Refused);
        text.extend_from_slice(b"\r\n\r\n");
        assert!(matches!(parse(&text), Parsed::Whole(..)));
    }

    #[test]
    fn a_body_has_its_limit() {
        assert_eq!(parse(&publish(BODY_BYTES_MAX)), Parsed::Cut);
        assert_eq!(parse(&publish(BODY_BYTES_MAX + 1)), Parsed::Refused);
        assert_eq!(parse(&publish(usize::MAX)), Parsed::Refused);
    }
}
