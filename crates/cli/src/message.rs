//! Messages on standard error, which may quote what a server sent.

use std::borrow::Cow;
use std::io::{self, Write as _};

use tidings_client::Retrying;

use crate::sentence::sentence;

/// The maximum length of a message: a few sentences. Anything longer was made by a server.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// The maximum length of a type or an ID that is shown.
const NAME_CHARS_MAX: usize = 256;

/// Prints a message on standard error, which may be closed.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "tidings: {}", message(text));
}

/// Makes one line of a message, which may quote a server: without control characters, and cut.
pub(crate) fn message(text: &str) -> String {
    harmless(&cut(text, MESSAGE_CHARS_MAX)).replace(['\n', '\t'], " ")
}

/// Makes a type or an ID fit to be shown.
pub(crate) fn name(text: &str) -> String {
    harmless(&cut(text, NAME_CHARS_MAX)).replace(['\n', '\t'], " ")
}

fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Says when the next attempt comes, and why there is one.
pub(crate) fn retrying(retrying: &Retrying) -> String {
    let seconds = retrying.delay.as_secs_f64();
    format!("{}; retrying in {seconds:.1} s", sentence(&retrying.cause))
}

/// Replaces control characters other than line ends and tabs, so that a stream cannot control the
/// terminal.
pub(crate) fn harmless(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// Escapes the control characters that JSON allows in strings: DEL and those of ISO 6429, among which
/// is another spelling of ESC [. The line may be shown on a terminal.
pub(crate) fn without_controls(json: &str) -> String {
    if !json.contains(char::is_control) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        match char.is_control() {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters_and_not_too_long() {
        assert_eq!(message("a\u{1b}[2J\nb\tc\u{9b}"), "a\u{FFFD}[2J b c\u{FFFD}");
        assert_eq!(message(&"ü".repeat(1_000)), "ü".repeat(1_000));
        assert_eq!(message(&"ü".repeat(1_001)), format!("{}…", "ü".repeat(1_000)));
        assert_eq!(name(&"i".repeat(257)), format!("{}…", "i".repeat(256)));
    }

    #[test]
    fn json_has_no_control_characters_and_means_the_same() {
        let text = "\u{1b}[2J\u{9b}2J\u{7f}\n\"ü";
        let json = without_controls(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
