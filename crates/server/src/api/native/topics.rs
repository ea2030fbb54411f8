//! Lists the topics that have events.

use std::task::{Context as TaskContext, Poll};
use std::vec::IntoIter;

use http::Response;
use serde::Serialize;
use tidings_hub::engine::TopicListing;
use tidings_hub::{Cursor, Epoch, Topic, TopicFilter, TopicInfo};
use tokio::task::yield_now;

use super::json_text::push_json;
use super::paging::{LIMIT_MAX, SCOPE, limit};
use crate::context::Context;
use crate::http::pieces::{AnswerPieces, PIECE_BYTES, Piece, PieceSource};
use crate::http::problem::Problem;
use crate::http::request::{Query, Request};
use crate::http::response::json_in_pieces;

/// `GET /topics`: lists topics in the order of their names, after a given one.
pub(super) async fn list(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<AnswerPieces>, Problem> {
    let managed = request.caller.access().managed()?;
    let query = request.query(&["after", "limit", SCOPE])?;
    let topics = page(context, &query, managed).await?;
    Ok(json_in_pieces(AnswerPieces::begin(context.control.bodies(), topics).await?))
}

/// The page of the list that a query asks for.
pub(super) async fn page(
    context: &Context,
    query: &Query,
    managed: Option<&[TopicFilter]>,
) -> Result<JsonTopics, Problem> {
    let limit = query.one("limit")?.map_or(Ok(LIMIT_MAX), limit)?;
    // One more than asked for shows whether there are more.
    let mut listing = TopicListing::new(query.one("after")?, limit + 1);
    if let Some(managed) = managed {
        listing = listing.within(managed.to_vec());
    }
    while listing.step(&context.hub) {
        yield_now().await;
    }
    Ok(JsonTopics::new(context.hub.epoch(), listing.finish(), limit))
}

/// The topics of one answer. Their names are shared with the hub, and are counted because the hub may
/// forget them meanwhile.
pub(super) struct JsonTopics {
    epoch: Epoch,
    topics: IntoIter<TopicInfo>,
    names_bytes: usize,
    /// The name that continues the list.
    next: Option<Topic>,
    written: usize,
}

#[derive(Serialize)]
struct JsonTopic<'a> {
    topic: &'a str,
    events: usize,
    last_event_id: String,
}

impl JsonTopics {
    fn new(epoch: Epoch, mut topics: Vec<TopicInfo>, limit: usize) -> Self {
        let has_more = topics.len() > limit;
        topics.truncate(limit);
        let next = topics.last().filter(|_| has_more).map(|info| info.topic.clone());
        let names_bytes = topics.iter().map(|info| info.topic.as_str().len()).sum();
        Self { epoch, topics: topics.into_iter(), names_bytes, next, written: 0 }
    }
}

impl PieceSource for JsonTopics {
    fn poll_piece(&mut self, _: &mut TaskContext<'_>, out: &mut Vec<u8>) -> Poll<Piece> {
        if self.written == 0 {
            out.extend_from_slice(b"{\"topics\":[");
        }
        for info in self.topics.by_ref() {
            if self.written > 0 {
                out.push(b',');
            }
            self.written += 1;
            let newest = Cursor { epoch: self.epoch, sequence: info.newest };
            let topic = info.topic.as_str();
            let last_event_id = newest.to_string();
            push_json(&JsonTopic { topic, events: info.events, last_event_id }, out);
            if out.len() >= PIECE_BYTES {
                return Poll::Ready(Piece::More);
            }
        }
        out.push(b']');
        if let Some(next) = &self.next {
            out.extend_from_slice(b",\"next\":");
            push_json(next.as_str(), out);
        }
        out.push(b'}');
        Poll::Ready(Piece::Last)
    }

    fn bytes(&self) -> usize {
        self.names_bytes + self.topics.len() * size_of::<TopicInfo>()
    }
}
