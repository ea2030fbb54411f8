//! Reading as JSON: polling and long polling, for networks that hold streams back.

use std::time::Duration;

use http::Response;
use tidings_hub::{Start, View};
use tokio::time::{Instant, timeout_at};

use super::json_events::JsonEvents;
use super::paging::{LIMIT, limit};
use crate::context::Context;
use crate::http::pieces::AnswerPieces;
use crate::http::problem::Problem;
use crate::http::request::Query;
use crate::http::respond::stream_permit;
use crate::http::response::json_in_pieces;
use crate::phase::closing;

/// The query parameters of this form, beside those of a stream.
pub(super) const PARAMETERS: [&str; 3] = ["limit", "after", "wait"];

/// The longest wait: below the idle time-outs of the usual proxies.
const WAIT_MAX: Duration = Duration::from_secs(55);

/// Answers with the events after a place, or the latest ones without a place; waits for the first
/// event if asked to.
pub(super) async fn page(
    context: &Context,
    query: &Query,
    view: View,
    start: Start,
) -> Result<Response<AnswerPieces>, Problem> {
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let wait = query.one("wait")?.map_or(Ok(Duration::ZERO), wait)?;
    let start = match query.one("after")? {
        Some(id) => Start::resume(Some(id)),
        None => start,
    };
    let start = match &context.journal {
        // Of an ID that a publisher gave, all hubs say the same.
        Some(journal) if journal.has_others() => context.hub.locate(&view, start).await,
        _ => start,
    };
    let mut events = JsonEvents::begin(context, &view, start, limit).await?;
    let is_over = context.hub.stream_end_at(&view, events.place().sequence).is_some();
    if events.is_empty() && !wait.is_zero() && !is_over {
        // A waiting reader costs as much as a stream, so it needs a permit too.
        let _permit = stream_permit(context)?;
        let place = Start::from(events.place());
        if has_come(context, &view, place.clone(), wait).await {
            events = JsonEvents::begin(context, &view, place, limit).await?;
        }
    }
    Ok(json_in_pieces(AnswerPieces::begin(context.control.bodies(), events).await?))
}

/// Waits until something is published after a place, for a time.
async fn has_come(context: &Context, view: &View, place: Start, wait: Duration) -> bool {
    let mut subscriber = context.hub.subscribe(view.clone(), place).past_closes();
    let mut phases = context.phases();
    let found = async {
        tokio::select! {
            received = subscriber.next() => received.is_some(),
            () = closing(&mut phases) => false,
        }
    };
    timeout_at(Instant::now() + wait, found).await.unwrap_or(false)
}

/// The units of times, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000), ("d", 24 * 60 * 60 * 1000)];

/// Reads a time with a unit, `s` or `ms`, or in seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
    time_in(text, &UNITS[..2])
}

/// Reads a time with a unit, `ms`, `s`, `m`, `h` or `d`, or in seconds.
pub(super) fn long_time(text: &str) -> Option<Duration> {
    time_in(text, &UNITS)
}

fn time_in(text: &str, units: &[(&str, u64)]) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "" => 1000,
        name => units.iter().find(|(unit, _)| *unit == name)?.1,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if is_number { digits.parse().ok()? } else { return None };
    Some(Duration::from_millis(number.saturating_mul(unit)))
}

pub(super) fn wait(text: &str) -> Result<Duration, Problem> {
    time(text).filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let seconds = WAIT_MAX.as_secs();
        Problem::invalid_parameter(
            "wait",
            &format!("it is a time of at most {seconds} seconds, as in 30s or 500ms"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_in_its_bounds() {
        assert_eq!(limit("1").unwrap(), 1);
        assert_eq!(limit("1000").unwrap(), 1000);
        for text in ["0", "1001", "", "+5", "-1", "x", "99999999999999999999"] {
            assert!(limit(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wait_has_a_unit_or_is_in_seconds() {
        assert_eq!(wait("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(wait("55").unwrap(), Duration::from_secs(55));
        assert_eq!(wait("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(wait("0").unwrap(), Duration::ZERO);
        for text in ["56s", "", "s", "ms", "-1s", "1m", "1.5s", "99999999999999999999s"] {
            assert!(wait(text).is_err(), "{text:?}");
        }
    }
}
