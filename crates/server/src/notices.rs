//! Notices: what hubs on one journal tell each other by entries of topics that nobody reads.
//!
//! A notice is the topic of a close. One that is too long for a topic is in several, which are put together again;
//! programs that do not know a notice pass over it.

use tidings_hub::{Time, Topic};

#[cfg(feature = "nats")]
pub(crate) use self::reading::{NoticeParts, Read};
use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;

/// A revocation that a hub on the same journal has committed.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    pub(crate) subject: Subject,
    pub(crate) moment: Time,
    /// The place of its entry: zero if the journal has none.
    pub(crate) place: u64,
    /// Whether it was committed before and is told once more.
    pub(crate) is_again: bool,
}

/// The prefix of a revocation that is told again: the moment in milliseconds and the subject follow.
#[cfg(feature = "nats")]
const REVOKED: &str = "urn:tidings:revoked:";
/// The prefix of a part: the number of the notice, that of the part, and how many there are follow.
const PART: &str = "urn:tidings:part:";
/// Parts of a notice: 60 KB.
const PARTS_MAX: usize = 64;
/// The bytes of a notice in one part: the rest is for the prefix and numbers of two digits.
const PART_BYTES: usize = Topic::BYTES_MAX - PART.len() - (16 + 1 + 2 + 1 + 2 + 1);

/// The topics of the end of a subject's streams; `None` if it would take too many.
pub(crate) fn of_end(end: &EndedWithin) -> Option<Vec<Topic>> {
    topics(&end.to_text())
}

/// The topics of a revocation that is told again.
#[cfg(feature = "nats")]
pub(crate) fn of_revoked(subject: &Subject, moment: Time) -> Vec<Topic> {
    topics(&format!("{REVOKED}{}:{}", moment.unix_millis(), subject.as_str())).unwrap_or_default()
}

/// The topics that a text is told by, in this order.
fn topics(text: &str) -> Option<Vec<Topic>> {
    if text.len() <= Topic::BYTES_MAX {
        return Some(vec![Topic::new(text).ok()?]);
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        parts.push(part);
        rest = after;
    }
    if parts.len() > PARTS_MAX {
        return None;
    }
    let (number, count) = (fastrand::u64(..), parts.len());
    let topic = |(at, part)| Topic::new(format!("{PART}{number:016x}:{at}:{count}:{part}")).ok();
    parts.into_iter().enumerate().map(topic).collect()
}

#[cfg(feature = "nats")]
mod reading {
    use std::collections::VecDeque;

    use tidings_hub::{Time, Topic};

    use super::{PART, PARTS_MAX, REVOKED};
    use crate::engine::ended_within::EndedWithin;
    use crate::engine::subject::Subject;

    /// A notice that was read.
    #[derive(Debug)]
    pub(crate) enum Read {
        /// A subject's tokens are revoked, and its streams end.
        Revoked(Subject),
        /// That was so since a moment, and is told once more.
        RevokedSince(Subject, Time),
        /// Some of a subject's streams end.
        EndedWithin(EndedWithin),
    }

    /// The parts of notices that are not whole yet.
    #[derive(Debug, Default)]
    pub(crate) struct NoticeParts(VecDeque<Parts>);

    #[derive(Debug)]
    struct Parts {
        number: u64,
        parts: Vec<Option<Box<str>>>,
        /// The message of the first part that came.
        message: u64,
    }

    /// Notices that are not whole yet: of older ones, some part will never come.
    const UNFINISHED_MAX: usize = 64;

    impl NoticeParts {
        /// Reads a closed topic of a message. Returns the notice that is whole with it, and the message in which that
        /// began.
        pub(crate) fn read(&mut self, topic: &Topic, message: u64) -> Option<(Read, u64)> {
            let text = topic.as_str();
            let Some(part) = text.strip_prefix(PART) else {
                return Some((Read::of(text)?, message));
            };
            let (whole, message) = self.put(part, message)?;
            Some((Read::of(&whole)?, message))
        }

