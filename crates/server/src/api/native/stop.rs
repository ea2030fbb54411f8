//! Stops streams of topics for readers, and tells their producers.

use std::slice::from_ref;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use tidings_hub::{Topic, TopicFilter};
use tokio::time::{Instant, timeout_at};

use super::page::wait;
use super::stream_start::stream;
use super::streams::described;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request, topic};
use crate::http::respond::stream_permit;
use crate::http::response::{JSON, no_content, no_store};
use crate::phase::closing;

/// `POST /streams/stop`: stops the topic's stream. The answer is its state.
pub(crate) async fn stop(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "stream"])?;
    let topic = topic_of(&query)?;
    request.caller.access().may_stop(&topic)?;
    let stream = query.one("stream")?.map(|id| stream("stream", id)).transpose()?;
    context.tick();
    context.hub.stop_stream(&topic, stream).await?;
    let mut response = no_store(&JSON, state(context, &topic).to_string());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `GET /streams/stop`: tells a producer whether the topic's stream was stopped, as soon as it is within `wait`.
pub(crate) async fn stopped(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "wait"])?;
    let topic = topic_of(&query)?;
    let access = request.caller.access();
    access.may_publish(from_ref(&topic)).or_else(|_| access.may_stop(&topic))?;
    let wait = query.one("wait")?.map_or(Ok(Duration::ZERO), wait)?;
    context.tick();
    // A waiting producer costs as much as a stream, so it needs a permit too.
    let _permit = stream_permit(context)?;
    let mut phases = context.phases();
    let stopped = async {
        tokio::select! {
            is_stopped = context.hub.stream_stopped(&topic, None) => is_stopped,
            () = closing(&mut phases) => false,
        }
    };
    match timeout_at(Instant::now() + wait, stopped).await {
        Ok(true) => Ok(no_store(&JSON, state(context, &topic).to_string())),
        _ => Ok(no_content()),
    }
}

fn topic_of(query: &Query) -> Result<Topic, Problem> {
    let Some(name) = query.one("topic")? else {
        let detail = "name the topic whose stream is meant: topic=";
        return Err(Problem::new(ProblemKind::MissingParameter, detail));
    };
    topic(name)
}

fn state(context: &Context, topic: &Topic) -> Value {
    let info = context.hub.streams(&TopicFilter::from(topic.clone())).pop();
    described(context, topic, info.as_ref())
}
