//! Reads events from a file, as fast as they are published.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_client::{Draft, EventId, EventType, LimitExceeded};
use tidings_proto::{Decoder, Item};
use tokio::sync::mpsc;

use crate::config::{FileFormat, Template};

/// The maximum number of events read ahead: enough for a full request while another is under way.
const READ_AHEAD: usize = 1_000;

/// The maximum length of a line: several times a hub's default limit, and bounded memory.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The number of bytes read from an event stream at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The events of a file, up to its end or its first mistake.
pub(super) struct Events(mpsc::Receiver<Draft>);

impl Stream for Events {
    type Item = Draft;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Draft>> {
        self.0.poll_recv(cx)
    }
}

/// Holds the mistake that ended the events, once they have ended.
pub(super) struct MistakeSlot(Arc<Mutex<Option<Mistake>>>);

impl MistakeSlot {
    pub(super) fn take(&self) -> Option<Mistake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Starts to read on a thread, because files can only be read synchronously.
pub(super) fn events(
    format: FileFormat,
    file: Box<dyn Read + Send>,
    template: Template,
) -> (Events, MistakeSlot) {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let slot = MistakeSlot(Arc::default());
    let found = Arc::clone(&slot.0);
    std::thread::spawn(move || {
        // If the events are no longer taken, publishing has failed and reports that itself.
        let mut give = |draft| sender.blocking_send(draft).map_err(|_| ReadEnd::NotWanted);
        let read = match format {
            FileFormat::Ndjson => ndjson(file, &template, &mut give),
            FileFormat::EventStream => event_stream(file, &template, &mut give),
            FileFormat::Lines => lines(file, &template, &mut give),
        };
        if let Err(ReadEnd::Mistake(mistake)) = read {
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(mistake);
        }
        // The end of the events becomes visible after the mistake is stored.
        drop(sender);
    });
    (Events(receiver), slot)
}

/// Why reading stopped before the end of the file.
#[derive(Debug)]
enum ReadEnd {
    NotWanted,
    Mistake(Mistake),
}

impl From<Mistake> for ReadEnd {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

/// A mistake in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Unreadable(String),
    Line { number: u64, why: String },
    Limit(LimitExceeded),
    EventType(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the input cannot be read: {why}"),
            Self::Line { number, why } => write!(f, "line {number} of the input: {why}"),
            Self::Limit(error) => write!(f, "an event of the input is too large: {error}"),
            Self::EventType(why) => write!(f, "an event of the input cannot be published: {why}"),
        }
    }
}

fn unreadable(error: &io::Error) -> Mistake {
    Mistake::Unreadable(error.to_string())
}

type Give<'a> = dyn FnMut(Draft) -> Result<(), ReadEnd> + 'a;

/// Reads one object per line, and skips blank lines.
fn ndjson(file: impl Read, template: &Template, give: &mut Give<'_>) -> Result<(), ReadEnd> {
    each_line(file, |line| match line.trim_ascii().is_empty() {
        true => Ok(()),
        false => give(draft(line, template).map_err(LineEnd::Mistake)?).map_err(LineEnd::Read),
    })
}

/// Reads lines of text, each of which is the data of an event. An empty line is an event, too, as it
/// was a line for its writer.
fn lines(file: impl Read, template: &Template, give: &mut Give<'_>) -> Result<(), ReadEnd> {
    each_line(file, |line| {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // Another encoding in a log must not end it.
        let draft = template.draft(String::from_utf8_lossy(text));
        draft.map_or(Ok(()), |draft| give(draft).map_err(LineEnd::Read))
    })
}

/// Why a line ends the reading.
enum LineEnd {
    Mistake(String),
    Read(ReadEnd),
}

/// Calls `handle` for each line, with its line end, as soon as it is complete.
fn each_line(
    file: impl Read,
    mut handle: impl FnMut(&[u8]) -> Result<(), LineEnd>,
) -> Result<(), ReadEnd> {
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut one = (&mut file).take(LINE_BYTES_MAX);
        let read = one.read_until(b'\n', &mut line).map_err(|error| unreadable(&error))?;
        if read == 0 {
            break;
        }
        let mistake = |why: String| ReadEnd::Mistake(Mistake::Line { number, why });
        if read as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(mistake("longer than 64 MiB".to_owned()));
        }
        handle(&line).map_err(|end| match end {
            LineEnd::Mistake(why) => mistake(why),
            LineEnd::Read(end) => end,
        })?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NdjsonLine {
    topic: Option<String>,
    topics: Option<Vec<String>>,
    data: Box<RawValue>,
    r#type: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    #[serde(default)]
    private: bool,
    via: Option<String>,
}

fn draft(line: &[u8], template: &Template) -> Result<Draft, String> {
    // The error contains the position within the line. The caller adds the line number.
    let NdjsonLine { topic, topics, data, r#type, id, retry, private, via } =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let topics = match (topic, topics) {
        (Some(_), Some(_)) => return Err("both `topic` and `topics` are given".to_owned()),
        (Some(topic), None) => vec![topic],
        (None, Some(topics)) => topics,
        (None, None) => template.topics.clone(),
    };
    let template = Template {
        topics,
        event_type: r#type.map(EventType::new).transpose().map_err(|error| error.to_string())?,
        id: id.map(EventId::new).transpose().map_err(|error| error.to_string())?,
        retry: retry.map(Duration::from_millis),
    };
    // A string is the data. Any other value is published as its JSON text, as the hub does.
    let data = match serde_json::from_str::<String>(data.get()) {
        Ok(data) => data,
        Err(_) => data.get().to_owned(),
    };
    let draft = template.draft(data);
    let draft = draft.ok_or("there is no `topic`, and no topic was given")?;
    let draft = if private { draft.private() } else { draft };
    Ok(match via {
        Some(hops) => draft.with_via(hops),
        None => draft,
    })
}

