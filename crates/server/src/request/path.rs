//! Topics spelled as paths.

use tidings_hub::Topic;

use super::query::percent_decode;
use crate::problem::{Problem, ProblemKind};

/// Reads the topic that follows `/topics/` in a path.
///
/// Only the one clean spelling is read: clients, proxies and caches rewrite every other (empty
/// segments, dots, encoded slashes), each in a way of its own, and two of them would then mean
/// different topics.
pub(crate) fn topic_of_path(path: &str) -> Result<Topic, Problem> {
    let mut name = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        let decoded = percent_decode(segment).map_err(|why| unclean(&why))?;
        if let Some(why) = uncleanness(&decoded) {
            return Err(unclean(why));
        }
        if decoded.contains('*') {
            return Err(wildcard());
        }
        if index > 0 {
            name.push('/');
        }
        name.push_str(&decoded);
    }
    Topic::new(&name).map_err(|error| Problem::new(ProblemKind::InvalidTopic, error.to_string()))
}

fn uncleanness(segment: &str) -> Option<&'static str> {
    match segment {
        "" => Some("it has an empty segment"),
        "." | ".." => Some("it has a segment of dots"),
        _ if segment.contains('/') => Some("it has an encoded slash"),
        _ if segment.contains(char::is_control) => Some("it has an encoded control character"),
        _ => None,
    }
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
    use super::*;

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
}
