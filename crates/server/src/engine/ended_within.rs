//! The end of a subject's streams within some patterns, as an entry of a journal that several hubs share.

use serde::{Deserialize, Serialize};
use tidings_hub::{Topic, TopicFilter};

use crate::engine::subject::Subject;

/// The streams of a subject that carry nothing beyond some patterns.
#[derive(Clone, Debug)]
pub(crate) struct EndedWithin {
    pub(crate) subject: Subject,
    pub(crate) patterns: Vec<TopicFilter>,
}

/// The prefix of the topic of such an end, which has no readers.
const PREFIX: &str = "urn:tidings:subject-within:";

#[derive(Serialize, Deserialize)]
struct Text {
    subject: String,
    topics: Vec<String>,
    patterns: Vec<String>,
}

impl EndedWithin {
    /// The topic that stands for the end; `None` if it would be too long.
    pub(crate) fn to_topic(subject: &Subject, patterns: &[TopicFilter]) -> Option<Topic> {
        let (mut topics, mut others) = (Vec::new(), Vec::new());
        for filter in patterns {
            let list = if let TopicFilter::Exact(_) = filter { &mut topics } else { &mut others };
            list.push(filter.as_str().to_owned());
        }
        let text = Text { subject: subject.as_str().to_owned(), topics, patterns: others };
        let text = serde_json::to_string(&text).ok()?;
        Topic::new(format!("{PREFIX}{text}")).ok()
    }

    /// The end that a topic stands for, if it stands for one.
    #[cfg(feature = "nats")]
    pub(crate) fn of_topic(topic: &Topic) -> Option<Self> {
        let text: Text = serde_json::from_str(topic.as_str().strip_prefix(PREFIX)?).ok()?;
        let topics = text.topics.into_iter().map(|topic| Some(Topic::new(topic).ok()?.into()));
        let patterns = text.patterns.iter().map(|text| TopicFilter::pattern(text).ok());
        let patterns = topics.chain(patterns).collect::<Option<Vec<_>>>()?;
        Some(Self { subject: Subject::new(&text.subject).ok()?, patterns })
    }
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use super::*;

    #[test]
    fn an_end_comes_back_from_its_topic() {
        let subject = Subject::new("user \"1\"").unwrap();
        let exact = TopicFilter::from(Topic::new("a/*").unwrap());
        let patterns = [exact, TopicFilter::pattern("chat/**").unwrap()];
        let topic = EndedWithin::to_topic(&subject, &patterns).unwrap();
        let end = EndedWithin::of_topic(&topic).unwrap();
        assert_eq!((end.subject, &end.patterns[..]), (subject.clone(), &patterns[..]));
        assert!(EndedWithin::of_topic(subject.ends()).is_none());
        let long = [TopicFilter::pattern(format!("{}/*", "x".repeat(1000))).unwrap()];
        assert!(EndedWithin::to_topic(&subject, &long).is_none());
    }
}
