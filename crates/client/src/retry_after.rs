//! The `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

/// The wait that the server asks for, if the header is there and legal.
///
/// A date is compared with the response's own `Date`, because both come from one clock, or with
/// `wall` if there is none. A date in the past is a wait of zero.
pub(crate) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits, so parsing can fail only by overflow: then wait as long as can be expressed.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = date(headers, &DATE).unwrap_or(wall);
    Some(until.duration_since(now).unwrap_or_default())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const WALL: Duration = Duration::from_secs(784_111_777);

    #[track_caller]
    fn check(value: &'static str, date: Option<&'static str>, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        let wait = retry_after(&headers, SystemTime::UNIX_EPOCH + WALL);
        assert_eq!(wait, expected.map(Duration::from_secs), "{value:?} with Date {date:?}");
    }

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        check("120", None, Some(120));
        check("0", None, Some(0));
        check("99999999999999999999", None, Some(u64::MAX));
        check("+5", None, None);
        check("1.5", None, None);
        check("-1", None, None);
        check("", None, None);
        check("soon", None, None);
    }

    #[test]
    fn a_date_is_measured_from_the_responses_own_clock() {
        check("Sun, 06 Nov 1994 08:50:07 GMT", None, Some(30));
        check("Sun, 06 Nov 1994 08:50:07 GMT", Some("Sun, 06 Nov 1994 08:50:00 GMT"), Some(7));
        check("Sun, 06 Nov 1994 08:50:07 GMT", Some("not a date"), Some(30));
    }

    #[test]
    fn the_two_obsolete_date_formats_are_read_too() {
        check("Sunday, 06-Nov-94 08:49:47 GMT", None, Some(10));
        check("Sun Nov  6 08:49:47 1994", None, Some(10));
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        check("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0));
    }

    #[test]
    fn no_header_asks_for_nothing() {
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