/// Reads events as an event source does. Types and IDs are kept, and an event that no blank line
/// ends is discarded.
fn event_stream(
    mut file: impl Read,
    template: &Template,
    give: &mut Give<'_>,
) -> Result<(), ReadEnd> {
    let mut decoder = Decoder::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&error).into()),
        };
        let mut input = &chunk[..read];
        while let Some(item) = decoder.decode(&mut input).map_err(Mistake::Limit)? {
            let Item::Event(event) = item else { continue };
            let event_type = EventType::new(event.event_type);
            let event_type = event_type.map_err(|error| Mistake::EventType(error.to_string()))?;
            // An ID that was decoded contains no CR, LF or NUL.
            let id = event.id().and_then(|id| EventId::new(id).ok());
            let of_event = Template { event_type: Some(event_type), id, ..template.clone() };
            if let Some(draft) = of_event.draft(event.data) {
                give(draft)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: FileFormat, topics: &[&str], text: &str) -> (Vec<Draft>, Option<String>) {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let template = Template { topics, ..Template::default() };
        let mut drafts = Vec::new();
        let mut give = |draft| {
            drafts.push(draft);
            Ok(())
        };
        let read = match format {
            FileFormat::Ndjson => ndjson(text.as_bytes(), &template, &mut give),
            FileFormat::EventStream => event_stream(text.as_bytes(), &template, &mut give),
            FileFormat::Lines => lines(text.as_bytes(), &template, &mut give),
        };
        let mistake = read.err().map(|stop| match stop {
            ReadEnd::Mistake(mistake) => mistake.to_string(),
            ReadEnd::NotWanted => panic!("events are wanted"),
        });
        (drafts, mistake)
    }

    fn id(text: &str) -> EventId {
        EventId::new(text).unwrap()
    }

    fn event_type(text: &str) -> EventType {
        EventType::new(text).unwrap()
    }

    #[test]
    fn a_line_is_an_event_and_blank_ones_are_passed_over() {
        let text = "{\"topic\":\"a\",\"data\":\"x\\ny\"}\r\n\n \n\
                    {\"data\":{\"n\": 1},\"type\":\"t\",\"id\":\"7\",\"retry\":5}\n\
                    {\"topics\":[\"b\",\"c\"],\"data\":null,\"private\":true,\"via\":\"1/x\"}";
        let (drafts, mistake) = read(FileFormat::Ndjson, &["else"], text);
        assert_eq!(mistake, None);
        let expected = [
            Draft::new("a", "x\ny"),
            Draft::new("else", "{\"n\": 1}")
                .with_type(event_type("t"))
                .with_id(id("7"))
                .with_retry(Duration::from_millis(5)),
            Draft::new("b", "null").with_topic("c").private().with_via("1/x"),
        ];
        assert_eq!(drafts, expected);
    }

    #[test]
    fn each_line_is_an_event_with_whatever_end_and_content() {
        let (drafts, mistake) = read(FileFormat::Lines, &["a"], "one\r\n\n {\"x\": 1} \nlast");
        assert_eq!(mistake, None);
        let expected = ["one", "", " {\"x\": 1} ", "last"].map(|data| Draft::new("a", data));
        assert_eq!(drafts, expected);
        let mut data = Vec::new();
        let template = Template { topics: vec!["a".to_owned()], ..Template::default() };
        let mut give = |draft| {
            data.push(draft);
            Ok(())
        };
        assert!(lines(&b"\xFFa\n"[..], &template, &mut give).is_ok());
        assert_eq!(data, [Draft::new("a", "\u{FFFD}a")]);
    }

    #[test]
    fn a_mistake_names_its_line_and_leaves_the_lines_before_it() {
        for (line, part) in [
            ("{\"data\":\"x\"}", "no topic was given"),
            ("{\"topic\":\"a\"}", "missing field `data`"),
            ("{\"topic\":\"a\",\"data\":\"x\",\"tpye\":\"t\"}", "unknown field `tpye`"),
            ("{\"topic\":\"a\",\"topics\":[\"b\"],\"data\":\"x\"}", "both `topic` and `topics`"),
            ("{\"topic\":\"a\",\"data\":\"x\",\"id\":\"a\\nb\"}", "LF"),
            ("hello", "expected value"),
        ] {
            let text = format!("{{\"topic\":\"a\",\"data\":\"x\"}}\n\n{line}\n");
            let (drafts, mistake) = read(FileFormat::Ndjson, &[], &text);
            assert_eq!(drafts.len(), 1);
            let mistake = mistake.unwrap();
            assert!(mistake.contains("line 3") && mistake.contains(part), "{mistake}");
        }
    }

    #[test]
    fn an_event_stream_keeps_types_and_own_ids_and_leaves_out_what_is_unfinished() {
        let text = ": hi\nretry: 5\nid: 7\nevent: t\ndata: x\n\ndata: y\n\ndata: lost";
        let (drafts, mistake) = read(FileFormat::EventStream, &["a", "b"], text);
        assert_eq!(mistake, None);
        let expected = [
            Draft::new("a", "x").with_topic("b").with_type(event_type("t")).with_id(id("7")),
            Draft::new("a", "y").with_topic("b"),
        ];
        assert_eq!(drafts, expected);
    }
}
