//! Lists the topics that have events.

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use tidings_hub::engine::TopicListing;
use tidings_hub::{Cursor, TopicInfo};
use tokio::task::yield_now;

use super::paging::{LIMIT_MAX, limit};
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{JSON, no_store};

/// `GET /topics`: lists topics in the order of their names, after a given one.
pub(crate) async fn list(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["after", "limit"])?;
    let limit = query.one("limit")?.map_or(Ok(LIMIT_MAX), limit)?;
    // One more than asked for shows whether there are more.
    let mut listing = TopicListing::new(query.one("after")?, limit + 1);
    while listing.step(&context.hub) {
        yield_now().await;
    }
    let mut held = listing.finish();
    let has_more = held.len() > limit;
    held.truncate(limit);
    let topics: Vec<_> = held.iter().map(|info| JsonTopic::new(context, info)).collect();
    let next = if has_more { held.last().map(|info| info.topic.as_str()) } else { None };
    let body = serde_json::to_vec(&JsonPage { topics, next }).expect("texts and numbers make JSON");
    Ok(no_store(&JSON, body))
}

#[derive(Serialize)]
struct JsonPage<'a> {
    topics: Vec<JsonTopic<'a>>,
    /// The value of `after` that continues the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonTopic<'a> {
    topic: &'a str,
    events: usize,
    last_event_id: String,
}

impl<'a> JsonTopic<'a> {
    fn new(context: &Context, info: &'a TopicInfo) -> Self {
        let newest = Cursor { epoch: context.hub.epoch(), sequence: info.newest };
        Self { topic: info.topic.as_str(), events: info.events, last_event_id: newest.to_string() }
    }
}
