//! Events as publishers write them in JSON.

use std::borrow::Cow;
use std::time::Duration;

use memchr::{memchr, memchr_iter};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tidings_hub::{
    Append, Draft, EndNotice, IdempotencyKey, InvalidVia, Producer, StreamOptions, Topics, Via,
};

use super::event_parts::EventParts;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request;
use crate::work;

/// One event in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with \"topic\" and \"data\"")]
struct JsonEvent<'a> {
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    topics: Option<Vec<Text<'a>>>,
    // Without `some`, null would be no data.
    #[serde(borrow, default, deserialize_with = "some")]
    data: Option<&'a RawValue>,
    r#type: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    private: Option<bool>,
    via: Option<Text<'a>>,
    #[serde(default)]
    begin: bool,
    end: Option<JsonEnd<'a>>,
}

/// `true`, or how readers are told.
#[derive(Deserialize)]
#[serde(untagged, expecting = "\"end\" is true, \"event\" or \"close\"")]
enum JsonEnd<'a> {
    Flag(bool),
    #[serde(borrow)]
    Notice(Text<'a>),
}

/// A text, which is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn some<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// An object: an event, the marks of its topic's stream, or both.
#[derive(Debug)]
pub(super) struct JsonObject {
    pub(super) event: JsonContent,
    pub(super) begin: bool,
    pub(super) end: Option<EndNotice>,
}

/// The event of an object.
#[derive(Debug)]
pub(super) enum JsonContent {
    Event(Draft),
    /// Data may be missing only from an object with a mark.
    None(Topics),
}

impl JsonObject {
    pub(super) fn topics(&self) -> &Topics {
        match &self.event {
            JsonContent::Event(draft) => draft.topics(),
            JsonContent::None(topics) => topics,
        }
    }

    /// The event, if there is one.
    pub(super) fn into_draft(self) -> Option<Draft> {
        match self.event {
            JsonContent::Event(draft) => Some(draft),
            JsonContent::None(_) => None,
        }
    }

    /// Returns whether it marks its topic's stream.
    pub(super) fn has_marks(&self) -> bool {
        self.begin || self.end.is_some()
    }

    /// Its request to its topic's stream, beside its event.
    pub(super) fn append(&self, producer: Option<Producer>, key: Option<IdempotencyKey>) -> Append {
        let begin = self.begin.then(StreamOptions::default);
        Append { begin, end: self.end, producer, key, stream: None }
    }
}

/// The position of a part in the publisher's text: the lines before it, and the bytes before it on
/// its first line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextPosition {
    lines: usize,
    bytes: usize,
}

impl TextPosition {
    /// At the beginning of a line, counted from one.
    pub(super) fn at_line(line: usize) -> Self {
        Self { lines: line.saturating_sub(1), bytes: 0 }
    }

    /// So many bytes after the beginning of the text or part.
    pub(super) fn on_line(bytes: usize) -> Self {
        Self { lines: 0, bytes }
    }

    /// The position after a text, which is looked at once.
    pub(super) fn after(text: &str) -> Self {
        work::looked_at(text.len());
        let ends = memchr_iter(b'\n', text.as_bytes());
        let (lines, line) = ends.fold((0, 0), |(lines, _), end| (lines + 1, end + 1));
        Self { lines, bytes: text.len() - line }
    }

    /// The position where reading a text or part stopped; the library counts lines from one.
    pub(super) fn of_error(error: &serde_json::Error) -> Self {
        Self { lines: error.line().saturating_sub(1), bytes: error.column() }
    }

    /// The position where a part of a text starts.
    fn of(part: &str, text: &str) -> Self {
        let at = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Self::after(&text[..at.min(text.len())])
    }

    /// Its line, counted from one.
    pub(super) fn line(self) -> usize {
        self.lines + 1
    }

    /// The position of a part within the part that stands here.
    pub(super) fn then(self, inner: Self) -> Self {
        let bytes = if inner.lines == 0 { self.bytes + inner.bytes } else { inner.bytes };
        Self { lines: self.lines + inner.lines, bytes }
    }
}

/// Reads one object, which stands at `position` in the whole text.
pub(super) fn object(json: &str, position: TextPosition) -> Result<JsonObject, Problem> {
    // As a sequence, an array would do for the object.
    if !json.trim_ascii_start().starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok()
    {
        let detail = "an event is an object with \"topic\" and \"data\", as in \
                      {\"topic\": \"hello\", \"data\": \"hi\"}";
        return Err(Problem::new(ProblemKind::InvalidJson, detail));
    }
    let event: JsonEvent<'_> =
        serde_json::from_str(json).map_err(|error| invalid_json(&error, position))?;
    let topics = topics(event.topic, event.topics)?;
    let (begin, end) = (event.begin, event.end.map(notice).transpose()?.flatten());
    let Some(value) = event.data else {
        if begin || end.is_some() {
            return Ok(JsonObject { event: JsonContent::None(topics), begin, end });
        }
        let after = position.then(TextPosition::after(json));
        return Err(invalid_json_at("missing field `data`", after));
    };
    let data = data(value)
        .map_err(|e| invalid_json(&e, position.then(TextPosition::of(value.get(), json))))?;
    let parts = EventParts {
        event_type: event.r#type,
        id: event.id,
        retry: event.retry.map(Duration::from_millis),
    };
    let private = event.private.unwrap_or(false);
    let mut draft = Draft::new(topics, parts.into_event(&data)?).with_private(private);
    if let Some(Text(hops)) = event.via {
        draft = draft.with_via(via(&hops)?);
    }
    Ok(JsonObject { event: JsonContent::Event(draft), begin, end })
}

