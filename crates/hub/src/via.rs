//! The hops of a relayed event, by which a hub recognizes an event that has come back to it.

use std::fmt;
use std::sync::Arc;

use crate::cursor::Epoch;
use crate::topic::Topic;

/// The hops of a relayed event: the hubs and topics that it was read from, the oldest first.
///
/// A hop is spelled `EPOCH/TOPIC`: the epoch as its hub [spells](Epoch#impl-Display-for-Epoch) it, and
/// the topic percent-encoded. A relay adds the hop that it reads from to those that the event has. So
/// a relay whose source and target overlap, and a ring of several, cannot multiply an event: a hub
/// [refuses](crate::Refused::RelayLoop) it where it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via(Arc<str>);

impl Via {
    /// The most hops of an event. A longer way is a mistake in the arrangement of relays.
    pub const HOPS_MAX: usize = 16;

    /// The most bytes of all hops together: they are sent with the event, in a comment, of which
    /// decoders keep 4 KiB.
    pub const BYTES_MAX: usize = 4000;

    /// Reads hops that commas separate.
    ///
    /// # Errors
    ///
    /// [`InvalidVia`] says what is wrong; too many hops are no mistake of the publisher's.
    pub fn new(text: &str) -> Result<Self, InvalidVia> {
        let mut hops = String::new();
        let mut count = 0;
        for hop in text.split(',').map(str::trim_ascii).filter(|hop| !hop.is_empty()) {
            if !is_hop(hop) {
                return Err(InvalidVia::Hop);
            }
            if !hops.is_empty() {
                hops.push_str(SEPARATOR);
            }
            hops.push_str(hop);
            count += 1;
            if count > Self::HOPS_MAX || hops.len() > Self::BYTES_MAX {
                return Err(InvalidVia::TooLong);
            }
        }
        if hops.is_empty() { Err(InvalidVia::Hop) } else { Ok(Self(hops.into())) }
    }

    /// The hops as text, separated by a comma and a space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the hops back from the comment that shows them.
    pub(crate) fn of_comment(comment: &str) -> Option<Self> {
        Self::text_of_comment(comment).map(|hops| Self(hops.into()))
    }

    /// The hops, as text, that a comment shows.
    pub(crate) fn text_of_comment(comment: &str) -> Option<&str> {
        comment.strip_prefix(COMMENT)
    }

    /// Appends the comment line that shows the hops.
    pub(crate) fn write_comment(&self, out: &mut Vec<u8>) {
        for part in [":", COMMENT, self.as_str(), "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// Returns whether the event was in one of these topics of this history before.
    pub(crate) fn has(&self, epoch: Epoch, topics: &[Topic]) -> bool {
        let epoch = epoch.to_string();
        let hops = self.0.split(SEPARATOR).filter_map(|hop| hop.split_once('/'));
        hops.filter(|(of, _)| *of == epoch)
            .any(|(_, topic)| topics.iter().any(|own| decode(topic).eq(own.as_str().bytes())))
    }
}

/// Between two hops.
const SEPARATOR: &str = ", ";
/// How the comment starts.
const COMMENT: &str = "via ";

/// Visible ASCII, with whole escapes, and something on both sides of a slash.
fn is_hop(hop: &str) -> bool {
    let is_escaped = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    hop.bytes().all(|byte| byte.is_ascii_graphic())
        && hop.split('%').skip(1).all(is_escaped)
        && hop.split_once('/').is_some_and(|(epoch, topic)| !epoch.is_empty() && !topic.is_empty())
}

/// The bytes that a percent-encoded text stands for.
fn decode(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let escaped =
            |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let (byte, width) = match rest {
            [b'%', a, b, ..] => (escaped(&[*a, *b])?, 3),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        rest = &rest[width..];
        Some(byte)
    })
}

/// Why a text is not the hops of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidVia {
    /// A part is not a hop. Correct the relay.
    Hop,
    /// There are more than [`Via::HOPS_MAX`] hops, or more than [`Via::BYTES_MAX`] bytes of them. Pass
    /// over the event: the relays form a loop, or a chain that is too long.
    TooLong,
}

impl fmt::Display for InvalidVia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hop => f.write_str(
                "a hop is EPOCH/TOPIC, with the topic percent-encoded; commas separate hops",
            ),
            Self::TooLong => write!(
                f,
                "an event passes at most {} relays, whose hops have at most {} bytes together",
                Via::HOPS_MAX,
                Via::BYTES_MAX
            ),
        }
    }
}

impl std::error::Error for InvalidVia {}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via {
        Via::new(text).unwrap()
    }

    #[test]
    fn hops_are_separated_in_one_way() {
        assert_eq!(via(" 1/a,2/b%2Fc ,\t,3/d").as_str(), "1/a, 2/b%2Fc, 3/d");
        let mut comment = Vec::new();
        via("1/a,2/b").write_comment(&mut comment);
        assert_eq!(comment, b":via 1/a, 2/b\n");
        assert_eq!(Via::of_comment("via 1/a, 2/b"), Some(via("1/a,2/b")));
        assert_eq!(Via::of_comment(" hello"), None);
    }

    #[test]
    fn what_could_end_the_comment_or_is_cut_short_is_no_hop() {
        for text in
            ["", ",", "1", "/a", "1/", "1/a b", "1/a\nid: 7", "1/\u{e9}", "1/%", "1/%4", "1/%zz"]
        {
            assert_eq!(Via::new(text), Err(InvalidVia::Hop), "{text:?}");
        }
    }

    #[test]
    fn hops_are_limited_in_number_and_size() {
        let hops = |count: usize| vec!["1/a"; count].join(",");
        assert!(Via::new(&hops(Via::HOPS_MAX)).is_ok());
        assert_eq!(Via::new(&hops(Via::HOPS_MAX + 1)), Err(InvalidVia::TooLong));
        let long = |bytes: usize| format!("1/{}", "x".repeat(bytes - "1/".len()));
        assert!(Via::new(&long(Via::BYTES_MAX)).is_ok());
        assert_eq!(Via::new(&long(Via::BYTES_MAX + 1)), Err(InvalidVia::TooLong));
    }

    #[test]
    fn a_topic_of_this_history_is_recognized_however_it_is_encoded() {
        let (epoch, other) = (Epoch::new(0xabc).unwrap(), Epoch::new(0xabd).unwrap());
        let topics =
            |names: &[&str]| names.iter().map(|name| Topic::new(name).unwrap()).collect::<Vec<_>>();
        let came = via(&format!("{other}/x, {epoch}/a%2fb%C3%BC"));
        assert!(came.has(epoch, &topics(&["z", "a/bü"])));
        assert!(!came.has(epoch, &topics(&["a/b", "x"])));
        assert!(!came.has(Epoch::new(0xabe).unwrap(), &topics(&["a/bü", "x"])));
    }
}
