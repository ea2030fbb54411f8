//! Topics spelled as paths.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};
use tidings_hub::Topic;

use super::query::percent_decode;
use crate::http::problem::{Problem, ProblemKind};
use crate::work;

/// Reads the topic that follows `/topics/` in a path.
///
/// Only the one clean spelling is read: clients, proxies and caches rewrite every other (empty
/// segments, dots, encoded slashes), each in a way of its own, and two of them would then mean
/// different topics.
///
/// # Errors
///
/// A [`Problem`] that says what is unclean about the path, or why it is no topic.
pub fn topic_of_path(path: &str) -> Result<Topic, Problem> {
    let name = if memchr(b'%', path.as_bytes()).is_some() {
        Cow::Owned(decode(path)?)
    } else {
        Cow::Borrowed(path)
    };
    // Bytes, because looking for characters costs several times as much.
    work::looked_at(name.len());
    let (bytes, mut start) = (name.as_bytes(), 0);
    for at in memchr2_iter(b'/', b'*', bytes) {
        if bytes[at] == b'*' {
            return Err(wildcard());
        }
        check_segment(&bytes[start..at])?;
        start = at + 1;
    }
    check_segment(&bytes[start..])?;
    topic(&name)
}

fn check_segment(segment: &[u8]) -> Result<(), Problem> {
    match segment {
        b"" => Err(unclean("it has an empty segment")),
        b"." | b".." => Err(unclean("it has a segment of dots")),
        _ => Ok(()),
    }
}

/// Decodes a path. Escapes that would mean another topic to a client or proxy are refused.
fn decode(path: &str) -> Result<String, Problem> {
    let mut name = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        let decoded = percent_decode(segment).map_err(|why| unclean(&why))?;
        if decoded.contains('/') {
            return Err(unclean("it has an encoded slash"));
        }
        if segment.contains('%') && decoded.contains(char::is_control) {
            return Err(unclean("it has an encoded control character"));
        }
        if index > 0 {
            name.push('/');
        }
        name.push_str(&decoded);
    }
    Ok(name)
}

/// Parses the name of a topic.
pub(crate) fn topic(name: &str) -> Result<Topic, Problem> {
    Ok(Topic::new(name)?)
}

fn unclean(why: &str) -> Problem {
    Problem::new(
        ProblemKind::UncleanPath,
        format!(
            "the path does not spell a topic: {why}; topics of any spelling are read at \
             /events?topic= and published to by POST /events"
        ),
    )
}

fn wildcard() -> Problem {
    Problem::new(
        ProblemKind::UncleanPath,
        "a path names exactly one topic and has no wildcards; patterns are read at /events?match=, \
         and a topic with a star in its name at /events?topic=",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_topic_with_clean_segments_has_a_path(
            segments in prop::collection::vec("[^/*\\p{Cc}\\p{Cf}]{1,8}", 1..5),
            encode_all in any::<bool>(),
        ) {
            prop_assume!(!segments.iter().any(|segment| segment == "." || segment == ".."));
            let encode = |byte: u8| match byte {
                b if b.is_ascii_alphanumeric() && !encode_all => char::from(b).to_string(),
                b => format!("%{b:02x}"),
            };
            let paths = segments.iter().map(|segment| segment.bytes().map(encode).collect());
            let path = paths.collect::<Vec<String>>().join("/");
            let topic = topic_of_path(&path).unwrap();
            prop_assert_eq!(topic.as_str(), segments.join("/"));
        }

        #[test]
        fn no_path_is_read_as_a_topic_that_another_spelling_of_slashes_or_dots_would_change(
            path in "([a.%/*]|%2[eEfF]|%25|%0[0aA]){0,8}",
        ) {
            if let Ok(topic) = topic_of_path(&path) {
                let clean = |segment: &str| !matches!(segment, "" | "." | "..");
                prop_assert!(topic.as_str().split('/').all(clean));
                prop_assert_eq!(topic.as_str().matches('/').count(), path.matches('/').count());
                prop_assert!(!topic.as_str().contains('*'));
            }
        }
    }

    #[test]
    fn a_clean_path_is_decoded_once() {
        for (path, topic) in [
            ("hello", "hello"),
            ("a/b/c", "a/b/c"),
            ("a%20b", "a b"),
            ("%C3%BC", "ü"),
            ("ü", "ü"),
            ("100%2525", "100%25"),
            ("a+b", "a+b"),
            ("a..b/.c", "a..b/.c"),
        ] {
            assert_eq!(topic_of_path(path).unwrap().as_str(), topic, "{path}");
        }
    }

    #[test]
    fn an_unclean_path_names_the_call_that_takes_any_topic() {
        for path in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "a/../b",
            "a/%2e%2E/b",
            "a%2Fb",
            "a%00b",
            "a%0Ab",
            "a%7f",
            "%",
            "a%2",
            "%zz",
            "%ff",
            "%C3",
        ] {
            let problem = topic_of_path(path).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::UncleanPath, "{path:?}");
            assert!(problem.detail().contains("/events?topic="), "{path:?}");
        }
    }

    #[test]
    fn a_path_with_a_star_names_the_call_that_takes_patterns() {
        for path in ["*", "a/*", "ot*", "a/**", "%2A"] {
            let problem = topic_of_path(path).unwrap_err();
            assert!(problem.detail().contains("/events?match="), "{path:?}");
        }
    }

    #[test]
    fn a_clean_path_can_still_be_no_topic() {
        for path in ["%E2%80%8B".to_owned(), "x".repeat(2000)] {
            assert_eq!(topic_of_path(&path).unwrap_err().kind(), ProblemKind::InvalidTopic);
        }
    }

    #[test]
    fn the_longest_path_is_looked_at_in_linear_time() {
        let looked = |bytes: usize| {
            [&"a/".repeat(bytes / 2), &"%41/".repeat(bytes / 4), &"%C3%BC".repeat(bytes / 6)]
                .map(|path| work::of(|| drop(topic_of_path(&format!("{path}z")))))
        };
        // Twice the largest head.
        for (once, twice) in looked(32 * 1024).into_iter().zip(looked(64 * 1024)) {
            assert!(once > 0 && twice <= 2 * once + 16, "{once}, {twice}");
        }
    }
}
