//! Events as lines of JSON.

use super::ingest::BodyItems;
use super::json_event::{JsonContent, JsonObject, TextPosition, object};
use super::lines::LineFormat;
use crate::http::problem::Problem;
use crate::http::request::utf8;

/// Every line is an event in JSON. Blank lines are skipped.
#[derive(Debug)]
pub(super) struct JsonLines {
    line_bytes_max: usize,
}

impl JsonLines {
    /// For events of `event_bytes_max` bytes at most.
    pub(super) fn new(event_bytes_max: usize) -> Self {
        /// Bytes that spell one byte of an event at most: `\u0000`.
        const ESCAPED: usize = 6;
        /// Room for topics and names of members.
        const REST_BYTES_MAX: usize = 64 * 1024;
        let line_bytes_max = event_bytes_max.saturating_mul(ESCAPED).saturating_add(REST_BYTES_MAX);
        Self { line_bytes_max }
    }
}

impl LineFormat for JsonLines {
    fn line_bytes_max(&self) -> usize {
        self.line_bytes_max
    }

    fn read(&self, line: &[u8], number: usize, items: &mut BodyItems) -> Result<(), Problem> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match object(utf8(line)?, TextPosition::at_line(number))? {
            JsonObject { event: JsonContent::Event(draft), begin: false, end: None } => {
                items.push(draft);
            }
            object => items.push_append(object),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ingest::{BodyItems, EventReader as _, read_cut};
    use super::super::lines::Lines;
    use super::*;
    use crate::http::problem::ProblemKind;

    fn read(text: &[u8], cut: usize) -> (Vec<String>, Option<Problem>) {
        read_cut(Lines::new(JsonLines::new(1024)), text, cut)
    }

    #[test]
    fn each_line_is_an_event_however_the_body_is_cut() {
        let text = "{\"topic\":\"a\",\"data\":\"ü\"}\r\n\n  \n{\"topic\":\"a\",\"data\":2}";
        for cut in 0..=text.len() {
            let (data, problem) = read(text.as_bytes(), cut);
            assert_eq!(data, ["ü", "2"], "cut after byte {cut}");
            assert!(problem.is_none());
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_read_over() {
        let text = "\u{feff}{\"topic\":\"a\",\"data\":1}\n";
        for cut in 0..=text.len() {
            let (data, problem) = read(text.as_bytes(), cut);
            assert_eq!(data, ["1"], "cut after byte {cut}");
            assert!(problem.is_none());
        }
    }

    #[test]
    fn a_wrong_line_ends_the_reading_and_is_told_by_its_number() {
        let text =
            b"{\"topic\":\"a\",\"data\":1}\n\n{\"topic\":\"a\"}\n{\"topic\":\"a\",\"data\":3}\n";
        for cut in 0..=text.len() {
            let (data, problem) = read(text, cut);
            assert_eq!(data, ["1"], "cut after byte {cut}");
            assert_eq!(problem.unwrap().to_members()["line"], 3, "cut after byte {cut}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_its_limit() {
        let mut lines = Lines::new(JsonLines::new(0));
        let mut items = BodyItems::default();
        let limit = vec![b' '; 64 * 1024];
        assert!(lines.read(&limit, &mut items).is_ok());
        let problem = lines.read(b" ", &mut items).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::EventTooLarge);
        assert_eq!(problem.to_members()["line"], 1);
    }
}
