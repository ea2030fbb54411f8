//! The data of the events that are published, and how it is checked when it comes back.
//!
//! ```text
//!   0        8        16       24       32               48       56
//!   │tidings:│run     │topic   │number  │sent, in ns     │check   │padding …
//! ```
//!
//! Every field is hexadecimal text of fixed width, so that reading a field takes a few
//! instructions: checking a delivery must not take longer than the kernel takes to hand it over.
//! The check covers the fields before it. The padding of each event starts at a different point of
//! one long pattern, so that a piece of another event is detected.

/// The fields of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The topic, from 0.
    pub(crate) topic: u32,
    /// The number of the event in its topic, from 1.
    pub(crate) number: u32,
    /// When the event was sent, in nanoseconds since the start of the run.
    pub(crate) sent: u64,
}

/// The origin of data that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataKind {
    Ours(Stamp),
    /// The start is ours, but the data differs from what was published.
    Corrupt,
    /// An event of another run.
    OtherRun,
    /// An event of the server's own.
    Foreign,
}

/// The layout of the events of one run.
#[derive(Debug)]
pub(crate) struct Shape {
    run: u64,
    padding_len: usize,
    pattern: Vec<u8>,
}

impl Shape {
    /// The minimum size of an event's data.
    pub(crate) const BYTES_MIN: usize = 56;

    /// Describes events of `bytes` bytes each.
    pub(crate) fn new(run: u32, bytes: usize) -> Self {
        let padding_len = bytes.saturating_sub(Self::BYTES_MIN);
        // A sequence that does not repeat within any event, so a shifted piece of it never matches.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let pattern = (0..padding_len + STARTS).map(|_| {
            state = state.wrapping_mul(MIX).wrapping_add(1);
            LETTERS[(state >> 58) as usize]
        });
        Self { run: to_hex(run), padding_len, pattern: pattern.collect() }
    }

    /// Returns the size of an event's data.
    pub(crate) fn bytes(&self) -> usize {
        Self::BYTES_MIN + self.padding_len
    }

    /// Writes the data of an event.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stamp: Stamp) {
        let fields = [
            self.run,
            to_hex(stamp.topic),
            to_hex(stamp.number),
            to_hex((stamp.sent >> 32) as u32),
            to_hex(stamp.sent as u32),
        ];
        out.extend_from_slice(MARK);
        for field in fields {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&to_hex(check(fields)).to_le_bytes());
        out.extend_from_slice(self.padding(stamp));
    }

    /// Reads data that was delivered.
    #[inline]
    pub(crate) fn read(&self, data: &[u8]) -> DataKind {
        let Some((head, padding)) = data.split_first_chunk::<{ Self::BYTES_MIN }>() else {
            return if data.starts_with(MARK) { DataKind::Corrupt } else { DataKind::Foreign };
        };
        let (words, _) = head.as_chunks::<8>();
        let [mark, fields @ .., told] = words else { return DataKind::Foreign };
        if mark != MARK {
            return DataKind::Foreign;
        }
        let [run, topic, number, sent_high, sent_low] =
            [0, 1, 2, 3, 4].map(|at: usize| u64::from_le_bytes(fields[at]));
        let expected = to_hex(check([run, topic, number, sent_high, sent_low]));
        if u64::from_le_bytes(*told) != expected {
            return DataKind::Corrupt;
        }
        if run != self.run {
            return DataKind::OtherRun;
        }
        let sent = u64::from(from_hex(sent_high)) << 32 | u64::from(from_hex(sent_low));
        let stamp = Stamp { topic: from_hex(topic), number: from_hex(number), sent };
        if padding != self.padding(stamp) {
            return DataKind::Corrupt;
        }
        DataKind::Ours(stamp)
    }

    fn padding(&self, stamp: Stamp) -> &[u8] {
        let start = (stamp.number.wrapping_mul(7) ^ stamp.topic.wrapping_mul(3)) as usize % STARTS;
        &self.pattern[start..start + self.padding_len]
    }
}

/// The start of every event's data, which tells it from foreign events.
const MARK: &[u8; 8] = b"tidings:";
/// The number of offsets in the pattern at which padding may start.
const STARTS: usize = 64;
/// Characters that neither JSON nor a URL nor an event stream escapes.
const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// The multiplier of Knuth's MMIX generator: odd, with well-spread bits.
const MIX: u64 = 6_364_136_223_846_793_005;

