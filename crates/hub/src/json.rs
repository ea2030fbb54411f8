//! The one thing a hub writes as JSON: strings (RFC 8259, section 7).

use std::fmt::Write as _;

/// Appends `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Line ends are escaped like every control character: the result is one line of data.
            c if c.is_control() => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to memory cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        let mut out = String::new();
        write_string("a\"b\\c\n\u{1f}\u{85}é", &mut out);
        assert_eq!(out, r#""a\"b\\c\u000a\u001f\u0085é""#);
    }
}
