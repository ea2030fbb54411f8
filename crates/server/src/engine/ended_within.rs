//! The end of a subject's streams within some patterns, as an entry of a journal that several hubs share.

use serde::{Deserialize, Serialize};
use tidings_hub::TopicFilter;

use crate::engine::subject::Subject;

/// The streams of a subject that carry nothing beyond some patterns.
#[derive(Clone, Debug)]
pub(crate) struct EndedWithin {
    pub(crate) subject: Subject,
    pub(crate) patterns: Vec<TopicFilter>,
}

/// The prefix of the text of such an end.
const PREFIX: &str = "urn:tidings:subject-within:";

#[derive(Serialize, Deserialize)]
struct Text {
    subject: String,
    topics: Vec<String>,
    patterns: Vec<String>,
}

impl EndedWithin {
    /// The text that stands for the end.
    pub(crate) fn to_text(&self) -> String {
        let (mut topics, mut others) = (Vec::new(), Vec::new());
        for filter in &self.patterns {
            let list = if let TopicFilter::Exact(_) = filter { &mut topics } else { &mut others };
            list.push(filter.as_str().to_owned());
        }
        let text = Text { subject: self.subject.as_str().to_owned(), topics, patterns: others };
        format!("{PREFIX}{}", serde_json::json!(text))
    }

    /// The end that a text stands for, if it stands for one.
    #[cfg(feature = "nats")]
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let text: Text = serde_json::from_str(text.strip_prefix(PREFIX)?).ok()?;
        let topics =
            text.topics.into_iter().map(|topic| Some(tidings_hub::Topic::new(topic).ok()?.into()));
        let patterns = text.patterns.iter().map(|text| TopicFilter::pattern(text).ok());
        let patterns = topics.chain(patterns).collect::<Option<Vec<_>>>()?;
        Some(Self { subject: Subject::new(&text.subject).ok()?, patterns })
    }
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use tidings_hub::Topic;

    use super::*;

    #[test]
    fn an_end_comes_back_from_its_text() {
        let subject = Subject::new("user \"1\"").unwrap();
        let exact = TopicFilter::from(Topic::new("a/*").unwrap());
        let patterns = vec![exact, TopicFilter::pattern("chat/**").unwrap()];
        let end = EndedWithin { subject, patterns };
        let found = EndedWithin::of_text(&end.to_text()).unwrap();
        assert_eq!((&found.subject, &found.patterns), (&end.subject, &end.patterns));
        assert!(EndedWithin::of_text(end.subject.ends().as_str()).is_none());
    }
}