        fn put(&mut self, text: &str, message: u64) -> Option<(String, u64)> {
            let mut words = text.splitn(4, ':');
            let number = u64::from_str_radix(words.next()?, 16).ok()?;
            let (at, count) = (words.next()?.parse::<usize>().ok()?, words.next()?.parse().ok()?);
            if at >= count || count > PARTS_MAX {
                return None;
            }
            let found = self.0.iter().position(|it| it.number == number && it.parts.len() == count);
            let found = found.unwrap_or_else(|| {
                self.0.truncate(UNFINISHED_MAX - 1);
                self.0.push_front(Parts { number, parts: vec![None; count], message });
                0
            });
            let unfinished = self.0.get_mut(found)?;
            unfinished.parts[at] = Some(words.next()?.into());
            if unfinished.parts.iter().any(Option::is_none) {
                return None;
            }
            let Parts { parts, message, .. } = self.0.remove(found)?;
            Some((parts.into_iter().flatten().collect(), message))
        }
    }

    impl Read {
        fn of(text: &str) -> Option<Self> {
            if let Some(rest) = text.strip_prefix(REVOKED) {
                let (millis, name) = rest.split_once(':')?;
                let moment = Time::from_unix_millis(millis.parse().ok()?);
                return Some(Self::RevokedSince(Subject::new(name).ok()?, moment));
            }
            let of_subject = || Topic::new(text).ok().and_then(|topic| Subject::of_ends(&topic));
            let of_end = || EndedWithin::of_text(text).map(Self::EndedWithin);
            of_end().or_else(|| of_subject().map(Self::Revoked))
        }
    }
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use tidings_hub::TopicFilter;

    use super::*;

    #[test]
    fn what_is_too_long_for_a_topic_comes_back_from_several_in_any_order() {
        let pattern = |n: usize| TopicFilter::pattern(format!("räume/{n:0>8}/**")).unwrap();
        let end = |patterns: usize| EndedWithin {
            subject: Subject::new("user 1").unwrap(),
            patterns: (0..patterns).map(pattern).collect(),
        };
        for patterns in [1, 80, 1000, 2500] {
            let end = end(patterns);
            let mut topics = of_end(&end).unwrap();
            assert_eq!(topics.len() > 1, patterns > 1, "{patterns}");
            topics.reverse();
            let mut parts = NoticeParts::default();
            let last = topics.pop().unwrap();
            for topic in &topics {
                assert!(parts.read(topic, 7).is_none());
            }
            let message = if patterns > 1 { 7 } else { 9 };
            match parts.read(&last, 9) {
                Some((Read::EndedWithin(found), began)) if began == message => {
                    assert_eq!((found.subject, found.patterns), (end.subject, end.patterns));
                }
                other => panic!("{other:?}"),
            }
            assert!(parts.read(&last, 9).is_none() || patterns == 1, "it is read once");
        }
        assert!(of_end(&end(5000)).is_none());
    }

    #[test]
    fn a_revocation_comes_back_with_its_moment_however_long_the_name_is() {
        let moment = Time::from_unix_millis(1_800_000_000_123);
        for name in ["a:b", &"ü".repeat(Subject::BYTES_MAX / 2)] {
            let subject = Subject::new(name).unwrap();
            let mut parts = NoticeParts::default();
            let topics = of_revoked(&subject, moment);
            let read: Vec<_> = topics.iter().filter_map(|topic| parts.read(topic, 1)).collect();
            let [(Read::RevokedSince(found, since), 1)] = &read[..] else { panic!("{read:?}") };
            assert_eq!((found, *since), (&subject, moment));
        }
        let subject = Subject::new("a").unwrap();
        let read = NoticeParts::default().read(subject.ends(), 3);
        assert!(
            matches!(read, Some((Read::Revoked(found), 3)) if found == subject),
            "the first time"
        );
    }

    #[test]
    fn parts_that_never_become_whole_are_forgotten() {
        let mut parts = NoticeParts::default();
        for number in 0..1000 {
            let part = Topic::new(format!("{PART}{number:x}:0:2:text")).unwrap();
            assert!(parts.read(&part, 1).is_none());
        }
        for other in ["", "x:0:2:text", "1:2:2:text", "1:0:65:text", "1:0", "1:0:1:text"] {
            let part = Topic::new(format!("{PART}{other}")).unwrap();
            assert!(parts.read(&part, 1).is_none(), "{other}");
        }
    }
}