/// Mixes the fields, so that a change of any byte is detected.
fn check(fields: [u64; 5]) -> u32 {
    let mixed = fields.iter().fold(0, |mixed: u64, &field| {
        let mixed = (mixed ^ field).wrapping_mul(MIX);
        mixed ^ (mixed >> 32)
    });
    (mixed >> 16) as u32
}

/// Writes a number as eight hexadecimal digits at once: one digit per byte, the first digit lowest.
fn to_hex(number: u32) -> u64 {
    let mut digits = u64::from(number);
    digits = ((digits << 16) | digits) & 0x0000_ffff_0000_ffff;
    digits = ((digits << 8) | digits) & 0x00ff_00ff_00ff_00ff;
    digits = ((digits << 4) | digits) & 0x0f0f_0f0f_0f0f_0f0f;
    digits = digits.swap_bytes();
    // 1 in each byte that is ten or more. Those become letters, which lie 39 above the digits.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
}

/// Reads what [`to_hex`] writes. The result for other text is arbitrary.
fn from_hex(text: u64) -> u32 {
    let letters = (text >> 6) & 0x0101_0101_0101_0101;
    let mut digits = (text & 0x0f0f_0f0f_0f0f_0f0f) + letters * 9;
    digits = digits.swap_bytes();
    digits = (digits | (digits >> 4)) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | (digits >> 8)) & 0x0000_ffff_0000_ffff;
    (digits | (digits >> 16)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { topic: 4_999, number: 77, sent: 0x0123_4567_89ab_cdef };

    fn written(shape: &Shape, stamp: Stamp) -> Vec<u8> {
        let mut data = Vec::new();
        shape.write(&mut data, stamp);
        data
    }

    #[test]
    fn hexadecimal_text_is_that_of_the_standard_library() {
        let mut number = 1_u32;
        for _ in 0..10_000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let text = to_hex(number).to_le_bytes();
            assert_eq!(text.as_slice(), format!("{number:08x}").as_bytes());
            assert_eq!(from_hex(u64::from_le_bytes(text)), number);
        }
    }

    #[test]
    fn an_event_has_exactly_its_bytes_and_says_what_it_is() {
        for bytes in [Shape::BYTES_MIN, 57, 100, 5_000] {
            let shape = Shape::new(0xdead_beef, bytes);
            assert_eq!(shape.bytes(), bytes);
            for number in [1, 2, 63, 64, u32::MAX] {
                let stamp = Stamp { number, ..STAMP };
                let data = written(&shape, stamp);
                assert_eq!(data.len(), bytes);
                assert!(data.iter().all(u8::is_ascii_graphic));
                assert_eq!(shape.read(&data), DataKind::Ours(stamp));
            }
        }
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let shape = Shape::new(1, 120);
        let whole = written(&shape, STAMP);
        for at in 0..whole.len() {
            for change in [1, 2, 4, 8, 16, 32, 64] {
                let mut data = whole.clone();
                data[at] ^= change;
                let expected = if at < MARK.len() { DataKind::Foreign } else { DataKind::Corrupt };
                assert_eq!(shape.read(&data), expected, "byte {at} changed by {change}");
            }
        }
    }

    #[test]
    fn data_that_was_cut_or_grew_is_corrupt() {
        let shape = Shape::new(1, 100);
        let whole = written(&shape, STAMP);
        for len in MARK.len()..whole.len() {
            assert_eq!(shape.read(&whole[..len]), DataKind::Corrupt, "cut to {len} bytes");
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(shape.read(&longer), DataKind::Corrupt);
    }

    #[test]
    fn padding_of_another_event_is_corrupt() {
        let shape = Shape::new(1, 100);
        let other = written(&shape, Stamp { number: STAMP.number + 1, ..STAMP });
        let mut data = written(&shape, STAMP);
        data[Shape::BYTES_MIN..].copy_from_slice(&other[Shape::BYTES_MIN..]);
        assert_eq!(shape.read(&data), DataKind::Corrupt);
    }

    #[test]
    fn events_of_others_are_no_faults() {
        let shape = Shape::new(1, 100);
        assert_eq!(shape.read(b"hello"), DataKind::Foreign);
        assert_eq!(shape.read(b""), DataKind::Foreign);
        assert_eq!(shape.read(&[b'x'; 100]), DataKind::Foreign);
        let other = Shape::new(2, 60);
        assert_eq!(shape.read(&written(&other, STAMP)), DataKind::OtherRun);
    }
}
