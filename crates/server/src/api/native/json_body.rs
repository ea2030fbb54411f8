//! A body of JSON: an object, or an array of objects.

use tidings_hub::{Draft, EndNotice, Topic, Topics};

use super::json_array::JsonArray;
use super::json_event::{JsonObject, TextPosition, object};
use super::piped::topic_of;
use crate::http::problem::Problem;
use crate::turn::Turn;

/// The events of a body, and what it says about the stream of their topic.
#[derive(Debug, Default)]
pub(super) struct JsonBody {
    pub(super) drafts: Vec<Draft>,
    /// Whether a stream begins before the events.
    pub(super) begin: bool,
    /// How the stream ends after the events.
    pub(super) end: Option<EndNotice>,
    /// The topics of the objects that begin and end it, which may be no events.
    marked: Vec<Topics>,
    objects: usize,
}

impl JsonBody {
    /// Reads a text, and lets others have their turn meanwhile.
    pub(super) async fn read(text: &str) -> Result<Self, Problem> {
        let mut body = Self::default();
        let Some(mut array) = JsonArray::new(text) else {
            body.add(object(text, TextPosition::default())?)?;
            return Ok(body);
        };
        let mut turn = Turn::default();
        while let Some((value, position)) = array.next()? {
            let added = object(value, position).and_then(|object| body.add(object));
            added.map_err(|problem| {
                problem.with("index", body.objects).or_with("line", position.line())
            })?;
            turn.spend(value.len()).await;
        }
        Ok(body)
    }

    /// Adds the next object: an array is one request to a stream, which begins before all events and ends after
    /// all of them.
    fn add(&mut self, object: JsonObject) -> Result<(), Problem> {
        if self.end.is_some() {
            let why = "nothing comes after the object of an array that has \"end\": send an object a line as \
                       application/x-ndjson";
            return Err(Problem::invalid_event(why));
        }
        if object.begin && self.objects > 0 {
            let why = "only the first object of an array has \"begin\": send an object a line as \
                       application/x-ndjson";
            return Err(Problem::invalid_event(why));
        }
        if object.has_marks() {
            self.marked.push(object.topics().clone());
        }
        self.begin |= object.begin;
        self.end = object.end;
        self.drafts.extend(object.into_draft());
        self.objects += 1;
        Ok(())
    }

    /// Returns whether a stream begins or ends.
    pub(super) fn has_marks(&self) -> bool {
        !self.marked.is_empty()
    }

    /// The topic of a request to a stream.
    pub(super) fn only_topic(&self) -> Result<Topic, Problem> {
        let mut topics = self.marked.iter().chain(self.drafts.iter().map(Draft::topics));
        let Some(first) = topics.next() else {
            return Err(Problem::invalid_event(
                "a producer's request has an event, a beginning or an end",
            ));
        };
        if topics.any(|other| other != first) {
            let why =
                "a request to a stream is about one topic: all objects of the array name it alone";
            return Err(Problem::invalid_event(why));
        }
        topic_of(first)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context as TaskContext, Poll, Waker};

    use super::*;
    use crate::turn::TURN_BYTES;
    use crate::work;

    /// Reads a text, and counts the turns that it takes.
    fn turns(text: &str) -> (Result<JsonBody, Problem>, usize) {
        let mut read = pin!(JsonBody::read(text));
        let mut cx = TaskContext::from_waker(Waker::noop());
        for turns in 1.. {
            if let Poll::Ready(body) = read.as_mut().poll(&mut cx) {
                return (body, turns);
            }
        }
        unreachable!("reading ends")
    }

    fn drafts(text: &str) -> Result<Vec<Draft>, Problem> {
        turns(text).0.map(|body| body.drafts)
    }

    #[test]
    fn broken_syntax_is_told_by_line_and_column_of_the_whole() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\" \"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!(members["line"], 3);
        assert_eq!(members["column"], 14);
    }

    #[test]
    fn a_wrong_event_is_told_by_index_and_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n\n  {\"topic\":\"\",\"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
    }

    #[test]
    fn what_cannot_be_read_in_an_event_of_several_lines_is_told_by_its_own_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\",\n\"tpye\":2}\n]";
        let problem = drafts(text).unwrap_err();
        let members = problem.to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
        assert!(problem.detail().contains("at line 4 column 6"), "{}", problem.detail());
    }

    #[test]
    fn an_object_is_one_event_and_an_array_any_number() {
        assert_eq!(drafts(" {\"topic\":\"a\",\"data\":1}\n").unwrap().len(), 1);
        assert_eq!(drafts("\n[]").unwrap().len(), 0);
        let two = "[{\"topic\":\"a\",\"data\":1},{\"topic\":\"b\",\"data\":[2]}]";
        assert_eq!(drafts(two).unwrap().len(), 2);
    }

    #[test]
    fn an_array_begins_a_stream_before_its_events_and_ends_it_after_them() {
        let read = |text| turns(text).0;
        let body = read(
            r#"[{"topic":"a","begin":true},{"topic":"a","data":1},{"topic":"a","end":"close"}]"#,
        );
        let body = body.unwrap();
        assert_eq!((body.begin, body.end, body.drafts.len()), (true, Some(EndNotice::Close), 1));
        assert_eq!(body.only_topic().unwrap().as_str(), "a");
        for (text, index) in [
            (r#"[{"topic":"a","data":1},{"topic":"a","begin":true,"data":2}]"#, 1),
            (r#"[{"topic":"a","end":true,"data":1},{"topic":"a","data":2}]"#, 1),
            (r#"[{"topic":"a","data":0},{"topic":"a","end":true},{"topic":"a","end":true}]"#, 2),
        ] {
            assert_eq!(read(text).unwrap_err().to_members()["index"], index, "{text}");
        }
        for text in [
            r#"[{"topic":"a","begin":true},{"topic":"b","data":1}]"#,
            r#"[{"topic":"a","data":1},{"topics":["a","b"],"data":1},{"topic":"a","end":true}]"#,
            r#"[{"topics":["a","b"],"begin":true}]"#,
            "[]",
        ] {
            assert!(read(text).unwrap().only_topic().is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_array_is_looked_at_once_and_read_in_turns() {
        const BYTES: usize = 8 * 1024 * 1024;
        let event = "{\"topic\":\"a\",\"data\":1},\n";
        let text = |bytes: usize| {
            let events = event.repeat((bytes - 2) / event.len());
            format!("[{}]", events.trim_end_matches(",\n"))
        };
        let looked = |text: &str| {
            let mut taken = 0;
            let looked = work::of(|| taken = turns(text).1);
            (looked, taken)
        };
        let (half, _) = looked(&text(BYTES / 2));
        let whole = text(BYTES);
        let (all, turns) = looked(&whole);
        assert!(all <= 3 * whole.len(), "{all} for {} bytes", whole.len());
        assert!(all <= 2 * half + event.len() * 10, "{all} after {half}");
        assert!(turns > BYTES / (2 * TURN_BYTES), "{turns} turns");
    }
}
