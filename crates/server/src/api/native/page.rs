//! Reading as JSON: polling and long polling, for networks that hold streams back.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use tidings_hub::engine::Paging;
use tidings_hub::{Gap, HeldEvent, Page, Start, Via, View};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::paging::{LIMIT, limit};
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::Query;
use crate::http::respond::stream_permit;
use crate::http::response::{JSON, no_store};
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
) -> Result<Response<Bytes>, Problem> {
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let wait = query.one("wait")?.map_or(Ok(Duration::ZERO), wait)?;
    let start = match query.one("after")? {
        Some(id) => Start::resume(Some(id)),
        None => start,
    };
    let mut page = read(context, &view, start, limit).await;
    if page.events.is_empty() && page.gap.is_none() && !wait.is_zero() {
        // A waiting reader costs as much as a stream, so it needs a permit too.
        let _permit = stream_permit(context)?;
        page = wait_for(context, view, page, wait, limit).await;
    }
    let read = JsonPage {
        events: page.events.iter().map(JsonPageEvent::from).collect(),
        last_event_id: page.place.to_string(),
        gap: page.gap.as_ref().map(JsonGap::from),
    };
    let body = serde_json::to_vec(&read).expect("texts and numbers make JSON");
    Ok(no_store(&JSON, body))
}

/// Reads a page. Others have their turn between two looks at history.
async fn read(context: &Context, view: &View, start: Start, limit: usize) -> Page {
    let mut paging = Paging::new(&context.hub, view, start, limit);
    while paging.step().await {
        yield_now().await;
    }
    paging.finish()
}

/// Waits until something is published after the page, for a time.
async fn wait_for(
    context: &Context,
    view: View,
    empty: Page,
    wait: Duration,
    limit: usize,
) -> Page {
    let start = Start::from(empty.place);
    let mut subscriber = context.hub.subscribe(view.clone(), start.clone()).past_closes();
    let mut phases = context.phases();
    let found = async {
        tokio::select! {
            received = subscriber.next() => received.is_some(),
            () = closing(&mut phases) => false,
        }
    };
    match timeout_at(Instant::now() + wait, found).await {
        Ok(true) => read(context, &view, start, limit).await,
        _ => empty,
    }
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1000),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = if is_number { digits.parse().ok() } else { None };
    let wait = number.map(|number| Duration::from_millis(number.saturating_mul(unit)));
    wait.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let seconds = WAIT_MAX.as_secs();
        Problem::invalid_parameter(
            "wait",
            &format!("it is a time of at most {seconds} seconds, as in 30s or 500ms"),
        )
    })
}

#[derive(Serialize)]
struct JsonPage<'a> {
    events: Vec<JsonPageEvent<'a>>,
    last_event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<JsonGap<'a>>,
}

/// An event as JSON shows it.
#[derive(Serialize)]
struct JsonPageEvent<'a> {
    id: &'a str,
    r#type: &'a str,
    topic: &'a str,
    data: &'a str,
    /// Milliseconds since 1970.
    time: u64,
    /// The hops of a relayed event.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'a str>,
}

impl<'a> From<&'a HeldEvent> for JsonPageEvent<'a> {
    fn from(delivery: &'a HeldEvent) -> Self {
        Self {
            id: delivery.id.as_str(),
            r#type: delivery.event.event_type().as_str(),
            topic: delivery.topic.as_str(),
            data: delivery.event.data(),
            time: delivery.time.unix_millis(),
            via: delivery.via.as_ref().map(Via::as_str),
        }
    }
}

/// A gap as JSON tells it.
#[derive(Serialize)]
struct JsonGap<'a> {
    asked: &'a str,
    oldest: Option<&'a str>,
}

impl<'a> From<&'a Gap> for JsonGap<'a> {
    fn from(gap: &'a Gap) -> Self {
        Self { asked: &gap.asked, oldest: gap.oldest.as_ref().map(|id| id.as_str()) }
    }
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
