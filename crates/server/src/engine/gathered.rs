//! Events gathered for one write.

use std::io::Write as _;
use std::sync::Arc;

use http::Version;
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
    /// The framing for a version of HTTP.
    pub(crate) fn of(version: Version) -> Self {
        match version {
            Version::HTTP_09 | Version::HTTP_10 => Self::Close,
            _ => Self::Chunked,
        }
    }

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

    /// An event of the history.
    pub(super) fn event(self, block: &Block, index: usize) -> &[u8] {
        match self {
            Self::Chunked => block.chunk(index),
            Self::Close => block.frame(index),
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
    /// The places of large events in history, in the order of their ends.
    large: Vec<(usize, SharedEvent)>,
}

/// Events of at least this size are shared with history if a write is cut in them; the rest of a
/// smaller one is cheaper to copy.
pub(super) const LARGE_BYTES_MIN: usize = 4 * 1024;

/// An event in a block of history, which lives for as long as this does.
#[derive(Clone, Debug)]
pub(super) struct SharedEvent {
    pub(super) block: Arc<Block>,
    pub(super) index: usize,
    pub(super) framing: Framing,
}

impl SharedEvent {
    pub(super) fn sequence(&self) -> Sequence {
        self.block.sequence(self.index)
    }

    /// The event, framed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.framing.event(&self.block, self.index)
    }
}

/// The point where a write of gathered events was cut.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    /// The last event of which at least a part was written, if any.
    pub(super) sequence: Option<Sequence>,
    /// The number of events of which at least a part was written.
    pub(super) begun: u64,
    /// The unwritten rest of the last one.
    pub(super) rest: &'a [u8],
    /// The place of the last one in history, if it is large.
    pub(super) large: Option<&'a SharedEvent>,
}

impl Gathered {
    pub(super) fn clear(&mut self) {
        /// Room that is kept: a write of small events. A large event may take far more.
        const KEPT_BYTES_MAX: usize = 128 * 1024;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.ends.clear();
        self.large.clear();
    }

    pub(super) fn push(&mut self, block: &Arc<Block>, index: usize, framing: Framing) {
        let event = framing.event(block, index);
        self.bytes.extend_from_slice(event);
        let end = self.bytes.len();
        self.ends.push((end, block.sequence(index)));
        if event.len() >= LARGE_BYTES_MIN {
            let block = Arc::clone(block);
            self.large.push((end, SharedEvent { block, index, framing }));
        }
    }

    /// Adds an event whose text is not the one in history.
    pub(super) fn push_text(&mut self, sequence: Sequence, text: &[u8], framing: Framing) {
        framing.frame(text, &mut self.bytes);
        self.ends.push((self.bytes.len(), sequence));
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
                large: self.large_at(end),
            },
            _ => Cut {
                sequence: whole.checked_sub(1).map(|last| self.ends[last].1),
                begun: whole as u64,
                rest: &[],
                large: None,
            },
        }
    }

    /// The large event that ends here.
    fn large_at(&self, end: usize) -> Option<&SharedEvent> {
        let at = self.large.binary_search_by_key(&end, |(end, _)| *end).ok()?;
        Some(&self.large[at].1)
    }
}
