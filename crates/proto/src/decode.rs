//! Event stream text to events, in whatever chunks it comes.
//!
//! ```text
//!             ┌───────────────── a line ends ─────────────────┐
//!             ▼                                               │
//!   BOM? ─▶ line start ── chunk ends in a line ─▶ unfinished ─┘
//!             │
//!             └─ blank line: commit the ID, dispatch the event
//! ```
//!
//! One call walks over the lines of its input and keeps what it finds of the block as slices of
//! that input ([`Found`]). When the block ends there too, the event is lent from those slices.
//! Whenever a call must return before that, it keeps the slices in the decoder's own buffers
//! ([`Kept`]), and the beginning of a line that was cut off goes to `unfinished`. A block that is
//! one line of data goes a shorter way, [`Decoder::lone_data`], which gives up without a trace.
//!
//! So every byte is looked at for a line end at most twice (by the short way and the long one), and
//! copied at most twice (into `unfinished` and from there into its field), however the stream is
//! cut.

mod block;
mod cut;
mod item;
mod limits;
mod line;
mod utf8;

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use memchr::{memchr, memchr2};

use block::{Found, Kept, RECYCLED_BYTES_MAX, recycle};
pub use item::{EventBuf, EventRef, Item};
pub use limits::{LimitExceeded, Limits};
use line::{Line, parse_retry};

use crate::event_type::MESSAGE;

/// Reads an event stream: bytes in, one [`Item`] at a time out.
///
/// It follows the last event ID from one connection to the next, so an event source keeps one
/// decoder for its whole life and calls [`end_of_stream`](Self::end_of_stream) in between.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
    /// `kept` was lent out with an event and is cleared by the next call.
    dispatched: bool,
    /// The beginning of a line whose end has not come, in [`State::InLine`].
    unfinished: Vec<u8>,
    kept: Kept,
    last_event_id: String,
    /// Where malformed text is rebuilt with U+FFFD: data here, a type or a comment below.
    data_text: String,
    other_text: String,
}

