//! Undoes a response's content encoding, piece by piece.
//!
//! Every piece of input yields all the output it can, because an event must not wait for the one
//! after it. A wrapped reader could not do this: it fills its buffer first.

use std::fmt;
use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// The encodings that requests accept.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br, zstd";

/// The input of one gzip step. Deflate expands at most a thousandfold, so this limits the output
/// that a hostile server can cause in one step to 1 MiB. The other two formats have no such bound
/// and are limited by the room they are given.
const GZIP_INPUT_STEP_BYTES: usize = 1 << 10;

/// The output of one brotli or zstd step.
const OUTPUT_STEP_BYTES: usize = 64 << 10;

/// The largest zstd window accepted: 8 MiB, the limit that RFC 9659 sets for senders.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// An encoding that was not asked for. Holds its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownEncoding(pub(crate) String);

/// Undoes the content encoding of one response body.
pub(crate) struct Unpacker {
    codec: Codec,
    end: End,
}

/// The state of the decompressor after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The decompressor has more output, even without further input.
    More,
    /// All output of the input taken so far has come out.
    Drained,
}

/// Whether the encoding may end after the input taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Allowed,
    TooEarly,
}

enum Codec {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Brotli(Box<Brotli>),
    Zstd(DCtx<'static>),
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Identity => "identity",
            Codec::Gzip(_) => "gzip",
            Codec::Brotli(_) => "br",
            Codec::Zstd(_) => "zstd",
        };
        f.debug_struct("Unpacker").field("codec", &codec).finish_non_exhaustive()
    }
}

impl Unpacker {
    pub(crate) fn identity() -> Self {
        Self { codec: Codec::Identity, end: End::Allowed }
    }

    /// Makes the unpacker for a response's `Content-Encoding`.
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
                // Several encodings on top of each other are legal, but no server uses them for a
                // stream.
                _ => return Err(UnknownEncoding(String::from_utf8_lossy(name).into_owned())),
            };
        }
        Ok(Self { codec, end: End::Allowed })
    }

    /// Returns whether bytes pass through unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.codec, Codec::Identity)
    }

    /// Takes one step's input from `input` and appends its output to `output`: never more than
    /// about a MiB, whatever the input claims.
    ///
    /// # Errors
    ///
    /// If the input does not conform to its encoding. Nothing after that can be decoded.
    pub(crate) fn unpack(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> io::Result<Progress> {
        let step = match &mut self.codec {
            Codec::Identity => {
                output.extend_from_slice(input);
                *input = &[];
                return Ok(Progress::Drained);
            }
            Codec::Gzip(decoder) => ungzip(decoder, input, output),
            Codec::Brotli(state) => into_spare_room(output, |room| unbrotli(state, input, room)),
            Codec::Zstd(context) => into_spare_room(output, |room| unzstd(context, input, room)),
        }?;
        *input = &input[step.read..];
        // A call without effect would report the beginning of a frame that may never come.
        if step.read + step.made > 0 {
            self.end = step.end;
        }
        Ok(step.progress)
    }

    /// Checks that the encoding was complete when the body ended.
    ///
    /// # Errors
    ///
    /// If the encoding was cut short. The output before that is good.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match (&mut self.codec, self.end) {
            (Codec::Gzip(decoder), End::TooEarly) => decoder.try_finish(),
            (_, End::TooEarly) => Err(io::ErrorKind::UnexpectedEof.into()),
            (_, End::Allowed) => Ok(()),
        }
    }
}

/// The effect of one call of a decompressor.
struct Step {
    read: usize,
    made: usize,
    end: End,
    progress: Progress,
}

/// Makes room at the end of `output` for one step, and keeps the part of it that the step filled.
fn into_spare_room(
    output: &mut Vec<u8>,
    step: impl FnOnce(&mut [u8]) -> io::Result<Step>,
) -> io::Result<Step> {
    let before = output.len();
    output.resize(before + OUTPUT_STEP_BYTES, 0);
    let step = step(&mut output[before..]);
    output.truncate(before + step.as_ref().map_or(0, |step| step.made));
    step
}

fn gzip() -> Codec {
    Codec::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
}

fn brotli() -> Codec {
    let alloc = StandardAlloc::default;
    Codec::Brotli(Box::new(Brotli::new(alloc(), alloc(), alloc())))
}

fn zstd() -> Codec {
    let mut context = DCtx::create();
    let bounded = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
    debug_assert!(bounded.is_ok(), "the window limit is within zstd's own bounds");
    Codec::Zstd(context)
}

/// Does one step of gzip, whose decoder brings its own buffer.
fn ungzip(
    decoder: &mut MultiGzDecoder<Vec<u8>>,
    input: &[u8],
    output: &mut Vec<u8>,
) -> io::Result<Step> {
    let read = input.len().min(GZIP_INPUT_STEP_BYTES);
    decoder.write_all(&input[..read])?;
    decoder.flush()?;
    let made = decoder.get_ref().len();
    output.append(decoder.get_mut());
    // Only the decoder knows, when it is asked to finish.
    Ok(Step { read, made, end: End::TooEarly, progress: Progress::Drained })
}

/// Does one step of brotli.
///
/// The crate's own writer is not used: if a step's output is larger than its buffer, the writer
/// leaves the rest in the ring buffer until more input comes, which would hold an event back.
fn unbrotli(state: &mut Brotli, input: &[u8], room: &mut [u8]) -> io::Result<Step> {
    let (mut left, mut read) = (input.len(), 0);
    let (mut free, mut made, mut total) = (room.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left, &mut read, input, &mut free, &mut made, room, &mut total, state,
    );
    let (end, progress) = match result {
        BrotliResult::ResultSuccess if left == 0 => (End::Allowed, Progress::Drained),
        BrotliResult::NeedsMoreInput if free > 0 => (End::TooEarly, Progress::Drained),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
            (End::TooEarly, Progress::More)
        }
        BrotliResult::ResultSuccess | BrotliResult::ResultFailure => {
            return Err(io::ErrorKind::InvalidData.into());
        }
    };
    Ok(Step { read, made, end, progress })
}

/// Does one step of zstd.
fn unzstd(context: &mut DCtx<'_>, input: &[u8], room: &mut [u8]) -> io::Result<Step> {
    let size = room.len();
    let (mut output, mut taken) = (OutBuffer::around(room), InBuffer::around(input));
    let result = context.decompress_stream(&mut output, &mut taken);
    let hint = result.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
    let (made, read) = (output.pos(), taken.pos());
    let end = if hint == 0 { End::Allowed } else { End::TooEarly };
    // A full buffer may have more behind it; a buffer with room left has not.
    let progress = if made == size { Progress::More } else { Progress::Drained };
    Ok(Step { read, made, end, progress })
}

#[cfg(test)]
mod tests;
