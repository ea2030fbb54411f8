//! JSON written by hand, where a value is written in parts.

use serde::Serialize;

/// Appends a value.
pub(super) fn push_json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers make JSON, and memory takes all");
}

/// Appends a part of a string, without the quotes around it.
pub(super) fn push_json_part(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    push_json(text, out);
    out.pop();
    out.remove(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_string_make_the_string() {
        let text = "a\"\\\n\u{1}\u{2028}ü😀/";
        let mut out = b"\"".to_vec();
        for character in text.chars() {
            push_json_part(character.encode_utf8(&mut [0; 4]), &mut out);
        }
        out.push(b'"');
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        assert_eq!(out, serde_json::to_vec(text).unwrap());
    }
}
