//! Removes the framing of an HTTP/1 response body, piece by piece and without copying.

/// The body of a response, and how much of it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body(Framing);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    UntilClose,
    Length { left: u64 },
    Chunked(Chunked),
}

/// The state of the chunked transfer coding (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunked {
    /// Reading the size of a chunk, of which `digits` digits have been read.
    Size {
        size: u64,
        digits: u8,
    },
    /// Reading a chunk extension, which is ignored.
    Extension {
        size: u64,
        bytes: u16,
    },
    /// The CR after the size has been read.
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// Reading the trailer section. `line` is the length of the current line so far.
    Trailer {
        line: u16,
        total: u16,
    },
    End,
}

/// The next part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'i> {
    Data(&'i [u8]),
    /// All input has been read.
    More,
    /// The body is complete. The rest of the input belongs to the next response.
    End,
}

/// The framing of the body is broken, so nothing after this point can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

impl Body {
    pub(crate) fn chunked() -> Self {
        Self(Framing::Chunked(Chunked::START))
    }

    pub(crate) fn of_length(length: u64) -> Self {
        Self(Framing::Length { left: length })
    }

    pub(crate) fn until_close() -> Self {
        Self(Framing::UntilClose)
    }

    /// Returns whether the body is complete if the connection is closed at this point.
    pub(crate) fn may_end(&self) -> bool {
        match self.0 {
            Framing::UntilClose => true,
            Framing::Length { left } => left == 0,
            Framing::Chunked(chunked) => chunked == Chunked::End,
        }
    }

    /// Takes the next piece from `input`.
    #[inline]
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Piece<'i>, BadChunk> {
        match &mut self.0 {
            Framing::Chunked(chunked) => chunked.next(input),
            Framing::Length { left: 0 } => Ok(Piece::End),
            Framing::Length { left } => Ok(take(left, input)),
            Framing::UntilClose if input.is_empty() => Ok(Piece::More),
            Framing::UntilClose => Ok(Piece::Data(std::mem::take(input))),
        }
    }
}

/// Sixteen hexadecimal digits fill 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;
/// No reasonable server sends more than this.
const EXTENSION_BYTES_MAX: u16 = 4 * 1024;
const TRAILER_BYTES_MAX: u16 = 16 * 1024;

impl Chunked {
    const START: Self = Self::Size { size: 0, digits: 0 };

    #[inline]
    fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Piece<'i>, BadChunk> {
        loop {
            // Most chunks of a stream lie whole in the input, one for each event.
            if *self == Self::START
                && let Some(data) = whole_chunk(input)
            {
                return Ok(Piece::Data(data));
            }
            if let Self::Data { left } = self {
                let piece = take(left, input);
                if *left == 0 {
                    *self = Self::DataCr;
                }
                return Ok(piece);
            }
            if *self == Self::End {
                return Ok(Piece::End);
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(Piece::More) };
            *input = rest;
            *self = self.step(byte)?;
        }
    }

    /// Reads one byte of the framing.
    fn step(self, byte: u8) -> Result<Self, BadChunk> {
        match (self, byte) {
            (Self::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(BadChunk);
                }
                Ok(Self::Size { size: size << 4 | u64::from(hex(byte)), digits: digits + 1 })
            }
            (Self::Size { digits: 0, .. }, _) => Err(BadChunk),
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => {
                Ok(Self::SizeLf { size })
            }
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => {
                Ok(Self::Extension { size, bytes: 1 })
            }
            (Self::Extension { size, bytes }, byte)
                if byte != b'\n' && bytes < EXTENSION_BYTES_MAX =>
            {
                Ok(Self::Extension { size, bytes: bytes + 1 })
            }
            (Self::SizeLf { size: 0 }, b'\n') => Ok(Self::Trailer { line: 0, total: 0 }),
            (Self::SizeLf { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::START),
            (Self::Trailer { line: 0, .. }, b'\n') => Ok(Self::End),
            (Self::Trailer { total, .. }, b'\n') => Ok(Self::Trailer { line: 0, total }),
            (Self::Trailer { .. }, b'\r') => Ok(self),
            (Self::Trailer { line, total }, _) if total < TRAILER_BYTES_MAX => {
                Ok(Self::Trailer { line: line + 1, total: total + 1 })
            }
            _ => Err(BadChunk),
        }
    }
}

