//! Tells the state of streams within topics.

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use tidings_hub::{StreamInfo, Topic, TopicFilter, View};

use super::paging::{LIMIT, limit};
use super::stream::view;
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{JSON, no_store};

/// `GET /streams`: the latest streams of topics, and which of the named topics have none.
pub(crate) fn list(context: &Context, request: &Request<'_>) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "match", "after", "limit"])?;
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let asked = view(&query, context.config.filters_max)?;
    let view = request.caller.access().view(asked)?;
    context.tick();
    let mut found = Vec::new();
    for filter in view.filters() {
        let streams = context.hub.streams(filter);
        match filter {
            TopicFilter::Exact(topic) if streams.is_empty() => {
                found.push((topic.clone(), None));
            }
            _ => found.extend(streams.into_iter().map(|info| (info.topic.clone(), Some(info)))),
        }
    }
    let after = query.one("after")?.unwrap_or_default();
    found.retain(|(topic, _)| topic.as_str() > after && is_granted(&view, topic.as_str()));
    found.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    found.dedup_by(|(one, _), (other, _)| one == other);
    let next = found.get(limit).map(|_| found[limit - 1].0.to_string());
    found.truncate(limit);
    let streams: Vec<_> =
        found.iter().map(|(topic, info)| described(context, topic, info.as_ref())).collect();
    let mut body = json!({ "streams": streams });
    if let Some(next) = next {
        body["next"] = next.into();
    }
    Ok(no_store(&JSON, body.to_string()))
}

fn is_granted(view: &View, topic: &str) -> bool {
    view.grant().allows_topic(topic)
}

/// A topic's latest stream, if it has one, and how many readers name the topic.
pub(super) fn described(context: &Context, topic: &Topic, info: Option<&StreamInfo>) -> Value {
    let readers = context.hub.readers(topic);
    let Some(info) = info else {
        return json!({"topic": topic.as_str(), "state": "missing", "readers": readers});
    };
    let mut members = Map::new();
    let state = info.end.map_or("streaming", |(_, close)| close.reason.as_str());
    members.insert("topic".into(), info.topic.as_str().into());
    members.insert("state".into(), state.into());
    members.insert("stream_id".into(), info.begin.to_string().into());
    members.insert("began".into(), info.began.unix_millis().into());
    if let Some((time, _)) = info.end {
        members.insert("ended".into(), time.unix_millis().into());
    }
    if info.is_stopped && info.end.is_none() {
        members.insert("stopping".into(), true.into());
    }
    members.insert("events".into(), info.events.into());
    members.insert("readers".into(), readers.into());
    if let Some((first, last)) = &info.places {
        members.insert("first_place".into(), first.to_string().into());
        members.insert("last_place".into(), last.to_string().into());
    }
    if let Some(producer) = &info.producer {
        let (epoch, seq) = (producer.epoch, producer.seq);
        members.insert("producer".into(), json!({"id": producer.id(), "epoch": epoch, "seq": seq}));
    }
    members.into()
}
