//! The last event ID of a client that reconnects.

use http::HeaderMap;
use http::header::HeaderName;

use super::query::Query;
use crate::http::problem::Problem;

/// The names of the query parameters that carry it: ours, and those that polyfills send.
pub(super) const NAMES: [&str; 3] = ["last_event_id", "lastEventId", "lastEventID"];

/// The place that a client hands back. The header wins: a browser that reconnects repeats a stale
/// query beside a fresh header.
pub(super) fn last_event_id(headers: &HeaderMap, query: &Query) -> Result<Option<String>, Problem> {
    const HEADER: HeaderName = HeaderName::from_static("last-event-id");
    let mut given = None;
    for name in NAMES {
        if let Some(value) = query.one(name)? {
            if given.is_some_and(|given| given != value) {
                return Err(Problem::invalid_parameter(
                    name,
                    "another spelling of it says something else",
                ));
            }
            given = Some(value);
        }
    }
    // As the UTF-8 that browsers send; malformed bytes become U+FFFD and lead nowhere.
    let header = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match header {
        Some(header) if !header.is_empty() => Ok(Some(header.into_owned())),
        _ => Ok(given.map(str::to_owned)),
    }
}
