//! Lines that the end of a chunk has cut in two.

use core::mem;

use super::block::{Found, recycle};
use super::line::Line;
#[cfg(test)]
use super::work;
use super::{Decoder, LimitExceeded, State, Step, find_line_end, utf8};

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Decoder {
    /// Takes up what the end of the chunk before cut in two. `None`: a line starts at `input`.
    #[cold]
    pub(super) fn resume<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Step<'i>>, LimitExceeded> {
        if let State::Bom { matched } = self.state {
            self.skip_bom(matched, input);
        }
        match self.state {
            State::LineStart | State::Bom { .. } => Ok(None),
            State::AfterCr => {
                if let Some(first) = input.first() {
                    if *first == b'\n' {
                        *input = &input[1..];
                    }
                    self.state = State::LineStart;
                }
                Ok(None)
            }
            State::InLine => {
                let Some(end) = find_line_end(input) else {
                    self.keep_unfinished(input)?;
                    *input = &[];
                    return Ok(Some(Step::ChunkEnd));
                };
                self.keep_unfinished(&input[..end])?;
                self.state = State::LineStart;
                *input = self.after_line_end(input, end);
                self.finish_line()
            }
            State::Exceeded => Err(self.limit_exceeded()),
        }
    }

    /// Matches the one BOM a stream may start with, byte by byte, since it may be cut too.
    fn skip_bom(&mut self, mut matched: usize, input: &mut &[u8]) {
        while let Some((first, rest)) = input.split_first() {
            if *first != BOM[matched] {
                // It was the beginning of a line after all.
                self.unfinished.extend_from_slice(&BOM[..matched]);
                self.state = if matched == 0 { State::LineStart } else { State::InLine };
                return;
            }
            matched += 1;
            *input = rest;
            if matched == BOM.len() {
                self.state = State::LineStart;
                return;
            }
        }
        self.state = State::Bom { matched };
    }

    /// Reads the line that `unfinished` holds whole.
    fn finish_line<'i>(&mut self) -> Result<Option<Step<'i>>, LimitExceeded> {
        let line = mem::take(&mut self.unfinished);
        let mut found = Found { bytes: self.kept.bytes, ..Found::default() };
        let step = match self.read_line(Line::parse(&line), &mut found)? {
            Some(Step::Comment(raw)) => {
                self.other_text.clear();
                let raw = utf8::cut(raw, self.limits.comment_bytes_max());
                utf8::push(&mut self.other_text, raw);
                Some(Step::CutComment)
            }
            Some(Step::Retry(time)) => Some(Step::Retry(time)),
            _ => {
                self.kept.keep(found);
                None
            }
        };
        self.unfinished = line;
        recycle(&mut self.unfinished);
        Ok(step)
    }

    /// Keeps more of a line without an end, but no more than its kind calls for.
    pub(super) fn keep_unfinished(&mut self, bytes: &[u8]) -> Result<(), LimitExceeded> {
        let head_len = Line::HEAD_LEN.saturating_sub(self.unfinished.len()).min(bytes.len());
        let (head, tail) = bytes.split_at(head_len);
        #[cfg(test)]
        work::copied(bytes.len());
        self.unfinished.extend_from_slice(head);
        if self.unfinished.len() < Line::HEAD_LEN && !self.unfinished.contains(&b':') {
            // What is `data` so far may become `database`, so it counts for nothing yet.
            return Ok(());
        }
        let tail_max = match Line::parse(&self.unfinished) {
            Line::Unknown => 0,
            // One byte more than is kept tells that the comment was cut.
            Line::Comment(text) => {
                self.limits.comment_bytes_max().saturating_add(1).saturating_sub(text.len())
            }
            Line::Data(value) => {
                let separator = usize::from(self.kept.has_data);
                self.check(self.kept.bytes.saturating_add(separator), value, tail)?
            }
            Line::Event(value) | Line::Id(value) => self.check(self.kept.bytes, value, tail)?,
            Line::Retry(value) => self.check(0, value, tail)?,
        };
        self.unfinished.extend_from_slice(&tail[..tail.len().min(tail_max)]);
        Ok(())
    }

    fn check(&self, before: usize, value: &[u8], tail: &[u8]) -> Result<usize, LimitExceeded> {
        let bytes = before.saturating_add(value.len()).saturating_add(tail.len());
        match bytes > self.limits.event_bytes_max() {
            true => Err(self.limit_exceeded()),
            false => Ok(tail.len()),
        }
    }
}
