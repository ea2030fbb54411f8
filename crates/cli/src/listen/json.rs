//! Signals as lines of JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use tidings_client::{Closed, Open, Signal};

use crate::follow::explained;
use crate::message::without_controls;
use crate::sentence::sentence;

/// One line of output. Members may be added, but existing ones never change.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum JsonLine<'a> {
    Open {
        status: u16,
        url: &'a str,
        /// Whether the stream resumed after the last event ID.
        resumed: bool,
        /// Headers of the same name are joined by commas, as HTTP allows.
        headers: BTreeMap<&'a str, String>,
    },
    Event {
        r#type: &'a str,
        data: &'a str,
        /// The last event ID at this event; empty if there is none.
        id: &'a str,
    },
    Comment {
        comment: &'a str,
    },
    Retrying {
        cause: String,
        attempt: u32,
        delay_ms: u64,
    },
    Gap {
        asked: Option<&'a str>,
        oldest: Option<&'a str>,
        id: &'a str,
    },
    End {
        reason: &'static str,
        events: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        id: &'a str,
    },
    Closed {
        why: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
}

/// Returns the line for a signal, including the line end; `None` for a signal that this program
/// does not know.
pub(super) fn line(signal: &Signal) -> Option<String> {
    let line = match signal {
        Signal::Open(open) => opened(open),
        Signal::Event(event) => JsonLine::Event {
            r#type: event.event_type(),
            data: event.data(),
            id: event.last_event_id(),
        },
        Signal::Comment(text) => JsonLine::Comment { comment: text },
        Signal::Retrying(retrying) => JsonLine::Retrying {
            cause: sentence(&retrying.cause),
            attempt: retrying.attempt,
            delay_ms: u64::try_from(retrying.delay.as_millis()).unwrap_or(u64::MAX),
        },
        Signal::Gap(gap) => JsonLine::Gap {
            asked: gap.asked.as_deref(),
            oldest: gap.oldest.as_deref(),
            id: &gap.last_event_id,
        },
        Signal::End(end) => JsonLine::End {
            reason: end.reason.as_str(),
            events: end.events,
            topic: end.topic.as_deref(),
            id: &end.last_event_id,
        },
        Signal::Closed(closed) => ended(closed),
        _ => return None,
    };
    let line = serde_json::to_string(&line).expect("texts and numbers are legal JSON");
    Some(without_controls(&line) + "\n")
}

fn opened(open: &Open) -> JsonLine<'_> {
    let mut headers = BTreeMap::new();
    for name in open.headers.keys() {
        let values = open.headers.get_all(name).iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        headers.insert(name.as_str(), values.join(", "));
    }
    JsonLine::Open {
        status: open.status.as_u16(),
        url: &open.url,
        resumed: open.resumption.is_resumed(),
        headers,
    }
}

fn ended(closed: &Closed) -> JsonLine<'static> {
    let why = match closed {
        Closed::NoContent => "no_content",
        Closed::Ended(_) => "ended",
        Closed::ByCaller => "by_caller",
        Closed::Complete => "complete",
        Closed::Incomplete(_) => "incomplete",
        Closed::Refused(_) => "refused",
        Closed::Redirect(_) => "redirect",
        Closed::Limit(_) => "limit",
        Closed::Exhausted { .. } => "exhausted",
        Closed::NotResent(_) => "not_resent",
        _ => "other",
    };
    let (message, status, body) = match closed {
        Closed::Refused(refused) => {
            let body = String::from_utf8_lossy(&refused.body).into_owned();
            (explained(closed), Some(refused.status.as_u16()), Some(body))
        }
        _ => (sentence(closed), None, None),
    };
    JsonLine::Closed { why, message, status, body }
}
