//! The headers in which proxies tell the addresses of their clients.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses that the headers tell, the last one first; `None` for one that is hidden or broken.
///
/// `X-Forwarded-For` is what proxies write, and many pass a client's `Forwarded` (RFC 7239) on as it
/// came. So the latter counts only where the former is missing.
pub(super) fn chain(headers: &HeaderMap) -> impl Iterator<Item = Option<SocketAddr>> {
    let is_plain = headers.contains_key(X_FORWARDED_FOR);
    let name = if is_plain { X_FORWARDED_FOR } else { FORWARDED };
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(move |line| {
        let text = text(line);
        let mut told: Vec<_> = match is_plain {
            true => text.split(',').map(|node| address(node.trim())).collect(),
            false => unquoted(text, ',').map(forwarded_for).collect(),
        };
        told.reverse();
        told
    })
}

/// The text of a line; one with other bytes than ASCII tells nothing.
fn text(line: &HeaderValue) -> &str {
    line.to_str().unwrap_or_default()
}

/// The parts of a text between separators that do not stand in quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c: char| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

/// The address in the parameter `for` of one element (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let node = unquoted(element, ';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    })?;
    let node = match node.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => node,
    };
    address(node)
}

/// An address, with or without a port; an IPv6 one may stand in brackets. Without a port it is 0.
fn address(node: &str) -> Option<SocketAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    match bare.parse::<IpAddr>() {
        Ok(address) => Some((address.to_canonical(), 0).into()),
        Err(_) => node.parse().ok(),
    }
}
