//! Events as lines of text: logs, progress reports, the output of shell loops.

use tidings_hub::{Draft, Event, EventType, Topics};

use super::event_parts::EventParts;
use super::ingest::BodyItems;
use super::lines::{LineFormat, line_too_large};
use super::query_topics::query_topics;
use crate::http::problem::Problem;
use crate::http::request::{Query, utf8};

/// The name of the parameter that asks for lines, whatever the content type: some programs that
/// stream lines cannot set one.
pub(super) const LINES: &str = "lines";

/// Every line is the data of an event.
#[derive(Debug)]
pub(super) struct TextLines {
    topics: Topics,
    event_type: EventType,
    event_bytes_max: usize,
}

impl TextLines {
    /// For the topics and the type that the query names.
    pub(super) fn new(query: &Query, event_bytes_max: usize) -> Result<Self, Problem> {
        if query.one(LINES)?.is_some_and(|value| !value.is_empty()) {
            return Err(Problem::invalid_parameter(LINES, "it has no value, as in '&lines'"));
        }
        let event_type = query.one("type")?.map(str::to_owned);
        let parts = EventParts { event_type, ..EventParts::default() };
        let event_type = parts.into_event("")?.event_type().clone();
        let topics = query_topics(query, "lines do not say their topic")?;
        Ok(Self { topics, event_type, event_bytes_max })
    }
}

impl TextLines {
    /// The topics that its events are published to.
    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }
}

impl LineFormat for TextLines {
    /// A CR before the end is not part of the event.
    fn line_bytes_max(&self) -> usize {
        self.event_bytes_max.saturating_add(1)
    }

    /// Empty lines are skipped: they separate, and say nothing themselves.
    fn read(&self, line: &[u8], _: usize, items: &mut BodyItems) -> Result<(), Problem> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > self.event_bytes_max {
            return Err(line_too_large(self.event_bytes_max));
        }
        let event = Event::new(utf8(line)?).with_type(self.event_type.clone());
        items.push(Draft::new(self.topics.clone(), event));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ingest::read_cut;
    use super::super::lines::Lines;
    use super::*;
    use crate::http::problem::ProblemKind;

    fn read(text: &[u8], cut: usize) -> (Vec<String>, Option<Problem>) {
        let query = Query::parse(Some("topic=a&lines")).unwrap();
        read_cut(Lines::new(TextLines::new(&query, 8).unwrap()), text, cut)
    }

    #[track_caller]
    fn check(text: &[u8], data: &[&str]) {
        for cut in 0..=text.len() {
            let (found, problem) = read(text, cut);
            assert_eq!(found, data, "cut after byte {cut}");
            assert!(problem.is_none(), "cut after byte {cut}");
        }
    }

    #[test]
    fn each_line_is_an_event_whether_lf_or_crlf_ends_it() {
        check("one\r\ntwo ü\nthree\n".as_bytes(), &["one", "two ü", "three"]);
        check(b"a\rb\n", &["a\rb"]);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        check(b"one\ntwo", &["one", "two"]);
        check(b"", &[]);
    }

    #[test]
    fn empty_lines_are_skipped_and_blanks_are_kept() {
        check(b"\n\r\n  \n\none\n\n", &["  ", "one"]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_line() {
        check("\u{feff}one\n\u{feff}two".as_bytes(), &["one", "\u{feff}two"]);
    }

    #[test]
    fn the_longest_line_is_taken_and_one_byte_more_is_refused_with_its_number() {
        check(b"12345678\r\n", &["12345678"]);
        let text = b"\none\n1234567890\nfour\n";
        for cut in 0..=text.len() {
            let (data, problem) = read(text, cut);
            let problem = problem.unwrap();
            assert_eq!(data, ["one"], "cut after byte {cut}");
            assert_eq!(problem.kind(), ProblemKind::EventTooLarge, "cut after byte {cut}");
            assert_eq!(problem.to_members()["line"], 3, "cut after byte {cut}");
        }
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_refused_with_its_number() {
        let (data, problem) = read(b"one\n\xff\n", 2);
        assert_eq!(data, ["one"]);
        assert_eq!(problem.unwrap().to_members()["line"], 2);
    }

    #[test]
    fn the_parameter_has_no_value() {
        for (text, is_legal) in [
            ("topic=a&lines", true),
            ("topic=a", true),
            ("topic=a&lines=no", false),
            ("lines", false),
        ] {
            let query = Query::parse(Some(text)).unwrap();
            assert_eq!(TextLines::new(&query, 8).is_ok(), is_legal, "{text}");
        }
    }
}
