//! Lists and metrics of all hubs of a cluster: asked of each, and put together.

use std::collections::BTreeMap;
use std::future::poll_fn;

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_hub::{Topic, TopicFilter};

use super::paging::SCOPE;
use super::{subscribers, topics};
use crate::context::Context;
use crate::http::pieces::{AnswerPieces, Piece, PieceSource};
use crate::http::problem::Problem;
use crate::http::request::{Query, Request};
use crate::http::response::json_in_pieces;
use crate::metrics::merged::merge;

/// A question that hubs ask each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The hub that asks.
    pub(crate) by: u64,
    what: What,
    /// The query of the request.
    query: String,
    /// The patterns that the sender of the request manages; `None` if it manages everything.
    managed: Option<Vec<Managed>>,
}

/// A pattern, or exactly one topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Managed {
    is_exact: bool,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Subscribers,
    Topics,
    Metrics,
}

/// The size that this hub's own part of an answer has at most; that of others is limited by a message.
const OWN_BYTES_MAX: usize = 1024 * 1024;

/// Returns whether a query asks for the lists of all hubs.
fn is_of_cluster(query: &Query) -> Result<bool, Problem> {
    match query.one(SCOPE)? {
        None | Some("node") => Ok(false),
        Some("cluster") => Ok(true),
        Some(_) => Err(Problem::invalid_parameter(SCOPE, "it is node or cluster")),
    }
}

impl Managed {
    fn of(filter: &TopicFilter) -> Self {
        let is_exact = matches!(filter, TopicFilter::Exact(_));
        Self { is_exact, text: filter.as_str().to_owned() }
    }

    fn filter(&self) -> Option<TopicFilter> {
        match self.is_exact {
            true => Topic::new(self.text.as_str()).ok().map(TopicFilter::from),
            false => TopicFilter::pattern(&self.text).ok(),
        }
    }
}