/// Takes a chunk from `input` if all of it is there, up to the CRLF after its data.
#[inline]
fn whole_chunk<'i>(input: &mut &'i [u8]) -> Option<&'i [u8]> {
    // Up to four digits. Longer chunks take the slow path, whose cost is small beside their data.
    let digits = input.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = input.split_at(digits);
    let size = size.iter().fold(0, |size, &byte| size << 4 | usize::from(hex(byte)));
    let rest = rest.strip_prefix(b"\r\n")?;
    if size == 0 || digits == 0 {
        return None;
    }
    let (data, rest) = rest.split_at_checked(size)?;
    *input = rest.strip_prefix(b"\r\n")?;
    Some(data)
}

fn hex(digit: u8) -> u8 {
    (digit & 0x0f) + if digit.is_ascii_digit() { 0 } else { 9 }
}

#[inline]
fn take<'i>(left: &mut u64, input: &mut &'i [u8]) -> Piece<'i> {
    if input.is_empty() {
        return Piece::More;
    }
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (data, rest) = input.split_at(len);
    *left -= len as u64;
    *input = rest;
    Piece::Data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `parts`; returns the data, whether the body ended, and the rest of the input.
    fn read(mut body: Body, parts: &[&[u8]]) -> Result<(Vec<u8>, Option<Vec<u8>>), BadChunk> {
        let mut data = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        for part in parts {
            let mut input = *part;
            loop {
                match body.next(&mut input)? {
                    Piece::Data(piece) => data.extend_from_slice(piece),
                    Piece::More => break,
                    Piece::End => {
                        after.get_or_insert_default().extend_from_slice(input);
                        break;
                    }
                }
            }
        }
        assert_eq!(body.may_end(), after.is_some() || body == Body::until_close());
        Ok((data, after))
    }

    /// Reads `text` cut after every byte, and byte by byte.
    #[track_caller]
    fn check(body: Body, text: &str, data: &str, after: Option<&str>) {
        let text = text.as_bytes();
        let expected = Ok((data.as_bytes().to_vec(), after.map(|after| after.as_bytes().to_vec())));
        for cut in 0..=text.len() {
            assert_eq!(read(body, &[&text[..cut], &text[cut..]]), expected, "cut after {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(body, &bytes), expected, "byte by byte");
    }

    #[test]
    fn chunks_are_joined_at_every_cut() {
        check(Body::chunked(), "3\r\nabc\r\n1\r\nd\r\n", "abcd", None);
        check(Body::chunked(), "3\r\nabc\r\n0\r\n\r\nHTTP", "abc", Some("HTTP"));
        check(
            Body::chunked(),
            "00A;x=\"y\"\r\n0123456789\r\n0 ;z\r\nA: b\r\n\r\n",
            "0123456789",
            Some(""),
        );
        let long = "x".repeat(0x1_2345);
        let text = format!("12345\r\n{long}\r\n");
        assert_eq!(read(Body::chunked(), &[text.as_bytes()]), Ok((long.into_bytes(), None)));
    }

    #[test]
    fn a_length_ends_where_it_says() {
        check(Body::of_length(3), "abcHTTP", "abc", Some("HTTP"));
        check(Body::of_length(4), "abc", "abc", None);
        assert!(Body::of_length(0).may_end());
    }

    #[test]
    fn a_body_without_a_length_is_everything() {
        check(Body::until_close(), "3\r\nabc\r\n", "3\r\nabc\r\n", None);
    }

    #[test]
    fn broken_framing_is_an_error_at_every_cut() {
        let endless = format!("1;{}\r\n", "x".repeat(usize::from(EXTENSION_BYTES_MAX)));
        let trailer = format!("0\r\n{}", "x".repeat(usize::from(TRAILER_BYTES_MAX) + 1));
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "3\nabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3\rabc",
            ";\r\n",
            "11111111111111111\r\n",
            "1;\n",
            &endless,
            &trailer,
        ] {
            // For long texts, only cuts near the ends are of interest.
            for cut in (0..=text.len()).filter(|cut| *cut < 20 || *cut + 20 > text.len()) {
                let parts = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
                assert_eq!(
                    read(Body::chunked(), &parts),
                    Err(BadChunk),
                    "{text:?} cut after {cut}"
                );
            }
        }
    }
}
