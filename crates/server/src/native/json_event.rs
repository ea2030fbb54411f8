//! Events as publishers write them in JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_hub::{Draft, Topic, Topics};

use super::publish::{EventParts, invalid_event};
use crate::problem::{Problem, ProblemKind};

/// One event in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with \"topic\" and \"data\"")]
struct JsonEvent<'a> {
    topic: Option<Cow<'a, str>>,
    topics: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    data: &'a RawValue,
    r#type: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    private: Option<bool>,
}

/// Reads one event.
pub(super) fn draft(json: &str) -> Result<Draft, Problem> {
    // As a sequence, an array would do for the object.
    if !json.trim_ascii_start().starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok()
    {
        let detail = "an event is an object with \"topic\" and \"data\", as in \
                      {\"topic\": \"hello\", \"data\": \"hi\"}";
        return Err(Problem::new(ProblemKind::InvalidJson, detail));
    }
    let event: JsonEvent<'_> = serde_json::from_str(json).map_err(|error| invalid_json(&error))?;
    let topics = topics(event.topic, event.topics)?;
    let data = data(event.data)?;
    let parts = EventParts {
        event_type: event.r#type,
        id: event.id,
        retry: event.retry.map(Duration::from_millis),
    };
    let private = event.private.unwrap_or(false);
    Ok(Draft::with_topics(topics, parts.into_event(&data)?).with_private(private))
}

/// JSON that cannot be read, where it stops being readable.
pub(super) fn invalid_json(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemKind::InvalidJson, error.to_string())
        .with("line", error.line())
        .with("column", error.column())
}

fn topics(
    topic: Option<Cow<'_, str>>,
    topics: Option<Vec<Cow<'_, str>>>,
) -> Result<Topics, Problem> {
    let topic_of = |name: Cow<'_, str>| {
        let topic = Topic::new(name);
        topic.map_err(|error| Problem::new(ProblemKind::InvalidTopic, error.to_string()))
    };
    match (topic, topics) {
        (Some(topic), None) => topic_of(topic).map(Topics::from),
        (None, Some(names)) => {
            // Looked at one after the other, so that a long list is not built before it is refused.
            let many = names.len() > Topics::MAX;
            let topics: Vec<_> =
                names.into_iter().take(Topics::MAX).map(topic_of).collect::<Result<_, _>>()?;
            let topics = if many { None } else { Topics::new(topics) };
            topics.ok_or_else(|| {
                invalid_event(&format!("\"topics\" names 1 to {} topics", Topics::MAX))
            })
        }
        _ => Err(invalid_event("an event has either \"topic\" or \"topics\"")),
    }
}

/// A string is the data; any other value is published as its text.
fn data(value: &RawValue) -> Result<Cow<'_, str>, Problem> {
    let text = value.get();
    if text.starts_with('"') {
        return serde_json::from_str::<String>(text).map(Cow::Owned).map_err(|e| invalid_json(&e));
    }
    Ok(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(json: &str) -> String {
        draft(json).unwrap().event().data().to_owned()
    }

    #[test]
    fn a_string_is_the_data_and_any_other_value_is_its_text() {
        assert_eq!(data_of(r#"{"topic":"a","data":"hi\n\"\u00fc\""}"#), "hi\n\"ü\"");
        assert_eq!(data_of(r#"{"topic":"a","data":""}"#), "");
        for value in ["1", "1e400", "12345678901234567890123", "null", "true", r#"{"b": [1, "x"]}"#]
        {
            assert_eq!(data_of(&format!(r#"{{"topic":"a","data":{value}}}"#)), value);
        }
    }

    #[test]
    fn every_part_of_an_event_can_be_given() {
        let json =
            r#"{"topics":["a","b","a"],"data":1,"type":"t","id":"7","retry":5,"private":true}"#;
        let draft = draft(json).unwrap();
        assert_eq!(draft.topics().as_slice().len(), 2);
        assert_eq!(draft.event().event_type().as_str(), "t");
        assert_eq!(draft.event().id().unwrap().as_str(), "7");
        assert_eq!(draft.event().retry(), Some(Duration::from_millis(5)));
        assert!(draft.is_private());
    }

    #[track_caller]
    fn check(json: &str, kind: ProblemKind, word: &str) {
        let problem = draft(json).unwrap_err();
        assert_eq!(problem.kind(), kind, "{json}");
        assert!(problem.detail().contains(word), "{json}: {}", problem.detail());
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        use ProblemKind::{InvalidEvent, InvalidJson, InvalidTopic};
        check(r#"{"topic":"a"}"#, InvalidJson, "data");
        check(r#"{"data":"a"}"#, InvalidEvent, "topic");
        check(r#"{"topic":"a","topics":["b"],"data":1}"#, InvalidEvent, "either");
        check(r#"{"topics":[],"data":1}"#, InvalidEvent, "1 to 100");
        check(r#"{"topic":"","data":1}"#, InvalidTopic, "at least one");
        check(r#"{"topic":"a\u0007","data":1}"#, InvalidTopic, "U+0007");
        check(r#"{"topic":"a","data":1,"evnt":"x"}"#, InvalidJson, "evnt");
        check(r#"{"topic":"a","data":1,"data":2}"#, InvalidJson, "duplicate");
        check(r#"{"topic":"a","data":1,"retry":-1}"#, InvalidJson, "-1");
        check(r#"{"topic":"a","data":1,"id":"x\ny"}"#, InvalidEvent, "byte 1");
        check(r#"{"topic":"a","data":1,"type":"x\u0000"}"#, InvalidEvent, "byte 1");
        check(r#"["a",null,"x",null,null,null,null]"#, InvalidJson, "object");
        check(r#""hi""#, InvalidJson, "object");
        check("{", InvalidJson, "line 1 column 1");
        check(r#"{"topic":"a","data":"\ud800"}"#, InvalidJson, "");
        let many: Vec<_> = (0..101).map(|n| format!("\"{n}\"")).collect();
        check(&format!(r#"{{"topics":[{}],"data":1}}"#, many.join(",")), InvalidEvent, "1 to 100");
    }
}
