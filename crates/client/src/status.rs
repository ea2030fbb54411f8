//! Which statuses are worth another attempt.

use std::collections::BTreeMap;

use http::StatusCode;

/// The reaction to a response whose status does not open a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The status is temporary: wait, then try again.
    Retry,
    /// The status is permanent: stop for good.
    Fail,
}

/// Decides which statuses are worth another attempt.
///
/// A policy is not consulted about statuses with a meaning of their own: 200 opens the stream, 204
/// is the standard's "stop reconnecting", 301, 302, 303, 307 and 308 are redirects, and a 401 leads
/// to new credentials once, if the caller makes credentials at all.
///
/// ```
/// use http::StatusCode;
/// use tidings_client::{StatusPolicy, Verdict};
///
/// // A deployment whose router answers 404 while the backend starts.
/// let policy = StatusPolicy::default().set(StatusCode::NOT_FOUND, Verdict::Retry);
/// assert_eq!(policy.verdict(StatusCode::NOT_FOUND), Verdict::Retry);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPolicy {
    rule: Rule,
    exceptions: BTreeMap<u16, Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Default,
    Standard,
}

impl Default for StatusPolicy {
    /// Retries 408, 425, 429 and every 5xx except 501, 505 and 511, which no wait changes.
    fn default() -> Self {
        Self { rule: Rule::Default, exceptions: BTreeMap::new() }
    }
}

impl StatusPolicy {
    /// Follows the HTML standard to the letter: a status that does not open the stream ends it for
    /// good.
    #[must_use]
    pub fn standard() -> Self {
        Self { rule: Rule::Standard, exceptions: BTreeMap::new() }
    }

    /// Sets the verdict about `status`.
    #[must_use]
    pub fn set(mut self, status: StatusCode, verdict: Verdict) -> Self {
        self.exceptions.insert(status.as_u16(), verdict);
        self
    }

    /// The verdict about `status`.
    #[must_use]
    pub fn verdict(&self, status: StatusCode) -> Verdict {
        if let Some(verdict) = self.exceptions.get(&status.as_u16()) {
            return *verdict;
        }
        match (self.rule, status.as_u16()) {
            (Rule::Standard, _) | (_, 501 | 505 | 511) => Verdict::Fail,
            (Rule::Default, 408 | 425 | 429 | 500..=599) => Verdict::Retry,
            (Rule::Default, _) => Verdict::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retried(policy: &StatusPolicy) -> Vec<u16> {
        (100..=599)
            .filter(|status| {
                let status = StatusCode::from_u16(*status).expect("a legal status");
                policy.verdict(status) == Verdict::Retry
            })
            .collect()
    }

    #[test]
    fn the_usual_policy_retries_what_passes() {
        let policy = StatusPolicy::default();
        let retried = retried(&policy);
        for passing in [408, 425, 429, 500, 502, 503, 504, 520, 599] {
            assert!(retried.contains(&passing), "{passing} passes");
        }
        for lasting in [205, 299, 400, 401, 403, 404, 405, 410, 422, 501, 505, 511] {
            assert!(!retried.contains(&lasting), "{lasting} lasts");
        }
    }

    #[test]
    fn the_standards_policy_retries_nothing() {
        assert_eq!(retried(&StatusPolicy::standard()), [0_u16; 0]);
    }

    #[test]
    fn an_exception_wins_over_the_rule() {
        let policy = StatusPolicy::default()
            .set(StatusCode::NOT_FOUND, Verdict::Retry)
            .set(StatusCode::BAD_GATEWAY, Verdict::Fail);
        assert_eq!(policy.verdict(StatusCode::NOT_FOUND), Verdict::Retry);
        assert_eq!(policy.verdict(StatusCode::BAD_GATEWAY), Verdict::Fail);
    }
}
