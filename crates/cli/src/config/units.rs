//! Times and sizes as people write them, and their bounds.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Reads a time with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "must be a time with its unit, such as 500ms, 15s, 5m or 1h".to_owned())
}

/// Reads a time that is not zero.
pub(super) fn positive(text: &str) -> Result<Option<Duration>, String> {
    at_least(Duration::from_millis(1), duration(text)?).map(Some)
}

/// Refuses a shorter time.
pub(super) fn at_least(least: Duration, duration: Duration) -> Result<Duration, String> {
    if duration >= least {
        return Ok(duration);
    }
    Err(format!("must be at least {}", humantime::format_duration(least)))
}

/// Refuses a longer time.
pub(super) fn at_most(most: Duration, duration: Duration) -> Result<Duration, String> {
    if duration <= most {
        return Ok(duration);
    }
    Err(format!("must be at most {}", humantime::format_duration(most)))
}

/// Parses a number of bytes: plain, or in units of 1,000 (kB, MB, GB) or 1,024 (KiB, MiB, GiB).
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit: Option<usize> = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1000),
        "m" | "mb" => Some(1000 * 1000),
        "g" | "gb" => Some(1000 * 1000 * 1000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        _ => None,
    };
    let number: Option<usize> = text[..digits].parse().ok();
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| "must be a number of bytes, such as 65536, 64KiB or 256MiB".to_owned())
}

/// Reads a whole number of at least 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let why = |_| "must be a whole number of at least 1".to_owned();
    text.parse::<NonZeroUsize>().map(NonZeroUsize::get).map_err(why)
}

/// Reads a limit, which may be none.
pub(super) fn limit(text: &str) -> Result<Option<NonZeroU32>, String> {
    match text {
        "none" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "must be a whole number of at least 1, or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_both_kinds_of_units() {
        for (text, number) in [
            ("0", 0),
            ("65536", 65536),
            ("64KiB", 65536),
            ("64 kib", 65536),
            ("2MB", 2_000_000),
            ("1GiB", 1 << 30),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "1TiB", "99999999999999999999", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
