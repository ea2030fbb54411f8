//! Events gathered for one write.

use std::io::Write as _;

use tidings_hub::Sequence;
use tidings_hub::engine::Block;

/// How a stream's bytes are framed on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// HTTP/1.1's chunked coding (RFC 9112, section 7.1).
    Chunked,
    /// HTTP/1.0: the end of the connection is the end of the stream.
    Close,
}

impl Framing {
    /// Appends text that is not an event of the history.
    pub(crate) fn frame(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Chunked => {
                write!(out, "{:x}\r\n", text.len()).expect("memory takes all");
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Close => out.extend_from_slice(text),
        }
    }

    /// The bytes that end a stream's body.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"0\r\n\r\n",
            Self::Close => b"",
        }
    }
}

/// Encoded events in sequence, and the end of each.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    ends: Vec<(usize, Sequence)>,
}

/// The point where a write of gathered events was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut<'a> {
    /// The last event of which at least a part was written, if any.
    pub(super) sequence: Option<Sequence>,
    /// The number of events of which at least a part was written.
    pub(super) begun: u64,
    /// The unwritten rest of the last one.
    pub(super) rest: &'a [u8],
}

impl Gathered {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, block: &Block, index: usize, framing: Framing) {
        self.bytes.extend_from_slice(match framing {
            Framing::Chunked => block.chunk(index),
            Framing::Close => block.frame(index),
        });
        self.ends.push((self.bytes.len(), block.sequence(index)));
    }

    /// The number of bytes that fit without another allocation.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The last event.
    pub(super) fn last(&self) -> Option<Sequence> {
        self.ends.last().map(|(_, sequence)| *sequence)
    }

    /// The first event.
    pub(super) fn first(&self) -> Option<Sequence> {
        self.ends.first().map(|(_, sequence)| *sequence)
    }

    /// The number of events.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Splits the gathered events at `written` bytes.
    pub(super) fn cut(&self, written: usize) -> Cut<'_> {
        let whole = self.ends.partition_point(|(end, _)| *end <= written);
        let start = whole.checked_sub(1).map_or(0, |last| self.ends[last].0);
        match self.ends.get(whole) {
            Some(&(end, sequence)) if written > start => Cut {
                sequence: Some(sequence),
                begun: whole as u64 + 1,
                rest: &self.bytes[written..end],
            },
            _ => Cut {
                sequence: whole.checked_sub(1).map(|last| self.ends[last].1),
                begun: whole as u64,
                rest: &[],
            },
        }
    }
}
