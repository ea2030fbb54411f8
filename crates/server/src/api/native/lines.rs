//! Bodies whose lines are events.

use super::ingest::{BodyItems, EventReader};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::without_mark;
use crate::work;
use memchr::memchr;

/// Makes an event of a line.
pub(super) trait LineFormat: Send {
    /// Maximum size of a line, without its end.
    fn line_bytes_max(&self) -> usize;

    /// Reads the line with this number, counted from one, and adds its event, if it has one.
    fn read(&self, line: &[u8], number: usize, items: &mut BodyItems) -> Result<(), Problem>;
}

/// Cuts a body into lines. A line ends with LF; the last one need not.
#[derive(Debug)]
pub(super) struct Lines<F> {
    format: F,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
    /// Lines that are complete.
    count: usize,
}

impl<F: LineFormat> Lines<F> {
    pub(super) fn new(format: F) -> Self {
        Self { format, unfinished: Vec::new(), count: 0 }
    }

    fn line(&mut self, line: &[u8], items: &mut BodyItems) -> Result<(), Problem> {
        self.count += 1;
        let number = self.count;
        let line = if number == 1 { without_mark(line) } else { line };
        let read = self.format.read(line, number, items);
        read.map_err(|problem| problem.or_with("line", number))
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), Problem> {
        let bytes_max = self.format.line_bytes_max();
        if self.unfinished.len() + rest.len() > bytes_max {
            return Err(line_too_large(bytes_max).with("line", self.count + 1));
        }
        work::looked_at(rest.len());
        self.unfinished.extend_from_slice(rest);
        Ok(())
    }
}

impl<F: LineFormat> EventReader for Lines<F> {
    fn read(&mut self, chunk: &[u8], items: &mut BodyItems) -> Result<(), Problem> {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            work::looked_at(end + 1);
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.unfinished.is_empty() {
                self.line(line, items)?;
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.unfinished);
                self.line(&line, items)?;
            }
        }
        work::looked_at(rest.len());
        self.keep(rest)
    }

    fn unfinished_bytes(&self) -> usize {
        self.unfinished.len()
    }

    fn end(&mut self, items: &mut BodyItems) -> Result<(), Problem> {
        let line = std::mem::take(&mut self.unfinished);
        if line.is_empty() { Ok(()) } else { self.line(&line, items) }
    }
}

pub(super) fn line_too_large(bytes_max: usize) -> Problem {
    let detail = format!("a line of this body has at most {bytes_max} bytes");
    Problem::new(ProblemKind::EventTooLarge, detail).with("bytes_max", bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Skips every line.
    struct Nothing;

    impl LineFormat for Nothing {
        fn line_bytes_max(&self) -> usize {
            usize::MAX
        }

        fn read(&self, _: &[u8], _: usize, _: &mut BodyItems) -> Result<(), Problem> {
            Ok(())
        }
    }

    #[test]
    fn a_body_is_looked_at_in_linear_time_however_it_is_cut() {
        let looked = |body: &[u8], chunk: usize| {
            work::of(|| {
                let (mut lines, mut items) = (Lines::new(Nothing), BodyItems::default());
                for chunk in body.chunks(chunk) {
                    lines.read(chunk, &mut items).unwrap();
                }
                lines.end(&mut items).unwrap();
            })
        };
        for body in [b"a\n".repeat(1 << 20), b"x".repeat(1 << 20), b"\n".repeat(1 << 20)] {
            for chunk in [1, 7, 4096, 1 << 20] {
                let all = looked(&body, chunk);
                assert!(all <= 2 * body.len(), "{all} for {} bytes", body.len());
            }
        }
    }
}
