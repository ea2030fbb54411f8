//! Subjects: users or keys that streams belong to.

use std::fmt;

use tidings_hub::{InvalidTopic, Topic};

/// The subject that a stream belongs to: the user that a token names, or the key of a keyed stream.
///
/// All streams of a subject can be closed at once. The close is an entry in the journal, of a topic
/// that stands for the subject and has no readers. So it has a place among the events, and a reader
/// that reconnects with an earlier place is recognized without a list of closed readers.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    ends: Topic,
}

/// The prefix of the topic of a subject, so that no other topic equals it by chance.
const PREFIX: &str = "urn:tidings:subject:";

impl Subject {
    /// The most bytes a subject may have.
    pub const BYTES_MAX: usize = Topic::BYTES_MAX - PREFIX.len();

    /// Checks `name` once, so that nothing after this point has to. The rules are those of a topic,
    /// with [`Subject::BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        if name.len() > Self::BYTES_MAX {
            return Err(InvalidTopic::TooLong { bytes: PREFIX.len() + name.len() });
        }
        // Checked alone first, so that an error names the position within `name`.
        Topic::new(name)?;
        Ok(Self { ends: Topic::new(format!("{PREFIX}{name}"))? })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.ends.as_str()[PREFIX.len()..]
    }

    /// The subject that a topic stands for, if it stands for one.
    #[cfg(feature = "nats")]
    pub(crate) fn of_ends(topic: &Topic) -> Option<Self> {
        topic.as_str().starts_with(PREFIX).then(|| Self { ends: topic.clone() })
    }

    /// The topic whose end entries close the subject's streams.
    pub(crate) fn ends(&self) -> &Topic {
        &self.ends
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_between_one_byte_and_as_many_as_its_topic_leaves() {
        assert_eq!(Subject::new("").unwrap_err(), InvalidTopic::Empty);
        let longest = "x".repeat(Subject::BYTES_MAX);
        assert_eq!(Subject::new(&longest).unwrap().as_str(), longest);
        let too_long = Subject::new(&(longest + "x")).unwrap_err();
        assert_eq!(too_long, InvalidTopic::TooLong { bytes: Topic::BYTES_MAX + 1 });
    }

    #[test]
    fn what_is_refused_is_told_by_where_it_is_in_the_name() {
        let refused = Subject::new("a\nb").unwrap_err();
        assert_eq!(refused, InvalidTopic::Character { character: '\n', at: 1 });
    }
}
