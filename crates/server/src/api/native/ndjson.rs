//! Events as lines of JSON.

use memchr::memchr;
use tidings_hub::Draft;

use super::ingest::EventReader;
use super::json_event::{TextPosition, draft};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::utf8;

/// Cuts a body into lines, of which each is an event. Blank lines are skipped.
#[derive(Debug)]
pub(super) struct Lines {
    line_bytes_max: usize,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
    /// Lines that are complete.
    count: usize,
}

impl Lines {
    /// For events of `event_bytes_max` bytes at most.
    pub(super) fn new(event_bytes_max: usize) -> Self {
        /// Bytes that spell one byte of an event at most: `\u0000`.
        const ESCAPED: usize = 6;
        /// Room for topics and names of members.
        const REST_BYTES_MAX: usize = 64 * 1024;
        let line_bytes_max = event_bytes_max.saturating_mul(ESCAPED).saturating_add(REST_BYTES_MAX);
        Self { line_bytes_max, unfinished: Vec::new(), count: 0 }
    }

    fn line(&mut self, line: &[u8], drafts: &mut Vec<Draft>) -> Result<(), Problem> {
        self.count += 1;
        let count = self.count;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let draft = utf8(line).and_then(|line| draft(line, TextPosition::at_line(count)));
        drafts.push(draft.map_err(|problem| problem.or_with("line", count))?);
        Ok(())
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), Problem> {
        let bytes_max = self.line_bytes_max;
        if self.unfinished.len() + rest.len() > bytes_max {
            let detail = format!(
                "a line has at most {bytes_max} bytes, including the JSON around its event"
            );
            let problem = Problem::new(ProblemKind::EventTooLarge, detail);
            return Err(problem.with("line", self.count + 1));
        }
        self.unfinished.extend_from_slice(rest);
        Ok(())
    }
}

impl EventReader for Lines {
    fn read(&mut self, chunk: &[u8], drafts: &mut Vec<Draft>) -> Result<(), Problem> {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.unfinished.is_empty() {
                self.line(line, drafts)?;
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.unfinished);
                self.line(&line, drafts)?;
            }
        }
        self.keep(rest)
    }

    fn end(&mut self, drafts: &mut Vec<Draft>) -> Result<(), Problem> {
        let line = std::mem::take(&mut self.unfinished);
        self.line(&line, drafts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], cut: usize) -> (Vec<String>, Option<Problem>) {
        let mut lines = Lines::new(1024);
        let mut drafts = Vec::new();
        let (first, second) = text.split_at(cut);
        let read = lines
            .read(first, &mut drafts)
            .and_then(|()| lines.read(second, &mut drafts))
            .and_then(|()| lines.end(&mut drafts));
        let data = drafts.iter().map(|draft| draft.event().data().to_owned()).collect();
        (data, read.err())
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
        let mut lines = Lines::new(0);
        let mut drafts = Vec::new();
        let limit = vec![b' '; 64 * 1024];
        assert!(lines.read(&limit, &mut drafts).is_ok());
        let problem = lines.read(b" ", &mut drafts).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::EventTooLarge);
        assert_eq!(problem.to_members()["line"], 1);
    }
}
