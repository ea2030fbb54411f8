use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use zstd_safe::{CCtx, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

use super::*;

/// Compresses each piece so that it can be read without the next, as a streaming server does.
/// The last item closes the encoding.
fn packed(encoding: &str, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            let mut packed: Vec<_> = pieces
                .iter()
                .map(|piece| {
                    encoder.write_all(piece).expect("in memory");
                    encoder.flush().expect("in memory");
                    std::mem::take(encoder.get_mut())
                })
                .collect();
            packed.push(encoder.finish().expect("in memory"));
            packed
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            let mut packed: Vec<_> = pieces
                .iter()
                .map(|piece| {
                    encoder.write_all(piece).expect("in memory");
                    encoder.flush().expect("in memory");
                    std::mem::take(encoder.get_mut())
                })
                .collect();
            packed.push(encoder.into_inner());
            packed
        }
        "zstd" => {
            let mut context = CCtx::create();
            let ends = pieces.iter().map(|piece| (*piece, ZSTD_EndDirective::ZSTD_e_flush));
            ends.chain([(&b""[..], ZSTD_EndDirective::ZSTD_e_end)])
                .map(|(piece, end)| {
                    let mut buffer = vec![0; piece.len() + 1024];
                    let mut output = OutBuffer::around(&mut buffer[..]);
                    let mut input = InBuffer::around(piece);
                    let left = context.compress_stream2(&mut output, &mut input, end);
                    assert_eq!(left.expect("in memory"), 0, "the buffer is large enough");
                    output.as_slice().to_vec()
                })
                .collect()
        }
        other => panic!("no compressor for {other}"),
    }
}

fn unpacker(encoding: &'static str) -> Unpacker {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    Unpacker::of(&headers).expect("known")
}

fn unpack(unpacker: &mut Unpacker, mut input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut progress = Progress::Drained;
    while !input.is_empty() || progress == Progress::More {
        progress = unpacker.unpack(&mut input, &mut output)?;
    }
    Ok(output)
}

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

#[test]
fn every_flushed_piece_comes_out_before_the_next_goes_in() {
    let long = "data: 0123456789\n".repeat(40_000);
    let pieces = [&b"data: one\n\n"[..], b"data: two\n\n", long.as_bytes(), b":\n", b"data: 3\n\n"];
    for encoding in ENCODINGS {
        let mut unpacker = unpacker(encoding);
        let packed = packed(encoding, &pieces);
        for (piece, packed) in pieces.iter().zip(&packed) {
            let output = unpack(&mut unpacker, packed).expect("good input");
            assert!(output == *piece, "{encoding} held back part of {} bytes", piece.len());
        }
        let last = packed.last().expect("the end");
        assert_eq!(unpack(&mut unpacker, last).expect("good input"), b"", "{encoding}");
        unpacker.finish().expect(encoding);
    }
}

#[test]
fn any_cut_of_the_input_yields_the_same_output() {
    for encoding in ENCODINGS {
        let packed = packed(encoding, &[b"data: one\n\n", b"data: two\n\n"]).concat();
        let mut unpacker = unpacker(encoding);
        let output: Vec<u8> = packed
            .chunks(1)
            .flat_map(|byte| unpack(&mut unpacker, byte).expect("good input"))
            .collect();
        assert_eq!(output, b"data: one\n\ndata: two\n\n", "{encoding}");
        unpacker.finish().expect(encoding);
    }
}

#[test]
fn a_member_cut_short_yields_what_it_had_and_then_an_error() {
    for encoding in ENCODINGS {
        let packed = packed(encoding, &[b"data: one\n\n", b"data: two\n\n"]);
        let mut unpacker = unpacker(encoding);
        let output = unpack(&mut unpacker, &packed[..2].concat()).expect("good so far");
        assert_eq!(output, b"data: one\n\ndata: two\n\n", "{encoding}");
        assert!(unpacker.finish().is_err(), "{encoding} took a cut-off end for the end");
    }
}

#[test]
fn members_that_follow_each_other_are_one_body() {
    for encoding in ["gzip", "zstd"] {
        let one = packed(encoding, &[b"data: one\n\n"]).concat();
        let two = packed(encoding, &[b"data: two\n\n"]).concat();
        let mut unpacker = unpacker(encoding);
        let output = unpack(&mut unpacker, &[one, two].concat()).expect("good input");
        assert_eq!(output, b"data: one\n\ndata: two\n\n", "{encoding}");
        unpacker.finish().expect(encoding);
    }
}

#[test]
fn damaged_input_is_an_error() {
    for encoding in ENCODINGS {
        let mut unpacker = unpacker(encoding);
        let result = unpack(&mut unpacker, b"data: this was never compressed\n\n");
        assert!(result.and_then(|_| unpacker.finish()).is_err(), "{encoding}");
    }
}

#[test]
fn a_body_without_a_byte_is_no_damage() {
    for encoding in ENCODINGS {
        unpacker(encoding).finish().expect(encoding);
    }
}

#[test]
fn a_small_input_cannot_make_a_large_output_at_once() {
    let zeros = vec![0; 32 << 20];
    for encoding in ENCODINGS {
        let packed = packed(encoding, &[&zeros]).concat();
        let mut unpacker = unpacker(encoding);
        let mut input = &packed[..];
        let (mut largest, mut total, mut progress) = (0, 0, Progress::Drained);
        while !input.is_empty() || progress == Progress::More {
            let mut output = Vec::new();
            progress = unpacker.unpack(&mut input, &mut output).expect("good input");
            largest = largest.max(output.len());
            total += output.len();
        }
        assert_eq!(total, zeros.len(), "{encoding}");
        assert!(largest < 5 << 20, "{encoding} made {largest} bytes of {} at once", packed.len());
    }
}

#[test]
fn names_are_read_in_any_case_and_unknown_ones_refused() {
    let of = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
        Unpacker::of(&headers).map(|unpacker| unpacker.is_identity())
    };
    assert_eq!(of("GZip"), Ok(false));
    assert_eq!(of(" identity , br"), Ok(false));
    assert_eq!(of("identity"), Ok(true));
    assert_eq!(of(""), Ok(true));
    assert_eq!(of("compress"), Err(UnknownEncoding("compress".into())));
    assert_eq!(of("gzip, br"), Err(UnknownEncoding("br".into())));
    assert!(Unpacker::of(&HeaderMap::new()).expect("none").is_identity());
}
