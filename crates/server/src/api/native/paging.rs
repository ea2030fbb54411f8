//! How many entries one answer has.

use crate::http::problem::Problem;

/// Events of one answer unless the client says otherwise.
pub(super) const LIMIT: usize = 100;
/// Events, or topics, of one answer at most: with small events about what a request and its answer cost anyway.
pub(super) const LIMIT_MAX: usize = 1000;

/// Reads a `limit`.
pub(super) fn limit(text: &str) -> Result<usize, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if is_number { text.parse().ok() } else { None };
    limit.filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        Problem::invalid_parameter("limit", &format!("it is a number from 1 to {LIMIT_MAX}"))
    })
}
