//! Ending streams.

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::stream::topics;
use crate::app::{App, empty};
use crate::problem::{Problem, ProblemKind};

/// `DELETE /subscribers?topic=`: ends the streams that are open on exactly these topics. Their
/// EventSources come back once, are answered 204, and stay away.
pub(super) async fn end(app: &App, head: &Parts) -> Result<Response<Bytes>, Problem> {
    let topics = topics(head)?;
    if topics.is_empty() {
        let detail = "say whose streams to end: topic= names a topic";
        return Err(Problem::new(ProblemKind::MissingParameter, detail));
    }
    app.tick();
    for topic in topics {
        let ended = app.hub.end(topic).await;
        ended.map_err(super::publish::problem)?;
    }
    Ok(empty())
}