/// `GET /subscribers`: of this hub, or of all.
pub(crate) async fn subscribers(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<AnswerPieces>, Problem> {
    let query = request.query(&["topic", "subject", "limit", "after", SCOPE])?;
    if !is_of_cluster(&query)? {
        return subscribers::list(context, request).await;
    }
    if query.one("after")?.is_some() {
        let why = "a list of all hubs has one page: ask a hub for its next one";
        return Err(Problem::invalid_parameter("after", why));
    }
    gather(context, request, What::Subscribers).await
}

/// `GET /topics`: of this hub, or of all.
pub(crate) async fn topics(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<AnswerPieces>, Problem> {
    let query = request.query(&["after", "limit", SCOPE])?;
    match is_of_cluster(&query)? {
        true => gather(context, request, What::Topics).await,
        false => topics::list(context, request).await,
    }
}

/// The metrics of this hub, or of all, in the format OpenMetrics.
pub(crate) async fn metrics(context: &Context, request: &Request<'_>) -> Result<String, Problem> {
    if !is_of_cluster(&request.query(&[SCOPE])?)? {
        return Ok(context.metrics.to_text());
    }
    let (answers, silent) = Box::pin(ask(context, request, What::Metrics)).await?;
    let text = |(node, answer): (String, Value)| Some((node, answer.as_str()?.to_owned()));
    let answers: Vec<_> = answers.into_iter().filter_map(text).collect();
    Ok(merge(&answers, &silent))
}

/// Asks all hubs, and puts their lists together.
async fn gather(
    context: &Context,
    request: &Request<'_>,
    what: What,
) -> Result<Response<AnswerPieces>, Problem> {
    // Boxed, because the task of each connection has the room for all that is not.
    let (answers, silent) = Box::pin(ask(context, request, what)).await?;
    let mut whole = match what {
        What::Topics => topics_of(answers),
        _ => subscribers_of(answers),
    };
    whole["silent"] = json!(silent);
    let bytes = Bytes::from(whole.to_string());
    let pieces = AnswerPieces::reported(context.control.bodies(), bytes);
    Ok(json_in_pieces(pieces.unwrap_or_else(AnswerPieces::whole)))
}

/// Asks all hubs. Returns their answers, that of this one first, and the names of those that gave none.
async fn ask(
    context: &Context,
    request: &Request<'_>,
    what: What,
) -> Result<(Vec<(String, Value)>, Vec<String>), Problem> {
    let managed = request.caller.access().managed()?;
    let question = Question {
        by: number(context),
        what,
        query: request.head.uri.query().unwrap_or_default().to_owned(),
        managed: managed.map(|it| it.iter().map(Managed::of).collect()),
    };
    let asked = async { answer_of(context, &question, OWN_BYTES_MAX).await };
    let (own, (mut answers, silent)) = tokio::join!(asked, others(context, &question));
    answers.insert(0, (context.config.node.to_string(), own?));
    Ok((answers, silent))
}

#[cfg(feature = "nats")]
fn number(context: &Context) -> u64 {
    context.cluster.as_ref().map_or(0, |cluster| cluster.number())
}

#[cfg(not(feature = "nats"))]
fn number(_: &Context) -> u64 {
    0
}

/// The answers of the other hubs, and the names of those that gave none.
#[cfg(feature = "nats")]
async fn others(context: &Context, question: &Question) -> (Vec<(String, Value)>, Vec<String>) {
    let Some(cluster) = &context.cluster else { return Default::default() };
    let gathered = cluster.gather(serde_json::to_vec(question).unwrap_or_default()).await;
    (gathered.answers, gathered.silent)
}

#[cfg(not(feature = "nats"))]
async fn others(_: &Context, _: &Question) -> (Vec<(String, Value)>, Vec<String>) {
    Default::default()
}

/// Answers another hub. `None` if the question is not one that this hub can answer.
#[cfg(feature = "nats")]
pub(crate) async fn answer(
    context: &Context,
    question: &Question,
    bytes_max: usize,
) -> Option<Value> {
    answer_of(context, question, bytes_max).await.ok()
}

async fn answer_of(
    context: &Context,
    question: &Question,
    bytes_max: usize,
) -> Result<Value, Problem> {
    let query = Query::parse(Some(&question.query))?;
    let managed = question.managed.as_ref().map(|patterns| {
        // A pattern that this hub cannot read matches nothing.
        patterns.iter().filter_map(Managed::filter).collect::<Vec<_>>()
    });
    context.tick();
    let text = match question.what {
        What::Metrics => return Ok(Value::String(context.metrics.to_text())),
        What::Subscribers => {
            let list = subscribers::page(context, &query, managed.as_deref()).await?;
            whole(list, bytes_max).await
        }
        What::Topics => {
            let list = topics::page(context, &query, managed.as_deref()).await?;
            whole(list, bytes_max).await
        }
    };
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// Writes a list, up to the piece that makes it too large. Pieces end after an entry.
async fn whole(mut list: impl PieceSource, bytes_max: usize) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let mut piece = Vec::new();
        let is_last = poll_fn(|cx| list.poll_piece(cx, &mut piece)).await == Piece::Last;
        text.append(&mut piece);
        if is_last {
            return text;
        }
        if text.len() >= bytes_max {
            text.extend_from_slice(b"],\"next\":\"\"}");
            return text;
        }
    }
}

/// The streams of all hubs, each with the name of its hub.
fn subscribers_of(answers: Vec<(String, Value)>) -> Value {
    let (mut total, mut all, mut more) = (0, Vec::new(), Vec::new());
    for (node, mut answer) in answers {
        total += answer["total"].as_u64().unwrap_or(0);
        if let Some(list) = answer["subscribers"].as_array_mut() {
            for mut subscriber in list.drain(..) {
                subscriber["node"] = json!(node);
                all.push(subscriber);
            }
        }
        if answer.get("next").is_some() {
            more.push(node);
        }
    }
    json!({ "total": total, "subscribers": all, "more": more })
}

/// The topics of all hubs. Of one that several have, the one with the newest event counts.
fn topics_of(answers: Vec<(String, Value)>) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let mut through: Option<String> = None;
    for (_, mut answer) in answers {
        let Some(list) = answer["topics"].as_array_mut().map(std::mem::take) else { continue };
        let last = list.last().and_then(|topic| topic["topic"].as_str().map(str::to_owned));
        if answer.get("next").is_some() {
            // Beyond its last topic, this hub may have others.
            through = Some(match (through, last) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => one.or(other).unwrap_or_default(),
            });
        }
        for topic in list {
            let name = topic["topic"].as_str().unwrap_or_default().to_owned();
            let newest = |topic: &Value| topic["last_event_id"].as_str().map(str::to_owned);
            match all.get_mut(&name) {
                Some(known) if newest(known) >= newest(&topic) => {}
                Some(known) => *known = topic,
                None => drop(all.insert(name, topic)),
            }
        }
    }
    let mut whole = Map::new();
    if let Some(through) = through {
        all.retain(|name, _| *name <= through);
        whole.insert("next".to_owned(), json!(through));
    }
    whole.insert("topics".to_owned(), all.into_values().collect());
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(answers: &[(&str, Value)]) -> Vec<(String, Value)> {
        answers.iter().map(|(node, answer)| ((*node).to_owned(), answer.clone())).collect()
    }

    #[test]
    fn subscribers_are_those_of_all_hubs_with_their_names() {
        let one = json!({ "total": 1, "subscribers": [{ "topics": ["a"] }] });
        let two = json!({ "total": 3, "subscribers": [{ "topics": ["b"] }], "next": "0-1" });
        let whole = subscribers_of(answers(&[("one", one), ("two", two)]));
        let expected = json!({
            "total": 4,
            "subscribers": [{ "topics": ["a"], "node": "one" }, { "topics": ["b"], "node": "two" }],
            "more": ["two"],
        });
        assert_eq!(whole, expected);
    }

    #[test]
    fn topics_are_told_once_and_no_further_than_all_hubs_have_told() {
        let topic = |name, last| json!({ "topic": name, "events": 1, "last_event_id": last });
        let one = json!({ "topics": [topic("a", "1"), topic("c", "3")] });
        let two = json!({ "topics": [topic("a", "2"), topic("b", "1")], "next": "b" });
        let whole = topics_of(answers(&[("one", one), ("two", two)]));
        let expected = json!({ "topics": [topic("a", "2"), topic("b", "1")], "next": "b" });
        assert_eq!(whole, expected);
    }
}
