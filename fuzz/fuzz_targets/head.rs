#![no_main]
//! The head of a request means the same however it arrives, and whatever request came before it.

#[path = "../../crates/server/src/http/request/claims.rs"]
#[allow(dead_code, reason = "the server reads the claims, too")]
mod claims;
#[allow(dead_code, reason = "the server asks for head and claims together")]
#[path = "../../crates/server/src/net/http1/head.rs"]
mod head;
#[path = "../../crates/server/src/http/request/headers.rs"]
#[allow(dead_code, reason = "the server reads the claims, too")]
mod headers;

/// The place at which the server has its claims.
mod http {
    pub(crate) mod request {
        pub(crate) use crate::claims::Claims;
    }
}

use ::http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use bytes::BytesMut;
use head::Head;
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 4096;

/// The parts of a head that count, as text.
fn shown(head: &Head) -> String {
    let (parts, body, is_last) = (&head.parts, head.body_bytes, head.is_last());
    let (method, uri, version, headers) =
        (&parts.method, &parts.uri, parts.version, &parts.headers);
    format!("{method} {uri} {version:?} {headers:?} {body} {is_last}")
}

/// Reads all heads of some bytes, which arrive in pieces, as one connection does or each by itself;
/// returns them, and whether something was refused at the end.
fn read(bytes: &[u8], piece: usize, is_fresh: bool) -> (Vec<String>, bool) {
    let (mut buffer, mut head, mut heads) = (BytesMut::new(), Head::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            if is_fresh {
                head = Head::new();
            }
            let before = buffer.len();
            match head.read(&mut buffer, BYTES_MAX) {
                Ok(true) => {
                    assert!(buffer.len() < before);
                    let headers = &head.parts.headers;
                    assert!(headers.get_all(CONTENT_LENGTH).iter().count() <= 1);
                    for name in [TRANSFER_ENCODING, EXPECT, UPGRADE] {
                        assert!(!headers.contains_key(name));
                    }
                    heads.push(shown(&head));
                }
                Ok(false) => break,
                Err(_) => return (heads, true),
            }
        }
    }
    (heads, false)
}

fuzz_target!(|input: (&[u8], u8)| {
    let (bytes, piece) = input;
    let bytes = &bytes[..bytes.len().min(BYTES_MAX - 1)];
    let whole = read(bytes, BYTES_MAX, true);
    assert_eq!(read(bytes, BYTES_MAX, false), whole);
    // Repeated, so that the parts that are kept count.
    let twice = [bytes, bytes].concat();
    let twice = &twice[..twice.len().min(BYTES_MAX - 1)];
    assert_eq!(read(twice, BYTES_MAX, false), read(twice, BYTES_MAX, true));
    assert_eq!(read(bytes, usize::from(piece) + 1, false).0, whole.0);
});