impl Decoder {
    /// Makes a decoder with the default [`Limits`], before the first byte of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Makes a decoder that holds no more than `limits` allow.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Bom { matched: 0 },
            dispatched: false,
            unfinished: Vec::new(),
            kept: Kept::default(),
            last_event_id: String::new(),
            data_text: String::new(),
            other_text: String::new(),
        }
    }

    /// Starts from a place known from elsewhere, as if `id` had been read in an earlier stream.
    ///
    /// The standard's letter has each response begin with an empty ID; browsers carry the old one
    /// over, and so does this: otherwise an event without an ID would lose the reader's place.
    #[must_use]
    pub fn with_last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = id.into();
        self
    }

    /// Returns the ID to continue after: the one most recently committed, or empty.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Returns the number of bytes that are kept of an event whose end has not come.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        let Kept { data, event_type, id, .. } = &self.kept;
        self.unfinished.len() + data.len() + event_type.len() + id.len()
    }

    /// Returns the limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads on in `input` to the next item, and moves `input` past what was read.
    ///
    /// `None` means that all of `input` was read: the next call brings the next chunk. An item is
    /// returned as soon as the byte that completes it was seen; a line ended by a bare CR does not
    /// wait for the LF that might follow.
    ///
    /// The item borrows from `input` where it lies there whole and well-formed, and otherwise from
    /// the decoder, until the next call.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] if an event has more bytes than the limits allow. The last event ID is
    /// still that of the event before it; the pending block is gone, and every further call is
    /// answered alike until [`end_of_stream`](Self::end_of_stream).
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Item<'a>>, LimitExceeded> {
        if self.dispatched {
            self.forget_event();
        }
        let resumed = match self.state {
            State::LineStart => {
                if let Some(data) = self.lone_data(input) {
                    return Ok(Some(Item::Event(EventRef {
                        event_type: MESSAGE,
                        data: utf8::decode(data, &mut self.data_text),
                        last_event_id: &self.last_event_id,
                        has_id: false,
                    })));
                }
                Ok(None)
            }
            _ => self.resume(input),
        };
        let mut found = Found { bytes: self.kept.bytes, ..Found::default() };
        let step = match resumed {
            Ok(Some(step)) => Ok(step),
            Ok(None) => self.advance(&mut found, input),
            Err(exceeded) => Err(exceeded),
        };
        match step {
            Ok(Step::ChunkEnd) => Ok(None),
            Ok(Step::Event { has_id }) => Ok(Some(Item::Event(self.lend(found, has_id)))),
            Ok(Step::Id) => Ok(Some(Item::Id(&self.last_event_id))),
            Ok(Step::Retry(time)) => Ok(Some(Item::Retry(time))),
            Ok(Step::Comment(raw)) => {
                let raw = utf8::cut(raw, self.limits.comment_bytes_max());
                Ok(Some(Item::Comment(utf8::decode(raw, &mut self.other_text))))
            }
            Ok(Step::CutComment) => Ok(Some(Item::Comment(&self.other_text))),
            Err(exceeded) => {
                self.forget_block();
                self.state = State::Exceeded;
                Err(exceeded)
            }
        }
    }

    /// Ends this stream: what is pending is discarded, and the next byte is the first of another.
    ///
    /// An event that no blank line followed is not dispatched, even if its last line was whole. The
    /// last event ID stays.
    pub fn end_of_stream(&mut self) {
        self.forget_block();
        self.state = State::Bom { matched: 0 };
    }

    /// Takes a block that is one line of data, ended by LF, off `input`: most blocks of most
    /// streams are, and by the long way each would cost twice as much.
    #[inline(always)]
    fn lone_data<'i>(&self, input: &mut &'i [u8]) -> Option<&'i [u8]> {
        let rest = Line::strip_data(input)?;
        let end = find_line_end(rest)?;
        let (data, after) = rest.split_at(end);
        let after = after.strip_prefix(b"\n\n")?;
        if !self.kept.is_clear() || data.len() > self.limits.event_bytes_max() {
            return None;
        }
        *input = after;
        Some(data)
    }

    /// Walks over whole lines until one of them is an item or the chunk ends.
    fn advance<'i>(
        &mut self,
        found: &mut Found<'i>,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, LimitExceeded> {
        let mut rest = *input;
        loop {
            let step = if let [b'\n', after @ ..] = rest {
                rest = after;
                self.end_block(found)
            } else {
                let Some(end) = find_line_end(rest) else {
                    *input = &[];
                    return self.keep_rest(found, rest);
                };
                let line = &rest[..end];
                rest = self.after_line_end(rest, end);
                match line {
                    [] => self.end_block(found),
                    _ => self.read_line(Line::parse(line), found)?,
                }
            };
            if let Some(step) = step {
                *input = rest;
                return Ok(step);
            }
        }
    }

    /// Keeps what was found of a block that the chunk does not end.
    fn keep_rest<'i>(
        &mut self,
        found: &mut Found<'_>,
        rest: &[u8],
    ) -> Result<Step<'i>, LimitExceeded> {
        self.kept.keep(mem::take(found));
        if !rest.is_empty() {
            self.keep_unfinished(rest)?;
            self.state = State::InLine;
        }
        Ok(Step::ChunkEnd)
    }

    /// Applies one line that is not blank to the pending block.
    #[inline(always)]
    fn read_line<'i>(
        &mut self,
        line: Line<'i>,
        found: &mut Found<'i>,
    ) -> Result<Option<Step<'i>>, LimitExceeded> {
        match line {
            Line::Data(value) => {
                if found.data.is_none() && !self.kept.has_data {
                    self.count(found, value.len())?;
                    found.data = Some(value);
                } else {
                    self.count(found, value.len() + "\n".len())?;
                    if let Some(first) = found.data.take() {
                        self.kept.push_data(first);
                    }
                    self.kept.push_data(value);
                }
            }
            Line::Event(value) => {
                self.count(found, value.len())?;
                found.event_type = Some(value);
            }
            Line::Id(value) => {
                self.count(found, value.len())?;
                if memchr(b'\0', value).is_none() {
                    found.id = Some(value);
                }
            }
            Line::Retry(value) => {
                if value.len() > self.limits.event_bytes_max() {
                    return Err(self.limit_exceeded());
                }
                let step = parse_retry(value).map(Step::Retry);
                if step.is_some() {
                    self.kept.keep(mem::take(found));
                }
                return Ok(step);
            }
            Line::Comment(raw) => {
                self.kept.keep(mem::take(found));
                return Ok(Some(Step::Comment(raw)));
            }
            Line::Unknown => {}
        }
        Ok(None)
    }

    #[inline(always)]
    fn count(&self, found: &mut Found<'_>, bytes: usize) -> Result<(), LimitExceeded> {
        found.bytes = found.bytes.saturating_add(bytes);
        if found.bytes > self.limits.event_bytes_max() {
            return Err(self.limit_exceeded());
        }
        Ok(())
    }

    /// Ends the block at a blank line, by the standard's steps in their order.
    #[inline(always)]
    fn end_block<'i>(&mut self, found: &mut Found<'_>) -> Option<Step<'i>> {
        let has_id = match found.id {
            Some(id) => {
                commit(&mut self.last_event_id, id);
                true
            }
            None if self.kept.has_id => {
                commit(&mut self.last_event_id, &self.kept.id);
                true
            }
            None => false,
        };
        if found.data.is_some() || self.kept.has_data {
            self.dispatched = !self.kept.is_clear();
            return Some(Step::Event { has_id });
        }
        *found = Found::default();
        if !self.kept.is_clear() {
            self.kept.clear();
        }
        has_id.then_some(Step::Id)
    }

    /// Puts the event together from what the block's end left in `found` and `kept`.
    #[inline(always)]
    fn lend<'a>(&'a mut self, found: Found<'a>, has_id: bool) -> EventRef<'a> {
        let event_type = found.event_type.unwrap_or(&self.kept.event_type);
        EventRef {
            event_type: match event_type {
                [] => MESSAGE,
                raw => utf8::decode(raw, &mut self.other_text),
            },
            data: utf8::decode(found.data.unwrap_or(&self.kept.data), &mut self.data_text),
            last_event_id: &self.last_event_id,
            has_id,
        }
    }

    /// Returns what follows the line end at `end`, and remembers a CR whose LF may yet come.
    #[inline(always)]
    fn after_line_end<'i>(&mut self, input: &'i [u8], end: usize) -> &'i [u8] {
        let rest = &input[end + 1..];
        if input[end] == b'\n' {
            return rest;
        }
        match rest {
            [] => {
                self.state = State::AfterCr;
                rest
            }
            [b'\n', rest @ ..] => rest,
            _ => rest,
        }
    }

    #[cold]
    fn limit_exceeded(&self) -> LimitExceeded {
        LimitExceeded { event_bytes_max: self.limits.event_bytes_max() }
    }

    fn forget_block(&mut self) {
        self.forget_event();
        recycle(&mut self.unfinished);
    }

    fn forget_event(&mut self) {
        self.dispatched = false;
        self.kept.clear();
        if self.data_text.capacity() > RECYCLED_BYTES_MAX {
            self.data_text = String::new();
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the end of the chunk before has cut the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of a BOM have been seen, and nothing else.
    Bom {
        matched: usize,
    },
    LineStart,
    /// A CR ended the line before: an LF that comes next belongs to it.
    AfterCr,
    InLine,
    Exceeded,
}

/// The reason why [`Decoder::advance`] stopped.
enum Step<'i> {
    ChunkEnd,
    Event {
        has_id: bool,
    },
    Id,
    Retry(Duration),
    Comment(&'i [u8]),
    /// The comment came in pieces; its text is in [`Decoder::other_text`].
    CutComment,
}

fn commit(last_event_id: &mut String, id: &[u8]) {
    if last_event_id.capacity() > RECYCLED_BYTES_MAX {
        *last_event_id = String::new();
    }
    last_event_id.clear();
    utf8::push(last_event_id, id);
}

#[inline]
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let end = memchr2(b'\n', b'\r', bytes);
    #[cfg(test)]
    work::scanned(end.map_or(bytes.len(), |end| end + 1));
    end
}

#[cfg(test)]
mod work;

#[cfg(test)]
mod tests;
