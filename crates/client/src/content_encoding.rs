//! Undoing a response's content encoding, a piece at a time.
//!
//! Every piece of input yields all the output it can, because a stream's next event must not wait
//! for the one after it. That is why this works on bytes that are there instead of wrapping a
//! reader: a reader fills its buffer first.

use std::fmt;
use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// What is asked for; everything named here can be undone.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br, zstd";

/// Input that gzip takes at a time. Deflate packs a thousandfold at most, so this bounds what a
/// hostile server can make of one step to 4 MiB; the other two formats have no such bound, and
/// are stopped by the room they are given.
const GZIP_INPUT_STEP_BYTES: usize = 4 << 10;

/// Room for output that brotli and zstd are given at a time.
const OUTPUT_STEP_BYTES: usize = 64 << 10;

/// The largest zstd window accepted: 8 MiB, what RFC 9659 grants a sender.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// An encoding that was not asked for. Holds its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownEncoding(pub(crate) String);

/// A response body on its way back to what was encoded.
pub(crate) struct Unpacker {
    codec: Codec,
    state: Member,
}

/// What remains after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The decompressor has more output, even without further input.
    More,
    /// All that the input taken so far stands for has come out.
    Drained,
}

/// Whether the input so far ended where an encoding may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Untouched,
    Open,
}

enum Codec {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Brotli { state: Box<Brotli>, complete: bool },
    Zstd { context: DCtx<'static>, complete: bool },
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Identity => "identity",
            Codec::Gzip(_) => "gzip",
            Codec::Brotli { .. } => "br",
            Codec::Zstd { .. } => "zstd",
        };
        f.debug_struct("Unpacker").field("codec", &codec).finish_non_exhaustive()
    }
}

impl Unpacker {
    pub(crate) fn identity() -> Self {
        Self { codec: Codec::Identity, state: Member::Untouched }
    }

    /// Chooses by the response's `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, UnknownEncoding> {
        let mut codec = Codec::Identity;
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        for name in names.map(<[u8]>::trim_ascii) {
            codec = match (&codec, name.to_ascii_lowercase().as_slice()) {
                (_, b"" | b"identity") => continue,
                (Codec::Identity, b"gzip" | b"x-gzip") => gzip(),
                (Codec::Identity, b"br") => brotli(),
                (Codec::Identity, b"zstd") => zstd(),
                // One encoding upon another is legal, and nobody does it to a stream.
                _ => return Err(UnknownEncoding(String::from_utf8_lossy(name).into_owned())),
            };
        }
        Ok(Self { codec, state: Member::Untouched })
    }

    /// Whether bytes pass through unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.codec, Codec::Identity)
    }

    /// Takes a step's worth from `input` and appends what it stands for to `output`: never more
    /// than a few MiB, whatever the input claims.
    ///
    /// # Errors
    ///
    /// If the input is not what its encoding says. Nothing after that can be understood.
    pub(crate) fn unpack(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> io::Result<Progress> {
        if !input.is_empty() {
            self.state = Member::Open;
        }
        match &mut self.codec {
            Codec::Identity => {
                output.extend_from_slice(input);
                *input = &[];
                Ok(Progress::Drained)
            }
            Codec::Gzip(decoder) => {
                let (step, rest) = input.split_at(input.len().min(GZIP_INPUT_STEP_BYTES));
                *input = rest;
                decoder.write_all(step)?;
                decoder.flush()?;
                output.append(decoder.get_mut());
                Ok(Progress::Drained)
            }
            Codec::Brotli { state, complete } => unbrotli(state, complete, input, output),
            Codec::Zstd { context, complete } => unzstd(context, complete, input, output),
        }
    }

    /// Checks that the encoding was complete when the body ended.
    ///
    /// # Errors
    ///
    /// If it was cut short. What it yielded before is good.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.state == Member::Untouched {
            return Ok(());
        }
        match &mut self.codec {
            Codec::Identity => Ok(()),
            Codec::Gzip(decoder) => decoder.try_finish(),
            Codec::Brotli { complete, .. } | Codec::Zstd { complete, .. } => match complete {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            },
        }
    }
}

fn gzip() -> Codec {
    Codec::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
}

fn brotli() -> Codec {
    let alloc = StandardAlloc::default;
    let state = Box::new(Brotli::new(alloc(), alloc(), alloc()));
    Codec::Brotli { state, complete: false }
}

/// Does one step of brotli, and notes whether the stream ended there.
///
/// The crate's own writer is not used: where a step's output is larger than its buffer, it leaves
/// the rest in the ring buffer until more input comes, which would hold an event back.
fn unbrotli(
    state: &mut Brotli,
    complete: &mut bool,
    input: &mut &[u8],
    output: &mut Vec<u8>,
) -> io::Result<Progress> {
    let before = output.len();
    output.resize(before + OUTPUT_STEP_BYTES, 0);
    let space = &mut output[before..];
    let (mut left, mut read) = (input.len(), 0);
    let (mut room, mut made, mut total) = (space.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left, &mut read, input, &mut room, &mut made, space, &mut total, state,
    );
    output.truncate(before + made);
    *input = &input[read..];
    *complete = matches!(result, BrotliResult::ResultSuccess);
    match result {
        BrotliResult::ResultSuccess if input.is_empty() => Ok(Progress::Drained),
        BrotliResult::NeedsMoreInput if room > 0 => Ok(Progress::Drained),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(Progress::More),
        BrotliResult::ResultSuccess | BrotliResult::ResultFailure => {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

fn zstd() -> Codec {
    let mut context = DCtx::create();
    let bounded = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
    debug_assert!(bounded.is_ok(), "the window limit is within zstd's own bounds");
    Codec::Zstd { context, complete: true }
}

/// Does one step of zstd, and notes whether a frame ended there.
fn unzstd(
    context: &mut DCtx<'_>,
    complete: &mut bool,
    input: &mut &[u8],
    output: &mut Vec<u8>,
) -> io::Result<Progress> {
    let before = output.len();
    output.resize(before + OUTPUT_STEP_BYTES, 0);
    let mut out = OutBuffer::around(&mut output[before..]);
    let mut taken = InBuffer::around(input);
    let result = context.decompress_stream(&mut out, &mut taken);
    let (made, read) = (out.pos(), taken.pos());
    output.truncate(before + made);
    *input = &input[read..];
    let hint = result.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
    // A call that did nothing would report the beginning of a frame that may never come.
    if made + read > 0 {
        *complete = hint == 0;
    }
    // A full buffer may have more behind it; a buffer with room left has not.
    match made == OUTPUT_STEP_BYTES {
        true => Ok(Progress::More),
        false => Ok(Progress::Drained),
    }
}

#[cfg(test)]
mod tests;
