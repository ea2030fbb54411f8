//! How many entries one answer has.

use crate::http::problem::Problem;

/// The default number of events in one answer.
pub(super) const LIMIT: usize = 100;
/// The maximum number of events or topics in one answer. With small events, they cost about as much
/// as the request itself.
pub(super) const LIMIT_MAX: usize = 1000;

/// The name of the parameter that asks for the lists of all hubs.
pub(super) const SCOPE: &str = "scope";

/// Reads a `limit`.
pub(super) fn limit(text: &str) -> Result<usize, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if is_number { text.parse().ok() } else { None };
    limit.filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        Problem::invalid_parameter("limit", &format!("it is a number from 1 to {LIMIT_MAX}"))
    })
}
