//! Topic filters: the topics that a subscriber asks for.

use std::fmt;
use std::sync::Arc;

use crate::topic::{InvalidTopic, Topic};

/// A filter on topics: one exact topic, or every topic that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicFilter {
    /// The one topic of this name.
    Exact(Topic),
    /// Every topic that the pattern matches, including those not yet published to.
    Pattern(Pattern),
}

impl TopicFilter {
    /// Reads a pattern; one without wildcards is the exact topic.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] says which rule `text` breaks.
    pub fn pattern(text: impl AsRef<str>) -> Result<Self, InvalidPattern> {
        let text = text.as_ref();
        let topic = Topic::new(text).map_err(InvalidPattern::Topic)?;
        if !text.contains('*') {
            return Ok(Self::Exact(topic));
        }
        Pattern::new(&topic).map(Self::Pattern)
    }

    /// Returns whether events of the topic called `name` pass.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(topic) => topic.as_str() == name,
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }

    /// Returns whether every topic that `other` matches passes, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(topic)) => self.matches(topic.as_str()),
            // A pattern matches more than one topic.
            (Self::Exact(_), Self::Pattern(_)) => false,
            (Self::Pattern(pattern), Self::Pattern(other)) => pattern.covers(other),
        }
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(topic) => topic.as_str(),
            Self::Pattern(pattern) => &pattern.text,
        }
    }
}

impl From<Topic> for TopicFilter {
    fn from(topic: Topic) -> Self {
        Self::Exact(topic)
    }
}

/// A topic with wildcards: `*` stands for one whole segment, a last `**` for one or more.
///
/// Segments are what lies between slashes, empty ones included. `scores/*` matches `scores/7` and
/// neither `scores` nor `scores/7/sets`; `scores/**` matches both `scores/7` and `scores/7/sets`;
/// `**` matches every topic. Matching is linear in the length of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    // Smaller than a topic, so that patterns, which are rare, do not enlarge every filter.
    text: Arc<str>,
}

impl Pattern {
    fn new(text: &Topic) -> Result<Self, InvalidPattern> {
        let mut segments = text.as_str().split('/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "*" => {}
                "**" if segments.peek().is_none() => {}
                "**" => return Err(InvalidPattern::RestBeforeEnd),
                _ if segment.contains('*') => {
                    return Err(InvalidPattern::PartOfSegment { segment: segment.into() });
                }
                _ => {}
            }
        }
        Ok(Self { text: text.as_str().into() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn covers(&self, other: &Self) -> bool {
        let mut others = other.text.split('/');
        for wanted in self.text.split('/') {
            let Some(segment) = others.next() else { return false };
            match wanted {
                "**" => return true,
                "*" if segment != "**" => {}
                _ if wanted == segment => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let (mut wanted, mut name) = (self.text.as_bytes(), name.as_bytes());
        // A wildcard is a whole segment, so that what lies before it ends with a slash.
        while let Some(at) = wanted.iter().position(|&byte| byte == b'*') {
            let Some(rest) = name.strip_prefix(&wanted[..at]) else { return false };
            wanted = &wanted[at + 1..];
            if wanted == b"*" {
                return true;
            }
            name = &rest[rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len())..];
        }
        wanted == name
    }
}

/// The rule of patterns that a text breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It is not even a topic.
    Topic(InvalidTopic),
    /// A wildcard stands for a whole segment: `ot*` would have to match inside one.
    PartOfSegment {
        /// The segment.
        segment: Box<str>,
    },
    /// `**` stands for the rest, so nothing can follow it.
    RestBeforeEnd,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The rules of a pattern's text are a topic's, in a topic's words.
            Self::Topic(error) => error.fmt(f),
            Self::PartOfSegment { segment } => {
                write!(
                    f,
                    "a wildcard stands for a whole segment between slashes, not for a part of '{segment}'"
                )
            }
            Self::RestBeforeEnd => {
                f.write_str("'**' stands for the rest of a topic and comes last")
            }
        }
    }
}

impl std::error::Error for InvalidPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let filter = TopicFilter::pattern(pattern).unwrap();
        for name in matching {
            assert!(filter.matches(name), "{pattern} should match {name}");
        }
        for name in other {
            assert!(!filter.matches(name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn a_star_stands_for_exactly_one_segment() {
        check("scores/*", &["scores/7", "scores/"], &["scores", "scores/7/sets", "score/7"]);
        check("*", &["a", "日本"], &["a/b", "/"]);
        check("*/sets", &["7/sets", "/sets"], &["sets", "7/8/sets", "7/sets/1"]);
    }

    #[test]
    fn two_stars_stand_for_one_or_more_segments_at_the_end() {
        check("scores/**", &["scores/7", "scores/7/sets"], &["scores", "other/7"]);
        check("**", &["a", "a/b", "/"], &[]);
        check("*/**", &["a/b", "a/b/c"], &["a"]);
    }

    #[test]
    fn a_filter_covers_another_if_it_matches_all_that_the_other_does() {
        let filter = |text: &str| TopicFilter::pattern(text).unwrap();
        for (wide, narrow) in [
            ("**", "**"),
            ("**", "a"),
            ("**", "*/b/**"),
            ("a/**", "a/b"),
            ("a/**", "a/*/c"),
            ("a/**", "a/**"),
            ("a/*", "a/b"),
            ("*/b", "a/b"),
            ("*/**", "a/**"),
            ("a", "a"),
        ] {
            assert!(filter(wide).covers(&filter(narrow)), "{wide} covers {narrow}");
        }
        for (one, other) in [
            ("a", "*"),
            ("a/*", "a/**"),
            ("a/*", "**"),
            ("a/**", "a"),
            ("a/**", "*/b"),
            ("*", "a/b"),
            ("*/b", "a/*"),
            ("*/**", "**"),
        ] {
            assert!(!filter(one).covers(&filter(other)), "{one} does not cover {other}");
        }
    }

    #[test]
    fn a_pattern_without_wildcards_is_the_exact_topic() {
        let filter = TopicFilter::pattern("a/b").unwrap();
        assert_eq!(filter, TopicFilter::Exact(Topic::new("a/b").unwrap()));
    }

    #[test]
    fn a_wildcard_inside_a_segment_or_before_the_end_is_refused() {
        let inside = InvalidPattern::PartOfSegment { segment: "ot*".into() };
        assert_eq!(TopicFilter::pattern("ot*"), Err(inside.clone()));
        assert_eq!(TopicFilter::pattern("a/ot*/b"), Err(inside));
        assert_eq!(TopicFilter::pattern("a/**/b"), Err(InvalidPattern::RestBeforeEnd));
        let three = InvalidPattern::PartOfSegment { segment: "***".into() };
        assert_eq!(TopicFilter::pattern("***"), Err(three));
        assert_eq!(TopicFilter::pattern(""), Err(InvalidPattern::Topic(InvalidTopic::Empty)));
    }
}
