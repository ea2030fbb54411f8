//! The idempotency keys of a segment, as its footer has them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::bytes::{Input, Salt, put_text, put_varint};
use super::fetch::fetch;
use super::index::MemoryIndex;
use super::record::Decoded;
use super::segment::Located;
use super::storage::StorageFile;
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::keys::KeySpan;
use crate::time::Time;

/// The spans of a segment, while they are collected.
#[derive(Default)]
pub(super) struct KeySpans {
    spans: Vec<KeySpan>,
    /// The newest span of each request.
    newest: HashMap<Arc<str>, usize>,
}

impl KeySpans {
    pub(super) fn push(&mut self, key: &IdempotencyKey, sequence: Sequence, time: Time) {
        if let Some(&at) = self.newest.get(key.text()) {
            let span = &mut self.spans[at];
            if span.index + span.len == key.index()
                && span.sequence.get() + span.len == sequence.get()
            {
                span.len += 1;
                span.time = time;
                return;
            }
        }
        self.newest.insert(Arc::clone(key.text()), self.spans.len());
        let (text, index) = (Arc::clone(key.text()), key.index());
        self.spans.push(KeySpan { text, index, sequence, len: 1, time });
    }

    /// Encodes the spans.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for span in &self.spans {
            put_text(&mut out, &span.text);
            put_varint(&mut out, span.index);
            put_varint(&mut out, span.sequence.get());
            put_varint(&mut out, span.len);
            put_varint(&mut out, span.time.unix_millis());
        }
        out
    }

    pub(super) fn into_spans(self) -> Vec<KeySpan> {
        self.spans
    }
}

/// Decodes spans. `None` if they are malformed.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<KeySpan>> {
    let mut input = Input(bytes);
    let mut spans = Vec::new();
    while !input.0.is_empty() {
        spans.push(KeySpan {
            text: input.text()?.into(),
            index: input.varint()?,
            sequence: Sequence::new(input.varint()?)?,
            len: input.varint()?,
            time: Time::from_unix_millis(input.varint()?),
        });
    }
    Some(spans)
}

/// Collects the spans of an unsealed segment from its records.
///
/// Keys are read from the file rather than kept in memory: most segments have none, and some have many.
pub(super) fn gather(
    file: &dyn StorageFile,
    salt: Salt,
    keyed: &[Located],
) -> io::Result<KeySpans> {
    let mut spans = KeySpans::default();
    fetch(file, salt, keyed, &mut |_, found| {
        if let Some(Decoded::Known(record)) = found
            && let Some(key) = &record.key
        {
            spans.push(key, record.entry.sequence, record.entry.time);
        }
        true
    })?;
    Ok(spans)
}

/// Returns the positions of the records with an idempotency key.
pub(super) fn keyed(index: &MemoryIndex, base: Sequence) -> Vec<Located> {
    let place = |&number: &u32| {
        let (placed, end) = index.records(number, 1);
        let placed = placed.first()?;
        let sequence = Sequence::new(base.get() + u64::from(placed.delta))?;
        Some(Located { sequence, at: placed.at.into(), end: end.into() })
    };
    index.keyed().iter().filter_map(place).collect()
}
