//! A decoder that is slow and obvious: the standard's steps, one after the other, on a whole stream.

use super::Seen;

/// Decodes the streams of several connections by the letter of section 9.2.6, but for the ID, which
/// is carried over. There are no limits and nothing is incremental.
pub fn decode(streams: &[&[u8]], mut last_event_id: String) -> Vec<Seen> {
    let mut seen = Vec::new();
    for stream in streams {
        let text = utf8_decode(stream);
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let (mut data, mut event_type, mut id) = (None::<String>, String::new(), None::<String>);
        for line in whole_lines(text) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                _ if line.is_empty() => {
                    let has_id = id.is_some();
                    last_event_id = id.take().unwrap_or(last_event_id);
                    let dispatched_type = match std::mem::take(&mut event_type) {
                        empty if empty.is_empty() => "message".to_owned(),
                        other => other,
                    };
                    if let Some(data) = data.take() {
                        seen.push(Seen::Event {
                            event_type: dispatched_type,
                            data: data.strip_suffix('\n').unwrap_or(&data).to_owned(),
                            last_event_id: last_event_id.clone(),
                            has_id,
                        });
                    } else if has_id {
                        seen.push(Seen::Id(last_event_id.clone()));
                    }
                }
                _ if line.starts_with(':') => seen.push(Seen::Comment(line[1..].to_owned())),
                "data" => data = Some(data.unwrap_or_default() + value + "\n"),
                "event" => event_type = value.to_owned(),
                "id" if !value.contains('\0') => id = Some(value.to_owned()),
                "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                    let millis = value.parse::<u64>().unwrap_or(u64::MAX);
                    seen.push(Seen::RetryMillis(millis.into()));
                }
                _ => {}
            }
        }
    }
    seen
}

/// Cuts off each line that has an end; what follows the last end is no line.
fn whole_lines(text: &str) -> Vec<String> {
    let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
    let end = text.rfind('\n').map_or(0, |last| last + 1);
    text.truncate(end);
    text.split_terminator('\n').map(str::to_owned).collect()
}

/// Decodes UTF-8 by the steps of the Encoding standard's decoder, byte by byte.
fn utf8_decode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut point, mut needed, mut lower, mut upper) = (0_u32, 0, 0x80, 0xBF);
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        if needed == 0 {
            (point, needed) = match byte {
                0x00..=0x7F => (byte.into(), 0),
                0xC2..=0xDF => (u32::from(byte) & 0x1F, 1),
                0xE0..=0xEF => (u32::from(byte) & 0x0F, 2),
                0xF0..=0xF4 => (u32::from(byte) & 0x07, 3),
                _ => (0xFFFD, 0),
            };
            (lower, upper) = match byte {
                0xE0 => (0xA0, 0xBF),
                0xED => (0x80, 0x9F),
                0xF0 => (0x90, 0xBF),
                0xF4 => (0x80, 0x8F),
                _ => (0x80, 0xBF),
            };
        } else if (lower..=upper).contains(&byte) {
            (lower, upper) = (0x80, 0xBF);
            (point, needed) = (point << 6 | u32::from(byte) & 0x3F, needed - 1);
        } else {
            // The byte that does not fit is read again, as the first of something else.
            (point, needed, at) = (0xFFFD, 0, at - 1);
        }
        if needed == 0 {
            text.push(char::from_u32(point).expect("the ranges allow scalar values only"));
        }
    }
    if needed > 0 {
        text.push('\u{FFFD}');
    }
    text
}