fn notice(end: JsonEnd<'_>) -> Result<Option<EndNotice>, Problem> {
    Ok(match end {
        JsonEnd::Flag(is_end) => is_end.then_some(EndNotice::Event),
        JsonEnd::Notice(Text(word)) if word == "event" => Some(EndNotice::Event),
        JsonEnd::Notice(Text(word)) if word == "close" => Some(EndNotice::Close),
        JsonEnd::Notice(_) => {
            let why = "\"end\" is true, \"event\" or \"close\"";
            return Err(Problem::invalid_event(why));
        }
    })
}

/// The hops of one relayed event.
fn via(hops: &str) -> Result<Via, Problem> {
    Via::new(hops).map_err(|error| match error {
        InvalidVia::TooLong => Problem::new(ProblemKind::RelayLoop, error.to_string()),
        _ => Problem::invalid_event(&format!("\"via\": {error}")),
    })
}

/// The problem of JSON that cannot be read, with the position where reading stopped.
pub(super) fn invalid_json(error: &serde_json::Error, position: TextPosition) -> Problem {
    let whole = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let reason = whole.strip_suffix(&suffix).unwrap_or(&whole);
    invalid_json_at(reason, position.then(TextPosition::of_error(error)))
}

/// The problem of JSON that cannot be read, for a reason that the library would give.
pub(super) fn invalid_json_at(reason: &str, position: TextPosition) -> Problem {
    let TextPosition { lines, bytes: column } = position;
    let line = lines + 1;
    let detail = format!("the JSON cannot be used: {reason} at line {line} column {column}");
    Problem::new(ProblemKind::InvalidJson, detail).with("line", line).with("column", column)
}

fn topics(topic: Option<Text<'_>>, topics: Option<Vec<Text<'_>>>) -> Result<Topics, Problem> {
    let topic_of = |Text(name): Text<'_>| request::topic(&name);
    match (topic, topics) {
        (Some(topic), None) => topic_of(topic).map(Topics::from),
        (None, Some(names)) => {
            // Checked one after the other, so that a long list is refused before it is built.
            let many = names.len() > Topics::MAX;
            let topics: Vec<_> =
                names.into_iter().take(Topics::MAX).map(topic_of).collect::<Result<_, _>>()?;
            let topics = if many { None } else { Topics::new(topics) };
            topics.ok_or_else(|| {
                Problem::invalid_event(&format!("\"topics\" names 1 to {} topics", Topics::MAX))
            })
        }
        _ => Err(Problem::invalid_event("an event has either \"topic\" or \"topics\"")),
    }
}

/// A string is the data; any other value is published as its text.
fn data(value: &RawValue) -> serde_json::Result<Cow<'_, str>> {
    let text = value.get();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        // Without escapes, it is spelled as it is.
        Some(plain) if memchr(b'\\', plain.as_bytes()).is_none() => Ok(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str(text).map(Cow::Owned),
        None => Ok(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str, position: TextPosition) -> Result<Draft, Problem> {
        object(json, position)
            .map(|object| object.into_draft().expect("an object without marks has data"))
    }

    fn data_of(json: &str) -> String {
        draft(json, TextPosition::default()).unwrap().event().data().to_owned()
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
        let json = r#"{"topics":["a","b","a"],"data":1,"type":"t","id":"7","retry":5,"private":true,
            "via":"1/x,2/y"}"#;
        let draft = draft(json, TextPosition::default()).unwrap();
        assert_eq!(draft.topics().as_slice().len(), 2);
        assert_eq!(draft.event().event_type().as_str(), "t");
        assert_eq!(draft.event().id().unwrap().as_str(), "7");
        assert_eq!(draft.event().retry(), Some(Duration::from_millis(5)));
        assert!(draft.is_private());
        assert_eq!(draft.via().unwrap().as_str(), "1/x, 2/y");
    }

    #[track_caller]
    fn check(json: &str, kind: ProblemKind, word: &str) {
        let problem = draft(json, TextPosition::default()).unwrap_err();
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
        check(r#"{"topic":"a","data":1,"via":"a"}"#, InvalidEvent, "via");
        let hops = "1/a,".repeat(17);
        check(&format!(r#"{{"topic":"a","data":1,"via":"{hops}"}}"#), ProblemKind::RelayLoop, "");
        check(r#"["a",null,"x",null,null,null,null,null]"#, InvalidJson, "object");
        check(r#""hi""#, InvalidJson, "object");
        check("{", InvalidJson, "line 1 column 1");
        check("{\"topic\":\"a\",\"data\":\"a\tb\"}", InvalidJson, "control character");
        check(r#"{"topic":"a","data":"\ud800"}"#, InvalidJson, "");
        let many: Vec<_> = (0..101).map(|n| format!("\"{n}\"")).collect();
        check(&format!(r#"{{"topics":[{}],"data":1}}"#, many.join(",")), InvalidEvent, "1 to 100");
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_place_in_the_whole_text() {
        let place = |json: &str, start| {
            let problem = draft(json, start).unwrap_err();
            let members = problem.to_members();
            let (line, column) = (&members["line"], &members["column"]);
            let end = format!(" at line {line} column {column}");
            assert!(problem.detail().ends_with(&end), "{}", problem.detail());
            assert!(problem.detail().starts_with("the JSON cannot be used: "));
            (line.as_u64().unwrap(), column.as_u64().unwrap())
        };
        let later = TextPosition { lines: 6, bytes: 10 };
        assert_eq!(place("{x", TextPosition::default()), (1, 2));
        assert_eq!(place("{x", TextPosition::at_line(3)), (3, 2));
        assert_eq!(place("{x", later), (7, 12));
        assert_eq!(place("{\n x", later), (8, 2));
        let lone_surrogate = "{\"topic\":\"a\",\n\"data\":\"\\ud800\"}";
        assert_eq!(place(lone_surrogate, later).0, 8);
    }
}
